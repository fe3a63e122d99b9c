/* SPDX-License-Identifier: Apache-2.0 */
/* One query, from its text to the end of its answer. SQLite is given a database in memory without anything in it; whatever
 * the text says, it may select from our tables, and no more. */
#include "reader/sql/run.h"

#include "base/clock.h"
#include "reader/sql/table.h"
#include "reader/sql/time.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRESS_STEPS 5000       /* of SQLite's machine between two looks at the time */
#define HEAP_BYTES     (24 << 20) /* of SQLite alone; the rest of SQL_MEMORY is for history */

static const struct {
    int id, value;
} limits[] = {
    {SQLITE_LIMIT_LENGTH, 4 << 20},
    {SQLITE_LIMIT_SQL_LENGTH, SQL_TEXT_MAX},
    {SQLITE_LIMIT_COLUMN, 200},
    {SQLITE_LIMIT_EXPR_DEPTH, 100},
    {SQLITE_LIMIT_COMPOUND_SELECT, 50},
    {SQLITE_LIMIT_VDBE_OP, 250000},
    {SQLITE_LIMIT_FUNCTION_ARG, 100},
    {SQLITE_LIMIT_ATTACHED, 0},
    {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000},
    {SQLITE_LIMIT_VARIABLE_NUMBER, 1},
    {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
    {SQLITE_LIMIT_WORKER_THREADS, 0},
};

static bool is_ours(const char *name)
{
    size_t i = 0;
    while (tables[i] && strcmp(tables[i]->name, name) != 0) {
        i++;
    }
    return tables[i] != NULL;
}

/* Of a name without a column and a database nothing is read but how many rows there are; so are common tables named. */
static int authorize(void *context, int action, const char *a, const char *b, const char *database,
                     const char *trigger)
{
    const struct session *s = context;
    (void)trigger;
    if (s->declaring) {
        return SQLITE_OK;
    }
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_READ:
        return is_ours(a) || (!database && !*b) ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_FUNCTION:
        return !strcmp(b, "load_extension") || !strncmp(b, "fts", 3) ? SQLITE_DENY : SQLITE_OK;
    default:
        return SQLITE_DENY;
    }
}

static int on_progress(void *context)
{
    return session_is_late(context);
}

static int open_database(struct session *s)
{
    int ignored;
    int err = sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    err =
        err ? err
            : sqlite3_open_v2(":memory:", &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY, NULL);
    if (err) {
        return err;
    }
    sqlite3_hard_heap_limit64(HEAP_BYTES);
    sqlite3_extended_result_codes(s->db, 0);
    err = sqlite3_exec(s->db, "PRAGMA temp_store = MEMORY", NULL, NULL, NULL);
    const int switches[][2] = {{SQLITE_DBCONFIG_DEFENSIVE, 1},
                               {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                               {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
                               {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
                               {SQLITE_DBCONFIG_DQS_DML, 0},
                               {SQLITE_DBCONFIG_DQS_DDL, 0}};
    for (size_t i = 0; i < sizeof switches / sizeof *switches && !err; i++) {
        err = sqlite3_db_config(s->db, switches[i][0], switches[i][1], &ignored);
    }
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        sqlite3_limit(s->db, limits[i].id, limits[i].value);
    }
    err = err ? err : table_register(s);
    err = err ? err : asof_register(s);
    err = err ? err : time_register(s->db, &s->world->utc_ns);
    err = err ? err : sqlite3_set_authorizer(s->db, authorize, s);
    sqlite3_progress_handler(s->db, PROGRESS_STEPS, on_progress, s);
    return err;
}

/* ---- What went wrong. ---- */

static int say(struct session *s, int err, int offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static int say(struct session *s, int err, int offset, const char *format, ...)
{
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return output_error(&s->output, text, offset) ? 0 : -err;
}

static int fail(struct session *s, int code)
{
    const char *text = s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(code);
    if (s->output.failed) {
        return -ERR_CLOSED;
    }
    if (s->late) {
        return say(s, ERR_TIMEOUT, -1,
                   "the query takes longer than %u s: ask for less, or allow more time",
                   s->query->max_ms / 1000);
    }
    if (code == SQLITE_NOMEM || code == SQLITE_TOOBIG || s->output.text.bad) {
        return say(s, ERR_NOMEM, -1,
                   "the query needs more memory than a query may have (%u MB): ask for less at a "
                   "time, or without sorting",
                   SQL_MEMORY >> 20);
    }
    if (code == SQLITE_AUTH || !strncmp(text, "not authorized", 14)) {
        return say(s, ERR_REFUSED, -1, "%s: queries only read, and only the gateway's own tables",
                   text);
    }
    if (code == SQLITE_IOERR) {
        return say(s, ERR_IO, -1, "the journal's files can't be read");
    }
    return say(s, ERR_MALFORMED, sqlite3_error_offset(s->db), "%s", text);
}

/* ---- */

static int step_through(struct session *s, sqlite3_stmt *statement)
{
    uint32_t rows = 0;
    int state;
    output_head(&s->output, statement);
    while ((state = sqlite3_step(statement)) == SQLITE_ROW) {
        if (rows++ == s->query->max_rows) {
            break;
        }
        if (!output_row(&s->output, statement)) {
            return fail(s, SQLITE_NOMEM);
        }
        if (session_is_late(s)) {
            return fail(s, SQLITE_INTERRUPT);
        }
    }
    if (state == SQLITE_ROW && !s->query->cut) {
        return say(s, ERR_TOO_LONG, -1, "the result has more than %u rows: ask for less at a time",
                   s->query->max_rows);
    }
    if (state != SQLITE_ROW && state != SQLITE_DONE) {
        return fail(s, state);
    }
    output_end(&s->output, state == SQLITE_ROW);
    return s->output.failed ? -ERR_CLOSED : 0;
}

/* Prepares the one statement of the text; comments may follow it. */
static int prepare(struct session *s, sqlite3_stmt **statement, int *second_at)
{
    const char *text = s->query->text, *rest, *end = text + s->query->text_size;
    sqlite3_stmt *second = NULL;
    *second_at = -1;
    int code = sqlite3_prepare_v2(s->db, text, (int)(end - text), statement, &rest);
    if (!code && *statement && rest < end) {
        bool none = !sqlite3_prepare_v2(s->db, rest, (int)(end - rest), &second, NULL) && !second;
        *second_at = none ? -1 : (int)(rest - text);
        sqlite3_finalize(second);
    }
    return code;
}

int sql_run_query(const struct sql_world *world, const struct sql_query *query, int out)
{
    struct session s = {.world = world, .query = query, .begun_ns = clock_mono_ns()};
    sqlite3_stmt *statement = NULL;
    int second_at, result;
    output_init(&s.output, out, query->format);
    int code = open_database(&s);
    if (memchr(query->text, 0, query->text_size)) {
        return say(&s, ERR_MALFORMED, -1, "the text holds a zero byte");
    }
    code = code ? code : prepare(&s, &statement, &second_at);
    if (code) {
        result = fail(&s, code);
    } else if (!statement) {
        result = say(&s, ERR_MALFORMED, -1, "there is no statement in the text");
    } else if (second_at >= 0) {
        result = say(&s, ERR_MALFORMED, second_at,
                     "one statement at a time: something follows the first");
    } else {
        result = step_through(&s, statement);
    }
    sqlite3_finalize(statement);
    return result;
}
