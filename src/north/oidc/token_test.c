/* SPDX-License-Identifier: Apache-2.0 */
/* ID tokens: good ones of both kinds, cut short, with each letter wrong, with each claim wrong, and the known ways to make a
 * judge take what nobody has signed. Keys, and what a provider says of itself, likewise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "north/oidc/metadata.h"
#include "north/oidc/test_signer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1700000000)
#define GOOD                                                                                       \
    "\"iss\":\"https://login.example\",\"aud\":\"isthmus\",\"sub\":\"ada\",\"nonce\":\"n1\","      \
    "\"exp\":1700000060,\"iat\":1700000000,\"groups\":[\"a\",\"ops\"]"
#define ISSUER "https://login.example"
#define OFF_THE_CURVE                                                                              \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","     \
    "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}"

static struct signer rsa, ec;
static struct token_keys keys;

static const struct token_expected expected = {.issuer = ISSUER,
                                               .client_id = "isthmus",
                                               .nonce = "n1",
                                               .name_claim = "sub",
                                               .groups_claim = "groups",
                                               .now_s = NOW,
                                               .leeway_s = 60};

static int make_keys(void **state)
{
    (void)state;
    char set[4096], one[1024], two[1024];
    signer_init(&rsa, false, "r1");
    signer_init(&ec, true, "e1");
    signer_jwk(&rsa, one, sizeof one);
    signer_jwk(&ec, two, sizeof two);
    snprintf(set, sizeof set, "{\"keys\":[%s,%s,{\"kty\":\"oct\",\"k\":\"AAAA\"},7]}", one, two);
    return token_keys_read(&keys, set, strlen(set)) || keys.count != 2;
}

static int free_keys(void **state)
{
    (void)state;
    token_keys_free(&keys);
    signer_fini(&rsa);
    signer_fini(&ec);
    return 0;
}

/* The verdict on a token of that head and these claims. */
static enum token_verdict judge(const struct signer *s, const char *head, const char *claims,
                                const char **why)
{
    char token[4096];
    struct token_person person;
    signer_token(s, head, claims, token, sizeof token);
    enum token_verdict verdict = token_verify(token, strlen(token), &keys, &expected, &person, why);
    assert_int_equal(verdict == TOKEN_GOOD, person.claims != NULL);
    token_person_free(&person);
    return verdict;
}

static const char rs256[] = "{\"alg\":\"RS256\",\"kid\":\"r1\"}",
                  es256[] = "{\"alg\":\"ES256\",\"kid\":\"e1\",\"typ\":\"JWT\"}";

static void a_good_token_names_the_person(void **state)
{
    (void)state;
    char token[4096];
    struct token_person person;
    const char *why;
    signer_token(&ec, es256, "{" GOOD "}", token, sizeof token);
    assert_int_equal(token_verify(token, strlen(token), &keys, &expected, &person, &why),
                     TOKEN_GOOD);
    assert_string_equal(person.name, "ada");
    assert_true(token_in_group(&person, "ops") && token_in_group(&person, "a"));
    assert_false(token_in_group(&person, "op") || token_in_group(&person, "ops2") ||
                 token_in_group(&person, ""));
    token_person_free(&person);
    assert_int_equal(judge(&rsa, rs256, "{" GOOD "}", &why), TOKEN_GOOD);
    assert_int_equal(judge(&rsa, "{\"alg\":\"RS256\"}", "{" GOOD "}", &why), TOKEN_GOOD);
}

static void cut_short_or_with_one_letter_wrong_it_is_none(void **state)
{
    (void)state;
    const struct signer *signers[] = {&rsa, &ec};
    const char *heads[] = {rs256, es256}, *why;
    for (int k = 0; k < 2; k++) {
        char token[4096];
        struct token_person person;
        signer_token(signers[k], heads[k], "{" GOOD "}", token, sizeof token);
        size_t size = strlen(token);
        for (size_t i = 0; i < size; i++) {
            assert_int_not_equal(token_verify(token, i, &keys, &expected, &person, &why),
                                 TOKEN_GOOD);
            char was = token[i];
            for (int bit = 0; bit < 8; bit++) {
                token[i] = (char)(was ^ 1 << bit);
                assert_int_not_equal(token_verify(token, size, &keys, &expected, &person, &why),
                                     TOKEN_GOOD);
            }
            token[i] = was;
        }
        assert_int_equal(token_verify(token, size, &keys, &expected, &person, &why), TOKEN_GOOD);
        token_person_free(&person);
        strcat(token, "=");
        assert_int_equal(token_verify(token, size + 1, &keys, &expected, &person, &why), TOKEN_BAD);
    }
}

static void what_it_says_of_its_proof_is_not_believed(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "{\"alg\":\"none\"}",
        "{\"alg\":\"None\",\"kid\":\"r1\"}",
        "{\"alg\":\"HS256\",\"kid\":\"r1\"}",
        "{\"alg\":\"ES256\",\"kid\":\"r1\"}", /* another kind of key */
        "{\"alg\":\"RS384\",\"kid\":\"r1\"}",
        "{\"alg\":\"PS256\",\"kid\":\"r1\"}",
        "{\"alg\":\"RS256\",\"kid\":\"r2\"}",
        "{\"alg\":\"RS256\",\"kid\":7}",
        "{\"alg\":[\"RS256\"],\"kid\":\"r1\"}",
        "{\"kid\":\"r1\"}",
        "{\"alg\":\"RS256\",\"kid\":\"r1\",\"crit\":[\"x\"]}",
        "{\"alg\":\"RS256\",\"alg\":\"RS256\",\"kid\":\"r1\"}",
        "[]",
        "",
    };
    const char *why;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        if (judge(&rsa, heads[i], "{" GOOD "}", &why) == TOKEN_GOOD) {
            fail_msg("taken: %s", heads[i]);
        }
    }
    /* the public key as the secret of an HMAC; a token without any proof */
    char token[4096], *end;
    struct token_person person;
    signer_hmac(&rsa, "{\"alg\":\"HS256\",\"kid\":\"r1\"}", "{" GOOD "}", token, sizeof token);
    assert_int_equal(token_verify(token, strlen(token), &keys, &expected, &person, &why),
                     TOKEN_BAD);
    signer_token(&rsa, "{\"alg\":\"none\"}", "{" GOOD "}", token, sizeof token);
    end = strrchr(token, '.');
    end[1] = 0;
    assert_int_equal(token_verify(token, strlen(token), &keys, &expected, &person, &why),
                     TOKEN_BAD);
    /* another key under the same name */
    struct signer other;
    signer_init(&other, false, "r1");
    assert_int_equal(judge(&other, rs256, "{" GOOD "}", &why), TOKEN_BAD);
    signer_fini(&other);
    struct token_keys none = {0};
    signer_token(&rsa, rs256, "{" GOOD "}", token, sizeof token);
    assert_int_equal(token_verify(token, strlen(token), &none, &expected, &person, &why),
                     TOKEN_STRANGE_KEY);
}

static void a_key_without_a_name_must_be_the_only_one(void **state)
{
    (void)state;
    char first[1024], one[1024], token[4096];
    struct token_keys two;
    struct token_person person;
    const char *why;
    struct signer other;
    signer_init(&other, true, "e2");
    signer_jwk(&other, one, sizeof one);
    signer_jwk(&ec, first, sizeof first);
    char both[4096];
    snprintf(both, sizeof both, "{\"keys\":[%s,%s]}", first, one);
    assert_int_equal(token_keys_read(&two, both, strlen(both)), 0);
    signer_token(&ec, "{\"alg\":\"ES256\"}", "{" GOOD "}", token, sizeof token);
    assert_int_equal(token_verify(token, strlen(token), &two, &expected, &person, &why),
                     TOKEN_STRANGE_KEY);
    token_keys_free(&two);
    signer_fini(&other);
}

/* GOOD with one claim in another form. */
static void with(char *out, size_t size, const char *from, const char *to)
{
    const char *at = strstr(GOOD, from);
    assert_non_null(at);
    snprintf(out, size, "{%.*s%s%s}", (int)(at - GOOD), GOOD, to, at + strlen(from));
}

static void each_claim_counts(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *why; /* NULL: it is good */
    } cases[] = {
        {"\"iss\":\"https://login.example\"", "\"iss\":\"https://login.example/\"", "issuer"},
        {"\"iss\":\"https://login.example\"", "\"iss\":7", "issuer"},
        {"\"iss\":\"https://login.example\",", "", "issuer"},
        {"\"aud\":\"isthmus\"", "\"aud\":\"isthmus2\"", "another client"},
        {"\"aud\":\"isthmus\"", "\"aud\":[]", "another client"},
        {"\"aud\":\"isthmus\"", "\"aud\":[\"other\",\"isthmus\"]", "another client"},
        {"\"aud\":\"isthmus\"", "\"aud\":[\"isthmus\"]", NULL},
        {"\"aud\":\"isthmus\"", "\"aud\":[\"o\",\"isthmus\"],\"azp\":\"isthmus\"", NULL},
        {"\"aud\":\"isthmus\"", "\"aud\":[\"o\",\"isthmus\"],\"azp\":\"o\"", "another client"},
        {"\"aud\":\"isthmus\"", "\"aud\":\"isthmus\",\"azp\":7", "another client"},
        {"\"aud\":\"isthmus\",", "", "another client"},
        {"\"nonce\":\"n1\"", "\"nonce\":\"n2\"", "another sign-in"},
        {"\"nonce\":\"n1\"", "\"nonce\":\"\"", "another sign-in"},
        {"\"nonce\":\"n1\",", "", "another sign-in"},
        {"\"exp\":1700000060", "\"exp\":1699999941", NULL},
        {"\"exp\":1700000060", "\"exp\":1699999940", "expired"},
        {"\"exp\":1700000060", "\"exp\":\"1700000060\"", "when it is good"},
        {"\"exp\":1700000060", "\"exp\":-1", "when it is good"},
        {"\"exp\":1700000060,", "", "when it is good"},
        {"\"iat\":1700000000", "\"iat\":1700000060", NULL},
        {"\"iat\":1700000000", "\"iat\":1700000061", "future"},
        {"\"iat\":1700000000", "\"iat\":1700000000.5", NULL},
        {"\"iat\":1700000000,", "", "when it is good"},
        {"\"iat\":1700000000", "\"iat\":1700000000,\"nbf\":1700000061", "future"},
        {"\"iat\":1700000000", "\"iat\":1700000000,\"nbf\":null", "when it is good"},
        {"\"sub\":\"ada\"", "\"sub\":\"\"", "nobody"},
        {"\"sub\":\"ada\"", "\"sub\":\"ada\",\"sub\":\"bob\"", "malformed"},
        {"\"sub\":\"ada\",", "", "nobody"},
        {"\"sub\":\"ada\"", "\"sub\":\"ada", "malformed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char claims[1024];
        const char *why = NULL;
        with(claims, sizeof claims, cases[i].from, cases[i].to);
        enum token_verdict verdict = judge(&ec, es256, claims, &why);
        if ((verdict == TOKEN_GOOD) != !cases[i].why ||
            (cases[i].why && !strstr(why, cases[i].why))) {
            fail_msg("%s: %s", cases[i].to, why ? why : "good");
        }
    }
}

static void a_name_or_groups_of_another_form_are_none(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        bool name, ops;
    } cases[] = {
        {"[\"a\",\"ops\"]", "\"ops\"", true, true},
        {"[\"a\",\"ops\"]", "{\"ops\":1}", true, false},
        {"[\"a\",\"ops\"]", "[[\"ops\"],7,null]", true, false},
        {"\"groups\":", "\"Groups\":", true, false},
        {"\"sub\":\"ada\"",
         "\"sub\":\"0123456789012345678901234567890123456789012345678901234567890123\"", false,
         true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char claims[1024], token[4096];
        struct token_person person;
        const char *why;
        with(claims, sizeof claims, cases[i].from, cases[i].to);
        signer_token(&ec, es256, claims, token, sizeof token);
        assert_int_equal(token_verify(token, strlen(token), &keys, &expected, &person, &why),
                         TOKEN_GOOD);
        assert_int_equal(*person.name != 0, cases[i].name);
        assert_int_equal(token_in_group(&person, "ops"), cases[i].ops);
        token_person_free(&person);
    }
}

static void a_token_that_is_too_long_is_not_looked_at(void **state)
{
    (void)state;
    char *token = malloc(TOKEN_MAX + 2);
    struct token_person person;
    const char *why;
    memset(token, 'A', TOKEN_MAX + 1);
    token[2] = token[9] = '.';
    for (size_t size = TOKEN_MAX; size < TOKEN_MAX + 2; size++) {
        assert_int_equal(token_verify(token, size, &keys, &expected, &person, &why), TOKEN_BAD);
    }
    free(token);
}

static void keys_that_are_none_are_passed_over(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", /* far too short */
        "{\"kty\":\"RSA\",\"e\":\"AQAB\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AAAA\",\"y\":\"AAAA\"}",
        OFF_THE_CURVE,
        "{\"kty\":7}",
        "[]",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char set[512];
        struct token_keys none;
        snprintf(set, sizeof set, "{\"keys\":[%s]}", wrong[i]);
        assert_int_equal(token_keys_read(&none, set, strlen(set)), 0);
        assert_int_equal(none.count, 0);
    }
    char set[4096], one[1024];
    struct token_keys read;
    signer_jwk(&ec, one, sizeof one);
    int size = snprintf(set, sizeof set, "{\"keys\":[%s]}", one);
    for (int i = 0; i < size; i++) {
        assert_int_not_equal(token_keys_read(&read, set, (size_t)i), 0);
        char was = set[i];
        for (int bit = 0; bit < 8; bit++) {
            set[i] = (char)(was ^ 1 << bit);
            if (!token_keys_read(&read, set, (size_t)size)) {
                token_keys_free(&read);
            }
        }
        set[i] = was;
    }
    one[strlen(one) - 1] = 0;
    snprintf(set, sizeof set, "{\"keys\":[%s,\"use\":\"enc\"}]}", one);
    assert_int_equal(token_keys_read(&read, set, strlen(set)), 0);
    assert_int_equal(read.count, 0);
}

static void base64url_has_one_text_for_each_value(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int size;
    } cases[] = {{"", 0},
                 {"AA", 1},
                 {"AB", ERR_MALFORMED},
                 {"A", ERR_MALFORMED},
                 {"AAA", 2},
                 {"AAAA", 3},
                 {"AA==", ERR_MALFORMED},
                 {"A+", ERR_MALFORMED},
                 {"-_8", 2},
                 {"AA\n", ERR_MALFORMED}};
    uint8_t out[8];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(base64url_decode(cases[i].text, strlen(cases[i].text), out, sizeof out),
                         cases[i].size);
    }
    assert_int_equal(base64url_decode("AAAA", 4, out, 2), ERR_MALFORMED);
}

#define ABOUT                                                                                      \
    "{\"issuer\":\"" ISSUER "\",\"authorization_endpoint\":\"https://login.example/auth\","        \
    "\"token_endpoint\":\"https://tokens.example:8443/t\",\"jwks_uri\":\"" ISSUER "/keys\"}"

static void what_a_provider_says_of_itself(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } wrong[] = {
        {"\"issuer\":\"https://login.example\"", "\"issuer\":\"https://login.example/\""},
        {"https://login.example/auth", "http://login.example/auth"},
        {"https://login.example/auth", "javascript:alert(1)"},
        {"https://login.example/auth", "https://login.example/a b"},
        {"https://login.example/auth", "https://login.example/a\\u0000b"},
        {"https://login.example/auth", "https://me@login.example/"},
        {"https://tokens.example:8443/t", "https://"},
        {"jwks_uri", "jwks"},
    };
    struct metadata m;
    const char *why;
    char text[1024];
    assert_true(metadata_read(&m, ABOUT, strlen(ABOUT), ISSUER, &why));
    assert_string_equal(m.token, "https://tokens.example:8443/t");
    for (size_t i = 0; i < strlen(ABOUT); i++) {
        assert_false(metadata_read(&m, ABOUT, i, ISSUER, &why));
        strcpy(text, ABOUT);
        for (int bit = 0; bit < 8; bit++) {
            text[i] = (char)(ABOUT[i] ^ 1 << bit);
            (void)!metadata_read(&m, text, strlen(ABOUT), ISSUER, &why);
        }
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *at = strstr(ABOUT, wrong[i].from);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - ABOUT), ABOUT, wrong[i].to,
                 at + strlen(wrong[i].from));
        if (metadata_read(&m, text, strlen(text), ISSUER, &why)) {
            fail_msg("taken: %s", wrong[i].to);
        }
    }
}

static void addresses_and_forms(void **state)
{
    (void)state;
    char out[64], form[16] = "";
    assert_true(url_authority("https://Login.Example/x?y", out, sizeof out));
    assert_string_equal(out, "login.example:443");
    assert_true(url_authority("http://[::1]:80/x", out, sizeof out));
    assert_string_equal(out, "[::1]:80");
    assert_true(url_authority("http://[::1]", out, sizeof out));
    assert_string_equal(out, "[::1]:80");
    assert_false(url_authority("https:///x", out, sizeof out));
    assert_false(url_authority("https://a:/x", out, sizeof out));
    assert_false(url_authority("ftp://a", out, sizeof out));
    assert_false(url_authority("https://a.example/", out, 8));
    assert_true(form_add(form, sizeof form, "a", "x y"));
    assert_string_equal(form, "a=x%20y");
    assert_false(form_add(form, sizeof form, "bb", "12345"));
    assert_string_equal(form, "a=x%20y");
    assert_true(form_add(form, sizeof form, "bb", "1234"));
    assert_string_equal(form, "a=x%20y&bb=1234");
    assert_false(form_add(form, sizeof form, "c", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_token_names_the_person),
        cmocka_unit_test(cut_short_or_with_one_letter_wrong_it_is_none),
        cmocka_unit_test(what_it_says_of_its_proof_is_not_believed),
        cmocka_unit_test(a_key_without_a_name_must_be_the_only_one),
        cmocka_unit_test(each_claim_counts),
        cmocka_unit_test(a_name_or_groups_of_another_form_are_none),
        cmocka_unit_test(a_token_that_is_too_long_is_not_looked_at),
        cmocka_unit_test(keys_that_are_none_are_passed_over),
        cmocka_unit_test(base64url_has_one_text_for_each_value),
        cmocka_unit_test(what_a_provider_says_of_itself),
        cmocka_unit_test(addresses_and_forms),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
