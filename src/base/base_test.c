/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/err.h"
#include "base/json.h"
#include "base/ring.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void every_error_has_a_text(void **state)
{
    (void)state;
    for (int e = 0; e <= 21; e++) {
        assert_string_not_equal(err_text(-e), "unknown error");
        assert_string_equal(err_text(e), err_text(-e));
    }
    assert_string_equal(err_text(-9999), "unknown error");
}

static void a_reader_goes_bad_for_good(void **state)
{
    (void)state;
    const uint8_t data[] = {1, 2, 3, 4, 5};
    struct reader r = reader_of(data, sizeof data);
    assert_int_equal(read_u16be(&r), 0x0102);
    assert_int_equal(read_u32be(&r), 0);
    assert_true(r.bad);
    assert_int_equal(read_u8(&r), 0);
    assert_int_equal(reader_left(&r), 0);
    struct reader part = reader_of(data, sizeof data);
    struct reader sub = read_part(&part, 6);
    assert_true(sub.bad && part.bad);
}

static void a_writer_never_writes_beyond(void **state)
{
    (void)state;
    uint8_t memory[4] = {0};
    struct writer w = writer_of(memory, 3);
    write_u16le(&w, 0x0201);
    write_u16be(&w, 0xffff);
    assert_true(w.bad);
    assert_int_equal(memory[0], 1);
    assert_int_equal(memory[2], 0);
}

static void times_print_and_parse(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } good[] = {
        {0, "1970-01-01T00:00:00.000000000Z"},
        {-1, "1969-12-31T23:59:59.999999999Z"},
        {951782400 * NS_PER_S + 5, "2000-02-29T00:00:00.000000005Z"},
        {INT64_C(1795388888123456789), "2026-11-22T23:08:08.123456789Z"},
    };
    char text[CLOCK_TEXT_SIZE];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t ns = 0;
        assert_string_equal(clock_text(good[i].ns, text), good[i].text);
        assert_int_equal(clock_parse(good[i].text, strlen(good[i].text), &ns), 0);
        assert_true(ns == good[i].ns);
    }
    int64_t a, b;
    assert_int_equal(clock_parse("2026-11-22T10:00:00+01:30", 25, &a), 0);
    assert_int_equal(clock_parse("2026-11-22T08:30:00Z", 20, &b), 0);
    assert_true(a == b);
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-13-01T00:00:00Z",
                                      "2026-02-29T00:00:00Z",
                                      "2026-01-01T00:00:00",
                                      "2026-01-01T00:00:00.Z",
                                      "2026-01-01T00:00:00.1234567890Z",
                                      "2026-01-01T00:00:00Zx",
                                      "2026-01-01T24:00:00Z",
                                      "9999-01-01T00:00:00Z"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_true(clock_parse(bad[i], strlen(bad[i]), &a) < 0);
    }
}

static void checksums_agree_with_the_rfc(void **state)
{
    (void)state;
    uint8_t block[32];
    memset(block, 0, sizeof block);
    assert_int_equal(crc32c(0, block, 32), 0x8a9136aa);
    memset(block, 0xff, sizeof block);
    assert_int_equal(crc32c(0, block, 32), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++) {
        block[i] = i;
    }
    assert_int_equal(crc32c(0, block, 32), 0x46dd794e);
    for (size_t n = 0; n <= 32; n++) {
        assert_int_equal(crc32c(0, block, n), crc32c_portable(0, block, n));
        assert_int_equal(crc32c(crc32c(0, block, n), block + n, 32 - n), 0x46dd794e);
    }
}

static void numbers_read_back_the_same(void **state)
{
    (void)state;
    static const double numbers[] = {
        0, -0.0, 1, 0.1, 1.0 / 3, 1e300, 5e-324, 1e15, 123456789012345678.0, -2.5, 1e21, M_PI};
    char text[NUMBER_TEXT_SIZE];
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_true(number_text(numbers[i], text) < NUMBER_TEXT_SIZE);
        double back = strtod(text, NULL);
        assert_memory_equal(&back, &numbers[i], 8);
    }
    number_text(0.1, text);
    assert_string_equal(text, "0.1");
    number_text_float(0.1f, text);
    assert_string_equal(text, "0.1");
    number_text(-INFINITY, text);
    assert_string_equal(text, "-Infinity");
}

/* What is written digit by digit is what %g of the fewest digits that do would be. */
static void short_numbers_are_the_shortest(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 20000; i++) {
        char text[NUMBER_TEXT_SIZE], expect[NUMBER_TEXT_SIZE];
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        double tens = 1;
        for (int k = i % 19; k > 0; k--) {
            tens *= 10;
        }
        double number = (double)((int64_t)random >> (12 + random % 50)) / tens;
        for (int digits = 1; digits <= 17; digits++) {
            snprintf(expect, sizeof expect, "%.*g", digits, number);
            if (strtod(expect, NULL) == number) {
                break;
            }
        }
        if (!strchr(expect, 'e')) {
            assert_int_equal(number_text(number, text), strlen(expect));
            assert_string_equal(text, expect);
        }
        float single = (float)number;
        assert_true(number_text_float(single, text) == strlen(text));
        assert_true(strtof(text, NULL) == single);
    }
    char whole[NUMBER_TEXT_SIZE];
    assert_int_equal(number_text_float(-2, whole), 2);
    assert_string_equal(whole, "-2");
}

static void json_is_well_formed(void **state)
{
    (void)state;
    struct json j;
    json_init(&j, 0);
    json_open(&j, '{');
    json_pair_text(&j, "a\"b", "line\n\x01\xff\xc3\xa9");
    json_key(&j, "list");
    json_open(&j, '[');
    json_int(&j, -3);
    json_double(&j, NAN);
    json_double(&j, 0.5);
    json_base64(&j, "isth", 4);
    json_nil(&j);
    json_close(&j, ']');
    json_pair_bool(&j, "ok", true);
    json_close(&j, '}');
    const char *want = "{\"a\\\"b\":\"line\\n\\u0001\xef\xbf\xbd\xc3\xa9\","
                       "\"list\":[-3,\"NaN\",0.5,\"aXN0aA==\",null],\"ok\":true}";
    assert_int_equal(j.size, strlen(want));
    assert_memory_equal(j.text, want, j.size);
    json_fini(&j);
    json_init(&j, 5);
    json_text(&j, "too long");
    assert_true(j.bad);
    json_fini(&j);
}

struct pair {
    struct ring_head *head;
    struct ring_tail tail;
    struct ring_producer p;
    struct ring_consumer c;
};

static void pair_make(struct pair *t, size_t capacity)
{
    memset(t, 0, sizeof *t);
    t->head = aligned_alloc(64, (ring_bytes(capacity) + 63) / 64 * 64);
    memset(t->head, 0, ring_bytes(capacity));
    assert_int_equal(ring_producer_init(&t->p, t->head, capacity, &t->tail, -1), 0);
    assert_int_equal(ring_consumer_init(&t->c, t->head, capacity, &t->tail), 0);
}

static void a_ring_keeps_order_and_is_bounded(void **state)
{
    (void)state;
    struct pair t;
    pair_make(&t, 8);
    struct slot out[16];
    uint64_t sent = 0, got = 0;
    for (int round = 0; round < 100; round++) {
        struct slot s = {.tag = 1};
        for (s.value.u64 = sent; ring_put(&t.p, &s, 1) == 0; s.value.u64 = sent) {
            sent++;
        }
        assert_int_equal(sent - got, 8);
        assert_int_equal(ring_take(&t.c, out, 16), 0); /* nothing is visible before publish */
        ring_publish(&t.p);
        int n = ring_take(&t.c, out, 5);
        assert_int_equal(n, 5);
        ring_step_back(&t.c, 2);
        n = 3 + ring_take(&t.c, out + 3, 16);
        assert_int_equal(n, 8);
        for (int i = 0; i < n; i++) {
            assert_int_equal(out[i].value.u64, got++);
        }
        assert_int_equal(ring_put(&t.p, &s, 1), ERR_FULL); /* taken, but not released */
        ring_release(&t.c, t.c.next);
    }
    free(t.head);
}

static void a_ring_carries_long_records(void **state)
{
    (void)state;
    struct pair t;
    pair_make(&t, 8);
    struct slot head = {.tag = 7 | SLOT_LONG}, out[8];
    for (int i = 0; i < 20; i++) {
        assert_int_equal(ring_put_record(&t.p, &head, "a text of more than 24 bytes", 28), 0);
        ring_publish(&t.p);
        assert_int_equal(ring_take(&t.c, out, 8), 3);
        assert_int_equal(slot_record_length(out), 3);
        assert_memory_equal(slot_payload(out), "a text of more than 24 bytes", 28);
        ring_release(&t.c, t.c.next);
    }
    free(t.head);
}

static void a_lying_producer_is_found_out(void **state)
{
    (void)state;
    struct pair t;
    pair_make(&t, 8);
    struct slot out[8];
    atomic_store(&t.head->head, 9);
    assert_int_equal(ring_take(&t.c, out, 8), ERR_GARBAGE);
    assert_int_equal(ring_waiting(&t.c), 0);
    atomic_store(&t.head->head, UINT64_MAX);
    assert_int_equal(ring_take(&t.c, out, 8), ERR_GARBAGE);
    assert_int_equal(ring_consumer_init(&t.c, t.head, 8, &t.tail), ERR_GARBAGE);
    free(t.head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_a_text),
        cmocka_unit_test(a_reader_goes_bad_for_good),
        cmocka_unit_test(a_writer_never_writes_beyond),
        cmocka_unit_test(times_print_and_parse),
        cmocka_unit_test(checksums_agree_with_the_rfc),
        cmocka_unit_test(numbers_read_back_the_same),
        cmocka_unit_test(short_numbers_are_the_shortest),
        cmocka_unit_test(json_is_well_formed),
        cmocka_unit_test(a_ring_keeps_order_and_is_bounded),
        cmocka_unit_test(a_ring_carries_long_records),
        cmocka_unit_test(a_lying_producer_is_found_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
