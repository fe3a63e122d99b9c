/* SPDX-License-Identifier: Apache-2.0 */
#include "history/bits.h"

#include <string.h>

static uint32_t rows_of(uint32_t count)
{
    return (count + BITS_LANES - 1) / BITS_LANES;
}

size_t bits_size(uint32_t count, unsigned width)
{
    size_t bits = (size_t)rows_of(count) * width;
    return BITS_LANES * (bits / 64 * 8 + (bits % 64 + 7) / 8);
}

static uint64_t mask_of(unsigned width)
{
    return width == 64 ? ~UINT64_C(0) : (UINT64_C(1) << width) - 1;
}

COLUMN_CODE
void bits_pack(const uint64_t *in, uint32_t count, unsigned width, uint8_t *out)
{
    uint64_t word[BITS_LANES] = {0}, mask = mask_of(width);
    unsigned filled = 0;
    for (uint32_t row = 0; row < rows_of(count); row++, in += BITS_LANES) {
        for (unsigned l = 0; l < BITS_LANES; l++) {
            word[l] |= (in[l] & mask) << filled;
        }
        filled += width;
        if (filled < 64) {
            continue;
        }
        memcpy(out, word, sizeof word);
        out += sizeof word;
        filled -= 64;
        for (unsigned l = 0; l < BITS_LANES; l++) {
            word[l] = filled ? (in[l] & mask) >> (width - filled) : 0;
        }
    }
    for (unsigned l = 0; l < BITS_LANES; l++, out += (filled + 7) / 8) {
        memcpy(out, word + l, (filled + 7) / 8);
    }
}

/* The last words of the lanes, cut to the bytes that hold bits. */
static const uint8_t *load_rest(const uint8_t *in, size_t size, uint64_t *next)
{
    for (unsigned l = 0; l < BITS_LANES; l++, in += size) {
        next[l] = 0;
        memcpy(next + l, in, size);
    }
    return in;
}

COLUMN_CODE
void bits_unpack(const uint8_t *in, uint32_t count, unsigned width, uint64_t *out)
{
    uint64_t word[BITS_LANES] = {0}, next[BITS_LANES], mask = mask_of(width);
    uint32_t rows = rows_of(count);
    size_t whole = (size_t)rows * width / 64, rest = ((size_t)rows * width % 64 + 7) / 8;
    unsigned at = 64; /* bits of `word` that are used up */
    for (uint32_t row = 0; row < rows; row++, out += BITS_LANES) {
        if (at + width <= 64) {
            for (unsigned l = 0; l < BITS_LANES; l++) {
                out[l] = word[l] >> at & mask;
            }
            at += width;
            continue;
        }
        if (whole) {
            memcpy(next, in, sizeof next);
            in += sizeof next;
            whole--;
        } else {
            in = load_rest(in, rest, next);
        }
        unsigned had = 64 - at;
        for (unsigned l = 0; l < BITS_LANES; l++) {
            out[l] = ((had ? word[l] >> at : 0) | next[l] << had) & mask;
            word[l] = next[l];
        }
        at = width - had;
    }
}

COLUMN_CODE
uint32_t unary_sum(const uint64_t *v, uint32_t count, unsigned width)
{
    uint64_t sum = 0, all = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t high = width < 64 ? v[i] >> width : 0;
        sum += high;
        all |= high;
    }
    return all < 1u << 20 && sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
}

size_t unary_pack(const uint64_t *v, uint32_t count, unsigned width, uint8_t *out)
{
    uint64_t map[UNARY_BITS_MAX / 64] = {0};
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++, at++) {
        at += (uint32_t)(v[i] >> width);
        map[at / 64] |= UINT64_C(1) << at % 64;
    }
    memcpy(out, map, (at + 7) / 8);
    return (at + 7) / 8;
}

/* Where the ones of the bitmap are, four at a time: writes up to three places more than there are ones. */
static inline void find_ones(const uint64_t *map, uint32_t words, uint16_t *place)
{
    for (uint32_t w = 0; w < words; w++) {
        uint64_t word = map[w];
        uint32_t ones = (uint32_t)__builtin_popcountll(word);
        for (uint32_t i = 0; i < ones; i += 4) {
            for (uint32_t j = 0; j < 4; j++) {
                place[i + j] =
                    (uint16_t)(w * 64 + (uint32_t)__builtin_ctzll(word | UINT64_C(1) << 63));
                word &= word - 1;
            }
        }
        place += ones;
    }
}

COLUMN_CODE
int unary_unpack(const uint8_t *in, size_t size, uint32_t count, unsigned width, uint64_t *v)
{
    uint64_t map[UNARY_BITS_MAX / 64] = {0};
    uint16_t place[BITS_COUNT_MAX + 4];
    uint32_t ones = 0, words = (uint32_t)(size + 7) / 8;
    if (size > UNARY_MAX || count > BITS_COUNT_MAX) {
        return ERR_MALFORMED;
    }
    memcpy(map, in, size);
    for (uint32_t w = 0; w < words; w++) {
        ones += (uint32_t)__builtin_popcountll(map[w]);
    }
    if (ones != count) {
        return ERR_MALFORMED;
    }
    place[0] = UINT16_MAX; /* the place before the first bit */
    find_ones(map, words, place + 1);
    for (uint32_t i = 0; i < count; i++) {
        v[i] |= (uint64_t)(uint16_t)(place[i + 1] - place[i] - 1) << width;
    }
    return ERR_OK;
}
