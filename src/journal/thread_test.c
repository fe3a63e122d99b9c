/* SPDX-License-Identifier: Apache-2.0 */
/* Engine, journal and reader at once, for the thread sanitizer: frames of changing size, segments that roll, rings that
 * are released, stored values that are asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "journal/test_plant.h"

#include "base/clock.h"

#include <poll.h>

#define SAMPLES 100000u

struct watcher {
    struct plant *plant;
    uint64_t seen;
    bool in_order;
};

static void *watch(void *argument)
{
    struct watcher *w = argument;
    struct follow *f = NULL;
    int64_t end = clock_mono_ns() + 30 * NS_PER_S;
    int err = follow_open(&f, w->plant->dir_fd, &w->plant->marks, 0);
    w->in_order = err == ERR_OK;
    while (!err && w->seen < SAMPLES && clock_mono_ns() < end) {
        struct follow_frame frame;
        if (follow_next(f, &frame) <= 0) {
            poll(NULL, 0, 1);
            continue;
        }
        w->in_order &= frame.lost_before == 0;
        for (size_t i = 0; i < frame.slot_count; i += slot_record_length(frame.slots + i)) {
            if (!slot_is_control(frame.slots + i)) {
                w->in_order &= frame.slots[i].value.u64 == w->seen;
                w->seen++;
            }
        }
    }
    follow_close(f);
    return NULL;
}

static void run_all(enum journal_sync sync)
{
    struct plant p;
    plant_init(&p, sync, 256u << 10, 0);
    plant_open(&p);
    struct watcher w = {.plant = &p};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, watch, &w), 0);
    uint64_t put = 0, released = 0;
    for (size_t n = 1; put < SAMPLES; n = n * 7 % 997 + 1) {
        size_t count = n < SAMPLES - put ? n : SAMPLES - put;
        if (!plant_put(&p, count, put)) {
            poll(NULL, 0, 1);
            continue;
        }
        put += count;
        uint64_t to = journal_durable_ring(p.journal, 0);
        assert_true(to >= released && to <= p.position);
        released = to;
        if (n % 50 == 0) {
            plant_store(&p, "key", &put, sizeof put);
            uint64_t value;
            int size = journal_stored(p.journal, 1, "key", &value, sizeof value);
            assert_true(size == sizeof value || size == ERR_NOT_FOUND);
            journal_flush(p.journal);
        }
    }
    plant_settle(&p);
    assert_int_equal(journal_durable_ring(p.journal, 0), SAMPLES);
    pthread_join(thread, NULL);
    assert_true(w.in_order);
    assert_int_equal(w.seen, SAMPLES);
    plant_fini(&p);
}

static void three_threads_agree(void **state)
{
    (void)state;
    run_all(SYNC_PERIOD);
    run_all(SYNC_OS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(three_threads_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
