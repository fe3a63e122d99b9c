/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a table from a Parquet file of any writer (apache/parquet-format): flat columns, with or without nulls; data
 * pages of version 1 and 2; PLAIN, dictionaries, RLE, DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY, BYTE_STREAM_SPLIT;
 * UNCOMPRESSED, SNAPPY, ZSTD. What else there is is refused by name. Hostile input: memory is bounded, and every fault
 * ends in an error with a line for a person.
 *
 * Types: all signed integers become int64, unsigned ones uint32 or uint64, floats double, dates and timestamps of any
 * unit time; strings, enums and JSON text; other byte arrays bytes. */
#ifndef ISTHMUS_TABLE_PARQUET_READ_H
#define ISTHMUS_TABLE_PARQUET_READ_H

#include "table/table.h"

struct parquet;

struct parquet_column {
    struct column column;    /* the name is borrowed until parquet_close */
    const char *unsupported; /* why the column can't be read; NULL if it can */
    bool zoneless; /* times that are not said to be UTC: they are handed out as if they were */
};

/* Opens a file and reads its footer; *out is owned by the caller. `problem` is borrowed until parquet_close; it is
 * filled when this or parquet_read fails for the file's sake. */
MUST_USE int parquet_open(struct parquet **out, struct table_source file, size_t memory_max,
                          struct table_problem *problem);
void parquet_close(struct parquet *p);

size_t parquet_column_count(const struct parquet *p);
struct parquet_column parquet_column(const struct parquet *p, size_t index);
uint64_t parquet_rows(const struct parquet *p); /* as the file says: for a progress bar */

/* Chooses the columns to read, in this order; the batches of parquet_read have these columns and types. Before the first
 * parquet_read. ERR_UNSUPPORTED, with the problem noted, if one can't be read. */
MUST_USE int parquet_select(struct parquet *p, const size_t *columns, size_t count);

/* Appends rows until the batch is full or the file ends. Returns their number, 0 at the end. After an error the rows
 * before it are in the batch. */
MUST_USE int parquet_read(struct parquet *p, struct batch *into);

#endif
