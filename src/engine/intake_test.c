/* SPDX-License-Identifier: Apache-2.0 */
/* What a box may write into its ring, and what it may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/test_bed.h"

#include "base/clock.h"
#include "tag/status.h"

#include <stdlib.h>
#include <string.h>

static struct slot number(double value)
{
    struct slot s = bed_sample(2, 1);
    s.value.f64 = value;
    return s;
}

static void put_text(struct bed *b, uint32_t tag, uint32_t status, const char *text, size_t size)
{
    struct slot head = {.time = BED_START, .tag = tag | SLOT_LONG, .status = status};
    assert_int_equal(ring_put_record(b->up, &head, text, size), 0);
    ring_publish(b->up);
}

/* ---- What travels in a ring. ---- */

static void samples_are_journaled_suppressed_or_rejected(void **state)
{
    (void)state;
    struct bed *b = bed_new(1);
    struct bed_frames f;
    struct slot slots[] = {bed_sample(1, 7),        number(10),      number(10.5), number(11.5),
                           bed_sample(1, 1u << 31), bed_sample(2, 0)};
    slots[5].status = (uint32_t)STATUS_BAD_TIMEOUT;
    bed_put(b, BED_FIELD, slots, 6);
    put_text(b, 3, 0, "hello", 5);
    put_text(b, 3, 0, "much too long for a tag of at most forty bytes", 46);
    put_text(b, 1, 0, "x", 1);
    slots[0] = bed_sample(4, 65536);
    slots[1] = bed_sample(4, 65535);
    bed_put(b, BED_OTHER, slots, 2);
    bed_run(b, 0);
    static const struct {
        uint64_t produced, journaled, suppressed, rejected;
    } rows[] = {{3, 1, 0, 2}, {4, 3, 1, 0}, {2, 1, 0, 1}, {2, 1, 0, 1}};
    for (uint32_t i = 0; i < BED_TAGS; i++) {
        const struct now_entry *n = bed_entry(b, i + 1);
        assert_int_equal(n->produced, rows[i].produced);
        assert_int_equal(n->journaled, rows[i].journaled);
        assert_int_equal(n->suppressed, rows[i].suppressed);
        assert_int_equal(n->rejected, rows[i].rejected);
    }
    assert_true(bed_balances(b));
    struct now_value v;
    assert_int_equal(now_read(b->g->zones, b->g->plan.tags + 2, &v), 0);
    assert_int_equal(v.length, 5);
    assert_memory_equal(v.bytes, "hello", 5);
    assert_null(bed_verdict(b, BED_FIELD));
    bed_read(b, &f);
    assert_int_equal(bed_count(&f, 0), 6);
    assert_int_equal(bed_count(&f, RECORD_TALLY), 4);
    free(f.bytes);
    bed_free(b);
}

static void records_of_a_device_are_passed_on(void **state)
{
    (void)state;
    struct bed *b = bed_new(1);
    struct bed_frames f;
    struct record_batch batch = {.clock_offset_ns = 5, .clock_uncertainty_ns = -1};
    struct record_event up = {.box = 77, .device = 0, .text = "connected"};
    struct record_gap gap = {.scope = GAP_DEVICE,
                             .cause = GAP_DEVICE_DOWN,
                             .from_ns = BED_START,
                             .to_ns = BED_START + 1,
                             .missed = 3};
    bed_record(b, BED_FIELD, RECORD_BATCH, 0, &batch, sizeof batch);
    bed_record(b, BED_FIELD, RECORD_EVENT, EVENT_DEVICE_UP, &up, sizeof up);
    bed_record(b, BED_FIELD, RECORD_GAP, 0, &gap, sizeof gap);
    static const uint32_t more[] = {GAP_POLL_LATE, GAP_DEVICE_OVERFLOW, GAP_SEQUENCE_JUMP};
    for (size_t i = 0; i < 3; i++) {
        struct record_gap next = gap;
        next.cause = more[i];
        bed_record(b, BED_FIELD, RECORD_GAP, 0, &next, sizeof next);
    }
    bed_run(b, 0);
    assert_null(bed_verdict(b, BED_FIELD));
    bed_read(b, &f);
    size_t at = 0, late = 0;
    assert_int_equal(bed_count(&f, RECORD_BATCH), 1);
    struct record_gap got = bed_gap_at(&f, &at);
    assert_memory_equal(&got, &gap, sizeof gap);
    for (; late < 3; late++) {
        assert_int_equal(bed_gap_at(&f, &at).cause, more[late]);
    }
    at = 0;
    const struct slot *s = bed_next(&f, &at, RECORD_EVENT);
    while (s && s->status != EVENT_DEVICE_UP) {
        s = bed_next(&f, &at, RECORD_EVENT);
    }
    assert_non_null(s);
    memcpy(&up, slot_payload(s), sizeof up);
    assert_int_equal(up.box, BED_FIELD); /* whatever it said */
    free(f.bytes);
    bed_free(b);
}

static void take_reply(struct bed *b, int box, enum record_kind kind, uint32_t status,
                       void *payload, size_t size)
{
    struct slot slots[SLOT_RECORD_MAX];
    int n = ring_take(b->down + box, slots, SLOT_RECORD_MAX);
    assert_true(n > 0);
    size_t length = slot_record_length(slots);
    ring_step_back(b->down + box, (size_t)n - length);
    assert_int_equal(slots[0].tag, record_tag(kind));
    assert_int_equal(slots[0].status, status);
    assert_true(slots[0].value.u64 >= size);
    memcpy(payload, slot_payload(slots), size);
}

struct stored {
    struct record_store head;
    char value[8];
};

static void a_value_is_stored_when_it_is_durable(void **state)
{
    (void)state;
    struct bed *b = bed_new(1);
    struct stored put = {{.key = "bdSeq", .size = 8}, "seventy"}, got;
    bed_record(b, BED_CLOUD, RECORD_STORE, 5, &put, sizeof put);
    bed_run(b, 0);
    bed_settle(b);
    take_reply(b, BED_CLOUD, RECORD_STORED, 5, &got.head, sizeof got.head);
    assert_int_equal(got.head.error, 0);
    for (int restart = 0; restart < 2; restart++) {
        put.head.size = 0;
        bed_record(b, BED_CLOUD, RECORD_FETCH, 6, &put.head, sizeof put.head);
        bed_run(b, 0);
        take_reply(b, BED_CLOUD, RECORD_STORED, 6, &got, sizeof got);
        assert_int_equal(got.head.size, 8);
        assert_string_equal(got.value, "seventy");
        bed_settle(b);
        bed_restart_engine(b, BED_KEEP);
    }
    bed_record(b, BED_FIELD, RECORD_FETCH, 7, &put.head, sizeof put.head); /* another's value */
    bed_run(b, 0);
    take_reply(b, BED_FIELD, RECORD_STORED, 7, &got.head, sizeof got.head);
    assert_int_equal(got.head.size, 0);
    bed_free(b);
}

/* A new life of the rings: positions of an earlier one, far ahead, must not count as durable. */
static void an_earlier_life_confirms_nothing(void **state)
{
    (void)state;
    struct bed *b = bed_new(1);
    struct stored put = {{.key = "bdSeq", .size = 8}, "seventy"};
    for (int i = 0; i < 100; i++) {
        bed_record(b, BED_CLOUD, RECORD_STORE, 5, &put, sizeof put);
        bed_run(b, 0);
        bed_settle(b);
        struct slot sink[SLOT_RECORD_MAX];
        assert_true(ring_take(b->down + BED_CLOUD, sink, SLOT_RECORD_MAX) > 0);
        ring_release(b->down + BED_CLOUD, b->down[BED_CLOUD].next);
    }
    bed_restart_engine(b, BED_KEEP);
    uint64_t before = journal_durable_ring(b->journal, BED_CLOUD);
    assert_int_equal(before, 0);
    bed_free(b);
}

static void a_command_is_refused(void **state)
{
    (void)state;
    struct bed *b = bed_new(1);
    struct bed_frames f;
    struct record_command command = {.act = COMMAND_WRITE, .tag = 3, .type = VALUE_INT32};
    struct record_receipt receipt;
    bed_record(b, BED_CLOUD, RECORD_COMMAND, 0, &command, sizeof command);
    bed_run(b, 0);
    take_reply(b, BED_CLOUD, RECORD_RECEIPT, 0, &receipt, sizeof receipt);
    assert_int_equal(receipt.state, COMMAND_REFUSED);
    bed_read(b, &f);
    size_t at = 0;
    uint32_t refused = 0;
    for (const struct slot *s; (s = bed_next(&f, &at, RECORD_EVENT));) {
        refused += s->status == EVENT_COMMAND_REFUSED;
    }
    assert_int_equal(refused, 1);
    free(f.bytes);
    bed_free(b);
}

/* ---- What may not be in a ring. ---- */

union payload {
    struct record_batch batch;
    struct record_gap gap;
    struct record_event event;
    struct record_store store;
    struct record_command command;
};

static void who_writes_garbage_is_condemned(void **state)
{
    (void)state;
    static const struct {
        struct slot head;
        union payload payload;
        size_t size;
        const char *reason;
    } rows[] = {
        {{.tag = 4}, {{0}}, 0, "not its own"},
        {{.tag = 99}, {{0}}, 0, "not its own"},
        {{.tag = 0}, {{0}}, 0, "not its own"},
        {{.tag = 0x7fffffff}, {{0}}, 0, "not its own"},
        {{.tag = SLOT_CONTROL | 0x77}, {{0}}, 24, "unknown kind"},
        {{.tag = SLOT_CONTROL | RECORD_TALLY}, {{0}}, 16, "unknown kind"},
        {{.tag = SLOT_CONTROL | RECORD_BATCH, .status = 1}, {{0}}, 16, "batch"},
        {{.tag = SLOT_CONTROL | RECORD_BATCH, .status = 2}, {{0}}, 16, "batch"},
        {{.tag = SLOT_CONTROL | RECORD_BATCH}, {{0}}, 15, "batch"},
        {{.tag = SLOT_CONTROL | RECORD_GAP}, {{0}}, 8, "gap record is malformed"},
        {{.tag = SLOT_CONTROL | RECORD_GAP},
         {.gap = {.scope = GAP_TAG, .which = 4, .cause = GAP_DEVICE_DOWN}},
         sizeof(struct record_gap),
         "gap record is not its own"},
        {{.tag = SLOT_CONTROL | RECORD_GAP},
         {.gap = {.scope = GAP_DEVICE, .which = 0, .cause = GAP_JOURNAL_FULL}},
         sizeof(struct record_gap),
         "gap record is not its own"},
        {{.tag = SLOT_CONTROL | RECORD_GAP},
         {.gap = {.scope = GAP_DEVICE, .cause = GAP_DEVICE_DOWN, .produced = 1}},
         sizeof(struct record_gap),
         "gap record is not its own"},
        {{.tag = SLOT_CONTROL | RECORD_GAP},
         {.gap = {.scope = GAP_DEVICE, .cause = GAP_DEVICE_DOWN, .from_ns = 2, .to_ns = 1}},
         sizeof(struct record_gap),
         "gap record is not its own"},
        {{.tag = SLOT_CONTROL | RECORD_EVENT, .status = EVENT_DEVICE_DOWN},
         {.event = {.device = 1}},
         sizeof(struct record_event),
         "event record is not its own"},
        {{.tag = SLOT_CONTROL | RECORD_EVENT, .status = EVENT_GATEWAY_STOP},
         {.event = {.device = 0}},
         sizeof(struct record_event),
         "event record is malformed"},
        {{.tag = SLOT_CONTROL | RECORD_EVENT, .status = EVENT_JOURNAL_RECOVERED},
         {.event = {.device = 0}},
         sizeof(struct record_event),
         "event record is malformed"},
        {{.tag = SLOT_CONTROL | RECORD_STORE},
         {.store = {.key = "k", .size = 1}},
         sizeof(struct record_store),
         "store record is malformed"},
        {{.tag = SLOT_CONTROL | RECORD_STORE},
         {.store = {.size = 0}},
         sizeof(struct record_store),
         "store record is malformed"},
        {{.tag = SLOT_CONTROL | RECORD_FETCH},
         {.store = {.key = "k"}},
         3,
         "store record is malformed"},
        {{.tag = SLOT_CONTROL | RECORD_COMMAND}, {{0}}, 20, "command record is malformed"},
    };
    struct bed *b = bed_new(1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t before = atomic_load(&bed_seat(b, BED_FIELD)->verdict->raised);
        struct slot good[] = {bed_sample(1, i + 1)};
        bed_put(b, BED_FIELD, good, 1);
        if (slot_is_long(&rows[i].head)) {
            assert_int_equal(ring_put_record(b->up, &rows[i].head, &rows[i].payload, rows[i].size),
                             0);
        } else {
            assert_int_equal(ring_put(b->up, &rows[i].head, 1), 0);
        }
        bed_put(b, BED_FIELD, good, 1);
        bed_run(b, 100);
        if (atomic_load(&bed_seat(b, BED_FIELD)->verdict->raised) != before + 1 ||
            !strstr(bed_verdict(b, BED_FIELD), rows[i].reason)) {
            fail_msg("row %zu: %s", i, bed_verdict(b, BED_FIELD));
        }
        assert_int_equal(bed_entry(b, 1)->journaled, i + 1); /* what came before it counts */
        bed_restart_box(b, BED_FIELD, true);
        bed_run(b, 100);
    }
    assert_true(bed_balances(b));
    assert_null(bed_verdict(b, BED_OTHER));
    struct bed_frames f;
    uint64_t produced = 0;
    bed_read(b, &f);
    assert_int_equal(bed_gaps(&f, GAP_BOX_FAULT, &produced), sizeof rows / sizeof *rows);
    free(f.bytes);
    bed_free(b);
}

static void a_ring_that_contradicts_itself_is_condemned(void **state)
{
    (void)state;
    static const uint64_t heads[] = {UINT64_MAX, BED_RING + 2, 0, UINT64_C(1) << 63};
    struct bed *b = bed_new(1);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct slot good[] = {bed_sample(1, 1)};
        bed_put(b, BED_FIELD, good, 1);
        bed_run(b, 100);
        struct ring_head *head = bed_seat(b, BED_FIELD)->up;
        uint64_t tail = atomic_load(&bed_seat(b, BED_FIELD)->up_tail->tail);
        atomic_store(&head->head, heads[i] ? tail + heads[i] : tail - 1);
        bed_run(b, 100);
        assert_int_equal(atomic_load(&bed_seat(b, BED_FIELD)->verdict->raised), i + 1);
        bed_restart_box(b, BED_FIELD, true);
        bed_run(b, 100);
        bed_put(b, BED_FIELD, good, 1);
        bed_run(b, 100);
        assert_int_equal(bed_entry(b, 1)->journaled, 2 * (i + 1));
    }
    bed_free(b);
}

/* Puts bytes into the ring, runs, and sees that all others are served and the account holds. */
static void survive(struct bed *b, const struct slot *slots, size_t count)
{
    uint32_t raised = atomic_load(&bed_seat(b, BED_FIELD)->verdict->raised);
    uint64_t served = bed_entry(b, 4)->journaled;
    struct slot other = bed_sample(4, 9);
    bed_put(b, BED_FIELD, slots, count);
    bed_put(b, BED_OTHER, &other, 1);
    bed_run(b, 100);
    bed_run(b, 100); /* a record that is cut off is garbage when nothing whole is before it */
    assert_int_equal(bed_entry(b, 4)->journaled, served + 1);
    assert_int_equal(atomic_load(&bed_seat(b, BED_OTHER)->verdict->raised), 0);
    assert_true(bed_balances(b));
    if (atomic_load(&bed_seat(b, BED_FIELD)->verdict->raised) != raised) {
        bed_restart_box(b, BED_FIELD, true);
    } else {
        assert_int_equal(ring_waiting(&b->e->inlets[BOX_INLET + BED_FIELD].up), 0);
    }
    struct slot sink[64];
    while (ring_take(b->down, sink, 64) > 0) {
        ring_release(b->down, b->down->next);
    }
    if (ring_room(b->up) < 2048 || ring_room(b->up + BED_OTHER) < 2048) {
        bed_settle(b);
    }
}

static void every_truncation_is_survived(void **state)
{
    (void)state;
    struct bed *b = bed_new(1);
    struct slot slots[128];
    size_t count = bed_honest(slots);
    for (size_t n = 0; n <= count; n++) {
        survive(b, slots, n);
    }
    struct bed_frames f;
    bed_read(b, &f); /* the journal holds whole, proven frames */
    assert_true(bed_count(&f, RECORD_EVENT) > 1);
    free(f.bytes);
    bed_free(b);
}

static void every_corruption_is_survived(void **state)
{
    (void)state;
    static const uint8_t flips[] = {0xff, 0x01, 0x80};
    struct bed *b = bed_new(1);
    struct slot good[128], bad[128];
    size_t count = bed_honest(good);
    for (size_t i = 0; i < count * sizeof *good; i++) {
        for (size_t k = 0; k < sizeof flips; k++) {
            memcpy(bad, good, sizeof good);
            ((uint8_t *)bad)[i] ^= flips[k];
            survive(b, bad, count);
        }
    }
    struct bed_frames f;
    bed_read(b, &f);
    assert_true(bed_count(&f, 0) > count);
    free(f.bytes);
    bed_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_journaled_suppressed_or_rejected),
        cmocka_unit_test(records_of_a_device_are_passed_on),
        cmocka_unit_test(a_value_is_stored_when_it_is_durable),
        cmocka_unit_test(an_earlier_life_confirms_nothing),
        cmocka_unit_test(a_command_is_refused),
        cmocka_unit_test(who_writes_garbage_is_condemned),
        cmocka_unit_test(a_ring_that_contradicts_itself_is_condemned),
        cmocka_unit_test(every_truncation_is_survived),
        cmocka_unit_test(every_corruption_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
