/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "table/packing.h"
#include "table/snappy.h"
#include "table/thrift.h"

#define COUNT 3000

/* The same numbers on every machine. */
static uint64_t noise(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 11 ^ *seed << 43;
}

/* Runs, noise, and runs that end within a group. */
static void fill(uint32_t values[COUNT], unsigned width, unsigned run)
{
    uint64_t seed = width;
    uint32_t mask = width == 32 ? UINT32_MAX : (UINT32_C(1) << width) - 1;
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = i % run ? values[i - 1] : (uint32_t)noise(&seed) & mask;
    }
}

static void the_hybrid_reads_back_what_was_written(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 7, 8, 9, 63, COUNT};
    static const unsigned runs[] = {1, 3, 7, 8, 9, 40, COUNT};
    static uint32_t values[COUNT];
    static uint8_t memory[COUNT * 8];
    for (unsigned width = 1; width <= 32; width++) {
        for (size_t k = 0; k < 7; k++) {
            fill(values, width, runs[k]);
            for (size_t n = 0; n < 7; n++) {
                struct writer w = writer_of(memory, sizeof memory);
                hybrid_encode(&w, values, counts[n], width);
                assert_false(w.bad);
                assert_true(writer_used(&w) <= hybrid_bound(counts[n], width));
                struct hybrid h = hybrid_of(reader_of(memory, writer_used(&w)), width);
                for (size_t i = 0; i < counts[n]; i++) {
                    assert_int_equal(hybrid_next(&h), values[i]);
                }
                assert_false(h.in.bad);
            }
        }
    }
}

/* The example of Encodings.md: 0 to 7 with three bits. */
static void the_hybrid_is_that_of_the_specification(void **state)
{
    (void)state;
    static const uint8_t packed[] = {0x03, 0x88, 0xc6, 0xfa};
    static const uint8_t run[] = {0x0a, 0x05};
    uint32_t values[8];
    uint8_t memory[16];
    struct hybrid h = hybrid_of(reader_of(packed, sizeof packed), 3);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(hybrid_next(&h), i);
        values[i] = i;
    }
    struct writer w = writer_of(memory, sizeof memory);
    hybrid_encode(&w, values, 8, 3);
    assert_int_equal(writer_used(&w), sizeof packed);
    assert_memory_equal(memory, packed, sizeof packed);
    h = hybrid_of(reader_of(run, sizeof run), 3);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(hybrid_next(&h), 5);
    }
    hybrid_next(&h);
    assert_true(h.in.bad);
}

static void a_lying_hybrid_goes_bad(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        unsigned width;
    } cases[] = {
        {"", 0, 1},
        {"\x03", 1, 8},                                          /* eight values, no bytes */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", 11, 8}, /* 2^63 groups */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10, 8},     /* beyond 64 bits */
        {"\x02\xff", 2, 3},                                      /* a value wider than the width */
        {"\x02\x00\x00\x00\x00\x00", 6, 33},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hybrid h = hybrid_of(reader_of(cases[i].bytes, cases[i].size), cases[i].width);
        assert_int_equal(hybrid_next(&h), 0);
        assert_true(h.in.bad);
    }
}

static void check_delta(const uint64_t *values, size_t count, unsigned bits)
{
    static uint8_t memory[COUNT * 12];
    struct writer w = writer_of(memory, sizeof memory);
    delta_encode(&w, values, count, bits);
    assert_false(w.bad);
    assert_true(writer_used(&w) <= delta_bound(count));
    struct delta d = delta_of(reader_of(memory, writer_used(&w)), bits);
    struct reader rest = delta_rest(d);
    assert_false(rest.bad);
    assert_int_equal(reader_left(&rest), 0);
    for (size_t i = 0; i < count; i++) {
        int64_t wanted = bits == 32 ? (int32_t)(uint32_t)values[i] : (int64_t)values[i];
        assert_true(delta_next(&d) == wanted);
        assert_false(d.in.bad);
    }
    delta_next(&d);
    assert_true(d.in.bad);
    for (size_t cut = 0; cut < writer_used(&w) && count < 300; cut++) {
        assert_true(delta_rest(delta_of(reader_of(memory, cut), bits)).bad);
    }
}

static void deltas_read_back_what_was_written(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 2, 32, 33, 128, 129, 130, 257, COUNT};
    static uint64_t values[COUNT];
    uint64_t seed = 1;
    for (unsigned width = 0; width <= 64; width++) {
        for (size_t i = 0; i < COUNT; i++) {
            uint64_t v = width ? noise(&seed) >> (64 - width) : 7;
            values[i] = i % 2 ? v : 0 - v;
        }
        for (size_t n = 0; n < sizeof counts / sizeof *counts; n++) {
            check_delta(values, counts[n], 64);
            check_delta(values, counts[n], 32);
        }
    }
    const uint64_t ends[] = {0, INT64_MAX, (uint64_t)INT64_MIN, UINT64_MAX, 1, (uint64_t)INT64_MIN};
    check_delta(ends, 6, 64);
    check_delta(ends, 6, 32);
}

/* The two examples of Encodings.md: 1,2,3,4,5 and 7,5,3,1,2,3,4,5. */
static void deltas_are_those_of_the_specification(void **state)
{
    (void)state;
    static const uint64_t values[] = {7, 5, 3, 1, 2, 3, 4, 5};
    static const uint8_t begin[] = {0x80, 1, 4, 8, 14, 3, 2, 0, 0, 0, 0xc0, 0x3f};
    uint8_t memory[64];
    struct writer w = writer_of(memory, sizeof memory);
    delta_encode(&w, values, 8, 32);
    assert_int_equal(writer_used(&w), 10 + 8);
    assert_memory_equal(memory, begin, sizeof begin);
}

static void a_lying_delta_goes_bad(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {"\x80\x01\x04\x02\x00", 5},                          /* no block for the second value */
        {"\x00\x04\x02\x00", 4},                              /* blocks of nothing */
        {"\x80\x01\x00\x02\x00", 5},                          /* no miniblocks */
        {"\x80\x01\x05\x02\x00", 5},                          /* a fifth of a block */
        {"\x80\x01\x08\x02\x00", 5},                          /* miniblocks of 16 */
        {"\x80\x80\x80\x80\x10\x04\x02\x00", 8},              /* blocks of 2^32 */
        {"\x80\x01\x04\x02\x00\x00\x41\x00\x00\x00", 10},     /* 65 bits */
        {"\x80\x01\x04\x02\x00\x00\x21\x00\x00\x00\x00", 11}, /* too few bytes */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct delta d = delta_of(reader_of(cases[i].bytes, cases[i].size), 64);
        assert_true(delta_rest(d).bad);
    }
}

static void snappy_blocks_decompress(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *text; /* NULL: malformed */
        size_t text_size;
    } cases[] = {
        {"\x00", 1, "", 0},
        {"\x03\x08xyz", 5, "xyz", 3},
        {"\x03\xf0\x02xyz", 6, "xyz", 3},                 /* length in a byte of its own */
        {"\x03\xf4\x02\x00xyz", 7, "xyz", 3},             /* in two */
        {"\x08\x04xy\x09\x02", 6, "xyxyxyxy", 8 - 0},     /* a copy that overlaps, 6 bytes */
        {"\x05\x00x\x0e\x01\x00", 6, "xxxxx", 5},         /* offset in two bytes */
        {"\x05\x00x\x0f\x01\x00\x00\x00", 8, "xxxxx", 5}, /* in four */
        {"", 0, NULL, 0},
        {"\x03\x08xy", 4, NULL, 3},            /* cut */
        {"\x02\x08xyz", 5, NULL, 2},           /* longer than said */
        {"\x04\x08xyz", 5, NULL, 4},           /* shorter */
        {"\x05\x00x\x0e\x02\x00", 6, NULL, 5}, /* from before the beginning */
        {"\x05\x00x\x0e\x00\x00", 6, NULL, 5}, /* offset 0 */
        {"\x05\xfc\xff\xff\xff\xffx", 7, NULL, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[16] = {0};
        int err = snappy_decode(cases[i].bytes, cases[i].size, out, cases[i].text_size);
        assert_int_equal(err, cases[i].text ? ERR_OK : ERR_MALFORMED);
        if (cases[i].text) {
            assert_memory_equal(out, cases[i].text, cases[i].text_size);
        }
    }
    char out[16];
    assert_int_equal(snappy_decode("\x03\x08xyz", 5, out, 4), ERR_MALFORMED);
}

static size_t write_struct(uint8_t *memory, size_t size)
{
    struct writer w = writer_of(memory, size);
    struct thrift_out t = {.w = &w};
    thrift_put_i8(&t, 1, -5);
    thrift_put_i16(&t, 2, INT16_MIN);
    thrift_put_i32(&t, 3, INT32_MAX);
    thrift_put_i64(&t, 5, INT64_MIN);
    thrift_put_bool(&t, 6, true);
    thrift_put_binary(&t, 8, "name", 4);
    thrift_put_list(&t, 9, THRIFT_I32, 20);
    for (int i = 0; i < 20; i++) {
        thrift_put_i32(&t, 0, -i);
    }
    thrift_put_struct(&t, 10);
    thrift_put_struct(&t, 1);
    thrift_put_bool(&t, 2, false);
    thrift_end_struct(&t);
    thrift_put_i32(&t, 2, 42);
    thrift_end_struct(&t);
    thrift_put_i32(&t, 11, 7);
    thrift_end_struct(&t);
    assert_false(w.bad);
    return writer_used(&w);
}

static void thrift_reads_what_it_writes(void **state)
{
    (void)state;
    static const int64_t numbers[12] = {
        [1] = -5, [2] = INT16_MIN, [3] = INT32_MAX, [5] = INT64_MIN, [11] = 7};
    uint8_t memory[256];
    size_t size = write_struct(memory, sizeof memory);
    struct reader r = reader_of(memory, size);
    struct thrift_field f = {0}, inner = {0};
    while (thrift_next(&r, &f)) {
        if (f.id == 6) {
            assert_true(thrift_bool(&r, &f));
        } else if (f.id == 8) {
            struct reader name = thrift_binary(&r, &f);
            assert_int_equal(reader_left(&name), 4);
            assert_memory_equal(name.at, "name", 4);
        } else if (f.id == 9) {
            assert_int_equal(thrift_list(&r, &f, THRIFT_I32), 20);
            for (int i = 0; i < 20; i++) {
                assert_int_equal(zigzag_decode(read_varint(&r)), -i);
            }
        } else if (f.id == 10) {
            assert_true(thrift_struct(&r, &f));
            while (thrift_next(&r, &inner)) {
                thrift_skip(&r, &inner);
            }
        } else {
            assert_true(thrift_int(&r, &f) == numbers[f.id]);
        }
    }
    assert_false(r.bad);
    assert_int_equal(f.id, 11);
    assert_int_equal(reader_left(&r), 0);
    for (size_t cut = 0; cut < size; cut++) {
        r = reader_of(memory, cut);
        thrift_skip(&r, &(struct thrift_field){.type = THRIFT_STRUCT});
        assert_true(r.bad);
    }
}

static void thrift_skips_all_and_bounds_nesting(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        bool bad;
    } cases[] = {
        {"\x00", 1, false},
        {"\x17\x00\x00\x00\x00\x00\x00\x00\x00\x00", 10, false}, /* a double */
        {"\x1b\x02\x85\x01y\x00\x00\x01z\x00\x00", 9, true},     /* a map, cut */
        {"\x1b\x01\x85\x01y\x02\x00", 7, false},                 /* text → i32 */
        {"\x1b\x00\x00", 3, false},                              /* an empty map */
        {"\x19\x21\x01\x02\x00", 5, false},                      /* a list of bools */
        {"\x19\xfc\xff\xff\xff\xff\x0f\x00", 8, true},           /* 2^32 structs */
        {"\x1d"
         "0123456789abcdef"
         "\x00",
         18, false},                               /* a UUID */
        {"\x1e\x00\x00", 3, true},                 /* a type that is not */
        {"\x08\xff\xff\xff\xff\xff\x00", 7, true}, /* a field beyond 32767 */
        {"\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c"
         "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
         41, true}, /* nested too deep */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reader r = reader_of(cases[i].bytes, cases[i].size);
        thrift_skip(&r, &(struct thrift_field){.type = THRIFT_STRUCT});
        assert_int_equal(r.bad, cases[i].bad);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hybrid_reads_back_what_was_written),
        cmocka_unit_test(the_hybrid_is_that_of_the_specification),
        cmocka_unit_test(a_lying_hybrid_goes_bad),
        cmocka_unit_test(deltas_read_back_what_was_written),
        cmocka_unit_test(deltas_are_those_of_the_specification),
        cmocka_unit_test(a_lying_delta_goes_bad),
        cmocka_unit_test(snappy_blocks_decompress),
        cmocka_unit_test(thrift_reads_what_it_writes),
        cmocka_unit_test(thrift_skips_all_and_bounds_nesting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
