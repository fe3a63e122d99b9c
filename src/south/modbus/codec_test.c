/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <isthmus/driver.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "south/modbus/merge.h"
#include "south/modbus/pdu.h"

/* ---- pdu ---- */

static const uint8_t words[] = {0x12, 0x34, 0x56, 0x78};

static const struct {
    struct modbus_request request;
    const char *bytes; /* hex, behind the transaction number 0x0102 */
} encoded[] = {
    {{.unit = 1, .function = 1, .start = 19, .count = 37},
     "000000060101001300"
     "25"},
    {{.unit = 1, .function = 3, .start = 107, .count = 3}, "000000060103006b0003"},
    {{.unit = 9, .function = 5, .start = 172, .value = 1}, "00000006090500acff00"},
    {{.unit = 9, .function = 6, .start = 1, .value = 3}, "00000006090600010003"},
    {{.unit = 1, .function = 15, .start = 19, .count = 10, .data = words},
     "00000009010f0013000a021234"},
    {{.unit = 1, .function = 16, .start = 1, .count = 2, .data = words},
     "0000000b0110000100020412345678"},
    {{.unit = 1, .function = 22, .start = 4, .mask = 0xf2, .value = 0x25},
     "000000080116000400f20025"},
    {{.unit = 1,
      .function = 23,
      .start = 3,
      .count = 6,
      .write_start = 14,
      .write_count = 2,
      .data = words},
     "0000000f011700030006000e00020412345678"},
    {{.unit = 1, .function = 43, .read_code = 1}, "00000005012b0e0100"},
};

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        unsigned v;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &v), 1);
        out[i] = (uint8_t)v;
    }
    return n;
}

static void requests_are_what_the_spec_shows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof encoded / sizeof *encoded; i++) {
        uint8_t want[300] = {1, 2}, got[300];
        size_t size = 2 + from_hex(encoded[i].bytes, want + 2);
        struct modbus_request q = encoded[i].request;
        q.transaction = 0x0102;
        struct writer w = writer_of(got, sizeof got);
        assert_int_equal(modbus_encode(&w, &q), 0);
        assert_int_equal(writer_used(&w), size);
        assert_memory_equal(got, want, size);
        for (size_t room = 0; room < size; room++) { /* all or nothing */
            w = writer_of(got, room);
            assert_int_equal(modbus_encode(&w, &q), ERR_FULL);
            assert_int_equal(writer_used(&w), 0);
        }
    }
}

static void requests_beyond_the_spec_are_refused(void **state)
{
    (void)state;
    static const struct modbus_request beyond[] = {
        {.function = 1, .count = 0},
        {.function = 1, .count = 2001},
        {.function = 3, .count = 126},
        {.function = 4, .start = 65535, .count = 2},
        {.function = 5, .value = 2},
        {.function = 15, .count = 1969, .data = words},
        {.function = 16, .count = 124, .data = words},
        {.function = 16, .count = 1},
        {.function = 23, .count = 1, .write_count = 122, .data = words},
        {.function = 43, .read_code = 5},
        {.function = 7},
    };
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        uint8_t got[300];
        struct writer w = writer_of(got, sizeof got);
        assert_int_equal(modbus_encode(&w, beyond + i), ERR_RANGE);
        assert_int_equal(writer_used(&w), 0);
    }
}

static const struct {
    struct modbus_request request;
    const char *reply;
} replies[] = {
    {{.unit = 1, .function = 1, .count = 10},
     "01020000000501010255"
     "01"},
    {{.unit = 1, .function = 3, .count = 2},
     "010200000007010304123456"
     "78"},
    {{.unit = 1, .function = 4, .count = 1}, "0102000000050104021234"},
    {{.unit = 9, .function = 5, .start = 172, .value = 1}, "010200000006090500acff00"},
    {{.unit = 9, .function = 6, .start = 1, .value = 3}, "010200000006090600010003"},
    {{.unit = 1, .function = 15, .start = 19, .count = 10}, "010200000006010f0013000a"},
    {{.unit = 1, .function = 16, .start = 1, .count = 2}, "010200000006011000010002"},
    {{.unit = 1, .function = 22, .start = 4, .mask = 0xf2, .value = 0x25},
     "0102000000080116000400f20025"},
    {{.unit = 1, .function = 23, .count = 1}, "0102000000050117021234"},
    {{.unit = 1, .function = 43, .read_code = 1},
     "01020000000f012b0e0101000002000261620101"
     "63"},
};

static void replies_answer_their_request_and_no_other(void **state)
{
    (void)state;
    size_t count = sizeof replies / sizeof *replies;
    for (size_t i = 0; i < count; i++) {
        uint8_t bytes[300];
        size_t size = from_hex(replies[i].reply, bytes);
        struct modbus_frame frame;
        assert_int_equal(modbus_next_frame(bytes, size, &frame), size);
        assert_int_equal(frame.transaction, 0x0102);
        for (size_t k = 0; k < count; k++) {
            assert_int_equal(modbus_answers(&frame, &replies[k].request), i == k);
        }
    }
}

static void exceptions_have_a_text_and_a_status(void **state)
{
    (void)state;
    uint8_t bytes[300];
    size_t size = from_hex("010200000003018302", bytes);
    struct modbus_frame frame;
    assert_int_equal(modbus_next_frame(bytes, size, &frame), size);
    assert_int_equal(frame.exception, 2);
    assert_int_equal(frame.function, 3);
    assert_string_equal(modbus_exception_text(2), "illegal data address");
    for (unsigned e = 0; e < 256; e++) {
        assert_non_null(modbus_exception_text((uint8_t)e));
        assert_true(modbus_exception_status((uint8_t)e) & 0x80000000u);
    }
}

/* Whatever comes, nothing outside the bytes is touched, and what is believed is consistent. */
static void check_any(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1); /* its end is guarded by the address sanitizer */
    assert_non_null(copy);
    memcpy(copy, data, size);
    struct modbus_frame frame;
    int n = modbus_next_frame(copy, size, &frame);
    assert_true(n <= (int)size);
    if (n > 0) {
        assert_true(n >= 9 || frame.exception);
        assert_true(frame.size <= MODBUS_FRAME_MAX);
        for (size_t k = 0; k < sizeof replies / sizeof *replies; k++) {
            if (modbus_answers(&frame, &replies[k].request) && frame.function <= 4) {
                assert_true(modbus_values(&frame) + frame.data[0] == copy + n);
            }
        }
        struct modbus_identity identity;
        struct modbus_object o;
        if (!modbus_identity_open(&identity, &frame)) {
            while (modbus_identity_next(&identity, &o)) {
                assert_true(o.text + o.size <= copy + n);
            }
        }
    }
    free(copy);
}

static void no_truncation_and_no_corruption_does_harm(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        uint8_t bytes[300];
        size_t size = from_hex(replies[i].reply, bytes);
        for (size_t cut = 0; cut < size; cut++) {
            struct modbus_frame frame;
            assert_int_equal(modbus_next_frame(bytes, cut, &frame), 0);
            check_any(bytes, cut);
        }
        for (size_t at = 0; at < size; at++) {
            uint8_t right = bytes[at];
            for (unsigned v = 0; v < 256; v++) {
                bytes[at] = (uint8_t)v;
                check_any(bytes, size);
            }
            bytes[at] = right;
        }
    }
}

static void identities_are_read(void **state)
{
    (void)state;
    uint8_t bytes[300];
    size_t size = from_hex(replies[9].reply, bytes);
    struct modbus_frame frame;
    assert_int_equal(modbus_next_frame(bytes, size, &frame), size);
    struct modbus_identity identity;
    assert_int_equal(modbus_identity_open(&identity, &frame), 0);
    struct modbus_object o;
    assert_true(modbus_identity_next(&identity, &o));
    assert_memory_equal(o.text, "ab", 2);
    assert_string_equal(modbus_object_name(o.id), "VendorName");
    assert_true(modbus_identity_next(&identity, &o));
    assert_int_equal(o.size, 1);
    assert_false(modbus_identity_next(&identity, &o));
    assert_int_equal(identity.next_object, 0);
}

/* ---- addresses ---- */

static const struct {
    const char *text;
    enum isthmus_type type;
    struct modbus_point want;
} addresses[] = {
    {"h100", 0, {MODBUS_UNIT_DEFAULT, 100, 1, 0, MODBUS_HOLDING, 4, ISTHMUS_UINT16, -1}},
    {"holding:100:float32:abcd",
     0,
     {MODBUS_UNIT_DEFAULT, 100, 2, 0, MODBUS_HOLDING, 0, ISTHMUS_FLOAT32, -1}},
    {"3/i30:int64:cdab", 0, {3, 30, 4, 0, MODBUS_INPUT, 1, ISTHMUS_INT64, -1}},
    {"c5", 0, {MODBUS_UNIT_DEFAULT, 5, 1, 0, MODBUS_COIL, 4, ISTHMUS_BOOL, -1}},
    {"discrete:7",
     ISTHMUS_BOOL,
     {MODBUS_UNIT_DEFAULT, 7, 1, 0, MODBUS_DISCRETE, 4, ISTHMUS_BOOL, -1}},
    {"h100.5", 0, {MODBUS_UNIT_DEFAULT, 100, 1, 0, MODBUS_HOLDING, 4, ISTHMUS_BOOL, 5}},
    {"h100:text20", 0, {MODBUS_UNIT_DEFAULT, 100, 10, 20, MODBUS_HOLDING, 4, ISTHMUS_TEXT, -1}},
    {"255/h65535", ISTHMUS_INT16, {255, 65535, 1, 0, MODBUS_HOLDING, 4, ISTHMUS_INT16, -1}},
    {"h1:dcba",
     ISTHMUS_UINT32,
     {MODBUS_UNIT_DEFAULT, 1, 2, 0, MODBUS_HOLDING, 3, ISTHMUS_UINT32, -1}},
    {"h1:uint16:ba", 0, {MODBUS_UNIT_DEFAULT, 1, 1, 0, MODBUS_HOLDING, 2, ISTHMUS_UINT16, -1}},
    {"h1:float64:ghefcdab",
     0,
     {MODBUS_UNIT_DEFAULT, 1, 4, 0, MODBUS_HOLDING, 1, ISTHMUS_FLOAT64, -1}},
};

static void addresses_are_understood(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        struct modbus_point p;
        char why[128] = "";
        int err =
            modbus_address_parse(&p, addresses[i].text, addresses[i].type, 64, why, sizeof why);
        if (err) {
            fail_msg("%s: %s", addresses[i].text, why);
        }
        const struct modbus_point *q = &addresses[i].want;
        assert_true(p.unit == q->unit && p.start == q->start && p.count == q->count &&
                    p.bytes == q->bytes && p.table == q->table && p.order == q->order &&
                    p.type == q->type && p.bit == q->bit);
    }
}

static void mistakes_in_addresses_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum isthmus_type type;
        const char *why; /* part of it */
    } wrong[] = {
        {"", 0, "unknown table"},
        {"x5", 0, "unknown table"},
        {"40001", 0, "begin with a table"},
        {"256/h1", 0, "unit 0"},
        {"h", 0, "0–65535"},
        {"h65536", 0, "0–65535"},
        {"h99999999999999999999", 0, "0–65535"},
        {"h1.16", 0, "0–15"},
        {"c1.1", 0, "one bit"},
        {"h1 ", 0, "too much"},
        {"h1:float", 0, "unknown type"},
        {"h1:float32:xyz", 0, "unknown order"},
        {"h1:float322", 0, "belong"},
        {"h1:float32", ISTHMUS_INT16, "the tag int16"},
        {"c1", ISTHMUS_FLOAT32, "is a bool"},
        {"h65535:uint32", 0, "beyond"},
        {"h1:text0", 0, "length"},
        {"h1:text251", 0, "length"},
        {"h1:text100", 0, "max_length"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct modbus_point p;
        char why[128] = "";
        assert_int_equal(
            modbus_address_parse(&p, wrong[i].text, wrong[i].type, 64, why, sizeof why), -1);
        if (!strstr(why, wrong[i].why)) {
            fail_msg("\"%s\": %s", wrong[i].text, why);
        }
    }
}

static void every_order_goes_both_ways(void **state)
{
    (void)state;
    static const uint8_t in_order[4][8] = {
        {1, 2, 3, 4, 5, 6, 7, 8},
        {7, 8, 5, 6, 3, 4, 1, 2},
        {2, 1, 4, 3, 6, 5, 8, 7},
        {8, 7, 6, 5, 4, 3, 2, 1},
    };
    for (uint8_t order = 0; order < 4; order++) {
        struct modbus_point p = {
            .count = 4, .order = order, .type = ISTHMUS_UINT64, .table = MODBUS_HOLDING, .bit = -1};
        struct isthmus_sample s = {0};
        uint8_t back[8];
        modbus_decode(&p, in_order[order], &s);
        assert_true(s.value.u64 == UINT64_C(0x0102030405060708));
        modbus_encode_value(&p, s.value.u64, NULL, back);
        assert_memory_equal(back, in_order[order], 8);
    }
}

static void values_keep_sign_and_bits(void **state)
{
    (void)state;
    struct modbus_point p = {.count = 1, .type = ISTHMUS_INT16, .bit = -1};
    struct isthmus_sample s = {0};
    modbus_decode(&p, (const uint8_t[]){0xff, 0xfe}, &s);
    assert_int_equal(s.value.i64, -2);
    p.type = ISTHMUS_INT8;
    modbus_decode(&p, (const uint8_t[]){0x01, 0x80}, &s);
    assert_int_equal(s.value.i64, -128);
    p = (struct modbus_point){.count = 2, .type = ISTHMUS_INT32, .bit = -1};
    modbus_decode(&p, (const uint8_t[]){0xff, 0xff, 0xff, 0xff}, &s);
    assert_int_equal(s.value.i64, -1);
    p.type = ISTHMUS_FLOAT32;
    uint8_t back[4];
    modbus_decode(&p, (const uint8_t[]){0x40, 0x48, 0xf5, 0xc3}, &s);
    assert_true(s.value.f64 == (double)3.14f);
    modbus_encode_value(&p, s.value.u64, NULL, back);
    assert_memory_equal(back, ((const uint8_t[]){0x40, 0x48, 0xf5, 0xc3}), 4);
    p = (struct modbus_point){
        .count = 2, .bytes = 3, .type = ISTHMUS_TEXT, .order = ORDER_BADC, .bit = -1};
    uint8_t text[4];
    assert_int_equal(modbus_decode_bytes(&p, (const uint8_t *)"ba\0c", text), 3);
    assert_memory_equal(text, "abc", 3);
}

/* ---- merging ---- */

#define POINTS_MAX 300u

static void random_points(struct modbus_point *points, size_t count, uint32_t *seed)
{
    for (size_t i = 0; i < count; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        uint32_t r = *seed >> 8;
        points[i] = (struct modbus_point){.unit = (uint16_t)(1 + r % 3),
                                          .table = (uint8_t)(r / 3 % 4),
                                          .start = (uint16_t)(r / 12 % 2000),
                                          .count = 1};
        if (points[i].table >= MODBUS_INPUT) {
            static const uint16_t counts[] = {1, 2, 4, 1, 2, 30};
            points[i].count = counts[r / 24000 % 6];
        }
    }
}

/* Any set of points: each lies whole in exactly one block, no block breaks the limits, and no two neighbours could
 * have been one. */
static void merging_keeps_its_promises(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (int round = 0; round < 400; round++) {
        static struct modbus_point points[POINTS_MAX];
        static struct modbus_block blocks[POINTS_MAX];
        static uint32_t order[POINTS_MAX];
        size_t count = (size_t)(round * 7) % POINTS_MAX;
        random_points(points, count, &seed);
        struct modbus_limits limits = {.gap = (uint16_t)(seed >> 8 & 15),
                                       .length = (uint16_t)(1 + (seed >> 12) % 125)};
        size_t made = modbus_merge(points, count, limits, order, blocks);
        uint8_t seen[POINTS_MAX] = {0};
        size_t next = 0;
        for (size_t b = 0; b < made; b++) {
            const struct modbus_block *k = blocks + b;
            uint32_t factor = k->table < MODBUS_INPUT ? 16 : 1;
            assert_int_equal(k->first, next);
            assert_true(k->point_count > 0);
            bool all_fit = true;
            for (uint32_t i = 0; i < k->point_count; i++, next++) {
                const struct modbus_point *p = points + order[next];
                assert_false(seen[order[next]]++);
                assert_true(p->unit == k->unit && p->table == k->table && p->start >= k->start &&
                            p->start + p->count <= k->start + k->count);
                all_fit = all_fit && p->count <= limits.length * factor;
            }
            assert_true(!all_fit || k->count <= limits.length * factor);
            assert_true(k->count <= (factor == 16 ? 2000 : 125));
            if (b && blocks[b - 1].unit == k->unit && blocks[b - 1].table == k->table) {
                uint32_t before = (uint32_t)blocks[b - 1].start + blocks[b - 1].count;
                const struct modbus_point *p = points + order[k->first];
                assert_true(p->start > before + limits.gap * factor ||
                            (uint32_t)p->start + p->count - blocks[b - 1].start >
                                limits.length * factor);
            }
        }
        assert_int_equal(next, count);
    }
}

static void splitting_ends_at_single_points(void **state)
{
    (void)state;
    struct modbus_point points[9];
    struct modbus_block blocks[9];
    uint32_t order[9];
    for (size_t i = 0; i < 9; i++) {
        points[i] = (struct modbus_point){
            .unit = 1, .table = MODBUS_HOLDING, .start = (uint16_t)(i * 3), .count = 2};
    }
    size_t made = modbus_merge(points, 9, (struct modbus_limits){8, 125}, order, blocks);
    assert_int_equal(made, 1);
    for (size_t i = 0; i < made; i++) {
        while (blocks[i].point_count > 1) {
            modbus_split(points, order, blocks + i, blocks + made++);
        }
    }
    assert_int_equal(made, 9);
    for (size_t i = 0; i < made; i++) {
        assert_int_equal(blocks[i].count, 2);
        assert_int_equal(blocks[i].start, points[order[blocks[i].first]].start);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_what_the_spec_shows),
        cmocka_unit_test(requests_beyond_the_spec_are_refused),
        cmocka_unit_test(replies_answer_their_request_and_no_other),
        cmocka_unit_test(exceptions_have_a_text_and_a_status),
        cmocka_unit_test(no_truncation_and_no_corruption_does_harm),
        cmocka_unit_test(identities_are_read),
        cmocka_unit_test(addresses_are_understood),
        cmocka_unit_test(mistakes_in_addresses_are_named),
        cmocka_unit_test(every_order_goes_both_ways),
        cmocka_unit_test(values_keep_sign_and_bits),
        cmocka_unit_test(merging_keeps_its_promises),
        cmocka_unit_test(splitting_ends_at_single_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
