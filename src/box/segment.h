/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's shared memory as its own files see it: gateway.c makes it, gateway_enter.c gives each process its part. */
#ifndef ISTHMUS_BOX_SEGMENT_H
#define ISTHMUS_BOX_SEGMENT_H

#include "box/gateway.h"

#include <unistd.h>

#define NOBODY  (-1)
#define WATCHER (-2) /* the supervisor */

struct segment {
    int fd, writer; /* seat, NOBODY, WATCHER */
    int only;       /* the one seat that may read it beside the middle, or NOBODY */
    bool engine_reads, reader_reads, all_read;
    size_t size, used;
    uint8_t *base;
};

struct gateway_memory {
    struct segment *segments;
    size_t count;
    bool unsealed; /* the kernel lacks F_SEAL_FUTURE_WRITE */
};

/* segments: [engine, health, the reader's panel, zones…, per seat from the reader on: own, engine→seat, reader→box, plan part] */
enum { ENGINE_SEGMENT, HEALTH_SEGMENT, READER_SEGMENT, FIRST_ZONE };

static inline struct segment *seat_segment(struct gateway *g, int seat, int which)
{
    size_t at =
        FIRST_ZONE + g->plan.header->zones.count + (size_t)(seat - SEAT_READER) * 4 + (size_t)which;
    return g->memory->segments + at;
}

static inline void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

#endif
