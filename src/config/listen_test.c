/* SPDX-License-Identifier: Apache-2.0 */
/* Every combination of what decides where and how a service may listen, against a table that says which of them is refused, why
 * and what is proposed. A combination that no line of the table names is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "box/box.h"
#include "box/service.h"
#include "config/config.h"

static const struct isthmus_option options[] = {
    {"listen", ISTHMUS_OPTION_BIND, "127.0.0.1:1", 0, 0, NULL, ""},
    {"access", ISTHMUS_OPTION_CHOICE, "open", 0, 0, "open|signed_in", ""},
    {"tls", ISTHMUS_OPTION_BOOL, "false", 0, 0, NULL, ""},
    {"cert", ISTHMUS_OPTION_FILE, "", 0, 0, NULL, ""},
    {"key", ISTHMUS_OPTION_FILE, "", 0, 0, NULL, ""},
    {"names", ISTHMUS_OPTION_TEXT, "", 0, 0, NULL, ""},
    {"client_certs", ISTHMUS_OPTION_CHOICE, "none", 0, 0, "none|optional|required", ""},
    {"client_ca", ISTHMUS_OPTION_FILE, "", 0, 0, NULL, ""},
    {"crl", ISTHMUS_OPTION_FILE, "", 0, 0, NULL, ""},
    {0}};
static const struct service service = {.options = options};

const struct isthmus_driver *module_driver(const char *name, char *why, size_t why_size)
{
    (void)name;
    snprintf(why, why_size, "there are no drivers");
    return NULL;
}

const struct service *module_service(const char *name, char *why, size_t why_size)
{
    (void)name;
    (void)why;
    (void)why_size;
    return &service;
}

/* ---- A certificate for gw.test, and keys in every state. ---- */

static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put_key(const char *name, EVP_PKEY *key, const char *passphrase, mode_t mode)
{
    FILE *f = fopen(in_folder(name), "we");
    assert_non_null(f);
    assert_int_equal(PEM_write_PKCS8PrivateKey(f, key, passphrase ? EVP_aes_256_cbc() : NULL,
                                               passphrase, passphrase ? (int)strlen(passphrase) : 0,
                                               NULL, NULL),
                     1);
    assert_int_equal(fchmod(fileno(f), mode), 0);
    fclose(f);
}

static void put_certificate(EVP_PKEY *key)
{
    X509 *c = X509_new();
    assert_non_null(c);
    X509_NAME *name = X509_get_subject_name(c);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"gw", -1, -1, 0);
    X509_set_issuer_name(c, name);
    X509_set_version(c, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(c), -60);
    X509_gmtime_adj(X509_getm_notAfter(c), 3600);
    X509_set_pubkey(c, key);
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:gw.test");
    assert_int_equal(X509_add_ext(c, names, -1), 1);
    assert_true(X509_sign(c, key, EVP_sha256()) > 0);
    FILE *f = fopen(in_folder("gw.crt"), "we");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, c), 1);
    fclose(f);
    X509_EXTENSION_free(names);
    X509_free(c);
}

enum key_state { GOOD, MISSING, LOOSE, FOREIGN, LOCKED, KEY_STATES };
static const char *const key_files[] = {"good.key", "missing.key", "loose.key", "foreign.key",
                                        "locked.key"};

static int setup(void **state)
{
    (void)state;
    unsetenv("ISTHMUS_STATE");
    unsetenv("STATE_DIRECTORY");
    snprintf(folder, sizeof folder, "/tmp/listen_test.XXXXXX");
    EVP_PKEY *own = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
    if (!mkdtemp(folder) || !own || !other) {
        return -1;
    }
    put_certificate(own);
    put_key(key_files[GOOD], own, NULL, 0600);
    put_key(key_files[LOOSE], own, NULL, 0640);
    put_key(key_files[FOREIGN], other, NULL, 0600);
    put_key(key_files[LOCKED], own, "a passphrase", 0600);
    EVP_PKEY_free(own);
    EVP_PKEY_free(other);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

/* ---- The table ---- */

struct choice {
    int listen, tls, access, cert, key, client_certs, client_ca, names, zone;
    enum key_state key_state;
};
enum { LOOPBACK, BEYOND, EVERYWHERE, LISTENS };
enum { ABSENT, FIRST, SECOND, THIRD };

static const char *const listens[] = {"127.0.0.1:1", "10.0.0.1:1", "0.0.0.0:1"};
static const char *const tlses[] = {NULL, "true", "false"};
static const char *const accesses[] = {NULL, "open", "signed_in"};
static const char *const client_certses[] = {NULL, "none", "optional", "required"};
static const char *const nameses[] = {NULL, "gw.test", "gw.test, other.test"};

static bool beyond(const struct choice *c)
{
    return c->listen != LOOPBACK;
}

static bool secure(const struct choice *c)
{
    return c->tls == FIRST;
}

static bool asks(const struct choice *c)
{
    return c->client_certs >= SECOND;
}

static bool half(const struct choice *c)
{
    return secure(c) && c->cert != c->key;
}

static bool unasked(const struct choice *c)
{
    return secure(c) && c->client_ca && !asks(c);
}

/* The files are looked at. */
static bool sound(const struct choice *c)
{
    return secure(c) && !half(c) && !unasked(c);
}

static bool with(const struct choice *c, enum key_state state)
{
    return sound(c) && c->key && c->key_state == state;
}

/* clang-format off */
#define RULE(name, condition) static bool name(const struct choice *c) { return condition; }
RULE(no_tls, beyond(c) && !secure(c))
RULE(no_sign_in, beyond(c) && c->access != SECOND)
RULE(no_zone, beyond(c) && !c->zone)
RULE(nameless, c->listen == EVERYWHERE && !c->names)
RULE(plain_cert, !secure(c) && c->cert)
RULE(plain_key, !secure(c) && c->key)
RULE(plain_ca, !secure(c) && c->client_ca)
RULE(plain_names, !secure(c) && c->names)
RULE(plain_asks, !secure(c) && c->client_certs)
RULE(no_key, half(c) && !c->key)
RULE(no_cert, half(c) && !c->cert)
RULE(own_missing, sound(c) && !c->key)
RULE(key_missing, with(c, MISSING))
RULE(key_loose, with(c, LOOSE))
RULE(key_foreign, with(c, FOREIGN))
RULE(key_locked, with(c, LOCKED))
RULE(wrong_name, with(c, GOOD) && c->names == SECOND)
RULE(no_authority, sound(c) && asks(c) && !c->client_ca)
/* clang-format on */

static const struct {
    bool (*refused)(const struct choice *c);
    const char *text, *proposal;
} table[] = {
    {no_tls, "needs TLS", "add tls: true, or listen on 127.0.0.1 or [::1]"},
    {no_sign_in, "without a sign-in", "add access: signed_in, or listen on 127.0.0.1 or [::1]"},
    {no_zone, "say which zone lies beyond it", "add zone:"},
    {nameless, "is every address", "add names:"},
    {plain_cert, "without TLS 'cert' means nothing", "add tls: true, or take cert away"},
    {plain_key, "without TLS 'key' means nothing", "add tls: true, or take key away"},
    {plain_ca, "without TLS 'client_ca'", "add tls: true, or take client_ca away"},
    {plain_names, "without TLS 'names'", "add tls: true, or take names away"},
    {plain_asks, "without TLS 'client_certs'", "add tls: true, or take client_certs away"},
    {no_key, "'key' is missing", "add key: FILE"},
    {no_cert, "'cert' is missing", "add cert: FILE"},
    {unasked, "nobody is asked for a certificate", "add client_certs: optional or required"},
    {own_missing, "pki/gateway.key': No such file", "isthmus pki enrol"},
    {key_missing, "missing.key': No such file", "isthmus pki enrol"},
    {key_loose, "others may use", "isthmus pki enrol"},
    {key_foreign, "belongs to another certificate", "gw.crt"},
    {key_locked, "has a passphrase", "gw.crt"},
    {wrong_name, "does not hold the name other.test", "gw.crt"},
    {no_authority, "pki/root.crt': No such file", "name the authority"},
};

static void put_option(FILE *f, const char *name, const char *value)
{
    if (value) {
        fprintf(f, ", %s: \"%s\"", name, value);
    }
}

static void write_down(const struct choice *c)
{
    FILE *f = fopen(in_folder("g.yaml"), "we");
    assert_non_null(f);
    fprintf(f, "gateway: {name: g}\nservices:\n  - {name: s, module: web, listen: \"%s\"",
            listens[c->listen]);
    put_option(f, "tls", tlses[c->tls]);
    put_option(f, "access", accesses[c->access]);
    put_option(f, "cert", c->cert ? "gw.crt" : NULL);
    put_option(f, "key", c->key ? key_files[c->key_state] : NULL);
    put_option(f, "client_certs", client_certses[c->client_certs]);
    put_option(f, "client_ca", c->client_ca ? "gw.crt" : NULL);
    put_option(f, "names", nameses[c->names]);
    put_option(f, "zone", c->zone ? "plant" : NULL);
    fputs("}\n", f);
    fclose(f);
}

static bool has(const struct config_result *r, const char *text, const char *proposal)
{
    for (size_t i = 0; i < r->problem_count; i++) {
        if (strstr(r->problems[i].text, text) && strstr(r->problems[i].proposal, proposal) &&
            r->problems[i].line == 3) {
            return true;
        }
    }
    return false;
}

static bool is_as_the_table_says(const struct choice *c)
{
    struct config_result r;
    size_t expected = 0;
    bool good = true;
    write_down(c);
    assert_int_equal(config_load(folder, 0, &r), 0);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        bool refused = table[i].refused(c);
        expected += refused;
        if (refused && !has(&r, table[i].text, table[i].proposal)) {
            print_error("not refused: %s\n", table[i].text);
            good = false;
        }
    }
    if (!good || r.error_count != expected || !r.image != (expected > 0)) {
        print_error(
            "%s tls %s access %s cert %d key %d state %d client %s ca %d names %s: %zu, not %zu\n",
            listens[c->listen], tlses[c->tls], accesses[c->access], c->cert, c->key,
            (int)c->key_state, client_certses[c->client_certs], c->client_ca, nameses[c->names],
            r.error_count, expected);
        for (size_t i = 0; i < r.problem_count; i++) {
            print_error("  %s (%s)\n", r.problems[i].text, r.problems[i].proposal);
        }
        good = false;
    }
    config_free(&r);
    return good;
}

static void every_combination_is_taken_or_refused(void **state)
{
    (void)state;
    const int bounds[] = {LISTENS, 3, 3, 2, 2, 4, 2, 3, 2, KEY_STATES};
    enum { DIGITS = sizeof bounds / sizeof *bounds };
    int at[DIGITS] = {0};
    size_t wrong = 0, count = 0;
    for (;;) {
        struct choice c = {at[0], at[1], at[2], at[3], at[4],
                           at[5], at[6], at[7], at[8], (enum key_state)at[9]};
        if (c.key || !c.key_state) { /* without a key it has no state */
            wrong += !is_as_the_table_says(&c);
            count++;
        }
        int digit = 0;
        while (digit < DIGITS && ++at[digit] == bounds[digit]) {
            at[digit++] = 0;
        }
        if (digit == DIGITS) {
            break;
        }
    }
    assert_int_equal(count, 3 * 3 * 3 * 2 * 4 * 2 * 3 * 2 * (KEY_STATES + 1));
    assert_int_equal(wrong, 0);
}

/* What is wrong with a file is no reason for a gateway not to run: its devices need no certificate. */
static void a_file_stops_no_gateway(void **state)
{
    (void)state;
    struct choice c = {.listen = BEYOND,
                       .tls = FIRST,
                       .access = SECOND,
                       .zone = 1,
                       .cert = 1,
                       .key = 1,
                       .key_state = LOOSE};
    struct config_result r;
    write_down(&c);
    assert_int_equal(config_load(folder, 1, &r), 0);
    assert_non_null(r.image);
    assert_int_equal(r.error_count, 0);
    assert_true(has(&r, "others may use", ""));
    config_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_combination_is_taken_or_refused),
        cmocka_unit_test(a_file_stops_no_gateway),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
