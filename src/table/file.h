/* SPDX-License-Identifier: Apache-2.0 */
/* A table in a file, Parquet or CSV as its name ends: one way to read and to write both. */
#ifndef ISTHMUS_TABLE_FILE_H
#define ISTHMUS_TABLE_FILE_H

#include "table/table.h"

enum table_format { TABLE_CSV = 1, TABLE_PARQUET };

/* By the ending .csv or .parquet; 0: neither. */
enum table_format table_format_of(const char *path);

/* ---- Reading. ---- */

struct table_reader;

struct table_reader_column {
    const char *name;        /* borrowed until table_reader_close */
    enum column_type type;   /* 0: text that is read as whatever the batch's column says (CSV) */
    const char *unsupported; /* why the column can't be read; NULL if it can */
    bool zoneless; /* times that are not said to be UTC: they are handed out as if they were */
};

/* Opens a file whose name ends in .csv or .parquet, and reads the names of its columns. *out is owned by the caller; `problem` is
 * borrowed until table_reader_close and tells, when this or table_reader_read fails, why and where. */
MUST_USE int table_reader_open(struct table_reader **out, const char *path,
                               struct table_problem *problem);
void table_reader_close(struct table_reader *r);

size_t table_reader_column_count(const struct table_reader *r);
struct table_reader_column table_reader_column(const struct table_reader *r, size_t index);

/* Chooses the columns to read, in this order. Before the first table_reader_read. */
MUST_USE int table_reader_select(struct table_reader *r, const size_t *columns, size_t count);

/* Appends rows until the batch is full or the file ends. Returns their number, 0 at the end. */
MUST_USE int table_reader_read(struct table_reader *r, struct batch *into);

/* How much of the file was read, 0 to 1. */
double table_reader_progress(const struct table_reader *r);

/* ---- Writing. ---- */

struct table_writer;

/* Begins a table; `shape` as for parquet_writer_new and csv_writer_new. */
MUST_USE int table_writer_new(struct table_writer **out, enum table_format format,
                              const struct batch *shape, struct table_sink sink);
MUST_USE int table_writer_write(struct table_writer *w, const struct batch *b);
MUST_USE int table_writer_finish(struct table_writer *w);
void table_writer_free(struct table_writer *w);

/* A sink into the descriptor that `context` points to. */
int table_sink_fd(void *context, const void *data, size_t size);

#endif
