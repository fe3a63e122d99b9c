/* SPDX-License-Identifier: Apache-2.0 */
#include "history/pixels.h"

#include <math.h>
#include <stdlib.h>

#include "tag/status.h"

enum { HAS_VALUE = 1, HAS_BAD = 2, HAS_EXTREMES = 4 };
enum { FIRST, LEAST, GREATEST, LAST, BAD };

#define SUMMARY_COST 16u /* of the budget: about what a table's row takes to decode */

int pixels_init(struct pixels *p, enum value_type type, int64_t from_ns, int64_t to_ns,
                uint32_t count)
{
    uint64_t step = ((uint64_t)to_ns - (uint64_t)from_ns) / count;
    *p = (struct pixels){
        .type = type,
        .grid = {from_ns, step < INT64_MAX ? (int64_t)step + 1 : INT64_MAX, true},
        .count = count + 2, /* half of all time is wider than a step can be */
        .columns = calloc(count + 2, sizeof *p->columns),
    };
    return p->columns ? ERR_OK : ERR_NOMEM;
}

void pixels_fini(struct pixels *p)
{
    free(p->columns);
    *p = (struct pixels){0};
}

/* In the order of their times. */
static void take_sample(struct pixel *c, enum value_type type, struct slot s)
{
    if (status_severity(s.status) == SEVERITY_BAD) {
        c->samples[BAD] = c->has & HAS_BAD ? c->samples[BAD] : s;
        c->has |= HAS_BAD;
        return;
    }
    c->samples[FIRST] = c->has & HAS_VALUE ? c->samples[FIRST] : s;
    c->samples[LAST] = s;
    c->has |= HAS_VALUE;
    double v = value_as_double(type, s.value);
    if (isnan(v)) {
        return;
    }
    if (!(c->has & HAS_EXTREMES) || v < value_as_double(type, c->samples[LEAST].value)) {
        c->samples[LEAST] = s;
    }
    if (!(c->has & HAS_EXTREMES) || v > value_as_double(type, c->samples[GREATEST].value)) {
        c->samples[GREATEST] = s;
    }
    c->has |= HAS_EXTREMES;
}

static struct slot extreme(enum value_type type, int64_t ns, double number)
{
    struct slot s = {.time = ns};
    return value_from_double(type, number, &s.value) ? (struct slot){.time = ns} : s;
}

static void take_summary(struct pixels *p, const struct block_summary *b)
{
    uint64_t at =
        series_cell(&p->grid, b->first_ns > p->grid.origin_ns ? b->first_ns : p->grid.origin_ns);
    struct pixel *c = p->columns + (at < p->count ? at : p->count - 1);
    take_sample(
        c, p->type,
        (struct slot){.time = b->first_ns, .value.u64 = b->first, .status = b->first_status});
    if (b->good) {
        struct slot low = extreme(p->type, b->min_ns, b->min),
                    high = extreme(p->type, b->max_ns, b->max);
        bool low_first = b->min_ns <= b->max_ns;
        take_sample(c, p->type, low_first ? low : high);
        take_sample(c, p->type, low_first ? high : low);
    }
    take_sample(c, p->type,
                (struct slot){.time = b->last_ns, .value.u64 = b->last, .status = b->last_status});
}

static void take_samples(struct pixels *p, const struct piece *piece)
{
    const struct block *b = piece->samples;
    for (uint32_t i = piece->from; i < piece->to; i++) {
        uint64_t at = series_cell(&p->grid, b->time[i]);
        take_sample(
            p->columns + (at < p->count ? at : p->count - 1), p->type,
            (struct slot){.time = b->time[i], .value.u64 = b->value[i], .status = b->status[i]});
    }
}

int pixels_take(struct pixels *p, struct series *s, size_t *budget)
{
    bool exact =
        p->type == VALUE_INT64 || p->type == VALUE_UINT64; /* beyond 2^53 a summary is not */
    while (*budget) {
        struct piece piece;
        int got = series_next(s, exact ? NULL : &p->grid, &piece);
        if (got <= 0) {
            return got < 0 ? got : 1;
        }
        size_t cost = piece.summary ? SUMMARY_COST : SUMMARY_COST + piece.to - piece.from;
        *budget -= cost < *budget ? cost : *budget;
        if (piece.summary) {
            take_summary(p, piece.summary);
        } else {
            take_samples(p, &piece);
        }
    }
    return 0;
}

static bool same(const struct slot *a, const struct slot *b)
{
    return a->time == b->time && a->value.u64 == b->value.u64 && a->status == b->status;
}

size_t pixels_give(const struct pixels *p, uint32_t column, struct slot out[PIXEL_SAMPLES])
{
    static const uint32_t needs[PIXEL_SAMPLES] = {[FIRST] = HAS_VALUE,
                                                  [LEAST] = HAS_EXTREMES,
                                                  [GREATEST] = HAS_EXTREMES,
                                                  [LAST] = HAS_VALUE,
                                                  [BAD] = HAS_BAD};
    const struct pixel *c = p->columns + column;
    size_t count = 0;
    for (uint32_t i = 0; i < PIXEL_SAMPLES; i++) {
        const struct slot *s = c->samples + i;
        bool twice = !(c->has & needs[i]);
        for (size_t k = 0; k < count; k++) {
            twice |= same(out + k, s);
        }
        size_t at = count;
        for (; !twice && at > 0 && out[at - 1].time > s->time; at--) {
            out[at] = out[at - 1];
        }
        if (!twice) {
            out[at] = *s;
            count++;
        }
    }
    return count;
}
