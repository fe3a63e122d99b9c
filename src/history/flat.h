/* SPDX-License-Identifier: Apache-2.0 */
/* The columns that are not made of other columns: a prediction for each word, and what it missed as bits. */
#ifndef ISTHMUS_HISTORY_FLAT_H
#define ISTHMUS_HISTORY_FLAT_H

#include "history/words.h"

/* Byte 0 of every column: the kind in the low three bits, and flags. */
enum column_kind {
    COLUMN_LINE, /* word i is about base + i × slope: constants, regular clocks, noise about a level */
    COLUMN_SMOOTH,  /* about the exponential mean of those before; with shift 0, the one before */
    COLUMN_CURVE,   /* as far from the one before as that from its own */
    COLUMN_FEW,     /* a byte or so for each: short columns */
    COLUMN_STEPS,   /* words_*: equal steps with breaks: set points, clocks that missed a poll */
    COLUMN_DICT,    /* words_*: few distinct words */
    COLUMN_KIND = 7 /* the mask */
};
enum column_flag {
    COLUMN_UNIT = 8,     /* all words are whole steps of a unit from the base */
    COLUMN_UNARY = 16,   /* residuals have a high part in unary */
    COLUMN_ZIGZAG = 32,  /* residuals lie on both sides of the centre, else above it */
    COLUMN_PATCHED = 64, /* a few residuals are far off and stand alone */
};
#define COLUMN_SHIFT_MAX 15u

void flat_encode(struct words_scratch *s, const uint64_t *v, uint32_t count, struct writer *out);

/* `kind` is byte 0, already read. The reader goes bad if the bytes are malformed. Uses s->x, s->r and s->u. */
void flat_decode(struct words_scratch *s, unsigned kind, struct reader *in, uint32_t count,
                 uint64_t *v);

#endif
