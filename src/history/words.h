/* SPDX-License-Identifier: Apache-2.0 */
/* A column of up to 1,024 64-bit words as bytes: the encoding that is smallest for it. */
#ifndef ISTHMUS_HISTORY_WORDS_H
#define ISTHMUS_HISTORY_WORDS_H

#include "base/bytes.h"
#include "base/err.h"

#define WORDS_MAX 1024u
/* No column is longer than this. */
#define WORDS_BYTES_MAX (WORDS_MAX * 8u + 64u)

struct words_scratch {
    _Alignas(64) uint64_t a[WORDS_MAX], b[WORDS_MAX];
};

/* 0, or ERR_FULL. `count` is 1..WORDS_MAX. */
int words_encode(struct words_scratch *s, const uint64_t *v, uint32_t count,
                 struct writer *out) MUST_USE;

/* 0, or ERR_MALFORMED. `v` has room for WORDS_MAX. */
int words_decode(struct words_scratch *s, struct reader *in, uint32_t count, uint64_t *v) MUST_USE;

void write_varint(struct writer *w, uint64_t v);
uint64_t read_varint(struct reader *r);

#endif
