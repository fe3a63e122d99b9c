/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "table/csv_cell.h"
#include "table/csv_read.h"
#include "table/csv_write.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct text { /* read in pieces of `step` bytes */
    const char *data;
    size_t size, at, step;
};

static int text_read(void *context, void *data, size_t size)
{
    struct text *t = context;
    size_t n = t->size - t->at < t->step ? t->size - t->at : t->step;
    n = n < size ? n : size;
    memcpy(data, t->data + t->at, n);
    t->at += n;
    return (int)n;
}

struct file {
    char data[200000];
    size_t size, full_at; /* writing fails there; 0: never */
};

static int file_write(void *context, const void *data, size_t size)
{
    struct file *f = context;
    if (f->full_at && f->size + size > f->full_at) {
        return ERR_FULL;
    }
    assert_true(sizeof f->data - f->size >= size);
    memcpy(f->data + f->size, data, size);
    f->size += size;
    return ERR_OK;
}

enum { TIME, TEXT, VALUE, STATUS, NUMBER, COUNT, FLAG, RAW, COLUMNS };

static const struct column columns[COLUMNS] = {
    [TIME] = {"time", COLUMN_TIME, false},     [TEXT] = {"a \"text\", that", COLUMN_TEXT, true},
    [VALUE] = {"value", COLUMN_DOUBLE, true},  [STATUS] = {"status", COLUMN_UINT32, true},
    [NUMBER] = {"number", COLUMN_INT64, true}, [COUNT] = {"count", COLUMN_UINT64, true},
    [FLAG] = {"flag", COLUMN_BOOL, true},      [RAW] = {"raw", COLUMN_BYTES, true},
};

/* What two_rows puts into a batch. */
static const char table[] =
    "time,\"a \"\"text\"\", that\",value,status,number,count,flag,raw\r\n"
    "2026-01-01T00:00:00.000000001Z,\"comma, \"\"quote\"\"\r\nline \xc3\xbc\",0.1,4294967295,"
    "-9223372036854775808,18446744073709551615,true,AAH/\r\n"
    "1969-12-31T23:59:59.999999999Z,\"\",-0,0,9223372036854775807,0,false,\"\"\r\n"
    "1970-01-01T00:00:00.000000000Z,,,,,,,\r\n";

static struct batch *make_batch(void)
{
    struct batch *b;
    assert_int_equal(batch_new(&b, columns, COLUMNS, 100, 200000), ERR_OK);
    return b;
}

static void add_rows(struct batch *b)
{
    static const char text[] = "comma, \"quote\"\r\nline \xc3\xbc";
    batch_set(b, TIME, (union cell){.i64 = INT64_C(1767225600000000001)});
    assert_int_equal(batch_set_bytes(b, TEXT, text, strlen(text)), ERR_OK);
    batch_set(b, VALUE, (union cell){.f64 = 0.1});
    batch_set(b, STATUS, (union cell){.u64 = UINT32_MAX});
    batch_set(b, NUMBER, (union cell){.i64 = INT64_MIN});
    batch_set(b, COUNT, (union cell){.u64 = UINT64_MAX});
    batch_set(b, FLAG, (union cell){.u64 = 1});
    assert_int_equal(batch_set_bytes(b, RAW, "\x00\x01\xff", 3), ERR_OK);
    batch_end_row(b);
    batch_set(b, TIME, (union cell){.i64 = -1});
    assert_int_equal(batch_set_bytes(b, TEXT, "", 0), ERR_OK);
    batch_set(b, VALUE, (union cell){.f64 = -0.0});
    batch_set(b, STATUS, (union cell){.u64 = 0});
    batch_set(b, NUMBER, (union cell){.i64 = INT64_MAX});
    batch_set(b, COUNT, (union cell){.u64 = 0});
    batch_set(b, FLAG, (union cell){.u64 = 0});
    assert_int_equal(batch_set_bytes(b, RAW, "", 0), ERR_OK);
    batch_end_row(b);
    batch_set(b, TIME, (union cell){.i64 = 0});
    batch_end_row(b);
}

static void expect_equal(const struct batch *a, const struct batch *b)
{
    assert_int_equal(a->rows, b->rows);
    for (size_t row = 0; row < a->rows; row++) {
        for (size_t i = 0; i < a->column_count; i++) {
            union cell x = a->cells[i][row], y = b->cells[i][row];
            assert_int_equal(a->present[i][row], b->present[i][row]);
            if (!a->present[i][row]) {
                continue;
            }
            if (column_is_long(a->columns[i].type)) {
                assert_int_equal(x.bytes.size, y.bytes.size);
                assert_memory_equal(batch_bytes(a, x), batch_bytes(b, y), x.bytes.size);
            } else {
                assert_true(x.u64 == y.u64);
            }
        }
    }
}

static void a_table_looks_as_it_should(void **state)
{
    (void)state;
    static struct file f;
    struct batch *b = make_batch();
    struct csv_writer *w;
    f.size = 0;
    add_rows(b);
    assert_int_equal(csv_writer_new(&w, b, (struct table_sink){file_write, &f}), ERR_OK);
    assert_int_equal(csv_write(w, b), ERR_OK);
    assert_int_equal(csv_finish(w), ERR_OK);
    assert_int_equal(f.size, strlen(table));
    assert_memory_equal(f.data, table, f.size);
    csv_writer_free(w);
    batch_free(b);
}

/* However the text comes in, it reads the same. */
static void what_was_written_reads_back(void **state)
{
    (void)state;
    struct batch *wanted = make_batch(), *got = make_batch();
    add_rows(wanted);
    for (size_t step = 1; step <= sizeof table; step++) {
        struct text t = {table, strlen(table), 0, step};
        struct table_problem problem;
        struct csv_reader *c;
        assert_int_equal(csv_open(&c, (struct csv_input){text_read, &t}, &problem), ERR_OK);
        assert_int_equal(csv_column_count(c), COLUMNS);
        assert_string_equal(csv_column_name(c, TEXT), columns[TEXT].name);
        batch_clear(got);
        assert_int_equal(csv_read_rows(c, got), 3);
        assert_int_equal(csv_read_rows(c, got), 0);
        expect_equal(wanted, got);
        csv_close(c);
    }
    batch_free(wanted);
    batch_free(got);
}

/* Beyond the buffers of writer and reader. */
static void a_long_table_reads_back(void **state)
{
    (void)state;
    static struct file f;
    static char longest[TABLE_TEXT_MAX];
    struct batch *wanted = make_batch(), *got = make_batch();
    struct csv_writer *w;
    struct csv_reader *c;
    struct table_problem problem;
    f.size = 0;
    memset(longest, '"', sizeof longest);
    add_rows(wanted);
    batch_set(wanted, TIME, (union cell){.i64 = 7});
    assert_int_equal(batch_set_bytes(wanted, TEXT, longest, sizeof longest), ERR_OK);
    batch_end_row(wanted);
    add_rows(wanted);
    assert_int_equal(csv_writer_new(&w, wanted, (struct table_sink){file_write, &f}), ERR_OK);
    assert_int_equal(csv_write(w, wanted), ERR_OK);
    assert_int_equal(csv_finish(w), ERR_OK);
    struct text t = {f.data, f.size, 0, 1000};
    assert_int_equal(csv_open(&c, (struct csv_input){text_read, &t}, &problem), ERR_OK);
    assert_int_equal(csv_read_rows(c, got), 7);
    expect_equal(wanted, got);
    csv_close(c);
    csv_writer_free(w);
    batch_free(wanted);
    batch_free(got);
}

static void a_sink_that_fails_is_reported(void **state)
{
    (void)state;
    static struct file f;
    struct batch *b = make_batch();
    add_rows(b);
    for (size_t full = 1; full < strlen(table); full++) {
        struct csv_writer *w;
        f.size = 0;
        f.full_at = full;
        int err = csv_writer_new(&w, b, (struct table_sink){file_write, &f});
        err = err ? err : csv_write(w, b);
        err = err ? err : csv_finish(w);
        assert_int_equal(err, ERR_FULL);
        csv_writer_free(w);
    }
    f.full_at = 0;
    batch_free(b);
}

/* Reads a text as the types say; rows, or an error with the problem in *problem. */
static int read_text(const char *text, size_t size, const struct column *types, size_t count,
                     struct table_problem *problem)
{
    struct text t = {text, size, 0, 5};
    struct csv_reader *c;
    struct batch *b;
    int rows = csv_open(&c, (struct csv_input){text_read, &t}, problem);
    if (rows == ERR_OK && csv_column_count(c) == count) {
        assert_int_equal(batch_new(&b, types, count, 100, 1000), ERR_OK);
        rows = csv_read_rows(c, b);
        batch_free(b);
    }
    csv_close(c);
    return rows;
}

static void rows_are_found_as_the_rfc_says(void **state)
{
    (void)state;
    static const struct column two[] = {{"a", COLUMN_TEXT, true}, {"b", COLUMN_INT64, true}};
    static const struct {
        const char *text;
        size_t columns;
        int rows;
    } cases[] = {
        {"a,b", 2, 0},
        {"a,b\n", 2, 0},
        {"\xef\xbb\xbf"
         "a,b\nx,1",
         2, 1},
        {"a,b\r\nx,1\r\ny,2\r\n", 2, 2},
        {"\n\na,b\n\nx,1\n\r\n\ny,2\n\n", 2, 2}, /* empty lines */
        {"a,b\n,\n", 2, 1},
        {"a,b\n\"x\n\ny\",1\n", 2, 1},
        {"a,b\n\"\",\"1\"\n", 2, 1},
        {"a\nx\n\ny\n", 1, 3}, /* with one column an empty line is a null */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct table_problem problem;
        assert_int_equal(
            read_text(cases[i].text, strlen(cases[i].text), two, cases[i].columns, &problem),
            cases[i].rows);
    }
}

static void faults_are_named_with_their_line(void **state)
{
    (void)state;
    static const struct column two[] = {{"a", COLUMN_TEXT, true}, {"b", COLUMN_INT64, false}};
    static const struct {
        const char *text;
        int err;
        const char *why;
    } cases[] = {
        {"", ERR_SHORT, "empty"},
        {"a,\n", ERR_MALFORMED, "line 1: column 2 has no name"},
        {"a,\xff\n", ERR_MALFORMED, "line 1: column 2"},
        {"a,b\nx\n", ERR_MALFORMED, "line 2: 1 fields"},
        {"a,b\n\nx,1\ny,2,3\n", ERR_MALFORMED, "line 4: 3 fields"},
        {"a,b\n\"x\ny\",1\nz,q\n", ERR_MALFORMED, "line 4, column 'b': is no int64"},
        {"a,b\nx,9223372036854775808\n", ERR_RANGE, "line 2, column 'b': is out of range of int64"},
        {"a,b\nx,\n", ERR_MALFORMED, "line 2, column 'b': is empty"},
        {"a,b\n\xc3,1\n", ERR_MALFORMED, "line 2, column 'a': is not UTF-8"},
        {"a,b\n\"x\n,1\n", ERR_MALFORMED, "line 2: a quoted field has no end"},
        {"a,b\n\"x\"y,1\n", ERR_MALFORMED, "line 2, byte 4: text follows"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct table_problem problem;
        int err = read_text(cases[i].text, strlen(cases[i].text), two, 2, &problem);
        assert_int_equal(err, cases[i].err);
        assert_non_null(strstr(problem.text, cases[i].why));
    }
}

static void a_row_is_bounded(void **state)
{
    (void)state;
    static const struct column two[] = {{"a", COLUMN_TEXT, true}, {"b", COLUMN_TEXT, true}};
    struct table_problem problem;
    size_t size = (size_t)3 << 20;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, 'x', size);
    memcpy(text, "a,b\n\"", 5);
    struct text t = {text, size, 0, size};
    struct csv_reader *c;
    struct batch *b;
    assert_int_equal(batch_new(&b, two, 2, 10, 0), ERR_OK);
    assert_int_equal(csv_open(&c, (struct csv_input){text_read, &t}, &problem), ERR_OK);
    assert_int_equal(csv_read_rows(c, b), ERR_TOO_LONG);
    assert_non_null(strstr(problem.text, "line 2"));
    csv_close(c);
    memset(text, ',', size);
    t.at = 0;
    assert_int_equal(csv_open(&c, (struct csv_input){text_read, &t}, &problem), ERR_TOO_LONG);
    batch_free(b);
    free(text);
}

static void columns_can_be_chosen(void **state)
{
    (void)state;
    static const char text[] = "a,b,c\n1,x,2\n3,,4\n";
    static const struct column two[] = {{"c", COLUMN_INT64, false}, {"a", COLUMN_UINT32, false}};
    struct text t = {text, strlen(text), 0, 100};
    struct table_problem problem;
    struct csv_reader *c;
    struct batch *b;
    assert_int_equal(batch_new(&b, two, 2, 10, 0), ERR_OK);
    assert_int_equal(csv_open(&c, (struct csv_input){text_read, &t}, &problem), ERR_OK);
    assert_int_equal(csv_read_rows(c, b), ERR_RANGE);
    assert_int_equal(csv_select(c, (const size_t[]){2, 0}, 2), ERR_OK);
    assert_int_equal(csv_read_rows(c, b), 2);
    assert_int_equal(b->cells[0][1].i64, 4);
    assert_int_equal(b->cells[1][1].u64, 3);
    csv_close(c);
    batch_free(b);
}

static void damage_is_survived(void **state)
{
    (void)state;
    char copy[sizeof table];
    for (size_t size = 0; size < strlen(table); size++) {
        struct table_problem problem;
        int rows = read_text(table, size, columns, COLUMNS, &problem);
        assert_true(rows >= 0 || problem.text[0]);
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(copy, table, sizeof table);
            copy[size] = (char)(copy[size] ^ 1 << bit);
            rows = read_text(copy, strlen(table), columns, COLUMNS, &problem);
            assert_true(rows >= 0 ? rows <= 20 : problem.text[0]);
        }
    }
}

static void cells_read_what_they_print(void **state)
{
    (void)state;
    static const struct {
        enum column_type type;
        const char *text;
        int err;
    } cases[] = {
        {COLUMN_INT64, "-9223372036854775808", 0},
        {COLUMN_INT64, "9223372036854775807", 0},
        {COLUMN_INT64, "-9223372036854775809", ERR_RANGE},
        {COLUMN_INT64, "", ERR_MALFORMED},
        {COLUMN_INT64, "-", ERR_MALFORMED},
        {COLUMN_INT64, "1.5", ERR_MALFORMED},
        {COLUMN_INT64, " 1", ERR_MALFORMED},
        {COLUMN_UINT64, "18446744073709551615", 0},
        {COLUMN_UINT64, "18446744073709551616", ERR_RANGE},
        {COLUMN_UINT64, "99999999999999999999", ERR_RANGE},
        {COLUMN_UINT64, "-1", ERR_MALFORMED},
        {COLUMN_UINT32, "4294967295", 0},
        {COLUMN_UINT32, "4294967296", ERR_RANGE},
        {COLUMN_DOUBLE, "0.1", 0},
        {COLUMN_DOUBLE, "2.5e-300", 0},
        {COLUMN_DOUBLE, "1.7976931348623157e+308", 0},
        {COLUMN_DOUBLE, "NaN", 0},
        {COLUMN_DOUBLE, "Infinity", 0},
        {COLUMN_DOUBLE, "-Infinity", 0},
        {COLUMN_DOUBLE, "-0", 0},
        {COLUMN_DOUBLE, "1e999", ERR_RANGE},
        {COLUMN_DOUBLE, "0x10", ERR_MALFORMED},
        {COLUMN_DOUBLE, "inf", ERR_MALFORMED},
        {COLUMN_DOUBLE, "1,5", ERR_MALFORMED},
        {COLUMN_DOUBLE, "1.5 ", ERR_MALFORMED},
        {COLUMN_DOUBLE, "1e", ERR_MALFORMED},
        {COLUMN_BOOL, "true", 0},
        {COLUMN_BOOL, "false", 0},
        {COLUMN_BOOL, "TRUE", ERR_MALFORMED},
        {COLUMN_TIME, "2026-11-22T10:00:00.000000001Z", 0},
        {COLUMN_TIME, "2026-11-22", ERR_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        union cell v = {0};
        char out[CELL_TEXT_SIZE];
        size_t size = strlen(cases[i].text);
        assert_int_equal(cell_parse(cases[i].type, cases[i].text, size, &v), cases[i].err);
        if (!cases[i].err) {
            assert_int_equal(cell_print(cases[i].type, v, out), size);
            assert_memory_equal(out, cases[i].text, size);
        }
    }
    union cell v;
    assert_int_equal(cell_parse(COLUMN_BOOL, "1", 1, &v), ERR_OK);
    assert_int_equal(v.u64, 1);
    assert_int_equal(cell_parse(COLUMN_TIME, "2026-11-22T10:00:00+01:00", 25, &v), ERR_OK);
}

/* RFC 4648, section 10. */
static void base64_is_that_of_the_rfc(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    static const char *const bad[] = {
        "Z", "Zg", "Zg=", "Zg===", "=Zg=", "Z===", "Zm9v=", "Zm9\n", "Zg==Zg=="};
    char text[CELL_TEXT_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t plain = strlen(cases[i][0]), size = strlen(cases[i][1]);
        assert_int_equal(base64_print((const uint8_t *)cases[i][0], plain, text), size);
        assert_memory_equal(text, cases[i][1], size);
        assert_int_equal(base64_parse(text, size), plain);
        assert_memory_equal(text, cases[i][0], plain);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memcpy(text, bad[i], strlen(bad[i]));
        assert_int_equal(base64_parse(text, strlen(bad[i])), ERR_MALFORMED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_looks_as_it_should),
        cmocka_unit_test(what_was_written_reads_back),
        cmocka_unit_test(a_long_table_reads_back),
        cmocka_unit_test(a_sink_that_fails_is_reported),
        cmocka_unit_test(rows_are_found_as_the_rfc_says),
        cmocka_unit_test(faults_are_named_with_their_line),
        cmocka_unit_test(a_row_is_bounded),
        cmocka_unit_test(columns_can_be_chosen),
        cmocka_unit_test(damage_is_survived),
        cmocka_unit_test(cells_read_what_they_print),
        cmocka_unit_test(base64_is_that_of_the_rfc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
