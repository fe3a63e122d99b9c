/* SPDX-License-Identifier: Apache-2.0 */
/* The table history: samples tag by tag, within a tag by source time, sealed and raw ones as one. */
#include "reader/sql/table.h"

#include "tag/status.h"

#include <string.h>

struct history_cursor {
    struct table_cursor base;
    struct session_tail *tail; /* held */
    struct series *series;     /* owned; of the tag at `tag`; NULL: not open */
    uint32_t tag;              /* in pick.tags */
    struct piece piece;
    uint32_t at; /* sample of the piece */
};

enum { H_TAG, H_ID, H_TIME, H_NS, H_VALUE, H_STATUS, H_CODE, H_QUALITY };

static const struct column columns[] = {
    [H_TAG] = {"tag", "TEXT", "the tag's path", ROLE_TAG},
    [H_ID] = {"id", "INTEGER", "its permanent number", ROLE_ID},
    [H_TIME] = {"time", "TEXT", "source time, UTC with nine digits", ROLE_TIME},
    [H_NS] = {"ns", "INTEGER", "the same in nanoseconds since 1970", ROLE_TIME},
    [H_VALUE] = {"value", "", "NULL while the status is bad"},
    [H_STATUS] = {"status", "TEXT", "name of the OPC UA StatusCode"},
    [H_CODE] = {"code", "INTEGER", "the StatusCode"},
    [H_QUALITY] = {"quality", "TEXT", "good, uncertain, bad"},
    {0},
};

static enum value_type type_at(const struct history_cursor *c)
{
    const struct plan *plan = session_plan(c->base.session);
    return (enum value_type)plan->tags[c->base.pick.tags[c->tag]].type;
}

/* What need not be decoded is not. */
static unsigned parts_of(const struct history_cursor *c)
{
    uint64_t used = c->base.used;
    bool value = used >> H_VALUE & 1;
    bool status = value || used >> H_STATUS & 1 || used >> H_CODE & 1 || used >> H_QUALITY & 1;
    return BLOCK_TIME | (value ? BLOCK_VALUE : 0) | (status ? BLOCK_STATUS : 0) |
           (value && value_is_long(type_at(c)) ? BLOCK_TEXT : 0);
}

static int open_series(struct history_cursor *c)
{
    struct session *s = c->base.session;
    const struct plan_tag *t = session_plan(s)->tags + c->base.pick.tags[c->tag];
    const struct series_options options = {.tag = t->id,
                                           .type = (enum value_type)t->type,
                                           .from_ns = c->base.pick.from_ns,
                                           .to_ns = c->base.pick.to_ns,
                                           .parts = parts_of(c),
                                           .tail = &c->tail->tail,
                                           .scratch = s->scratch};
    return series_open(&c->series, &s->history, &options);
}

/* To the first sample of the next piece that has any, of this tag or a later one. What was thinned has none. */
static int next_piece(struct history_cursor *c)
{
    for (; c->tag < c->base.pick.count; c->tag++) {
        int state = c->series ? 1 : open_series(c);
        state = state < 0 ? state : 1;
        while (state > 0) {
            if (session_is_late(c->base.session)) {
                return SQLITE_INTERRUPT;
            }
            state = series_next(c->series, NULL, &c->piece);
            if (state > 0 && c->piece.samples && c->piece.from < c->piece.to) {
                c->at = c->piece.from;
                return SQLITE_OK;
            }
        }
        series_close(c->series);
        c->series = NULL;
        if (state < 0) {
            return session_error(state);
        }
    }
    c->base.end = true;
    return SQLITE_OK;
}

static int history_begin(struct table_cursor *base, char **error)
{
    struct history_cursor *c = (struct history_cursor *)base;
    (void)error;
    c->tag = 0;
    if (base->pick.from_ns > base->pick.to_ns || !base->pick.count) {
        base->end = true;
        return SQLITE_OK;
    }
    int err = session_history(base->session, base->pick.tags, base->pick.count, &c->tail);
    return err ? err : next_piece(c);
}

static int history_next(struct table_cursor *base)
{
    struct history_cursor *c = (struct history_cursor *)base;
    return ++c->at < c->piece.to ? SQLITE_OK : next_piece(c);
}

static void history_column(struct table_cursor *base, sqlite3_context *to, int column)
{
    const struct history_cursor *c = (const struct history_cursor *)base;
    const struct block *b = c->piece.samples;
    uint32_t tag = base->pick.tags[c->tag];
    switch (column) {
    case H_TAG:
        column_path(to, base->session, tag);
        break;
    case H_ID:
        sqlite3_result_int64(to, session_plan(base->session)->tags[tag].id);
        break;
    case H_TIME:
        column_time(to, b->time[c->at]);
        break;
    case H_NS:
        sqlite3_result_int64(to, b->time[c->at]);
        break;
    case H_VALUE:
        column_value(to, b->type, (union slot_value){.u64 = b->value[c->at]}, b->status[c->at],
                     b->text ? b->text + b->text_at[c->at] : NULL);
        break;
    case H_STATUS:
        column_constant(to, status_name(b->status[c->at]));
        break;
    case H_CODE:
        sqlite3_result_int64(to, b->status[c->at]);
        break;
    default:
        column_constant(to, quality_name(b->status[c->at]));
    }
}

static void history_fini(struct table_cursor *base)
{
    struct history_cursor *c = (struct history_cursor *)base;
    series_close(c->series);
    c->series = NULL;
    session_release(c->tail);
    c->tail = NULL;
}

const struct table table_history = {
    .name = "history",
    .about = "all samples",
    .columns = columns,
    .rows = 1e9,
    .by_tag = true,
    .cursor_size = sizeof(struct history_cursor),
    .begin = history_begin,
    .next = history_next,
    .column = history_column,
    .fini = history_fini,
};
