/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "reader/world.h"
#include "tag/status.h"

/* What a box got since the last look. */
struct got {
    struct {
        uint64_t sequence;
        uint32_t flags, request;
        struct slot slot;
    } records[2048];
    size_t record_count;
    struct answer ends[600];
    size_t end_count;
    uint8_t rows[16][400];
    size_t row_count, row_sizes[16];
};

static void take_answer(struct got *got, struct answer *run, const struct slot *s)
{
    struct answer a;
    if (s->tag != record_tag(RECORD_ANSWER)) {
        assert_true(run->count > 0);
        got->records[got->record_count].sequence = run->first_sequence++;
        got->records[got->record_count].flags = run->flags;
        got->records[got->record_count].request = run->request;
        got->records[got->record_count++].slot = *s;
        run->count--;
        return;
    }
    assert_int_equal(run->count, 0);
    memcpy(&a, slot_payload(s), sizeof a);
    if (a.kind == ANSWER_RUN) {
        *run = a;
    } else if (a.kind == ANSWER_END) {
        got->ends[got->end_count++] = a;
    } else {
        got->row_sizes[got->row_count] = (size_t)s->value.u64 - sizeof a;
        memcpy(got->rows[got->row_count], slot_payload(s) + sizeof a,
               got->row_sizes[got->row_count]);
        got->row_count++;
    }
}

static void look(struct world *w, uint32_t box, struct got *got)
{
    struct answer run = {0};
    struct slot slots[SLOT_RECORD_MAX];
    memset(got, 0, sizeof *got);
    do {
        for (int count; (count = ring_take(&w->answer[box], slots, SLOT_RECORD_MAX)) > 0;) {
            size_t length = slot_record_length(slots);
            assert_true(length && length <= (size_t)count);
            take_answer(got, &run, slots);
            ring_step_back(&w->answer[box], (size_t)count - length);
            ring_release(&w->answer[box], w->answer[box].next);
        }
        world_run(w);
    } while (ring_waiting(&w->answer[box]));
}

static struct got got;

static void ask(struct world *w, uint32_t box, struct ask a)
{
    world_ask(w, box, &a);
    world_run(w);
    look(w, box, &got);
}

static void confirm(struct world *w, struct cursor_range range)
{
    world_ask(w, WORLD_CLOUD, &(struct ask){.kind = ASK_FEED_CONFIRM, .confirm = range});
    world_run(w);
}

static void everything_is_sent_once_and_confirmed(void **state)
{
    (void)state;
    struct world *w = world_new(false);
    world_samples(w, 1, 3);
    world_samples(w, 3, 5); /* not of the feed */
    ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_UP, .request = 1});
    assert_int_equal(got.end_count, 1);
    assert_int_equal(got.ends[0].error, 0);
    world_samples(w, 2, 2);
    ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_NEXT, .request = 2, .max_records = 100});
    assert_int_equal(got.record_count, 3);
    assert_int_equal(got.records[0].sequence, 1);
    assert_int_equal(got.records[2].flags, ANSWER_BACKLOG);
    struct cursor_range backlog = got.ends[0].covers;
    assert_int_equal(backlog.from, 0);
    assert_int_equal(backlog.to, 9);
    ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_NEXT, .request = 3, .max_records = 100});
    assert_int_equal(got.record_count, 2);
    assert_int_equal(got.records[0].sequence, 9);
    assert_int_equal(got.records[0].flags, 0);
    struct cursor_range live = got.ends[0].covers;

    /* nothing there: answered when something comes */
    ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_NEXT, .request = 4, .max_records = 100});
    assert_int_equal(got.end_count, 0);
    world_samples(w, 3, 1);
    world_run(w);
    look(w, WORLD_CLOUD, &got);
    assert_int_equal(got.end_count, 0);
    world_samples(w, 1, 1);
    world_run(w);
    look(w, WORLD_CLOUD, &got);
    assert_int_equal(got.record_count, 1);
    assert_int_equal(got.end_count, 1);

    ask(w, WORLD_CONSOLE, (struct ask){.kind = ASK_FEEDS, .request = 5});
    struct answer_feed row;
    memcpy(&row, got.rows[0], sizeof row);
    assert_int_equal(row.delivered, 0);
    assert_int_equal(row.journaled, 0); /* nothing is durable yet */
    assert_int_equal(row.connected, 1);
    assert_int_equal(row.balanced, 1);

    /* the cursor moves only up to the durable mark */
    confirm(w, backlog);
    confirm(w, live);
    world_pass(w, 200);
    assert_int_equal(w->stores, 1); /* when its account begins */
    world_durable(w, 9);
    world_pass(w, 200);
    assert_int_equal(w->stores, 2);
    assert_int_equal(w->core->feeds[0].delivered, 3);
    assert_int_equal(w->core->feeds[0].account.journaled, 3);
    world_durable(w, 12);
    world_pass(w, 200);
    world_restart_reader(w);
    world_run(w);
    ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_UP, .request = 6});
    ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_NEXT, .request = 7, .max_records = 100});
    assert_int_equal(got.record_count, 1); /* what was never confirmed */
    assert_int_equal(got.records[0].sequence, 12);
    assert_int_equal(got.records[0].flags, ANSWER_BACKLOG);
    world_durable(w, 13);
    ask(w, WORLD_CONSOLE, (struct ask){.kind = ASK_FEEDS, .request = 8});
    memcpy(&row, got.rows[0], sizeof row);
    assert_int_equal(row.journaled, 6);
    assert_int_equal(row.delivered, 5);
    assert_int_equal(row.pending, 1);
    assert_int_equal(row.balanced, 1);
    assert_true(row.oldest_pending_ns > 0);
    world_free(w);
    world_forget();
}

static void live_goes_first_and_both_lanes_keep_their_order(void **state)
{
    (void)state;
    struct world *w = world_new(true);
    world_samples(w, 1, 300);
    ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_UP, .request = 1});
    world_samples(w, 2, 300);
    uint64_t next[2] = {301, 1}; /* live, backlog */
    for (uint32_t i = 0; next[0] < 601 || next[1] < 301; i++) {
        ask(w, WORLD_CLOUD,
            (struct ask){.kind = ASK_FEED_NEXT, .request = 2 + i, .max_records = 50});
        assert_int_equal(got.end_count, 1);
        assert_int_equal(got.record_count, 50);
        uint32_t lane = got.records[0].flags;
        assert_int_equal(lane, i % 2); /* live, then in turn */
        for (size_t k = 0; k < got.record_count; k++) {
            assert_int_equal(got.records[k].sequence, next[lane]++);
        }
        confirm(w, got.ends[0].covers);
    }
    world_durable(w, 601);
    world_pass(w, 200);
    assert_int_equal(w->core->feeds[0].cursor.count, 1);
    assert_int_equal(w->core->feeds[0].delivered, 600);
    world_free(w);
    world_forget();
}

static void what_was_not_confirmed_comes_again_as_backlog(void **state)
{
    (void)state;
    struct world *w = world_new(true);
    struct cursor_range covers[4];
    ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_UP, .request = 1});
    for (uint32_t i = 0; i < 4; i++) {
        world_samples(w, 1, 10);
        ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_NEXT, .request = 2, .max_records = 10});
        assert_int_equal(got.record_count, 10);
        covers[i] = got.ends[0].covers;
    }
    confirm(w, covers[0]);
    confirm(w, covers[2]);
    confirm(w, (struct cursor_range){covers[3].from, covers[3].to - 1}); /* a part: not believed */
    world_durable(w, 41);
    world_run(w);
    atomic_fetch_add(&w->seats[SEAT_BOX + WORLD_CLOUD].panel->epoch, 1); /* the box restarts */
    ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_NEXT, .request = 3});
    assert_int_equal(got.ends[0].error, -ERR_CLOSED);
    ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_UP, .request = 4});
    confirm(w, (struct cursor_range){0, UINT64_MAX}); /* nothing was sent yet */
    static const uint64_t again[] = {11, 31};
    for (size_t i = 0; i < 2; i++) {
        ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_NEXT, .request = 5, .max_records = 99});
        assert_int_equal(got.record_count, 10);
        assert_int_equal(got.records[0].sequence, again[i]);
        assert_int_equal(got.records[9].flags, ANSWER_BACKLOG);
    }
    world_free(w);
    world_forget();
}

static void put_gap(struct world *w, uint32_t scope, uint32_t which)
{
    struct slot slots[4] = {
        {.time = w->now_ns, .value.u64 = sizeof(struct record_gap), .tag = record_tag(RECORD_GAP)}};
    struct record_gap gap = {.scope = scope, .which = which, .cause = GAP_DEVICE_DOWN};
    memcpy(slots + 1, &gap, sizeof gap);
    world_journal(w, slots, slot_count_for(sizeof gap));
}

static void a_feed_gets_the_gaps_that_concern_it(void **state)
{
    (void)state;
    static const struct {
        uint32_t scope, which;
        size_t seen;
    } rows[] = {{GAP_TAG, 1, 1},    {GAP_TAG, 3, 0},     {GAP_DEVICE, 0, 1},
                {GAP_DEVICE, 1, 0}, {GAP_DEVICE, 99, 0}, {GAP_BOX, 0, 1},
                {GAP_BOX, 2, 0},    {GAP_ALL, 0, 1},     {77, 0, 0}};
    struct world *w = world_new(true);
    size_t all = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_UP, .request = 1});
        put_gap(w, rows[i].scope, rows[i].which);
        world_samples(w, 1, 1);
        ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_NEXT, .request = 2});
        assert_int_equal(got.record_count, rows[i].seen + 1);
        all += rows[i].scope != 77 && rows[i].which != 99;
    }
    ask(w, WORLD_CONSOLE,
        (struct ask){.kind = ASK_GAPS, .request = 3, .to_ns = INT64_MAX, .max_records = 100});
    assert_int_equal(got.record_count, all);
    ask(w, WORLD_CONSOLE,
        (struct ask){.kind = ASK_GAPS, .request = 4, .to_ns = INT64_MAX, .max_records = 2});
    assert_int_equal(got.record_count, 2);
    assert_int_equal(got.ends[0].more, 1);
    world_free(w);
    world_forget();
}

/* What ASK_CAUSES says of one kind of gap; records 0: nothing. */
static struct answer_cause cause_of(uint32_t scope, uint32_t which, uint32_t cause)
{
    struct answer_cause row;
    for (size_t i = 0; i < got.row_count; i++) {
        assert_int_equal(got.row_sizes[i], sizeof row);
        memcpy(&row, got.rows[i], sizeof row);
        if (row.scope == scope && row.which == which && row.cause == cause) {
            return row;
        }
    }
    return (struct answer_cause){0};
}

static void journal_gap(struct world *w, struct record_gap gap)
{
    struct slot slots[4] = {
        {.time = w->now_ns, .value.u64 = sizeof gap, .tag = record_tag(RECORD_GAP)}};
    memcpy(slots + 1, &gap, sizeof gap);
    world_journal(w, slots, slot_count_for(sizeof gap));
}

static void causes_add_up_within_the_scope(void **state)
{
    (void)state;
    struct world *w = world_new(true);
    for (uint32_t i = 0; i < 3; i++) {
        journal_gap(w, (struct record_gap){GAP_TAG, 1, GAP_RING_FULL, 0, 10 + i, 20 + i, 5, 0});
        journal_gap(w, (struct record_gap){GAP_TAG, 3, GAP_JOURNAL_FULL, 0, 50, 60, 7, 0});
    }
    journal_gap(w, (struct record_gap){GAP_DEVICE, 1, GAP_POLL_LATE, 0, 30, 40, 0, 9});
    journal_gap(w, (struct record_gap){GAP_TAG, 1, 77, 0, 30, 40, 0, 1});
    world_durable(w, 8); /* the last one is not durable yet */
    ask(w, WORLD_CONSOLE, (struct ask){.kind = ASK_CAUSES, .request = 1});
    assert_int_equal(got.row_count, 3);
    struct answer_cause row = cause_of(GAP_TAG, 1, GAP_RING_FULL);
    assert_int_equal(row.records, 3);
    assert_int_equal(row.produced, 15);
    assert_int_equal(row.from_ns, 10);
    assert_int_equal(row.to_ns, 22);
    assert_int_equal(cause_of(GAP_TAG, 3, GAP_JOURNAL_FULL).produced, 21);
    assert_int_equal(cause_of(GAP_DEVICE, 1, GAP_POLL_LATE).missed, 9);
    world_durable(w, 9); /* the table goes on, nothing counts twice */
    ask(w, WORLD_CONSOLE, (struct ask){.kind = ASK_CAUSES, .request = 1});
    assert_int_equal(got.row_count, 4);
    assert_int_equal(cause_of(GAP_TAG, 1, GAP_RING_FULL).produced, 15);
    assert_int_equal(cause_of(GAP_TAG, 1, GAP_CAUSE_END).missed, 1);
    ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_CAUSES, .request = 1});
    assert_int_equal(got.row_count, 2); /* tag 3 and device 1 are none of its business */
    ask(w, WORLD_CONSOLE,
        (struct ask){.kind = ASK_CAUSES, .request = 1, .from_ns = 22, .to_ns = 45});
    assert_int_equal(got.row_count, 3);
    assert_int_equal(cause_of(GAP_TAG, 1, GAP_RING_FULL).records, 1);
    world_free(w);
    world_forget();
}

static void reading_goes_on_where_it_ended(void **state)
{
    (void)state;
    struct world *w = world_new(false);
    for (size_t i = 0; i < 40; i++) {
        world_samples(w, 1 + (uint32_t)i % 3, 100);
    }
    uint64_t at = 0, next = 1;
    do {
        ask(w, WORLD_CONSOLE,
            (struct ask){.kind = ASK_READ, .request = 1, .from_sequence = at, .max_records = 333});
        assert_int_equal(got.end_count, 1);
        assert_int_equal(got.ends[0].covers.from, at);
        for (size_t i = 0; i < got.record_count; i++) {
            assert_int_equal(got.records[i].sequence, next);
            assert_true(got.records[i].slot.value.f64 == (double)next++);
        }
        at = got.ends[0].covers.to;
    } while (got.ends[0].more);
    assert_int_equal(next, 4001);
    assert_int_equal(at, 4001);
    ask(w, WORLD_CONSOLE,
        (struct ask){.kind = ASK_READ, .request = 1, .from_sequence = at, .max_records = 9});
    assert_int_equal(got.end_count, 1); /* at once, empty */
    assert_int_equal(got.ends[0].covers.to, at);
    /* one tag; and a tag that the box may not see */
    ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_READ, .request = 1, .tag = 2});
    assert_int_equal(got.record_count, 1300);
    ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_READ, .request = 1, .tag = 3});
    assert_int_equal(got.ends[0].error, -ERR_REFUSED);
    ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_READ, .request = 1, .from_sequence = 3901});
    assert_int_equal(got.record_count, 100);
    world_free(w);
    world_forget();
}

static void a_reduced_history_keeps_spikes_and_faults(void **state)
{
    (void)state;
    struct world *w = world_new(false);
    struct slot slots[100];
    for (int i = 0; i < 1000; i++) {
        slots[i % 100] = (struct slot){.time = i * NS_PER_S,
                                       .value.f64 = i == 503   ? 99.0
                                                    : i == 504 ? -99.0
                                                               : 1.0,
                                       .tag = 1,
                                       .status = i == 777 ? (uint32_t)STATUS_BAD : 0};
        if (i % 100 == 99) {
            world_journal(w, slots, 100);
        }
    }
    struct ask a = {.kind = ASK_HISTORY,
                    .request = 1,
                    .tag = 1,
                    .from_ns = 100 * NS_PER_S,
                    .to_ns = 899 * NS_PER_S,
                    .max_records = 80};
    ask(w, WORLD_CLOUD, a);
    assert_int_equal(got.ends[0].error, 0);
    assert_in_range(got.record_count, 20, 80);
    double least = 0, greatest = 0;
    bool bad = false;
    for (size_t i = 0; i < got.record_count; i++) {
        const struct slot *s = &got.records[i].slot;
        least = s->value.f64 < least ? s->value.f64 : least;
        greatest = s->value.f64 > greatest ? s->value.f64 : greatest;
        bad |= s->status == (uint32_t)STATUS_BAD;
        assert_true(!i || s->time > got.records[i - 1].slot.time);
    }
    assert_true(least == -99.0 && greatest == 99.0 && bad);
    assert_int_equal(got.records[0].slot.time, 100 * NS_PER_S);
    assert_int_equal(got.records[got.record_count - 1].slot.time, 899 * NS_PER_S);
    a.max_records = 0;
    ask(w, WORLD_CLOUD, a);
    assert_int_equal(got.record_count, 800);
    a.tag = 3;
    ask(w, WORLD_CLOUD, a);
    assert_int_equal(got.ends[0].error, -ERR_REFUSED);
    world_free(w);
    world_forget();
}

static void state_is_answered_within_the_scope(void **state)
{
    (void)state;
    static const struct {
        uint32_t kind, box;
        size_t records, rows;
    } rows[] = {
        {ASK_NOW, WORLD_CLOUD, 2, 0},       {ASK_NOW, WORLD_CONSOLE, 4, 0},
        {ASK_LEDGER, WORLD_CLOUD, 0, 3},    {ASK_LEDGER, WORLD_CONSOLE, 0, 5},
        {ASK_FEEDS, WORLD_CLOUD, 0, 1},     {ASK_FEEDS, WORLD_CONSOLE, 0, 1},
        {ASK_DEVICES, WORLD_CLOUD, 0, 1},   {ASK_DEVICES, WORLD_CONSOLE, 0, 2},
        {ASK_PROCESSES, WORLD_CLOUD, 0, 7}, {ASK_PROCESSES, WORLD_CONSOLE, 0, 9},
        {ASK_JOURNAL, WORLD_CLOUD, 0, 1},   {99, WORLD_CLOUD, 0, 0},
    };
    struct world *w = world_new(false);
    const struct plan_tag *text = plan_find_tag(&w->g.plan, 4);
    world_run(w);
    now_write(&w->zone, text, &(struct slot){.time = 5, .value.u64 = 30, .tag = 4},
              (const uint8_t *)"thirty bytes of text, no more!", 9);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ask(w, rows[i].box, (struct ask){.kind = rows[i].kind, .request = 4, .tag_to = 1000});
        assert_int_equal(got.end_count, 1);
        assert_int_equal(got.ends[0].request, 4);
        assert_int_equal(got.record_count, rows[i].records);
        assert_int_equal(got.row_count, rows[i].rows);
        if (rows[i].kind == ASK_NOW && rows[i].box == WORLD_CONSOLE) {
            assert_int_equal(got.records[3].sequence, 9);
            assert_int_equal(got.records[3].slot.value.u64, 30);
            assert_int_equal(got.records[3].flags, ANSWER_NOW);
        }
    }
    ask(w, WORLD_CONSOLE,
        (struct ask){.kind = ASK_NOW, .request = 1, .tag_to = 9, .max_records = 3});
    assert_int_equal(got.record_count, 3);
    assert_int_equal(got.ends[0].more, 1);
    ask(w, WORLD_CONSOLE,
        (struct ask){.kind = ASK_HEAD, .request = 1, .from_sequence = 1, .max_ms = 500});
    assert_int_equal(got.end_count, 0);
    world_samples(w, 1, 1);
    world_run(w);
    look(w, WORLD_CONSOLE, &got);
    assert_int_equal(got.ends[0].covers.to, 2);
    ask(w, WORLD_CONSOLE,
        (struct ask){.kind = ASK_HEAD, .request = 1, .from_sequence = 2, .max_ms = 500});
    assert_int_equal(got.end_count, 0);
    world_pass(w, 600);
    look(w, WORLD_CONSOLE, &got);
    assert_int_equal(got.end_count, 1);
    world_free(w);
    world_forget();
}

static struct answer_journal ask_journal(struct world *w)
{
    struct answer_journal row = {0};
    ask(w, WORLD_CONSOLE, (struct ask){.kind = ASK_JOURNAL, .request = 1});
    assert_int_equal(got.row_count, 1);
    assert_int_equal(got.row_sizes[0], sizeof row);
    memcpy(&row, got.rows[0], sizeof row);
    return row;
}

static void a_growing_journal_has_a_forecast(void **state)
{
    (void)state;
    struct world *w = world_new(false);
    world_run(w);
    assert_int_equal(ask_journal(w).known, 0);
    for (int minute = 0; minute < 10; minute++) {
        world_pass(w, 60000);
        atomic_fetch_add(&w->engine.marks.disk_bytes, 1000000);
        atomic_fetch_add(&w->engine.marks.bytes_written, 1000000);
    }
    world_pass(w, 1);
    struct answer_journal row = ask_journal(w);
    assert_int_equal(row.known, 1);
    assert_true(row.growth_a_day > 1.3e9 && row.growth_a_day < 1.7e9); /* 1,440 minutes a day */
    assert_true(row.room_bytes > 0);
    assert_int_not_equal(row.end, FORECAST_NEVER);
    assert_true(row.days > 0 && row.days < 1); /* 1 GiB is the limit */
    assert_true(row.flash_a_day > 2.6e9 && row.flash_years == 0);
    world_free(w);
    world_forget();
}

static void too_many_requests_end_full_and_nothing_blocks(void **state)
{
    (void)state;
    struct world *w = world_new(false);
    ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_UP, .request = 1});
    size_t full = 0, ends = 0;
    for (uint32_t i = 0; i < 400; i++) {
        world_ask(w, WORLD_CLOUD, &(struct ask){.kind = ASK_FEED_NEXT, .request = i + 1});
        world_run(w);
        if (i % 50 == 49) {
            look(w, WORLD_CLOUD, &got);
            ends += got.end_count;
            for (size_t k = 0; k < got.end_count; k++) {
                full += got.ends[k].error == (uint32_t)-ERR_FULL;
            }
        }
    }
    assert_int_equal(full, 400 - REQUESTS_MAX);
    assert_int_equal(ends, full);
    ask(w, WORLD_CONSOLE, (struct ask){.kind = ASK_JOURNAL, .request = 1});
    assert_int_equal(got.row_count, 1); /* others are served */
    world_free(w);
    world_forget();
}

static void an_answer_that_does_not_fit_goes_on_later(void **state)
{
    (void)state;
    struct world *w = world_new(false);
    for (size_t i = 0; i < 20; i++) {
        world_samples(w, 1, 400); /* far beyond the ring of 1024 slots */
    }
    uint64_t next = 1;
    world_ask(w, WORLD_CONSOLE, &(struct ask){.kind = ASK_READ, .request = 1});
    ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_UP, .request = 1});
    for (uint32_t turn = 0; next < 8001 && turn < 100; turn++) {
        ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_NEXT, .request = 2});
        for (size_t i = 0; i < got.record_count; i++) {
            assert_int_equal(got.records[i].sequence, next++);
        }
    }
    assert_int_equal(next, 8001);
    world_free(w);
    world_forget();
}

/* Steps until the box has an answer; at most 100. */
static int steps_to_answer(struct world *w, uint32_t box)
{
    int steps = 0;
    while (!ring_waiting(&w->answer[box]) && steps < 100) {
        w->now_ns += NS_PER_MS;
        (void)core_step(w->core, w->now_ns, w->now_ns);
        steps++;
    }
    return steps;
}

static void a_long_query_stalls_no_other(void **state)
{
    (void)state;
    struct world *w = world_new(true);
    for (int i = 0; i < 960; i++) {
        world_samples(w, 2, 500);
    }
    world_run(w);
    const struct ask all = {
        .kind = ASK_HISTORY, .request = 1, .tag = 2, .max_records = 40, .to_ns = INT64_MAX};
    const struct ask none = {.kind = ASK_HISTORY, .request = 1, .tag = 2, .to_ns = 1};
    const struct ask last = {.kind = ASK_READ, .request = 2, .from_sequence = 479990};
    static const uint32_t boxes[][2] = {{WORLD_CLOUD, WORLD_CONSOLE}, {WORLD_CONSOLE, WORLD_CLOUD}};
    for (int i = 0; i < 2; i++) {
        world_ask(w, boxes[i][0], &all);
        world_ask(w, boxes[i][1], &last);
        assert_true(steps_to_answer(w, boxes[i][1]) <= 2);
        assert_true(steps_to_answer(w, boxes[i][0]) >= 4);
        look(w, WORLD_CLOUD, &got);
        look(w, WORLD_CONSOLE, &got);
    }
    world_ask(w, WORLD_CONSOLE, &all); /* and of one box */
    world_ask(w, WORLD_CONSOLE, &last);
    look(w, WORLD_CONSOLE, &got);
    assert_int_equal(got.end_count, 2);
    assert_int_equal(got.ends[0].request, 2);
    world_ask(w, WORLD_CONSOLE, &none); /* frames that are stepped over are read too */
    assert_true(steps_to_answer(w, WORLD_CONSOLE) >= 4);
    look(w, WORLD_CONSOLE, &got);
    world_free(w);
    world_forget();
}

/* As the supervisor does it: with empty rings. */
static void restart_box(struct world *w, uint32_t box)
{
    struct seat *s = w->seats + SEAT_BOX + box;
    atomic_store(&s->ask_tail->tail, w->ask[box].next);
    atomic_fetch_add(&s->panel->epoch, 1);
    world_run(w);
}

static void garbage_harms_only_the_box_that_wrote_it(void **state)
{
    (void)state;
    struct world *w = world_new(true);
    world_samples(w, 1, 100);
    world_run(w);
    struct ring_head *head = w->seats[SEAT_BOX + WORLD_CLOUD].ask;
    uint64_t before = atomic_load(&head->head);
    atomic_store(&head->head, before + 5 * 1024);
    world_run(w);
    assert_true(w->core->links[0].broken);
    atomic_store(&head->head, before);
    ask(w, WORLD_CONSOLE, (struct ask){.kind = ASK_JOURNAL, .request = 1});
    assert_int_equal(got.row_count, 1);
    ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_JOURNAL, .request = 1});
    assert_int_equal(got.row_count, 0); /* ignored until it is restarted */
    atomic_fetch_add(&w->seats[SEAT_BOX + WORLD_CLOUD].panel->epoch, 1);
    world_run(w);
    look(w, WORLD_CLOUD, &got);
    ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_JOURNAL, .request = 1});
    assert_int_equal(got.row_count, 1);
    const struct verdict *v = w->seats[SEAT_BOX + WORLD_CLOUD].reader_verdict;
    assert_int_equal(atomic_load(&v->raised), 1);
    struct slot foreign[1 + (sizeof(struct ask) + 23) / 24];
    struct ask confirm = {.kind = ASK_FEED_CONFIRM, .feed = 7};
    memset(foreign, 0, sizeof foreign);
    foreign[0] = (struct slot){.tag = record_tag(RECORD_ASK), .value.u64 = sizeof confirm};
    memcpy(foreign + 1, &confirm, sizeof confirm);
    const struct {
        struct slot slots[2];
        const struct slot *more;
        size_t count;
    } rows[] = {{{{.tag = 1}}, NULL, 1},
                {{{.tag = record_tag(RECORD_ASK), .value.u64 = 24}}, NULL, 2},
                {{{.tag = record_tag(RECORD_ASK), .value.u64 = 1u << 30}}, NULL, 1},
                {{{0}}, foreign, sizeof foreign / sizeof *foreign}};
    for (uint32_t i = 0; i < 4; i++) {
        const struct slot *slots = rows[i].more ? rows[i].more : rows[i].slots;
        assert_false(w->core->links[0].broken);
        assert_int_equal(ring_put(&w->ask[WORLD_CLOUD], slots, rows[i].count), 0);
        ring_publish(&w->ask[WORLD_CLOUD]);
        world_run(w);
        assert_true(w->core->links[0].broken);
        assert_int_equal(atomic_load(&v->raised), i + 2); /* the supervisor is told */
        char reason[97];
        text_from_words(v->reason, 12, reason);
        assert_string_equal(reason, "wrote garbage: a request is malformed");
        restart_box(w, WORLD_CLOUD);
    }
    world_free(w);
    world_forget();
}

static void every_corruption_of_an_ask_is_survived(void **state)
{
    (void)state;
    struct world *w = world_new(true);
    for (uint32_t i = 0; i < 20; i++) {
        world_samples(w, 1 + i % 3, 10);
    }
    world_durable(w, 201);
    for (uint32_t kind = 0; kind <= ASK_FEED_CONFIRM + 1; kind++) {
        for (size_t i = 0; i < sizeof(struct ask); i++) {
            struct ask a = {.kind = kind,
                            .request = 1,
                            .tag = kind == ASK_HISTORY,
                            .tag_to = 100,
                            .max_records = 20,
                            .to_ns = INT64_MAX,
                            .confirm = {0, 100}};
            ((uint8_t *)&a)[i] ^= 0xff;
            ask(w, i % 2 ? WORLD_CLOUD : WORLD_CONSOLE, a);
            for (uint32_t box = 0; box < 2; box++) {
                if (w->core->links[box].broken) {
                    restart_box(w, WORLD_CLOUD + box);
                }
            }
        }
        ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_DOWN, .request = 1});
        ask(w, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_UP, .request = 1});
    }
    ask(w, WORLD_CONSOLE, (struct ask){.kind = ASK_JOURNAL, .request = 1});
    assert_int_equal(got.row_count, 1);
    world_free(w);
    world_forget();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_sent_once_and_confirmed),
        cmocka_unit_test(live_goes_first_and_both_lanes_keep_their_order),
        cmocka_unit_test(what_was_not_confirmed_comes_again_as_backlog),
        cmocka_unit_test(a_feed_gets_the_gaps_that_concern_it),
        cmocka_unit_test(causes_add_up_within_the_scope),
        cmocka_unit_test(reading_goes_on_where_it_ended),
        cmocka_unit_test(a_reduced_history_keeps_spikes_and_faults),
        cmocka_unit_test(state_is_answered_within_the_scope),
        cmocka_unit_test(a_growing_journal_has_a_forecast),
        cmocka_unit_test(too_many_requests_end_full_and_nothing_blocks),
        cmocka_unit_test(an_answer_that_does_not_fit_goes_on_later),
        cmocka_unit_test(a_long_query_stalls_no_other),
        cmocka_unit_test(garbage_harms_only_the_box_that_wrote_it),
        cmocka_unit_test(every_corruption_of_an_ask_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
