/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "tag/glob.h"
#include "tag/glob_reference.h"
#include "tag/now.h"
#include "tag/record.h"
#include "tag/status.h"
#include "tag/value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void types_have_names(void **state)
{
    (void)state;
    for (unsigned t = 1; t < VALUE_TYPE_END; t++) {
        const char *name = value_type_name((enum value_type)t);
        assert_int_equal(value_type_find(name, strlen(name)), t);
    }
    assert_int_equal(value_type_find("floaty", 6), 0);
    assert_string_equal(value_type_name((enum value_type)99), "?");
}

static void values_look_outside_as_designed(void **state)
{
    (void)state;
    static const struct {
        enum value_type type;
        union slot_value v;
        const char *text;
    } rows[] = {
        {VALUE_BOOL, {.u64 = 1}, "true"},
        {VALUE_INT16, {.i64 = -5}, "-5"},
        {VALUE_UINT32, {.u64 = 4294967295}, "4294967295"},
        {VALUE_INT64, {.i64 = INT64_MIN}, "\"-9223372036854775808\""},
        {VALUE_UINT64, {.u64 = UINT64_MAX}, "\"18446744073709551615\""},
        {VALUE_FLOAT32, {.f64 = (double)0.1f}, "0.1"},
        {VALUE_FLOAT64, {.f64 = 0.1}, "0.1"},
        {VALUE_FLOAT64, {.f64 = NAN}, "\"NaN\""},
        {VALUE_FLOAT32, {.f64 = -INFINITY}, "\"-Infinity\""},
    };
    char text[VALUE_TEXT_SIZE];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = value_json(rows[i].type, rows[i].v, text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(n, strlen(text));
    }
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    union slot_value v;
    assert_int_equal(value_from_double(VALUE_INT16, 40000, &v), ERR_RANGE);
    assert_int_equal(value_from_double(VALUE_INT16, -32768, &v), 0);
    assert_int_equal(v.i64, -32768);
    assert_int_equal(value_from_double(VALUE_UINT8, -1, &v), ERR_RANGE);
    assert_int_equal(value_from_double(VALUE_UINT64, ldexp(1, 64), &v), ERR_RANGE);
    assert_int_equal(value_from_double(VALUE_INT32, NAN, &v), ERR_RANGE);
    assert_int_equal(value_from_double(VALUE_INT32, 2.5, &v), 0);
    assert_int_equal(v.i64, 2);
    assert_int_equal(value_from_double(VALUE_FLOAT32, 1e300, &v), ERR_RANGE);
    assert_int_equal(value_from_double(VALUE_TEXT, 1, &v), ERR_TYPE);
    assert_false(value_is_legal(VALUE_BOOL, (union slot_value){.u64 = 2}));
    assert_false(value_is_legal(VALUE_INT8, (union slot_value){.i64 = 128}));
    assert_true(value_is_legal(VALUE_INT8, (union slot_value){.i64 = -128}));
    assert_false(value_is_legal(VALUE_FLOAT32, (union slot_value){.f64 = 0.1}));
}

static void statuses_and_causes_have_names(void **state)
{
    (void)state;
    assert_string_equal(status_name(0), "Good");
    assert_string_equal(status_name(0x80310400), "BadNoCommunication");
    assert_string_equal(status_name(0xbfff0000), "Bad");
    assert_int_equal(status_severity(0x40900000), SEVERITY_UNCERTAIN);
    for (uint32_t c = 1; c < GAP_CAUSE_END; c++) {
        assert_string_not_equal(gap_cause_name(c), "unknown");
    }
    for (uint32_t k = 1; k < EVENT_KIND_END; k++) {
        assert_string_not_equal(event_name(k), "unknown");
    }
}

static void now_holds_numbers_and_texts(void **state)
{
    (void)state;
    struct plan_zone zone = {.tag_count = 2, .text_size = 16};
    void *memory = calloc(1, now_bytes(&zone));
    struct now_table t = now_view(memory, &zone);
    struct plan_tag number = {.id = 5, .type = VALUE_FLOAT64, .zone_index = 0};
    struct plan_tag text = {.id = 6, .type = VALUE_TEXT, .zone_index = 1, .max_length = 13};
    struct now_value v;
    assert_int_equal(now_read(&t, &number, &v), 0);
    assert_int_equal(v.slot.status, (uint32_t)STATUS_BAD_WAITING_INITIAL);
    struct slot s = {.time = 7, .value.f64 = 1.5, .tag = 5};
    now_write(&t, &number, &s, NULL, 42);
    s = (struct slot){.time = 8, .value.u64 = 13, .tag = 6 | SLOT_LONG};
    now_write(&t, &text, &s, (const uint8_t *)"thirteen char", 43);
    assert_int_equal(now_read(&t, &number, &v), 0);
    assert_true(v.slot.value.f64 == 1.5);
    assert_int_equal(v.sequence, 42);
    assert_int_equal(now_read(&t, &text, &v), 0);
    assert_int_equal(v.length, 13);
    assert_memory_equal(v.bytes, "thirteen char", 13);
    atomic_store(&t.entries[0].version, 3); /* a writer that died in the middle */
    assert_int_equal(now_read(&t, &number, &v), ERR_BUSY);
    free(memory);
}

static void globs_match_levels(void **state)
{
    (void)state;
    static const struct {
        const char *glob, *path;
        bool matches;
    } rows[] = {
        {"a/b", "a/b", true},
        {"a/b", "a/bc", false},
        {"a/*", "a/b", true},
        {"a/*", "a/b/c", false},
        {"a/**", "a/b/c", true},
        {"a/**/c", "a/c", true},
        {"a/**/c", "a/b/b/c", true},
        {"a/**/c", "a/b/d", false},
        {"**", "anything/at/all", true},
        {"**/flow", "x/y/flow", true},
        {"**/flow", "flow", true},
        {"**/flow", "x/overflow", false},
        {"a?c", "abc", true},
        {"a?c", "a/c", false},
        {"*", "", true},
        {"p*1/f*", "pump1/flow", true},
        {"p*1/f*", "pump2/flow", false},
        {"*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
        {"**/a*/**/b", "x/ab/y/z/b", true},
        {"**/a*/**/b", "x/ab/y/z/c", false},
        {"*a**a", "f!a*aaa", true},
        {"a**b", "a/b", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (glob_matches(rows[i].glob, rows[i].path) != rows[i].matches) {
            fail_msg("%s on %s", rows[i].glob, rows[i].path);
        }
    }
}

/* Every truncation and every byte changed to any that means something, of globs and of paths. */
static void damaged_globs_match_as_defined(void **state)
{
    (void)state;
    static const char *const globs[] = {"a/*/b?", "**/p*/**/f*", "a**b/*", "*a*/**", "plain/path"};
    static const char *const paths[] = {"a/x/bc", "x/pump1/y/flow", "ab/cb/d", "", "plain/path"};
    static const char bytes[] = "*?/abp\xff";
    for (size_t g = 0; g < 5; g++) {
        for (size_t p = 0; p < 5; p++) {
            for (size_t i = 0; globs[g][i]; i++) {
                for (size_t k = 0; k < sizeof bytes; k++) { /* the last one truncates */
                    char glob[16];
                    strcpy(glob, globs[g]);
                    glob[i] = bytes[k];
                    if (glob_matches(glob, paths[p]) != glob_reference(glob, paths[p])) {
                        fail_msg("%s on %s", glob, paths[p]);
                    }
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_have_names),
        cmocka_unit_test(values_look_outside_as_designed),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(statuses_and_causes_have_names),
        cmocka_unit_test(globs_match_levels),
        cmocka_unit_test(damaged_globs_match_as_defined),
        cmocka_unit_test(now_holds_numbers_and_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
