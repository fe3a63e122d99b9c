/* SPDX-License-Identifier: Apache-2.0 */
#include "history/bits.h"

#include <string.h>

static uint32_t rows_of(uint32_t count)
{
    return (count + BITS_LANES - 1) / BITS_LANES;
}

size_t bits_size(uint32_t count, unsigned width)
{
    if (count <= BITS_FEW) {
        return ((size_t)count * width + 7) / 8;
    }
    size_t bits = (size_t)rows_of(count) * width;
    return BITS_LANES * (bits / 64 * 8 + (bits % 64 + 7) / 8);
}

static uint64_t mask_of(unsigned width)
{
    return width == 64 ? ~UINT64_C(0) : (UINT64_C(1) << width) - 1;
}

COLUMN_CODE
static void pack_lanes(const uint64_t *in, uint32_t count, unsigned width, uint8_t *out)
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

/* One string of bits: in lanes a few would waste more than they take. */
static void pack_few(const uint64_t *in, uint32_t count, unsigned width, uint8_t *out)
{
    memset(out, 0, bits_size(count, width));
    for (uint32_t i = 0, at = 0; i < count; i++) {
        for (unsigned done = 0; done < width;) {
            unsigned room = 8 - at % 8, take = width - done < room ? width - done : room;
            out[at / 8] |= (uint8_t)((in[i] >> done & mask_of(take)) << at % 8);
            done += take;
            at += take;
        }
    }
}

static void unpack_few(const uint8_t *in, uint32_t count, unsigned width, uint64_t *out)
{
    uint8_t bytes[BITS_FEW * 8 + 16] = {0};
    memcpy(bytes, in, bits_size(count, width));
    for (uint32_t i = 0, at = 0; i < count; i++, at += width) {
        uint64_t low, high;
        memcpy(&low, bytes + at / 8, sizeof low);
        memcpy(&high, bytes + at / 8 + 8, sizeof high);
        out[i] = (low >> at % 8 | high << 1 << (63 - at % 8)) & mask_of(width);
    }
}

void bits_pack(const uint64_t *in, uint32_t count, unsigned width, uint8_t *out)
{
    if (count <= BITS_FEW) {
        pack_few(in, count, width, out);
    } else {
        pack_lanes(in, count, width, out);
    }
}

/* The packed words with zeros behind them, so that reading needs no case for the last row. */
static void load_words(const uint8_t *in, size_t whole, size_t rest, uint64_t *words)
{
    memcpy(words, in, whole * BITS_LANES * sizeof *words);
    words += whole * BITS_LANES;
    in += whole * BITS_LANES * sizeof *words;
    memset(words, 0, 2 * BITS_LANES * sizeof *words);
    for (unsigned l = 0; rest && l < BITS_LANES; l++) {
        memcpy(words + l, in + l * rest, rest);
    }
}

COLUMN_CODE
static void unpack_lanes(const uint8_t *in, uint32_t count, unsigned width, uint64_t *out)
{
    _Alignas(64) uint64_t words[BITS_COUNT_MAX + 2 * BITS_LANES];
    uint32_t rows = rows_of(count);
    size_t bits = (size_t)rows * width;
    uint64_t mask = mask_of(width);
    load_words(in, bits / 64, (bits % 64 + 7) / 8, words);
    for (uint32_t row = 0, at = 0; row < rows; row++, at += width, out += BITS_LANES) {
        const uint64_t *word = words + at / 64 * BITS_LANES;
        unsigned used = at % 64;
        for (unsigned l = 0; l < BITS_LANES; l++) {
            out[l] = (word[l] >> used | word[l + BITS_LANES] << 1 << (63 - used)) & mask;
        }
    }
}

void bits_unpack(const uint8_t *in, uint32_t count, unsigned width, uint64_t *out)
{
    if (count <= BITS_FEW) {
        unpack_few(in, count, width, out);
    } else {
        unpack_lanes(in, count, width, out);
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
    uint64_t map[UNARY_BITS_MAX / 64 + 1] = {0}, word = 0;
    uint32_t at = 0, filling = 0;
    for (uint32_t i = 0; i < count; i++, at++) {
        at += (uint32_t)(v[i] >> width);
        if (at / 64 != filling) {
            map[filling] = word;
            filling = at / 64;
            word = 0;
        }
        word |= UINT64_C(1) << at % 64;
    }
    map[filling] = word;
    memcpy(out, map, (at + 7) / 8);
    return (at + 7) / 8;
}

/* Where the ones of four bits are, as four numbers of 16 bits, and how many there are. */
#define ONES(a, b, c, d)                                                                           \
    ((uint64_t)(a) | (uint64_t)(b) << 16 | (uint64_t)(c) << 32 | (uint64_t)(d) << 48)
static const uint64_t ones_at[16] = {
    ONES(0, 0, 0, 0), ONES(0, 0, 0, 0), ONES(1, 0, 0, 0), ONES(0, 1, 0, 0),
    ONES(2, 0, 0, 0), ONES(0, 2, 0, 0), ONES(1, 2, 0, 0), ONES(0, 1, 2, 0),
    ONES(3, 0, 0, 0), ONES(0, 3, 0, 0), ONES(1, 3, 0, 0), ONES(0, 1, 3, 0),
    ONES(2, 3, 0, 0), ONES(0, 2, 3, 0), ONES(1, 2, 3, 0), ONES(0, 1, 2, 3),
};
static const uint8_t ones_in[16] = {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4};

/* The places of all ones in the bitmap, without a branch that depends on them. Writes up to four more than there are. */
static inline void find_ones(const uint64_t *map, uint32_t words, uint16_t *place)
{
    uint64_t at = 0, four = ONES(4, 4, 4, 4);
    for (uint32_t w = 0; w < words; w++) {
        uint64_t word = map[w];
        for (unsigned i = 0; i < 16; i++, word >>= 4, at += four) {
            uint64_t found = ones_at[word & 15] + at;
            memcpy(place, &found, sizeof found);
            place += ones_in[word & 15];
        }
    }
}

COLUMN_CODE
int unary_unpack(const uint8_t *in, size_t size, uint32_t count, unsigned width, uint64_t *v)
{
    uint64_t map[UNARY_BITS_MAX / 64];
    uint16_t place[BITS_COUNT_MAX + 5];
    uint32_t ones = 0, words = (uint32_t)(size + 7) / 8;
    if (size == 0 || size > UNARY_MAX || count > BITS_COUNT_MAX) {
        return ERR_MALFORMED;
    }
    map[words - 1] = 0;
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
