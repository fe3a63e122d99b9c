/* SPDX-License-Identifier: Apache-2.0 */
/* What the writing side's own files share. Three owners: the engine's thread builds frames (journal.c, loss.c), the
 * journal's thread writes them (writer.c, segment.c); between them only the atomics under "shared".
 *
 *        durable          written            head
 *   ───────┼────────────────┼──────────────────┼───────────  positions: bytes since the start
 *    free  │ in the file,   │ complete, to be  │ under construction by the engine
 *          │ not yet safe   │ written          │
 *
 * Frames stay in the buffer until they are durable. So after a failed write or flush they are simply written again,
 * into a new segment. */
#ifndef ISTHMUS_JOURNAL_INTERNAL_H
#define ISTHMUS_JOURNAL_INTERNAL_H

#include "base/clock.h"
#include "journal/state.h"

#include <pthread.h>

enum trouble { TROUBLE_NONE, TROUBLE_FULL, TROUBLE_FAILED };

struct loss { /* of one tag, not yet journaled */
    uint64_t full, failed, suppressed, rejected;
    int64_t from_ns, to_ns;
};

struct box_track {
    _Atomic uint64_t durable_to; /* ring position; journal's thread */
    uint64_t last_end;           /* position in the buffer after its last frame; engine's */
    uint64_t lost_to;            /* ring position of what was shed; engine's */
};

struct segment { /* the one being written, else the last one that was; journal's thread */
    int fd;      /* -1: it is closed, the disk fails */
    uint64_t number, offset, durable_offset;
    uint64_t opening;   /* bytes of its header, catalogue and opening state */
    uint64_t allocated; /* bytes that surely have room */
    uint64_t forgotten; /* bytes at the front that need not stay in memory */
};

struct journal {
    const struct plan *plan;
    struct journal_marks *marks;
    void (*on_written)(void *context);
    void (*on_durable)(void *context);
    void *context;
    const struct disk *disk;
    const struct clock *clock;
    int dir;
    uint8_t *buffer; /* mapped twice in a row, so that no frame is ever split */
    uint64_t capacity;
    uint64_t segment_size; /* as planned, or an eighth of a small limit */
    uint64_t reserve;      /* bytes of every segment's allocation and of the limit kept for gaps */
    uint64_t epoch;

    /* engine's thread */
    struct frame_header *frame; /* under construction, or NULL */
    size_t frame_room;          /* slots */
    bool shedding;              /* the frame under construction loses its samples */
    uint64_t tail_known;        /* durable, as last seen */
    int64_t stalled_since;      /* 0: the buffer has room */
    bool stalled;
    uint64_t next_sequence;
    struct box_track *boxes; /* box_count, then the reader, the sealer, the identity */
    uint32_t box_count;
    struct loss *losses; /* as the plan's tags */
    uint64_t lost;       /* tags with something in losses */
    bool losing;         /* and the journal has a note of it */
    uint32_t sweep;
    int64_t round_ns, next_round_ns;
    int64_t now_ns; /* of the last frame */

    /* shared */
    _Alignas(64) _Atomic uint64_t head;
    _Atomic uint64_t shift; /* position that lies at the buffer's start */
    _Atomic uint32_t flush_asked, closing;
    _Alignas(64) _Atomic uint64_t durable;
    _Atomic uint64_t durable_sequence;
    _Atomic uint32_t trouble;
    _Atomic uint32_t sleeping;  /* futex */
    pthread_mutex_t state_lock; /* stored values: read by the engine's thread now and then */

    /* journal's thread */
    pthread_t thread;
    bool threaded;                /* else the owner calls journal_step */
    struct state_lost found_lost; /* by this start: no record in the journal tells of it yet */
    struct state state;           /* what is durable adds up to */
    struct segment segment;
    uint64_t first_segment, closed_bytes; /* of all segments that are not open */
    uint64_t last_number;                 /* highest segment number ever used */
    uint64_t written, written_sequence;
    int64_t flush_due_ns, retry_ns, retry_wait_ns;
    int failures_in_a_row;
    void *scratch;
};

static inline struct frame_header *journal_at(const struct journal *j, uint64_t position)
{
    uint64_t shift = atomic_load_explicit(&j->shift, memory_order_relaxed);
    return (struct frame_header *)(j->buffer + ((position - shift) & (j->capacity - 1)));
}

static inline int64_t journal_now(const struct journal *j)
{
    return j->clock->mono_ns(j->clock->context);
}

/* The track of a frame's box, or NULL for the engine's own frames. */
static inline struct box_track *journal_box(struct journal *j, uint32_t box)
{
    return box < j->box_count     ? j->boxes + box
           : box == PLAN_NONE - 1 ? j->boxes + j->box_count
           : box == PLAN_NONE - 2 ? j->boxes + j->box_count + 1
           : box == PLAN_NONE - 3 ? j->boxes + j->box_count + 2
                                  : NULL;
}

/* journal.c */
void journal_wake(struct journal *j);

/* loss.c, engine's thread: takes the samples out of a frame and counts them as lost; the slots that remain. */
size_t loss_shed(struct journal *j, struct slot *slots, size_t count, uint64_t *sequences);

/* Notes that samples are going to be let go, or that all of them have their gaps; false: no room. */
bool loss_note(struct journal *j, bool losing);

/* recover.c */
MUST_USE int recover(struct journal *j, struct journal_recovered *out);

/* segment.c, journal's thread (and at open). */
MUST_USE int
segment_next(struct journal *j);         /* ERR_FULL: limit or no space; the current one stays */
void segment_abandon(struct journal *j); /* it is suspect: keeps what was durable */
void segment_close(struct journal *j);
void marks_publish(struct journal *j);

/* writer.c */
void *writer_main(void *journal);
/* One round of it; false: the journal is closed. `wait` as journal_step returns it, unless more than `head` was committed
 * meanwhile. */
bool writer_step(struct journal *j, uint64_t *head, int64_t *wait);

#endif
