/* SPDX-License-Identifier: Apache-2.0 */
/* The account, and what lives on when a process dies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/test_bed.h"

#include "base/clock.h"
#include "tag/status.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* ---- Account. ---- */

static void drop(struct bed *b, uint32_t index, uint64_t samples)
{
    struct drop_counter *d = bed_seat(b, BED_FIELD)->drops + index;
    atomic_store(&d->first_ns, BED_START);
    atomic_store(&d->last_ns, BED_START + 1);
    atomic_fetch_add(&d->count, samples);
    ring_count_dropped(b->up, samples);
}

static void drops_become_gaps_once(void **state)
{
    (void)state;
    struct bed *b = bed_new(1);
    struct bed_frames f;
    uint64_t produced = 0;
    drop(b, 0, 5);
    bed_run(b, 100);
    drop(b, 0, 2);
    drop(b, 2, 1);
    bed_run(b, 100);
    bed_run(b, 100);
    assert_int_equal(bed_entry(b, 1)->gaps, 7);
    assert_int_equal(bed_entry(b, 3)->gaps, 1);
    assert_int_equal(atomic_load(bed_seat(b, BED_FIELD)->drops_seen), 7);
    assert_true(bed_balances(b));
    bed_read(b, &f);
    assert_int_equal(bed_gaps(&f, GAP_RING_FULL, &produced), 3);
    assert_int_equal(produced, 8);
    free(f.bytes);
    bed_free(b);
}

/* The gap was in the journal's buffer, and the box told that it is known, when the engine died. */
static void drops_are_told_again_when_their_gap_was_lost(void **state)
{
    (void)state;
    for (int lose = 0; lose < 2; lose++) {
        struct bed *b = bed_new(1);
        struct bed_frames f;
        uint64_t produced = 0;
        drop(b, 0, 5);
        bed_run(b, 100);
        bed_mark(b);
        drop(b, 0, 3);
        bed_run(b, 100);
        bed_settle(b);
        bed_restart_engine(b, lose ? BED_LOSE : BED_KEEP);
        drop(b, 0, 1);
        bed_run(b, 100);
        assert_int_equal(bed_entry(b, 1)->gaps, 9);
        assert_true(bed_balances(b));
        bed_read(b, &f);
        bed_gaps(&f, GAP_RING_FULL, &produced);
        assert_int_equal(produced, 9);
        free(f.bytes);
        bed_free(b);
    }
}

static void a_count_of_drops_that_cannot_be_true_is_garbage(void **state)
{
    (void)state;
    struct bed *b = bed_new(1);
    drop(b, 0, UINT64_C(0x00eeeeeeeeeeeeee));
    bed_run(b, 100);
    assert_non_null(strstr(bed_verdict(b, BED_FIELD), "lost samples"));
    assert_int_equal(bed_entry(b, 1)->gaps, 0);
    bed_restart_box(b, BED_FIELD, true);
    bed_run(b, 100);
    drop(b, 0, 4);
    bed_run(b, 100);
    assert_int_equal(bed_entry(b, 1)->gaps, 4);
    assert_int_equal(atomic_load(&bed_seat(b, BED_FIELD)->verdict->raised), 1);
    bed_free(b);
}

static void the_tail_waits_for_the_disk(void **state)
{
    (void)state;
    struct bed *b = bed_new(3600000);
    struct slot s = bed_sample(1, 5);
    const struct ring_tail *tail = bed_seat(b, BED_FIELD)->up_tail;
    bed_put(b, BED_FIELD, &s, 1);
    for (int i = 0; i < 50; i++) {
        bed_run(b, 1);
        poll(NULL, 0, 1);
    }
    assert_int_equal(atomic_load(&tail->tail), 0);
    journal_flush(b->journal);
    bed_settle(b);
    assert_int_equal(atomic_load(&tail->tail), 1);
    bed_free(b);
}

/* ---- Restarts. ---- */

static void a_restarted_engine_goes_on_where_the_journal_ends(void **state)
{
    (void)state;
    for (int lose = 0; lose < 2; lose++) {
        struct bed *b = bed_new(1);
        struct bed_frames f;
        struct slot slots[100];
        for (uint32_t i = 0; i < 100; i++) {
            slots[i] = bed_sample(1, i);
        }
        bed_put(b, BED_FIELD, slots, 40);
        bed_run(b, 0);
        bed_mark(b);
        bed_put(b, BED_FIELD, slots + 40, 30);
        engine_step(b->e, b->utc_ns, b->mono_ns); /* taken, its tail not moved */
        uint64_t tail = atomic_load(&bed_seat(b, BED_FIELD)->up_tail->tail);
        bed_put(b, BED_FIELD, slots + 70, 30);
        bed_restart_engine(b, lose && tail == 40 ? BED_LOSE : BED_KEEP);
        bed_run(b, 100);
        assert_int_equal(bed_entry(b, 1)->journaled, 100);
        assert_true(bed_balances(b));
        bed_read(b, &f);
        size_t at = 0;
        for (uint64_t i = 0; i < 100; i++) {
            assert_int_equal(bed_next(&f, &at, 0)->value.u64, i);
        }
        assert_null(bed_next(&f, &at, 0));
        free(f.bytes);
        bed_free(b);
    }
}

/* A bad disk made the engine let samples go, and it was killed before their gap was durable. */
static void a_tail_ahead_of_the_journal_is_a_gap(void **state)
{
    (void)state;
    struct bed *b = bed_new(1);
    struct bed_frames f;
    uint64_t produced = 0;
    struct slot slots[10];
    for (uint32_t i = 0; i < 10; i++) {
        slots[i] = bed_sample(1, i);
    }
    bed_put(b, BED_FIELD, slots, 10);
    bed_run(b, 0);
    bed_settle(b);
    bed_put(b, BED_FIELD, slots, 10);
    atomic_store(&bed_seat(b, BED_FIELD)->up_tail->tail, 20);
    for (int i = 0; i < 2; i++) { /* and only once */
        bed_restart_engine(b, BED_KEEP);
        bed_run(b, 100);
        bed_settle(b);
    }
    assert_int_equal(bed_entry(b, 1)->journaled, 10);
    bed_read(b, &f);
    assert_int_equal(bed_gaps(&f, GAP_JOURNAL_FAILED, &produced), 1);
    free(f.bytes);
    bed_free(b);
}

static void a_damaged_stretch_is_a_gap(void **state)
{
    (void)state;
    struct bed *b = bed_new(1);
    struct bed_frames f;
    uint64_t produced = 0;
    struct slot slots[30];
    for (uint32_t i = 0; i < 30; i++) {
        slots[i] = bed_sample(1, i);
    }
    for (int i = 0; i < 3; i++) {
        if (i == 1) {
            bed_mark(b);
        }
        bed_run(b, 100);
        bed_put(b, BED_FIELD, slots + 10 * i, 10);
        bed_run(b, 0);
        bed_settle(b);
    }
    bed_restart_engine(b, BED_DAMAGE);
    bed_restart_engine(b, BED_KEEP); /* it is told once */
    bed_read(b, &f);
    size_t at = 0;
    struct record_gap gap = bed_gap_at(&f, &at);
    assert_int_equal(gap.scope, GAP_ALL);
    assert_int_equal(gap.cause, GAP_SEGMENT_LOST);
    assert_int_equal(gap.missed, 10);
    assert_int_equal(gap.from_ns, BED_START + 100 * NS_PER_MS);
    assert_int_equal(gap.to_ns, BED_START + 300 * NS_PER_MS);
    assert_int_equal(bed_gaps(&f, GAP_SEGMENT_LOST, &produced), 1);
    at = 0;
    struct record_event event = {0};
    for (const struct slot *e; (e = bed_next(&f, &at, RECORD_EVENT));) {
        if (e->status == EVENT_JOURNAL_FAULT) {
            memcpy(&event, slot_payload(e), sizeof event);
        }
    }
    assert_string_equal(event.text, "records of sequence 15 to 24 are lost");
    free(f.bytes);
    bed_free(b);
}

static void a_dead_box_is_bad_and_its_outage_a_gap(void **state)
{
    (void)state;
    struct bed *b = bed_new(1);
    struct bed_frames f;
    struct slot s = bed_sample(1, 5);
    struct now_value v;
    bed_put(b, BED_FIELD, &s, 1);
    bed_run(b, 0);
    _Atomic uint32_t *how = &b->g->health->seats[SEAT_BOX + BED_FIELD].state;
    atomic_store(how, SEAT_STARTING); /* no heart beats any more */
    for (int i = 0; i < 60; i++) {
        assert_int_equal(now_read(b->g->zones, b->g->plan.tags, &v), 0);
        assert_int_equal(v.slot.status, i * 100 > 5000 ? (uint32_t)STATUS_BAD_NO_COMMUNICATION : 0);
        bed_run(b, 100);
    }
    atomic_store(how, SEAT_RUNNING);
    bed_restart_box(b, BED_FIELD, false);
    bed_run(b, 100);
    bed_put(b, BED_FIELD, &s, 1);
    bed_run(b, 100);
    assert_int_equal(now_read(b->g->zones, b->g->plan.tags, &v), 0);
    assert_int_equal(v.slot.status, 0);
    bed_read(b, &f);
    size_t at = 0;
    struct record_gap gap = bed_gap_at(&f, &at);
    assert_int_equal(gap.cause, GAP_BOX_DOWN);
    assert_int_equal(gap.which, BED_FIELD);
    assert_int_equal(gap.from_ns, BED_START);
    assert_int_equal(gap.to_ns, BED_START + 6100 * NS_PER_MS);
    assert_int_equal(gap.missed, 61 * 3);
    free(f.bytes);
    bed_free(b);
}

/* The supervisor's count of starts tells, not what the box says in its panel. */
static void a_box_cannot_tell_of_starts_that_were_none(void **state)
{
    (void)state;
    struct bed *b = bed_new(1);
    struct bed_frames f;
    uint64_t produced = 0;
    for (int i = 1; i < 20; i++) {
        atomic_store(&bed_seat(b, BED_FIELD)->panel->epoch, (uint64_t)i * 1000);
        bed_run(b, 100);
    }
    bed_read(b, &f);
    assert_int_equal(bed_count(&f, RECORD_EVENT), 1 + BED_BOXES); /* each was started once */
    assert_int_equal(bed_gaps(&f, GAP_BOX_DOWN, &produced), 0);
    free(f.bytes);
    bed_free(b);
}

/* A supervisor that is killed takes all with it: the engine that comes back knows what its predecessor knew. */
static void an_outage_of_box_and_engine_together_is_a_gap(void **state)
{
    (void)state;
    struct bed *b = bed_new(1);
    struct bed_frames f;
    uint64_t produced = 0;
    bed_run(b, 100);
    bed_settle(b);
    bed_run(b, 100);
    bed_restart_box(b, BED_FIELD, false);
    bed_restart_engine(b, BED_KEEP);
    bed_run(b, 1000);
    bed_settle(b);
    bed_run(b, 100);
    bed_restart_engine(b, BED_KEEP);
    bed_run(b, 100);
    bed_read(b, &f);
    assert_int_equal(bed_gaps(&f, GAP_BOX_DOWN, &produced), 1);
    free(f.bytes);
    bed_free(b);
}

/* The supervisor found the positions of a box's rings untrue, and emptied them without being asked to. */
static void an_emptied_ring_gives_nothing_twice(void **state)
{
    (void)state;
    struct bed *b = bed_new(1);
    struct bed_frames f;
    uint64_t produced = 0;
    struct slot slots[10];
    for (uint32_t i = 0; i < 10; i++) {
        slots[i] = bed_sample(1, i);
    }
    bed_put(b, BED_FIELD, slots, 10);
    bed_run(b, 0);
    bed_settle(b);
    gateway_reset_rings(b->g, SEAT_BOX + BED_FIELD);
    bed_run(b, 100);
    assert_int_equal(bed_entry(b, 1)->journaled, 10);
    bed_restart_box(b, BED_FIELD, false);
    bed_run(b, 100);
    bed_put(b, BED_FIELD, slots, 10);
    bed_run(b, 100);
    assert_int_equal(bed_entry(b, 1)->journaled, 20);
    assert_null(bed_verdict(b, BED_FIELD));
    bed_read(b, &f);
    assert_int_equal(bed_gaps(&f, GAP_BOX_FAULT, &produced), 1);
    free(f.bytes);
    bed_free(b);
}

/* ---- Determinism. ---- */

static void play(struct bed_frames *f)
{
    struct bed *b = bed_new(1);
    struct slot slots[128];
    size_t count = bed_honest(slots);
    for (int i = 0; i < 20; i++) {
        bed_put(b, BED_FIELD, slots, count);
        struct slot other = bed_sample(4, (uint64_t)i);
        bed_put(b, BED_OTHER, &other, 1);
        if (i % 7 == 3) {
            drop(b, 1, 4);
        }
        if (i == 10) {
            bed_put(b, BED_OTHER, slots, 1);
            bed_run(b, 50);
            bed_restart_box(b, BED_OTHER, true);
        }
        bed_run(b, 100);
        bed_settle(b);
    }
    bed_read(b, f);
    bed_free(b);
}

static void the_same_input_makes_the_same_journal(void **state)
{
    (void)state;
    struct bed_frames first, second;
    play(&first);
    play(&second);
    assert_true(first.size > 10000);
    assert_int_equal(first.size, second.size);
    assert_memory_equal(first.bytes, second.bytes, first.size);
    free(first.bytes);
    free(second.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drops_become_gaps_once),
        cmocka_unit_test(drops_are_told_again_when_their_gap_was_lost),
        cmocka_unit_test(a_count_of_drops_that_cannot_be_true_is_garbage),
        cmocka_unit_test(the_tail_waits_for_the_disk),
        cmocka_unit_test(a_restarted_engine_goes_on_where_the_journal_ends),
        cmocka_unit_test(a_tail_ahead_of_the_journal_is_a_gap),
        cmocka_unit_test(a_damaged_stretch_is_a_gap),
        cmocka_unit_test(a_dead_box_is_bad_and_its_outage_a_gap),
        cmocka_unit_test(a_box_cannot_tell_of_starts_that_were_none),
        cmocka_unit_test(an_outage_of_box_and_engine_together_is_a_gap),
        cmocka_unit_test(an_emptied_ring_gives_nothing_twice),
        cmocka_unit_test(the_same_input_makes_the_same_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
