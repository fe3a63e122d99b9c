/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the sealer: what there is to do in the folder, one piece of work at a time, the most urgent first. No clock and no
 * sleep in here. One thread.
 *
 *   leftovers ─ seal a raw segment ─ take away raw segments nobody needs ─ merge files ─ retention ─ nothing: sleep */
#ifndef ISTHMUS_SEALER_CORE_H
#define ISTHMUS_SEALER_CORE_H

#include "base/ring.h"
#include "box/gateway.h"
#include "history/seal.h"

#define READS_MAX   5u /* then it is set aside */
#define MERGE_COUNT 8u /* so many neighbours of one level make one of the next */

struct sealer_facts { /* of a sealed file: its classes of retention */
    char name[SEALED_NAME_SIZE];
    uint32_t any, raw; /* a bit per class: has columns, has samples that are not thinned out */
    uint64_t bytes[RETENTIONS_MAX + 1];
};

struct sealer {
    const struct disk *disk;
    int dir; /* borrowed */
    const struct plan *plan;
    const struct journal_marks *marks;
    const _Atomic uint64_t *needed; /* the reader's word: what feeds still need begins here */
    struct sealer_panel *panel;     /* figures; NULL: nobody looks */
    struct ring_producer *up;       /* to the engine; NULL: nobody listens */
    void (*beat)(void *context);
    void (*wait)(
        void *context); /* a moment, for room in the ring; NULL: what finds no room is left out */
    void *context;
    struct history history;
    struct sealer_facts *facts; /* owned; of the shelf's files */
    uint32_t fact_count;
    struct journal_position journal;
    int64_t utc_ns;
    uint64_t merge_limit;              /* bytes: what is larger is not merged any more */
    char unreadable[SEALED_NAME_SIZE]; /* what could not be read last, and how often */
    unsigned unreadable_times;
    uint64_t apart_from,
        apart_newest; /* runs from this segment on can't be merged, as long as this is the newest */
    bool clean;       /* what a predecessor left was taken away */
    char trouble
        [160]; /* the last thing that went wrong, for people; "" if nothing did since it was told */
};

MUST_USE int sealer_open(struct sealer *s);
void sealer_close(struct sealer *s);
/* Does one piece of work. 1: there may be more; 0: nothing to do now; negative: it went wrong, s->trouble says what: wait a
 * while. */
MUST_USE int sealer_step(struct sealer *s, int64_t utc_ns);

/* retain.c: retention, one file at a time. As sealer_step. */
MUST_USE int sealer_retain(struct sealer *s);
/* Notes what went wrong, and gives `err` back. */
int sealer_trouble(struct sealer *s, const char *what, const char *name, int err);
struct seal sealer_tools(const struct sealer *s);

/* tell.c: to the engine: what was lost or dropped, [from_ns, to_ns] of all tags (tag 0) or of one. */
void tell_gap(struct sealer *s, enum gap_cause cause, uint32_t tag, int64_t from_ns, int64_t to_ns,
              uint64_t samples);
/* Waits until what was told is durable in the journal; false: the engine has not got so far yet. */
bool tell_is_durable(struct sealer *s);
void tell_event(struct sealer *s, enum event_kind kind, uint64_t detail, const char *text);

#endif
