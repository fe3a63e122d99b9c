/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a table as a Parquet file (apache/parquet-format), in order, so that it can go to a pipe. Each batch becomes a
 * row group: one data page a column (version 1), zstd, with minimum, maximum and count of nulls. Integers and times are
 * DELTA_BINARY_PACKED; doubles, texts and bytes get a dictionary where that halves them, else they are PLAIN; bools are
 * PLAIN. Times are TIMESTAMP(UTC, nanoseconds).
 *
 * Memory: some three times a batch's largest column, and about 200 bytes per row group and column for the footer. */
#ifndef ISTHMUS_TABLE_PARQUET_WRITE_H
#define ISTHMUS_TABLE_PARQUET_WRITE_H

#include "table/table.h"

struct parquet_writer;

/* Begins a file for batches with the columns and at most the size of `shape`, which is borrowed for the call only. *out
 * is owned by the caller. What the sink returns as an error is given back by the call that ran into it; then the file is
 * lost and the writer can only be freed. */
MUST_USE int parquet_writer_new(struct parquet_writer **out, const struct batch *shape,
                                struct table_sink sink);
/* Writes the batch as a row group; an empty one writes nothing. A null in a column that isn't nullable is ERR_TYPE. */
MUST_USE int parquet_write(struct parquet_writer *w, const struct batch *b);
/* Ends the file with its footer: without it nobody can read it. */
MUST_USE int parquet_finish(struct parquet_writer *w);
void parquet_writer_free(struct parquet_writer *w);

#endif
