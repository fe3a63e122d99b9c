/* SPDX-License-Identifier: Apache-2.0 */
/* Beside the holder of a certificate. A key never leaves its folder. Until an answer is accepted the old key and certificate stay in
 * use; then the key is put in place before the certificate, and whoever uses both waits until they fit. */
#include "cli/pki.h"

#include <stdlib.h>
#include <string.h>

#define NAME_SIZE_MAX (HOLDER_NAME + 16)

static int fail(const char *why)
{
    fprintf(stderr, "isthmus pki: %s\n", why);
    return CLI_FAILED;
}

static const char *file(const char *stem, const char *more, char out[NAME_SIZE_MAX])
{
    snprintf(out, NAME_SIZE_MAX, "%s%s", stem, more);
    return out;
}

int pki_enrol(const struct pki *p)
{
    const char *dir = p->arguments[0];
    char token[TOKEN_TEXT], why[AUTHORITY_WHY], name[NAME_SIZE_MAX], line[512];
    char *key = NULL, *request = NULL;
    struct holder h = {.kind = holder_kind_from_name(p->arguments[1])};
    if (!h.kind || !holder_name_is_good(p->arguments[2])) {
        return h.kind ? fail("a name has letters, digits, '-', '_', '.' and '@'") : CLI_USAGE;
    }
    strcpy(h.name, p->arguments[2]);
    if (snprintf(h.names, sizeof h.names, "%s", p->names ? p->names : "") >= (int)sizeof h.names) {
        return fail("these are too many names");
    }
    const char *stem = pki_stem(h.kind, h.name);
    token_make(token);
    bool good = *token && !holder_key_make(&h.key, &key);
    if (good && request_make(&h, token, &request, why)) {
        (void)fail(why);
        good = false;
    }
    good = good && store_make_dir(dir) &&
           store_write(dir, file(stem, ".new.key", name), key, 0600) &&
           store_write(dir, file(stem, ".token", name), token, 0600) &&
           store_write(dir, file(stem, ".request", name), request, 0644);
    holder_fini(&h);
    if (key) {
        explicit_bzero(key, strlen(key));
    }
    free(key);
    free(request);
    if (!good) {
        return CLI_FAILED;
    }
    snprintf(line, sizeof line,
             "%s\n\nTake %s/%s to the root, and this token in another way (read it out, write it "
             "down).\nThere: isthmus pki sign",
             token, dir, name);
    return pki_tell(p, line, (const char *[]){"token", token, "request", name, NULL});
}

int pki_renew(const struct pki *p)
{
    const char *dir = p->arguments[0], *stem = p->argument_count > 1 ? p->arguments[1] : "gateway";
    char why[AUTHORITY_WHY], name[NAME_SIZE_MAX], line[512];
    char *fresh_pem = NULL, *request = NULL;
    struct evp_pkey_st *fresh = NULL, *old = NULL;
    if (!holder_name_is_good(stem)) {
        return CLI_USAGE;
    }
    char *certificate = store_read(dir, file(stem, ".crt", name), false);
    char *key = certificate ? store_read(dir, file(stem, ".key", name), true) : NULL;
    bool good = key && !holder_key_open(&old, key) &&
                (p->same_key ? !holder_key_open(&fresh, key) && (fresh_pem = strdup(key))
                             : !holder_key_make(&fresh, &fresh_pem));
    if (key && !old) {
        (void)fail("the old key can't be read: enrol anew");
    }
    if (good && request_make_renewal(fresh, certificate, old, &request, why)) {
        (void)fail(why);
        good = false;
    }
    store_remove(dir, file(stem, ".token", name));
    good = good && store_write(dir, file(stem, ".new.key", name), fresh_pem, 0600) &&
           store_write(dir, file(stem, ".request", name), request, 0644);
    holder_key_free(old);
    holder_key_free(fresh);
    store_wipe(key);
    if (fresh_pem) {
        explicit_bzero(fresh_pem, strlen(fresh_pem));
    }
    free(fresh_pem);
    free(certificate);
    free(request);
    if (!good) {
        return CLI_FAILED;
    }
    snprintf(line, sizeof line,
             "Take %s/%s to the root. There: isthmus pki sign. The old certificate stays in use "
             "until then.",
             dir, name);
    return pki_tell(p, line, (const char *[]){"request", name, NULL});
}

/* The certificate goes first under another name, so that nothing can fail between the two that matter. */
static bool put_in_place(const char *dir, const char *stem, const struct answer_parts *parts)
{
    char from[NAME_SIZE_MAX], to[NAME_SIZE_MAX];
    bool good = store_write(dir, "root.crt", parts->root, 0644) &&
                store_write(dir, "root.crl", parts->crl, 0644) &&
                store_write(dir, file(stem, ".new.crt", from), parts->certificate, 0644) &&
                store_rename(dir, file(stem, ".new.key", from), file(stem, ".key", to)) &&
                store_rename(dir, file(stem, ".new.crt", from), file(stem, ".crt", to));
    if (good) {
        store_remove(dir, file(stem, ".token", from));
        store_remove(dir, file(stem, ".request", from));
    }
    return good;
}

/* An answer's list may be older than one that came since. */
static bool keep_newer_list(const char *dir, struct answer_parts *parts)
{
    int64_t here, there, end;
    char *known = store_has(dir, "root.crl") ? store_read(dir, "root.crl", false) : NULL;
    if (known && !crl_read(known, &here, &end) && !crl_read(parts->crl, &there, &end) &&
        here > there) {
        free(parts->crl);
        parts->crl = known;
        return true;
    }
    free(known);
    return parts->crl != NULL;
}

static int accept_list(const struct pki *p, const char *text)
{
    const char *dir = p->arguments[0];
    char why[AUTHORITY_WHY];
    int64_t here, there, end;
    char *root = store_read(dir, "root.crt", false);
    char *known = root && store_has(dir, "root.crl") ? store_read(dir, "root.crl", false) : NULL;
    bool good = root && !crl_prove(text, root, why);
    if (root && !good) {
        (void)fail(why);
    }
    if (good && known && !crl_read(known, &here, &end) && !crl_read(text, &there, &end) &&
        there < here) {
        (void)fail("this list is older than the one that is there");
        good = false;
    }
    good = good && store_write(dir, "root.crl", text, 0644);
    free(root);
    free(known);
    return good ? pki_tell(p, "the list of revoked certificates is taken up",
                           (const char *[]){"list", "root.crl", NULL})
                : CLI_FAILED;
}

static bool read_answer(const char *path, char *dir, char **text)
{
    const char *slash = strrchr(path, '/');
    bool fits = snprintf(dir, STORE_PATH, "%.*s", slash ? (int)(slash - path) : 1,
                         slash ? path : ".") < STORE_PATH;
    *text = fits ? store_read(*dir ? dir : "/", slash ? slash + 1 : path, false) : NULL;
    return *text != NULL;
}

int pki_accept(const struct pki *p)
{
    const char *dir = p->arguments[0], *stem = p->argument_count > 2 ? p->arguments[2] : "gateway";
    char why[AUTHORITY_WHY], name[NAME_SIZE_MAX], answer_dir[STORE_PATH], *answer = NULL;
    struct answer_parts parts = {0};
    struct evp_pkey_st *key = NULL;
    if (!holder_name_is_good(stem)) {
        return CLI_USAGE;
    }
    if (!read_answer(p->arguments[1], answer_dir, &answer)) {
        return CLI_FAILED;
    }
    if (!strstr(answer, "-----BEGIN CERTIFICATE-----")) {
        int status = accept_list(p, answer);
        free(answer);
        return status;
    }
    char *pem = store_read(dir, file(stem, ".new.key", name), true);
    bool new = store_has(dir, file(stem, ".token", name));
    char *token = new ? store_read(dir, name, true) : NULL,
         *root = new ? NULL : store_read(dir, "root.crt", false);
    bool good = pem && (token || root) && !holder_key_open(&key, pem);
    if (good && answer_open(answer, token, root, key, p->now_ns, &parts, why)) {
        (void)fail(why);
        good = false;
    }
    good = good && keep_newer_list(dir, &parts) && put_in_place(dir, stem, &parts);
    holder_key_free(key);
    answer_fini(&parts);
    store_wipe(pem);
    store_wipe(token);
    free(root);
    free(answer);
    return good ? pki_tell(p, "the certificate is taken up",
                           (const char *[]){"certificate", stem, NULL})
                : CLI_FAILED;
}
