/* SPDX-License-Identifier: Apache-2.0 */
/* What the tables of one query share. One thread, one query, then the process ends: whatever it took goes with it. */
#ifndef ISTHMUS_READER_SQL_SESSION_H
#define ISTHMUS_READER_SQL_SESSION_H

#include <sqlite3.h>

#include "history/series.h"
#include "reader/sql/output.h"
#include "reader/sql/sql.h"

/* What the raw segments hold of some tags. A join reads several at once: each cursor holds its own. */
struct session_tail {
    struct tail tail;
    uint64_t *tags; /* owned: a bit per id */
    uint32_t holders;
    bool open;
};

#define SESSION_TAILS 16u

struct session {
    const struct sql_world *world; /* borrowed */
    const struct sql_query *query; /* borrowed */
    sqlite3 *db;
    struct output output;
    int64_t begun_ns; /* monotonic */
    bool late;        /* its time was over */
    bool declaring;   /* one of our tables is just made known */
    struct history history;
    bool has_history;
    struct block_scratch *scratch; /* owned */
    struct session_tail tails[SESSION_TAILS];
    uint32_t *
        by_path; /* owned: the tags in scope, as indexes of the plan, by path; NULL: not needed yet */
    uint32_t lookups, visible;
};

static inline const struct plan *session_plan(const struct session *s)
{
    return s->world->plan;
}

/* Time is over, not counting what the asker took to take the answer. */
bool session_is_late(struct session *s);
/* The tag at a path as an index of the plan, if it is in scope; UINT32_MAX: none. */
uint32_t session_find(struct session *s, const char *path);
/* The tags in scope by path; *count. NULL: no memory. */
const uint32_t *session_by_path(struct session *s, uint32_t *count);
/* The history with what the raw segments hold of at least these tags (indexes of the plan): SQLITE_OK or an error code. It stays until
 * it is released. */
MUST_USE int session_history(struct session *s, const uint32_t *tags, uint32_t count,
                             struct session_tail **tail);
void session_release(struct session_tail *tail); /* may be NULL */
/* The history alone, as it is now. */
MUST_USE int session_shelf(struct session *s);
/* An error of ours as SQLite's. */
int session_error(int err);

#endif
