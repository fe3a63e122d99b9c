/* SPDX-License-Identifier: Apache-2.0 */
/* A walk through the journal that finds runs: neighbouring records that a filter lets through. It can stop anywhere,
 * in the middle of a frame too, and goes on there. */
#ifndef ISTHMUS_READER_WALK_H
#define ISTHMUS_READER_WALK_H

#include "history/history.h"
#include "journal/follow.h"

struct filter {
    const uint64_t *tags; /* a bit per tag id; borrowed */
    uint32_t end_id;      /* ids in `tags` are below */
    uint32_t only;        /* just this one of them; 0: all */
    const uint8_t *devices,
        *boxes; /* a byte per index of the plan: some tag of it is in `tags`; borrowed */
    uint32_t device_count, box_count;
    bool notes_only; /* gap and event records, no samples */
    bool all_notes;  /* with notes_only: whatever they concern */
    bool no_notes;   /* samples only */
    bool timed;      /* frames without a sample time in [from_ns, to_ns] are stepped over */
    int64_t from_ns, to_ns;
};

static inline bool filter_has_tag(const struct filter *f, uint32_t id)
{
    return f->only ? id == f->only : id < f->end_id && (f->tags[id / 64] >> (id % 64) & 1);
}

/* Whether the filter lets a gap or event record through: it concerns one of its tags, or all. */
bool filter_has_note(const struct filter *f, const struct slot *record);
bool filter_has_gap(const struct filter *f, uint32_t scope, uint32_t which);

struct walk {
    struct follow *follow; /* owned; NULL: not opened yet */
    struct follow_frame frame;
    bool has_frame;
    bool by_time;      /* it may have left out what is older than the time sought */
    size_t at;         /* slot in the frame */
    uint64_t at_first; /* sequence number of the next sequenced record at or after `at` */
    uint64_t sequence; /* where the walk is: everything before was looked at */
    uint64_t
        lost; /* sequence numbers that turned out to be missing, since the caller last set it to 0 */
};

struct walk_limit {
    uint64_t end;     /* stop before this sequence number */
    uint64_t records; /* a run is no longer than this … */
    uint64_t slots;   /* … or this; at least SLOT_RECORD_MAX */
    size_t *budget;   /* slots that may still be looked at; counted down */
};

struct walk_run { /* borrowed until the next call */
    const struct slot *slots;
    size_t slot_count;
    uint32_t records, samples;
    uint64_t epoch, first_sequence;
    int64_t now_ns; /* when the frame was journaled */
};

enum { WALK_END, WALK_RUN, WALK_BUDGET };

void walk_close(struct walk *s);
/* Go on at `sequence`; free when it is there already. 0 or a negative err. */
MUST_USE int walk_seek(struct walk *s, const struct history *h, const struct journal_marks *marks,
                       uint64_t sequence);
/* Go on at the first frame that may have samples of `from_ns` or later. */
MUST_USE int walk_seek_time(struct walk *s, const struct history *h,
                            const struct journal_marks *marks, int64_t from_ns);
/* WALK_RUN: *run is the next; WALK_END: `end`, or the end of what is written, is reached; WALK_BUDGET: call again
 * with a new budget; negative: ERR_IO. s->sequence tells how far it got. */
MUST_USE int walk_next(struct walk *s, const struct filter *f, const struct walk_limit *limit,
                       struct walk_run *run);

#endif
