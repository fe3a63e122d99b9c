/* SPDX-License-Identifier: Apache-2.0 */
/* What a step of a tag's history can be made into, after OPC UA Part 13, 5.4.3; history/sampled.h says how. */
#ifndef ISTHMUS_TAG_AGGREGATE_H
#define ISTHMUS_TAG_AGGREGATE_H

#include <stdint.h>

enum aggregate {
    AGGREGATE_LAST = 1,     /* End: the last good sample of the step */
    AGGREGATE_ASOF,         /* what held at the step's start: the good sample at it or before it */
    AGGREGATE_INTERPOLATED, /* Interpolative: at the step's start, on the line between the good samples around it; for booleans as ASOF */
    AGGREGATE_AVERAGE,      /* Average: of the good samples */
    AGGREGATE_TIME_AVERAGE, /* TimeAverage2: integral / time in which a value held */
    AGGREGATE_MIN,          /* Minimum */
    AGGREGATE_MAX,          /* Maximum */
    AGGREGATE_COUNT,        /* Count: good samples; 0 where there are none */
    AGGREGATE_INTEGRAL,     /* Total2: each value × the seconds that it held */
    AGGREGATE_PERCENTILE, /* of the good samples: the least that `parameter` percent of them do not exceed (nearest rank) */
    AGGREGATE_DURATION, /* DurationInState: seconds in which a value equal to `parameter` held */
    AGGREGATE_END
};
/* "last", "asof" …; 0: there is none of this name. */
uint32_t aggregate_named(const char *name);
const char *aggregate_name(uint32_t aggregate); /* NULL: there is none of this number */

#endif
