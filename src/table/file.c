/* SPDX-License-Identifier: Apache-2.0 */
#include "table/file.h"

#include "table/csv_read.h"
#include "table/csv_write.h"
#include "table/parquet_read.h"
#include "table/parquet_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARQUET_MEMORY_MAX ((size_t)256 << 20)

struct table_reader {
    int fd;
    struct csv_reader *csv; /* one of the two */
    struct parquet *parquet;
    uint64_t size, done; /* CSV: bytes; Parquet: rows */
};

struct table_writer {
    struct csv_writer *csv; /* one of the two */
    struct parquet_writer *parquet;
};

static bool ends_in(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);
    return size > end_size && !strcmp(text + size - end_size, end);
}

enum table_format table_format_of(const char *path)
{
    return ends_in(path, ".parquet") ? TABLE_PARQUET : ends_in(path, ".csv") ? TABLE_CSV : 0;
}

static int read_at(void *context, uint64_t offset, void *data, size_t size)
{
    const struct table_reader *r = context;
    uint8_t *at = data;
    while (size) {
        ssize_t got = pread(r->fd, at, size, (off_t)offset);
        if (got <= 0 && !(got < 0 && errno == EINTR)) {
            return got ? err_from_errno(errno) : ERR_SHORT;
        }
        got = got < 0 ? 0 : got;
        at += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return ERR_OK;
}

static int read_on(void *context, void *data, size_t size)
{
    struct table_reader *r = context;
    ssize_t got;
    do {
        got = read(r->fd, data, size);
    } while (got < 0 && errno == EINTR);
    r->done += got > 0 ? (uint64_t)got : 0;
    return got < 0 ? err_from_errno(errno) : (int)got;
}

static int open_kind(struct table_reader *r, const char *path, struct table_problem *problem)
{
    struct stat info;
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0 || fstat(r->fd, &info) != 0) {
        int err = err_from_errno(errno);
        return table_problem_note(problem, err, "can't open it: %s", err_text(err));
    }
    r->size = (uint64_t)info.st_size;
    if (table_format_of(path) == TABLE_CSV) {
        return csv_open(&r->csv, (struct csv_input){read_on, r}, problem);
    }
    int err = parquet_open(&r->parquet, (struct table_source){read_at, r, r->size},
                           PARQUET_MEMORY_MAX, problem);
    r->size = err ? 0 : parquet_rows(r->parquet);
    return err;
}

int table_reader_open(struct table_reader **out, const char *path, struct table_problem *problem)
{
    *out = NULL;
    problem->text[0] = 0;
    if (!table_format_of(path)) {
        return table_problem_note(problem, ERR_UNSUPPORTED,
                                  "its name ends neither in .csv nor in .parquet");
    }
    struct table_reader *r = calloc(1, sizeof *r);
    if (!r) {
        return ERR_NOMEM;
    }
    int err = open_kind(r, path, problem);
    if (err) {
        table_reader_close(r);
        return err;
    }
    *out = r;
    return ERR_OK;
}

void table_reader_close(struct table_reader *r)
{
    if (!r) {
        return;
    }
    csv_close(r->csv);
    parquet_close(r->parquet);
    if (r->fd >= 0) {
        close(r->fd);
    }
    free(r);
}

size_t table_reader_column_count(const struct table_reader *r)
{
    return r->csv ? csv_column_count(r->csv) : parquet_column_count(r->parquet);
}

struct table_reader_column table_reader_column(const struct table_reader *r, size_t index)
{
    if (r->csv) {
        return (struct table_reader_column){.name = csv_column_name(r->csv, index)};
    }
    struct parquet_column c = parquet_column(r->parquet, index);
    return (struct table_reader_column){.name = c.column.name,
                                        .type = c.column.type,
                                        .unsupported = c.unsupported,
                                        .zoneless = c.zoneless};
}

int table_reader_select(struct table_reader *r, const size_t *columns, size_t count)
{
    return r->csv ? csv_select(r->csv, columns, count) : parquet_select(r->parquet, columns, count);
}

int table_reader_read(struct table_reader *r, struct batch *into)
{
    if (r->csv) {
        return csv_read_rows(r->csv, into);
    }
    int rows = parquet_read(r->parquet, into);
    r->done += rows > 0 ? (uint64_t)rows : 0;
    return rows;
}

double table_reader_progress(const struct table_reader *r)
{
    return r->size && r->done < r->size ? (double)r->done / (double)r->size : 1;
}

int table_writer_new(struct table_writer **out, enum table_format format, const struct batch *shape,
                     struct table_sink sink)
{
    *out = NULL;
    struct table_writer *w = calloc(1, sizeof *w);
    if (!w) {
        return ERR_NOMEM;
    }
    int err = format == TABLE_CSV ? csv_writer_new(&w->csv, shape, sink)
                                  : parquet_writer_new(&w->parquet, shape, sink);
    if (err) {
        table_writer_free(w);
        return err;
    }
    *out = w;
    return ERR_OK;
}

int table_writer_write(struct table_writer *w, const struct batch *b)
{
    return w->csv ? csv_write(w->csv, b) : parquet_write(w->parquet, b);
}

int table_writer_finish(struct table_writer *w)
{
    return w->csv ? csv_finish(w->csv) : parquet_finish(w->parquet);
}

void table_writer_free(struct table_writer *w)
{
    if (w) {
        csv_writer_free(w->csv);
        parquet_writer_free(w->parquet);
        free(w);
    }
}

int table_sink_fd(void *context, const void *data, size_t size)
{
    const uint8_t *at = data;
    while (size) {
        ssize_t put = write(*(int *)context, at, size);
        if (put < 0 && errno != EINTR) {
            return err_from_errno(errno);
        }
        put = put < 0 ? 0 : put;
        at += put;
        size -= (size_t)put;
    }
    return ERR_OK;
}
