/* SPDX-License-Identifier: Apache-2.0 */
/* Terms of contracts, byte for byte, and the signatures under them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/clock.h"
#include "guard/signature.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct terms_tag tags[] = {
    {.path = "b/state", .type = "bool", .unit = ""},
    {.path = "a/flow",
     .type = "float64",
     .unit = "m3/h",
     .has_range = true,
     .low = -0.1,
     .high = 1e9},
    {.path = "a-level", .type = "float32", .unit = "m\t", .has_range = true, .low = 0, .high = 5},
};

static struct terms example(void)
{
    return (struct terms){.gateway = "works",
                          .contract = "pumps",
                          .service = "cloud",
                          .module = "sparkplug",
                          .to = "127.0.0.1:1883",
                          .owner = "operations",
                          .custodian = "data team",
                          .purpose = "two\nlines, and a \\",
                          .classification = "internal",
                          .retention = "",
                          .returns = "ein Bericht für alle",
                          .freshness_ms = 5000,
                          .completeness = 99.5,
                          .live_first = true,
                          .tags = tags,
                          .tag_count = 3};
}

static const char golden[] = "isthmus-contract-terms: 1\n"
                             "gateway: works\n"
                             "contract: pumps\n"
                             "service: cloud\n"
                             "module: sparkplug\n"
                             "to: 127.0.0.1:1883\n"
                             "owner: operations\n"
                             "custodian: data team\n"
                             "purpose: two\\x0alines, and a \\x5c\n"
                             "classification: internal\n"
                             "freshness: 5000 ms\n"
                             "completeness: 99.5 %\n"
                             "retention: \n"
                             "returns: ein Bericht für alle\n"
                             "live-first: true\n"
                             "tags: 3\n"
                             "tag: a-level\tfloat32\tm\\x09\t0\t5\n"
                             "tag: a/flow\tfloat64\tm3/h\t-0.1\t1000000000\n"
                             "tag: b/state\tbool\t\t\t\n";
/* sha256sum of the above */
static const char golden_digest[] =
    "9486f9acd879e2a9f54a9c77673ca91297db6964c7ff073f9f0dc14c6b1fc925";

static void hex(const uint8_t *bytes, size_t size, char *out)
{
    for (size_t i = 0; i < size; i++) {
        sprintf(out + 2 * i, "%02x", bytes[i]);
    }
}

static void the_text_is_the_same_byte_for_byte(void **state)
{
    (void)state;
    struct terms terms = example();
    uint8_t digest[32];
    char *text, shown[65];
    size_t size;
    assert_int_equal(terms_text(&terms, &text, &size, digest), ERR_OK);
    assert_int_equal(size, sizeof golden - 1);
    assert_memory_equal(text, golden, size);
    hex(digest, 32, shown);
    assert_string_equal(shown, golden_digest);
    assert_int_equal(terms_check(text, size), ERR_OK);
    struct terms_span owner = terms_value(text, size, "owner");
    assert_int_equal(owner.size, strlen("operations"));
    assert_int_equal(terms_value(text, size, "tag").size, 0);
    free(text);
}

static void terms_that_nobody_wrote_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } edits[] = {
        {"terms: 1", "terms: 2"},
        {"tags: 3", "tags: 2"},
        {"gateway: works\n", ""},
        {"owner: operations", "owner:"},
        {"a-level", "c-level"},
        {"a-level", "a/flow"},
        {"\tm3/h", ""},
        {"\t-0.1\t", "\t\t"},
        {"b/state\tbool", "\tbool"},
        {"b/state\tbool", "b/state\t"},
        {"custodian: ", "owner: "},
        {"purpose: two", "purpose: \x01"},
        {"tag: b/state", "tagg: b/state"},
        {"live-first", "live-second"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        char text[2 * sizeof golden];
        const char *at = strstr(golden, edits[i].from);
        assert_non_null(at);
        int n = snprintf(text, sizeof text, "%.*s%s%s", (int)(at - golden), golden, edits[i].to,
                         at + strlen(edits[i].from));
        assert_int_equal(terms_check(text, (size_t)n), ERR_MALFORMED);
    }
    for (size_t n = 0; n + 1 < sizeof golden; n++) {
        assert_int_equal(terms_check(golden, n), ERR_MALFORMED);
    }
}

static void note(void *context, enum terms_change change, const struct terms_line *from,
                 const struct terms_line *to)
{
    char *out = context;
    const struct terms_line *line = from ? from : to;
    struct terms_span name = line->is_tag ? line->path : line->key;
    sprintf(out + strlen(out), "%d %.*s;", (int)change, (int)name.size, name.at);
}

static void what_changed_is_told(void **state)
{
    (void)state;
    struct terms terms = example();
    uint8_t digest[32];
    char *text, changes[512] = "";
    size_t size;
    struct terms_tag other[] = {
        {.path = "a/flow",
         .type = "float64",
         .unit = "l/s",
         .has_range = true,
         .low = -0.1,
         .high = 1e9},
        {.path = "b/state", .type = "bool", .unit = ""},
        {.path = "c/new", .type = "int16", .unit = ""},
    };
    terms.tags = other;
    terms.purpose = "another";
    assert_int_equal(terms_text(&terms, &text, &size, digest), ERR_OK);
    struct terms_span from = {golden, sizeof golden - 1}, to = {text, size};
    assert_int_equal(terms_compare(from, to, note, changes), 4);
    assert_string_equal(changes, "0 purpose;3 a-level;1 a/flow;2 c/new;");
    assert_int_equal(terms_compare(to, to, note, changes), 0);
    free(text);
}

static const uint8_t secret[32] = {1, 2, 3}, other_secret[32] = {1, 2, 4};

static char *sign(struct signature *s, size_t *size)
{
    char *text;
    *s = (struct signature){.contract = "pumps",
                            .by = "operations",
                            .role = SIGNATURE_CUSTODIAN,
                            .throw_away = true,
                            .at_ns = 1795449600 * NS_PER_S,
                            .terms = {golden, sizeof golden - 1}};
    assert_int_equal(signature_write(s, secret, &text, size), ERR_OK);
    return text;
}

static void a_signature_holds_for_its_key_alone(void **state)
{
    (void)state;
    struct signature s, back;
    uint8_t public_key[32], other[32];
    size_t size;
    char *text = sign(&s, &size), digest[65];
    assert_true(ed25519_public(secret, public_key) && ed25519_public(other_secret, other));
    assert_int_equal(signature_read(&back, text, size), ERR_OK);
    assert_true(signature_holds(&back, public_key));
    assert_false(signature_holds(&back, other));
    assert_string_equal(back.contract, "pumps");
    assert_string_equal(back.by, "operations");
    assert_string_equal(back.key, s.key);
    assert_int_equal(back.role, SIGNATURE_CUSTODIAN);
    assert_true(back.throw_away);
    assert_int_equal(back.at_ns, s.at_ns);
    hex(back.digest, 32, digest);
    assert_string_equal(digest, golden_digest);
    assert_true(terms_equal(back.terms, s.terms));
    free(text);
}

/* Whatever is cut off or changed: it is refused, or it does not hold. */
static void no_byte_of_a_signature_can_be_changed(void **state)
{
    (void)state;
    struct signature s;
    uint8_t public_key[32];
    size_t size;
    char *text = sign(&s, &size);
    assert_true(ed25519_public(secret, public_key));
    for (size_t n = 0; n < size; n++) {
        char *copy = malloc(n + 1); /* of its very size, for the sanitizer */
        memcpy(copy, text, n);
        assert_int_not_equal(signature_read(&s, copy, n), ERR_OK);
        free(copy);
    }
    for (size_t i = 0; i < size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            text[i] = (char)(text[i] ^ 1 << bit);
            assert_false(signature_read(&s, text, size) == ERR_OK &&
                         signature_holds(&s, public_key));
            text[i] = (char)(text[i] ^ 1 << bit);
        }
    }
    free(text);
}

static void a_key_lies_in_a_file_of_its_own(void **state)
{
    (void)state;
    char dir[] = "/tmp/isthmus-key-XXXXXX", path[64], why[300];
    uint8_t first[32], again[32];
    bool throw_away;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a.key", dir);
    assert_int_equal(ed25519_read(path, first, &throw_away, why, sizeof why), ERR_NOT_FOUND);
    assert_int_equal(ed25519_make(path, true), ERR_OK);
    assert_int_equal(ed25519_make(path, false), ERR_EXISTS);
    assert_int_equal(ed25519_read(path, first, &throw_away, why, sizeof why), ERR_OK);
    assert_true(throw_away);
    assert_int_equal(ed25519_read(path, again, NULL, why, sizeof why), ERR_OK);
    assert_memory_equal(first, again, 32);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(ed25519_read(path, first, NULL, why, sizeof why), ERR_PERMISSION);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(ed25519_make(path, false), ERR_OK);
    assert_int_equal(ed25519_read(path, first, &throw_away, why, sizeof why), ERR_OK);
    assert_false(throw_away);
    assert_memory_not_equal(first, again, 32);
    assert_int_equal(truncate(path, 40), 0);
    assert_int_equal(ed25519_read(path, first, NULL, why, sizeof why), ERR_MALFORMED);
    unlink(path);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_the_same_byte_for_byte),
        cmocka_unit_test(terms_that_nobody_wrote_are_refused),
        cmocka_unit_test(what_changed_is_told),
        cmocka_unit_test(a_signature_holds_for_its_key_alone),
        cmocka_unit_test(no_byte_of_a_signature_can_be_changed),
        cmocka_unit_test(a_key_lies_in_a_file_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
