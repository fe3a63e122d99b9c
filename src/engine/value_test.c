/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/internal.h"
#include "tag/status.h"

#include <math.h>

static void values_are_scaled_typed_and_ranged(void **state)
{
    (void)state;
    static const struct {
        struct plan_tag tag;
        struct slot in, out;
    } rows[] = {
        {{.raw_type = VALUE_INT16,
          .type = VALUE_FLOAT64,
          .has_scale = 1,
          .scale = 0.1,
          .offset = -5},
         {.value.i64 = -123},
         {.value.f64 = -123 * 0.1 + -5}},
        {{.raw_type = VALUE_UINT16, .type = VALUE_UINT16}, {.value.u64 = 7}, {.value.u64 = 7}},
        {{.raw_type = VALUE_UINT16, .type = VALUE_FLOAT32}, {.value.u64 = 7}, {.value.f64 = 7}},
        {{.raw_type = VALUE_INT64, .type = VALUE_INT32},
         {.value.i64 = INT64_C(1) << 40},
         {.status = (uint32_t)STATUS_BAD_OUT_OF_RANGE}},
        {{.raw_type = VALUE_INT64, .type = VALUE_UINT64},
         {.value.i64 = -1},
         {.status = (uint32_t)STATUS_BAD_OUT_OF_RANGE}},
        {{.raw_type = VALUE_UINT64, .type = VALUE_UINT64},
         {.value.u64 = UINT64_MAX},
         {.value.u64 = UINT64_MAX}},
        {{.raw_type = VALUE_FLOAT64, .type = VALUE_INT16, .has_scale = 1, .scale = 100},
         {.value.f64 = 400},
         {.status = (uint32_t)STATUS_BAD_OUT_OF_RANGE}},
        {{.raw_type = VALUE_FLOAT64, .type = VALUE_FLOAT64, .has_range = 1, .low = 0, .high = 10},
         {.value.f64 = 11},
         {.value.f64 = 11, .status = STATUS_UNCERTAIN_RANGE}},
        {{.raw_type = VALUE_FLOAT64, .type = VALUE_FLOAT64, .has_range = 1, .low = 0, .high = 10},
         {.value.f64 = 11, .status = STATUS_UNCERTAIN_LAST_USABLE},
         {.value.f64 = 11, .status = STATUS_UNCERTAIN_LAST_USABLE}},
        {{.raw_type = VALUE_INT16, .type = VALUE_INT16},
         {.value.u64 = 99999, .status = (uint32_t)STATUS_BAD_TIMEOUT},
         {.status = (uint32_t)STATUS_BAD_TIMEOUT}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct slot s = rows[i].in;
        assert_true(value_refine(&rows[i].tag, &s));
        assert_int_equal(s.status, rows[i].out.status);
        assert_memory_equal(&s.value, &rows[i].out.value, 8);
    }
}

static void an_illegal_raw_value_is_rejected(void **state)
{
    (void)state;
    struct plan_tag tag = {.raw_type = VALUE_BOOL, .type = VALUE_BOOL};
    struct slot s = {.value.u64 = 2};
    assert_false(value_refine(&tag, &s));
    tag = (struct plan_tag){.raw_type = VALUE_FLOAT32, .type = VALUE_FLOAT32};
    s = (struct slot){.value.f64 = 0.1};
    assert_false(value_refine(&tag, &s));
}

static void the_deadband_keeps_back_small_changes_only(void **state)
{
    (void)state;
    struct plan_tag absolute = {
        .type = VALUE_FLOAT64, .deadband_kind = DEADBAND_ABSOLUTE, .deadband = 0.5};
    struct plan_tag percent = {.type = VALUE_FLOAT64,
                               .deadband_kind = DEADBAND_PERCENT,
                               .deadband = 1,
                               .low = 0,
                               .high = 50};
    struct tag_state t = {.tag = &absolute};
    struct slot s = {.value.f64 = 10};
    assert_false(value_is_suppressed(&t, &s)); /* the first one always passes */
    t.has_last = 1;
    t.last = 9.5;
    assert_true(value_is_suppressed(&t, &s));
    t.last = 9.4;
    assert_false(value_is_suppressed(&t, &s));
    t.tag = &percent;
    t.last = 9.5;
    assert_true(value_is_suppressed(&t, &s));
    s.value.f64 = NAN;
    assert_false(value_is_suppressed(&t, &s));
    s = (struct slot){.value.f64 = 9.5, .status = (uint32_t)STATUS_BAD_TIMEOUT};
    assert_false(value_is_suppressed(&t, &s)); /* a change of status always passes */
    t.last_status = s.status;
    assert_true(value_is_suppressed(&t, &s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_scaled_typed_and_ranged),
        cmocka_unit_test(an_illegal_raw_value_is_rejected),
        cmocka_unit_test(the_deadband_keeps_back_small_changes_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
