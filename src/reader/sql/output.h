/* SPDX-License-Identifier: Apache-2.0 */
/* A query's result as bytes: JSON {"columns":[…],"rows":[[…],…],"more":false} or CSV with a head line (DESIGN, "what a value looks
 * like outside"), written to a pipe in large pieces, but not held back for long. Until the first piece is gone an error can
 * take the result's place; later it ends it. */
#ifndef ISTHMUS_READER_SQL_OUTPUT_H
#define ISTHMUS_READER_SQL_OUTPUT_H

#include <sqlite3.h>

#include "base/json.h"
#include "box/link.h"

struct output {
    int fd;
    enum sql_format format;
    struct json text; /* owned: what is not written yet */
    bool begun;       /* something was written: it is too late for an error alone */
    bool failed;      /* nobody takes it any more */
    int64_t written_ns, waited_ns;
};

void output_init(struct output *o, int fd, enum sql_format format);
void output_fini(struct output *o);
void output_head(struct output *o, sqlite3_stmt *statement);
/* False: it can't go on. */
bool output_row(struct output *o, sqlite3_stmt *statement);
void output_end(struct output *o, bool more);
/* Instead of the rest. True: it stands in a whole document; false: it stands alone, or only the end can tell of it. offset
 * -1: not known. */
bool output_error(struct output *o, const char *message, int offset);

#endif
