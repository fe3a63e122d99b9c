/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sim/server.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void the_same_seed_gives_the_same_course(void **state)
{
    (void)state;
    struct works a, b, c;
    assert_int_equal(works_init(&a, 3, 7), 0);
    assert_int_equal(works_init(&b, 3, 7), 0);
    assert_int_equal(works_init(&c, 3, 8), 0);
    for (int i = 0; i < 2000; i++) {
        works_step(&a, 1);
        works_step(&b, 1);
        works_step(&c, 1);
    }
    assert_memory_equal(a.lines, b.lines, 3 * sizeof *a.lines);
    assert_memory_not_equal(a.lines, c.lines, 3 * sizeof *a.lines);
    works_fini(&a);
    works_fini(&b);
    works_fini(&c);
}

static void the_works_stay_physical_for_days(void **state)
{
    (void)state;
    struct works w;
    assert_int_equal(works_init(&w, 4, 1), 0);
    for (int i = 0; i < 3 * 86400; i++) {
        works_step(&w, 1);
        for (uint32_t k = 0; k < 4; k++) {
            const struct works_line *l = w.lines + k;
            assert_true(l->storage_level >= 0 && l->storage_level <= TANK_HEIGHT);
            assert_true(l->pumps[0].flow >= 0 && l->pumps[0].flow < 500 && isfinite(l->pressure));
        }
    }
    assert_true(w.lines[0].volume > 3 * 24 * 50); /* it does pump */
    works_fini(&w);
}

static void water_is_neither_made_nor_lost(void **state)
{
    (void)state;
    struct works w;
    assert_int_equal(works_init(&w, 1, 3), 0);
    struct works_line *l = w.lines;
    double before = l->intake_level * INTAKE_AREA + l->storage_level * STORAGE_AREA, balance = 0;
    for (int i = 0; i < 3600; i++) {
        works_step(&w, 1);
        balance += (l->inflow - l->demand - l->leak) / 3600;
    }
    double after = l->intake_level * INTAKE_AREA + l->storage_level * STORAGE_AREA;
    assert_true(fabs(after - before - balance) < 1e-6);
    works_fini(&w);
}

/* A leak larger than the pumps drains the storage; what is reported must still be what flowed. */
static void water_is_kept_when_a_tank_runs_empty(void **state)
{
    (void)state;
    struct works w;
    assert_int_equal(works_init(&w, 1, 3), 0);
    w.leak_flow = 1000;
    struct works_line *l = w.lines;
    double before = l->intake_level * INTAKE_AREA + l->storage_level * STORAGE_AREA, balance = 0;
    bool emptied = false;
    for (int i = 0; i < 4 * 3600; i++) {
        works_step(&w, 1);
        balance += (l->inflow - l->demand - l->leak) / 3600;
        emptied |= l->storage_level <= 0.05;
    }
    double after = l->intake_level * INTAKE_AREA + l->storage_level * STORAGE_AREA;
    assert_true(emptied);
    assert_true(fabs(after - before - balance) < 1e-6);
    works_fini(&w);
}

static size_t ask(struct plc *plc, const uint8_t *pdu, size_t size, uint8_t reply[MODBUS_FRAME_MAX])
{
    uint8_t frame[MODBUS_FRAME_MAX] = {0, 9, 0, 0, 0, (uint8_t)(size + 1), 1};
    memcpy(frame + 7, pdu, size);
    return server_answer(plc, frame, size + 7, reply);
}

static void requests_are_answered(void **state)
{
    (void)state;
    struct plc *plc = calloc(1, sizeof *plc);
    uint8_t r[MODBUS_FRAME_MAX];
    static const struct {
        uint8_t pdu[12];
        size_t size;
        uint8_t want[8];
        size_t want_size;
    } rows[] = {
        {{6, 0, 5, 0x12, 0x34}, 5, {6, 0, 5, 0x12, 0x34}, 5},
        {{3, 0, 5, 0, 1}, 5, {3, 2, 0x12, 0x34}, 4},
        {{22, 0, 5, 0, 0xff, 0x56, 0}, 7, {22, 0, 5, 0, 0xff, 0x56, 0}, 7},
        {{4, 0, 5, 0, 1}, 5, {4, 2, 0x56, 0x34}, 4},
        {{16, 0, 6, 0, 1, 2, 0xab, 0xcd}, 8, {16, 0, 6, 0, 1}, 5},
        {{3, 0, 6, 0, 1}, 5, {3, 2, 0xab, 0xcd}, 4},
        {{5, 0, 3, 0xff, 0}, 5, {5, 0, 3, 0xff, 0}, 5},
        {{1, 0, 0, 0, 8}, 5, {1, 1, 8}, 3},
        {{3, 0, 0, 0, 126}, 5, {0x83, 3}, 2},
        {{3, 0xff, 0xff, 0, 2}, 5, {0x83, 2}, 2},
        {{5, 0, 3, 1, 0}, 5, {0x85, 3}, 2},
        {{99, 0}, 2, {0xe3, 1}, 2},
        {{16, 0, 6, 0, 2, 2, 0xab, 0xcd}, 8, {0x90, 3}, 2},
        /* a read out of range refuses the whole of function 23: nothing is written */
        {{23, 0xff, 0xff, 0, 2, 0, 6, 0, 1, 2, 0x77, 0x77}, 12, {0x97, 2}, 2},
        {{3, 0, 6, 0, 1}, 5, {3, 2, 0xab, 0xcd}, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(ask(plc, rows[i].pdu, rows[i].size, r), rows[i].want_size + 7);
        assert_memory_equal(r + 7, rows[i].want, rows[i].want_size);
    }
    free(plc);
}

static void no_bytes_harm_the_server(void **state)
{
    (void)state;
    static const uint8_t good[] = {0, 1, 0, 0, 0, 13, 1, 23, 0, 0, 0, 2, 0, 5, 0, 1, 2, 7, 7};
    struct plc *plc = calloc(1, sizeof *plc);
    uint8_t r[MODBUS_FRAME_MAX], bytes[sizeof good];
    for (size_t n = 0; n <= sizeof good; n++) {
        uint8_t *exact = malloc(n + 1);
        memcpy(exact, good, n);
        assert_true(server_answer(plc, exact, n, r) <= sizeof r);
        free(exact);
    }
    for (size_t i = 0; i < sizeof good; i++) {
        for (int v = 0; v < 256; v++) {
            memcpy(bytes, good, sizeof good);
            bytes[i] = (uint8_t)v;
            assert_true(server_answer(plc, bytes, sizeof bytes, r) <= sizeof r);
        }
    }
    free(plc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_course),
        cmocka_unit_test(the_works_stay_physical_for_days),
        cmocka_unit_test(water_is_neither_made_nor_lost),
        cmocka_unit_test(water_is_kept_when_a_tank_runs_empty),
        cmocka_unit_test(requests_are_answered),
        cmocka_unit_test(no_bytes_harm_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
