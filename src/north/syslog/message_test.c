/* SPDX-License-Identifier: Apache-2.0 */
#include "north/syslog/message.h"

#include "base/utf8.h"
#include "tag/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BOM "\xef\xbb\xbf"

static char out[MESSAGE_MAX];

/* The message behind its count, which must be true. */
static const char *unframe(size_t size)
{
    static char text[MESSAGE_MAX + 1];
    char *end;
    unsigned long count = strtoul(out, &end, 10);
    assert_true(*end == ' ' && size == (size_t)(end + 1 - out) + count);
    memcpy(text, end + 1, count);
    text[count] = '\0';
    assert_int_equal(strlen(text), count);
    assert_int_equal(utf8_valid(text, count), count);
    return text;
}

static const char *entry(const struct audit_entry *e, const char *gateway)
{
    return unframe(message_entry(e, gateway, out));
}

static void a_command_is_told_whole(void **state)
{
    (void)state;
    struct audit_entry e = {.number = 12,
                            .utc_ns = INT64_C(1795375982123456789),
                            .kind = AUDIT_COMMAND_CONFIRMED,
                            .tag = 3,
                            .id = {0xab, 1, [15] = 0xff},
                            .type = VALUE_FLOAT64,
                            .has_before = 1,
                            .has_after = 1,
                            .before.f64 = 1.5,
                            .after.f64 = 2,
                            .who = "user:anna",
                            .where = "console",
                            .subject = "works/level",
                            .text = "more water"};
    assert_string_equal(
        entry(&e, "works"),
        "<109>1 2026-11-22T19:33:02.123456Z works isthmus - command-confirmed [audit@32473 "
        "number=\"12\" who=\"user:anna\" where=\"console\" subject=\"works/level\" before=\"1.5\" "
        "after=\"2\" id=\"ab0100000000000000000000000000ff\"] " BOM
        "command confirmed: works/level 1.5 \xe2\x86\x92 2: more water");
}

static void every_kind_has_a_name_and_a_weight(void **state)
{
    (void)state;
    for (uint32_t kind = 1; kind < 300; kind++) {
        char name[32], expected[64];
        struct audit_entry e = {.number = kind, .kind = kind};
        snprintf(expected, sizeof expected, " isthmus - %s [", audit_kind_name(kind, name));
        for (char *c = expected + 11; *c && *c != '['; c++) {
            *c = *c == ' ' && c[1] != '[' ? '-' : *c;
        }
        const char *text = entry(&e, "g");
        unsigned pri = (unsigned)strtoul(text + 1, NULL, 10);
        assert_non_null(strstr(text, expected));
        assert_true(pri / 8 == 10 || pri / 8 == 13);
        assert_true(pri % 8 >= 3 && pri % 8 <= 6);
        bool refusal = kind == AUDIT_COMMAND_REFUSED || kind == AUDIT_SIGN_IN_FAILED;
        assert_true(!refusal || pri % 8 == 4);
        bool of_people = kind >= AUDIT_SIGN_IN && kind <= AUDIT_TOKEN_CHANGED;
        assert_int_equal(pri / 8 == 10, of_people);
    }
}

static void what_would_end_a_value_early_does_not(void **state)
{
    (void)state;
    struct audit_entry e = {.number = 1,
                            .kind = AUDIT_SIGN_IN_FAILED,
                            .who = "user:a\"] [x \\\n<1>1",
                            .text = "no \x80\xff\x01 such\x7f"};
    const char *text = entry(&e, "two words\n\xc3\xa9");
    assert_string_equal(
        text, "<84>1 1970-01-01T00:00:00.000000Z two_words___ isthmus - sign-in-failed "
              "[audit@32473 number=\"1\" who=\"user:a\\\"\\] [x \\\\\xef\xbf\xbd<1>1\"] " BOM
              "sign-in failed: no \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd such\xef\xbf\xbd");
}

/* Any bytes in any field: one frame, which is UTF-8, with as many values closed as opened. */
static void any_byte_anywhere_stays_inside(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        struct audit_entry e;
        memset(&e, (int)byte, sizeof e);
        for (uint32_t type = 0; type <= VALUE_TYPE_END; type++) {
            e.type = (uint8_t)type;
            e.has_before = e.has_after = 1;
            const char *text = entry(&e, (char[]){(char)byte, 0});
            const char *at = strstr(text, "[audit@32473"), *end = NULL;
            bool open = false;
            for (at += 12; !end; at++) {
                assert_true(*at);
                if (open && *at == '\\') {
                    at++;
                } else if (*at == '"') {
                    open = !open;
                } else if (*at == ']' && !open) {
                    end = at;
                }
            }
            assert_memory_equal(end, "] " BOM, 5);
        }
    }
}

static void the_longest_entry_fits(void **state)
{
    (void)state;
    char gateway[400];
    struct audit_entry e = {.number = UINT64_MAX,
                            .utc_ns = INT64_MAX,
                            .kind = UINT32_MAX,
                            .type = VALUE_UINT64,
                            .has_before = 1,
                            .has_after = 1,
                            .before.u64 = UINT64_MAX,
                            .after.u64 = UINT64_MAX};
    memset(gateway, 'g', sizeof gateway - 1);
    gateway[sizeof gateway - 1] = '\0';
    memset(e.id, 0xff, sizeof e.id);
    memset(e.who, 1, sizeof e.who + sizeof e.where + sizeof e.subject + sizeof e.text);
    size_t size = message_entry(&e, gateway, out);
    assert_true(size > 2000 && size < MESSAGE_MAX / 4 * 3);
    unframe(size);
}

static void a_checkpoint_shows_its_signature(void **state)
{
    (void)state;
    struct audit_entry e = {.number = 5, .kind = AUDIT_CHECKPOINT};
    memset(e.text, 0xa5, ED25519_SIGNATURE_SIZE);
    const char *text = entry(&e, "g");
    const char *at = strstr(text, "signature=\"a5a5");
    assert_non_null(at);
    assert_memory_equal(at + 11 + 2 * ED25519_SIGNATURE_SIZE, "\"] " BOM "checkpoint", 16);
}

static void what_is_missing_is_told(void **state)
{
    (void)state;
    assert_string_equal(
        unframe(message_missing(3, 6, 0, "g", out)),
        "<107>1 1970-01-01T00:00:00.000000Z g isthmus - audit-missing [audit@32473 from=\"3\" "
        "to=\"5\"] " BOM
        "entries 3 to 5 can't be read at the gateway: archived or damaged (isthmus audit verify)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_is_told_whole),
        cmocka_unit_test(every_kind_has_a_name_and_a_weight),
        cmocka_unit_test(what_would_end_a_value_early_does_not),
        cmocka_unit_test(any_byte_anywhere_stays_inside),
        cmocka_unit_test(the_longest_entry_fits),
        cmocka_unit_test(a_checkpoint_shows_its_signature),
        cmocka_unit_test(what_is_missing_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
