/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "table/samples.h"

#include <math.h>
#include <string.h>

static const struct {
    enum value_type type;
    union slot_value word;
    const char *text;
} values[] = {
    {VALUE_BOOL, {.u64 = 1}, NULL},
    {VALUE_INT8, {.i64 = -128}, NULL},
    {VALUE_UINT16, {.u64 = 65535}, NULL},
    {VALUE_INT32, {.i64 = INT32_MIN}, NULL},
    {VALUE_UINT32, {.u64 = UINT32_MAX}, NULL},
    {VALUE_INT64, {.i64 = INT64_MIN}, NULL},
    {VALUE_INT64, {.i64 = INT64_MAX}, NULL},
    {VALUE_INT64, {.i64 = -5}, NULL},
    {VALUE_UINT64, {.u64 = UINT64_MAX}, NULL},
    {VALUE_UINT64, {.u64 = (UINT64_C(1) << 53) + 1}, NULL},
    {VALUE_FLOAT64, {.f64 = 0.1}, NULL},
    {VALUE_FLOAT64, {.f64 = -0.0}, NULL},
    {VALUE_FLOAT64, {.f64 = INFINITY}, NULL},
    {VALUE_FLOAT64, {.f64 = NAN}, NULL},
    {VALUE_FLOAT32, {.f64 = 0x1.99999ap-4}, NULL}, /* 0.1f */
    {VALUE_TEXT, {.u64 = 5}, "a,\"\xc3\xbc"},
    {VALUE_TEXT, {.u64 = 0}, ""},
    {VALUE_BYTES, {.u64 = 3}, "\x01\x02\xff"},
    {VALUE_BYTES, {.u64 = 0}, ""},
};
#define COUNT (sizeof values / sizeof *values)

/* Puts value `i` into a batch for tags of these types and reads it back. */
static void there_and_back(size_t i, enum table_format format, const enum value_type *types,
                           size_t count)
{
    struct batch *b;
    struct slot s = {.time = -7, .value = values[i].word, .tag = 1, .status = 0x80050123};
    struct samples_value got = {0};
    assert_int_equal(samples_batch(&b, format, types, count, 4), ERR_OK);
    assert_int_equal(samples_add(b, "a/b", values[i].type, &s, (const uint8_t *)values[i].text),
                     ERR_OK);
    assert_int_equal(b->rows, 1);
    assert_int_equal(b->cells[SAMPLES_TIME][0].i64, -7);
    assert_int_equal(b->cells[SAMPLES_STATUS][0].u64, 0x80050123);
    bool has_text = b->column_count == SAMPLES_COLUMNS && b->present[SAMPLES_TEXT][0];
    size_t column = has_text ? SAMPLES_TEXT : SAMPLES_VALUE;
    assert_int_equal(b->present[column][0], 1);
    assert_int_equal(samples_value(values[i].type, b, column, 0, &got), ERR_OK);
    assert_true(
        got.word.u64 == values[i].word.u64 ||
        (values[i].type == VALUE_FLOAT64 && isnan(values[i].word.f64) && isnan(got.word.f64)));
    if (values[i].text) {
        assert_memory_equal(got.text, values[i].text, (size_t)got.word.u64);
    }
    batch_free(b);
}

static void samples_go_there_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        const enum value_type mixed[] = {values[i].type, VALUE_BOOL, VALUE_FLOAT64, VALUE_TEXT};
        there_and_back(i, TABLE_CSV, mixed, 4);
        there_and_back(i, TABLE_PARQUET, mixed, 1);
        there_and_back(i, TABLE_PARQUET, mixed, 4);
    }
}

static void the_value_column_has_the_type_in_common(void **state)
{
    (void)state;
    static const struct {
        enum value_type types[3];
        enum column_type value;
        size_t columns;
    } cases[] = {
        {{VALUE_INT16, VALUE_UINT32, VALUE_INT64}, COLUMN_INT64, 4},
        {{VALUE_FLOAT32, VALUE_FLOAT64, VALUE_FLOAT64}, COLUMN_DOUBLE, 4},
        {{VALUE_BOOL, VALUE_BOOL, VALUE_BOOL}, COLUMN_BOOL, 4},
        {{VALUE_TEXT, VALUE_TEXT, VALUE_TEXT}, COLUMN_TEXT, 4},
        {{VALUE_UINT64, VALUE_INT64, VALUE_INT64}, COLUMN_DOUBLE, 5},
        {{VALUE_FLOAT64, VALUE_TEXT, VALUE_TEXT}, COLUMN_DOUBLE, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct batch *b;
        assert_int_equal(samples_batch(&b, TABLE_PARQUET, cases[i].types, 3, 4), ERR_OK);
        assert_int_equal(b->columns[SAMPLES_VALUE].type, cases[i].value);
        assert_int_equal(b->column_count, cases[i].columns);
        batch_free(b);
        assert_int_equal(samples_batch(&b, TABLE_CSV, cases[i].types, 3, 4), ERR_OK);
        assert_int_equal(b->columns[SAMPLES_VALUE].type, COLUMN_TEXT);
        assert_int_equal(b->column_count, 4);
        batch_free(b);
    }
}

/* A value of any column as a value of any tag: exactly, or refused. */
static void nothing_is_bent(void **state)
{
    (void)state;
    static const struct {
        enum column_type from;
        union cell cell;
        const char *text;
        enum value_type type;
        int err;
    } cases[] = {
        {COLUMN_DOUBLE, {.f64 = 1.5}, NULL, VALUE_INT16, ERR_TYPE},
        {COLUMN_DOUBLE, {.f64 = 40000}, NULL, VALUE_INT16, ERR_RANGE},
        {COLUMN_DOUBLE, {.f64 = -1}, NULL, VALUE_UINT64, ERR_RANGE},
        {COLUMN_DOUBLE, {.f64 = 2}, NULL, VALUE_BOOL, ERR_RANGE},
        {COLUMN_DOUBLE, {.f64 = 1}, NULL, VALUE_BOOL, ERR_OK},
        {COLUMN_DOUBLE, {.f64 = 1e300}, NULL, VALUE_FLOAT32, ERR_RANGE},
        {COLUMN_DOUBLE, {.f64 = 1}, NULL, VALUE_TEXT, ERR_TYPE},
        {COLUMN_DOUBLE, {.f64 = (double)NAN}, NULL, VALUE_INT64, ERR_RANGE},
        {COLUMN_INT64, {.i64 = -1}, NULL, VALUE_UINT8, ERR_RANGE},
        {COLUMN_INT64, {.i64 = INT64_MAX}, NULL, VALUE_FLOAT64, ERR_RANGE},
        {COLUMN_INT64, {.i64 = -3}, NULL, VALUE_FLOAT64, ERR_OK},
        {COLUMN_UINT64, {.u64 = UINT64_MAX}, NULL, VALUE_INT64, ERR_RANGE},
        {COLUMN_UINT32, {.u64 = 200}, NULL, VALUE_INT8, ERR_RANGE},
        {COLUMN_BOOL, {.u64 = 1}, NULL, VALUE_INT32, ERR_OK},
        {COLUMN_TIME, {.i64 = 1}, NULL, VALUE_INT64, ERR_TYPE},
        {COLUMN_TEXT, {0}, "1.5", VALUE_INT16, ERR_MALFORMED},
        {COLUMN_TEXT, {0}, "-32769", VALUE_INT16, ERR_RANGE},
        {COLUMN_TEXT, {0}, "18446744073709551615", VALUE_INT64, ERR_RANGE},
        {COLUMN_TEXT, {0}, "-0", VALUE_INT64, ERR_OK},
        {COLUMN_TEXT, {0}, "hello", VALUE_FLOAT64, ERR_MALFORMED},
        {COLUMN_TEXT, {0}, "yes", VALUE_BOOL, ERR_MALFORMED},
        {COLUMN_TEXT, {0}, "!!!", VALUE_BYTES, ERR_MALFORMED},
        {COLUMN_BYTES, {0}, "\xff", VALUE_TEXT, ERR_MALFORMED},
        {COLUMN_BYTES, {0}, "1", VALUE_INT64, ERR_TYPE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct column c = {"value", cases[i].from, true};
        struct samples_value v;
        struct batch *b;
        assert_int_equal(batch_new(&b, &c, 1, 1, 100), ERR_OK);
        if (cases[i].text) {
            assert_int_equal(batch_set_bytes(b, 0, cases[i].text, strlen(cases[i].text)), ERR_OK);
        } else {
            batch_set(b, 0, cases[i].cell);
        }
        batch_end_row(b);
        assert_int_equal(samples_value(cases[i].type, b, 0, 0, &v), cases[i].err);
        batch_free(b);
    }
}

static void texts_are_bounded(void **state)
{
    (void)state;
    static char longest[2000];
    const struct column c = {"value", COLUMN_TEXT, true};
    struct samples_value v;
    struct batch *b;
    memset(longest, 'A', sizeof longest);
    for (size_t size = SLOT_BYTES_MAX - 2; size < sizeof longest; size++) {
        assert_int_equal(batch_new(&b, &c, 1, 1, 100), ERR_OK);
        assert_int_equal(batch_set_bytes(b, 0, longest, size), ERR_OK);
        batch_end_row(b);
        assert_int_equal(samples_value(VALUE_TEXT, b, 0, 0, &v),
                         size <= SLOT_BYTES_MAX ? ERR_OK : ERR_TOO_LONG);
        int err = samples_value(VALUE_BYTES, b, 0, 0, &v);
        assert_true(err == (size / 4 * 3 > SLOT_BYTES_MAX ? ERR_TOO_LONG
                            : size % 4                    ? ERR_MALFORMED
                                                          : ERR_OK) ||
                    (size % 4 && err < 0));
        batch_free(b);
    }
}

/* A table with a text that is no UTF-8 could not be read by anybody. */
static void what_is_no_utf8_is_replaced(void **state)
{
    (void)state;
    static const enum value_type text[] = {VALUE_TEXT};
    const struct slot s = {.value.u64 = 5};
    for (enum table_format f = TABLE_CSV; f <= TABLE_PARQUET; f++) {
        struct batch *b;
        assert_int_equal(samples_batch(&b, f, text, 1, 1), ERR_OK);
        assert_int_equal(samples_add(b, "a", VALUE_TEXT, &s, (const uint8_t *)"\xffh\xc3\xb6\xc3"),
                         ERR_OK);
        union cell v = b->cells[SAMPLES_VALUE][0];
        assert_int_equal(v.bytes.size, 9);
        assert_memory_equal(batch_bytes(b, v), "\xef\xbf\xbdh\xc3\xb6\xef\xbf\xbd", 9);
        batch_free(b);
    }
}

static void statuses_are_numbers_or_names(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int err;
        uint32_t status;
    } cases[] = {
        {"0", 0, 0},
        {"Good", 0, 0},
        {"BadTimeout", 0, 0x800A0000},
        {"2147483648", 0, 0x80000000},
        {"0x80050000", 0, 0x80050000},
        {"0xFFFFFFFF", 0, 0xffffffff},
        {"4294967296", ERR_RANGE, 0},
        {"0x123456789", ERR_MALFORMED, 0},
        {"0xg", ERR_MALFORMED, 0},
        {"good", ERR_MALFORMED, 0},
        {"", ERR_MALFORMED, 0},
        {"-1", ERR_MALFORMED, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t status = 0;
        assert_int_equal(samples_status(cases[i].text, strlen(cases[i].text), &status),
                         cases[i].err);
        if (!cases[i].err) {
            assert_int_equal(status, cases[i].status);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_go_there_and_back),
        cmocka_unit_test(the_value_column_has_the_type_in_common),
        cmocka_unit_test(nothing_is_bent),
        cmocka_unit_test(texts_are_bounded),
        cmocka_unit_test(what_is_no_utf8_is_replaced),
        cmocka_unit_test(statuses_are_numbers_or_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
