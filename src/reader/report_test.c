/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of reports: lateness by the hour and the day, what devices were asked, and both as stored values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/clock.h"
#include "reader/flow.h"
#include "reader/report.h"
#include "reader/trial.h"

#include <stdlib.h>
#include <string.h>

#define HOUR (3600 * NS_PER_S)
static const int64_t start = 1795449600 * NS_PER_S;

/* `count` samples that are confirmed at `now`, each so late. */
static void deliver(struct report *r, int64_t now, int64_t late_ns, uint32_t count)
{
    struct late_runs l = {0};
    for (uint32_t i = 0; i < count; i++) {
        late_add(&l, now - late_ns, now);
    }
    report_delivered(r, &l, now, 1000);
}

static void lateness_is_told_by_its_percentiles(void **state)
{
    (void)state;
    static struct report r;
    struct report_sum sum;
    deliver(&r, start, 10 * NS_PER_MS, 980);
    deliver(&r, start, 5 * NS_PER_S, 20);
    deliver(&r, start, -5 * NS_PER_S, 1); /* a device whose clock is ahead */
    report_sum(&r, false, start, &sum);
    assert_int_equal(sum.delivered, 1001);
    assert_int_equal(sum.in_time, 981);
    assert_true(sum.p50_ms > 8 && sum.p50_ms < 13);
    assert_true(sum.p99_ms > 4000 && sum.p99_ms < 6300);
    assert_int_equal(sum.since_ns, start);
    report_gaps(&r, 7, start);
    report_gaps(&r, 9, start);
    report_gaps(&r, 2, start); /* another account */
    report_gaps(&r, 3, start);
    report_sum(&r, true, start, &sum);
    assert_int_equal(sum.gaps, 10);
    assert_int_equal(sum.delivered, 1001);
}

static void samples_of_many_ages_stay_bounded(void **state)
{
    (void)state;
    static struct report r;
    struct late_runs l = {0};
    struct report_sum sum;
    for (int i = 0; i < 40; i++) {
        late_add(&l, start - (NS_PER_MS << i / 2), start);
    }
    assert_int_equal(l.count, LATE_RUNS);
    report_delivered(&r, &l, start, 1000);
    report_sum(&r, false, start, &sum);
    assert_int_equal(sum.delivered, 40);
}

static void old_hours_and_days_are_left_out(void **state)
{
    (void)state;
    static struct report r;
    struct report_sum sum;
    deliver(&r, start, NS_PER_MS, 10);
    for (int i = 1; i <= 30; i++) {
        deliver(&r, start + i * HOUR, NS_PER_MS, 1);
    }
    report_sum(&r, false, start + 30 * HOUR, &sum);
    assert_int_equal(sum.delivered, 25);
    report_sum(&r, true, start + 30 * HOUR, &sum);
    assert_int_equal(sum.delivered, 40);
    report_sum(&r, false, start + 200 * HOUR, &sum);
    assert_int_equal(sum.delivered, 0);
    report_sum(&r, true, start + 1000 * HOUR, &sum);
    assert_int_equal(sum.delivered, 0);
}

static void what_is_stored_is_read_back(void **state)
{
    (void)state;
    static struct report r, back;
    uint8_t out[REPORT_STATE_MAX];
    struct report_sum a, b;
    for (int i = 0; i < 60; i++) {
        for (int k = 0; k < 25; k++) {
            deliver(&r, start + k * HOUR, (INT64_C(300) * NS_PER_US) << (i % 30), 3);
        }
    }
    report_gaps(&r, 5, start);
    for (int days = 0; days < 2; days++) {
        size_t size = report_encode(&r, days, out);
        assert_true(size < REPORT_STATE_MAX);
        memset(&back, 0, sizeof back);
        deliver(&back, start + 24 * HOUR, NS_PER_MS, 2); /* there before the stored value came */
        assert_int_equal(report_decode(&back, days, out, size), ERR_OK);
        report_sum(&r, days, start + 24 * HOUR, &a);
        report_sum(&back, days, start + 24 * HOUR, &b);
        assert_int_equal(a.delivered + 2, b.delivered);
        assert_int_equal(a.in_time + 2, b.in_time);
        assert_int_equal(a.gaps, b.gaps);
        assert_true(b.p99_ms >= a.p99_ms * 0.7); /* never fresher than a bucket's width tells */
        for (size_t n = 0; n < size; n++) {
            uint8_t *copy = malloc(n + 1);
            memcpy(copy, out, n);
            assert_int_equal(report_decode(&back, days, copy, n), ERR_MALFORMED);
            free(copy);
        }
        for (size_t i = 0; i < size; i++) {
            out[i] ^= 0xff;
            int err = report_decode(&back, days, out, size);
            assert_true(err == ERR_OK || err == ERR_MALFORMED);
            out[i] ^= 0xff;
        }
    }
}

static void what_a_device_was_asked_is_kept_by_the_day(void **state)
{
    (void)state;
    static struct trial_device d, back;
    const int64_t midnight = start / (24 * HOUR) * 24 * HOUR;
    struct trial_now now = {.requests = 1000, .latency_us = 2000, .answers = true};
    trial_note(&d, &now, midnight); /* what a predecessor counted is not counted again */
    for (int64_t s = 1; s <= 2 * 86400; s += 60) {
        now.requests += 10;
        now.latency_us = s < 3600 ? 2000 : 4000;
        trial_note(&d, &now, midnight + s * NS_PER_S);
    }
    now.requests = 5; /* its box was restarted */
    now.failures = 2;
    trial_note(&d, &now, midnight + 2 * 86400 * NS_PER_S);
    const struct trial_day *first = d.days + midnight / NS_PER_S / 86400 % TRIAL_DAYS;
    assert_int_equal(first[0].requests, 14400);
    assert_int_equal(d.before_us, 2000);
    assert_int_equal(first[0].worst_us, 4000);
    assert_int_equal(first[1].mean_us, 4000);
    assert_int_equal(first[2].requests, 5);
    assert_int_equal(first[2].failures, 2);
    uint8_t out[TRIAL_STATE_MAX];
    size_t size = trial_encode(&d, out);
    trial_note(&back, &now, midnight + 2 * 86400 * NS_PER_S);
    now.requests += 7;
    trial_note(&back, &now, midnight + 2 * 86400 * NS_PER_S);
    assert_int_equal(trial_decode(&back, out, size), ERR_OK);
    const struct trial_day *again = back.days + midnight / NS_PER_S / 86400 % TRIAL_DAYS;
    assert_int_equal(again[0].requests, 14400);
    assert_int_equal(again[2].requests, 12);
    assert_int_equal(back.before_us, 2000);
    for (size_t n = 0; n < size; n++) {
        assert_int_equal(trial_decode(&back, out, n), ERR_MALFORMED);
    }
    for (size_t i = 0; i < size; i++) {
        out[i] ^= 0xff;
        int err = trial_decode(&back, out, size);
        assert_true(err == ERR_OK || err == ERR_MALFORMED);
        out[i] ^= 0xff;
    }
}

static void what_flowed_is_kept_by_the_hour(void **state)
{
    (void)state;
    static struct flow f, back;
    const uint32_t first = (uint32_t)(start / HOUR);
    flow_commands(&f, 7, 9, start); /* counted by a predecessor */
    for (int h = 0; h < 30; h++) {
        flow_now(&f, start + h * HOUR)->values += 10;
    }
    flow_commands(&f, 9, 10, start + 29 * HOUR);
    for (uint32_t i = 0; i < FLOW_HOURS; i++) {
        assert_true(f.hours[i].hour >= first + 5);
        assert_int_equal(f.hours[i].values, 10);
    }
    const struct flow_hour *last = f.hours + (first + 29) % FLOW_HOURS;
    assert_int_equal(last->allowed, 2);
    assert_int_equal(last->refused, 1);
    uint8_t out[FLOW_STATE_MAX];
    size_t size = flow_encode(&f, out);
    flow_now(&back, start + 29 * HOUR)->values += 1;
    assert_int_equal(flow_decode(&back, out, size), ERR_OK);
    last = back.hours + (first + 29) % FLOW_HOURS;
    assert_int_equal(last->values, 11);
    assert_int_equal(last->refused, 1);
    for (size_t n = 0; n < size; n++) {
        assert_int_equal(flow_decode(&back, out, n), ERR_MALFORMED);
    }
    for (size_t i = 0; i < size; i++) {
        out[i] ^= 0xff;
        int err = flow_decode(&back, out, size);
        assert_true(err == ERR_OK || err == ERR_MALFORMED);
        out[i] ^= 0xff;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lateness_is_told_by_its_percentiles),
        cmocka_unit_test(samples_of_many_ages_stay_bounded),
        cmocka_unit_test(old_hours_and_days_are_left_out),
        cmocka_unit_test(what_is_stored_is_read_back),
        cmocka_unit_test(what_a_device_was_asked_is_kept_by_the_day),
        cmocka_unit_test(what_flowed_is_kept_by_the_hour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
