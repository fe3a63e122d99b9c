/* SPDX-License-Identifier: Apache-2.0 */
/* A cursor: the set of sequence numbers that a feed has delivered, as ranges. One range [0, n) when all is in order;
 * a second one [m, k) while the live lane runs ahead of the backlog lane. Bounded: when it would need more than
 * CURSOR_RANGES ranges, add refuses with ERR_FULL (deliver the backlog first). */
#ifndef ISTHMUS_JOURNAL_CURSOR_H
#define ISTHMUS_JOURNAL_CURSOR_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CURSOR_RANGES 64u

struct cursor_range {
    uint64_t from, to; /* [from, to) */
};
struct cursor {
    uint32_t count;
    struct cursor_range ranges[CURSOR_RANGES]; /* ascending, disjoint, not touching, not empty */
};

MUST_USE int cursor_add(struct cursor *c, uint64_t from, uint64_t to);
bool cursor_has(const struct cursor *c, uint64_t sequence);
/* The first stretch not in the set at or after `from` and before `end`; false: there is none. */
bool cursor_next_hole(const struct cursor *c, uint64_t from, uint64_t end,
                      struct cursor_range *hole);
uint64_t cursor_count(const struct cursor *c); /* sequence numbers in the set */
/* Keeps only what lies below `limit` (what is durable). */
void cursor_clip(struct cursor *c, uint64_t limit);
/* Little-endian count and ranges; encode returns the bytes used; decode proves all invariants. */
#define CURSOR_BYTES_MAX (4u + CURSOR_RANGES * 16u)
size_t cursor_encode(const struct cursor *c, uint8_t out[CURSOR_BYTES_MAX]);
MUST_USE int cursor_decode(struct cursor *c, const void *data, size_t size);

#endif
