/* SPDX-License-Identifier: Apache-2.0 */
#include "history/block.h"
#include "tag/status.h"

#include <math.h>
#include <string.h>

static void add(struct block_summary *s, double v, int64_t time, int64_t held_ns)
{
    if (s->good == 0 || v < s->min) {
        s->min = v;
        s->min_ns = time;
    }
    if (s->good == 0 || v > s->max) {
        s->max = v;
        s->max_ns = time;
    }
    s->good++;
    s->sum += v;
    s->integral += v * ((double)held_ns * 1e-9);
    s->good_ns += held_ns;
}

void block_summarise(const struct block *b, struct block_summary *out)
{
    struct block_summary s = {.count = b->count};
    uint32_t end = b->count - 1;
    for (uint32_t i = 0; i < b->count; i++) {
        s.bad += status_severity(b->status[i]) == SEVERITY_BAD;
        if (status_severity(b->status[i]) != SEVERITY_GOOD) {
            continue;
        }
        double v = value_is_long(b->type)
                       ? 0
                       : value_as_double(b->type, (union slot_value){.u64 = b->value[i]});
        if (!isnan(v)) {
            add(&s, v, value_is_long(b->type) ? 0 : b->time[i],
                i < end ? b->time[i + 1] - b->time[i] : 0);
        }
    }
    s.first_ns = b->time[0];
    s.last_ns = b->time[end];
    s.first = b->value[0];
    s.last = b->value[end];
    s.first_status = b->status[0];
    s.last_status = b->status[end];
    *out = s;
}
