/* SPDX-License-Identifier: Apache-2.0 */
/* How long the disk and its flash will last at the rate of late. Pure: figures and times in, figures out; no clock, no
 * I/O. Whoever watches the disk notes a point now and then; the rates come from a window of at most a week that begins
 * only when the start's burst is over. */
#ifndef ISTHMUS_JOURNAL_FORECAST_H
#define ISTHMUS_JOURNAL_FORECAST_H

#include <stdbool.h>
#include <stdint.h>

/* A flush writes more than the data: the rest of the last page, the file's inode and the file system's own journal, four
 * blocks of 4 KiB as seen on ext4. The flash rewrites whole blocks of its own: small writes cost it twice. */
#define FORECAST_FLUSH_BYTES   16384.0
#define FORECAST_AMPLIFICATION 2.0

#define FORECAST_POINTS 64u
#define FORECAST_EVERY_NS                                                                          \
    INT64_C(10000000000) /* points at first; their distance doubles as time goes */
#define FORECAST_SETTLE_NS INT64_C(30000000000)     /* after the first point, which is not kept */
#define FORECAST_LEAST_NS  INT64_C(60000000000)     /* less is no rate */
#define FORECAST_WINDOW_NS INT64_C(604800000000000) /* a week */

struct forecast_point {
    int64_t mono_ns;
    uint64_t used; /* bytes on disk, raw and sealed */
    uint64_t written,
        flushes; /* since the writer's start; less than before: it was started again */
};

struct forecast_window {
    struct forecast_point
        points[FORECAST_POINTS]; /* the oldest first; written and flushes go on over restarts */
    uint32_t count;
    int64_t every_ns, first_ns;
    struct forecast_point last; /* as told */
    uint64_t written, flushes;  /* of the writer's earlier lives */
};

struct forecast_rates {              /* a day */
    double growth, written, flushes; /* growth may be negative */
};

/* Notes how things stand; cheap to call at every step. */
void forecast_note(struct forecast_window *w, struct forecast_point now);
/* From the oldest point to the last that was told. False: too little was seen yet. */
bool forecast_rate(const struct forecast_window *w, struct forecast_rates *out);

struct forecast_figures {
    uint64_t used, limit; /* bytes; limit 0: none */
    uint64_t room;        /* bytes that the file system has left */
    uint64_t endurance;   /* bytes that the flash is rated for (TBW); 0: not told */
};

enum forecast_end { FORECAST_NEVER, FORECAST_LIMIT, FORECAST_DISK };

struct forecast {
    uint32_t end;       /* enum forecast_end: what is reached first */
    double days;        /* until then; with FORECAST_NEVER 0 */
    double flash_bytes; /* that the flash takes a day */
    double
        flash_years; /* until its endurance is used up by this alone; 0: not told or nothing written */
};

struct forecast forecast_of(const struct forecast_figures *f, const struct forecast_rates *r);

#endif
