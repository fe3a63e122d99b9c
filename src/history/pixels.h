/* SPDX-License-Identifier: Apache-2.0 */
/* A stretch of time cut into columns for a chart of that width: each keeps its first, least, greatest and last sample that is
 * not bad, and its first bad one, so that every spike and every fault shows. Where a whole block is good and lies in one
 * column its summary is enough: a year needs hardly any decoding. */
#ifndef ISTHMUS_HISTORY_PIXELS_H
#define ISTHMUS_HISTORY_PIXELS_H

#include "history/series.h"

#define PIXEL_SAMPLES 5u

struct pixel {
    struct slot samples[PIXEL_SAMPLES];
    uint32_t has;           /* which are there */
    double least, greatest; /* the numbers of two of them */
};

struct pixels {
    enum value_type type;
    struct series_grid grid;
    uint32_t count;
    struct pixel *columns; /* owned */
};

/* `count` columns over [from_ns, to_ns]; not for texts and bytes. */
MUST_USE int pixels_init(struct pixels *p, enum value_type type, int64_t from_ns, int64_t to_ns,
                         uint32_t count);
void pixels_fini(struct pixels *p);
/* Takes the series' next pieces, of about *budget samples, and counts it down. 1: all was taken; 0: call again; negative err. */
MUST_USE int pixels_take(struct pixels *p, struct series *s, size_t *budget);
/* The distinct samples of a column in order of time. */
size_t pixels_give(const struct pixels *p, uint32_t column, struct slot out[PIXEL_SAMPLES]);

#endif
