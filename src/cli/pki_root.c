/* SPDX-License-Identifier: Apache-2.0 */
/* Beside the root: what is done there is done by a person who has the passphrase, and each certificate leaves a line in the
 * index before it leaves the folder. */
#include "cli/pki.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "box/strict_file.h"

#define ROOT_DAYS   7300
#define HOLDER_DAYS 397
#define CRL_DAYS    400
#define PASSPHRASE  12 /* letters at least */

static int fail(const char *why)
{
    fprintf(stderr, "isthmus pki: %s\n", why);
    return CLI_FAILED;
}

static bool open_root(const struct pki *p, const char *dir, struct authority *a)
{
    char passphrase[256] = "", why[AUTHORITY_WHY] = "";
    char *key = store_read(dir, "root.key", true),
         *root = key ? store_read(dir, "root.crt", false) : NULL;
    bool good = root && store_ask("Passphrase of the root's key", true, p->passphrase_file,
                                  passphrase, sizeof passphrase);
    if (good && authority_open(a, key, root, passphrase, why)) {
        (void)fail(why);
        good = false;
    }
    explicit_bzero(passphrase, sizeof passphrase);
    store_wipe(key);
    free(root);
    return good;
}

/* A list of all that are revoked and have not ended. */
static bool write_crl(const struct pki *p, const struct authority *a, const char *dir,
                      const struct store_index *index, char **out)
{
    char why[AUTHORITY_WHY], *crl = NULL;
    struct revoked *list = calloc(index->count + 1, sizeof *list);
    size_t count = 0;
    for (size_t i = 0; list && i < index->count; i++) {
        const struct store_entry *e = index->list + i;
        if (e->revoked_s && e->ends_s * PKI_NS > p->now_ns) {
            list[count++] = (struct revoked){e->serial, e->revoked_s * PKI_NS};
        }
    }
    int days = p->days && !strcmp(p->verb, "crl") ? p->days : CRL_DAYS;
    bool good = list && !authority_revoke(a, list, count, days, p->now_ns, &crl, why);
    if (!good) {
        (void)fail(list ? why : "out of memory");
    }
    good = good && store_write(dir, "root.crl", crl, 0644);
    free(list);
    if (good && out) {
        *out = crl;
    } else {
        free(crl);
    }
    return good;
}

static bool new_passphrase(const struct pki *p, char *line, size_t size)
{
    char again[256] = "";
    bool good = store_ask("A passphrase for the root's key", true, p->passphrase_file, line, size);
    if (good && strlen(line) < PASSPHRASE) {
        (void)fail(
            "the passphrase needs 12 letters at least: who has the key's file can try for ever");
        return false;
    }
    bool typed = good && !p->passphrase_file && isatty(STDIN_FILENO);
    if (typed &&
        (!store_ask("Once more", true, NULL, again, sizeof again) || strcmp(line, again))) {
        (void)fail("the two differ");
        good = false;
    }
    explicit_bzero(again, sizeof again);
    return good;
}

int pki_init(const struct pki *p)
{
    const char *dir = p->arguments[0];
    char passphrase[256] = "", why[AUTHORITY_WHY], *key = NULL, *root = NULL;
    struct authority a = {0};
    struct store_index none = {0};
    if (!p->name) {
        return fail("init: give the root a name that says whose it is: --name TEXT");
    }
    if (!store_make_dir(dir)) {
        return CLI_FAILED;
    }
    if (store_has(dir, "root.key")) {
        return fail("init: a root lies there already; nothing was changed");
    }
    bool good = new_passphrase(p, passphrase, sizeof passphrase);
    if (good && (authority_make(p->name, p->days ? p->days : ROOT_DAYS, p->now_ns, passphrase, &key,
                                &root, why) ||
                 authority_open(&a, key, root, passphrase, why))) {
        (void)fail(why);
        good = false;
    }
    explicit_bzero(passphrase, sizeof passphrase);
    good = good && store_write(dir, "root.crt", root, 0644) && store_index_write(dir, &none) &&
           write_crl(p, &a, dir, &none, NULL) && store_write(dir, "root.key", key, 0600);
    authority_close(&a);
    if (key) {
        explicit_bzero(key, strlen(key));
    }
    free(key);
    free(root);
    return good ? pki_tell(p,
                           "the root is made; keep its folder offline, and a copy of it elsewhere",
                           (const char *[]){"root", dir, NULL})
                : CLI_FAILED;
}

/* Signs, notes, keeps a copy; *certificate is owned. */
static bool issue(const struct pki *p, const struct authority *a, const char *dir,
                  const struct holder *h, struct store_index *index, char **certificate)
{
    char why[AUTHORITY_WHY], name[HOLDER_NAME + SERIAL_TEXT + 8], folder[STORE_PATH];
    struct issued made;
    int days = p->days ? p->days : HOLDER_DAYS;
    if (authority_issue(a, h, days, p->now_ns, certificate, &made, why)) {
        (void)fail(why);
        return false;
    }
    struct store_entry e = {.begins_s = made.begins_ns / PKI_NS, .ends_s = made.ends_ns / PKI_NS};
    snprintf(e.serial, sizeof e.serial, "%s", made.serial);
    snprintf(e.kind, sizeof e.kind, "%s", holder_kind_name(h->kind));
    snprintf(e.name, sizeof e.name, "%s", h->name);
    snprintf(e.fingerprint, sizeof e.fingerprint, "%s", made.fingerprint);
    snprintf(name, sizeof name, "%s-%s.crt", h->name, made.serial);
    bool good = snprintf(folder, sizeof folder, "%s/issued", dir) < STORE_PATH &&
                store_index_add(index, &e) && store_index_write(dir, index) &&
                store_make_dir(folder) && store_write(folder, name, *certificate, 0644);
    if (!good) {
        free(*certificate);
        *certificate = NULL;
    }
    return good;
}

/* Key and certificate in FOLDER, with root and list. */
static bool hand_out(const struct pki *p, const char *dir, const struct holder *h, const char *key,
                     const char *certificate)
{
    char name[HOLDER_NAME + 8];
    const char *stem = pki_stem(h->kind, h->name);
    char *root = store_read(dir, "root.crt", false), *crl = store_read(dir, "root.crl", false);
    snprintf(name, sizeof name, "%s.key", stem);
    bool good = root && crl && store_make_dir(p->to) && store_write(p->to, name, key, 0600);
    snprintf(name, sizeof name, "%s.crt", stem);
    good = good && store_write(p->to, name, certificate, 0644) &&
           store_write(p->to, "root.crt", root, 0644) && store_write(p->to, "root.crl", crl, 0644);
    free(root);
    free(crl);
    return good;
}

int pki_issue(const struct pki *p)
{
    const char *dir = p->arguments[0];
    struct authority a = {0};
    struct store_index index = {0};
    struct holder h = {.kind = holder_kind_from_name(p->verb)};
    char *key = NULL, *certificate = NULL;
    if (!p->to) {
        return fail("say where key and certificate go: --to FOLDER");
    }
    snprintf(h.name, sizeof h.name, "%s", p->arguments[1]);
    bool fits =
        strlen(p->arguments[1]) < sizeof h.name &&
        snprintf(h.names, sizeof h.names, "%s", p->names ? p->names : "") < (int)sizeof h.names;
    bool good = fits && open_root(p, dir, &a) && store_index_read(dir, &index) &&
                !holder_key_make(&h.key, &key) && issue(p, &a, dir, &h, &index, &certificate) &&
                hand_out(p, dir, &h, key, certificate);
    if (!fits) {
        (void)fail("the name is too long");
    }
    authority_close(&a);
    holder_fini(&h);
    if (key) {
        explicit_bzero(key, strlen(key));
    }
    free(key);
    free(certificate);
    free(index.list);
    return good ? pki_tell(p, "key and certificate are made",
                           (const char *[]){"name", p->arguments[1], "folder", p->to, NULL})
                : CLI_FAILED;
}

static bool split(const char *path, char dir[STORE_PATH], const char **name)
{
    const char *slash = strrchr(path, '/');
    *name = slash ? slash + 1 : path;
    return snprintf(dir, STORE_PATH, "%.*s", slash ? (int)(slash - path) + (slash == path) : 1,
                    slash ? path : ".") < STORE_PATH &&
           **name;
}

static bool is_revoked(const struct store_index *index, const char *serial)
{
    for (size_t i = 0; i < index->count; i++) {
        if (!strcmp(index->list[i].serial, serial)) {
            return index->list[i].revoked_s != 0;
        }
    }
    return true; /* never signed here */
}

/* Reads the request at `path`, with its token if it needs one. */
static bool open_request(const struct pki *p, const struct authority *a, const char *dir,
                         const char *path, struct holder *h, char token[TOKEN_TEXT])
{
    char request_dir[STORE_PATH], line[PKI_TOKEN_LINE] = "", why[AUTHORITY_WHY];
    const char *name;
    char *text = split(path, request_dir, &name) ? store_read(request_dir, name, false) : NULL;
    bool good = text != NULL;
    *token = 0;
    if (good && request_is_new(text)) {
        good = store_ask("Token, as the holder's screen shows it", false, NULL, line, sizeof line);
        if (good && !token_read(line, token)) {
            good = false;
            (void)fail("a token has six groups of four letters and digits");
        }
    }
    if (good && request_open(a, text, token, p->now_ns, h, why)) {
        (void)fail(why);
        good = false;
    }
    good = good && (!*token || store_use_token(dir, token));
    free(text);
    return good;
}

int pki_sign(const struct pki *p)
{
    const char *dir = p->arguments[0], *name;
    char out_dir[STORE_PATH], token[TOKEN_TEXT] = "", *certificate = NULL, *answer = NULL;
    struct authority a = {0};
    struct store_index index = {0};
    struct holder h = {0};
    bool good = open_root(p, dir, &a) && store_index_read(dir, &index) &&
                open_request(p, &a, dir, p->arguments[1], &h, token);
    if (good && h.renews && is_revoked(&index, h.old_serial)) {
        (void)fail("the certificate to be renewed was revoked: if its holder is to be trusted "
                   "again, let it enrol anew");
        good = false;
    }
    char *root = good && issue(p, &a, dir, &h, &index, &certificate)
                     ? store_read(dir, "root.crt", false)
                     : NULL;
    char *crl = root ? store_read(dir, "root.crl", false) : NULL;
    good = crl && !answer_make(certificate, root, crl, h.renews ? NULL : token, &answer) &&
           split(p->arguments[2], out_dir, &name) && store_write(out_dir, name, answer, 0644);
    char line[256];
    snprintf(line, sizeof line, "signed for the %s '%s'; take the answer to it: isthmus pki accept",
             good ? holder_kind_name(h.kind) : "", h.name);
    int status = good ? pki_tell(p, line,
                                 (const char *[]){"name", h.name, "kind", holder_kind_name(h.kind),
                                                  "answer", p->arguments[2], NULL})
                      : CLI_FAILED;
    authority_close(&a);
    holder_fini(&h);
    free(certificate);
    free(root);
    free(crl);
    free(answer);
    free(index.list);
    return status;
}

int pki_revoke(const struct pki *p)
{
    const char *dir = p->arguments[0], *what = p->arguments[1];
    struct authority a = {0};
    struct store_index index = {0};
    size_t count = 0;
    bool good = open_root(p, dir, &a) && store_index_read(dir, &index);
    for (size_t i = 0; good && i < index.count; i++) {
        struct store_entry *e = index.list + i;
        if ((!strcmp(e->name, what) || !strcasecmp(e->serial, what)) && !e->revoked_s) {
            e->revoked_s = p->now_ns / PKI_NS;
            count++;
        }
    }
    if (good && !count) {
        (void)fail("no certificate with this name or serial number is good: isthmus pki list ROOT "
                   "shows them");
        good = false;
    }
    good = good && store_index_write(dir, &index) && write_crl(p, &a, dir, &index, NULL);
    authority_close(&a);
    free(index.list);
    return good ? pki_tell(
                      p,
                      "revoked; take root.crl to the gateways: isthmus pki accept FOLDER root.crl",
                      (const char *[]){"revoked", what, NULL})
                : CLI_FAILED;
}

int pki_crl(const struct pki *p)
{
    const char *dir = p->arguments[0];
    struct authority a = {0};
    struct store_index index = {0};
    bool good = open_root(p, dir, &a) && store_index_read(dir, &index) &&
                write_crl(p, &a, dir, &index, NULL);
    authority_close(&a);
    free(index.list);
    return good
               ? pki_tell(
                     p,
                     "root.crl is new; take it to the gateways: isthmus pki accept FOLDER root.crl",
                     (const char *[]){"root", dir, NULL})
               : CLI_FAILED;
}
