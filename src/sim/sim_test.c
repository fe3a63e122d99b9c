/* SPDX-License-Identifier: Apache-2.0 */
/* What the PLCs answer, and that the works obeys. Addresses: points.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/answer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct stage {
    struct works works;
    struct plc plcs[2];
};

static int setup(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    assert_non_null(s);
    assert_int_equal(works_init(&s->works, LINES_PER_UNIT + 2, 1), 0);
    assert_int_equal(map_init(s->plcs, 1, &s->works), 0);
    assert_int_equal(map_init(s->plcs + 1, 2, &s->works), 0);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct stage *s = *state;
    map_fini(s->plcs);
    map_fini(s->plcs + 1);
    works_fini(&s->works);
    free(s);
    return 0;
}

static size_t ask(struct plc *plc, uint8_t unit, const uint8_t *pdu, size_t size,
                  uint8_t reply[MODBUS_FRAME_MAX])
{
    uint8_t frame[MODBUS_FRAME_MAX] = {0, 9, 0, 0, 0, (uint8_t)(size + 1), unit};
    memcpy(frame + 7, pdu, size);
    return answer_frame(plc, frame, size + 7, reply);
}

struct row {
    uint8_t plc; /* 0, 1 */
    uint8_t unit;
    uint8_t pdu[16];
    size_t size;
    uint8_t want[8];
    size_t want_size;
};

static void check_rows(struct stage *s, const struct row *rows, size_t count)
{
    uint8_t r[MODBUS_FRAME_MAX];
    for (size_t i = 0; i < count; i++) {
        size_t n = ask(s->plcs + rows[i].plc, rows[i].unit, rows[i].pdu, rows[i].size, r);
        if (n != rows[i].want_size + 7 || memcmp(r + 7, rows[i].want, rows[i].want_size) != 0) {
            fail_msg("row %zu: %zu bytes, %02x %02x %02x", i, n, r[7], r[8], r[9]);
        }
        assert_int_equal(r[6], rows[i].unit);
    }
}

/* The set point is holding register 0 of PLC 2's first line, in hundredths; the valve's target 1, in tenths. */
static void set_points_are_written_and_obeyed(void **state)
{
    struct stage *s = *state;
    static const struct row rows[] = {
        {1, 1, {3, 0, 0, 0, 1}, 5, {3, 2, 0x01, 0xa4}, 4}, /* 4.2 m */
        {1, 1, {6, 0, 0, 0x01, 0x2c}, 5, {6, 0, 0, 0x01, 0x2c}, 5},
        {1, 1, {3, 0, 0, 0, 1}, 5, {3, 2, 0x01, 0x2c}, 4},
        {1, 1, {22, 0, 0, 0xff, 0, 0, 0x90}, 7, {22, 0, 0, 0xff, 0, 0, 0x90}, 7},
        {1, 1, {3, 0, 0, 0, 1}, 5, {3, 2, 0x01, 0x90}, 4},
        {1, 1, {16, 0, 1, 0, 1, 2, 0x00, 0xfa}, 8, {16, 0, 1, 0, 1}, 5},
        {1, 1, {23, 0, 1, 0, 1, 0, 3, 0, 1, 2, 0x00, 0x64}, 12, {23, 2, 0x00, 0xfa}, 4},
        /* a command in the second unit: line 1001 */
        {1, 2, {6, 0, 0, 0x00, 0xc8}, 5, {6, 0, 0, 0x00, 0xc8}, 5},
        /* floats, high word first: 50 % by hand */
        {0, 1, {16, 0, 30, 0, 2, 4, 0x42, 0x48, 0, 0}, 10, {16, 0, 30, 0, 2}, 5},
    };
    check_rows(s, rows, sizeof rows / sizeof *rows);
    assert_true(fabs(s->works.lines[0].set_point - 4) < 1e-9);
    assert_true(fabs(s->works.lines[0].valve_target - 0.25) < 1e-9);
    assert_true(fabs(s->works.lines[1].valve_target - 0.1) < 1e-9);
    assert_true(fabs(s->works.lines[LINES_PER_UNIT].set_point - 2) < 1e-9);
    assert_true(fabs(s->works.lines[0].manual_speed - 0.5) < 1e-9);
}

/* Coils of a line in PLC 1: start of both pumps, automatic. In PLC 2: the leak. */
static void coils_are_written_and_obeyed(void **state)
{
    struct stage *s = *state;
    static const struct row rows[] = {
        {0, 1, {1, 0, 0, 0, 3}, 5, {1, 1, 7}, 3},
        {0, 1, {5, 0, 2, 0, 0}, 5, {5, 0, 2, 0, 0}, 5},
        {0, 1, {1, 0, 0, 0, 3}, 5, {1, 1, 3}, 3},
        {0, 1, {15, 0, 3, 0, 3, 1, 0x02}, 7, {15, 0, 3, 0, 3}, 5},
        {1, 1, {5, 0, 1, 0xff, 0}, 5, {5, 0, 1, 0xff, 0}, 5},
    };
    check_rows(s, rows, sizeof rows / sizeof *rows);
    const struct works_line *l = s->works.lines;
    assert_true(l[0].pumps[0].start && l[0].pumps[1].start && !l[0].automatic && !l[0].leaking);
    assert_true(!l[1].pumps[0].start && l[1].pumps[1].start && !l[1].automatic && l[1].leaking);
    for (int i = 0; i < 60; i++) {
        works_step(&s->works, 1);
    }
    map_fill(s->plcs);
    static const struct row running = {0, 1, {2, 0, 0, 0, 4}, 5, {2, 1, 0x0b}, 3};
    check_rows(s, &running, 1);
}

static void what_may_not_be_is_refused_and_changes_nothing(void **state)
{
    struct stage *s = *state;
    static const struct row rows[] = {
        /* read-only, or nothing there */
        {0, 1, {6, 0, 0, 0, 1}, 5, {0x86, 2}, 2},
        {0, 1, {22, 0, 0, 0, 0, 0, 1}, 7, {0x96, 2}, 2},
        {0, 1, {5, 0x0b, 0xb8, 0xff, 0}, 5, {0x85, 2}, 2},
        {0, 1, {16, 0, 29, 0, 2, 4, 0, 0, 0x42, 0x48}, 10, {0x90, 2}, 2},
        {1, 1, {16, 0xff, 0xff, 0, 2, 4, 0, 0, 0, 0}, 10, {0x90, 2}, 2},
        {1, 2, {6, 0, 4, 0, 1}, 5, {0x86, 2}, 2}, /* line 1003: there are 1002 */
        /* out of range: 12 m, -1 %, NaN; one such value refuses its neighbours too */
        {1, 1, {6, 0, 0, 0x04, 0xb0}, 5, {0x86, 3}, 2},
        {1, 1, {16, 0, 0, 0, 2, 4, 0x00, 0x64, 0xff, 0xf6}, 10, {0x90, 3}, 2},
        {0, 1, {16, 0, 30, 0, 2, 4, 0x7f, 0xc0, 0, 0}, 10, {0x90, 3}, 2},
        /* malformed */
        {1, 1, {3, 0, 0, 0, 126}, 5, {0x83, 3}, 2},
        {1, 1, {3, 0, 0, 0, 0}, 5, {0x83, 3}, 2},
        {1, 1, {3, 0xff, 0xff, 0, 2}, 5, {0x83, 2}, 2},
        {1, 1, {5, 0, 0, 1, 0}, 5, {0x85, 3}, 2},
        {1, 1, {16, 0, 0, 0, 2, 2, 0x00, 0x64}, 8, {0x90, 3}, 2},
        {1, 1, {15, 0, 0, 0, 9, 1, 0xff}, 7, {0x8f, 3}, 2},
        {1, 1, {99, 0}, 2, {0xe3, 1}, 2},
        /* function 23 whose read is out of range writes nothing */
        {1, 1, {23, 0xff, 0xff, 0, 2, 0, 0, 0, 1, 2, 0x00, 0x64}, 12, {0x97, 2}, 2},
        {1, 1, {3, 0, 0, 0, 1}, 5, {3, 2, 0x01, 0xa4}, 4},
        /* units */
        {1, 3, {3, 0, 0, 0, 1}, 5, {0x83, 11}, 2},
        {1, 255, {3, 0, 0, 0, 1}, 5, {3, 2, 0x01, 0xa4}, 4},
    };
    check_rows(s, rows, sizeof rows / sizeof *rows);
    for (uint32_t i = 0; i < s->works.line_count; i++) {
        const struct works_line *l = s->works.lines + i;
        assert_true(l->set_point == 4.2 && l->valve_target == 0.8 && l->manual_speed == 0.6);
        assert_true(l->automatic && !l->leaking);
    }
}

static void each_unit_has_its_plate(void **state)
{
    struct stage *s = *state;
    uint8_t r[MODBUS_FRAME_MAX];
    static const uint8_t holding[] = {3, 0xfd, 0xe8, 0, 16}, input[] = {4, 0xfd, 0xe8, 0, 16};
    assert_int_equal(ask(s->plcs, 2, holding, 5, r), 9 + 32);
    assert_string_equal((char *)r + 9, "Pump station, unit 2");
    assert_int_equal(ask(s->plcs + 1, 1, input, 5, r), 9 + 32);
    assert_string_equal((char *)r + 9, "Tanks and valves, unit 1");
}

static void no_bytes_harm_the_server(void **state)
{
    struct stage *s = *state;
    static const uint8_t good[] = {0, 1, 0, 0, 0, 13, 1, 23, 0, 0, 0, 2, 0, 0, 0, 1, 2, 0, 7};
    uint8_t r[MODBUS_FRAME_MAX], bytes[sizeof good];
    for (size_t n = 0; n <= sizeof good; n++) {
        uint8_t *exact = malloc(n + 1);
        memcpy(exact, good, n);
        assert_true(answer_frame(s->plcs + 1, exact, n, r) <= sizeof r);
        free(exact);
    }
    for (size_t i = 0; i < sizeof good; i++) {
        for (int v = 0; v < 256; v++) {
            memcpy(bytes, good, sizeof good);
            bytes[i] = (uint8_t)v;
            assert_true(answer_frame(s->plcs, bytes, sizeof bytes, r) <= sizeof r);
            assert_true(answer_frame(s->plcs + 1, bytes, sizeof bytes, r) <= sizeof r);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(set_points_are_written_and_obeyed, setup, teardown),
        cmocka_unit_test_setup_teardown(coils_are_written_and_obeyed, setup, teardown),
        cmocka_unit_test_setup_teardown(what_may_not_be_is_refused_and_changes_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(each_unit_has_its_plate, setup, teardown),
        cmocka_unit_test_setup_teardown(no_bytes_harm_the_server, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
