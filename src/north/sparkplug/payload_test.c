/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "north/sparkplug/payload.h"
#include "tag/status.h"

#include <stdio.h>
#include <stdlib.h>

#define T0 INT64_C(1700000000123456789)

static const struct {
    enum value_type type;
    union slot_value value;
    const char *text;
} samples[] = {
    {VALUE_BOOL, {.u64 = 1}, NULL},
    {VALUE_INT8, {.i64 = -128}, NULL},
    {VALUE_UINT8, {.u64 = 255}, NULL},
    {VALUE_INT16, {.i64 = -32768}, NULL},
    {VALUE_UINT16, {.u64 = 65535}, NULL},
    {VALUE_INT32, {.i64 = INT32_MIN}, NULL},
    {VALUE_UINT32, {.u64 = UINT32_MAX}, NULL},
    {VALUE_INT64, {.i64 = INT64_MIN}, NULL},
    {VALUE_UINT64, {.u64 = UINT64_MAX}, NULL},
    {VALUE_FLOAT32, {.f64 = -1.5}, NULL},
    {VALUE_FLOAT64, {.f64 = 0.1}, NULL},
    {VALUE_TEXT, {.u64 = 6}, "Gr\xc3\xbc\xc3\x9f"},
    {VALUE_BYTES, {.u64 = 4}, "\x01\x02\x03\xff"},
};
#define SAMPLES (sizeof samples / sizeof *samples)

static struct metric_sample sample_of(size_t i)
{
    return (struct metric_sample){.time_ns = T0 + (int64_t)i,
                                  .value = samples[i].value,
                                  .bytes = samples[i].text,
                                  .epoch = 7,
                                  .sequence = 1000 + i};
}

/* One metric of each type, and one bad one. `birth`: with names. Returns the size. */
static size_t encode_all(uint8_t *memory, size_t capacity, bool birth)
{
    struct writer w = writer_of(memory, capacity);
    payload_begin(&w, T0);
    for (size_t i = 0; i < SAMPLES; i++) {
        struct metric_shape shape;
        struct metric_sample s = sample_of(i);
        char name[32];
        snprintf(name, sizeof name, "plant/all/%s", value_type_name(samples[i].type));
        struct metric_birth b = {.name = name, .unit = "m3/h", .has_range = i % 2, .high = 100};
        metric_shape_init(&shape, (uint32_t)i + 1, samples[i].type);
        metric_encode(&w, &shape, &s, birth ? &b : NULL);
    }
    struct metric_shape shape;
    metric_shape_init(&shape, SLOT_ID_MAX, VALUE_FLOAT64);
    struct metric_sample bad = {.time_ns = T0,
                                .status = (uint32_t)STATUS_BAD_TIMEOUT,
                                .is_null = true,
                                .is_historical = true,
                                .epoch = UINT64_MAX,
                                .sequence = UINT64_MAX};
    struct metric_birth b = {.name = "plant/bad"};
    metric_encode(&w, &shape, &bad, birth ? &b : NULL);
    payload_end(&w, 255);
    assert_false(w.bad);
    return writer_used(&w);
}

static void what_is_encoded_is_decoded(void **state)
{
    (void)state;
    uint8_t memory[8192];
    for (int birth = 0; birth < 2; birth++) {
        size_t size = encode_all(memory, sizeof memory, birth);
        struct payload_head head;
        assert_int_equal(payload_check(memory, size, &head), 0);
        assert_true(head.has_timestamp && head.has_seq);
        assert_int_equal(head.timestamp, 1700000000123);
        assert_int_equal(head.seq, 255);
        assert_int_equal(head.metrics, SAMPLES + 1);
        struct reader in = reader_of(memory, size);
        struct metric m;
        for (size_t i = 0; i < SAMPLES; i++) {
            assert_int_equal(payload_next(&in, &m), 1);
            assert_int_equal(m.alias, i + 1);
            assert_int_equal(m.datatype, sparkplug_type_of(samples[i].type));
            assert_int_equal(m.timestamp, 1700000000123);
            assert_int_equal(m.name != NULL, birth);
            if (samples[i].text) {
                assert_int_equal(m.size, samples[i].value.u64);
                assert_memory_equal(m.bytes, samples[i].text, m.size);
            } else {
                union slot_value v;
                assert_int_equal(metric_value(&m, samples[i].type, &v), 0);
                assert_memory_equal(&v, &samples[i].value, sizeof v);
            }
        }
        assert_int_equal(payload_next(&in, &m), 1);
        assert_true(m.is_null && m.is_historical && m.field == METRIC_NONE);
        assert_int_equal(m.alias, SLOT_ID_MAX);
        assert_int_equal(payload_next(&in, &m), 0);
    }
}

/* Against bytes made by hand from sparkplug_b.proto. */
static void a_metric_has_the_bytes_of_the_schema(void **state)
{
    (void)state;
    uint8_t memory[METRIC_ROOM + 64];
    struct writer w = writer_of(memory, sizeof memory);
    struct metric_shape shape;
    metric_shape_init(&shape, 300, VALUE_INT16);
    struct metric_sample s = {
        .time_ns = 1000000, .value.i64 = -1, .epoch = 2, .sequence = 128, .is_historical = true};
    metric_encode(&w, &shape, &s, NULL);
    static const uint8_t expected[] =
        "\x12\x34\x10\xac\x02\x20\x02\x18\x01\x28\x01"
        "\x4a\x23\x0a\x03seq\x0a\x05"
        "epoch\x0a\x02ns"
        "\x12\x05\x08\x08\x20\x80\x01\x12\x04\x08\x08\x20\x02\x12\x04\x08\x03\x18\x00"
        "\x50\xff\xff\xff\xff\x0f";
    assert_int_equal(writer_used(&w), sizeof expected - 1);
    assert_memory_equal(memory, expected, sizeof expected - 1);
}

static void long_metrics_get_long_lengths(void **state)
{
    (void)state;
    static uint8_t memory[4096];
    static char text[SLOT_BYTES_MAX];
    memset(text, 'x', sizeof text);
    for (size_t size = 0; size <= sizeof text; size++) {
        struct writer w = writer_of(memory, sizeof memory);
        struct metric_shape shape;
        metric_shape_init(&shape, 1, VALUE_TEXT);
        struct metric_sample s = {.value.u64 = size, .bytes = text, .sequence = 1};
        metric_encode(&w, &shape, &s, NULL);
        struct reader in = reader_of(memory, writer_used(&w));
        struct metric m;
        assert_int_equal(payload_next(&in, &m), 1);
        assert_int_equal(m.size, size);
        assert_int_equal(payload_next(&in, &m), 0);
    }
}

static void too_little_room_is_noticed(void **state)
{
    (void)state;
    uint8_t memory[METRIC_ROOM + 10];
    struct metric_shape shape;
    metric_shape_init(&shape, 1, VALUE_TEXT);
    struct metric_sample s = {.value.u64 = 11, .bytes = "elevenbytes"};
    struct writer w = writer_of(memory, sizeof memory);
    metric_encode(&w, &shape, &s, NULL);
    assert_true(w.bad);
    assert_int_equal(writer_used(&w), 0);
    w = writer_of(memory, METRIC_ROOM);
    metric_encode_named(&w, "x", VALUE_BOOL, 0, 0);
    assert_true(w.bad);
}

static void walk(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + !size); /* so that a sanitizer sees what is read beyond */
    assert_non_null(copy);
    memcpy(copy, data, size);
    struct payload_head head;
    int whole = payload_check(copy, size, &head);
    struct reader in = reader_of(copy, size);
    struct metric m;
    uint32_t count = 0;
    int more;
    while ((more = payload_next(&in, &m)) > 0) {
        union slot_value v;
        count++;
        for (enum value_type t = VALUE_BOOL; t < VALUE_TEXT; t++) {
            if (metric_value(&m, t, &v) == 0) {
                assert_true(value_is_legal(t, v));
            }
        }
        if (m.name_size) {
            assert_in_range(m.name - (char *)copy, 0, size - m.name_size);
        }
    }
    assert_int_equal(more, whole);
    assert_int_equal(count, head.metrics);
    free(copy);
}

static void every_truncation_and_corruption_is_survived(void **state)
{
    (void)state;
    uint8_t memory[8192];
    size_t size = encode_all(memory, sizeof memory, true);
    for (size_t n = 0; n < size; n++) {
        walk(memory, n);
    }
    for (size_t n = 0; n < size; n++) {
        uint8_t was = memory[n];
        for (unsigned b = 0; b < 256; b++) {
            memory[n] = (uint8_t)b;
            walk(memory, size);
        }
        memory[n] = was;
    }
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x12",                                             /* no length */
        "\x12\x05\x08",                                     /* more than there is */
        "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",     /* 2^64 - 1 bytes */
        "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",     /* a varint beyond 64 bits */
        "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", /* of eleven bytes */
        "\x13\x14",                                         /* a group */
        "\x02\x01x",                                        /* field 0 */
        "\x12\x02\x0a\x01",                                 /* the name ends beyond its metric */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct payload_head head;
        assert_int_equal(payload_check(bad[i], strlen(bad[i]), &head), ERR_MALFORMED);
    }
}

/* `payload_test --print`: the payloads as hex, for the independent codec (tests/sparkplug_codec_test.py). */
static int print(void)
{
    uint8_t memory[8192];
    for (int birth = 0; birth < 2; birth++) {
        size_t size = encode_all(memory, sizeof memory, birth);
        printf("spBv1.0/g/%s/n/d ", birth ? "DBIRTH" : "DDATA");
        for (size_t i = 0; i < size; i++) {
            printf("%02x", memory[i]);
        }
        printf("\n");
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--print")) {
        return print();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(a_metric_has_the_bytes_of_the_schema),
        cmocka_unit_test(long_metrics_get_long_lengths),
        cmocka_unit_test(too_little_room_is_noticed),
        cmocka_unit_test(every_truncation_and_corruption_is_survived),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
