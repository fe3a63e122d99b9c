/* SPDX-License-Identifier: Apache-2.0 */
/* A selector's function over the samples of one series, at each step of a query: samples go in ascending by time, one point
 * for each step comes out. Keeps no more samples than lie in one range. A range holds the samples later than its begin, up
 * to and with its end (as Prometheus 3 has it). A bad sample is what a staleness marker is to Prometheus: at an instant the
 * series has ended there; in a range it is left out. */
#ifndef ISTHMUS_NORTH_HTTP_PROM_WINDOW_H
#define ISTHMUS_NORTH_HTTP_PROM_WINDOW_H

#include "north/http/promql.h"

#include <string.h>

#define WINDOW_SAMPLES_MAX 131072u

/* No point at a step: a NaN that no calculation gives. */
static inline double point_none(void)
{
    const uint64_t bits = UINT64_C(0x7ff0000000000002);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}
static inline bool point_is_none(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits == UINT64_C(0x7ff0000000000002);
}

struct steps {
    int64_t first_ns, step_ns; /* as the samples' times: offset and @ are in them */
    uint32_t count;
};

struct window {
    enum prom_function function;
    double parameter;
    int64_t range_ns;
    struct steps steps;
    uint32_t next;  /* step */
    double *points; /* borrowed, steps.count */
    int64_t *time;  /* owned: samples [from, to) of the arrays */
    double *value;  /* owned */
    double *sorted; /* owned; of OVER_QUANTILE */
    uint32_t from, to, capacity;
    bool last_bad;
    uint64_t *budget; /* borrowed: samples to look at; at 0 the points are wrong */
};

void window_init(struct window *w, const struct promql *q, int64_t range_ns, struct steps steps,
                 double *points, uint64_t *budget);
void window_fini(struct window *w);
/* ERR_TOO_LONG: more samples in a range than WINDOW_SAMPLES_MAX; ERR_NOMEM. */
MUST_USE int window_put(struct window *w, int64_t ns, double value, bool bad);
/* No more samples will come up to the last of steps [0, count). */
void window_close(struct window *w, uint32_t count);

#endif
