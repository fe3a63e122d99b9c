/* SPDX-License-Identifier: Apache-2.0 */
/* Which part of a table a query wants: what of its conditions the table itself obeys. SQLite's planner names the conditions
 * (xBestIndex), pick_plan writes down those that we obey in words, which `EXPLAIN QUERY PLAN` shows; with the values at hand
 * pick_read makes a choice of tags and a stretch of time of them. */
#ifndef ISTHMUS_READER_SQL_PICK_H
#define ISTHMUS_READER_SQL_PICK_H

#include "reader/sql/session.h"

/* What a column means for a choice. */
enum role {
    ROLE_NONE,
    ROLE_TAG,       /* a tag's path: =, IN, LIKE, GLOB */
    ROLE_ID,        /* a tag's id: =, IN */
    ROLE_TIME,      /* a time as text or in ns: =, <, <=, >, >=, BETWEEN */
    ROLE_STEP,      /* a parameter: = only, and always given */
    ROLE_AGGREGATE, /* likewise */
};

struct column {
    const char *name, *type, *about;
    enum role role;
    bool hidden;
};

struct pick {
    uint32_t *tags; /* owned: indexes of the plan, ascending by id */
    uint32_t count;
    int64_t from_ns, to_ns;          /* both inclusive; from > to: nothing */
    sqlite3_value *step, *aggregate; /* borrowed until xFilter returns; NULL: not given */
};

/* `by_tag`: rows come tag by tag, within a tag by time. `rows`: how many there may be. */
int pick_plan(const struct column *columns, double rows, bool by_tag, sqlite3_index_info *info);
/* SQLITE_OK, or an error whose text is in *error (sqlite3_free). pick_fini in any case. */
int pick_read(struct pick *p, struct session *s, const char *words, sqlite3_value **values,
              char **error);
void pick_fini(struct pick *p);

#endif
