/* SPDX-License-Identifier: Apache-2.0 */
/* kill -9 at any moment: what was durable is there, in order, and the ring's position says where to go on (J1, J2). The
 * ring's part is played by the parent: it knows what was acknowledged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "journal/test_plant.h"

#include "base/clock.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared {
    struct journal_marks marks;
    _Atomic uint64_t acknowledged; /* the ring may be released up to here */
};

static void run_until_killed(struct plant *p, struct shared *s)
{
    struct journal *j;
    struct journal_recovered r;
    struct journal_options o = {
        .dir = p->dir, .plan = &p->plan, .marks = &s->marks, .buffer_bytes = 1u << 20};
    if (journal_open(&j, &o, &r)) {
        _exit(1);
    }
    p->journal = j;
    uint64_t epoch, position = 0;
    p->position = journal_ring_position(j, 0, &epoch, &position) ? position : 0;
    for (size_t n = 1;; n = n * 7 % 251 + 1) {
        if (!plant_put(p, n, p->position)) {
            poll(NULL, 0, 1);
        }
        atomic_store(&s->acknowledged, journal_durable_ring(j, 0));
    }
}

static void what_was_acknowledged_survives_a_kill(void **state)
{
    (void)state;
    struct plant p;
    plant_init(&p, SYNC_PERIOD, 256u << 10, 0);
    struct shared *s =
        mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(s != MAP_FAILED);
    for (int round = 0; round < 12; round++) {
        uint64_t before = atomic_load(&s->acknowledged);
        pid_t child = fork();
        assert_true(child >= 0);
        if (!child) {
            run_until_killed(&p, s);
        }
        int64_t end = clock_mono_ns() + 10 * NS_PER_S;
        while (atomic_load(&s->acknowledged) < before + 5000u * (unsigned)(round % 4) + 1 &&
               clock_mono_ns() < end) {
            poll(NULL, 0, 1);
        }
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        uint64_t acknowledged = atomic_load(&s->acknowledged);
        assert_true(acknowledged > before);

        plant_open(&p);
        uint64_t epoch, position, next = 0;
        assert_true(journal_ring_position(p.journal, 0, &epoch, &position));
        assert_true(position >= acknowledged);
        assert_int_equal(journal_next_sequence(p.journal), position);
        struct follow *f;
        struct follow_frame frame;
        assert_int_equal(follow_open(&f, p.dir_fd, &p.marks, 0), 0);
        while (follow_next(f, &frame) > 0) {
            assert_int_equal(frame.lost_before, 0);
            for (size_t i = 0; i < frame.slot_count; i++) {
                assert_int_equal(frame.slots[i].value.u64, next);
                next++;
            }
        }
        assert_int_equal(next, position);
        follow_close(f);
        plant_close(&p);
    }
    munmap(s, sizeof *s);
    plant_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_acknowledged_survives_a_kill)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
