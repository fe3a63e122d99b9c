/* SPDX-License-Identifier: Apache-2.0 */
/* What we write reads back the same; files that other programs wrote (fuzz/corpus/parquet) read as they should; files
 * that are cut, corrupted or lie end in an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "table/parquet_read.h"
#include "table/parquet_write.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_MAX ((size_t)16 << 20)

static const char *corpus; /* the folder of other programs' files */

struct file {
    uint8_t *data;
    size_t size, capacity;
    size_t full_at; /* writing fails there; 0: never */
};

static int file_write(void *context, const void *data, size_t size)
{
    struct file *f = context;
    if (f->full_at && f->size + size > f->full_at) {
        return ERR_FULL;
    }
    if (f->capacity - f->size < size) {
        f->capacity = (f->size + size) * 2;
        f->data = realloc(f->data, f->capacity);
        assert_non_null(f->data);
    }
    memcpy(f->data + f->size, data, size);
    f->size += size;
    return ERR_OK;
}

static int file_read(void *context, uint64_t offset, void *data, size_t size)
{
    struct file *f = context;
    assert_true(offset <= f->size && size <= f->size - offset);
    memcpy(data, f->data + offset, size);
    return ERR_OK;
}

static struct table_source source_of(struct file *f)
{
    return (struct table_source){.read = file_read, .context = f, .size = f->size};
}

enum { TIME, TAG, VALUE, STATUS, NUMBER, COUNT, FLAG, RAW, SERIAL, COLUMNS };

static const struct column columns[COLUMNS] = {
    [TIME] = {"time", COLUMN_TIME, false},     [TAG] = {"tag", COLUMN_TEXT, false},
    [VALUE] = {"value", COLUMN_DOUBLE, true},  [STATUS] = {"status", COLUMN_UINT32, false},
    [NUMBER] = {"number", COLUMN_INT64, true}, [COUNT] = {"count", COLUMN_UINT64, true},
    [FLAG] = {"flag", COLUMN_BOOL, true},      [RAW] = {"raw", COLUMN_BYTES, true},
    [SERIAL] = {"serial", COLUMN_TEXT, true},
};

static struct batch *make_batch(size_t rows)
{
    struct batch *b;
    assert_int_equal(batch_new(&b, columns, COLUMNS, rows, 1 << 20), ERR_OK);
    return b;
}

static void set_text(struct batch *b, size_t column, const char *text)
{
    assert_int_equal(batch_set_bytes(b, column, text, strlen(text)), ERR_OK);
}

/* Row `i` of a table that has everything: extremes, nulls, NaN, few and many different texts. */
static void add_row(struct batch *b, int64_t i)
{
    static const double doubles[] = {0, -0.0, 1.5, NAN, INFINITY, -INFINITY, 5e-324, 1e308};
    static const int64_t whole[] = {0, -1, INT64_MIN, INT64_MAX, 42};
    char text[32];
    batch_set(b, TIME, (union cell){.i64 = INT64_C(1767225600000000000) + i * 1000003});
    set_text(b, TAG, i % 3 ? "site/area/tag \xc3\xbc" : "");
    if (i % 5) {
        batch_set(b, VALUE, (union cell){.f64 = i % 2 ? doubles[i / 2 % 8] : (double)i / 7});
    }
    batch_set(b, STATUS, (union cell){.u64 = i % 10 ? 0 : UINT32_MAX - (uint32_t)i});
    if (i % 7) {
        batch_set(b, NUMBER, (union cell){.i64 = whole[i % 5]});
        batch_set(b, COUNT, (union cell){.u64 = i % 2 ? UINT64_MAX - (uint64_t)i : (uint64_t)i});
        batch_set(b, FLAG, (union cell){.u64 = i % 4 == 1});
        assert_int_equal(batch_set_bytes(b, RAW, &i, (size_t)(i % 9)), ERR_OK);
    }
    if (i % 1000 < 900) {
        snprintf(text, sizeof text, "serial number %" PRId64, i);
        set_text(b, SERIAL, text);
    }
    batch_end_row(b);
}

static void expect_equal(const struct batch *a, size_t at, const struct batch *b, size_t bt)
{
    assert_int_equal(a->column_count, b->column_count);
    for (size_t i = 0; i < a->column_count; i++) {
        union cell x = a->cells[i][at], y = b->cells[i][bt];
        assert_int_equal(a->present[i][at], b->present[i][bt]);
        if (!a->present[i][at]) {
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

static struct parquet *open_all(struct file *f, struct table_problem *problem)
{
    struct parquet *p;
    size_t all[COLUMNS];
    if (parquet_open(&p, source_of(f), MEMORY_MAX, problem) != ERR_OK) {
        return NULL;
    }
    for (size_t i = 0; i < COLUMNS; i++) {
        all[i] = i;
    }
    assert_int_equal(parquet_column_count(p), COLUMNS);
    assert_int_equal(parquet_select(p, all, COLUMNS), ERR_OK);
    return p;
}

/* Writes `rows` rows of the table in row groups of `group`. */
static struct file write_table(size_t rows, size_t group)
{
    struct file f = {0};
    struct batch *b = make_batch(group);
    struct parquet_writer *w;
    assert_int_equal(parquet_writer_new(&w, b, (struct table_sink){file_write, &f}), ERR_OK);
    for (size_t i = 0; i < rows; i++) {
        add_row(b, (int64_t)i);
        if (batch_is_full(b) || i + 1 == rows) {
            assert_int_equal(parquet_write(w, b), ERR_OK);
            batch_clear(b);
        }
    }
    assert_int_equal(parquet_write(w, b), ERR_OK); /* an empty one */
    assert_int_equal(parquet_finish(w), ERR_OK);
    parquet_writer_free(w);
    batch_free(b);
    return f;
}

static void check_table(size_t rows, size_t group, size_t take)
{
    struct file f = write_table(rows, group);
    struct table_problem problem;
    struct parquet *p = open_all(&f, &problem);
    struct batch *got = make_batch(take), *wanted = make_batch(take);
    size_t at = 0;
    int n;
    assert_non_null(p);
    assert_int_equal(parquet_rows(p), rows);
    for (size_t i = 0; i < COLUMNS; i++) {
        struct parquet_column c = parquet_column(p, i);
        assert_string_equal(c.column.name, columns[i].name);
        assert_int_equal(c.column.type, columns[i].type);
        assert_int_equal(c.column.nullable, columns[i].nullable);
        assert_false(c.zoneless || c.unsupported);
    }
    while ((n = parquet_read(p, got)) > 0) {
        for (size_t i = 0; i < (size_t)n; i++) {
            add_row(wanted, (int64_t)at++);
            expect_equal(got, i, wanted, i);
        }
        batch_clear(got);
        batch_clear(wanted);
    }
    assert_int_equal(n, 0);
    assert_int_equal(at, rows);
    parquet_close(p);
    batch_free(got);
    batch_free(wanted);
    free(f.data);
}

static void what_was_written_reads_back(void **state)
{
    (void)state;
    static const size_t cases[][3] = {{0, 10, 10},    {1, 1, 1},           {1, 10, 3},
                                      {9, 3, 100},    {1000, 64, 33},      {5000, 5000, 700},
                                      {5000, 999, 1}, {40000, 20000, 5000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_table(cases[i][0], cases[i][1], cases[i][2]);
    }
}

static void columns_can_be_chosen(void **state)
{
    (void)state;
    struct file f = write_table(50, 20);
    struct table_problem problem;
    struct parquet *p = open_all(&f, &problem);
    const size_t chosen[] = {STATUS, TIME};
    const struct column two[] = {columns[STATUS], columns[TIME]};
    struct batch *b, *all = make_batch(50);
    assert_int_equal(batch_new(&b, two, 2, 100, 0), ERR_OK);
    assert_int_equal(parquet_select(p, chosen, 2), ERR_OK);
    assert_int_equal(parquet_read(p, all), ERR_RANGE);
    assert_int_equal(parquet_read(p, b), 50);
    for (size_t i = 0; i < 50; i++) {
        add_row(all, (int64_t)i);
        assert_true(b->cells[0][i].u64 == all->cells[STATUS][i].u64);
        assert_true(b->cells[1][i].i64 == all->cells[TIME][i].i64);
    }
    parquet_close(p);
    batch_free(b);
    batch_free(all);
    free(f.data);
}

static void a_batch_is_bounded(void **state)
{
    (void)state;
    static char longest[TABLE_TEXT_MAX + 1];
    struct batch *b;
    assert_int_equal(batch_new(&b, columns, 0, 1, 0), ERR_RANGE);
    assert_int_equal(batch_new(&b, columns, COLUMNS, 0, 0), ERR_RANGE);
    assert_int_equal(batch_new(&b, columns, COLUMNS, TABLE_ROWS_MAX + 1, 0), ERR_RANGE);
    assert_int_equal(batch_new(&b, columns, COLUMNS, 10, 0), ERR_OK);
    memset(longest, 'x', sizeof longest);
    assert_int_equal(batch_set_bytes(b, TAG, longest, sizeof longest), ERR_TOO_LONG);
    assert_int_equal(batch_set_bytes(b, TAG, longest, TABLE_TEXT_MAX), ERR_OK);
    assert_int_equal(batch_set_bytes(b, SERIAL, longest, TABLE_TEXT_MAX), ERR_OK);
    assert_int_equal(batch_set_bytes(b, RAW, longest, TABLE_TEXT_MAX), ERR_OK);
    assert_false(b->heap_used > b->heap_capacity);
    batch_end_row(b);
    assert_true(batch_is_full(b));
    batch_clear(b);
    assert_false(batch_is_full(b));
    assert_int_equal(b->present[TAG][0], 0);
    assert_int_equal(batch_rows_for(10, 65536, 90000), 1000);
    assert_int_equal(batch_rows_for(10, 500, 90000), 500);
    assert_int_equal(batch_rows_for(10, 500, 1), 1);
    batch_free(b);
}

static void a_null_where_none_may_be_is_refused(void **state)
{
    (void)state;
    struct file f = {0};
    struct batch *b = make_batch(10);
    struct parquet_writer *w;
    assert_int_equal(parquet_writer_new(&w, b, (struct table_sink){file_write, &f}), ERR_OK);
    batch_set(b, TIME, (union cell){.i64 = 1});
    batch_end_row(b);
    assert_int_equal(parquet_write(w, b), ERR_TYPE);
    assert_int_equal(parquet_finish(w), ERR_IO);
    parquet_writer_free(w);
    batch_free(b);
    free(f.data);
}

/* Wherever the disk is full, somebody is told. */
static void a_sink_that_fails_is_reported(void **state)
{
    (void)state;
    struct file whole = write_table(30, 10);
    for (size_t full = 1; full < whole.size; full += 7) {
        struct file f = {.full_at = full};
        struct batch *b = make_batch(10);
        struct parquet_writer *w;
        int err = parquet_writer_new(&w, b, (struct table_sink){file_write, &f});
        for (int64_t i = 0; i < 30 && err == ERR_OK; i++) {
            add_row(b, i);
            if (batch_is_full(b)) {
                err = parquet_write(w, b);
                batch_clear(b);
            }
        }
        err = err ? err : parquet_finish(w);
        assert_int_equal(err, ERR_FULL);
        parquet_writer_free(w);
        batch_free(b);
        free(f.data);
    }
    free(whole.data);
}

static struct file load(const char *name)
{
    char path[4096];
    struct file f = {0};
    snprintf(path, sizeof path, "%s/%s", corpus, name);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    f.data = malloc(65536);
    assert_non_null(f.data);
    f.size = fread(f.data, 1, 65536, in);
    fclose(in);
    return f;
}

/* The table that DuckDB and pyarrow wrote into these files, with all their encodings. */
static void check_foreign(struct parquet *p)
{
    static const struct column wanted[] = {{"t", COLUMN_TIME, true},  {"x", COLUMN_DOUBLE, true},
                                           {"n", COLUMN_INT64, true}, {"s", COLUMN_TEXT, true},
                                           {"b", COLUMN_BOOL, true},  {"f", COLUMN_DOUBLE, true},
                                           {"u", COLUMN_UINT32, true}};
    const size_t all[] = {0, 1, 2, 3, 4, 5, 6};
    struct batch *b;
    assert_int_equal(parquet_column_count(p), 7);
    for (size_t i = 0; i < 7; i++) {
        struct parquet_column c = parquet_column(p, i);
        assert_string_equal(c.column.name, wanted[i].name);
        assert_int_equal(c.column.type, wanted[i].type);
        assert_null(c.unsupported);
    }
    assert_int_equal(batch_new(&b, wanted, 7, 1000, 1 << 16), ERR_OK);
    assert_int_equal(parquet_select(p, all, 7), ERR_OK);
    assert_int_equal(parquet_read(p, b), 100);
    for (int64_t i = 0; i < 100; i++) {
        char text[16];
        int size = snprintf(text, sizeof text, "text %d", (int)(i % 7));
        assert_true(b->cells[0][i].i64 == INT64_C(1767225600000000000) + i * 1000000);
        assert_int_equal(b->present[1][i], i % 5 != 0);
        assert_true(i % 5 == 0 || b->cells[1][i].f64 == (double)i * 1.25);
        assert_int_equal(b->present[2][i], i % 3 != 0);
        assert_true(i % 3 == 0 ||
                    b->cells[2][i].i64 == (i % 2 ? -i : i) * INT64_C(1000000000000000));
        assert_int_equal(b->cells[3][i].bytes.size, size);
        assert_memory_equal(batch_bytes(b, b->cells[3][i]), text, (size_t)size);
        assert_int_equal(b->cells[4][i].u64, i % 2 == 0);
        assert_true(b->cells[5][i].f64 == (double)i / 8);
        assert_true(b->cells[6][i].u64 == (uint64_t)i * 40000000);
    }
    batch_free(b);
}

static void files_of_other_programs_are_read(void **state)
{
    (void)state;
    static const char *const names[] = {"duckdb_v1_snappy", "duckdb_v2_zstd", "pyarrow_v1_snappy",
                                        "pyarrow_v2_zstd", "pyarrow_encodings"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct file f = load(names[i]);
        struct table_problem problem;
        struct parquet *p;
        assert_int_equal(parquet_open(&p, source_of(&f), MEMORY_MAX, &problem), ERR_OK);
        check_foreign(p);
        parquet_close(p);
        free(f.data);
    }
}

/* Reads the first column: the text of the problem, which lasts until the next call. */
static const char *why_refused(const char *name, size_t memory)
{
    static struct table_problem problem;
    struct file f = load(name);
    struct parquet *p;
    struct batch *b = NULL;
    int err = parquet_open(&p, source_of(&f), memory, &problem);
    if (err == ERR_OK) {
        err = parquet_select(p, (const size_t[]){0}, 1);
    }
    if (err == ERR_OK) {
        struct column c = parquet_column(p, 0).column;
        assert_int_equal(batch_new(&b, &c, 1, 1000, 1000), ERR_OK);
        err = parquet_read(p, b);
    }
    assert_true(err < 0);
    batch_free(b);
    parquet_close(p);
    free(f.data);
    return problem.text;
}

static void what_is_not_supported_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *file, *what, *where;
    } cases[] = {
        {"refused_gzip", "GZIP", "row group 1, column 's'"},
        {"refused_delta_byte_array", "DELTA_BYTE_ARRAY", "row group 1, column 's'"},
        {"refused_int96", "INT96", "column 't'"},
        {"refused_odd_columns", "DECIMAL", "column 'a'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *why = why_refused(cases[i].file, MEMORY_MAX);
        assert_non_null(strstr(why, cases[i].what));
        assert_non_null(strstr(why, cases[i].where));
    }
    assert_non_null(strstr(why_refused("duckdb_v1_snappy", 600), "memory"));
    assert_non_null(strstr(why_refused("pyarrow_v2_zstd", 1500), "memory"));
}

/* Columns that can't be read don't keep the others from being read. */
static void the_other_columns_are_read(void **state)
{
    (void)state;
    static const char *const why[] = {"DECIMAL", "nested", "nested", "FIXED", "TIME", NULL};
    struct file f = load("refused_odd_columns");
    struct table_problem problem;
    struct parquet *p;
    struct batch *b;
    const struct column fine = {"fine", COLUMN_INT64, true};
    assert_int_equal(parquet_open(&p, source_of(&f), MEMORY_MAX, &problem), ERR_OK);
    assert_int_equal(parquet_column_count(p), 6);
    for (size_t i = 0; i < 6; i++) {
        const char *unsupported = parquet_column(p, i).unsupported;
        assert_true(why[i] ? strstr(unsupported, why[i]) != NULL : unsupported == NULL);
    }
    assert_int_equal(parquet_select(p, (const size_t[]){5}, 1), ERR_OK);
    assert_int_equal(batch_new(&b, &fine, 1, 10, 0), ERR_OK);
    assert_int_equal(parquet_read(p, b), 2);
    assert_int_equal(b->cells[0][1].i64, 7);
    batch_free(b);
    parquet_close(p);
    free(f.data);
}

/* Opens the file and reads whatever it claims to hold, bounded. Returns the number of rows or an error, which comes with a
 * line for a person. */
static int read_whatever(struct file *f)
{
    struct table_problem problem;
    struct parquet *p;
    struct column some[COLUMNS];
    size_t chosen[COLUMNS], count = 0;
    struct batch *b = NULL;
    int rows = 0, n = 0, err = parquet_open(&p, source_of(f), MEMORY_MAX, &problem);
    for (size_t i = 0; err == ERR_OK && i < parquet_column_count(p) && count < COLUMNS; i++) {
        if (!parquet_column(p, i).unsupported) {
            some[count] = parquet_column(p, i).column;
            chosen[count++] = i;
        }
    }
    if (err == ERR_OK && count) {
        assert_int_equal(parquet_select(p, chosen, count), ERR_OK);
        assert_int_equal(batch_new(&b, some, count, 100, 1000), ERR_OK);
        while (rows < 1000 && (n = parquet_read(p, b)) > 0) {
            rows += n;
            batch_clear(b);
        }
    }
    err = err ? err : n;
    assert_true(err >= 0 || problem.text[0]);
    batch_free(b);
    parquet_close(p);
    return err < 0 ? err : rows;
}

/* The bytes lie in memory of exactly their size, so that a sanitizer sees what is read beyond them. */
static void cut_and_corrupt(const struct file *good)
{
    for (size_t size = 0; size < good->size; size++) {
        struct file f = {.data = malloc(size + 1), .size = size};
        assert_non_null(f.data);
        memcpy(f.data, good->data, size);
        assert_true(read_whatever(&f) < 0);
        free(f.data);
    }
    for (size_t i = 0; i < good->size; i++) {
        static const uint8_t changes[] = {0x01, 0x80, 0xff};
        for (size_t k = 0; k < sizeof changes; k++) {
            good->data[i] ^= changes[k];
            struct file f = {.data = good->data, .size = good->size};
            assert_true(read_whatever(&f) <= 1000);
            good->data[i] ^= changes[k];
        }
    }
}

static void damage_is_survived(void **state)
{
    (void)state;
    static const char *const names[] = {"duckdb_v1_snappy", "duckdb_v2_zstd", "pyarrow_encodings"};
    struct file f = write_table(60, 30);
    cut_and_corrupt(&f);
    free(f.data);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        f = load(names[i]);
        cut_and_corrupt(&f);
        free(f.data);
    }
}

/* Our pages carry checksums: damage to one is always found. */
static void damage_to_our_pages_is_found(void **state)
{
    (void)state;
    struct file f = write_table(400, 400);
    size_t footer = f.data[f.size - 8] | (size_t)f.data[f.size - 7] << 8;
    size_t found = 0, pages = f.size - 8 - footer;
    for (size_t i = 4; i < pages; i++) {
        f.data[i] ^= 0x10;
        found += read_whatever(&f) < 0;
        f.data[i] ^= 0x10;
    }
    /* What goes unseen are bits of page heads that nobody reads. */
    assert_true(found > (pages - 4) * 95 / 100);
    free(f.data);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_reads_back),
        cmocka_unit_test(columns_can_be_chosen),
        cmocka_unit_test(a_batch_is_bounded),
        cmocka_unit_test(a_null_where_none_may_be_is_refused),
        cmocka_unit_test(a_sink_that_fails_is_reported),
        cmocka_unit_test(files_of_other_programs_are_read),
        cmocka_unit_test(what_is_not_supported_is_named),
        cmocka_unit_test(the_other_columns_are_read),
        cmocka_unit_test(damage_is_survived),
        cmocka_unit_test(damage_to_our_pages_is_found),
    };
    if (argc != 2) {
        fprintf(stderr, "usage: parquet_test CORPUS\n");
        return 2;
    }
    corpus = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
