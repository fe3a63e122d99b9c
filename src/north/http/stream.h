/* SPDX-License-Identifier: Apache-2.0 */
/* A stream's state. stream.c gathers the next batch from the journal; stream_client.c says what the client wants and gives
 * it the batch. */
#ifndef ISTHMUS_NORTH_HTTP_STREAM_H
#define ISTHMUS_NORTH_HTTP_STREAM_H

#include "north/http/http.h"

#include <uv.h>

#define GLOBS_MAX   32
#define LATEST_MS   250
#define MESSAGE_MAX (UINT32_C(1) << 20)
#define STALLED_S   300 /* a client that takes nothing for so long is cut off */

/* A stretch of the journal of which `records` are not given one by one. */
struct skip {
    uint64_t from, to, records;
};

struct stream {
    struct request *r;
    bool socket; /* WebSocket */
    bool every;
    bool subscribed;
    char globs[GLOBS_MAX][256];
    size_t glob_count;
    uint8_t *wanted;   /* per tag of the plan */
    bool placed;       /* `next` counts; else begin at the head */
    uint64_t next;     /* sequence to read from */
    uint64_t head;     /* of the journal, when last looked at */
    uint64_t cut;      /* not 0: the batch is full of bytes, go on from this sequence */
    uint32_t now_from; /* not 0: it jumps to `head`, with the current values from this tag id on */
    uint64_t epoch;
    uint32_t ask;
    uv_timer_t *timer; /* owned; freed when closed */
    size_t sent;       /* of r->body */
    bool writing;
    uint64_t flushed_ms; /* when the client was offered the batch */
    bool late;           /* it took its time */
    bool more;           /* the journal has more than the last batch */
    /* mode latest, per tag: the newest sample of a number that was not given yet (longer values are given at once) */
    struct slot *latest;
    uint64_t *latest_sequence;
    uint8_t *dirty;
    bool any_dirty;
    struct skip superseded; /* samples in `latest` that newer ones replaced */
};

void stream_start(struct stream *s); /* the client has said what it wants */
void stream_taken(struct stream *s); /* the client has the batch: on to the next */

#endif
