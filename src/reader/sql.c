/* SPDX-License-Identifier: Apache-2.0 */
/* Queries in SQL. Each runs in a child of its own (box/child.h), and what the child writes goes on into the answer ring as
 * far as the asker takes it, so that a slow one fills no queue but only stops the child at its pipe. Nothing here looks at
 * the text or at the answer. A child that takes too long, or that nobody waits for any more, is killed. */
#include "reader/core.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GRACE_NS (2 * NS_PER_S)             /* it watches its time itself, and can say so */
#define LIFE_NS  (INT64_C(3600) * NS_PER_S) /* however slowly it is taken */

bool sql_take_text(struct request *r, const uint8_t *text, size_t size)
{
    if (r->ask.kind != ASK_SQL || size > r->sql.text_size - r->text_size) {
        return false;
    }
    if (size && r->text) {
        memcpy(r->text + r->text_size, text, size);
    }
    r->text_size += size;
    return true;
}

bool sql_take_ask(struct request *r, const uint8_t *payload, size_t size)
{
    if (size < sizeof r->sql) {
        return false;
    }
    memcpy(&r->sql, payload, sizeof r->sql);
    if (r->sql.text_size > SQL_TEXT_MAX ||
        (r->sql.format != SQL_JSON && r->sql.format != SQL_CSV)) {
        return false;
    }
    r->take = r->sql.take;
    r->text = malloc(r->sql.text_size + 1);
    return sql_take_text(r, payload + sizeof r->sql, size - sizeof r->sql);
}

static void let_go(struct query *q)
{
    if (q->child.out >= 0) {
        close(q->child.out);
        q->child.out = -1;
    }
    child_kill(&q->child);
    q->wake = -1;
    q->dying = true;
}

void sql_release(struct request *r)
{
    if (r->query) {
        let_go(r->query);
    }
    free(r->text);
    r->query = NULL;
    r->text = NULL;
}

void sql_reap(struct reader_core *core)
{
    for (size_t i = 0; i < QUERIES_MAX; i++) {
        struct query *q = core->queries + i;
        struct child_end end;
        if (q->used && q->dying && child_reap(&q->child, &end)) {
            q->used = false;
        }
    }
}

void sql_fini(struct reader_core *core)
{
    for (size_t i = 0; i < QUERIES_MAX; i++) {
        struct query *q = core->queries + i;
        if (q->used) { /* it was killed */
            child_await(&q->child);
            q->used = false;
        }
    }
}

/* In the child. */
static _Noreturn void run(const struct reader_core *core, const struct request *r, int out)
{
    const struct child_limits limits = {.memory_bytes = SQL_MEMORY,
                                        .cpu_s = r->ask.max_ms / 1000 + 2};
    const struct sql_world world = {.plan = core->plan,
                                    .zones = core->g->zones,
                                    .scope = &r->scope->filter,
                                    .journal = core->journal,
                                    .dir_fd = core->history.dir,
                                    .utc_ns = core->utc_ns};
    const struct sql_query query = {.text = r->text,
                                    .text_size = r->text_size,
                                    .format = (enum sql_format)r->sql.format,
                                    .max_rows = r->ask.max_records,
                                    .max_ms = r->ask.max_ms,
                                    .cut = r->sql.cut != 0};
    int err = child_lock_in(core->history.dir, out, &limits);
    _exit(err ? -err : core->sql(&world, &query, out));
}

/* 0, or why not. */
static int begin(struct reader_core *core, struct request *r)
{
    struct query *q = NULL;
    for (size_t i = 0; i < QUERIES_MAX && !q; i++) {
        q = core->queries[i].used ? NULL : core->queries + i;
    }
    if (!core->sql || !r->text) {
        return core->sql ? ERR_NOMEM : ERR_UNSUPPORTED;
    }
    if (!q) {
        return ERR_BUSY;
    }
    r->ask.max_ms = r->ask.max_ms && r->ask.max_ms < SQL_MS_MAX ? r->ask.max_ms : SQL_MS_MAX;
    r->ask.max_records =
        r->ask.max_records && r->ask.max_records < SQL_ROWS_MAX ? r->ask.max_records : SQL_ROWS_MAX;
    int out = -1;
    *q = (struct query){.begun_ns = core->mono_ns, .seen_ns = core->mono_ns, .wake = -1};
    int forked = child_fork(&q->child, &out);
    if (forked == 0) {
        run(core, r, out);
    }
    if (forked < 0) {
        return forked;
    }
    q->used = true;
    r->query = q;
    return ERR_OK;
}

/* Time that it waits for its asker is not its own. */
static void watch(struct reader_core *core, const struct request *r)
{
    struct query *q = r->query;
    q->worked_ns += q->ready ? core->mono_ns - q->seen_ns : 0;
    q->seen_ns = core->mono_ns;
    q->ready = r->take > 0;
    if (!q->error && (q->worked_ns > r->ask.max_ms * NS_PER_MS + GRACE_NS ||
                      core->mono_ns - q->begun_ns > LIFE_NS)) {
        q->error = ERR_TIMEOUT;
        child_kill(&q->child);
    }
}

/* Passes on what there is. 1: that was all; 0: later. */
static int pass_on(struct reader_core *core, struct link *link, struct request *r)
{
    struct query *q = r->query;
    char bytes[ANSWER_ROW_MAX];
    while (r->take && link_room(link, core)) {
        ssize_t n = read(q->child.out, bytes, r->take < sizeof bytes ? r->take : sizeof bytes);
        if (n <= 0) {
            q->wake = n < 0 ? q->child.out : -1;
            return n == 0 || (errno != EAGAIN && errno != EINTR);
        }
        if (!link_row(link, core, r, bytes, (size_t)n)) {
            return 1; /* can't be: there was room */
        }
        r->take -= (uint64_t)n;
    }
    q->wake = -1;
    return 0;
}

static int error_of(const struct query *q, const struct child_end *end)
{
    return q->error                  ? q->error
           : end->status >= 0        ? -end->status
           : end->status == -SIGXCPU ? ERR_TIMEOUT
                                     : ERR_CLOSED;
}

void answer_sql(struct reader_core *core, struct link *link, struct request *r)
{
    const struct cursor_range none = {0};
    struct child_end end;
    if (r->text_size < r->sql.text_size || !core->journal.epoch) {
        return; /* the text is not here yet, or nothing can be said yet */
    }
    bool begun = r->query != NULL;
    int err = begun ? ERR_OK : begin(core, r);
    if (!begun && !err) {
        flows_query(link, &r->scope->filter);
    }
    if (err) {
        link_end(link, core, r, err, none, false);
        return;
    }
    struct query *q = r->query;
    watch(core, r);
    if (q->child.out >= 0 && pass_on(core, link, r)) {
        close(q->child.out);
        q->child.out = -1;
        q->wake = q->child.pidfd;
    }
    if (q->child.out < 0 && link_room(link, core) && child_reap(&q->child, &end)) {
        link_end(link, core, r, error_of(q, &end), none, false);
        q->used = false;
        r->query = NULL;
    }
}
