/* SPDX-License-Identifier: Apache-2.0 */
/* What the journal adds up to: totals per tag, ring positions, stored values. Recovery builds it from the last
 * segment, the journal's thread keeps it up with what is durable, and each new segment opens with it. */
#ifndef ISTHMUS_JOURNAL_STATE_H
#define ISTHMUS_JOURNAL_STATE_H

#include "journal/disk.h"
#include "journal/frame.h"
#include "journal/journal.h"

#define STATE_RINGS_MAX  4096u
#define STATE_STORED_MAX 4096u

struct state_stored {
    uint32_t box, size;
    char key[STORE_KEY_MAX];
    uint8_t *value; /* owned, STORE_VALUE_MAX bytes */
};

/* Accounts lie in pages of neighbouring ids, so that a forged file with one far id costs one page. */
#define STATE_PAGE_IDS 1024u
#define STATE_PAGES    ((SLOT_ID_MAX + 1) / STATE_PAGE_IDS)

/* What is missing and no gap tells of yet; without it whoever is killed before he could tell would leave a hole. Stored among the
 * values, with PLAN_NONE for its box. */
#define STATE_LOST   "lost"   /* struct state_lost; until a gap of scope all: segment lost */
#define STATE_LOSING "losing" /* int64_t; until it is 0, or a gap of scope all: journal failed */

/* What a recovery could not read. */
struct state_lost {
    uint64_t bytes;
    uint64_t count, from, to; /* sequence numbers, all in [from, to) */
    int64_t from_ns, to_ns;
};

struct state {
    struct journal_account **pages; /* owned, STATE_PAGES; NULL where no id was seen */
    struct frame_ring *rings;       /* owned, STATE_RINGS_MAX */
    uint32_t ring_count;
    struct state_stored *stored; /* owned, STATE_STORED_MAX */
    uint32_t stored_count;
    struct state_lost lost;
    int64_t losing_ns; /* since then samples are let go, and not all have their gap; 0: none */
    uint64_t next_sequence;
    int64_t last_ns; /* of the last data, or of an orderly stop */
    bool opened;     /* an opening state was complete */
    bool closed;     /* the last frame was FRAME_CLOSED */
};

/* The ids below id_limit have their accounts from the start: taking in their records allocates nothing. */
MUST_USE int state_init(struct state *s, uint32_t id_limit);
void state_fini(struct state *s);
void state_clear(struct state *s);

/* Takes in a proven frame. ERR_NOMEM only while ids beyond id_limit or new stored keys appear. A data frame whose
 * sequence numbers were all taken in before (a suspect segment's, written again) changes nothing. */
MUST_USE int state_apply(struct state *s, const struct frame_header *h, const struct slot *slots);

/* NULL: nothing is known of this id. */
const struct journal_account *state_find_account(const struct state *s, uint32_t id);
const struct state_stored *state_find_stored(const struct state *s, uint32_t box, const char *key);
const struct frame_ring *state_find_ring(const struct state *s, uint32_t box);

void state_note_lost(struct state_lost *to, const struct state_lost *lost);

/* Writes the catalogue of `plan` and the state as frames at *offset of a file, and moves *offset. `scratch` (owned by the
 * caller, 8-aligned) has STATE_SCRATCH bytes. Stops at the first error. */
#define STATE_SCRATCH (256u * 1024u)
MUST_USE int state_write(const struct state *s, const struct plan *plan, const struct disk *disk,
                         int fd, uint64_t *offset, void *scratch);

#endif
