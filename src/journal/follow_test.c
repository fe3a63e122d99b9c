/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "journal/test_plant.h"

#include "base/clock.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* 100 frames of 100 samples in several segments; sequence = value = time. */
static void fill(struct plant *p)
{
    plant_init(p, SYNC_OS, 32u << 10, 0);
    plant_open(p);
    for (uint64_t i = 0; i < 100; i++) {
        assert_true(plant_put(p, 100, i * 100));
        plant_settle(p);
    }
}

static void any_sequence_number_is_found(void **state)
{
    (void)state;
    struct plant p;
    struct follow *f;
    struct follow_frame frame;
    fill(&p);
    char name[64];
    assert_true(plant_files(&p, ".seg", name) > 5);
    assert_int_equal(follow_open(&f, p.dir_fd, &p.marks, 5050), 0);
    assert_int_equal(follow_next(f, &frame), 1);
    assert_int_equal(frame.first_sequence, 5000);
    assert_int_equal(frame.generation, 7);
    assert_int_equal(frame.box, 0);
    assert_int_equal(frame.min_ns, 5000);
    assert_int_equal(frame.max_ns, 5099);
    for (uint64_t s = 0; s < 10000; s += 333) { /* forwards … */
        assert_int_equal(follow_seek(f, s), 0);
        assert_int_equal(follow_next(f, &frame), 1);
        assert_int_equal(frame.first_sequence, s / 100 * 100);
        assert_int_equal(frame.lost_before, 0);
        assert_int_equal(follow_sequence(f), s / 100 * 100 + 100);
    }
    for (uint64_t s = 9999; s > 200; s -= 77) { /* … and backwards */
        assert_int_equal(follow_seek(f, s), 0);
        assert_int_equal(follow_next(f, &frame), 1);
        assert_int_equal(frame.first_sequence, s / 100 * 100);
    }
    assert_int_equal(follow_seek(f, 10000), 0);
    assert_int_equal(follow_next(f, &frame), 0);
    assert_true(plant_put(&p, 3, 10000));
    plant_settle(&p);
    assert_int_equal(follow_next(f, &frame), 1);
    assert_int_equal(frame.first_sequence, 10000);
    follow_close(f);
    plant_fini(&p);
}

static void a_removed_segment_is_a_counted_loss(void **state)
{
    (void)state;
    struct plant p;
    struct follow *f;
    struct follow_frame frame;
    fill(&p);
    assert_int_equal(unlinkat(p.dir_fd, "0000000000000003.seg", 0), 0);
    uint64_t next = 0, lost = 0;
    assert_int_equal(follow_open(&f, p.dir_fd, &p.marks, 0), 0);
    while (follow_next(f, &frame) > 0) {
        assert_int_equal(frame.first_sequence, next + frame.lost_before);
        lost += frame.lost_before;
        next = frame.end_sequence;
    }
    assert_int_equal(next, 10000);
    assert_true(lost > 0);
    follow_close(f);
    plant_fini(&p);
}

static void time_leads_to_the_first_frame_that_reaches_it(void **state)
{
    (void)state;
    struct plant p;
    struct follow *f;
    struct follow_frame frame;
    plant_init(&p, SYNC_OS, 32u << 10, 0);
    plant_open(&p);
    int64_t start = clock_utc_ns(), middle = 0;
    for (uint64_t i = 0; i < 100; i++) {
        if (i == 60) {
            middle = clock_utc_ns();
        }
        assert_true(plant_put(&p, 100, (uint64_t)clock_utc_ns()));
        plant_settle(&p);
    }
    assert_int_equal(follow_open(&f, p.dir_fd, &p.marks, 0), 0);
    assert_int_equal(follow_seek_time(f, middle), 0);
    assert_int_equal(follow_next(f, &frame), 1);
    assert_true(frame.first_sequence >= 5900 && frame.first_sequence <= 6000);
    assert_true(frame.max_ns >= middle);
    assert_int_equal(follow_next(f, &frame), 1);
    assert_int_equal(frame.lost_before, 0);
    assert_int_equal(follow_seek_time(f, start), 0);
    assert_int_equal(follow_next(f, &frame), 1);
    assert_int_equal(frame.first_sequence, 0);
    assert_int_equal(follow_seek_time(f, clock_utc_ns() + NS_PER_S), 0);
    assert_int_equal(follow_next(f, &frame), 0);
    follow_close(f);
    plant_fini(&p);
}

/* The engine dies and starts again under the reader's eyes. */
static void a_restart_is_followed(void **state)
{
    (void)state;
    struct plant p;
    struct follow *f;
    struct follow_frame frame;
    plant_init(&p, SYNC_PERIOD, 1u << 20, 0);
    plant_open(&p);
    assert_true(plant_put(&p, 10, 0));
    plant_settle(&p);
    assert_int_equal(follow_open(&f, p.dir_fd, &p.marks, 0), 0);
    assert_int_equal(follow_next(f, &frame), 1);
    assert_int_equal(follow_next(f, &frame), 0);
    for (uint64_t i = 1; i < 4; i++) {
        plant_close(&p);
        atomic_fetch_or(&p.marks.version, 1); /* killed in the middle of a publication */
        plant_open(&p);
        assert_true(plant_put(&p, 10, i * 10));
        plant_settle(&p);
        assert_int_equal(follow_next(f, &frame), 1);
        assert_int_equal(frame.first_sequence, i * 10);
        assert_int_equal(frame.epoch, i + 1);
        assert_int_equal(frame.lost_before, 0);
        assert_int_equal(follow_next(f, &frame), 0);
    }
    follow_close(f);
    plant_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_sequence_number_is_found),
        cmocka_unit_test(a_removed_segment_is_a_counted_loss),
        cmocka_unit_test(time_leads_to_the_first_frame_that_reaches_it),
        cmocka_unit_test(a_restart_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
