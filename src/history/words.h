/* SPDX-License-Identifier: Apache-2.0 */
/* A column of up to 1,024 64-bit words as bytes, in the encoding that is smallest for it (docs/journal-format.md, "Sealed
 * blocks"). All arithmetic is modulo 2^64, so any words at all survive. */
#ifndef ISTHMUS_HISTORY_WORDS_H
#define ISTHMUS_HISTORY_WORDS_H

#include "base/bytes.h"
#include "base/err.h"
#include "history/bits.h"

#define WORDS_MAX BITS_COUNT_MAX
/* No column is longer than this. */
#define WORDS_BYTES_MAX (WORDS_MAX * 8u + 256u)

struct words_scratch {
    _Alignas(64) uint64_t x[WORDS_MAX], r[WORDS_MAX], u[WORDS_MAX];
    _Alignas(64) uint64_t values[WORDS_MAX], places[WORDS_MAX]; /* of breaks and dictionaries */
    uint8_t trial[WORDS_BYTES_MAX];
};

/* 0, or ERR_FULL. `count` is 1..WORDS_MAX; `v` may be none of the scratch's arrays. */
int words_encode(struct words_scratch *s, const uint64_t *v, uint32_t count,
                 struct writer *out) MUST_USE;

/* 0, or ERR_MALFORMED: any bytes may come. `v` has room for WORDS_MAX, whatever the count. */
int words_decode(struct words_scratch *s, struct reader *in, uint32_t count, uint64_t *v) MUST_USE;

/* Whether the column is nothing but base + i × step (a constant, a regular clock), so that one need not look at each word. */
bool words_are_line(struct words_scratch *s, struct reader in, uint32_t count, uint64_t *base,
                    uint64_t *step);
/* Such a column. `v` has room for WORDS_MAX. */
void words_fill(uint64_t *v, uint32_t count, uint64_t base, uint64_t step);

#endif
