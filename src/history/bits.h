/* SPDX-License-Identifier: Apache-2.0 */
/* Up to 1,024 unsigned integers as bits. No prediction here: that is words.h's.
 *
 * The low `width` bits of each lie packed in 16 interleaved lanes, so that compilers make vector code of plain C: value i
 * lies in lane i % 16 as its (i / 16)th; a lane is a string of bits, low bits first, cut into 64-bit words; word w of all
 * lanes lies before word w + 1 of any. Of each lane's last word only the bytes that hold bits are kept. 64 integers and
 * fewer are one string of bits.
 *
 * What is above those bits, if anything, is unary (Golomb's code after Rice): a bitmap, low bits first, in which each value
 * has as many zeros as its high part says and then a one. For the bell-shaped residuals of sensors this comes within a
 * tenth of a bit of the entropy, where packing alone wastes more than a whole one; and a bitmap is read a word at a time. */
#ifndef ISTHMUS_HISTORY_BITS_H
#define ISTHMUS_HISTORY_BITS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BITS_LANES     16u
#define BITS_COUNT_MAX 1024u
#define BITS_FEW       64u
#define UNARY_BITS_MAX (16u * BITS_COUNT_MAX)
#define UNARY_MAX      (UNARY_BITS_MAX / 8u) /* bytes */

/* Functions over whole columns are compiled a second time for processors with AVX2 and BMI; the loader picks. (Not by clang
 * 14, whose clones other files cannot call, and not under the thread sanitizer, which dies while the loader picks.) */
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__)
#define COLUMN_CODE __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define COLUMN_CODE
#endif

static inline unsigned bits_of(uint64_t v)
{
    return v ? 64 - (unsigned)__builtin_clzll(v) : 0;
}

/* 0, -1, 1, -2 … as 0, 1, 2, 3 … */
static inline uint64_t zigzag(uint64_t v)
{
    return v << 1 ^ (uint64_t)((int64_t)v >> 63);
}

static inline uint64_t unzigzag(uint64_t v)
{
    return v >> 1 ^ -(v & 1);
}

/* Bytes that `count` integers of `width` bits (0..64) take. */
size_t bits_size(uint32_t count, unsigned width);

/* Packs the low `width` bits. Both arrays have room for `count` rounded up to 16; what lies behind count in `in` is packed. */
void bits_pack(const uint64_t *in, uint32_t count, unsigned width, uint8_t *out);
void bits_unpack(const uint8_t *in, uint32_t count, unsigned width, uint64_t *out);

/* The sum of all v >> width: with `count` added, the bits of the bitmap. Saturates at UINT32_MAX. */
uint32_t unary_sum(const uint64_t *v, uint32_t count, unsigned width);

/* Writes the bitmap of v >> width; it has at most UNARY_BITS_MAX bits. Returns its bytes. */
size_t unary_pack(const uint64_t *v, uint32_t count, unsigned width, uint8_t *out);

/* Adds the high parts to the low ones. ERR_MALFORMED unless the bitmap has exactly `count` ones. */
int unary_unpack(const uint8_t *in, size_t size, uint32_t count, unsigned width,
                 uint64_t *v) MUST_USE;

#endif
