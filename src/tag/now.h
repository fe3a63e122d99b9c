/* SPDX-License-Identifier: Apache-2.0 */
/* Now: the current value of each tag of one zone, with its account, in shared memory. The engine writes, the reader
 * reads. An entry is a sequence lock of atomic words: odd version = being written; a reader tries a bounded number
 * of times and then says "busy". The account words (the ledger) are single atomics. */
#ifndef ISTHMUS_TAG_NOW_H
#define ISTHMUS_TAG_NOW_H

#include <stdatomic.h>
#include <stdbool.h>

#include "tag/plan.h"

struct now_entry {
    _Atomic uint32_t version;
    _Atomic uint32_t status;
    _Atomic int64_t time;      /* source time */
    _Atomic uint64_t value;    /* bits, or byte count of a long value */
    _Atomic uint64_t sequence; /* of the sample in the journal; 0: none journaled yet */
    /* the ledger since the journal began */
    _Atomic uint64_t produced, journaled, suppressed, rejected, gaps;
};

struct now_table { /* view; not in shared memory */
    struct now_entry *entries;
    _Atomic uint64_t *text; /* words of the text area */
    uint32_t count;
    uint64_t text_size;
};

/* Bytes of shared memory for a zone. */
size_t now_bytes(const struct plan_zone *zone);
/* The view over mapped memory of now_bytes(zone). */
struct now_table now_view(void *memory, const struct plan_zone *zone);

struct now_value {
    struct slot slot; /* slot.tag = the tag's id */
    uint64_t sequence;
    uint16_t length; /* of `bytes`, for long types */
    uint8_t bytes[SLOT_BYTES_MAX];
};

struct now_account { /* of a tag: produced is the sum of the others */
    uint64_t produced, journaled, suppressed, rejected, gaps;
};
/* Any process. An account that never balances, though looked at often, is given as it is. */
void now_account(const struct now_table *t, const struct plan_tag *tag, struct now_account *out);
static inline bool now_is_balanced(const struct now_account *a)
{
    return a->produced == a->journaled + a->suppressed + a->rejected + a->gaps;
}

/* Engine only. `bytes`: the long value of slot->value.u64 bytes (at most max_length), else NULL. */
void now_write(struct now_table *t, const struct plan_tag *tag, const struct slot *slot,
               const uint8_t *bytes, uint64_t sequence);
/* Any process. 0, or ERR_BUSY after a bounded number of tries. A tag never written has status
 * STATUS_BAD_WAITING_INITIAL, time 0. */
MUST_USE int now_read(const struct now_table *t, const struct plan_tag *tag, struct now_value *out);

#endif
