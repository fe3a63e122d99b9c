/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's writing side. The engine's thread builds frames; the journal's own thread alone touches the disk,
 * behind a bounded buffer. Layout and invariants: docs/journal-format.md.
 *
 * A frame is the atomic unit of account: what it takes from one ring (box, epoch, ring positions from..to) and what
 * became of it: samples journaled, gaps, tallies of suppressed and rejected ones, stored values. */
#ifndef ISTHMUS_JOURNAL_JOURNAL_H
#define ISTHMUS_JOURNAL_JOURNAL_H

#include <stdatomic.h>

#include "base/slot.h"
#include "tag/plan.h"
#include "tag/record.h"

/* What everybody may know of the journal: lives in the engine's shared memory, written by the engine process, read
 * by the reader. Positions are byte offsets within segment numbers. `written` data is in the file (may be read and
 * sent); `durable` data survives loss of power (cursors persist up to here only). */
struct journal_marks {
    _Atomic uint64_t version; /* sequence lock over the group below; odd: being written */
    _Atomic uint64_t epoch;
    _Atomic uint64_t first_segment;                   /* oldest that exists */
    _Atomic uint64_t written_segment, written_offset; /* end of the last written frame */
    _Atomic uint64_t written_sequence;                /* sequence after the last written record */
    _Atomic uint64_t durable_segment, durable_offset;
    _Atomic uint64_t durable_sequence;
    _Atomic uint64_t disk_bytes;                               /* of all segments */
    _Atomic uint64_t bytes_written, flushes, flush_ns, frames; /* since start */
    _Atomic uint64_t failures; /* failed writes and flushes since start */
    _Atomic uint32_t full;     /* 1: at the size limit or out of space; new data become gaps */
};
struct journal_position { /* a consistent copy */
    uint64_t epoch, first_segment;
    uint64_t written_segment, written_offset, written_sequence;
    uint64_t durable_segment, durable_offset, durable_sequence;
};
MUST_USE int journal_marks_read(const struct journal_marks *marks, struct journal_position *out);

struct journal;
struct disk;
struct clock;

struct journal_options {
    const char *dir;         /* created if missing */
    const struct plan *plan; /* borrowed for the journal's life: catalogue, sync, limits */
    struct journal_marks *marks;
    size_t buffer_bytes; /* 0: default 16 MiB */
    void (*on_written)(
        void *context); /* from the journal's thread, after each write(): wake the reader */
    void (*on_durable)(
        void *context); /* from the journal's thread, after each commit: wake the engine */
    void *context;
    /* For simulation. Borrowed; NULL: the real ones. */
    const struct disk *disk;
    const struct clock *clock;
    bool stepped; /* there is no thread: the caller does its work with journal_step */
};

/* What recovery found; the totals per tag are the ledger up to here. */
struct journal_account { /* index = tag id */
    uint64_t produced, journaled, suppressed, rejected, gaps;
};
struct journal_recovered {
    uint64_t segments, frames, cut_bytes, set_aside, damaged_bytes;
    uint64_t
        lost; /* sequence numbers whose records were in damaged stretches or missing segments … */
    uint64_t lost_from, lost_to;      /* … all of them in [from, to) … */
    int64_t lost_from_ns, lost_to_ns; /* … and journaled between these frames */
    int64_t untold_ns; /* since then samples were let go, and not all have their gap; 0: none */
    bool unsafe;       /* the newest segment can't be flushed: it may not survive a loss of power */
    char text[160];    /* what was cut or set aside, for people; "" if all was well */
    int clean;         /* 1: the last stop was orderly (a stop event closes the journal) */
    int64_t last_ns;   /* time of the last frame, 0: the journal is new */
};

/* Opens or creates, recovers (cuts a torn tail, sets damaged segments aside: promise J4), starts a new epoch and a
 * new segment, starts the thread. Blocking: only at start. */
MUST_USE int journal_open(struct journal **journal, const struct journal_options *options,
                          struct journal_recovered *recovered);
/* Commits what is buffered, ends the thread, frees. NULL is fine. */
void journal_close(struct journal *journal);

/* Without a thread: does what it would do now. Returns for how long (ns) nothing needs to be done unless a frame is
 * committed or a flush is asked for; 0: call again; -1: for ever. */
int64_t journal_step(struct journal *journal);

/* From recovery: the account of a tag; the last ring position journaled for (box,
 * box epoch) – 0 and false if none: both only before the first frame is begun. Stored values, key and owner box;
 * `size` < 0: none. */
const struct journal_account *journal_tag_account(const struct journal *journal, uint32_t id);
bool journal_ring_position(const struct journal *journal, uint32_t box, uint64_t *box_epoch,
                           uint64_t *position);
int journal_stored(const struct journal *journal, uint32_t box, const char *key, void *value,
                   size_t capacity);

/* ---- Building a frame: engine thread only. ---- */
struct journal_frame {
    uint32_t box; /* PLAN_NONE: the engine itself */
    uint64_t box_epoch, ring_from, ring_to;
    int64_t now_ns; /* the engine's clock */
};

/* Begins a frame with room for `slots` slots: returns where to write them, or NULL when the buffer has no room now
 * (leave the input in its ring and try again after on_durable). */
struct slot *journal_begin(struct journal *journal, const struct journal_frame *frame,
                           size_t slots);
/* Ends it with `used` slots (<= those asked for) of which the records carry `sequences` sequence numbers; returns the
 * first one. `used` 0 with nothing taken from the ring abandons the frame. */
uint64_t journal_commit(struct journal *journal, size_t used, uint64_t sequences);
/* The sequence number that the next sequenced record will get. */
uint64_t journal_next_sequence(const struct journal *journal);
/* With sync: always – asks for a flush now rather than at the period's end. */
void journal_flush(struct journal *journal);

/* What has become durable of this journal_open: the ring position up to which box's ring may be released (all its frames up
 * to there are durable, or lost and counted); 0: nothing yet. Engine thread. */
uint64_t journal_durable_ring(struct journal *journal, uint32_t box);
/* Frames are durable up to this sequence (exclusive). */
uint64_t journal_durable_sequence(const struct journal *journal);
/* Samples lost behind the buffer (journal full, failed write) since the last call, as gap records to be journaled and
 * counted in the ledger: one per tag and cause. Returns how many were written to `out`. Engine thread. */
size_t journal_take_losses(struct journal *journal, struct record_gap *out, size_t capacity);

#endif
