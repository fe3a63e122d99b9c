/* SPDX-License-Identifier: Apache-2.0 */
/* What there is, and until when: of a root by its index, of another folder by the certificates that lie in it. */
#include "cli/pki.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

#define SOON_DAYS 30
#define DAY_NS    (INT64_C(86400) * PKI_NS)

struct row {
    const char *file, *kind, *name, *serial, *fingerprint;
    int64_t begins_ns, ends_ns;
    bool revoked;
};

struct listing {
    const struct pki *p;
    struct json out;
    size_t count;
};

static const char *state_of(const struct row *r, int64_t now_ns, char text[64])
{
    int64_t days = (r->ends_ns - now_ns) / DAY_NS;
    if (r->revoked) {
        return "revoked";
    }
    if (now_ns < r->begins_ns) {
        return "not yet valid";
    }
    if (now_ns >= r->ends_ns) {
        return "expired";
    }
    snprintf(text, 64, "%s in %lld days", days < SOON_DAYS ? "ENDS" : "ends", (long long)days);
    return text;
}

static void show(struct listing *l, const struct row *r)
{
    char text[64], begins[CLOCK_TEXT_SIZE], ends[CLOCK_TEXT_SIZE];
    const char *state = state_of(r, l->p->now_ns, text);
    clock_text(r->begins_ns, begins);
    clock_text(r->ends_ns, ends);
    if (!l->p->json) {
        if (!l->count++) {
            printf("%-24s %-9s %-24s %-10s %-10s %s\n", "NAME", "KIND", "FILE OR SERIAL", "FROM",
                   "UNTIL", "STATE");
        }
        printf("%-24s %-9s %-24.24s %-10.10s %-10.10s %s\n", r->name, r->kind,
               r->file ? r->file : r->serial, begins, ends, state);
        return;
    }
    json_open(&l->out, '{');
    const struct {
        const char *key, *value;
    } pairs[] = {{"name", r->name},
                 {"kind", r->kind},
                 {"file", r->file},
                 {"serial", r->serial},
                 {"fingerprint", r->fingerprint}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (pairs[i].value && *pairs[i].value) {
            json_pair_text(&l->out, pairs[i].key, pairs[i].value);
        }
    }
    json_pair_time(&l->out, "begins", r->begins_ns);
    json_pair_time(&l->out, "ends", r->ends_ns);
    json_pair_bool(&l->out, "revoked", r->revoked);
    json_pair_text(&l->out, "state", state);
    json_close(&l->out, '}');
}

static bool list_root(struct listing *l, const char *dir)
{
    struct store_index index;
    if (!store_index_read(dir, &index)) {
        return false;
    }
    for (size_t i = 0; i < index.count; i++) {
        const struct store_entry *e = index.list + i;
        show(l, &(struct row){.kind = e->kind,
                              .name = e->name,
                              .serial = e->serial,
                              .fingerprint = e->fingerprint,
                              .begins_ns = e->begins_s * PKI_NS,
                              .ends_ns = e->ends_s * PKI_NS,
                              .revoked = e->revoked_s != 0});
    }
    free(index.list);
    return true;
}

static void show_file(struct listing *l, const char *dir, const char *name)
{
    struct certificate_facts f;
    struct row r = {.file = name};
    size_t n = strlen(name);
    bool certificate = n > 4 && !strcmp(name + n - 4, ".crt"),
         crl = n > 4 && !strcmp(name + n - 4, ".crl");
    char *text = certificate || crl ? store_read(dir, name, false) : NULL;
    if (text && certificate && !certificate_read(text, &f)) {
        r.name = f.name;
        r.kind = f.is_authority ? "root" : f.kind;
        r.serial = f.serial;
        r.fingerprint = f.fingerprint;
        r.begins_ns = f.begins_ns;
        r.ends_ns = f.ends_ns;
        show(l, &r);
    } else if (text && crl && !crl_read(text, &r.begins_ns, &r.ends_ns)) {
        r.name = "revoked certificates";
        r.kind = "list";
        show(l, &r);
    } else if (text) {
        fprintf(stderr, "isthmus pki: %s/%s can't be read\n", dir, name);
    }
    free(text);
}

static bool list_folder(struct listing *l, const char *dir)
{
    struct dirent **entries;
    int count = scandir(dir, &entries, NULL, alphasort);
    if (count < 0) {
        fprintf(stderr, "isthmus pki: can't read %s: %s\n", dir, strerror(errno));
        return false;
    }
    for (int i = 0; i < count; i++) {
        show_file(l, dir, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return true;
}

int pki_list(const struct pki *p)
{
    const char *dir = p->arguments[0];
    struct listing l = {.p = p};
    json_init(&l.out, 0);
    json_open(&l.out, '[');
    bool good = list_folder(&l, dir) && (!store_has(dir, "index") || list_root(&l, dir));
    json_close(&l.out, ']');
    json_newline(&l.out);
    if (p->json && good) {
        fwrite(l.out.text, 1, l.out.size, stdout);
    }
    json_fini(&l.out);
    return good ? CLI_OK : CLI_FAILED;
}
