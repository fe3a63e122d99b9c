/* SPDX-License-Identifier: Apache-2.0 */
/* The two clocks, and time as text. Modules that decide something from time are handed it; only the outermost
 * loops call these. */
#ifndef ISTHMUS_BASE_CLOCK_H
#define ISTHMUS_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_US INT64_C(1000)

/* Nanoseconds UTC since 1970; may jump. */
int64_t clock_utc_ns(void);

/* Nanoseconds of a clock that nobody can set and that runs while suspended; for durations only. */
int64_t clock_mono_ns(void);

/* A clock that is handed in, so that a simulation can turn it by hand. Any thread may ask. */
struct clock {
    void *context;
    int64_t (*utc_ns)(void *context);
    int64_t (*mono_ns)(void *context);
};
/* The two above. */
extern const struct clock clock_real;

#define CLOCK_TEXT_SIZE 40

/* Writes RFC 3339 UTC with nine digits, e.g. 2026-11-22T10:00:00.000000001Z; years outside 0..9999 give
 * "out-of-range". Returns `out`. */
char *clock_text(int64_t utc_ns, char out[CLOCK_TEXT_SIZE]);

/* Parses RFC 3339 with up to nine digits and any offset; needs the whole text. 0 or ERR_MALFORMED/ERR_RANGE. */
int clock_parse(const char *text, size_t size, int64_t *utc_ns);

#endif
