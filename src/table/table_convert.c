/* SPDX-License-Identifier: Apache-2.0 */
/* A program of the tests: turns a table from one file format into the other, so that peers can judge what our library
 * writes and reads. Not installed.
 *
 *   table_convert IN.parquet OUT [COLUMN…]      the named columns, or all
 *   table_convert IN.csv OUT COLUMN:TYPE[?]…    ? = may be null
 *   table_convert --columns IN.parquet          name, type and what is not supported, a line each
 *
 * OUT ends in .parquet or .csv. Options: --rows N of a row group (default 65536). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "table/csv_read.h"
#include "table/csv_write.h"
#include "table/parquet_read.h"
#include "table/parquet_write.h"

#define COLUMNS_MAX 64

static struct table_problem problem;
static size_t row_group = 65536;

static int read_at(void *context, uint64_t offset, void *data, size_t size)
{
    ssize_t got = pread(*(int *)context, data, size, (off_t)offset);
    return got == (ssize_t)size ? ERR_OK : got < 0 ? err_from_errno(errno) : ERR_SHORT;
}

static int read_on(void *context, void *data, size_t size)
{
    ssize_t got = read(*(int *)context, data, size);
    return got < 0 ? err_from_errno(errno) : (int)got;
}

static int write_on(void *context, const void *data, size_t size)
{
    const char *at = data;
    while (size) {
        ssize_t put = write(*(int *)context, at, size);
        if (put < 0) {
            return err_from_errno(errno);
        }
        at += put;
        size -= (size_t)put;
    }
    return ERR_OK;
}

static bool ends_in(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);
    return a >= b && !strcmp(text + a - b, end);
}

/* Either kind of file, as one thing to read from. */
struct input {
    int file;
    struct parquet *parquet;
    struct csv_reader *csv;
    struct column columns[COLUMNS_MAX];
    size_t chosen[COLUMNS_MAX], count;
};

static int choose_parquet(struct input *in, char **names, int count)
{
    for (size_t i = 0; i < parquet_column_count(in->parquet) && i < COLUMNS_MAX; i++) {
        struct parquet_column c = parquet_column(in->parquet, i);
        bool wanted = count == 0;
        for (int k = 0; k < count; k++) {
            wanted |= !strcmp(names[k], c.column.name);
        }
        if (wanted) {
            in->columns[in->count] = c.column;
            in->chosen[in->count++] = i;
        }
    }
    return parquet_select(in->parquet, in->chosen, in->count);
}

static int choose_csv(struct input *in, char **names, int count)
{
    for (int k = 0; k < count && k < COLUMNS_MAX; k++) {
        char *type = strchr(names[k], ':');
        struct column *c = &in->columns[k];
        if (!type) {
            return ERR_CONFIG;
        }
        *type++ = 0;
        c->name = names[k];
        c->nullable = ends_in(type, "?");
        for (enum column_type t = COLUMN_INT64; t < COLUMN_TYPE_END; t++) {
            if (!strncmp(type, column_type_name(t), strlen(column_type_name(t)))) {
                c->type = t;
            }
        }
        for (size_t i = 0; i < csv_column_count(in->csv); i++) {
            if (!strcmp(csv_column_name(in->csv, i), c->name)) {
                in->chosen[k] = i;
            }
        }
        in->count++;
    }
    return csv_select(in->csv, in->chosen, in->count);
}

static int open_input(struct input *in, const char *path)
{
    struct stat info;
    in->file = open(path, O_RDONLY | O_CLOEXEC);
    if (in->file < 0 || fstat(in->file, &info) != 0) {
        return err_from_errno(errno);
    }
    if (ends_in(path, ".csv")) {
        return csv_open(&in->csv, (struct csv_input){read_on, &in->file}, &problem);
    }
    struct table_source source = {read_at, &in->file, (uint64_t)info.st_size};
    return parquet_open(&in->parquet, source, (size_t)256 << 20, &problem);
}

static int show_columns(const struct input *in)
{
    for (size_t i = 0; i < parquet_column_count(in->parquet); i++) {
        struct parquet_column c = parquet_column(in->parquet, i);
        printf("%s %s%s%s\n", c.column.name,
               c.unsupported ? c.unsupported : column_type_name(c.column.type),
               !c.unsupported && c.column.nullable ? "?" : "", c.zoneless ? " zoneless" : "");
    }
    return ERR_OK;
}

static int take(struct input *in, struct batch *b)
{
    batch_clear(b);
    return in->parquet ? parquet_read(in->parquet, b) : csv_read_rows(in->csv, b);
}

static int to_parquet(struct input *in, struct batch *b, struct table_sink sink)
{
    struct parquet_writer *w;
    int err = parquet_writer_new(&w, b, sink), rows = 1;
    while (err == ERR_OK && (rows = take(in, b)) > 0) {
        err = parquet_write(w, b);
    }
    err = err ? err : rows < 0 ? rows : parquet_finish(w);
    parquet_writer_free(w);
    return err;
}

static int to_csv(struct input *in, struct batch *b, struct table_sink sink)
{
    struct csv_writer *w;
    int err = csv_writer_new(&w, b, sink), rows = 1;
    while (err == ERR_OK && (rows = take(in, b)) > 0) {
        err = csv_write(w, b);
    }
    err = err ? err : rows < 0 ? rows : csv_finish(w);
    csv_writer_free(w);
    return err;
}

static int convert(struct input *in, const char *path)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    struct table_sink sink = {write_on, &file};
    struct batch *b = NULL;
    int err = file < 0 ? err_from_errno(errno) : ERR_OK;
    err = err ? err : batch_new(&b, in->columns, in->count, row_group, (size_t)8 << 20);
    if (err == ERR_OK) {
        err = ends_in(path, ".csv") ? to_csv(in, b, sink) : to_parquet(in, b, sink);
    }
    batch_free(b);
    if (file >= 0) {
        close(file);
    }
    return err;
}

int main(int argc, char **argv)
{
    struct input in = {.file = -1};
    int at = 1, err = ERR_CONFIG;
    bool columns = argc > 1 && !strcmp(argv[1], "--columns");
    if (columns) {
        at = 2;
    } else if (argc > 3 && !strcmp(argv[1], "--rows")) {
        row_group = strtoul(argv[2], NULL, 10);
        at = 3;
    }
    if (argc > at) {
        err = open_input(&in, argv[at]);
    }
    if (err == ERR_OK && columns) {
        err = show_columns(&in);
    } else if (err == ERR_OK && argc > at + 1) {
        err = in.parquet ? choose_parquet(&in, argv + at + 2, argc - at - 2)
                         : choose_csv(&in, argv + at + 2, argc - at - 2);
        err = err ? err : convert(&in, argv[at + 1]);
    }
    if (err) {
        fprintf(stderr, "%s: %s\n", err_text(err), problem.text);
    }
    parquet_close(in.parquet);
    csv_close(in.csv);
    if (in.file >= 0) {
        close(in.file);
    }
    return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
