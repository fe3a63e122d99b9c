/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a table from CSV (RFC 4180), in order, so that it can come through a pipe. The first row names the columns; their
 * types are those of the batch that is filled, in the forms that csv_write.h writes. Hostile input: a row has at most
 * CSV_ROW_MAX bytes, and every fault ends in an error with a line for a person. */
#ifndef ISTHMUS_TABLE_CSV_READ_H
#define ISTHMUS_TABLE_CSV_READ_H

#include "table/table.h"

#define CSV_ROW_MAX (UINT32_C(1) << 20)

struct csv_reader;

/* Where the text comes from: up to `size` bytes, 0 at the end, or a negative err. */
struct csv_input {
    int (*read)(void *context, void *data, size_t size);
    void *context;
};

/* Reads the header; *out is owned by the caller. `problem` is borrowed until csv_close; it is filled when this, csv_select
 * or csv_read_rows fails for the text's sake. */
MUST_USE int csv_open(struct csv_reader **out, struct csv_input input,
                      struct table_problem *problem);
void csv_close(struct csv_reader *c);

size_t csv_column_count(const struct csv_reader *c);
const char *csv_column_name(const struct csv_reader *c, size_t index);

/* Chooses the columns to read, in this order; without it all are read. The batches of csv_read_rows have these columns. */
MUST_USE int csv_select(struct csv_reader *c, const size_t *columns, size_t count);

/* Appends rows until the batch is full or the text ends. Returns their number, 0 at the end. After an error the rows
 * before it are in the batch. */
MUST_USE int csv_read_rows(struct csv_reader *c, struct batch *into);

#endif
