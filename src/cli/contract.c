/* SPDX-License-Identifier: Apache-2.0 */
/* `isthmus contract`: keys, signatures and terms of data contracts, in a configuration folder: no gateway has to run. */
#include "cli/contract.h"

#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "usage: isthmus contract keygen FILE --name NAME --as owner|custodian [--throw-away] [--json]\n"
    "       isthmus contract sign DIR NAME --key FILE --as owner|custodian [--json]\n"
    "       isthmus contract show DIR NAME [--json]\n"
    "       isthmus contract diff DIR NAME [--json]\n"
    "       isthmus contract report [NAME] [--json] [--socket PATH]\n\n"
    "A contract says which tags leave the plant, to whom, how fresh, how complete, for what use, "
    "and\n"
    "what comes back. It takes effect when its OT owner and its IT custodian have both signed its\n"
    "present terms, and not before: docs/contracts.md.\n\n"
    "  keygen  makes a secret key in FILE, and prints the line for keys: in the configuration\n"
    "  sign    signs the terms that NAME has in the folder DIR now\n"
    "  show    the terms as OT and as IT read them, and who has signed\n"
    "  diff    what has changed since they were signed\n"
    "  report  what was promised and delivered, as the running gateway tells it\n\n"
    "  --name NAME   who signs with this key, as the contract names its owner or custodian\n"
    "  --as SIDE     owner (OT) or custodian (IT)\n"
    "  --throw-away  a key for trying out: refused when a service reaches beyond this machine\n"
    "  --key FILE    the secret key\n"
    "  --json        JSON instead of texts\n"
    "  --socket PATH the gateway's socket (default: as for isthmus status)\n\n"
    "exit status: 0 done (diff: nothing has changed), 1 something changed or it did not work out,\n"
    "2 wrong usage, 3 no gateway answers\n";

struct run {
    struct cli_contract c;
    const char *verb, *arguments[2], *key, *person, *side;
    int argument_count, role;
    bool throw_away;
};

static void hex(const uint8_t *bytes, size_t size, char *out)
{
    for (size_t i = 0; i < size; i++) {
        sprintf(out + 2 * i, "%02x", bytes[i]);
    }
}

static void print_json(struct json *j)
{
    json_close(j, '}');
    json_newline(j);
    fwrite(j->text, 1, j->size, stdout);
    json_fini(j);
}

/* ---- keygen ---- */

static int keygen(const struct run *r)
{
    const char *path = r->arguments[0];
    uint8_t secret[ED25519_KEY_SIZE], public_key[ED25519_KEY_SIZE];
    char why[4300] = "", text[2 * ED25519_KEY_SIZE + 1], id[SIGNATURE_KEY_ID];
    int err = ed25519_make(path, r->throw_away);
    if (err) {
        fprintf(stderr, "isthmus contract: can't make the key %s: %s\n", path, err_text(err));
        return CLI_FAILED;
    }
    err = ed25519_read(path, secret, NULL, why, sizeof why);
    bool good = !err && ed25519_public(secret, public_key) && signature_key_id(public_key, id);
    explicit_bzero(secret, sizeof secret);
    if (!good) {
        fprintf(stderr, "isthmus contract: %s\n", *why ? why : "the key can't be used");
        return CLI_FAILED;
    }
    hex(public_key, sizeof public_key, text);
    struct json j;
    json_init(&j, 0);
    json_open(&j, '{');
    json_pair_text(&j, "name", r->person);
    json_pair_text(&j, "role", r->side);
    json_pair_text(&j, "public", text);
    if (r->throw_away) {
        json_pair_bool(&j, "throw_away", true);
    }
    if (r->c.json) {
        json_pair_text(&j, "file", path);
        json_pair_text(&j, "key", id);
        print_json(&j);
        return CLI_OK;
    }
    json_close(&j, '}'); /* JSON is YAML too */
    fprintf(stderr,
            "The secret key is in %s: keep it, and show it to nobody. Add this to the "
            "configuration:\n",
            path);
    printf("keys:\n  - %.*s\n", (int)j.size, j.text);
    json_fini(&j);
    return CLI_OK;
}

/* ---- sign ---- */

static char *read_all(const char *path, size_t *size)
{
    struct stat st;
    FILE *f = fopen(path, "re");
    char *data = f && !fstat(fileno(f), &st) && st.st_size > 0 && st.st_size < 2 * (off_t)TERMS_MAX
                     ? malloc((size_t)st.st_size)
                     : NULL;
    *size = data ? fread(data, 1, (size_t)st.st_size, f) : 0;
    if (f) {
        fclose(f);
    }
    return data;
}

static void signature_path(const struct cli_contract *c, enum signature_role role,
                           const char *ending, char out[4300])
{
    snprintf(out, 4300, "%s/signatures/%s.%s%s", c->dir, c->name, signature_roles[role], ending);
}

char *cli_signature(const struct cli_contract *c, enum signature_role role, struct signature *s)
{
    char path[4300];
    size_t size;
    signature_path(c, role, ".sig", path);
    char *data = read_all(path, &size);
    if (data && signature_read(s, data, size)) {
        free(data);
        data = NULL;
    }
    return data;
}

static bool write_whole(const char *path, const char *text, size_t size)
{
    char part[4400];
    snprintf(part, sizeof part, "%s.part", path);
    FILE *f = fopen(part, "we");
    bool good = f && fwrite(text, 1, size, f) == size && !fflush(f) && !fsync(fileno(f));
    good = (!f || !fclose(f)) && good;
    if (!good || rename(part, path)) {
        fprintf(stderr, "isthmus contract: can't write %s: %s\n", path, strerror(errno));
        unlink(part);
        return false;
    }
    return true;
}

/* What was signed before, under other terms, goes on for all that it covers until both have signed these. */
static bool keep_former(const struct cli_contract *c, enum signature_role role)
{
    struct signature old;
    char path[4300], former[4300];
    char *data = cli_signature(c, role, &old);
    bool other = data && memcmp(old.digest, c->contract->digest, sizeof old.digest) != 0;
    free(data);
    signature_path(c, role, ".sig", path);
    signature_path(c, role, ".former.sig", former);
    if (other && rename(path, former)) {
        fprintf(stderr, "isthmus contract: can't keep %s: %s\n", former, strerror(errno));
        return false;
    }
    return true;
}

static const struct config_key *find_key(const struct run *r, const uint8_t public_key[32])
{
    const struct config_result *config = &r->c.config;
    for (size_t i = 0; i < config->keys; i++) {
        if (!memcmp(config->key[i].public_key, public_key, ED25519_KEY_SIZE)) {
            return config->key + i;
        }
    }
    return NULL;
}

/* Whether this key is that of the contract's owner or custodian; says so if not. */
static const struct config_key *check_signer(const struct run *r, const uint8_t public_key[32])
{
    const char *wanted =
        plan_text(&r->c.plan, r->role == SIGNATURE_OWNER ? r->c.feed->owner : r->c.feed->custodian);
    const struct config_key *key = find_key(r, public_key);
    char text[2 * ED25519_KEY_SIZE + 1];
    hex(public_key, ED25519_KEY_SIZE, text);
    if (!*wanted) {
        fprintf(stderr, "isthmus contract: the contract names no %s; add %s: NAME to it\n", r->side,
                r->side);
        return NULL;
    }
    if (!key) {
        fprintf(stderr,
                "isthmus contract: nobody has this key; add it to the configuration:\n"
                "keys:\n  - {name: \"%s\", role: %s, public: \"%s\"}\n",
                wanted, r->side, text);
        return NULL;
    }
    if (key->role != r->role || strcmp(key->name, wanted) != 0) {
        fprintf(stderr,
                "isthmus contract: this key is of the %s '%s', but the contract's %s is '%s'\n",
                signature_roles[key->role], key->name, r->side, wanted);
        return NULL;
    }
    return key;
}

static int tell_signed(struct run *r, const struct signature *s)
{
    char digest[65];
    hex(s->digest, sizeof s->digest, digest);
    struct config_result again;
    struct plan plan;
    const char *missing = "";
    if (!config_load(r->c.dir, 0, &again)) {
        if (again.image && !plan_open(&plan, again.image, again.image_size)) {
            const struct plan_feed *f = plan.feeds + (r->c.feed - r->c.plan.feeds);
            missing = plan_text(&plan, f->missing);
        }
        if (r->c.json) {
            struct json j;
            json_init(&j, 0);
            json_open(&j, '{');
            json_pair_text(&j, "contract", r->c.name);
            json_pair_text(&j, "as", r->side);
            json_pair_text(&j, "by", s->by);
            json_pair_text(&j, "key", s->key);
            json_pair_text(&j, "digest", digest);
            json_pair_bool(&j, "throw_away", s->throw_away);
            json_pair_bool(&j, "in_effect", !*missing);
            print_json(&j);
        } else {
            printf("%s has signed %s as its %s%s.\n%s\n", s->by, r->c.name, r->side,
                   s->throw_away ? ", with a throw-away key" : "",
                   *missing
                       ? missing
                       : "Both sides have signed: it takes effect when the gateway starts next.");
        }
        config_free(&again);
    }
    return CLI_OK;
}

static int sign(struct run *r)
{
    uint8_t secret[ED25519_KEY_SIZE], public_key[ED25519_KEY_SIZE];
    char why[4300] = "", path[4300], *text = NULL;
    size_t size;
    bool throw_away = false;
    int err = ed25519_read(r->key, secret, &throw_away, why, sizeof why);
    if (err) {
        fprintf(stderr, "isthmus contract: %s: %s\n", why, err_text(err));
        return CLI_FAILED;
    }
    const struct config_key *key =
        ed25519_public(secret, public_key) ? check_signer(r, public_key) : NULL;
    struct signature s = {.role = (enum signature_role)r->role,
                          .at_ns = clock_utc_ns() / NS_PER_S * NS_PER_S,
                          .terms = {r->c.contract->terms, r->c.contract->terms_size}};
    if (key) {
        snprintf(s.contract, sizeof s.contract, "%s", r->c.name);
        snprintf(s.by, sizeof s.by, "%s", key->name);
        s.throw_away = throw_away || key->throw_away;
        err = signature_write(&s, secret, &text, &size);
    }
    explicit_bzero(secret, sizeof secret);
    snprintf(path, sizeof path, "%s/signatures", r->c.dir);
    if (key && !err && mkdir(path, 0755) && errno != EEXIST) {
        fprintf(stderr, "isthmus contract: can't make %s: %s\n", path, strerror(errno));
        err = ERR_IO;
    }
    signature_path(&r->c, s.role, ".sig", path);
    bool good = key && !err && keep_former(&r->c, s.role) && write_whole(path, text, size);
    free(text);
    return good ? tell_signed(r, &s) : CLI_FAILED;
}

/* ---- All of them. ---- */

static int open_folder(struct cli_contract *c)
{
    int err = config_load(c->dir, 0, &c->config);
    if (err) {
        cli_print_unreadable("contract", c->dir, err);
        return CLI_FAILED;
    }
    if (!c->config.image || plan_open(&c->plan, c->config.image, c->config.image_size)) {
        cli_print_problems(stderr, c->dir, &c->config);
        return CLI_FAILED;
    }
    for (size_t i = 0; i < c->config.contracts; i++) {
        if (!strcmp(c->config.contract[i].name, c->name)) {
            c->contract = c->config.contract + i;
            c->feed = c->plan.feeds + i; /* each contract has its feed */
            return CLI_OK;
        }
    }
    fprintf(stderr, "isthmus contract: %s has no contract '%s'; it has:", c->dir, c->name);
    for (size_t i = 0; i < c->config.contracts; i++) {
        fprintf(stderr, " %s", c->config.contract[i].name);
    }
    fputs(c->config.contracts ? "\n" : " none\n", stderr);
    return CLI_FAILED;
}

static bool take_option(struct run *r, const char *name, const char *value)
{
    const char **text = !strcmp(name, "--key")    ? &r->key
                        : !strcmp(name, "--name") ? &r->person
                        : !strcmp(name, "--as")   ? &r->side
                                                  : NULL;
    if (text && value) {
        *text = value;
    }
    return text && value;
}

static bool parse(struct run *r, int argc, char **argv)
{
    r->role = -1;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json")) {
            r->c.json = true;
        } else if (!strcmp(argv[i], "--throw-away")) {
            r->throw_away = true;
        } else if (argv[i][0] == '-') {
            if (!take_option(r, argv[i], i + 1 < argc ? argv[i + 1] : NULL)) {
                return false;
            }
            i++;
        } else if (!r->verb) {
            r->verb = argv[i];
        } else if (r->argument_count < 2) {
            r->arguments[r->argument_count++] = argv[i];
        } else {
            return false;
        }
    }
    for (int i = 0; r->side && i < SIGNATURE_ROLES; i++) {
        r->role = !strcmp(r->side, signature_roles[i]) ? i : r->role;
    }
    if (!r->verb || (r->side && r->role < 0)) {
        return false;
    }
    bool makes = !strcmp(r->verb, "keygen"), signs = !strcmp(r->verb, "sign");
    bool shows = !strcmp(r->verb, "show") || !strcmp(r->verb, "diff");
    return makes   ? r->argument_count == 1 && r->person && r->side && !r->key
           : signs ? r->argument_count == 2 && r->key && r->side && !r->person && !r->throw_away
                   : shows && r->argument_count == 2 && !r->key && !r->side && !r->person &&
                         !r->throw_away;
}

int cli_contract(int argc, char **argv)
{
    struct run r = {0};
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(usage, stdout);
            return CLI_OK;
        }
    }
    if (argc > 1 && !strcmp(argv[1], "report")) {
        return cli_client(argc, argv);
    }
    if (!parse(&r, argc, argv)) {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    if (!strcmp(r.verb, "keygen")) {
        return keygen(&r);
    }
    r.c.dir = r.arguments[0];
    r.c.name = r.arguments[1];
    int status = open_folder(&r.c);
    if (status == CLI_OK) {
        status = !strcmp(r.verb, "sign")   ? sign(&r)
                 : !strcmp(r.verb, "show") ? cli_contract_show(&r.c)
                                           : cli_contract_diff(&r.c);
    }
    config_free(&r.c.config);
    return status;
}
