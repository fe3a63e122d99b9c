/* SPDX-License-Identifier: Apache-2.0 */
/* SQL over what the gateway knows, read-only: the one exported function of the module sql.so, which the reader loads and
 * calls in a child of its own for each query (box/child.h). Tables: docs/sql.md. */
#ifndef ISTHMUS_READER_SQL_SQL_H
#define ISTHMUS_READER_SQL_SQL_H

#include "box/link.h"
#include "journal/journal.h"
#include "reader/walk.h"
#include "tag/now.h"

struct sql_world { /* borrowed */
    const struct plan *plan;
    const struct now_table *zones;
    const struct filter *scope; /* what the asker may see */
    struct journal_position journal;
    int dir_fd; /* the journal's folder */
    int64_t utc_ns;
};

struct sql_query {
    const char *text; /* any bytes */
    size_t text_size;
    enum sql_format format;
    uint32_t max_rows, max_ms;
    bool cut; /* more rows than max_rows are cut off, else they are an error */
};

/* Bytes that it may take for all it does. */
#define SQL_MEMORY (56u << 20)

/* Runs the query and writes to `out` what box/link.h says. The child's exit status: 0, or the positive number of an enum
 * err. */
typedef int sql_run(const struct sql_world *world, const struct sql_query *query, int out);
#define SQL_MODULE "sql"
#define SQL_SYMBOL "isthmus_sql"

#endif
