/* SPDX-License-Identifier: Apache-2.0 */
/* The samples of one tag between two source times. Reduced: time is cut into columns, each keeps its first, least,
 * greatest and last sample and its first bad one, so that a chart of that width shows every spike and every fault.
 * Source times need not rise, and a late sample may be journaled long after: the walk goes on to the head. */
#include "reader/core.h"

#include <math.h>
#include <stdlib.h>

#include "tag/status.h"

#define COLUMNS_MAX 2000u

enum { HAS_VALUE = 1, HAS_BAD = 2, HAS_EXTREMES = 4 };
enum { FIRST, LEAST, GREATEST, LAST, BAD };

static void keep(struct column *c, int which, const struct walk_run *run)
{
    c->samples[which] = *run->slots;
    c->sequence[which] = run->first_sequence;
    c->epoch[which] = run->epoch;
}

static void keep_value(struct column *c, enum value_type type, const struct walk_run *run)
{
    const struct slot *s = run->slots;
    if (!(c->has & HAS_VALUE) || s->time < c->samples[FIRST].time) {
        keep(c, FIRST, run);
    }
    if (!(c->has & HAS_VALUE) || s->time >= c->samples[LAST].time) {
        keep(c, LAST, run);
    }
    c->has |= HAS_VALUE;
    double v = value_as_double(type, s->value);
    if (isnan(v)) {
        return;
    }
    if (!(c->has & HAS_EXTREMES) || v < value_as_double(type, c->samples[LEAST].value)) {
        keep(c, LEAST, run);
    }
    if (!(c->has & HAS_EXTREMES) || v > value_as_double(type, c->samples[GREATEST].value)) {
        keep(c, GREATEST, run);
    }
    c->has |= HAS_EXTREMES;
}

static void reduce(struct request *r, enum value_type type, const struct walk_run *run)
{
    uint64_t span = (uint64_t)r->ask.to_ns - (uint64_t)r->ask.from_ns;
    uint64_t width = span / r->column_count + 1;
    struct column *c = r->columns + ((uint64_t)run->slots->time - (uint64_t)r->ask.from_ns) / width;
    if (status_severity(run->slots->status) != SEVERITY_BAD) {
        keep_value(c, type, run);
    } else if (!(c->has & HAS_BAD)) {
        keep(c, BAD, run);
        c->has |= HAS_BAD;
    }
}

/* The distinct samples of a column in order of time. */
static size_t order(const struct column *c, int which[COLUMN_SAMPLES])
{
    static const uint32_t needs[COLUMN_SAMPLES] = {[FIRST] = HAS_VALUE,
                                                   [LEAST] = HAS_EXTREMES,
                                                   [GREATEST] = HAS_EXTREMES,
                                                   [LAST] = HAS_VALUE,
                                                   [BAD] = HAS_BAD};
    size_t count = 0;
    for (int i = 0; i < COLUMN_SAMPLES; i++) {
        size_t at = count;
        bool twice = !(c->has & needs[i]);
        for (size_t k = 0; k < count; k++) {
            twice |= c->sequence[which[k]] == c->sequence[i];
        }
        if (twice) {
            continue;
        }
        for (; at > 0; at--) {
            const struct slot *before = &c->samples[which[at - 1]];
            if (before->time < c->samples[i].time ||
                (before->time == c->samples[i].time &&
                 c->sequence[which[at - 1]] < c->sequence[i])) {
                break;
            }
            which[at] = which[at - 1];
        }
        which[at] = i;
        count++;
    }
    return count;
}

static void put_columns(struct reader_core *core, struct link *link, struct request *r)
{
    for (; r->at < r->column_count; r->at++) {
        const struct column *c = r->columns + r->at;
        int which[COLUMN_SAMPLES];
        size_t count = c->has ? order(c, which) : 0;
        if (count && !link_room(link, core)) { /* room for a longest record is room for these */
            return;
        }
        for (size_t i = 0; i < count; i++) {
            struct walk_run run = {.slots = &c->samples[which[i]],
                                   .slot_count = 1,
                                   .records = 1,
                                   .epoch = c->epoch[which[i]],
                                   .first_sequence = c->sequence[which[i]]};
            link_run(link, r, &run, 0);
        }
    }
    query_end(core, link, r, ERR_OK, false);
}

static bool begin_columns(struct request *r)
{
    uint32_t count = r->ask.max_records / 4;
    r->column_count = count < 1 ? 1 : count > COLUMNS_MAX ? COLUMNS_MAX : count;
    r->columns = calloc(r->column_count, sizeof *r->columns);
    return r->columns != NULL;
}

/* Walks on. 1: all was seen; 0: later; negative: error. Unreduced samples are put at once. */
static int collect(struct reader_core *core, struct link *link, struct request *r,
                   const struct plan_tag *tag)
{
    struct filter filter = link->scope.filter;
    filter.only = tag->id;
    filter.no_notes = filter.timed = true;
    filter.from_ns = r->ask.from_ns;
    filter.to_ns = r->ask.to_ns;
    while (r->columns || link_room(link, core)) {
        struct walk_run run;
        struct walk_limit limit = {r->limit, 1, SLOT_RECORD_MAX, &core->budget};
        int state = walk_next(r->walk, &filter, &limit, &run);
        if (state != WALK_RUN) {
            core->more |= state == WALK_BUDGET;
            return state < 0 ? state : state == WALK_END;
        }
        if (run.slots->time < r->ask.from_ns || run.slots->time > r->ask.to_ns) {
            continue;
        }
        if (r->columns) {
            reduce(r, (enum value_type)tag->type, &run);
        } else {
            link_run(link, r, &run, 0);
            r->records++;
            if (r->ask.max_records && r->records >= r->ask.max_records) {
                return 1;
            }
        }
    }
    return 0;
}

void answer_history(struct reader_core *core, struct link *link, struct request *r)
{
    const struct plan_tag *tag = plan_find_tag(core->plan, r->ask.tag);
    bool seen = tag && filter_has_tag(&link->scope.filter, tag->id);
    if (!seen || r->ask.from_ns > r->ask.to_ns) {
        link_end(link, core, r, seen ? ERR_RANGE : ERR_REFUSED, (struct cursor_range){0}, false);
        return;
    }
    if (!query_begin(core, link, r, true)) {
        return;
    }
    bool reduced = r->ask.max_records && !value_is_long((enum value_type)tag->type);
    if (reduced && !r->columns && !begin_columns(r)) {
        query_end(core, link, r, ERR_NOMEM, false);
        return;
    }
    int state = r->collected ? 1 : collect(core, link, r, tag);
    r->collected = state > 0;
    if (state < 0) {
        query_end(core, link, r, state, false);
    } else if (state && reduced) {
        put_columns(core, link, r);
    } else if (state) {
        query_end(core, link, r, ERR_OK, r->walk->sequence < r->limit);
    }
}
