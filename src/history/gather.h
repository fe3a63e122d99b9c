/* SPDX-License-Identifier: Apache-2.0 */
/* Samples of many tags as they come from raw segments, put in order: by tag, then by source time; equal times keep the
 * order in which they were journaled. For the sealer (a whole segment, range of ids by range of ids) and for queries (the
 * tags asked for). One thread. */
#ifndef ISTHMUS_HISTORY_GATHER_H
#define ISTHMUS_HISTORY_GATHER_H

#include "base/err.h"
#include "base/slot.h"

struct gather {
    struct slot
        *slots; /* owned; of a long one: value.u64 = where in `texts` × GATHER_TEXT + its length */
    size_t count, room;
    uint8_t *texts; /* owned */
    size_t text_size, text_room;
    uint32_t from_id, to_id; /* only ids in [from_id, to_id) */
    const uint64_t *tags;    /* a bit per id below end_id; NULL: all. Borrowed */
    uint32_t end_id;
    size_t
        limit; /* samples; 0: none. When there are more, to_id is lowered and the rest is left for a next time */
};

#define GATHER_TEXT 1024u

void gather_init(struct gather *g, uint32_t from_id, uint32_t to_id);
void gather_fini(struct gather *g);
/* Takes what it wants of a frame's proven records. */
MUST_USE int gather_take(struct gather *g, const struct slot *slots, size_t count);
MUST_USE int gather_sort(struct gather *g);
/* After the sort: the samples of a tag. */
const struct slot *gather_find(const struct gather *g, uint32_t id, size_t *count);

static inline bool gather_wants(const struct gather *g, uint32_t id)
{
    return id >= g->from_id && id < g->to_id &&
           (!g->tags || (id < g->end_id && (g->tags[id / 64] >> (id % 64) & 1)));
}

/* A sample as it was: gives its value word, and the text of a long one (else NULL). */
static inline const uint8_t *gather_text(const struct gather *g, const struct slot *in,
                                         struct slot *out)
{
    *out = *in;
    out->tag = slot_id(in);
    if (!slot_is_long(in)) {
        return NULL;
    }
    out->value.u64 = in->value.u64 % GATHER_TEXT;
    return g->texts + in->value.u64 / GATHER_TEXT;
}

#endif
