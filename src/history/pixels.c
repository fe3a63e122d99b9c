/* SPDX-License-Identifier: Apache-2.0 */
#include "history/pixels.h"

#include <math.h>
#include <stdlib.h>

#include "tag/status.h"

enum { HAS_VALUE = 1, HAS_BAD = 2, HAS_EXTREMES = 4 };
enum { FIRST, LEAST, GREATEST, LAST, BAD };

#define RUN_MIN      16u /* samples that are worth a look at all at once */
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
    if (!(c->has & HAS_EXTREMES) || v < c->least) {
        c->samples[LEAST] = s;
        c->least = v;
    }
    if (!(c->has & HAS_EXTREMES) || v > c->greatest) {
        c->samples[GREATEST] = s;
        c->greatest = v;
    }
    c->has |= HAS_EXTREMES;
}

/* The first or the last sample, if that is it: it may have more to its status. */
static struct slot extreme(enum value_type type, const struct block_summary *b, int64_t ns,
                           double number)
{
    struct slot s = {.time = ns};
    bool fits = !value_from_double(type, number, &s.value);
    if (fits && ns == b->first_ns && s.value.u64 == b->first) {
        s.status = b->first_status;
    } else if (fits && ns == b->last_ns && s.value.u64 == b->last) {
        s.status = b->last_status;
    }
    return fits ? s : (struct slot){.time = ns};
}

static void take_extremes(struct pixel *c, enum value_type type, const struct block_summary *b)
{
    if (!(c->has & HAS_EXTREMES) || b->min < c->least) {
        c->samples[LEAST] = extreme(type, b, b->min_ns, b->min);
        c->least = b->min;
    }
    if (!(c->has & HAS_EXTREMES) || b->max > c->greatest) {
        c->samples[GREATEST] = extreme(type, b, b->max_ns, b->max);
        c->greatest = b->max;
    }
    c->has |= HAS_EXTREMES;
}

/* A block of good samples, or a thinned one of whatever. */
static void take_summary(struct pixel *c, enum value_type type, const struct block_summary *b)
{
    take_sample(
        c, type,
        (struct slot){.time = b->first_ns, .value.u64 = b->first, .status = b->first_status});
    if (b->good) {
        take_extremes(c, type, b);
    }
    take_sample(c, type,
                (struct slot){.time = b->last_ns, .value.u64 = b->last, .status = b->last_status});
}

static struct slot sample_at(const struct block *b, uint32_t i)
{
    return (struct slot){.time = b->time[i], .value.u64 = b->value[i], .status = b->status[i]};
}

/* The first of these samples with that number; there is one. */
static struct slot find(const struct block *b, uint32_t from, double number)
{
    while (value_as_double(b->type, (union slot_value){.u64 = b->value[from]}) != number) {
        from++;
    }
    return sample_at(b, from);
}

/* Samples of one column. Of many good ones only those are looked for that change it. */
static void take_run(struct pixel *c, const struct block *b, uint32_t from, uint32_t to, bool exact)
{
    double least, greatest;
    if (exact || to - from < RUN_MIN || !block_range(b, from, to, &least, &greatest)) {
        for (uint32_t i = from; i < to; i++) {
            take_sample(c, b->type, sample_at(b, i));
        }
        return;
    }
    take_sample(c, b->type, sample_at(b, from));
    if (least < c->least) {
        take_sample(c, b->type, find(b, from, least));
    }
    if (greatest > c->greatest) {
        take_sample(c, b->type, find(b, from, greatest));
    }
    take_sample(c, b->type, sample_at(b, to - 1));
}

/* The column of a time; *end_ns: where the next one begins. */
static struct pixel *column_at(struct pixels *p, int64_t ns, int64_t *end_ns)
{
    uint64_t at = series_cell(&p->grid, ns > p->grid.origin_ns ? ns : p->grid.origin_ns);
    uint64_t step = (uint64_t)p->grid.step_ns;
    at = at < p->count ? at : p->count - 1;
    uint64_t left = (uint64_t)INT64_MAX - (uint64_t)p->grid.origin_ns;
    *end_ns = at + 1 < p->count && left / step > at
                  ? (int64_t)((uint64_t)p->grid.origin_ns + (at + 1) * step)
                  : INT64_MAX;
    return p->columns + at;
}

static void take_samples(struct pixels *p, const struct piece *piece, bool exact)
{
    const struct block *b = piece->samples;
    for (uint32_t from = piece->from, to; from < piece->to; from = to) {
        int64_t end_ns;
        struct pixel *c = column_at(p, b->time[from], &end_ns);
        to = end_ns == INT64_MAX ? piece->to : block_find(b, from, piece->to, end_ns);
        take_run(c, b, from, to, exact);
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
            int64_t end_ns;
            take_summary(column_at(p, piece.summary->first_ns, &end_ns), p->type, piece.summary);
        } else {
            take_samples(p, &piece, exact);
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
