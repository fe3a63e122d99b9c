/* SPDX-License-Identifier: Apache-2.0 */
/* What the gateway cost a device, day by day: requests made, failures, and how long it took to answer, from its first hour under the
 * gateway on. For the report after a trial (`isthmus trial-report`). */
#ifndef ISTHMUS_READER_TRIAL_H
#define ISTHMUS_READER_TRIAL_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRIAL_DAYS        56u /* the newest are kept */
#define TRIAL_DEVICES_MAX 200u

/* Counts up to UINT32_MAX; latencies in microseconds, means of what the driver says once a second. */
struct trial_day {
    uint32_t day; /* since 1970; 0: unused */
    uint32_t requests, failures, reconnects;
    uint32_t seconds; /* in which it answered */
    uint32_t mean_us, worst_us;
};

struct trial_device {
    uint32_t index;     /* in the plan */
    uint32_t first_s;   /* UTC, of the first answer; 0: none yet */
    uint32_t before_s;  /* seconds of its first hour in which it answered … */
    uint32_t before_us; /* … and the mean latency in them */
    struct trial_day days[TRIAL_DAYS];
    bool dirty;
    /* not stored: as the device's panel had it last */
    uint64_t requests, failures, reconnects;
    bool seen;
};

struct trial_now { /* of a device's panel */
    uint64_t requests, failures, reconnects;
    uint32_t latency_us; /* 0: not known */
    bool answers;
};
/* Once a second. */
void trial_note(struct trial_device *d, const struct trial_now *now, int64_t utc_ns);

#define TRIAL_STATE_MAX 2048u
size_t trial_encode(const struct trial_device *d, uint8_t out[TRIAL_STATE_MAX]);
/* Adds what was stored. ERR_MALFORMED: it is none of these. */
MUST_USE int trial_decode(struct trial_device *d, const void *data, size_t size);

#endif
