/* SPDX-License-Identifier: Apache-2.0 */
/* Tables from *now*: latest, and the ledger. */
#include "reader/sql/table.h"

#include "tag/status.h"

#include <string.h>

struct now_cursor {
    struct table_cursor base;
    uint32_t at; /* in pick.tags */
    struct now_value value;
    struct now_account account;
};

static const struct plan_tag *tag_at(const struct now_cursor *c)
{
    return session_plan(c->base.session)->tags + c->base.pick.tags[c->at];
}

/* ---- latest ---- */

enum { L_TAG, L_ID, L_TIME, L_NS, L_VALUE, L_UNIT, L_STATUS, L_CODE, L_QUALITY };

static const struct column latest_columns[] = {
    [L_TAG] = {"tag", "TEXT", "the tag's path", ROLE_TAG},
    [L_ID] = {"id", "INTEGER", "its permanent number", ROLE_ID},
    [L_TIME] = {"time", "TEXT", "source time; NULL: there was no value yet", ROLE_TIME},
    [L_NS] = {"ns", "INTEGER", "the same in nanoseconds since 1970", ROLE_TIME},
    [L_VALUE] = {"value", "", "NULL while the status is bad"},
    [L_UNIT] = {"unit", "TEXT", "UCUM"},
    [L_STATUS] = {"status", "TEXT", "name of the OPC UA StatusCode"},
    [L_CODE] = {"code", "INTEGER", "the StatusCode"},
    [L_QUALITY] = {"quality", "TEXT", "good, uncertain, bad"},
    {0},
};

/* Goes on to the next value in the asked stretch of time from c->at on. */
static void settle(struct now_cursor *c)
{
    const struct pick *p = &c->base.pick;
    bool all = p->from_ns == INT64_MIN && p->to_ns == INT64_MAX;
    for (; c->at < p->count; c->at++) {
        const struct plan_tag *t = tag_at(c);
        if (now_read(c->base.session->world->zones + t->zone, t, &c->value)) {
            continue; /* being written for ever: its writer died */
        }
        int64_t ns = c->value.slot.time;
        if (all || (ns && ns >= p->from_ns && ns <= p->to_ns)) {
            return;
        }
    }
    c->base.end = true;
}

static int latest_begin(struct table_cursor *base, char **error)
{
    struct now_cursor *c = (struct now_cursor *)base;
    (void)error;
    c->at = 0;
    settle(c);
    return SQLITE_OK;
}

static int latest_next(struct table_cursor *base)
{
    struct now_cursor *c = (struct now_cursor *)base;
    c->at++;
    settle(c);
    return SQLITE_OK;
}

static void latest_column(struct table_cursor *base, sqlite3_context *to, int column)
{
    struct now_cursor *c = (struct now_cursor *)base;
    const struct plan_tag *t = tag_at(c);
    const struct slot *s = &c->value.slot;
    union slot_value v = s->value;
    switch (column) {
    case L_TAG:
        column_path(to, base->session, base->pick.tags[c->at]);
        break;
    case L_ID:
        sqlite3_result_int64(to, t->id);
        break;
    case L_TIME:
        if (s->time) {
            column_time(to, s->time);
        }
        break;
    case L_NS:
        if (s->time) {
            sqlite3_result_int64(to, s->time);
        }
        break;
    case L_VALUE:
        v.u64 = value_is_long((enum value_type)t->type) ? c->value.length : v.u64;
        column_value(to, (enum value_type)t->type, v, s->status, c->value.bytes);
        break;
    case L_UNIT:
        column_constant(to, plan_text(session_plan(base->session), t->unit));
        break;
    case L_STATUS:
        column_constant(to, status_name(s->status));
        break;
    case L_CODE:
        sqlite3_result_int64(to, s->status);
        break;
    default:
        column_constant(to, quality_name(s->status));
    }
}

const struct table table_latest = {
    .name = "latest",
    .about = "the current value of each tag",
    .columns = latest_columns,
    .rows = 1e4,
    .cursor_size = sizeof(struct now_cursor),
    .begin = latest_begin,
    .next = latest_next,
    .column = latest_column,
};

/* ---- ledger ---- */

enum { A_TAG, A_ID, A_PRODUCED, A_JOURNALED, A_SUPPRESSED, A_REJECTED, A_GAPS, A_BALANCED };

static const struct column ledger_columns[] = {
    [A_TAG] = {"tag", "TEXT", "the tag's path", ROLE_TAG},
    [A_ID] = {"id", "INTEGER", "its permanent number", ROLE_ID},
    [A_PRODUCED] = {"produced", "INTEGER", "samples that the driver published"},
    [A_JOURNALED] = {"journaled", "INTEGER", "of them in the journal"},
    [A_SUPPRESSED] = {"suppressed", "INTEGER", "within the deadband"},
    [A_REJECTED] = {"rejected", "INTEGER", "of a wrong type or out of bounds"},
    [A_GAPS] = {"gaps", "INTEGER", "lost, each told by a gap record"},
    [A_BALANCED] = {"balanced", "INTEGER", "1: produced is the sum of the others"},
    {0},
};

static void load(struct now_cursor *c)
{
    c->base.end = c->at >= c->base.pick.count;
    if (!c->base.end) {
        const struct plan_tag *t = tag_at(c);
        now_account(c->base.session->world->zones + t->zone, t, &c->account);
    }
}

static int ledger_begin(struct table_cursor *base, char **error)
{
    struct now_cursor *c = (struct now_cursor *)base;
    (void)error;
    c->at = 0;
    load(c);
    return SQLITE_OK;
}

static int ledger_next(struct table_cursor *base)
{
    struct now_cursor *c = (struct now_cursor *)base;
    c->at++;
    load(c);
    return SQLITE_OK;
}

static void ledger_column(struct table_cursor *base, sqlite3_context *to, int column)
{
    const struct now_cursor *c = (const struct now_cursor *)base;
    const struct now_account *a = &c->account;
    const uint64_t words[] = {[A_PRODUCED] = a->produced,
                              [A_JOURNALED] = a->journaled,
                              [A_SUPPRESSED] = a->suppressed,
                              [A_REJECTED] = a->rejected,
                              [A_GAPS] = a->gaps};
    if (column == A_TAG) {
        column_path(to, base->session, base->pick.tags[c->at]);
    } else if (column == A_ID) {
        sqlite3_result_int64(to, tag_at(c)->id);
    } else if (column == A_BALANCED) {
        sqlite3_result_int(to, now_is_balanced(a));
    } else {
        sqlite3_result_int64(to, (sqlite3_int64)words[column]);
    }
}

const struct table table_ledger = {
    .name = "ledger",
    .about = "what became of the samples of each tag since the journal began",
    .columns = ledger_columns,
    .rows = 1e4,
    .cursor_size = sizeof(struct now_cursor),
    .begin = ledger_begin,
    .next = ledger_next,
    .column = ledger_column,
};
