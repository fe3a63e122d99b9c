/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over the series, as a row of events: samples, and summaries of blocks that lie in one step. Between two events the
 * last good sample holds; an event behind the end of the current step first closes that step. */
#include "history/sampled.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tag/status.h"

#define PIECE_COST 16u /* of a block, beside its samples */
#define RUN_MIN    16u /* samples that are worth a summary */

struct point { /* a number at a time */
    bool known;
    int64_t ns;
    double number;
};

struct sampled {
    struct sampled_options o;
    struct series *series;
    struct series_grid grid;
    struct piece piece;
    uint32_t at;
    bool has_piece, ended, begun;
    uint64_t step, steps;
    struct point holds; /* the good sample that holds, accounted for up to `counted_ns` */
    int64_t counted_ns;
    /* for interpolation: good samples up to the step's start and behind it, the first sample behind the range, and whether
     * anything else lies between the first two */
    struct point before, next, after;
    bool broken;
    /* of the current step */
    int64_t start_ns, end_ns;
    struct point at_start, last;
    uint64_t good, others, covered_ns;
    double sum, min, max, integral, state_s;
    bool partial;    /* summaries that do not suffice */
    double *numbers; /* owned: for the percentile */
    uint32_t room;
};

static void begin_step(struct sampled *s)
{
    s->start_ns = s->o.from_ns + (int64_t)(s->step * (uint64_t)s->o.step_ns);
    bool last = s->step + 1 >= s->steps;
    s->end_ns = last ? s->o.to_ns : s->start_ns + s->o.step_ns;
    s->at_start = s->holds;
    s->last = (struct point){0};
    s->good = s->others = s->covered_ns = 0;
    s->sum = s->integral = s->state_s = 0;
    s->min = INFINITY;
    s->max = -INFINITY;
    s->partial = false;
}

int sampled_open(struct sampled **out, struct series *series, const struct sampled_options *o)
{
    uint64_t length = (uint64_t)o->to_ns - (uint64_t)o->from_ns;
    bool percent =
        o->aggregate != AGGREGATE_PERCENTILE || (o->parameter >= 0 && o->parameter <= 100);
    if (value_is_long(o->type)) {
        return ERR_TYPE;
    }
    if (o->from_ns >= o->to_ns || o->step_ns <= 0 || !percent ||
        (length - 1) / (uint64_t)o->step_ns >= SAMPLED_STEPS_MAX) {
        return ERR_RANGE;
    }
    struct sampled *s = calloc(1, sizeof *s);
    if (!s) {
        return ERR_NOMEM;
    }
    s->o = *o;
    s->o.aggregate = o->aggregate == AGGREGATE_INTERPOLATED && o->type == VALUE_BOOL
                         ? AGGREGATE_ASOF
                         : o->aggregate;
    s->series = series;
    s->grid = (struct series_grid){o->from_ns, o->step_ns, true};
    s->steps = (length - 1) / (uint64_t)o->step_ns + 1;
    s->counted_ns = o->from_ns;
    *out = s;
    return ERR_OK;
}

void sampled_close(struct sampled *s)
{
    if (s) {
        free(s->numbers);
        free(s);
    }
}

/* ---- Events ---- */

static bool is_good(const struct sampled *s, uint64_t word, uint32_t status, double *number)
{
    *number = value_as_double(s->o.type, (union slot_value){.u64 = word});
    return status_severity(status) == SEVERITY_GOOD && !isnan(*number);
}

/* What held until now goes into the step. */
static void hold_until(struct sampled *s, int64_t ns)
{
    if (s->holds.known && ns > s->counted_ns) {
        uint64_t span = (uint64_t)ns - (uint64_t)s->counted_ns;
        s->covered_ns += span;
        s->integral += s->holds.number * ((double)span / 1e9);
        s->state_s += s->holds.number == s->o.parameter ? (double)span / 1e9 : 0;
    }
    s->counted_ns = ns > s->counted_ns ? ns : s->counted_ns;
}

static int keep_number(struct sampled *s, double number)
{
    if (s->good == s->room) {
        uint32_t room = s->room ? 2 * s->room : 1024;
        double *grown =
            room <= SAMPLED_PERCENT_MAX ? realloc(s->numbers, room * sizeof *grown) : NULL;
        if (!grown) {
            return room <= SAMPLED_PERCENT_MAX ? ERR_NOMEM : ERR_FULL;
        }
        s->numbers = grown;
        s->room = room;
    }
    s->numbers[s->good] = number;
    return ERR_OK;
}

static int take_sample(struct sampled *s, int64_t ns, uint64_t word, uint32_t status)
{
    struct point p = {.ns = ns};
    p.known = is_good(s, word, status, &p.number);
    hold_until(s, ns);
    s->holds = p;
    s->at_start = ns == s->start_ns ? p : s->at_start; /* of equal times the last one counts */
    if (!p.known) {
        s->others++;
        return ERR_OK;
    }
    int err = s->o.aggregate == AGGREGATE_PERCENTILE ? keep_number(s, p.number) : ERR_OK;
    s->last = p;
    s->good++;
    s->sum += p.number;
    s->min = p.number < s->min ? p.number : s->min;
    s->max = p.number > s->max ? p.number : s->max;
    return err;
}

/* A whole block of good samples in this step; or a thinned one, of whatever, that began in it. */
static void take_summary(struct sampled *s, const struct block_summary *b, bool thinned)
{
    struct point first = {.ns = b->first_ns}, last = {.ns = b->last_ns};
    bool constant = b->good == b->count && b->min == b->max;
    first.known = is_good(s, b->first, b->first_status, &first.number);
    last.known = is_good(s, b->last, b->last_status, &last.number);
    hold_until(s, b->first_ns);
    s->at_start = b->first_ns <= s->start_ns ? first : s->at_start;
    s->holds = last;
    s->counted_ns = b->last_ns > s->counted_ns ? b->last_ns : s->counted_ns;
    s->good += b->good;
    s->others += b->count - b->good;
    if (b->good) {
        s->min = b->min < s->min ? b->min : s->min;
        s->max = b->max > s->max ? b->max : s->max;
        s->last = last.known ? last : (struct point){true, b->max_ns, b->max};
    }
    s->sum += b->sum;
    s->integral += b->integral;
    s->covered_ns += (uint64_t)b->good_ns;
    s->state_s += constant && b->min == s->o.parameter ? (double)b->good_ns / 1e9 : 0;
    s->partial |=
        thinned && (b->last_ns >= s->end_ns || b->first_ns < s->start_ns || !last.known ||
                    s->o.aggregate == AGGREGATE_PERCENTILE || s->o.aggregate == AGGREGATE_ASOF ||
                    (s->o.aggregate == AGGREGATE_DURATION && !constant));
}

/* Whether summaries are enough where all samples are good: neither their order nor their distribution matters. */
static bool summaries_do(enum aggregate a)
{
    return a != AGGREGATE_PERCENTILE && a != AGGREGATE_DURATION && a != AGGREGATE_ASOF &&
           a != AGGREGATE_INTERPOLATED;
}

/* Looks for the next event. 1: its time is *ns, or s->ended; 0: later; negative: error. */
static int peek(struct sampled *s, size_t *budget, int64_t *ns)
{
    const struct series_grid *grid = summaries_do(s->o.aggregate) ? &s->grid : NULL;
    while (!s->has_piece && !s->ended) {
        if (!*budget) {
            return 0;
        }
        int got = series_next(s->series, grid, &s->piece);
        if (got < 0) {
            return got;
        }
        size_t cost = PIECE_COST + (got && s->piece.samples ? s->piece.to - s->piece.from : 0);
        *budget -= cost < *budget ? cost : *budget;
        s->ended = !got;
        s->at = s->piece.from;
        s->has_piece = got && (s->piece.summary || s->piece.from < s->piece.to);
    }
    if (s->has_piece) {
        *ns = s->piece.summary ? s->piece.summary->first_ns : s->piece.samples->time[s->at];
        *ns = *ns < s->o.from_ns ? s->o.from_ns : *ns; /* a thinned block may begin before it */
    }
    return 1;
}

/* Samples of a block that lie in the step, summed up like a block if that is enough. */
static int take_samples(struct sampled *s, const struct block *b, uint32_t from, uint32_t to)
{
    struct block_summary sum;
    int err = ERR_OK;
    if (to - from >= RUN_MIN && summaries_do(s->o.aggregate)) {
        block_summarise_part(b, from, to, &sum);
        if (sum.good == sum.count) {
            take_summary(s, &sum, false);
            return ERR_OK;
        }
    }
    for (uint32_t i = from; !err && i < to; i++) {
        err = take_sample(s, b->time[i], b->value[i], b->status[i]);
    }
    return err;
}

/* Takes the event, and of a block's samples all that lie in the step. */
static int take(struct sampled *s)
{
    if (s->piece.summary) {
        s->has_piece = false;
        take_summary(s, s->piece.summary, s->piece.thinned);
        return ERR_OK;
    }
    const struct block *b = s->piece.samples;
    uint32_t from = s->at;
    s->at = block_find(b, from, s->piece.to, s->end_ns);
    s->has_piece = s->at < s->piece.to;
    return take_samples(s, b, from, s->at);
}

/* ---- Interpolation ---- */

static void see(struct sampled *s, struct point p)
{
    s->broken |= !p.known;
    s->next = p.known ? p : s->next;
}

/* The next event as one point, or two of a thinned block. */
static void take_point(struct sampled *s)
{
    struct point p;
    if (s->piece.summary) {
        const struct block_summary *b = s->piece.summary;
        p.ns = s->at ? b->last_ns : b->first_ns;
        p.known = is_good(s, s->at ? b->last : b->first, s->at ? b->last_status : b->first_status,
                          &p.number);
        s->has_piece = !s->at++ && b->count > 1;
        s->broken |= !s->has_piece; /* what was between them is not known any more */
    } else {
        const struct block *b = s->piece.samples;
        p.ns = b->time[s->at];
        p.known = is_good(s, b->value[s->at], b->status[s->at], &p.number);
        s->has_piece = ++s->at < s->piece.to;
    }
    see(s, p);
}

/* The good samples around the step's start. As peek. */
static int look_around(struct sampled *s, size_t *budget)
{
    while (!s->next.known || s->next.ns <= s->start_ns) {
        int64_t ns;
        if (s->next.known) {
            s->before = s->next;
            s->next.known = s->broken = false;
        }
        int got = peek(s, budget, &ns);
        if (got <= 0) {
            return got;
        }
        if (!s->has_piece) {
            see(s, s->after);
            break;
        }
        take_point(s);
    }
    return 1;
}

static bool interpolated(const struct sampled *s, double *value, bool *sure)
{
    const struct point *a = &s->before, *b = &s->next;
    *value = a->number;
    *sure = a->known && a->ns == s->start_ns;
    if (a->known && a->ns < s->start_ns && b->known) {
        double part = (double)(s->start_ns - a->ns) / (double)(b->ns - a->ns);
        *value = a->number + (b->number - a->number) * part;
        *sure = !s->broken;
    }
    return a->known; /* with nothing behind it: it goes on as it was (stepped extrapolation) */
}

/* ---- Steps ---- */

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static double percentile(struct sampled *s, uint64_t count)
{
    qsort(s->numbers, count, sizeof *s->numbers, by_size);
    double rank = ceil(s->o.parameter / 100 * (double)count);
    uint64_t at = rank < 1 ? 0 : (uint64_t)rank - 1;
    return s->numbers[at < count ? at : count - 1];
}

static bool result(struct sampled *s, double *value)
{
    uint64_t kept = s->numbers ? s->good : 0;
    switch (s->o.aggregate) {
    case AGGREGATE_LAST:
        *value = s->last.number;
        return s->last.known;
    case AGGREGATE_ASOF:
        *value = s->at_start.number;
        return s->at_start.known;
    case AGGREGATE_AVERAGE:
        *value = s->sum / (double)s->good;
        return s->good > 0;
    case AGGREGATE_TIME_AVERAGE:
        *value = s->integral / ((double)s->covered_ns / 1e9);
        return s->covered_ns > 0;
    case AGGREGATE_MIN:
        *value = s->min;
        return s->good > 0;
    case AGGREGATE_MAX:
        *value = s->max;
        return s->good > 0;
    case AGGREGATE_COUNT:
        *value = (double)s->good;
        return true;
    case AGGREGATE_INTEGRAL:
        *value = s->integral;
        return s->covered_ns > 0;
    case AGGREGATE_PERCENTILE:
        *value = kept ? percentile(s, kept) : 0;
        return kept > 0;
    case AGGREGATE_DURATION:
        *value = s->state_s;
        return s->covered_ns > 0;
    default:
        return false;
    }
}

/* Whether nothing is lacking. */
static bool is_sure(const struct sampled *s)
{
    switch (s->o.aggregate) {
    case AGGREGATE_TIME_AVERAGE:
    case AGGREGATE_INTEGRAL:
    case AGGREGATE_DURATION:
        return !s->partial && s->covered_ns == (uint64_t)s->end_ns - (uint64_t)s->start_ns;
    case AGGREGATE_ASOF:
        return !s->partial;
    default:
        return !s->partial && !s->others;
    }
}

static void give(struct sampled *s, struct step *out)
{
    bool sure = false, any;
    *out = (struct step){.from_ns = s->start_ns, .good = s->good, .others = s->others};
    if (s->o.aggregate == AGGREGATE_INTERPOLATED) {
        any = interpolated(s, &out->value, &sure);
    } else {
        hold_until(s, s->end_ns);
        any = result(s, &out->value);
        sure = is_sure(s);
    }
    out->value = any ? out->value : 0;
    out->status = (uint32_t)(!any   ? STATUS_BAD_NO_DATA
                             : sure ? STATUS_GOOD
                                    : STATUS_UNCERTAIN_DATA_SUBNORMAL);
    s->step++;
    begin_step(s);
}

static int begin(struct sampled *s)
{
    struct slot slot;
    struct point p;
    int got = series_before(s->series, &slot, NULL);
    if (got > 0) {
        p.ns = slot.time;
        p.known = is_good(s, slot.value.u64, slot.status, &p.number);
        s->holds = p;
        see(s, p);
    }
    if (got >= 0 && s->o.aggregate == AGGREGATE_INTERPOLATED &&
        (got = series_after(s->series, &slot, NULL)) > 0) {
        s->after.ns = slot.time;
        s->after.known = is_good(s, slot.value.u64, slot.status, &s->after.number);
    }
    begin_step(s);
    s->begun = got >= 0;
    return got < 0 ? got : ERR_OK;
}

int sampled_next(struct sampled *s, size_t *budget, struct step *out)
{
    int got = s->begun ? ERR_OK : begin(s);
    if (got) {
        return got;
    }
    if (s->step == s->steps) {
        return 2;
    }
    for (;;) {
        int64_t ns = INT64_MAX;
        got = s->o.aggregate == AGGREGATE_INTERPOLATED ? look_around(s, budget)
                                                       : peek(s, budget, &ns);
        if (got <= 0) {
            return got;
        }
        if (s->o.aggregate == AGGREGATE_INTERPOLATED || !s->has_piece || ns >= s->end_ns) {
            give(s, out);
            return 1;
        }
        got = take(s);
        if (got) {
            return got;
        }
    }
}
