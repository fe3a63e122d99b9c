/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "journal/forecast.h"

#define SECOND INT64_C(1000000000)
#define DAY    (86400 * SECOND)
#define GB     UINT64_C(1000000000)

static bool near(double a, double b)
{
    return fabs(a - b) <= 0.01 * fabs(b);
}

/* A plant that writes a GB a day in small steps; `burst` bytes come within the first ten seconds. */
static struct forecast_point at(int64_t ns, uint64_t burst)
{
    double days = (double)ns / (double)DAY;
    uint64_t steady = (uint64_t)(days * (double)GB);
    return (struct forecast_point){ns, burst + steady, burst + steady, (uint64_t)(days * 864000)};
}

static void rates_come_from_the_window_without_the_start(void **state)
{
    (void)state;
    struct forecast_window w = {0};
    struct forecast_rates r;
    for (int64_t s = 0; s < 89; s++) {
        forecast_note(&w, at(s * SECOND, s < 10 ? 0 : 5 * GB));
        assert_false(forecast_rate(&w, &r));
    }
    for (int64_t s = 89; s < 600; s++) {
        forecast_note(&w, at(s * SECOND, 5 * GB));
    }
    assert_true(forecast_rate(&w, &r));
    assert_true(near(r.growth, 1e9) && near(r.written, 1e9) && near(r.flushes, 864000));
}

static void the_window_slides_over_a_week(void **state)
{
    (void)state;
    struct forecast_window w = {0};
    struct forecast_rates r = {0};
    for (int64_t m = 0; m < 60 * 24 * 10; m++) { /* ten days of nothing … */
        forecast_note(&w, (struct forecast_point){.mono_ns = m * 60 * SECOND, .used = GB});
    }
    assert_true(forecast_rate(&w, &r) && r.growth == 0);
    for (int64_t m = 0; m < 60 * 24 * 15; m++) { /* … then a GB a day, until nothing is forgotten */
        struct forecast_point p = at(m * 60 * SECOND, GB);
        p.mono_ns += 10 * DAY;
        forecast_note(&w, p);
    }
    assert_true(forecast_rate(&w, &r) && near(r.growth, 1e9));
    assert_true(w.last.mono_ns - w.points[0].mono_ns >= 6 * DAY);
    assert_true(w.last.mono_ns - w.points[0].mono_ns <= 14 * DAY);
}

static void a_writer_that_starts_again_counts_on(void **state)
{
    (void)state;
    struct forecast_window w = {0};
    struct forecast_rates r = {0};
    for (int64_t s = 0; s < 86400; s += 10) {
        struct forecast_point p = at(s * SECOND, 0);
        if (s >= 40000) { /* its own counts begin anew, the disk's use goes on */
            p.written -= at(40000 * SECOND, 0).written;
            p.flushes -= at(40000 * SECOND, 0).flushes;
        }
        forecast_note(&w, p);
    }
    assert_true(forecast_rate(&w, &r));
    assert_true(near(r.growth, 1e9) && near(r.written, 1e9) && near(r.flushes, 864000));
}

static void the_forecast_names_what_ends_first(void **state)
{
    (void)state;
    const struct {
        struct forecast_figures f;
        struct forecast_rates r;
        uint32_t end;
        double days;
    } cases[] = {
        {{.used = 10 * GB, .limit = 51 * GB, .room = 100 * GB},
         {.growth = 1e9},
         FORECAST_LIMIT,
         41},
        {{.used = 10 * GB, .limit = 51 * GB, .room = 7 * GB}, {.growth = 1e9}, FORECAST_DISK, 7},
        {{.used = 10 * GB, .room = 7 * GB}, {.growth = 1e9}, FORECAST_DISK, 7},
        {{.used = 60 * GB, .limit = 51 * GB, .room = 7 * GB}, {.growth = 1e9}, FORECAST_LIMIT, 0},
        {{.used = 10 * GB, .limit = 51 * GB}, {.growth = 1e9}, FORECAST_DISK, 0},
        {{.used = 10 * GB, .limit = 51 * GB, .room = 7 * GB}, {.growth = -1e9}, FORECAST_NEVER, 0},
        {{.used = 10 * GB, .limit = 51 * GB, .room = 7 * GB}, {0}, FORECAST_NEVER, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct forecast got = forecast_of(&cases[i].f, &cases[i].r);
        assert_int_equal(got.end, cases[i].end);
        assert_true(fabs(got.days - cases[i].days) < 0.001);
        assert_true(got.flash_years == 0);
    }
}

static void flash_pays_for_flushes_too(void **state)
{
    (void)state;
    /* a commit every 10 ms: 8.64 million flushes a day cost more than the data */
    struct forecast_rates r = {.written = 1e9, .flushes = 8.64e6};
    struct forecast got = forecast_of(&(struct forecast_figures){.endurance = 40000 * GB}, &r);
    double daily = (1e9 + 8.64e6 * FORECAST_FLUSH_BYTES) * FORECAST_AMPLIFICATION;
    assert_true(near(got.flash_bytes, daily));
    assert_true(near(got.flash_years, 40e12 / daily / 365.25));
    assert_true(forecast_of(&(struct forecast_figures){.endurance = GB},
                            &(struct forecast_rates){.growth = 1})
                    .flash_years == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_come_from_the_window_without_the_start),
        cmocka_unit_test(the_window_slides_over_a_week),
        cmocka_unit_test(a_writer_that_starts_again_counts_on),
        cmocka_unit_test(the_forecast_names_what_ends_first),
        cmocka_unit_test(flash_pays_for_flushes_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
