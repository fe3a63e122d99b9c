/* SPDX-License-Identifier: Apache-2.0 */
/* What each function means is Prometheus' own definition, extrapolation of rates included. */
#include "north/http/prom_window.h"

#include <math.h>
#include <stdlib.h>

#define CAPACITY_MIN 64u

void window_init(struct window *w, const struct promql *q, int64_t range_ns, struct steps steps,
                 double *points, uint64_t *budget)
{
    *w = (struct window){.function = q->function,
                         .parameter = q->parameter,
                         .range_ns = range_ns,
                         .steps = steps,
                         .points = points,
                         .budget = budget};
}

void window_fini(struct window *w)
{
    free(w->time);
    free(w->value);
    free(w->sorted);
    *w = (struct window){0};
}

/* ---- The functions, of n > 0 values. ---- */

/* Neumaier's: the sum of many small and few large values keeps its digits. */
static double sum(const double *v, uint32_t n)
{
    double total = 0, rest = 0;
    for (uint32_t i = 0; i < n; i++) {
        double t = total + v[i];
        rest += fabs(total) >= fabs(v[i]) ? (total - t) + v[i] : (v[i] - t) + total;
        total = t;
    }
    return isfinite(total) ? total + rest : total;
}

/* NaN only if all are. */
static double extreme(const double *v, uint32_t n, bool least)
{
    double best = v[0];
    for (uint32_t i = 1; i < n; i++) {
        best = isnan(best) || (least ? v[i] < best : v[i] > best) ? v[i] : best;
    }
    return best;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    if (isnan(*x) || isnan(*y)) {
        return isnan(*y) - isnan(*x); /* NaN first */
    }
    return (*x > *y) - (*x < *y);
}

static double quantile(struct window *w, const double *v, uint32_t n)
{
    double q = w->parameter;
    if (isnan(q)) {
        return q;
    }
    if (q < 0 || q > 1) {
        return q < 0 ? -INFINITY : INFINITY;
    }
    memcpy(w->sorted, v, n * sizeof *v);
    qsort(w->sorted, n, sizeof *v, by_value);
    double rank = q * (n - 1), low = floor(rank), weight = rank - low;
    uint32_t at = (uint32_t)low, above = at + 1 < n ? at + 1 : n - 1;
    return w->sorted[at] * (1 - weight) + w->sorted[above] * weight;
}

/* How much a counter has risen: what it lost at resets counts. */
static double risen(const double *v, uint32_t n)
{
    double by = v[n - 1] - v[0];
    for (uint32_t i = 1; i < n; i++) {
        by += v[i] < v[i - 1] ? v[i - 1] : 0;
    }
    return by;
}

/* Extrapolated to both ends of the range, if samples come close to them; a counter not to below zero. */
static double rate(const struct window *w, int64_t end_ns)
{
    uint32_t n = w->to - w->from;
    const int64_t *time = w->time + w->from;
    const double *value = w->value + w->from;
    bool counter = w->function != OVER_DELTA;
    double covered = (double)(time[n - 1] - time[0]), every = covered / (n - 1),
           limit = every * 1.1;
    double before = (double)(time[0] - (end_ns - w->range_ns)),
           behind = (double)(end_ns - time[n - 1]);
    double by = counter ? risen(value, n) : value[n - 1] - value[0];
    before = before >= limit ? every / 2 : before;
    behind = behind >= limit ? every / 2 : behind;
    if (counter && by > 0 && value[0] >= 0) {
        double to_zero = covered * (value[0] / by);
        before = to_zero < before ? to_zero : before;
    }
    by *= (covered + before + behind) / covered;
    return w->function == OVER_RATE ? by / ((double)w->range_ns / 1e9) : by;
}

static double evaluate(struct window *w, int64_t end_ns)
{
    uint32_t n = w->to - w->from;
    const double *v = w->value + w->from;
    if (!n || (w->function == OVER_INSTANT && w->last_bad)) {
        return point_none();
    }
    switch (w->function) {
    case OVER_INSTANT:
    case OVER_LAST:
        return v[n - 1];
    case OVER_AVG:
        return sum(v, n) / n;
    case OVER_MIN:
        return extreme(v, n, true);
    case OVER_MAX:
        return extreme(v, n, false);
    case OVER_SUM:
        return sum(v, n);
    case OVER_COUNT:
        return n;
    case OVER_QUANTILE:
        return quantile(w, v, n);
    default:
        return n > 1 && w->time[w->to - 1] > w->time[w->from] ? rate(w, end_ns) : point_none();
    }
}

/* ---- Sliding. ---- */

static bool looks_at_all(const struct window *w)
{
    return w->function != OVER_INSTANT && w->function != OVER_LAST && w->function != OVER_COUNT;
}

static int64_t step_ns(const struct window *w, uint32_t step)
{
    return w->steps.first_ns + w->steps.step_ns * step;
}

static void take_step(struct window *w)
{
    int64_t end_ns = step_ns(w, w->next);
    while (w->from < w->to && w->time[w->from] <= end_ns - w->range_ns) {
        w->from++;
    }
    uint64_t cost = looks_at_all(w) ? 1u + w->to - w->from : 1u;
    cost *= w->function == OVER_QUANTILE ? 16 : 1; /* it sorts */
    *w->budget -= cost < *w->budget ? cost : *w->budget;
    w->points[w->next++] = *w->budget ? evaluate(w, end_ns) : point_none();
}

void window_close(struct window *w, uint32_t count)
{
    while (w->next < count) {
        take_step(w);
    }
}

static int grow(struct window *w)
{
    uint32_t n = w->to - w->from, capacity = w->capacity;
    if (w->from && n <= capacity / 2) {
        memmove(w->time, w->time + w->from, n * sizeof *w->time);
        memmove(w->value, w->value + w->from, n * sizeof *w->value);
        w->from = 0;
        w->to = n;
        return ERR_OK;
    }
    capacity = capacity ? capacity * 2 : CAPACITY_MIN;
    if (capacity > 2 * WINDOW_SAMPLES_MAX) {
        return ERR_TOO_LONG;
    }
    int64_t *time = realloc(w->time, capacity * sizeof *time);
    w->time = time ? time : w->time;
    double *value = realloc(w->value, capacity * sizeof *value);
    w->value = value ? value : w->value;
    double *sorted =
        w->function == OVER_QUANTILE ? realloc(w->sorted, capacity * sizeof *sorted) : NULL;
    w->sorted = sorted ? sorted : w->sorted;
    if (!time || !value || (w->function == OVER_QUANTILE && !sorted)) {
        return ERR_NOMEM;
    }
    w->capacity = capacity;
    return ERR_OK;
}

int window_put(struct window *w, int64_t ns, double value, bool bad)
{
    while (w->next < w->steps.count && step_ns(w, w->next) < ns) {
        take_step(w);
    }
    if (w->next == w->steps.count || ns <= step_ns(w, w->next) - w->range_ns) {
        return ERR_OK; /* in no range that is still to come */
    }
    w->last_bad = bad;
    if (bad) {
        return ERR_OK;
    }
    if (!looks_at_all(w) && w->function != OVER_COUNT) {
        w->from = w->to = 0; /* the last one is enough */
    }
    if (w->to - w->from == WINDOW_SAMPLES_MAX) {
        return ERR_TOO_LONG;
    }
    if (w->to == w->capacity) {
        int err = grow(w);
        if (err) {
            return err;
        }
    }
    w->time[w->to] = ns;
    w->value[w->to++] = value;
    return ERR_OK;
}
