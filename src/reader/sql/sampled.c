/* SPDX-License-Identifier: Apache-2.0 */
/* The table sampled: history at steps (history/sampled.h), tag by tag. `step` and `aggregate` are parameters: they are compared with = and say
 * what the rows are. The steps are counted from the least time that the query asks for. */
#include "reader/sql/table.h"

#include "base/amount.h"
#include "base/clock.h"
#include "history/sampled.h"
#include "tag/status.h"

#include <string.h>

#define TURN 65536u /* samples between two looks at the clock */

struct sampled_cursor {
    struct table_cursor base;
    struct sampled_options options;
    char step_text[32], aggregate_text[32];
    struct session_tail *tail; /* held */
    struct series *series;     /* owned, as `sampled`; of the tag at `tag`; NULL: not open */
    struct sampled *sampled;
    uint32_t tag; /* in pick.tags */
    struct step step;
};

enum {
    S_TAG,
    S_ID,
    S_TIME,
    S_NS,
    S_VALUE,
    S_STATUS,
    S_CODE,
    S_QUALITY,
    S_GOOD,
    S_OTHERS,
    S_STEP,
    S_AGGREGATE
};

static const struct column columns[] = {
    [S_TAG] = {"tag", "TEXT", "the tag's path", ROLE_TAG},
    [S_ID] = {"id", "INTEGER", "its permanent number", ROLE_ID},
    [S_TIME] = {"time", "TEXT", "the step's start, UTC with nine digits", ROLE_TIME},
    [S_NS] = {"ns", "INTEGER", "the same in nanoseconds since 1970", ROLE_TIME},
    [S_VALUE] = {"value", "REAL", "NULL where there is no data"},
    [S_STATUS] = {"status", "TEXT", "Good, UncertainDataSubNormal: some is lacking, BadNoData"},
    [S_CODE] = {"code", "INTEGER", "the StatusCode"},
    [S_QUALITY] = {"quality", "TEXT", "good, uncertain, bad"},
    [S_GOOD] = {"good", "INTEGER", "samples that count"},
    [S_OTHERS] = {"others", "INTEGER", "samples that do not"},
    [S_STEP] = {"step", "TEXT", "needed: a duration like '1min', or seconds", ROLE_STEP, true},
    [S_AGGREGATE] = {"aggregate", "TEXT",
                     "time_average, last, asof, interpolated, average, min, max, count, integral, "
                     "'percentile 95', 'duration 1'",
                     ROLE_AGGREGATE, true},
    {0},
};

static int refuse(char **error, const char *text)
{
    *error = sqlite3_mprintf("%s", text);
    return *error ? SQLITE_ERROR : SQLITE_NOMEM;
}

static bool read_step(struct sampled_cursor *c, sqlite3_value *value)
{
    double ms = sqlite3_value_double(value) * 1000;
    const char *text = (const char *)sqlite3_value_text(value);
    bool number = sqlite3_value_numeric_type(value) != SQLITE_TEXT;
    if (!text || (!number && !text_duration(text, &ms)) || !(ms >= 1 && ms <= 1e12)) {
        return false;
    }
    sqlite3_snprintf(sizeof c->step_text, c->step_text, "%s", text);
    c->options.step_ns = (int64_t)(ms * (double)NS_PER_MS);
    return true;
}

/* "average", "percentile 95", "duration 1" */
static bool read_aggregate(struct sampled_cursor *c, sqlite3_value *value)
{
    const char *text = value ? (const char *)sqlite3_value_text(value) : "time_average";
    char name[sizeof c->aggregate_text];
    if (!text || strlen(text) >= sizeof name) {
        return false;
    }
    strcpy(c->aggregate_text, text);
    strcpy(name, text);
    char *space = strchr(name, ' ');
    if (space) {
        *space = 0;
    }
    uint32_t aggregate = aggregate_named(name);
    bool wants = aggregate == AGGREGATE_PERCENTILE || aggregate == AGGREGATE_DURATION;
    c->options.aggregate = aggregate;
    c->options.parameter = 0;
    return aggregate && wants == (space != NULL) &&
           (!space || text_number(space + 1, &c->options.parameter));
}

/* The stretch: steps that begin at pick.from_ns … pick.to_ns, but nothing behind now. */
static bool read_stretch(struct sampled_cursor *c)
{
    const struct pick *p = &c->base.pick;
    int64_t now = clock_utc_ns(), step = c->options.step_ns;
    int64_t last = p->to_ns < now - 1 ? p->to_ns : now - 1;
    if (p->from_ns > last) {
        c->base.end = true;
        return true;
    }
    uint64_t steps = ((uint64_t)last - (uint64_t)p->from_ns) / (uint64_t)step + 1;
    if (steps > SAMPLED_STEPS_MAX) {
        return false;
    }
    c->options.from_ns = p->from_ns;
    int64_t begin = p->from_ns + (int64_t)((steps - 1) * (uint64_t)step); /* of the last one */
    c->options.to_ns = begin < now - step ? begin + step : now;
    return true;
}

static void close_tag(struct sampled_cursor *c)
{
    sampled_close(c->sampled);
    series_close(c->series);
    c->sampled = NULL;
    c->series = NULL;
}

static int open_tag(struct sampled_cursor *c)
{
    struct session *s = c->base.session;
    const struct plan_tag *t = session_plan(s)->tags + c->base.pick.tags[c->tag];
    const struct series_options options = {.tag = t->id,
                                           .type = (enum value_type)t->type,
                                           .from_ns = c->options.from_ns,
                                           .to_ns = c->options.to_ns - 1,
                                           .parts = BLOCK_VALUE | BLOCK_STATUS,
                                           .tail = &c->tail->tail,
                                           .scratch = s->scratch};
    c->options.type = options.type;
    int err = series_open(&c->series, &s->history, &options);
    return err ? err : sampled_open(&c->sampled, c->series, &c->options);
}

static int next_step(struct table_cursor *base)
{
    struct sampled_cursor *c = (struct sampled_cursor *)base;
    for (; c->tag < base->pick.count; c->tag++) {
        const struct plan_tag *t = session_plan(base->session)->tags + base->pick.tags[c->tag];
        int got = value_is_long((enum value_type)t->type) ? 2 : 0; /* texts have no numbers */
        if (!got && !c->series) {
            got = open_tag(c);
        }
        while (got == 0) {
            size_t budget = TURN;
            if (session_is_late(base->session)) {
                return SQLITE_INTERRUPT;
            }
            got = sampled_next(c->sampled, &budget, &c->step);
        }
        if (got == 1) {
            return SQLITE_OK;
        }
        close_tag(c);
        if (got < 0) {
            return session_error(got);
        }
    }
    base->end = true;
    return SQLITE_OK;
}

static int sampled_begin(struct table_cursor *base, char **error)
{
    struct sampled_cursor *c = (struct sampled_cursor *)base;
    c->tag = 0;
    if (!base->pick.step || !read_step(c, base->pick.step)) {
        return refuse(error, "sampled needs a step of at least 1ms: WHERE step = '1min'");
    }
    if (!read_aggregate(c, base->pick.aggregate)) {
        return refuse(error, "aggregate is time_average, last, asof, interpolated, average, min, "
                             "max, count, integral, "
                             "'percentile 95' or 'duration 1'");
    }
    if (base->pick.from_ns == INT64_MIN) {
        return refuse(error, "sampled needs a begin: WHERE time >= ago('1h')");
    }
    if (!read_stretch(c)) {
        return refuse(error, "that is more than a million steps: take longer ones");
    }
    if (base->end || !base->pick.count) {
        base->end = true;
        return SQLITE_OK;
    }
    int err = session_history(base->session, base->pick.tags, base->pick.count, &c->tail);
    return err ? err : next_step(base);
}

static void sampled_column(struct table_cursor *base, sqlite3_context *to, int column)
{
    const struct sampled_cursor *c = (const struct sampled_cursor *)base;
    uint32_t tag = base->pick.tags[c->tag];
    switch (column) {
    case S_TAG:
        column_path(to, base->session, tag);
        break;
    case S_ID:
        sqlite3_result_int64(to, session_plan(base->session)->tags[tag].id);
        break;
    case S_TIME:
        column_time(to, c->step.from_ns);
        break;
    case S_NS:
        sqlite3_result_int64(to, c->step.from_ns);
        break;
    case S_VALUE:
        if (status_severity(c->step.status) != SEVERITY_BAD) {
            sqlite3_result_double(to, c->step.value);
        }
        break;
    case S_STATUS:
        column_constant(to, status_name(c->step.status));
        break;
    case S_CODE:
        sqlite3_result_int64(to, c->step.status);
        break;
    case S_QUALITY:
        column_constant(to, quality_name(c->step.status));
        break;
    case S_GOOD:
        sqlite3_result_int64(to, (sqlite3_int64)c->step.good);
        break;
    case S_OTHERS:
        sqlite3_result_int64(to, (sqlite3_int64)c->step.others);
        break;
    case S_STEP:
        sqlite3_result_text(to, c->step_text, -1, SQLITE_TRANSIENT);
        break;
    default:
        sqlite3_result_text(to, c->aggregate_text, -1, SQLITE_TRANSIENT);
    }
}

static void sampled_fini(struct table_cursor *base)
{
    struct sampled_cursor *c = (struct sampled_cursor *)base;
    close_tag(c);
    session_release(c->tail);
    c->tail = NULL;
}

const struct table table_sampled = {
    .name = "sampled",
    .about = "history at steps",
    .columns = columns,
    .rows = 1e7,
    .by_tag = true,
    .cursor_size = sizeof(struct sampled_cursor),
    .begin = sampled_begin,
    .next = next_step,
    .column = sampled_column,
    .fini = sampled_fini,
};
