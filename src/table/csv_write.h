/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a table as CSV (RFC 4180), in order: a header of column names, then rows. Numbers shortest round trip, NaN and
 * infinities by name, bool true/false, bytes base64, time RFC 3339 with nine digits. Null is an empty field, an empty
 * text is "". */
#ifndef ISTHMUS_TABLE_CSV_WRITE_H
#define ISTHMUS_TABLE_CSV_WRITE_H

#include "table/table.h"

struct csv_writer;

/* Begins a table with the columns of `shape`, which is borrowed for the call only; writes its header. *out is owned by the
 * caller. What the sink returns as an error is given back by the call that ran into it. */
MUST_USE int csv_writer_new(struct csv_writer **out, const struct batch *shape,
                            struct table_sink sink);
/* Writes the batch's rows; its columns are those of `shape`. */
MUST_USE int csv_write(struct csv_writer *w, const struct batch *b);
/* Hands the last bytes to the sink. */
MUST_USE int csv_finish(struct csv_writer *w);
void csv_writer_free(struct csv_writer *w);

#endif
