/* SPDX-License-Identifier: Apache-2.0 */
#include "tag/aggregate.h"

#include <stddef.h>
#include <string.h>

static const char *const names[] = {[AGGREGATE_LAST] = "last",
                                    [AGGREGATE_ASOF] = "asof",
                                    [AGGREGATE_INTERPOLATED] = "interpolated",
                                    [AGGREGATE_AVERAGE] = "average",
                                    [AGGREGATE_TIME_AVERAGE] = "time_average",
                                    [AGGREGATE_MIN] = "min",
                                    [AGGREGATE_MAX] = "max",
                                    [AGGREGATE_COUNT] = "count",
                                    [AGGREGATE_INTEGRAL] = "integral",
                                    [AGGREGATE_PERCENTILE] = "percentile",
                                    [AGGREGATE_DURATION] = "duration"};

uint32_t aggregate_named(const char *name)
{
    for (uint32_t i = AGGREGATE_LAST; i < AGGREGATE_END; i++) {
        if (!strcmp(names[i], name)) {
            return i;
        }
    }
    return 0;
}

const char *aggregate_name(uint32_t aggregate)
{
    return aggregate >= AGGREGATE_LAST && aggregate < AGGREGATE_END ? names[aggregate] : NULL;
}
