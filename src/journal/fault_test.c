/* SPDX-License-Identifier: Apache-2.0 */
/* Each write, each flush, each other call fails once; the disk fills, stays bad, tears writes, stalls. Whatever happens,
 * produced = journaled + gaps per tag, and what is read back is in order, each sequence number once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "journal/test_plant.h"

#include "base/clock.h"

#include <poll.h>
#include <stdatomic.h>
#include <string.h>

enum call { CALL_OPEN, CALL_WRITE, CALL_FLUSH, CALL_FLUSH_DIR, CALL_ALLOCATE, CALL_COUNT };

static struct {
    _Atomic int calls[CALL_COUNT];
    _Atomic int fail_at[CALL_COUNT]; /* 0: never; n: the n-th call fails; -1: all fail */
    _Atomic int error;
    _Atomic bool short_writes;
    _Atomic bool hold_flush;
    _Atomic uint64_t space; /* bytes that may still be written; UINT64_MAX: no limit */
} fault;

static void reset(void)
{
    memset(&fault, 0, sizeof fault);
    fault.error = ERR_IO;
    fault.space = UINT64_MAX;
}

static bool fails(enum call c)
{
    int n = atomic_fetch_add(&fault.calls[c], 1) + 1;
    int at = atomic_load(&fault.fail_at[c]);
    return at == -1 || at == n;
}

static int f_open(void *x, int dir, const char *name, int flags)
{
    return fails(CALL_OPEN) ? atomic_load(&fault.error) : disk_files.open(x, dir, name, flags);
}

static int64_t f_write(void *x, int fd, const void *data, size_t size, uint64_t offset)
{
    if (fails(CALL_WRITE)) {
        int64_t half = disk_files.write(x, fd, data, size / 2, offset); /* a torn write */
        (void)half;
        return atomic_load(&fault.error);
    }
    uint64_t space = atomic_load(&fault.space);
    if (space != UINT64_MAX) {
        if (!space) {
            return ERR_FULL;
        }
        size = size < space ? size : (size_t)space;
        atomic_fetch_sub(&fault.space, size);
    }
    if (atomic_load(&fault.short_writes) && size > 1) {
        size /= 2;
    }
    return disk_files.write(x, fd, data, size, offset);
}

static int f_flush(void *x, int fd)
{
    while (atomic_load(&fault.hold_flush)) {
        poll(NULL, 0, 1);
    }
    return fails(CALL_FLUSH) ? atomic_load(&fault.error) : disk_files.flush(x, fd);
}

static int f_flush_dir(void *x, int dir)
{
    return fails(CALL_FLUSH_DIR) ? atomic_load(&fault.error) : disk_files.flush_dir(x, dir);
}

static int f_allocate(void *x, int fd, uint64_t size)
{
    if (fails(CALL_ALLOCATE) || atomic_load(&fault.space) == 0) {
        return ERR_FULL;
    }
    return disk_files.allocate(x, fd, size);
}

/* A plant, not opened yet, on a disk that does as it is told. */
static void plant_on_faulty_disk(struct plant *p, enum journal_sync sync, uint64_t segment_size)
{
    static struct disk faulty;
    faulty = disk_files;
    faulty.open = f_open;
    faulty.write = f_write;
    faulty.flush = f_flush;
    faulty.flush_dir = f_flush_dir;
    faulty.allocate = f_allocate;
    reset();
    plant_init(p, sync, segment_size, 0);
    p->disk = &faulty;
}

/* What an engine does every 100 ms. */
static uint64_t journal_losses(struct plant *p)
{
    struct record_gap gaps[8];
    uint64_t lost = 0;
    size_t n = journal_take_losses(p->journal, gaps, 8);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(gaps[i].scope, GAP_TAG);
        assert_true(gaps[i].from_ns <= gaps[i].to_ns);
        plant_put_gap(p, gaps + i);
        lost += gaps[i].produced;
    }
    return lost;
}

struct sums {
    uint64_t produced, journaled, gaps;
};

static struct sums sums(const struct plant *p)
{
    struct sums s = {0};
    for (uint32_t id = 1; id <= PLANT_TAGS; id++) {
        const struct journal_account *a = journal_tag_account(p->journal, id);
        assert_int_equal(a->produced, a->journaled + a->suppressed + a->rejected + a->gaps);
        s.produced += a->produced;
        s.journaled += a->journaled;
        s.gaps += a->gaps;
    }
    return s;
}

/* Reads everything back: sequence numbers without a hole, values rising; the samples seen. */
static uint64_t check_reading(struct plant *p)
{
    struct follow *f;
    struct follow_frame frame;
    uint64_t samples = 0, sequence = 0;
    int64_t last = -1;
    assert_int_equal(follow_open(&f, p->dir_fd, &p->marks, 0), 0);
    while (follow_next(f, &frame) > 0) {
        assert_int_equal(frame.lost_before, 0);
        assert_int_equal(frame.first_sequence, sequence);
        sequence = frame.end_sequence;
        for (size_t i = 0; i < frame.slot_count; i += slot_record_length(frame.slots + i)) {
            if (!slot_is_control(frame.slots + i)) {
                assert_true(frame.slots[i].value.i64 > last);
                last = frame.slots[i].value.i64;
                samples++;
            }
        }
    }
    follow_close(f);
    return samples;
}

/* Closes, opens on a good disk, and compares with what was put. */
static void check_after_restart(struct plant *p, uint64_t put)
{
    plant_close(p);
    reset();
    plant_open(p);
    struct sums s = sums(p);
    assert_int_equal(s.produced, put);
    assert_int_equal(s.journaled + s.gaps, put);
    assert_int_equal(check_reading(p), s.journaled);
}

/* Nothing is lost when any single call fails: the frames are still in the buffer. */
static void one_failed_call_loses_nothing(void **state)
{
    (void)state;
    for (int call = 0; call < CALL_ALLOCATE; call++) {
        uint64_t failures = 0;
        for (int n = 1; n < 24; n++) {
            struct plant p;
            plant_on_faulty_disk(&p, SYNC_ALWAYS, 16u << 10);
            plant_open(&p);
            atomic_store(&fault.fail_at[call], atomic_load(&fault.calls[call]) + n);
            uint64_t put = 0;
            for (int i = 0; i < 12; i++, put += 100) {
                assert_true(plant_put(&p, 100, put));
                plant_settle(&p);
            }
            assert_int_equal(check_reading(&p), put);
            failures += atomic_load(&p.marks.failures);
            check_after_restart(&p, put);
            assert_int_equal(sums(&p).journaled, put);
            plant_fini(&p);
        }
        assert_true(failures > 0); /* the fault was met */
    }
}

static void short_writes_are_continued(void **state)
{
    (void)state;
    struct plant p;
    plant_on_faulty_disk(&p, SYNC_PERIOD, 64u << 10);
    atomic_store(&fault.short_writes, true);
    plant_open(&p);
    for (uint64_t i = 0; i < 50; i++) {
        assert_true(plant_put(&p, 100, i * 100));
    }
    plant_settle(&p);
    assert_int_equal(p.marks.failures, 0);
    check_after_restart(&p, 5000);
    assert_int_equal(sums(&p).journaled, 5000);
    plant_fini(&p);
}

/* The limit: samples become gaps, gaps are journaled, nothing crashes; with a higher limit all goes on. */
static void at_the_limit_samples_become_gaps(void **state)
{
    (void)state;
    struct plant p;
    reset();
    plant_init(&p, SYNC_PERIOD, 256u << 10, 4u << 20);
    plant_open(&p);
    uint64_t put = 0, lost = 0;
    for (int i = 0; i < 4000; i++) {
        if (plant_put(&p, 100, put)) {
            put += 100;
        } else {
            poll(NULL, 0, 1);
        }
        if (i % 100 == 0) {
            lost += journal_losses(&p);
        }
    }
    assert_int_equal(p.marks.full, 1);
    assert_true(p.marks.disk_bytes <= 4u << 20);
    assert_true(lost > 0);
    plant_settle(&p);
    /* Nothing holds the ring back. */
    assert_int_equal(journal_durable_ring(p.journal, 0), p.position);
    plant_close(&p);
    ((struct plan_header *)p.image)->journal_limit = 64u << 20;
    plant_open(&p);
    struct sums s = sums(&p);
    assert_int_equal(s.produced, put);
    assert_true(s.gaps >= lost);
    assert_int_equal(p.marks.full, 0);
    assert_true(plant_put(&p, 100, put));
    plant_settle(&p);
    assert_int_equal(check_reading(&p), s.journaled + 100);
    plant_fini(&p);
}

static void a_full_disk_costs_gaps_until_there_is_room(void **state)
{
    (void)state;
    struct plant p;
    plant_on_faulty_disk(&p, SYNC_PERIOD, 64u << 10);
    plant_open(&p);
    uint64_t put = 0, lost = 0;
    atomic_store(&fault.space, 40000);
    int64_t end = clock_mono_ns() + 10 * NS_PER_S;
    while (!lost && clock_mono_ns() < end) {
        put += plant_put(&p, 100, put) ? 100 : 0;
        lost += journal_losses(&p);
        poll(NULL, 0, 1);
    }
    assert_true(lost > 0);
    assert_int_equal(p.marks.full, 1);
    atomic_store(&fault.space, UINT64_MAX);
    while (atomic_load(&p.marks.full) && clock_mono_ns() < end) {
        poll(NULL, 0, 1);
    }
    assert_true(plant_put(&p, 100, put));
    put += 100;
    plant_settle(&p);
    check_after_restart(&p, put);
    assert_true(sums(&p).gaps >= lost);
    plant_fini(&p);
}

/* A disk that stays bad: intake goes on, rings of the plant are released, the loss is counted when it is back. */
static void a_bad_disk_stops_nothing(void **state)
{
    (void)state;
    struct plant p;
    plant_on_faulty_disk(&p, SYNC_PERIOD, 1u << 20);
    plant_open(&p);
    atomic_store(&fault.fail_at[CALL_WRITE], -1);
    uint64_t put = 0;
    int64_t end = clock_mono_ns() + 10 * NS_PER_S;
    while (atomic_load(&p.journal->trouble) != TROUBLE_FAILED && clock_mono_ns() < end) {
        put += plant_put(&p, 10, put) ? 10 : 0;
        poll(NULL, 0, 1);
    }
    for (int i = 0; i < 100; i++) { /* far more than the buffer holds */
        assert_true(plant_put(&p, 1000, put));
        put += 1000;
    }
    assert_int_equal(journal_durable_ring(p.journal, 0), p.position);
    assert_int_equal(journal_durable_sequence(p.journal), 0);
    atomic_store(&fault.fail_at[CALL_WRITE], 0);
    plant_settle(&p);
    assert_true(journal_losses(&p) > 0);
    check_after_restart(&p, put);
    assert_true(sums(&p).gaps >= 100000);
    plant_fini(&p);
}

/* A flush that hangs: first the ring waits, after a second samples are let go so that the rest keeps its deadlines. */
static void a_stalled_flush_is_survived(void **state)
{
    (void)state;
    struct plant p;
    plant_on_faulty_disk(&p, SYNC_PERIOD, 8u << 20);
    plant_open(&p);
    atomic_store(&fault.hold_flush, true);
    uint64_t put = 0;
    int refused = 0;
    int64_t end = clock_mono_ns() + 10 * NS_PER_S;
    while (!p.journal->lost && clock_mono_ns() < end) {
        bool ok = plant_put(&p, 1000, put);
        put += ok ? 1000 : 0;
        refused += !ok;
        if (!ok) {
            poll(NULL, 0, 1);
        }
    }
    assert_true(refused > 0);
    assert_true(p.journal->lost > 0);
    assert_int_equal(journal_durable_ring(p.journal, 0), p.position);
    atomic_store(&fault.hold_flush, false);
    plant_settle(&p);
    assert_true(plant_put(&p, 1000, put));
    put += 1000;
    check_after_restart(&p, put);
    assert_true(sums(&p).gaps >= 1000);
    plant_fini(&p);
}

/* A start on a disk that takes nothing is a start. */
static void a_start_without_a_disk_works(void **state)
{
    (void)state;
    struct plant p;
    plant_on_faulty_disk(&p, SYNC_PERIOD, 64u << 10);
    atomic_store(&fault.space, 0);
    plant_open(&p);
    assert_true(plant_put(&p, 100, 0));
    assert_int_equal(journal_durable_ring(p.journal, 0), 100);
    assert_int_equal(atomic_load(&p.marks.full), 1);
    atomic_store(&fault.space, UINT64_MAX);
    int64_t end = clock_mono_ns() + 10 * NS_PER_S;
    while (atomic_load(&p.marks.full) && clock_mono_ns() < end) {
        poll(NULL, 0, 1);
    }
    assert_true(plant_put(&p, 100, 100));
    check_after_restart(&p, 200);
    assert_int_equal(sums(&p).gaps, 100);
    plant_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_failed_call_loses_nothing),
        cmocka_unit_test(short_writes_are_continued),
        cmocka_unit_test(at_the_limit_samples_become_gaps),
        cmocka_unit_test(a_full_disk_costs_gaps_until_there_is_room),
        cmocka_unit_test(a_bad_disk_stops_nothing),
        cmocka_unit_test(a_stalled_flush_is_survived),
        cmocka_unit_test(a_start_without_a_disk_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
