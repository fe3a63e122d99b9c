/* SPDX-License-Identifier: Apache-2.0 */
/* What really flowed through a service from a zone in the last day: values read, reads refused, commands let through and
 * refused, hour by hour. The gateway's own socket is a service like any other. */
#ifndef ISTHMUS_READER_FLOW_H
#define ISTHMUS_READER_FLOW_H

#include "box/link.h"

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOWS_MAX 1024u /* services times zones; what is beyond is not counted */

struct flow {
    uint32_t box, zone; /* in the plan */
    struct flow_hour hours[FLOW_HOURS];
    bool dirty;
    uint64_t allowed, refused; /* not stored: as the engine had counted last */
    bool seen;
};

/* That of now; an older one in its place is gone. */
struct flow_hour *flow_now(struct flow *f, int64_t utc_ns);
/* What the engine has counted until now. */
void flow_commands(struct flow *f, uint64_t allowed, uint64_t refused, int64_t utc_ns);

#define FLOW_STATE_MAX 1200u
size_t flow_encode(const struct flow *f, uint8_t out[FLOW_STATE_MAX]);
/* Adds what was stored. ERR_MALFORMED: it is none of these. */
MUST_USE int flow_decode(struct flow *f, const void *data, size_t size);

#endif
