/* SPDX-License-Identifier: Apache-2.0 */
/* Columns of texts and bytes: each distinct one is kept once. */
#ifndef ISTHMUS_HISTORY_TEXT_H
#define ISTHMUS_HISTORY_TEXT_H

#include "history/scratch.h"

/* The value part: which text each sample has, and the lengths of the texts. Leaves in s->text, of size *size, what belongs
 * into the text part. ERR_MALFORMED: a text lies outside of b->text; ERR_TOO_LONG. */
int text_encode(struct block_scratch *s, const struct block *b, struct writer *out,
                size_t *size) MUST_USE;

/* Sets the value and text_at of each sample, and *size to the size of all texts. */
int text_decode(struct block_scratch *s, struct reader *in, struct block *b, size_t *size) MUST_USE;

/* The text part, packed if that pays. */
int text_pack(struct block_scratch *s, size_t size, struct writer *out) MUST_USE;
/* Unpacks exactly `size` bytes into b->text. */
int text_unpack(struct block_scratch *s, struct reader *in, size_t size, struct block *b) MUST_USE;

#endif
