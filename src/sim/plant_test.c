/* SPDX-License-Identifier: Apache-2.0 */
/* The works obeys physics and its commands, and its course depends on nothing but seed, steps and commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HOUR 3600
#define DAY  (24 * HOUR)

static struct works works_of(uint32_t lines, uint64_t seed)
{
    struct works w;
    assert_int_equal(works_init(&w, lines, seed), 0);
    return w;
}

static void run(struct works *w, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        works_step(w, 1);
    }
}

static void registers_after(uint64_t seed, uint32_t lines, double dt, struct plc *plc)
{
    struct works *w = malloc(sizeof *w);
    *w = works_of(lines, seed);
    assert_int_equal(map_init(plc, 2, w), 0);
    for (int i = 0; i < 500; i++) {
        works_step(w, dt);
        map_fill(plc);
    }
}

static void forget(struct plc *plc)
{
    struct works *w = plc->works;
    map_fini(plc);
    works_fini(w);
    free(w);
}

static void the_same_seed_gives_the_same_registers(void **state)
{
    (void)state;
    struct plc a, b, other, longer;
    registers_after(7, 3, 0.5, &a);
    registers_after(7, 3, 0.5, &b);
    registers_after(8, 3, 0.5, &other);
    registers_after(7, 5, 0.5, &longer);
    assert_memory_equal(a.units, b.units, sizeof *a.units);
    assert_memory_not_equal(a.units, other.units, sizeof *a.units);
    /* more lines do not change the first ones: 16 input registers each */
    assert_memory_equal(a.units->registers[PLC_INPUT], longer.units->registers[PLC_INPUT],
                        3 * 16 * sizeof(uint16_t));
    forget(&a);
    forget(&b);
    forget(&other);
    forget(&longer);
}

static void the_works_stay_physical_for_days(void **state)
{
    (void)state;
    struct works w = works_of(4, 1);
    for (int i = 0; i < 3 * DAY; i++) {
        works_step(&w, 1);
        for (uint32_t k = 0; k < 4; k++) {
            const struct works_line *l = w.lines + k;
            assert_true(l->storage_level >= 0 && l->storage_level <= TANK_HEIGHT);
            assert_true(l->intake_level >= 0 && l->intake_level <= TANK_HEIGHT);
            assert_true(l->pumps[0].flow >= 0 && l->pumps[0].flow < 500 && isfinite(l->pressure));
        }
    }
    assert_true(w.lines[0].volume > 3 * 24 * 50); /* it does pump */
    works_fini(&w);
}

/* Steps and keeps the account: what flowed in less what flowed out is what the tanks hold more, to a thimble. Returns what flowed over. */
static double run_balanced(struct works *w, int seconds)
{
    struct works_line *l = w->lines;
    double before = l->intake_level * INTAKE_AREA + l->storage_level * STORAGE_AREA, balance = 0,
           over = 0;
    for (int i = 0; i < seconds; i++) {
        works_step(w, 1);
        balance += (l->inflow - l->demand - l->leak - l->overflow) / HOUR;
        over += l->overflow / HOUR;
    }
    double after = l->intake_level * INTAKE_AREA + l->storage_level * STORAGE_AREA;
    assert_true(fabs(after - before - balance) < 1e-6);
    return over;
}

static void water_is_neither_made_nor_lost(void **state)
{
    (void)state;
    struct works w = works_of(1, 3);
    assert_true(run_balanced(&w, 4 * HOUR) == 0);
    works_fini(&w);
    w = works_of(1, 3);
    w.leak_flow = 1000;
    w.lines->leaking = true; /* more than the pumps can lift */
    run_balanced(&w, 4 * HOUR);
    assert_true(w.lines->storage_level < 0.1);
    works_fini(&w);
    w = works_of(1, 3);
    w.lines->automatic = false; /* and somebody forgets the pumps */
    w.lines->manual_speed = 1;
    w.lines->pumps[1].start = true;
    assert_true(run_balanced(&w, 20 * HOUR) > 10 && w.lines->storage_high);
    works_fini(&w);
}

/* However far away it begins, and while the town draws as it likes. */
static void the_controller_holds_its_set_point(void **state)
{
    (void)state;
    static const double begin[] = {2, 5.5}, set_points[] = {4.2, 3};
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 2; k++) {
            struct works w = works_of(1, 5);
            w.lines->storage_level = begin[i];
            w.lines->set_point = set_points[k];
            run(&w, 12 * HOUR);
            double sum = 0;
            for (int n = 0; n < DAY; n++) {
                works_step(&w, 1);
                assert_true(fabs(w.lines->storage_level - set_points[k]) < 0.35);
                sum += w.lines->storage_level;
            }
            assert_true(fabs(sum / DAY - set_points[k]) < 0.02); /* the integral leaves no offset */
            works_fini(&w);
        }
    }
}

static void the_hand_rules_and_hands_over_without_a_bump(void **state)
{
    (void)state;
    struct works w = works_of(1, 5);
    struct works_line *l = w.lines;
    l->automatic = false;
    l->manual_speed = 0.75;
    run(&w, 120);
    assert_true(fabs(l->pumps[0].speed - 0.75) < 1e-9);
    l->automatic = true;
    double before = l->pumps[0].speed;
    works_step(&w, 1);
    assert_true(fabs(l->pumps[0].speed - before) < 0.005);
    works_fini(&w);
}

static void a_leak_lowers_the_level_until_it_is_closed(void **state)
{
    (void)state;
    struct works sound = works_of(1, 9), leaky = works_of(1, 9);
    leaky.leak_flow = 400;
    run(&sound, HOUR);
    run(&leaky, HOUR);
    assert_true(sound.lines->storage_level == leaky.lines->storage_level);
    leaky.lines->leaking = true;
    run(&sound, HOUR);
    run(&leaky, HOUR);
    assert_true(leaky.lines->leak == 400);
    assert_true(leaky.lines->storage_level < sound.lines->storage_level - 0.3);
    leaky.lines->leaking = false;
    run(&leaky, 12 * HOUR);
    assert_true(leaky.lines->leak == 0 && fabs(leaky.lines->storage_level - 4.2) < 0.35);
    works_fini(&sound);
    works_fini(&leaky);
}

static void a_valve_takes_its_time_and_closes(void **state)
{
    (void)state;
    struct works w = works_of(1, 2);
    struct works_line *l = w.lines;
    run(&w, 60);
    assert_true(l->pumps[0].flow > 20);
    l->valve_target = 0.2; /* from 0.8: 18 s */
    run(&w, 9);
    assert_true(fabs(l->valve - 0.5) < 1e-9);
    run(&w, 10);
    assert_true(fabs(l->valve - 0.2) < 1e-9);
    double throttled = l->pumps[0].flow;
    l->valve_target = 0;
    run(&w, 60);
    assert_true(l->valve == 0 && l->pumps[0].flow == 0 && l->pumps[0].running);
    assert_true(l->pressure >= 0.0981 * l->pumps[0].head && throttled > 0);
    works_fini(&w);
}

static void pumps_start_and_stop_by_ramps(void **state)
{
    (void)state;
    struct works w = works_of(1, 2);
    struct pump *p = w.lines->pumps;
    run(&w, 60);
    assert_true(p->running);
    p->start = false;
    works_step(&w, 1);
    assert_true(p->running); /* it coasts */
    run(&w, 60);
    assert_true(!p->running && p->flow == 0 && p->power < 0.1);
    p->start = true;
    run(&w, 60);
    assert_true(p->running && p->speed >= 0.35);
    works_fini(&w);
}

static void pumps_wear_slowly_and_show_it(void **state)
{
    (void)state;
    struct works w = works_of(1, 4);
    double wear = w.lines->pumps[0].wear, hours = w.lines->pumps[0].hours;
    run(&w, 2 * DAY);
    double worn = w.lines->pumps[0].wear - wear;
    assert_true(worn > 1e-4 && worn < 0.05);
    assert_true(fabs(w.lines->pumps[0].hours - hours - 48) < 0.1);
    struct works old = works_of(1, 4);
    old.lines->pumps[0].wear = 1;
    run(&old, 10);
    run(&w, 10);
    assert_true(old.lines->pumps[0].vibration > w.lines->pumps[0].vibration + 1);
    works_fini(&w);
    works_fini(&old);
}

static void a_hundred_thousand_tags_find_room(void **state)
{
    (void)state;
    assert_int_equal(map_tags(map_lines(300)), 300);
    assert_int_equal(map_units(map_lines(300)), 1);
    uint32_t most = map_lines(TAGS_MAX);
    assert_true(map_tags(most) <= TAGS_MAX && map_tags(most + 1) > TAGS_MAX);
    assert_true(map_units(most) > 1);
    assert_int_equal(map_lines(TAGS_MIN), 1);
    for (uint32_t n = TAGS_MIN; n <= TAGS_MAX; n += 97) {
        assert_true(abs((int)map_tags(map_lines(n)) - (int)n) <= (int)TAGS_PER_LINE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_registers),
        cmocka_unit_test(the_works_stay_physical_for_days),
        cmocka_unit_test(water_is_neither_made_nor_lost),
        cmocka_unit_test(the_controller_holds_its_set_point),
        cmocka_unit_test(the_hand_rules_and_hands_over_without_a_bump),
        cmocka_unit_test(a_leak_lowers_the_level_until_it_is_closed),
        cmocka_unit_test(a_valve_takes_its_time_and_closes),
        cmocka_unit_test(pumps_start_and_stop_by_ramps),
        cmocka_unit_test(pumps_wear_slowly_and_show_it),
        cmocka_unit_test(a_hundred_thousand_tags_find_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
