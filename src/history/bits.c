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

void bits_pack(const uint64_t *in, uint32_t count, unsigned width, uint8_t *out)
{
    uint64_t word[BITS_LANES] = {0};
    unsigned filled = 0;
    for (uint32_t row = 0; row < rows_of(count); row++, in += BITS_LANES) {
        for (unsigned l = 0; l < BITS_LANES; l++) {
            word[l] |= in[l] << filled;
        }
        filled += width;
        if (filled >= 64) {
            memcpy(out, word, sizeof word);
            out += sizeof word;
            filled -= 64;
            for (unsigned l = 0; l < BITS_LANES; l++) {
                word[l] = filled ? in[l] >> (width - filled) : 0;
            }
        }
    }
    for (unsigned l = 0; l < BITS_LANES; l++, out += (filled + 7) / 8) {
        memcpy(out, word + l, (filled + 7) / 8);
    }
}

void bits_unpack(const uint8_t *in, uint32_t count, unsigned width, uint64_t *out)
{
    uint64_t word[BITS_LANES] = {0}, next[BITS_LANES] = {0};
    uint64_t mask = width == 64 ? ~UINT64_C(0) : (UINT64_C(1) << width) - 1;
    unsigned left = 0;
    size_t whole = (size_t)rows_of(count) * width / 64;
    size_t rest = ((size_t)rows_of(count) * width % 64 + 7) / 8;
    for (uint32_t row = 0; row < rows_of(count); row++, out += BITS_LANES) {
        if (left >= width) {
            for (unsigned l = 0; l < BITS_LANES; l++) {
                out[l] = word[l] & mask;
                word[l] = width < 64 ? word[l] >> width : 0;
            }
            left -= width;
            continue;
        }
        if (whole) {
            memcpy(next, in, sizeof next);
            in += sizeof next;
            whole--;
        } else {
            for (unsigned l = 0; l < BITS_LANES; l++, in += rest) {
                next[l] = 0;
                memcpy(next + l, in, rest);
            }
        }
        unsigned used = width - left;
        for (unsigned l = 0; l < BITS_LANES; l++) {
            out[l] = (word[l] | next[l] << left) & mask;
            word[l] = used < 64 ? next[l] >> used : 0;
        }
        left = 64 - used;
    }
}
