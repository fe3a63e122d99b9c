/* SPDX-License-Identifier: Apache-2.0 */
/* The step with the clock handed in, a journal in a folder of its own, and rings that the test fills as boxes would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/internal.h"

#include "base/clock.h"
#include "journal/follow.h"
#include "tag/plan_build.h"
#include "tag/status.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define T0   INT64_C(1700000000000000000)
#define MS   INT64_C(1000000)
#define TAGS 4u

enum { FIELD = SEAT_BOX, OTHER };
enum { LEVEL = 1, COUNT, NAME, FOREIGN }; /* tag ids; FOREIGN belongs to the other box */

struct world {
    char dir[64];
    int dir_fd;
    uint32_t sync_ms;
    struct gateway *g;
    struct journal *journal;
    struct engine *e;
    struct ring_producer up; /* of the field box */
    int64_t utc, mono;
};

static void *make_plan(const struct world *w, size_t *size)
{
    struct plan_build *b = plan_build_new();
    plan_build_header(b)->state_dir = plan_build_text(b, w->dir);
    plan_build_header(b)->sync_ms = w->sync_ms;
    plan_build_zone(b, &(struct plan_zone){.name = plan_build_text(b, "process")});
    for (int i = 0; i < 2; i++) {
        plan_build_box(b, &(struct plan_box){.name = plan_build_text(b, i ? "other" : "field"),
                                             .kind = BOX_SOUTH,
                                             .ring_capacity = 1024});
        plan_build_device(b, &(struct plan_device){.name = plan_build_text(b, i ? "d2" : "d1"),
                                                   .box = (uint32_t)i,
                                                   .period_ms = 100});
    }
    struct plan_tag tags[TAGS] = {
        {.id = LEVEL, .type = VALUE_FLOAT64, .raw_type = VALUE_FLOAT64},
        {.id = COUNT,
         .type = VALUE_UINT16,
         .raw_type = VALUE_UINT16,
         .deadband_kind = DEADBAND_ABSOLUTE,
         .deadband = 5},
        {.id = NAME, .type = VALUE_TEXT, .raw_type = VALUE_TEXT, .max_length = 16},
        {.id = FOREIGN, .type = VALUE_FLOAT64, .raw_type = VALUE_FLOAT64, .device = 1, .box = 1},
    };
    for (uint32_t i = 0; i < TAGS; i++) {
        char path[] = {'w', '/', (char)('1' + i), 0};
        tags[i].path = plan_build_text(b, path);
        plan_build_tag(b, tags + i);
    }
    void *image = NULL;
    assert_int_equal(plan_build_finish(b, &image, size), 0);
    plan_build_free(b);
    return image;
}

static void attach_box(struct world *w)
{
    const struct seat *s = w->g->seats + FIELD;
    assert_int_equal(ring_producer_init(&w->up, s->up, s->up_capacity, s->up_tail, -1), 0);
}

static void start_engine(struct world *w)
{
    struct journal_recovered recovered;
    struct journal_options o = {.dir = w->dir, .plan = &w->g->plan, .marks = &w->g->engine->marks};
    assert_int_equal(journal_open(&w->journal, &o, &recovered), 0);
    assert_int_equal(engine_new(&w->e, w->g, w->journal, &recovered, w->utc, w->mono), 0);
}

static void stop_engine(struct world *w)
{
    engine_free(w->e);
    journal_close(w->journal);
    w->e = NULL;
    w->journal = NULL;
}

static void begin(struct world *w, uint32_t sync_ms)
{
    size_t size;
    *w = (struct world){.dir = "/tmp/isthmus-engine-XXXXXX",
                        .sync_ms = sync_ms,
                        .utc = T0,
                        .mono = 1000 * NS_PER_S};
    assert_non_null(mkdtemp(w->dir));
    w->dir_fd = open(w->dir, O_RDONLY | O_DIRECTORY);
    void *image = make_plan(w, &size);
    assert_int_equal(gateway_new(&w->g, image, size), 0);
    atomic_store(&w->g->health->seats[FIELD].starts, 1);
    atomic_store(&w->g->health->seats[OTHER].starts, 1);
    start_engine(w);
    attach_box(w);
}

static void end(struct world *w)
{
    if (w->e) {
        stop_engine(w);
    }
    gateway_free(w->g);
    DIR *d = opendir(w->dir);
    for (const struct dirent *e; (e = readdir(d));) {
        unlinkat(w->dir_fd, e->d_name, 0);
    }
    closedir(d);
    rmdir(w->dir);
    close(w->dir_fd);
}

/* Steps until nothing is left to do; `ms` pass before. */
static void step(struct world *w, int64_t ms)
{
    w->utc += ms * MS;
    w->mono += ms * MS;
    while (engine_step(w->e, w->utc, w->mono)) {
    }
}

static void settle(struct world *w)
{
    for (int tries = 0; journal_durable_sequence(w->journal) < journal_next_sequence(w->journal);
         tries++) {
        assert_true(tries < 10000);
        poll(NULL, 0, 1);
    }
    step(w, 0);
}

static void put(struct world *w, uint32_t tag, union slot_value value, uint32_t status)
{
    struct slot s = {.time = w->utc, .value = value, .tag = tag, .status = status};
    assert_int_equal(ring_put(&w->up, &s, 1), 0);
    ring_publish(&w->up);
}

static void put_level(struct world *w, double level)
{
    put(w, LEVEL, (union slot_value){.f64 = level}, 0);
}

static void put_count(struct world *w, uint64_t count)
{
    put(w, COUNT, (union slot_value){.u64 = count}, 0);
}

static struct now_entry *entry_of(struct world *w, uint32_t id)
{
    return engine_entry(engine_tag(w->e, id));
}

/* produced, journaled, suppressed, rejected, gaps of a tag */
static void assert_ledger(struct world *w, uint32_t id, const uint64_t wanted[5])
{
    struct now_entry *n = entry_of(w, id);
    const uint64_t got[5] = {n->produced, n->journaled, n->suppressed, n->rejected, n->gaps};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(got[i], wanted[i]);
    }
}

static void assert_balanced(struct world *w)
{
    for (uint32_t id = 1; id <= TAGS; id++) {
        struct now_entry *n = entry_of(w, id);
        assert_int_equal(n->produced, n->journaled + n->suppressed + n->rejected + n->gaps);
    }
}

/* Samples and gaps that the journal holds. */
struct held {
    uint64_t samples, gaps[GAP_CAUSE_END], produced, missed, events[EVENT_KIND_END];
};

static struct held held(struct world *w)
{
    struct held out = {0};
    struct follow *f;
    struct follow_frame frame;
    settle(w);
    assert_int_equal(follow_open(&f, w->dir_fd, &w->g->engine->marks, 0), 0);
    while (follow_next(f, &frame) > 0) {
        for (size_t i = 0; i < frame.slot_count; i += slot_record_length(frame.slots + i)) {
            const struct slot *s = frame.slots + i;
            struct record_gap gap;
            if (!slot_is_control(s)) {
                out.samples++;
            } else if (record_kind(s) == RECORD_GAP) {
                memcpy(&gap, slot_payload(s), sizeof gap);
                out.gaps[gap.cause]++;
                out.produced += gap.produced;
                out.missed += gap.missed;
            } else if (record_kind(s) == RECORD_EVENT) {
                out.events[s->status]++;
            }
        }
    }
    follow_close(f);
    return out;
}

static bool is_condemned(const struct world *w)
{
    return atomic_load(&w->g->seats[FIELD].verdict->raised) > 0;
}

/* ---- The tests. ---- */

static void a_sample_reaches_now_and_the_journal(void **state)
{
    (void)state;
    struct world w;
    struct now_value v;
    begin(&w, 10);
    put_level(&w, 1.5);
    put_level(&w, 2.5);
    step(&w, 1);
    const struct tag_state *t = engine_tag(w.e, LEVEL);
    assert_int_equal(now_read(t->zone, t->tag, &v), 0);
    assert_true(v.slot.value.f64 == 2.5 && v.slot.time == T0);
    assert_ledger(&w, LEVEL, (uint64_t[]){2, 2, 0, 0, 0});
    assert_int_equal(held(&w).samples, 2);
    end(&w);
}

static void every_sample_ends_in_one_place(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 10);
    put_count(&w, 100);
    put_count(&w, 103);   /* within the deadband */
    put_count(&w, 106);   /* beyond it */
    put_count(&w, 70000); /* no uint16 */
    put(&w, COUNT, (union slot_value){0}, (uint32_t)STATUS_BAD_TIMEOUT);
    put(&w, COUNT, (union slot_value){0}, (uint32_t)STATUS_BAD_TIMEOUT); /* says nothing new */
    put_count(&w, 106); /* back: passed on although it is the old value */
    step(&w, 1);
    assert_ledger(&w, COUNT, (uint64_t[]){7, 4, 2, 1, 0});
    assert_int_equal(held(&w).samples, 4);
    end(&w);
}

static void put_text(struct world *w, const char *text)
{
    struct slot head = {.time = w->utc, .tag = NAME | SLOT_LONG};
    assert_int_equal(ring_put_record(&w->up, &head, text, strlen(text)), 0);
    ring_publish(&w->up);
}

static void a_text_lies_in_the_slots_behind(void **state)
{
    (void)state;
    struct world w;
    struct now_value v;
    begin(&w, 10);
    put_text(&w, "pump 7");
    put_text(&w, "longer than the sixteen bytes of the tag");
    step(&w, 1);
    const struct tag_state *t = engine_tag(w.e, NAME);
    assert_int_equal(now_read(t->zone, t->tag, &v), 0);
    assert_int_equal(v.length, 6);
    assert_memory_equal(v.bytes, "pump 7", 6);
    assert_ledger(&w, NAME, (uint64_t[]){2, 1, 0, 1, 0});
    end(&w);
}

static void the_tail_waits_for_the_disk(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 3600000);
    put_level(&w, 1);
    for (int i = 0; i < 50; i++) {
        step(&w, 1);
        poll(NULL, 0, 1);
    }
    assert_int_equal(atomic_load(&w.g->seats[FIELD].up_tail->tail), 0);
    journal_flush(w.journal);
    settle(&w);
    assert_int_equal(atomic_load(&w.g->seats[FIELD].up_tail->tail), 1);
    end(&w);
}

static void a_restarted_engine_takes_nothing_twice(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 10);
    put_level(&w, 1);
    step(&w, 1);
    stop_engine(&w); /* durable, but the tail did not move */
    assert_int_equal(atomic_load(&w.g->seats[FIELD].up_tail->tail), 0);
    put_level(&w, 2);
    start_engine(&w);
    step(&w, 1);
    assert_ledger(&w, LEVEL, (uint64_t[]){2, 2, 0, 0, 0});
    assert_int_equal(held(&w).samples, 2);
    end(&w);
}

static void a_ring_ahead_of_the_journal_is_a_gap(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 10);
    put_level(&w, 1);
    step(&w, 1);
    settle(&w);
    put_level(&w, 2);
    put_level(&w, 3);
    stop_engine(&w);
    atomic_store(&w.g->seats[FIELD].up_tail->tail, 3); /* released, and not in the journal */
    start_engine(&w);
    step(&w, 1);
    struct held h = held(&w);
    assert_int_equal(h.samples, 1);
    assert_int_equal(h.gaps[GAP_JOURNAL_FAILED], 1);
    assert_int_equal(h.missed, 2);
    end(&w);
}

/* As a box counts what found no room in its ring. */
static void drop(struct world *w, uint64_t count)
{
    struct drop_counter *d = w->g->seats[FIELD].drops;
    atomic_store(&d->first_ns, w->utc);
    atomic_store(&d->last_ns, w->utc + 5);
    atomic_fetch_add(&d->count, count);
    ring_count_dropped(&w->up, count);
}

static void drops_become_gaps_once(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 3600000);
    _Atomic uint64_t *seen = w.g->seats[FIELD].drops_seen;
    drop(&w, 7);
    step(&w, 200);
    assert_ledger(&w, LEVEL, (uint64_t[]){7, 0, 0, 0, 7});
    assert_int_equal(atomic_load(seen), 0); /* the gap is not durable yet */
    journal_flush(w.journal);
    settle(&w);
    assert_int_equal(atomic_load(seen), 7);
    stop_engine(&w);
    start_engine(&w);
    step(&w, 200);
    assert_ledger(&w, LEVEL, (uint64_t[]){7, 0, 0, 0, 7});
    struct held h = held(&w);
    assert_int_equal(h.gaps[GAP_RING_FULL], 1);
    assert_int_equal(h.produced, 7);
    end(&w);
}

static void a_foreign_tag_condemns(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 10);
    put_level(&w, 1);
    put(&w, FOREIGN, (union slot_value){.f64 = 1}, 0);
    put_level(&w, 2);
    step(&w, 1);
    assert_true(is_condemned(&w));
    assert_int_equal(atomic_load(&w.g->seats[FIELD].verdict->epoch), w.g->life + 1);
    put_level(&w, 3); /* not heard any more */
    step(&w, 200);
    assert_ledger(&w, LEVEL, (uint64_t[]){1, 1, 0, 0, 0});
    assert_int_equal(held(&w).gaps[GAP_BOX_FAULT], 1);
    end(&w);
}

/* The supervisor's part: starts the process anew, with empty rings if they held garbage. */
static void restart_box(struct world *w)
{
    if (is_condemned(w)) {
        gateway_reset_rings(w->g, FIELD);
    }
    atomic_store(&w->g->seats[FIELD].verdict->raised, 0);
    atomic_fetch_add(&w->g->health->seats[FIELD].starts, 1);
    attach_box(w);
}

static void a_restart_counts_by_the_supervisors_word(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 10);
    atomic_store(&w.g->seats[FIELD].panel->heartbeat_ns, 1);
    step(&w, 200);
    atomic_fetch_add(&w.g->seats[FIELD].panel->epoch, 1); /* the box's own word: not believed */
    step(&w, 200);
    assert_int_equal(held(&w).gaps[GAP_BOX_DOWN], 0);
    restart_box(&w);
    step(&w, 1000);
    struct held h = held(&w);
    assert_int_equal(h.gaps[GAP_BOX_DOWN], 1);
    assert_int_equal(h.missed, 12 * 3); /* 1.2 s since its heart was heard, three tags at 100 ms */
    put_level(&w, 1);
    step(&w, 1);
    assert_int_equal(held(&w).samples, 1);
    end(&w);
}

static void a_silent_heart_makes_its_tags_bad(void **state)
{
    (void)state;
    struct world w;
    struct now_value v;
    begin(&w, 10);
    put_level(&w, 1);
    step(&w, 1);
    const struct tag_state *t = engine_tag(w.e, LEVEL);
    for (int i = 0; i < 100; i++) { /* it beats, by a clock that has nothing to do with ours */
        atomic_store(&w.g->seats[FIELD].panel->heartbeat_ns, 7 + i);
        step(&w, 100);
    }
    assert_int_equal(now_read(t->zone, t->tag, &v), 0);
    assert_int_equal(v.slot.status, 0);
    step(&w, 6000);
    assert_int_equal(now_read(t->zone, t->tag, &v), 0);
    assert_int_equal(v.slot.status, (uint32_t)STATUS_BAD_NO_COMMUNICATION);
    end(&w);
}

/* Valid content of every kind that a box may write. Slots. */
static size_t valid_content(struct slot *out)
{
    struct record_batch batch = {.clock_uncertainty_ns = -1};
    struct record_gap gap = {
        .scope = GAP_TAG, .which = COUNT, .cause = GAP_POLL_LATE, .from_ns = T0, .to_ns = T0};
    struct record_event event = {.text = "the device is there"};
    struct record_store store = {.key = "k", .size = 3};
    struct record_command command = {.tag = LEVEL, .type = VALUE_FLOAT64};
    uint8_t stored[sizeof store + 3] = {0};
    memcpy(stored, &store, sizeof store);
    const struct {
        struct slot head;
        const void *payload;
        size_t size;
    } records[] = {
        {{.tag = record_tag(RECORD_BATCH)}, &batch, sizeof batch},
        {{.tag = NAME | SLOT_LONG}, "text", 4},
        {{.tag = record_tag(RECORD_GAP)}, &gap, sizeof gap},
        {{.tag = record_tag(RECORD_EVENT), .status = EVENT_DEVICE_UP}, &event, sizeof event},
        {{.tag = record_tag(RECORD_STORE), .status = 1}, stored, sizeof stored},
        {{.tag = record_tag(RECORD_COMMAND), .status = 2}, &command, sizeof command},
    };
    size_t used = 0;
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        struct slot *head = out + used;
        size_t slots = slot_count_for(records[i].size);
        memset(head, 0, slots * sizeof *head);
        *head = records[i].head;
        head->time = T0;
        head->value.u64 = records[i].size;
        memcpy(head + 1, records[i].payload, records[i].size);
        used += slots;
    }
    out[used++] = (struct slot){.time = T0, .tag = LEVEL, .value.f64 = 1};
    return used;
}

/* The ring's bytes as a hostile process can write them: straight into its memory. */
static void feed(struct world *w, const struct slot *slots, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        w->up.slots[(w->up.next + i) & (w->up.capacity - 1)] = slots[i];
    }
    w->up.next += count;
    ring_publish(&w->up);
}

static void no_byte_of_a_ring_does_harm(void **state)
{
    (void)state;
    struct world w;
    struct slot valid[128], bad[128];
    size_t count = valid_content(valid);
    begin(&w, 10);
    feed(&w, valid, count);
    step(&w, 1);
    assert_false(is_condemned(&w));
    for (size_t cut = 0; cut < count; cut++) { /* every truncation */
        feed(&w, valid, cut);
        step(&w, 1);
        assert_balanced(&w);
        restart_box(&w);
        step(&w, 200);
    }
    for (size_t at = 0; at < count * sizeof *valid; at++) { /* every single corrupted byte */
        memcpy(bad, valid, sizeof bad);
        ((uint8_t *)bad)[at] ^= (uint8_t)(1u << at % 8 | 0x80);
        feed(&w, bad, count);
        step(&w, 1);
        assert_balanced(&w);
        if (at % 16 == 15) {
            settle(&w);
        }
        restart_box(&w);
        step(&w, 200);
    }
    put_level(&w, 5);
    step(&w, 1);
    struct now_value v;
    const struct tag_state *t = engine_tag(w.e, LEVEL);
    assert_int_equal(now_read(t->zone, t->tag, &v), 0);
    assert_true(v.slot.value.f64 == 5);
    end(&w);
}

/* Same input, same clock: the same records. */
static void the_step_is_deterministic(void **state)
{
    (void)state;
    struct slot got[2][512];
    size_t used[2] = {0};
    for (int run = 0; run < 2; run++) {
        struct world w;
        struct slot valid[128];
        struct follow *f;
        struct follow_frame frame;
        begin(&w, 10);
        feed(&w, valid, valid_content(valid));
        drop(&w, 3);
        step(&w, 200);
        settle(&w);
        assert_int_equal(follow_open(&f, w.dir_fd, &w.g->engine->marks, 0), 0);
        while (follow_next(f, &frame) > 0) {
            assert_true(used[run] + frame.slot_count <= 512);
            memcpy(got[run] + used[run], frame.slots, frame.slot_count * sizeof *frame.slots);
            used[run] += frame.slot_count;
        }
        follow_close(f);
        end(&w);
    }
    assert_true(used[0] > 20 && used[0] == used[1]);
    assert_memory_equal(got[0], got[1], used[0] * sizeof **got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_reaches_now_and_the_journal),
        cmocka_unit_test(every_sample_ends_in_one_place),
        cmocka_unit_test(a_text_lies_in_the_slots_behind),
        cmocka_unit_test(the_tail_waits_for_the_disk),
        cmocka_unit_test(a_restarted_engine_takes_nothing_twice),
        cmocka_unit_test(a_ring_ahead_of_the_journal_is_a_gap),
        cmocka_unit_test(drops_become_gaps_once),
        cmocka_unit_test(a_foreign_tag_condemns),
        cmocka_unit_test(a_restart_counts_by_the_supervisors_word),
        cmocka_unit_test(a_silent_heart_makes_its_tags_bad),
        cmocka_unit_test(no_byte_of_a_ring_does_harm),
        cmocka_unit_test(the_step_is_deterministic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
