/* SPDX-License-Identifier: Apache-2.0 */
/* A program of the tests: turns a table from one file format into the other, so that peers can judge what our library
 * writes and reads. Not installed.
 *
 *   table_convert [--rows N] IN.parquet OUT [COLUMN…]      the named columns, or all
 *   table_convert [--rows N] IN.csv OUT COLUMN:TYPE[?]…    ? = may be null
 *   table_convert --columns IN.parquet                     name, type and what is not supported, a line each
 *
 * OUT ends in .parquet or .csv; --rows is the size of a row group (default 65536). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "table/file.h"

#define COLUMNS_MAX 64

struct choice {
    struct column columns[COLUMNS_MAX];
    size_t chosen[COLUMNS_MAX], count;
};

/* "name:type?" of a CSV file's column, or "name" of a Parquet file's; cut at the colon. */
static struct column column_of(char *text)
{
    struct column c = {.name = text};
    char *type = strchr(text, ':');
    if (type) {
        *type++ = 0;
        c.nullable = strchr(type, '?') != NULL;
        type[strcspn(type, "?")] = 0;
    }
    for (enum column_type t = COLUMN_INT64; type && t < COLUMN_TYPE_END; t++) {
        c.type = strcmp(type, column_type_name(t)) ? c.type : t;
    }
    return c;
}

static void choose(struct choice *c, const struct table_reader *in, size_t index, struct column as)
{
    struct table_reader_column from = table_reader_column(in, index);
    c->columns[c->count] = as;
    c->columns[c->count].name = from.name;
    if (from.type) {
        c->columns[c->count].type = from.type;
        c->columns[c->count].nullable = true;
    }
    c->chosen[c->count++] = index;
}

static void choose_all(struct choice *c, const struct table_reader *in, char **names, int count)
{
    for (size_t i = 0; !count && i < table_reader_column_count(in) && c->count < COLUMNS_MAX; i++) {
        choose(c, in, i, (struct column){0});
    }
    for (int k = 0; k < count; k++) {
        struct column wanted = column_of(names[k]);
        for (size_t i = 0; i < table_reader_column_count(in) && c->count < COLUMNS_MAX; i++) {
            if (!strcmp(table_reader_column(in, i).name, wanted.name)) {
                choose(c, in, i, wanted);
            }
        }
    }
}

static void show_columns(const struct table_reader *in)
{
    for (size_t i = 0; i < table_reader_column_count(in); i++) {
        struct table_reader_column c = table_reader_column(in, i);
        printf("%s %s%s\n", c.name, c.unsupported ? c.unsupported : column_type_name(c.type),
               c.zoneless ? " zoneless" : "");
    }
}

static int copy(struct table_reader *in, struct batch *b, const char *path)
{
    struct table_writer *w = NULL;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), rows = 1;
    int err = fd < 0 ? err_from_errno(errno)
                     : table_writer_new(&w, table_format_of(path), b,
                                        (struct table_sink){table_sink_fd, &fd});
    while (err == ERR_OK && (rows = table_reader_read(in, b)) > 0) {
        err = table_writer_write(w, b);
        batch_clear(b);
    }
    err = err ? err : rows < 0 ? rows : table_writer_finish(w);
    table_writer_free(w);
    if (fd >= 0) {
        close(fd);
    }
    return err;
}

static int convert(struct table_reader *in, const char *path, size_t rows, char **names, int count)
{
    struct choice c = {.count = 0};
    struct batch *b = NULL;
    choose_all(&c, in, names, count);
    int err = table_reader_select(in, c.chosen, c.count);
    err = err ? err : batch_new(&b, c.columns, c.count, rows, (size_t)8 << 20);
    err = err ? err : copy(in, b, path);
    batch_free(b);
    return err;
}

int main(int argc, char **argv)
{
    struct table_problem problem = {""};
    struct table_reader *in = NULL;
    size_t rows = 65536;
    int at = 1;
    bool columns = argc > 1 && !strcmp(argv[1], "--columns");
    if (columns) {
        at = 2;
    } else if (argc > 3 && !strcmp(argv[1], "--rows")) {
        rows = strtoul(argv[2], NULL, 10);
        at = 3;
    }
    if (argc < at + (columns ? 1 : 2)) {
        return 2;
    }
    int err = table_reader_open(&in, argv[at], &problem);
    if (!err && columns) {
        show_columns(in);
    } else if (!err) {
        err = convert(in, argv[at + 1], rows, argv + at + 2, argc - at - 2);
    }
    if (err) {
        fprintf(stderr, "%s: %s\n", err_text(err), problem.text);
    }
    table_reader_close(in);
    return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
