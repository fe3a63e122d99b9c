/* SPDX-License-Identifier: Apache-2.0 */
/* A column of doubles (the words of float32 and float64 tags) as integers: decimals scaled, others by their bits. */
#ifndef ISTHMUS_HISTORY_FLOATS_H
#define ISTHMUS_HISTORY_FLOATS_H

#include "history/words.h"

#define FLOATS_BYTES_MAX (2u * WORDS_BYTES_MAX + 8u)

struct floats_scratch {
    struct words_scratch words;
    _Alignas(64) uint64_t column[WORDS_MAX], back[WORDS_MAX];
};

/* As words_encode and words_decode. */
int floats_encode(struct floats_scratch *s, const uint64_t *v, uint32_t count,
                  struct writer *out) MUST_USE;
int floats_decode(struct floats_scratch *s, struct reader *in, uint32_t count,
                  uint64_t *v) MUST_USE;

#endif
