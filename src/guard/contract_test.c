/* SPDX-License-Identifier: Apache-2.0 */
/* The guard's decision: each rule of a write contract at its edge, and values on their way to a device's own type. */
#include "guard/contract.h"

#include "tag/plan_build.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

struct stage {
    struct plan plan;
    void *image;
    struct plan_write contract;
    struct guard_tag memory;
    struct guard_caller caller;
    struct guard_ask ask;
    char why[GUARD_REASON_SIZE];
};

static void begin(struct stage *s)
{
    struct plan_build *b = plan_build_new();
    struct plan_zone zone = {.name = plan_build_text(b, "plant")};
    struct plan_tag tag = {.id = 1,
                           .path = plan_build_text(b, "w/level"),
                           .unit = plan_build_text(b, "m"),
                           .device = PLAN_NONE,
                           .box = PLAN_NONE,
                           .type = VALUE_FLOAT64,
                           .raw_type = VALUE_FLOAT64};
    size_t size;
    *s = (struct stage){.image = NULL};
    plan_build_zone(b, &zone);
    plan_build_tag(b, &tag);
    s->contract = (struct plan_write){.name = plan_build_text(b, "levels"),
                                      .first_caller = plan_build_option(b, "caller", "user:anna"),
                                      .caller_count = 3,
                                      .low = 0,
                                      .high = 5};
    plan_build_option(b, "caller", "role:operator");
    plan_build_option(b, "approver", "user:berta");
    plan_build_write(b, &s->contract);
    assert_int_equal(plan_build_finish(b, &s->image, &size), 0);
    assert_int_equal(plan_open(&s->plan, s->image, size), 0);
    plan_build_free(b);
    s->caller = (struct guard_caller){.name = "user:anna"};
    s->ask = (struct guard_ask){.plan = &s->plan,
                                .contract = &s->contract,
                                .tag = s->plan.tags,
                                .caller = &s->caller,
                                .memory = &s->memory,
                                .type = VALUE_FLOAT64,
                                .value.f64 = 2,
                                .has_now = true,
                                .now = 1,
                                .present = true,
                                .mono_ns = 1000 * SECOND};
}

static void lets(struct stage *s)
{
    if (!guard_lets(&s->ask, s->why)) {
        fail_msg("refused: %s", s->why);
    }
}

static void refuses(struct stage *s, const char *reason)
{
    assert_false(guard_lets(&s->ask, s->why));
    if (!strstr(s->why, reason)) {
        fail_msg("'%s' does not say '%s'", s->why, reason);
    }
}

static void callers_are_named(void **state)
{
    (void)state;
    struct stage s;
    begin(&s);
    lets(&s);
    strcpy(s.caller.name, "user:carla");
    refuses(&s, "names neither user:carla");
    strcpy(s.caller.role, "operator");
    lets(&s);
    strcpy(s.caller.role, "viewer");
    refuses(&s, "role:viewer");
    /* nobody gets in by a name that only looks like a role */
    s.caller = (struct guard_caller){.name = "role:operator"};
    assert_true(guard_lets(
        &s.ask, s.why)); /* as the contract has it; whoever gives out names never gives this one */
    s.ask.contract = NULL;
    refuses(&s, "read-only");
    struct guard_caller berta = {.name = "user:berta"}, anna = {.name = "user:anna"};
    assert_true(guard_names(&s.plan, &s.contract, "approver", &berta));
    assert_false(guard_names(&s.plan, &s.contract, "approver", &anna));
    s.contract.caller_count = 2; /* without approvers callers approve each other */
    assert_true(guard_names(&s.plan, &s.contract, "approver", &anna));
    assert_false(guard_names(&s.plan, &s.contract, "approver", &berta));
    free(s.image);
}

static void values_stay_within(void **state)
{
    (void)state;
    struct stage s;
    begin(&s);
    const struct {
        double value, step, now;
        bool has_now;
        const char *reason; /* NULL: let through */
    } rows[] = {
        {0, 0, 1, true, NULL},
        {5, 0, 1, true, NULL},
        {5.0000001, 0, 1, true, "range"},
        {-1e-9, 0, 1, true, "range"},
        {NAN, 0, 1, true, "finite"},
        {INFINITY, 0, 1, true, "finite"},
        {2, 1, 1, true, NULL},
        {2.001, 1, 1, true, "largest step"},
        {0, 1, 1.5, true, "largest step"},
        {2, 1, 1, false, "not known"},
        {2, 0, 1, false, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        s.ask.value.f64 = rows[i].value;
        s.contract.step = rows[i].step;
        s.ask.now = rows[i].now;
        s.ask.has_now = rows[i].has_now;
        if (rows[i].reason) {
            refuses(&s, rows[i].reason);
        } else {
            lets(&s);
        }
    }
    s.ask.type = VALUE_INT32;
    refuses(&s, "no float64");
    free(s.image);
}

static void rates_and_lifetimes_are_counted(void **state)
{
    (void)state;
    struct stage s;
    begin(&s);
    s.contract.rate_count = 3;
    s.contract.rate_ms = 60000;
    for (int i = 0; i < 3; i++) {
        lets(&s);
        guard_note(&s.memory, s.ask.mono_ns);
        s.ask.mono_ns += SECOND;
    }
    refuses(&s, "rate");
    s.ask.mono_ns += 56 * SECOND; /* a nanosecond before the first one falls out */
    s.ask.mono_ns += SECOND - 1;
    refuses(&s, "rate");
    s.ask.mono_ns += 1;
    lets(&s);
    s.contract.rate_count = 0;
    s.contract.lifetime = 4;
    lets(&s);
    guard_note(&s.memory, s.ask.mono_ns);
    refuses(&s, "lifetime");
    s.memory.writes = UINT64_MAX;
    refuses(&s, "lifetime");
    free(s.image);
}

static void times_of_the_week(void **state)
{
    (void)state;
    struct stage s;
    begin(&s);
    s.contract.hour_count = 2;
    s.contract.hours[0] = (struct plan_hours){.days = 0x1f, .from_minute = 360, .to_minute = 1320};
    s.contract.hours[1] = (struct plan_hours){.days = 0x40, .from_minute = 1380, .to_minute = 60};
    const struct {
        uint32_t weekday, minute;
        bool lets;
    } rows[] = {{0, 360, true},  {0, 359, false}, {4, 1319, true},  {4, 1320, false},
                {5, 720, false}, {6, 1380, true}, {6, 1379, false}, {0, 0, true},
                {0, 59, true},   {0, 60, false},  {1, 30, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        s.ask.weekday = rows[i].weekday;
        s.ask.minute = rows[i].minute;
        assert_int_equal(guard_lets(&s.ask, s.why), rows[i].lets);
    }
    free(s.image);
}

static void somebody_is_there(void **state)
{
    (void)state;
    struct stage s;
    begin(&s);
    s.ask.present = false;
    refuses(&s, "present");
    free(s.image);
}

/* What a device can't hold is refused, never wrapped, clipped or rounded away. */
static void values_fit_the_device(void **state)
{
    (void)state;
    const struct {
        enum value_type type, raw_type;
        double scale, offset;
        union slot_value value, raw;
        bool fits;
    } rows[] = {
        {VALUE_FLOAT64, VALUE_INT16, 0.01, 0, {.f64 = 3.14}, {.i64 = 314}, true},
        {VALUE_FLOAT64, VALUE_INT16, 0.01, 0, {.f64 = 327.67}, {.i64 = 32767}, true},
        {VALUE_FLOAT64, VALUE_INT16, 0.01, 0, {.f64 = 327.68}, {.i64 = 0}, false},
        {VALUE_FLOAT64, VALUE_UINT16, 0.1, -10, {.f64 = -10}, {.u64 = 0}, true},
        {VALUE_FLOAT64, VALUE_UINT16, 0.1, -10, {.f64 = -10.2}, {.u64 = 0}, false},
        {VALUE_FLOAT64, VALUE_UINT16, 0, 0, {.f64 = 7}, {.u64 = 7}, true},
        {VALUE_FLOAT64, VALUE_UINT16, 0, 0, {.f64 = 7.5}, {.u64 = 0}, false},
        {VALUE_INT64, VALUE_INT16, 0, 0, {.i64 = -32768}, {.i64 = -32768}, true},
        {VALUE_INT64, VALUE_INT16, 0, 0, {.i64 = -32769}, {.i64 = 0}, false},
        {VALUE_INT64, VALUE_UINT16, 0, 0, {.i64 = -1}, {.u64 = 0}, false},
        {VALUE_UINT64, VALUE_INT64, 0, 0, {.u64 = UINT64_MAX}, {.i64 = 0}, false},
        {VALUE_UINT64,
         VALUE_UINT64,
         0,
         0,
         {.u64 = (UINT64_C(1) << 60) + 1},
         {.u64 = (UINT64_C(1) << 60) + 1},
         true},
        {VALUE_UINT64,
         VALUE_INT64,
         0,
         0,
         {.u64 = (UINT64_C(1) << 60) + 1},
         {.i64 = (INT64_C(1) << 60) + 1},
         true},
        {VALUE_BOOL, VALUE_BOOL, 0, 0, {.u64 = 1}, {.u64 = 1}, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct plan_tag tag = {.type = (uint8_t)rows[i].type,
                               .raw_type = (uint8_t)rows[i].raw_type,
                               .has_scale = rows[i].scale != 0,
                               .scale = rows[i].scale,
                               .offset = rows[i].offset};
        union slot_value raw, effective;
        char why[GUARD_REASON_SIZE] = "";
        bool fits = guard_raw(&tag, rows[i].value, &raw, &effective, why);
        if (fits != rows[i].fits || (fits && raw.u64 != rows[i].raw.u64)) {
            fail_msg("row %zu: %s %lld", i, why, (long long)raw.i64);
        }
        assert_true(fits || *why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(callers_are_named),
        cmocka_unit_test(values_stay_within),
        cmocka_unit_test(rates_and_lifetimes_are_counted),
        cmocka_unit_test(times_of_the_week),
        cmocka_unit_test(somebody_is_there),
        cmocka_unit_test(values_fit_the_device),
    };
    return cmocka_run_group_tests_name("contract", tests, NULL, NULL);
}
