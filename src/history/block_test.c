/* SPDX-License-Identifier: Apache-2.0 */
#include "history/block.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct bed {
    struct block_scratch *scratch;
    struct block in, out;
    uint8_t text[BLOCK_TEXT_MAX], back[BLOCK_TEXT_MAX], bytes[BLOCK_BYTES_MAX];
    uint64_t seed;
};

static uint64_t next(struct bed *bed)
{
    bed->seed = bed->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    uint64_t x = bed->seed ^ bed->seed >> 33;
    return x * UINT64_C(0xff51afd7ed558ccd) ^ x >> 29;
}

static void setup_block(struct bed *bed, enum value_type type, uint32_t count)
{
    bed->in.type = type;
    bed->in.count = count;
    bed->in.text = value_is_long(type) ? bed->text : NULL;
    bed->in.text_size = 0;
    for (uint32_t i = 0; i < count; i++) {
        bed->in.time[i] = INT64_C(1800000000000000000) + (int64_t)i * 1000000000;
        bed->in.value[i] = 0;
        bed->in.status[i] = 0;
        bed->in.text_at[i] = 0;
    }
    bed->out.text = bed->back;
    bed->out.text_capacity = sizeof bed->back;
}

static int round_trip(struct bed *bed)
{
    int size = block_encode(bed->scratch, &bed->in, bed->bytes, sizeof bed->bytes);
    assert_true(size > 0);
    const struct block *a = &bed->in, *b = &bed->out;
    assert_int_equal(block_decode(bed->scratch, bed->bytes, (size_t)size, BLOCK_ALL, &bed->out), 0);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->time, b->time, a->count * sizeof *a->time);
    assert_memory_equal(a->value, b->value, a->count * sizeof *a->value);
    assert_memory_equal(a->status, b->status, a->count * sizeof *a->status);
    for (uint32_t i = 0; value_is_long(a->type) && i < a->count; i++) {
        assert_memory_equal(a->text + a->text_at[i], b->text + b->text_at[i], a->value[i]);
    }
    return size;
}

static void keeps_every_bit_of_a_word(void **state)
{
    struct bed *bed = *state;
    for (uint32_t round = 0; round < 64; round++) {
        setup_block(bed, VALUE_FLOAT64, 1 + (uint32_t)(next(bed) % BLOCK_SAMPLES));
        for (uint32_t i = 0; i < bed->in.count; i++) {
            bed->in.value[i] = next(bed) >> round;
            bed->in.status[i] = (uint32_t)next(bed);
        }
        round_trip(bed);
    }
}

static void scales_decimals(void **state)
{
    struct bed *bed = *state;
    setup_block(bed, VALUE_FLOAT64, 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        double v = (double)(2000 + (int)(next(bed) % 16)) / 100;
        memcpy(bed->in.value + i, &v, 8);
    }
    assert_true(round_trip(bed) < 700);
}

static void keeps_texts(void **state)
{
    struct bed *bed = *state;
    setup_block(bed, VALUE_TEXT, BLOCK_SAMPLES);
    for (uint32_t i = 0; i < sizeof bed->text; i++) {
        bed->text[i] = (uint8_t)next(bed);
    }
    bed->in.text_size = sizeof bed->text;
    for (uint32_t i = 0; i < BLOCK_SAMPLES; i++) {
        bed->in.text_at[i] = (uint32_t)(next(bed) % 200000);
        bed->in.value[i] = next(bed) % 257;
    }
    round_trip(bed);
}

static int setup(void **state)
{
    struct bed *bed = aligned_alloc(64, (sizeof *bed + 63) / 64 * 64);
    if (!bed || block_scratch_new(&bed->scratch)) {
        return 1;
    }
    bed->seed = 1;
    *state = bed;
    return 0;
}

static int teardown(void **state)
{
    struct bed *bed = *state;
    block_scratch_free(bed->scratch);
    free(bed);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_every_bit_of_a_word),
        cmocka_unit_test(scales_decimals),
        cmocka_unit_test(keeps_texts),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
