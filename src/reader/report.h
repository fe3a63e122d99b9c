/* SPDX-License-Identifier: Apache-2.0 */
/* What was delivered, how late, and what was lost, of the last day by the hour and of the last week by the day: figures beside the
 * ledger, for the report that both sides of a contract read. Lateness is from a sample's source time to its confirmation by
 * the sink, in buckets that grow by half octaves from 1 ms on: 1.024, 1.536, 2.048, 3.072 …; what lies between them is
 * interpolated. Stored every few minutes; who kills the reader loses at most these, and the ledger nothing. */
#ifndef ISTHMUS_READER_REPORT_H
#define ISTHMUS_READER_REPORT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LATE_BUCKETS 57u
#define REPORT_HOURS 25u /* the one that runs, and the 24 before */
#define REPORT_DAYS  8u
#define LATE_RUNS    12u /* groups of samples of one answer, told apart by their age */

/* Samples of an answer that were of about the same age when it was sent. */
struct late_run {
    int64_t time_ns; /* source time of the oldest */
    uint32_t samples, bucket;
};

struct late_runs {
    struct late_run runs[LATE_RUNS];
    uint32_t count;
};
void late_add(struct late_runs *l, int64_t time_ns, int64_t now_ns);

struct period {
    int64_t index; /* of the hour or day since 1970; 0: unused */
    uint64_t delivered, in_time, gaps;
    uint64_t late[LATE_BUCKETS];
};

struct report {
    struct period hours[REPORT_HOURS], days[REPORT_DAYS];
    uint64_t gaps_seen;           /* of the account */
    bool hours_dirty, days_dirty; /* as stored */
};

/* What was sent and is confirmed now; `fresh_ms` is what was promised. */
void report_delivered(struct report *r, const struct late_runs *l, int64_t now_ns,
                      uint32_t fresh_ms);
/* The feed's account counts so many gaps. */
void report_gaps(struct report *r, uint64_t gaps, int64_t now_ns);

struct report_sum {
    uint64_t delivered, in_time, gaps;
    double p50_ms, p99_ms; /* 0: nothing was delivered */
    int64_t since_ns;      /* begin of the oldest period that counts; 0: none */
};
void report_sum(const struct report *r, bool days, int64_t now_ns, struct report_sum *out);

/* One of the two tables as a stored value; what is read is added to what is there. ERR_MALFORMED: it is none. */
#define REPORT_STATE_MAX 2048u
size_t report_encode(const struct report *r, bool days, uint8_t out[REPORT_STATE_MAX]);
MUST_USE int report_decode(struct report *r, bool days, const void *data, size_t size);

#endif
