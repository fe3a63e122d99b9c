/* SPDX-License-Identifier: Apache-2.0 */
/* Bit packing of up to 1,024 integers in 16 interleaved lanes, so that compilers make vector code of plain C.
 * Value i lies in lane i % 16 as its (i / 16)th; a lane is a string of bits, low bits first, cut into 64-bit words; word w
 * of all 16 lanes lies before word w + 1 of any. Of the last words only the bytes that hold bits are kept. */
#ifndef ISTHMUS_HISTORY_BITS_H
#define ISTHMUS_HISTORY_BITS_H

#include <stddef.h>
#include <stdint.h>

#define BITS_LANES     16u
#define BITS_COUNT_MAX 1024u

/* Bytes that `count` integers of `width` bits (0..64) take. */
size_t bits_size(uint32_t count, unsigned width);

/* Rows above `width` bits must be zero in `in`; both arrays have room for `count` rounded up to 16. */
void bits_pack(const uint64_t *in, uint32_t count, unsigned width, uint8_t *out);
void bits_unpack(const uint8_t *in, uint32_t count, unsigned width, uint64_t *out);

#endif
