/* SPDX-License-Identifier: Apache-2.0 */
/* Every aggregate, and a chart's columns, against an evaluator that is slow and obvious: for each step it looks at all samples. The data has late and equal
 * times, bad status, NaN, clocks that jump, and lies in raw, sealed, merged and thinned files. */
#include "history/pixels.h"
#include "history/sampled.h"
#include "history/test_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tag/status.h"

struct seen { /* the samples of a tag by source time, and those that count */
    struct folder_sample *all;
    size_t count;
    enum value_type type;
};

static bool good(const struct seen *d, size_t i, double *number)
{
    *number = value_as_double(d->type, d->all[i].slot.value);
    return d->all[i].slot.status >> 30 == 0 && !isnan(*number);
}

static int64_t time_of(const struct seen *d, size_t i)
{
    return d->all[i].slot.time;
}

/* Seconds for which each value holds in [a, b), summed up by `weigh`: the value, 1, or 1 if it is the state. */
enum weigh { BY_VALUE, BY_TIME, BY_STATE };

static double held(const struct seen *d, int64_t a, int64_t b, int64_t end, enum weigh weigh,
                   double state)
{
    double sum = 0, number;
    for (size_t i = 0; i < d->count; i++) {
        int64_t from = time_of(d, i), to = i + 1 < d->count ? time_of(d, i + 1) : end;
        from = from > a ? from : a;
        to = to < b ? to : b;
        if (good(d, i, &number) && from < to) {
            double seconds = (double)(to - from) / 1e9;
            sum += weigh == BY_VALUE                     ? number * seconds
                   : weigh == BY_TIME || number == state ? seconds
                                                         : 0;
        }
    }
    return sum;
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* What lies between the sample that is last before the range and the one that is first behind it. */
static bool line(const struct seen *d, const struct sampled_options *o, int64_t t, double *value,
                 bool *sure)
{
    size_t from = 0, to = 0;
    long before = -1, after = -1;
    double n, m;
    for (size_t i = 0; i < d->count; i++) {
        from = time_of(d, i) < o->from_ns ? i : from;
        to = time_of(d, i) < o->to_ns ? i + 1 : to;
    }
    for (size_t i = from; i < d->count && i <= to; i++) {
        if (good(d, i, &n) && time_of(d, i) <= t) {
            before = (long)i;
        } else if (good(d, i, &n) && after < 0) {
            after = (long)i;
        }
    }
    *sure = false;
    if (before < 0) {
        return false;
    }
    good(d, (size_t)before, &n);
    *value = n;
    bool at = time_of(d, (size_t)before) == t;
    *sure = at;
    if (!at && after >= 0) {
        good(d, (size_t)after, &m);
        *value = n + (m - n) * ((double)(t - time_of(d, (size_t)before)) /
                                (double)(time_of(d, (size_t)after) - time_of(d, (size_t)before)));
        *sure = after == before + 1;
    }
    return true;
}

/* The value of a step; false: there is none. `sure` is only set for the aggregates whose status is checked. */
static bool obvious(const struct seen *d, const struct sampled_options *o, int64_t a, int64_t b,
                    double *value, bool *sure, uint64_t *count, uint64_t *others)
{
    static double numbers[1 << 16];
    double n, sum = 0, last = 0, covered = held(d, a, b, o->to_ns, BY_TIME, 0);
    bool asof = false;
    *count = *others = 0;
    for (size_t i = 0; i < d->count; i++) {
        if (time_of(d, i) <= a) {
            asof = good(d, i, &n);
            *value = n;
        }
    }
    for (size_t i = 0; i < d->count; i++) {
        if (time_of(d, i) >= a && time_of(d, i) < b) {
            if (good(d, i, &n)) {
                numbers[(*count)++] = last = n;
                sum += n;
            } else {
                ++*others;
            }
        }
    }
    *sure = !*others;
    switch (o->aggregate) {
    case AGGREGATE_ASOF:
        *sure = true;
        return asof;
    case AGGREGATE_INTERPOLATED:
        if (d->type == VALUE_BOOL) {
            *sure = true;
            return asof;
        }
        return line(d, o, a, value, sure);
    case AGGREGATE_INTEGRAL:
    case AGGREGATE_TIME_AVERAGE:
    case AGGREGATE_DURATION:
        *sure = covered > (double)(b - a) / 1e9 * (1 - 1e-12);
        *value = held(d, a, b, o->to_ns, o->aggregate == AGGREGATE_DURATION ? BY_STATE : BY_VALUE,
                      o->parameter);
        *value = o->aggregate == AGGREGATE_TIME_AVERAGE ? *value / covered : *value;
        return covered > 0;
    case AGGREGATE_COUNT:
        *value = (double)*count;
        return true;
    default:
        break;
    }
    if (!*count) {
        return false;
    }
    qsort(numbers, *count, sizeof *numbers, by_size);
    double rank = ceil(o->parameter / 100 * (double)*count);
    *value = o->aggregate == AGGREGATE_LAST      ? last
             : o->aggregate == AGGREGATE_AVERAGE ? sum / (double)*count
             : o->aggregate == AGGREGATE_MIN     ? numbers[0]
             : o->aggregate == AGGREGATE_MAX     ? numbers[*count - 1]
                                                 : numbers[rank < 1 ? 0 : (size_t)rank - 1];
    return true;
}

static void assert_near(double a, double b)
{
    double most = fabs(a) > fabs(b) ? fabs(a) : fabs(b);
    if (fabs(a - b) > 1e-9 * (most > 1 ? most : 1)) {
        fail_msg("%.17g is not %.17g", a, b);
    }
}

static void compare(struct folder *f, const struct seen *d, uint32_t id,
                    const struct sampled_options *o)
{
    struct tail tail;
    struct series *series;
    struct sampled *s;
    struct step step;
    size_t budget = SIZE_MAX;
    int64_t at = o->from_ns;
    int got;
    struct series_options so = {.tag = id,
                                .type = o->type,
                                .from_ns = o->from_ns,
                                .to_ns = o->to_ns - 1,
                                .parts = BLOCK_VALUE | BLOCK_STATUS,
                                .tail = &tail};
    assert_int_equal(tail_open(&tail, &f->history, NULL, NULL, 0, id), 0);
    assert_int_equal(tail_step(&tail, &budget, SIZE_MAX), 1);
    assert_int_equal(series_open(&series, &f->history, &so), 0);
    assert_int_equal(sampled_open(&s, series, o), 0);
    for (;;) {
        double value = 0;
        bool sure;
        uint64_t count, others;
        size_t some = folder_random(f, 40); /* in turns of any size */
        got = sampled_next(s, &some, &step);
        if (got == 0) {
            continue;
        }
        if (got != 1) {
            break;
        }
        int64_t end = at + o->step_ns < o->to_ns ? at + o->step_ns : o->to_ns;
        assert_int_equal(step.from_ns, at);
        bool any = obvious(d, o, at, end, &value, &sure, &count, &others);
        uint32_t status = (uint32_t)(!any   ? STATUS_BAD_NO_DATA
                                     : sure ? STATUS_GOOD
                                            : STATUS_UNCERTAIN_DATA_SUBNORMAL);
        assert_near(step.value, any ? value : 0);
        if (step.status != status) {
            fail_msg("%s at %lld: %s is not %s (%llu good, %llu others)",
                     aggregate_name(o->aggregate), (long long)at, status_name(step.status),
                     status_name(status), (unsigned long long)count, (unsigned long long)others);
        }
        if (o->aggregate != AGGREGATE_INTERPOLATED) {
            assert_int_equal(step.good, count);
            assert_int_equal(step.others, others);
        }
        at += o->step_ns;
    }
    assert_int_equal(got, 2);
    assert_true(at >= o->to_ns);
    sampled_close(s);
    series_close(series);
    tail_close(&tail);
}

/* ---- A chart's columns ---- */

struct look { /* what one sees of some samples */
    bool any, number, bad;
    int64_t first_ns, last_ns, bad_ns;
    double least, greatest;
};

static void look_at(struct look *l, enum value_type type, const struct slot *s)
{
    double number = value_as_double(type, s->value);
    if (status_severity(s->status) == SEVERITY_BAD) {
        l->bad_ns = l->bad ? l->bad_ns : s->time;
        l->bad = true;
        return;
    }
    l->first_ns = l->any ? l->first_ns : s->time;
    l->last_ns = s->time;
    l->any = true;
    if (!isnan(number)) {
        l->least = l->number && l->least < number ? l->least : number;
        l->greatest = l->number && l->greatest > number ? l->greatest : number;
        l->number = true;
    }
}

static void compare_chart(struct folder *f, const struct seen *d, uint32_t id,
                          const struct sampled_options *o)
{
    struct tail tail;
    struct series *series;
    struct pixels p;
    size_t budget = SIZE_MAX;
    struct series_options so = {.tag = id,
                                .type = d->type,
                                .from_ns = o->from_ns,
                                .to_ns = o->to_ns - 1,
                                .parts = BLOCK_VALUE | BLOCK_STATUS,
                                .tail = &tail};
    assert_int_equal(tail_open(&tail, &f->history, NULL, NULL, 0, id), 0);
    assert_int_equal(tail_step(&tail, &budget, SIZE_MAX), 1);
    assert_int_equal(series_open(&series, &f->history, &so), 0);
    assert_int_equal(pixels_init(&p, d->type, o->from_ns, o->to_ns - 1, 1 + folder_random(f, 50)),
                     0);
    for (int got = 0; got == 0;) {
        size_t some = 1 + folder_random(f, 40);
        got = pixels_take(&p, series, &some);
        assert_true(got >= 0);
    }
    for (uint32_t c = 0; c < p.count; c++) {
        struct slot given[PIXEL_SAMPLES];
        struct look all, seen;
        memset(&all, 0, sizeof all);
        memset(&seen, 0, sizeof seen);
        int64_t from = o->from_ns + (int64_t)c * p.grid.step_ns, to = from + p.grid.step_ns;
        for (size_t i = 0; i < d->count; i++) {
            const struct slot *s = &d->all[i].slot;
            if (s->time >= from && s->time < to && s->time < o->to_ns) {
                look_at(&all, d->type, s);
            }
        }
        size_t count = pixels_give(&p, c, given);
        for (size_t i = 0; i < count; i++) {
            look_at(&seen, d->type, given + i);
        }
        assert_memory_equal(&seen, &all, sizeof all);
    }
    pixels_fini(&p);
    series_close(series);
    tail_close(&tail);
}

/* A stretch and a step: anything from some samples to all; at times from just before or after a sample. */
static struct sampled_options choose(struct folder *f, const struct seen *d)
{
    struct sampled_options o = {.type = d->type,
                                .aggregate = 1 + folder_random(f, AGGREGATE_END - 1)};
    int64_t a = time_of(d, folder_random(f, (uint32_t)d->count)) + (int64_t)folder_random(f, 3) - 1;
    int64_t b = time_of(d, folder_random(f, (uint32_t)d->count)) + (int64_t)folder_random(f, 3) - 1;
    o.from_ns = a < b ? a : b;
    o.to_ns = (a < b ? b : a) + 1;
    if (!folder_random(f, 5)) {
        o.from_ns -= 1000 * NS_PER_S;
        o.to_ns += 1000 * NS_PER_S;
    }
    o.step_ns = (o.to_ns - o.from_ns) / (1 + (int64_t)folder_random(f, 60)) + 1;
    o.parameter =
        o.aggregate == AGGREGATE_PERCENTILE ? folder_random(f, 101) : (double)folder_random(f, 2);
    return o;
}

static void every_aggregate_is_what_is_obvious(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 16; seed++) {
        struct folder f;
        folder_init(&f, seed);
        f.well = seed % 2;
        uint32_t segments = 2 + folder_random(&f, 6);
        for (uint32_t i = 0; i < segments; i++) {
            folder_segment(&f, 40);
        }
        for (uint32_t i = folder_random(&f, segments + 1); i > 0 && folder_seal(&f); i--) {
        }
        if (folder_random(&f, 2)) {
            folder_merge(&f);
        }
        for (uint32_t id = 1; id <= FOLDER_TAGS; id++) {
            struct seen d = {.type = folder_type(id)};
            const struct folder_sample **found = calloc(f.count, sizeof(struct folder_sample *));
            d.all = calloc(f.count, sizeof *d.all);
            assert_non_null(found);
            assert_non_null(d.all);
            if (!value_is_long(d.type)) {
                d.count = folder_expect(&f, id, INT64_MIN, INT64_MAX, found);
            }
            for (size_t i = 0; i < d.count; i++) {
                d.all[i] = *found[i];
            }
            for (int i = 0; d.count && i < 60; i++) {
                struct sampled_options o = choose(&f, &d);
                compare(&f, &d, id, &o);
                compare_chart(&f, &d, id, &o);
            }
            free(found);
            free(d.all);
        }
        folder_fini(&f);
    }
}

static void what_makes_no_sense_is_refused(void **state)
{
    struct folder f;
    struct series *series;
    struct sampled *s;
    struct series_options so = {.tag = 1, .type = VALUE_FLOAT64, .to_ns = 100};
    const struct sampled_options fine = {
        .aggregate = AGGREGATE_PERCENTILE, .type = VALUE_FLOAT64, .to_ns = 101, .step_ns = 1};
    (void)state;
    folder_init(&f, 1);
    assert_int_equal(series_open(&series, &f.history, &so), 0);
    struct sampled_options o = fine;
    assert_int_equal(sampled_open(&s, series, &o), 0);
    sampled_close(s);
    o.step_ns = 0;
    assert_int_equal(sampled_open(&s, series, &o), ERR_RANGE);
    o = fine;
    o.parameter = 100.5;
    assert_int_equal(sampled_open(&s, series, &o), ERR_RANGE);
    o.parameter = NAN;
    assert_int_equal(sampled_open(&s, series, &o), ERR_RANGE);
    o = fine;
    o.from_ns = o.to_ns;
    assert_int_equal(sampled_open(&s, series, &o), ERR_RANGE);
    o = fine;
    o.from_ns = INT64_MIN;
    o.to_ns = INT64_MAX;
    assert_int_equal(sampled_open(&s, series, &o), ERR_RANGE);
    o = fine;
    o.type = VALUE_TEXT;
    assert_int_equal(sampled_open(&s, series, &o), ERR_TYPE);
    assert_int_equal(aggregate_named("time_average"), AGGREGATE_TIME_AVERAGE);
    assert_int_equal(aggregate_named("mean"), 0);
    assert_null(aggregate_name(AGGREGATE_END));
    series_close(series);
    folder_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_aggregate_is_what_is_obvious),
                                       cmocka_unit_test(what_makes_no_sense_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
