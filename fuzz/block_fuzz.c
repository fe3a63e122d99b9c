/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed blocks. By the first byte: a block or a table from a hostile hand, which must not break the decoder, and what does
 * decode must survive encoding; or samples, made of the bytes, which must come back to the bit. */
#include "history/block.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES 600u

static struct block_scratch *scratch;
static struct block one, two;
static struct block_entry entries[ENTRIES];
static uint8_t text_one[BLOCK_TEXT_MAX], text_two[BLOCK_TEXT_MAX], bytes[BLOCK_BYTES_MAX];

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* Encodes `one` and compares what comes back. */
static void round_trip(void)
{
    int size = block_encode(scratch, &one, bytes, sizeof bytes);
    must(size > 0);
    must(block_decode(scratch, bytes, (size_t)size, BLOCK_ALL, &two) == 0);
    must(two.type == one.type && two.count == one.count);
    must(!memcmp(one.time, two.time, one.count * sizeof *one.time));
    must(!memcmp(one.value, two.value, one.count * sizeof *one.value));
    must(!memcmp(one.status, two.status, one.count * sizeof *one.status));
    for (uint32_t i = 0; value_is_long(one.type) && i < one.count; i++) {
        must(!memcmp(one.text + one.text_at[i], two.text + two.text_at[i], one.value[i]));
    }
    struct block_summary s;
    block_summarise(&one, &s);
    must(s.good <= s.count && s.bad <= s.count);
}

static void decode_block(const uint8_t *data, size_t size)
{
    if (block_decode(scratch, data, size, BLOCK_ALL, &one) == 0) {
        round_trip();
    }
}

static void decode_table(const uint8_t *data, size_t size)
{
    if (size) {
        int n =
            table_decode(scratch, data[0] % VALUE_TYPE_END, data + 1, size - 1, entries, ENTRIES);
        must(n <= (int)ENTRIES);
    }
}

/* Type, then a byte that says how a word follows from the one before, and its bytes. */
static void encode_samples(const uint8_t *data, size_t size)
{
    one.type = size ? 1 + data[0] % VALUE_FLOAT64 : VALUE_BOOL;
    one.count = 0;
    uint64_t value = 0, time = 0, step = 1000000000;
    uint32_t status = 0;
    for (size_t at = 1; at + 9 < size && one.count < BLOCK_SAMPLES;) {
        uint8_t how = data[at];
        uint64_t word;
        memcpy(&word, data + at + 1, sizeof word);
        uint32_t repeat = 1 + data[at + 9] % 32;
        value = how & 1 ? word : value;
        step = how & 2 ? word % 5000000000 : step;
        status = how & 4 ? (uint32_t)word : status;
        for (uint32_t i = 0; i < repeat && one.count < BLOCK_SAMPLES; i++, one.count++) {
            one.time[one.count] = (int64_t)(time += step);
            one.value[one.count] = value += how & 8 ? word % 16 : 0;
            one.status[one.count] = status;
        }
        at += 10;
    }
    if (one.count) {
        round_trip();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!scratch && block_scratch_new(&scratch)) {
        return 0;
    }
    one.text = text_one;
    two.text = text_two;
    one.text_capacity = two.text_capacity = BLOCK_TEXT_MAX;
    if (size == 0) {
        return 0;
    }
    switch (data[0] % 3) {
    case 0:
        decode_block(data + 1, size - 1);
        break;
    case 1:
        decode_table(data + 1, size - 1);
        break;
    default:
        encode_samples(data + 1, size - 1);
        break;
    }
    return 0;
}
