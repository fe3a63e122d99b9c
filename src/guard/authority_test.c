/* SPDX-License-Identifier: Apache-2.0 */
/* The plant's own authority: what it signs, and that nothing that was changed on its way is signed or accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guard/authority.h"
#include "guard/authority_pem.h"

#define DAY_NS     (INT64_C(86400) * 1000000000)
#define PASSPHRASE "correct horse battery"

static int64_t now_ns = INT64_C(1795449600) * 1000000000; /* 2026-11-23 */

struct house {
    struct authority a;
    char *root;
    char *crl;
    char token[TOKEN_TEXT];
    EVP_PKEY *key; /* of the gateway */
    char *request, *certificate;
};

static char why[AUTHORITY_WHY];

static void sign(struct house *h, const struct holder *holder)
{
    struct issued issued;
    free(h->certificate);
    assert_int_equal(authority_issue(&h->a, holder, 10, now_ns, &h->certificate, &issued, why), 0);
}

static int setup(void **state)
{
    struct house *h = calloc(1, sizeof *h);
    struct holder gateway = {
        .kind = HOLDER_GATEWAY, .name = "press-7", .names = "gw.test,127.0.0.1,::1"};
    struct holder asked;
    char *key = NULL, *pem = NULL;
    assert_non_null(h);
    assert_int_equal(authority_make("Works", 100, now_ns, PASSPHRASE, &key, &h->root, why), 0);
    assert_non_null(strstr(key, "ENCRYPTED"));
    assert_int_equal(authority_open(&h->a, key, h->root, "another horse", why), ERR_REFUSED);
    assert_int_equal(authority_open(&h->a, key, h->root, PASSPHRASE, why), 0);
    assert_int_equal(authority_revoke(&h->a, NULL, 0, 5, now_ns, &h->crl, why), 0);
    assert_int_equal(holder_key_make(&h->key, &pem), 0);
    gateway.key = h->key;
    token_make(h->token);
    assert_int_equal(request_make(&gateway, h->token, &h->request, why), 0);
    assert_int_equal(request_open(&h->a, h->request, h->token, now_ns, &asked, why), 0);
    assert_int_equal(asked.kind, HOLDER_GATEWAY);
    assert_string_equal(asked.name, "press-7");
    assert_string_equal(asked.names, "gw.test,127.0.0.1,0000:0000:0000:0000:0000:0000:0000:0001");
    sign(h, &asked);
    holder_fini(&asked);
    pem_wipe(key);
    pem_wipe(pem);
    *state = h;
    return 0;
}

static int teardown(void **state)
{
    struct house *h = *state;
    authority_close(&h->a);
    EVP_PKEY_free(h->key);
    free(h->root);
    free(h->crl);
    free(h->request);
    free(h->certificate);
    free(h);
    return 0;
}

static void a_certificate_is_what_it_should_be(void **state)
{
    struct house *h = *state;
    struct certificate_facts f;
    struct certificate_pair pair;
    char *key = pem_of_key(h->key, NULL);
    assert_int_equal(certificate_read(h->certificate, &f), 0);
    assert_string_equal(f.name, "press-7");
    assert_string_equal(f.kind, "gateway");
    assert_string_equal(f.issuer, "Works");
    assert_false(f.is_authority);
    assert_int_equal(f.ends_ns - now_ns, 10 * DAY_NS);
    assert_int_equal(strlen(f.serial), 32);
    assert_int_equal(certificate_read(h->root, &f), 0);
    assert_true(f.is_authority);
    assert_int_equal(certificate_pair_read(h->certificate, strlen(h->certificate), key, strlen(key),
                                           &pair, why, sizeof why),
                     0);
    static const struct {
        const char *names;
        int days;
        const char *text; /* NULL: it serves */
    } cases[] = {
        {"", 0, NULL},
        {"gw.test, 127.0.0.1 ::1", 0, NULL},
        {"gw.test", 9, NULL},
        {"gw.test", 10, "has expired: renew it"},
        {"gw.test", -1, "not valid yet: check the clocks"},
        {"gw.test, other.test", 0, "does not hold the name other.test"},
        {"127.0.0.2", 0, "does not hold the name 127.0.0.2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool good = certificate_serves(pair.leaf, cases[i].names, now_ns + cases[i].days * DAY_NS,
                                       why, sizeof why);
        assert_int_equal(good, !cases[i].text);
        assert_true(good || strstr(why, cases[i].text));
    }
    struct holder user = {.kind = HOLDER_USER, .name = "ada", .key = h->key};
    sign(h, &user);
    certificate_pair_free(&pair);
    assert_int_equal(certificate_pair_read(h->certificate, strlen(h->certificate), key, strlen(key),
                                           &pair, why, sizeof why),
                     0);
    assert_false(certificate_serves(pair.leaf, "", now_ns, why, sizeof why));
    assert_non_null(strstr(why, "issued for another use"));
    certificate_pair_free(&pair);
    pem_wipe(key);
}

static void what_can_not_be_signed_is_told(void **state)
{
    struct house *h = *state;
    struct issued issued;
    char *certificate;
    static const struct {
        struct holder holder;
        int days, err;
    } wrong[] = {
        {{.kind = HOLDER_GATEWAY, .name = "gw"}, 10, ERR_MALFORMED}, /* without names */
        {{.kind = HOLDER_USER, .name = "a b"}, 10, ERR_MALFORMED},
        {{.kind = HOLDER_USER, .name = ""}, 10, ERR_MALFORMED},
        {{.kind = HOLDER_SERVICE, .name = "s", .names = "x.test,DNS:y"}, 10, ERR_MALFORMED},
        {{.kind = HOLDER_SERVICE, .name = "s", .names = "*.test"}, 10, ERR_MALFORMED},
        {{.kind = 9, .name = "s"}, 10, ERR_MALFORMED},
        {{.kind = HOLDER_USER, .name = "ada"}, 101, ERR_RANGE}, /* longer than the root */
        {{.kind = HOLDER_USER, .name = "ada"}, 0, ERR_RANGE},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct holder holder = wrong[i].holder;
        holder.key = h->key;
        assert_int_equal(
            authority_issue(&h->a, &holder, wrong[i].days, now_ns, &certificate, &issued, why),
            wrong[i].err);
        assert_null(certificate);
        assert_true(strlen(why) > 10);
    }
}

static void a_token_reads_as_it_is_written(void **state)
{
    struct house *h = *state;
    char token[TOKEN_TEXT], lower[TOKEN_TEXT + 2] = " ";
    for (size_t i = 0; i < TOKEN_TEXT; i++) {
        char c = h->token[i];
        lower[i + 1] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c == '-' ? ' ' : c);
    }
    assert_true(token_read(lower, token));
    assert_string_equal(token, h->token);
    assert_false(token_read("", token));
    assert_false(token_read("AAAA-AAAA-AAAA-AAAA-AAAA-AAA", token));
    assert_false(token_read("AAAA-AAAA-AAAA-AAAA-AAAA-AAAAA", token));
    assert_false(token_read("AAAA-AAAA-AAAA-AAAA-AAAA-AAA1", token));
}

/* A request or answer that was changed in any byte, or cut, is refused or means the same: line ends may change on the way. */
static void request_means_the_same(struct house *h, const char *text)
{
    struct holder asked;
    if (!request_open(&h->a, text, h->token, now_ns, &asked, why)) {
        assert_int_equal(asked.kind, HOLDER_GATEWAY);
        assert_string_equal(asked.name, "press-7");
        assert_int_equal(EVP_PKEY_eq(asked.key, h->key), 1);
        holder_fini(&asked);
    }
}

static void no_changed_request_is_signed(void **state)
{
    struct house *h = *state;
    struct holder asked;
    size_t size = strlen(h->request);
    char *copy = malloc(size + 1), other[TOKEN_TEXT];
    assert_non_null(copy);
    for (size_t i = 0; i < size; i++) {
        memcpy(copy, h->request, size + 1);
        copy[i] ^= 1;
        request_means_the_same(h, copy);
        memcpy(copy, h->request, i);
        copy[i] = 0;
        request_means_the_same(h, copy);
    }
    token_make(other);
    assert_int_equal(request_open(&h->a, h->request, other, now_ns, &asked, why), ERR_REFUSED);
    assert_non_null(strstr(why, "token"));
    free(copy);
}

static void a_renewal_is_proven_by_the_old_key(void **state)
{
    struct house *h = *state;
    struct holder asked;
    struct certificate_facts f;
    EVP_PKEY *fresh, *stranger;
    char *a, *b, *renewal, *forged;
    assert_int_equal(holder_key_make(&fresh, &a), 0);
    assert_int_equal(holder_key_make(&stranger, &b), 0);
    assert_int_equal(certificate_read(h->certificate, &f), 0);
    assert_int_equal(request_make_renewal(fresh, h->certificate, h->key, &renewal, why), 0);
    assert_false(request_is_new(renewal));
    assert_int_equal(request_open(&h->a, renewal, NULL, now_ns, &asked, why), 0);
    assert_true(asked.renews);
    assert_string_equal(asked.old_serial, f.serial);
    assert_int_equal(EVP_PKEY_eq(asked.key, fresh), 1);
    holder_fini(&asked);
    assert_int_equal(request_open(&h->a, renewal, NULL, now_ns + 10 * DAY_NS, &asked, why),
                     ERR_REFUSED);
    assert_non_null(strstr(why, "expired"));
    assert_int_equal(request_make_renewal(fresh, h->certificate, stranger, &forged, why), 0);
    assert_int_equal(request_open(&h->a, forged, NULL, now_ns, &asked, why), ERR_REFUSED);
    for (size_t i = 0; i < strlen(renewal); i++) {
        char before = renewal[i];
        renewal[i] ^= 1;
        if (!request_open(&h->a, renewal, NULL, now_ns, &asked, why)) {
            assert_int_equal(EVP_PKEY_eq(asked.key, fresh), 1);
            holder_fini(&asked);
        }
        renewal[i] = before;
    }
    EVP_PKEY_free(fresh);
    EVP_PKEY_free(stranger);
    free(a);
    free(b);
    free(renewal);
    free(forged);
}

static void no_changed_answer_is_accepted(void **state)
{
    struct house *h = *state;
    struct answer_parts parts;
    char *answer, *plain;
    assert_int_equal(answer_make(h->certificate, h->root, h->crl, h->token, &answer), 0);
    assert_int_equal(answer_make(h->certificate, h->root, h->crl, NULL, &plain), 0);
    assert_int_equal(answer_open(answer, h->token, NULL, h->key, now_ns, &parts, why), 0);
    assert_string_equal(parts.certificate, h->certificate);
    assert_string_equal(parts.root, h->root);
    assert_string_equal(parts.crl, h->crl);
    answer_fini(&parts);
    assert_int_equal(answer_open(plain, NULL, h->root, h->key, now_ns, &parts, why), 0);
    answer_fini(&parts);
    assert_int_equal(answer_open(plain, h->token, NULL, h->key, now_ns, &parts, why), ERR_REFUSED);
    assert_int_equal(answer_open(plain, NULL, h->certificate, h->key, now_ns, &parts, why),
                     ERR_REFUSED);
    assert_non_null(strstr(why, "another root"));
    assert_int_equal(answer_open(answer, h->token, NULL, h->a.key, now_ns, &parts, why),
                     ERR_REFUSED);
    assert_non_null(strstr(why, "another request"));
    assert_int_equal(answer_open(answer, h->token, NULL, h->key, now_ns + 10 * DAY_NS, &parts, why),
                     ERR_REFUSED);
    for (size_t i = 0, size = strlen(answer); i < size; i++) {
        char before = answer[i];
        answer[i] ^= 1;
        if (!answer_open(answer, h->token, NULL, h->key, now_ns, &parts, why)) {
            assert_string_equal(parts.root, h->root);
            assert_string_equal(parts.certificate, h->certificate);
            answer_fini(&parts);
        }
        answer[i] = before;
    }
    free(answer);
    free(plain);
}

static int judge(struct house *h, const char *crl)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *c = X509_STORE_CTX_new();
    X509 *leaf = pem_to_certificate(h->certificate);
    X509_CRL *list = pem_to_crl(crl);
    assert_true(X509_STORE_add_cert(store, h->a.root) && X509_STORE_add_crl(store, list));
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    assert_int_equal(X509_STORE_CTX_init(c, store, leaf, NULL), 1);
    X509_STORE_CTX_set_time(c, 0, (time_t)(now_ns / 1000000000));
    int error = X509_verify_cert(c) == 1 ? 0 : X509_STORE_CTX_get_error(c);
    X509_CRL_free(list);
    X509_free(leaf);
    X509_STORE_CTX_free(c);
    X509_STORE_free(store);
    return error;
}

static void a_revoked_certificate_is_known(void **state)
{
    struct house *h = *state;
    struct certificate_facts f;
    char *crl;
    int64_t begins, ends;
    assert_int_equal(certificate_read(h->certificate, &f), 0);
    assert_int_equal(judge(h, h->crl), X509_V_OK);
    struct revoked list[] = {{f.serial, now_ns}, {"0102", now_ns}};
    assert_int_equal(authority_revoke(&h->a, list, 2, 5, now_ns, &crl, why), 0);
    assert_int_equal(judge(h, crl), X509_V_ERR_CERT_REVOKED);
    assert_non_null(strstr(certificate_explain(X509_V_ERR_CERT_REVOKED), "revoked"));
    assert_int_equal(crl_read(crl, &begins, &ends), 0);
    assert_int_equal(ends - now_ns, 5 * DAY_NS);
    assert_int_equal(crl_prove(crl, h->root, why), 0);
    assert_int_equal(crl_prove(crl, h->certificate, why), ERR_REFUSED);
    free(crl);
    assert_int_equal(authority_revoke(&h->a, list, 1, 1, now_ns - 5 * DAY_NS, &crl, why), 0);
    assert_int_equal(judge(h, crl), X509_V_ERR_CRL_HAS_EXPIRED);
    free(crl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_certificate_is_what_it_should_be, setup, teardown),
        cmocka_unit_test_setup_teardown(what_can_not_be_signed_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_token_reads_as_it_is_written, setup, teardown),
        cmocka_unit_test_setup_teardown(no_changed_request_is_signed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_renewal_is_proven_by_the_old_key, setup, teardown),
        cmocka_unit_test_setup_teardown(no_changed_answer_is_accepted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_revoked_certificate_is_known, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
