/* SPDX-License-Identifier: Apache-2.0 */
/* A tag's history at steps: one value for each [from + n × step, from + (n + 1) × step), after the aggregates of OPC UA Part 13
 * (5.4.3), whose names are given below. How status counts (Part 13, 4.2.1.2 with TreatUncertainAsBad):
 *
 *   Only good samples count: severity good, and the number is not NaN. What "holds" does so from a good sample to the next sample of any
 *   status, over the borders of steps and also over gaps; a sample that is not good ends it. The last sample holds to the end of the
 *   stretch that was asked for. A result is good if all samples of the step are, uncertain (sub-normal) if some are not or only their
 *   summaries are left where those do not suffice, and bad (no data) if there is nothing to make it from.
 *
 * Where a block lies in one step and all of it is good its summary is enough. One thread; memory: that of the series, and for a
 * percentile 8 bytes for each sample of a step. */
#ifndef ISTHMUS_HISTORY_SAMPLED_H
#define ISTHMUS_HISTORY_SAMPLED_H

#include "history/series.h"
#include "tag/aggregate.h"

#define SAMPLED_STEPS_MAX   1000000u
#define SAMPLED_PERCENT_MAX (1u << 20) /* samples of one step; more are ERR_FULL */

struct step {
    int64_t from_ns; /* its start */
    double value;    /* 0 if `status` is bad */
    uint64_t good;   /* samples that counted … */
    uint64_t others; /* … and that did not: bad, uncertain, no number */
    uint32_t status;
};

struct sampled_options {
    enum aggregate aggregate;
    enum value_type type;            /* of the tag; not text or bytes */
    int64_t from_ns, to_ns, step_ns; /* from < to; the last step may be shorter; step > 0 */
    double parameter;                /* percent 0..100, or the state */
};

struct sampled;

/* Borrows the series, which is opened for [from_ns, to_ns - 1] and not begun. ERR_RANGE: more than SAMPLED_STEPS_MAX steps, or a
 * parameter that makes no sense; ERR_TYPE: no numbers. */
MUST_USE int sampled_open(struct sampled **out, struct series *series,
                          const struct sampled_options *options);
void sampled_close(struct sampled *s);
/* 1: *out is the next step; 2: there are no more; 0: the budget (of samples, counted down) is used up, call again; negative err. */
MUST_USE int sampled_next(struct sampled *s, size_t *budget, struct step *out);

#endif
