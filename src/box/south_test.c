/* SPDX-License-Identifier: Apache-2.0 */
/* The host of drivers over rings in plain memory, with a driver that only notes what it gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "box/south.h"
#include "tag/plan_build.h"
#include "tag/status.h"

#define UP_SLOTS   64u
#define DOWN_SLOTS 1024u

struct stage {
    struct gateway g;
    struct seat seats[SEAT_BOX + 1];
    void *image, *up, *down;
    struct ring_tail up_tail, down_tail;
    struct device_panel panels[2];
    struct drop_counter drops[3];
    _Atomic uint64_t drops_seen[3];
    struct ring_consumer engine;
    struct ring_producer commands;
    struct south_host host;
};

static uint64_t written[128];
static size_t writes;

static void note_write(void *device, const struct isthmus_write *w)
{
    assert_ptr_equal(device, &writes);
    written[writes++] = w->job;
}

static uint64_t browsed[8];
static size_t browses;

static void note_browse(void *device, uint64_t job)
{
    assert_ptr_equal(device, &writes);
    browsed[browses++] = job;
}

static const struct isthmus_driver driver = {.write = note_write, .browse = note_browse};

static void make_plan(struct stage *s)
{
    struct plan_build *b = plan_build_new();
    struct plan_zone zone = {.name = plan_build_text(b, "plant")};
    plan_build_zone(b, &zone);
    struct plan_box box = {.name = plan_build_text(b, "south"), .kind = BOX_SOUTH};
    plan_build_box(b, &box);
    struct plan_device foreign = {.name = plan_build_text(b, "other"), .box = 0, .blanked = 1};
    plan_build_device(b, &foreign);
    struct plan_device device = {.name = plan_build_text(b, "plc"), .tag_count = 3};
    plan_build_device(b, &device);
    static const enum value_type types[] = {VALUE_FLOAT64, VALUE_TEXT, VALUE_UINT16};
    for (uint32_t i = 0; i < 3; i++) {
        struct plan_tag t = {.id = 10 * (i + 1),
                             .device = 1,
                             .path = plan_build_text(b, "t"),
                             .address = plan_build_text(b, "a"),
                             .type = (uint8_t)types[i],
                             .raw_type = (uint8_t)types[i],
                             .max_length = types[i] == VALUE_TEXT ? 8 : 0};
        plan_build_tag(b, &t);
    }
    size_t size;
    assert_int_equal(plan_build_finish(b, &s->image, &size), 0);
    plan_build_free(b);
    assert_int_equal(plan_open(&s->g.plan, s->image, size), 0);
}

static struct stage *begin(void)
{
    struct stage *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);
    assert_non_null(s);
    memset(s, 0, sizeof *s);
    make_plan(s);
    s->up = aligned_alloc(64, (ring_bytes(UP_SLOTS) + 63) / 64 * 64);
    s->down = aligned_alloc(64, (ring_bytes(DOWN_SLOTS) + 63) / 64 * 64);
    memset(s->up, 0, ring_bytes(UP_SLOTS));
    memset(s->down, 0, ring_bytes(DOWN_SLOTS));
    s->g.seats = s->seats;
    s->g.seat_count = SEAT_BOX + 1;
    s->seats[SEAT_BOX] = (struct seat){.name = "south",
                                       .up = s->up,
                                       .up_capacity = UP_SLOTS,
                                       .up_tail = &s->up_tail,
                                       .down = s->down,
                                       .down_capacity = DOWN_SLOTS,
                                       .down_tail = &s->down_tail,
                                       .devices = s->panels,
                                       .drops = s->drops,
                                       .drops_seen = s->drops_seen,
                                       .to_engine_write = -1};
    assert_int_equal(south_host_init(&s->host, &s->g, 0), 0);
    assert_int_equal(ring_consumer_init(&s->engine, s->up, UP_SLOTS, &s->up_tail), 0);
    assert_int_equal(ring_producer_init(&s->commands, s->down, DOWN_SLOTS, &s->down_tail, -1), 0);
    s->host.driver = &driver;
    s->host.devices[0].state = &writes;
    writes = browses = 0;
    return s;
}

static void end(struct stage *s)
{
    south_host_fini(&s->host);
    free(s->up);
    free(s->down);
    free(s->image);
    free(s);
}

/* What the engine gets now. */
static size_t take(struct stage *s, struct slot out[UP_SLOTS])
{
    south_host_retry(&s->host);
    ring_publish(&s->host.up);
    int n = ring_take(&s->engine, out, UP_SLOTS);
    assert_true(n >= 0);
    ring_release(&s->engine, s->engine.next);
    return (size_t)n;
}

static void publish(struct stage *s, const struct isthmus_sample *samples, size_t count)
{
    struct isthmus_batch b = {.device = 1,
                              .acquired_ns = 5,
                              .clock_uncertainty_ns = -1,
                              .samples = samples,
                              .count = count};
    s->host.calls.publish(&s->host, &b);
}

static void samples_become_slots_in_their_order(void **state)
{
    (void)state;
    struct stage *s = begin();
    const struct isthmus_sample samples[] = {
        {.tag = 10, .time_ns = 1, .value.f64 = 1.5},
        {.tag = 20, .time_ns = 2, .value.u64 = 3, .bytes = "abc"},
        {.tag = 20, .time_ns = 3, .value.u64 = 9, .bytes = "too long!"},
        {.tag = 20, .time_ns = 4, .status = (uint32_t)STATUS_BAD_NO_COMMUNICATION},
        {.tag = 30, .time_ns = 5, .value.u64 = 7},
    };
    publish(s, samples, 5);
    struct slot got[UP_SLOTS];
    assert_int_equal(take(s, got), 2 + 1 + 2 + 1 + 1 + 1);
    assert_int_equal(got[0].tag, record_tag(RECORD_BATCH));
    assert_int_equal(got[0].status, 1);
    assert_int_equal(got[0].time, 5);
    assert_true(got[2].tag == 10 && got[2].value.f64 == 1.5);
    assert_true(got[3].tag == (20 | SLOT_LONG) && got[3].value.u64 == 3);
    assert_memory_equal(got + 4, "abc", 4);
    assert_int_equal(got[5].value.u64, 0);
    assert_int_equal(got[5].status, (uint32_t)STATUS_BAD_RESPONSE_TOO_LARGE);
    assert_true(slot_is_long(got + 6));
    assert_int_equal(got[6].status, (uint32_t)STATUS_BAD_NO_COMMUNICATION);
    assert_true(got[7].tag == 30 && got[7].value.u64 == 7);
    end(s);
}

static void what_finds_no_room_is_counted_per_tag(void **state)
{
    (void)state;
    struct stage *s = begin();
    struct isthmus_sample samples[100];
    for (int i = 0; i < 100; i++) {
        samples[i] =
            (struct isthmus_sample){.tag = i % 2 ? 10 : 30, .time_ns = 1000 + i, .value.u64 = 1};
    }
    publish(s, samples, 100);
    publish(s, samples, 2); /* no room for the batch record: nothing of it */
    struct slot got[UP_SLOTS];
    assert_int_equal(take(s, got), UP_SLOTS);
    assert_int_equal(atomic_load(&s->drops[0].count) + atomic_load(&s->drops[2].count),
                     102 - (UP_SLOTS - 2));
    assert_int_equal(atomic_load(&s->drops[1].count), 0);
    assert_int_equal(atomic_load(&s->host.up.head->dropped), 102 - (UP_SLOTS - 2));
    assert_int_equal(atomic_load(&s->drops[2].first_ns), 1000 + UP_SLOTS - 2);
    assert_int_equal(atomic_load(&s->drops[0].last_ns), 1001);
    atomic_store(&s->drops_seen[0], atomic_load(&s->drops[0].count)); /* the engine made a gap */
    publish(s, samples, 100);
    assert_int_equal(atomic_load(&s->drops[0].first_ns), 1000 + UP_SLOTS - 1);
    end(s);
}

static void gaps_and_events_wait_for_room(void **state)
{
    (void)state;
    struct stage *s = begin();
    struct isthmus_sample samples[100];
    for (int i = 0; i < 100; i++) {
        samples[i] = (struct isthmus_sample){.tag = 10, .time_ns = i};
    }
    publish(s, samples, 100);
    s->host.calls.state(&s->host, 1, ISTHMUS_DOWN, "unplugged");
    s->host.calls.missed(&s->host, 1, 10, ISTHMUS_MISSED_DOWN, 100, 200, 4);
    s->host.calls.missed(&s->host, 1, 30, ISTHMUS_MISSED_DOWN, 50, 150, 3);
    s->host.calls.missed(&s->host, 0, 0, ISTHMUS_MISSED_DOWN, 1, 2, 1); /* not ours */
    struct slot got[UP_SLOTS];
    take(s, got);
    assert_int_equal(take(s, got), slot_count_for(sizeof(struct record_event)) +
                                       slot_count_for(sizeof(struct record_gap)));
    assert_int_equal(got[0].tag, record_tag(RECORD_EVENT));
    assert_int_equal(got[0].status, EVENT_DEVICE_DOWN);
    const struct record_event *event = (const void *)slot_payload(got);
    assert_string_equal(event->text, "unplugged");
    const struct slot *second = got + slot_count_for(sizeof *event);
    struct record_gap gap;
    memcpy(&gap, slot_payload(second), sizeof gap);
    assert_true(gap.scope == GAP_DEVICE && gap.which == 1 && gap.cause == GAP_DEVICE_DOWN);
    assert_true(gap.from_ns == 50 && gap.to_ns == 200 && gap.missed == 7);
    assert_int_equal(take(s, got), 0);
    s->host.calls.state(&s->host, 1, ISTHMUS_DOWN, "still unplugged"); /* no new event */
    assert_int_equal(take(s, got), 0);
    assert_int_equal(atomic_load(&s->panels[1].state), ISTHMUS_DOWN);
    assert_int_equal(atomic_load(&s->panels[1].version) % 2, 0);
    end(s);
}

static void each_reason_becomes_its_cause(void **state)
{
    (void)state;
    static const uint32_t causes[] = {[ISTHMUS_MISSED_DOWN] = GAP_DEVICE_DOWN,
                                      [ISTHMUS_MISSED_ERROR] = GAP_DEVICE_ERROR,
                                      [ISTHMUS_MISSED_LATE] = GAP_POLL_LATE,
                                      [ISTHMUS_MISSED_OVERFLOW] = GAP_DEVICE_OVERFLOW,
                                      [ISTHMUS_MISSED_JUMP] = GAP_SEQUENCE_JUMP};
    struct stage *s = begin();
    struct slot got[UP_SLOTS];
    s->host.calls.missed(&s->host, 1, 10, ISTHMUS_MISSED_DOWN, 300, 200, 4); /* clock set back */
    take(s, got);
    const struct record_gap *back = (const void *)slot_payload(got);
    assert_true(back->from_ns == 200 && back->to_ns == 200);
    for (uint32_t why = 0; why < sizeof causes / sizeof *causes + 1; why++) {
        s->host.calls.missed(&s->host, 1, 10, (enum isthmus_missed)why, 100, 200, 4);
        s->host.calls.missed(&s->host, 1, 10, (enum isthmus_missed)why, 100, 200, 0);
        bool known = why >= ISTHMUS_MISSED_DOWN && why <= ISTHMUS_MISSED_JUMP;
        struct record_gap gap = {0};
        assert_int_equal(take(s, got), known ? slot_count_for(sizeof gap) : 0);
        if (known) {
            memcpy(&gap, slot_payload(got), sizeof gap);
            assert_true(gap.cause == causes[why] && gap.scope == GAP_TAG && gap.which == 10);
            assert_true(gap.missed == 4 && gap.produced == 0);
        }
    }
    end(s);
}

static void send_command(struct stage *s, uint32_t tag, enum value_type type, uint64_t value)
{
    struct record_write c = {.number = 1, .tag = tag, .type = type, .value.u64 = value};
    struct slot head = {.tag = record_tag(RECORD_WRITE)};
    assert_int_equal(ring_put_record(&s->commands, &head, &c, sizeof c), 0);
    ring_publish(&s->commands);
}

static uint32_t written_end(struct stage *s)
{
    struct slot got[UP_SLOTS];
    struct record_written c;
    assert_int_equal(take(s, got), slot_count_for(sizeof c));
    assert_int_equal(got[0].tag, record_tag(RECORD_WRITTEN));
    memcpy(&c, slot_payload(got), sizeof c);
    assert_int_equal(c.number, 1);
    return c.end;
}

static void each_command_ends_once(void **state)
{
    (void)state;
    struct stage *s = begin();
    send_command(s, 30, VALUE_UINT16, 7);
    assert_int_equal(south_command_take(&s->host), 0);
    assert_int_equal(writes, 1);
    s->host.calls.job_done(&s->host, written[0], 0, "");
    assert_int_equal(written_end(s), WRITTEN_DONE);
    s->host.calls.job_done(&s->host, written[0], 0, ""); /* a driver's mistake: no second end */
    s->host.calls.job_done(&s->host, 99999, 0, "");
    struct slot got[UP_SLOTS];
    assert_int_equal(take(s, got), 0);
    send_command(s, 30, VALUE_UINT16, 70000);
    assert_int_equal(south_command_take(&s->host), 0);
    assert_int_equal(written_end(s), WRITTEN_REFUSED);
    send_command(s, 77, VALUE_UINT16, 1);
    assert_int_equal(south_command_take(&s->host), 0);
    assert_int_equal(written_end(s), WRITTEN_REFUSED);
    send_command(s, 30, VALUE_UINT16, 1);
    assert_int_equal(south_command_take(&s->host), 0);
    s->host.calls.job_done(&s->host, written[1], (uint32_t)STATUS_BAD_TIMEOUT, "no answer");
    assert_int_equal(written_end(s), WRITTEN_UNKNOWN);
    assert_int_equal(writes, 2);
    end(s);
}

static void commands_without_a_place_stay_in_the_ring(void **state)
{
    (void)state;
    struct stage *s = begin();
    for (uint32_t i = 0; i < SOUTH_COMMANDS_MAX + 1; i++) {
        send_command(s, 30, VALUE_UINT16, i);
    }
    for (int i = 0; i < 50 && writes < SOUTH_COMMANDS_MAX; i++) {
        assert_true(south_command_take(&s->host) >= 0);
    }
    assert_int_equal(writes, SOUTH_COMMANDS_MAX);
    assert_int_equal(south_command_take(&s->host), 0);
    s->host.calls.job_done(&s->host, written[3], 0, "");
    assert_int_equal(written_end(s), WRITTEN_DONE);
    assert_int_equal(south_command_take(&s->host), 0);
    assert_int_equal(writes, SOUTH_COMMANDS_MAX + 1);
    end(s);
}

static void send_browse(struct stage *s, uint32_t device)
{
    struct record_browse request = {.id = {9}, .device = device, .asker = 3};
    struct slot head = {.tag = record_tag(RECORD_BROWSE)};
    assert_int_equal(ring_put_record(&s->commands, &head, &request, sizeof request), 0);
    ring_publish(&s->commands);
    assert_int_equal(south_command_take(&s->host), 0);
}

static struct record_browsed browse_end(const struct slot *s)
{
    struct record_browsed end;
    assert_int_equal(s->tag, record_tag(RECORD_BROWSED));
    memcpy(&end, slot_payload(s), sizeof end);
    assert_true(end.id[0] == 9 && end.asker == 3);
    return end;
}

static void a_browse_brings_its_items_and_ends_once(void **state)
{
    (void)state;
    struct stage *s = begin();
    struct slot got[UP_SLOTS];
    struct record_item item;
    struct isthmus_item found = {.name = "VendorName", .description = "Acme", .type = ISTHMUS_TEXT};
    send_browse(s, 1);
    assert_int_equal(browses, 1);
    s->host.calls.item(&s->host, browsed[0], &found);
    s->host.calls.job_done(&s->host, browsed[0], 0, "");
    assert_true(take(s, got) > 0);
    assert_int_equal(got[0].tag, record_tag(RECORD_ITEM));
    memcpy(&item, slot_payload(got), sizeof item);
    assert_true(item.id[0] == 9 && item.asker == 3 && item.type == VALUE_TEXT);
    assert_int_equal(item.sizes[ITEM_ADDRESS], 0);
    assert_memory_equal(slot_payload(got) + sizeof item, "VendorNameAcme", 14);
    assert_int_equal(browse_end(got + slot_record_length(got)).status, 0);
    s->host.calls.job_done(&s->host, browsed[0], 0, ""); /* a driver's mistakes */
    s->host.calls.item(&s->host, browsed[0], &found);
    assert_int_equal(take(s, got), 0);
    send_browse(s, 0); /* another box's device */
    assert_true(take(s, got) > 0);
    assert_int_equal(browse_end(got).status, (uint32_t)STATUS_BAD_NO_COMMUNICATION);
    end(s);
}

static void items_without_room_are_counted_and_the_end_waits(void **state)
{
    (void)state;
    struct stage *s = begin();
    struct slot got[UP_SLOTS], last = {0};
    struct isthmus_item found = {.name = "n"};
    send_browse(s, 1);
    for (int i = 0; i < 100; i++) {
        s->host.calls.item(&s->host, browsed[0], &found);
    }
    s->host.calls.job_done(&s->host, browsed[0], 0, "");
    size_t items = 0;
    for (size_t n; (n = take(s, got)) > 0;) {
        for (size_t at = 0; at < n; at += slot_record_length(got + at)) {
            items += got[at].tag == record_tag(RECORD_ITEM);
            last = got[at];
            if (last.tag == record_tag(RECORD_BROWSED)) {
                assert_int_equal(browse_end(got + at).lost, 100 - items);
            }
        }
    }
    assert_true(items > 0 && items < 100);
    assert_int_equal(last.tag, record_tag(RECORD_BROWSED));
    end(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_become_slots_in_their_order),
        cmocka_unit_test(what_finds_no_room_is_counted_per_tag),
        cmocka_unit_test(gaps_and_events_wait_for_room),
        cmocka_unit_test(each_reason_becomes_its_cause),
        cmocka_unit_test(each_command_ends_once),
        cmocka_unit_test(commands_without_a_place_stay_in_the_ring),
        cmocka_unit_test(a_browse_brings_its_items_and_ends_once),
        cmocka_unit_test(items_without_room_are_counted_and_the_end_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
