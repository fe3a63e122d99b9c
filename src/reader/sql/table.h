/* SPDX-License-Identifier: Apache-2.0 */
/* A table of SQL: its columns as data, and four functions over a cursor. table.c makes an SQLite virtual table of it. */
#ifndef ISTHMUS_READER_SQL_TABLE_H
#define ISTHMUS_READER_SQL_TABLE_H

#include "reader/sql/pick.h"

struct table_cursor { /* begins each table's own */
    sqlite3_vtab_cursor base;
    struct session *session;
    struct pick pick;
    uint64_t used; /* a bit per column that the query looks at */
    bool end;
    sqlite3_int64 row;
};

struct table {
    const char *name, *about;
    const struct column *columns; /* until one without a name */
    double rows;                  /* a guess */
    bool by_tag;                  /* rows come tag by tag, within a tag by time */
    size_t cursor_size;
    /* Goes to the first row of cursor->pick; the cursor may have been used before. *error as in pick_read. */
    int (*begin)(struct table_cursor *c, char **error);
    int (*next)(struct table_cursor *c); /* sets c->end behind the last */
    void (*column)(struct table_cursor *c, sqlite3_context *to, int column);
    void (*fini)(struct table_cursor *c); /* what begin took; may be NULL */
};

extern const struct table table_history, table_sampled, table_latest, table_tags, table_assets,
    table_ledger, table_events, table_gaps, table_columns;
extern const struct table *const tables[]; /* all, until NULL */

/* Makes them known to the session's database. */
int table_register(struct session *s);

/* asof.c: the function asof(tag, time). */
int asof_register(struct session *s);

/* Columns that several tables have. */
void column_path(sqlite3_context *to, const struct session *s, uint32_t tag);
void column_time(sqlite3_context *to, int64_t ns);
/* Texts and bytes from `text`. Bad status: NULL. */
void column_value(sqlite3_context *to, enum value_type type, union slot_value value,
                  uint32_t status, const uint8_t *text);
const char *quality_name(uint32_t status);
/* A text of the plan, or a constant. */
void column_constant(sqlite3_context *to, const char *text);

#endif
