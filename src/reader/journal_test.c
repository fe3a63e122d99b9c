/* SPDX-License-Identifier: Apache-2.0 */
/* The reader over a journal on disk, with many small segments, and a journal that restarts under it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "history/seal.h"
#include "reader/world.h"

struct disk_world {
    struct world *w;
    struct journal *journal;
    char dir[64];
    int dir_fd;
    uint64_t next; /* value of the next sample; sample n is of tag n % 3 + 1 */
};

static void open_journal(struct disk_world *d)
{
    struct journal_options o = {.dir = d->dir, .plan = &d->w->g.plan, .marks = &d->w->engine.marks};
    struct journal_recovered recovered;
    assert_int_equal(journal_open(&d->journal, &o, &recovered), 0);
}

static int disk_setup(void **state)
{
    struct disk_world *d = calloc(1, sizeof *d);
    strcpy(d->dir, "/tmp/isthmus-reader-XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    d->dir_fd = open(d->dir, O_RDONLY | O_DIRECTORY);
    d->w = world_new(true);
    memset(&d->w->engine.marks, 0, sizeof d->w->engine.marks);
    d->w->disk = &disk_files;
    d->w->dir_fd = d->dir_fd;
    world_restart_reader(d->w);
    open_journal(d);
    *state = d;
    return 0;
}

static int disk_teardown(void **state)
{
    struct disk_world *d = *state;
    journal_close(d->journal);
    DIR *dir = opendir(d->dir);
    for (const struct dirent *e; (e = readdir(dir));) {
        unlinkat(d->dir_fd, e->d_name, 0);
    }
    closedir(dir);
    rmdir(d->dir);
    close(d->dir_fd);
    world_free(d->w);
    free(d);
    return 0;
}

static void put(struct disk_world *d, size_t count)
{
    struct journal_frame f = {
        .box = 0, .box_epoch = 1, .ring_from = d->next, .ring_to = d->next + count};
    f.now_ns = (int64_t)d->next * NS_PER_S;
    struct slot *s = journal_begin(d->journal, &f, count);
    assert_non_null(s);
    for (size_t i = 0; i < count; i++, d->next++) {
        s[i] = (struct slot){.time = (int64_t)d->next * NS_PER_S,
                             .value.f64 = (double)d->next,
                             .tag = (uint32_t)(d->next % 3 + 1)};
    }
    journal_commit(d->journal, count, count);
}

static void settle(struct disk_world *d)
{
    int64_t end = clock_mono_ns() + 10 * NS_PER_S;
    while (journal_durable_sequence(d->journal) < journal_next_sequence(d->journal)) {
        assert_true(clock_mono_ns() < end);
        sched_yield();
    }
    world_run(d->w);
}

struct seen {
    size_t samples, backlog, ends;
    uint64_t next; /* sequence number of the next sample of one lane */
    struct answer end;
    size_t rows;
    struct answer_cause cause; /* the last of them */
};

/* Takes what the box got; samples carry their sequence number as value. */
static struct seen look(struct disk_world *d, uint32_t box)
{
    struct seen seen = {0};
    struct answer run = {0}, a;
    struct slot slots[SLOT_RECORD_MAX];
    struct ring_consumer *ring = d->w->answer + box;
    do {
        for (int count; (count = ring_take(ring, slots, SLOT_RECORD_MAX)) > 0;) {
            size_t length = slot_record_length(slots);
            ring_step_back(ring, (size_t)count - length);
            ring_release(ring, ring->next);
            if (slots->tag != record_tag(RECORD_ANSWER)) {
                bool past = run.epoch == 0; /* history has no sequence numbers */
                assert_true(past || slots->value.f64 == (double)run.first_sequence++);
                seen.samples++;
                seen.backlog += run.flags & ANSWER_BACKLOG;
                continue;
            }
            memcpy(&a, slot_payload(slots), sizeof a);
            seen.ends += a.kind == ANSWER_END;
            seen.end = a.kind == ANSWER_END ? a : seen.end;
            if (a.kind == ANSWER_ROW && slots->value.u64 == sizeof a + sizeof seen.cause) {
                memcpy(&seen.cause, slot_payload(slots) + sizeof a, sizeof seen.cause);
                seen.rows++;
            }
            run = a;
        }
        world_run(d->w);
    } while (ring_waiting(ring));
    return seen;
}

static struct seen ask(struct disk_world *d, uint32_t box, struct ask a)
{
    world_ask(d->w, box, &a);
    world_run(d->w);
    return look(d, box);
}

/* Takes and confirms until the feed has nothing more. */
static struct seen drain(struct disk_world *d)
{
    struct seen all = {0};
    for (;;) {
        struct seen s = ask(d, WORLD_CLOUD,
                            (struct ask){.kind = ASK_FEED_NEXT, .request = 9, .max_records = 500});
        if (!s.ends) {
            return all;
        }
        assert_int_equal(s.end.error, 0);
        all.samples += s.samples;
        all.backlog += s.backlog;
        world_ask(d->w, WORLD_CLOUD,
                  &(struct ask){.kind = ASK_FEED_CONFIRM, .confirm = s.end.covers});
        world_run(d->w);
    }
}

/* ---- The account of the feed, over missing data. Each 300 records put are 200 of its scope. ---- */

static const struct feed *feed_of(const struct disk_world *d)
{
    return d->w->core->feeds;
}

static void assert_account(const struct disk_world *d, uint64_t journaled, uint64_t delivered,
                           uint64_t lost, uint64_t dropped)
{
    const struct feed *f = feed_of(d);
    assert_int_equal(f->account.wrong, 0);
    assert_int_equal(f->account.journaled, journaled);
    assert_int_equal(f->delivered, delivered);
    assert_int_equal(f->account.lost, lost);
    assert_int_equal(f->account.dropped, dropped);
    assert_int_equal(feed_pending(f), journaled - delivered - lost - dropped);
    assert_true(feed_balances(f));
}

static void a_feed_accounts_for_everything_on_disk(void **state)
{
    struct disk_world *d = *state;
    for (int i = 0; i < 100; i++) {
        put(d, 300); /* 100 frames, some 12 segments */
    }
    settle(d);
    ask(d, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_UP, .request = 1});
    struct seen s = drain(d);
    assert_int_equal(s.samples, 20000); /* tags 1 and 2 of 3 */
    assert_int_equal(s.backlog, 20000);
    for (int i = 0; i < 10; i++) {
        put(d, 30);
        settle(d);
        s = look(d, WORLD_CLOUD); /* the poll that was left */
        assert_int_equal(s.samples, 20);
        assert_int_equal(s.backlog, 0);
        world_ask(d->w, WORLD_CLOUD,
                  &(struct ask){.kind = ASK_FEED_CONFIRM, .confirm = s.end.covers});
        assert_int_equal(drain(d).samples, 0);
    }
    world_pass(d->w, 200);
    assert_account(d, 20200, 20200, 0, 0);
    assert_int_equal(d->w->core->feeds[0].cursor.count, 1);
    world_restart_reader(d->w);
    world_run(d->w);
    ask(d, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_UP, .request = 1});
    assert_int_equal(drain(d).samples, 0);
}

static void queries_find_what_is_on_disk(void **state)
{
    struct disk_world *d = *state;
    for (int i = 0; i < 100; i++) {
        put(d, 300);
    }
    settle(d);
    struct seen s = ask(
        d, WORLD_CONSOLE,
        (struct ask){.kind = ASK_READ, .request = 1, .from_sequence = 12345, .max_records = 700});
    assert_int_equal(s.samples, 700);
    assert_int_equal(s.end.covers.from, 12345);
    assert_int_equal(s.end.covers.to, 13045);
    struct ask history = {.kind = ASK_HISTORY,
                          .request = 2,
                          .tag = 1,
                          .from_ns = 6000 * NS_PER_S,
                          .to_ns = 8999 * NS_PER_S};
    assert_int_equal(ask(d, WORLD_CONSOLE, history).samples, 1000);
    history.max_records = 400;
    s = ask(d, WORLD_CONSOLE, history);
    assert_int_equal(s.end.error, 0);
    assert_in_range(s.samples, 200, 400);
}

static void a_journal_that_restarts_is_followed(void **state)
{
    struct disk_world *d = *state;
    put(d, 300);
    settle(d);
    ask(d, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_UP, .request = 1});
    assert_int_equal(drain(d).samples, 200);
    for (int i = 0; i < 3; i++) {
        journal_close(d->journal);
        open_journal(d);
        world_run(d->w);
        put(d, 300);
        settle(d);
        struct seen s = look(d, WORLD_CLOUD);
        assert_int_equal(s.samples, 200);
        world_ask(d->w, WORLD_CLOUD,
                  &(struct ask){.kind = ASK_FEED_CONFIRM, .confirm = s.end.covers});
        assert_int_equal(drain(d).samples, 0);
    }
    assert_account(d, 800, 800, 0, 0);
}

static void open_segment(const struct disk_world *d, uint64_t number, struct segment_header *h,
                         int *fd)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(number, name);
    *fd = openat(d->dir_fd, name, O_RDWR);
    assert_true(*fd >= 0);
    assert_int_equal(pread(*fd, h, sizeof *h, 0), sizeof *h);
}

/* Removes segments [from, to) as if they were damaged; the sequence numbers that they held. */
static uint64_t remove_segments(const struct disk_world *d, uint64_t from, uint64_t to)
{
    struct segment_header h, after;
    int fd;
    open_segment(d, to, &after, &fd);
    close(fd);
    open_segment(d, from, &h, &fd);
    close(fd);
    for (; from < to; from++) {
        char name[SEGMENT_NAME_SIZE];
        segment_name(from, name);
        assert_int_equal(unlinkat(d->dir_fd, name, 0), 0);
    }
    return after.first_sequence - h.first_sequence;
}

/* Samples of the scope among neighbouring sequence numbers that begin and end with a whole put. */
static uint64_t of_scope(uint64_t sequences)
{
    assert_int_equal(sequences % 300, 0);
    return sequences / 3 * 2;
}

static void segments_lost_before_delivery_are_gaps(void **state)
{
    struct disk_world *d = *state;
    world_run(d->w);
    for (int i = 0; i < 100; i++) {
        put(d, 300);
    }
    settle(d);
    world_restart_reader(d->w); /* it has stored nothing of what it counted */
    uint64_t lost = of_scope(remove_segments(d, 4, 6));
    world_run(d->w);
    assert_true(lost > 0);
    assert_account(d, 20000, 0, lost, 0);
    ask(d, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_UP, .request = 1});
    assert_int_equal(drain(d).samples, 20000 - lost);
    world_pass(d->w, 200);
    assert_account(d, 20000, 20000 - lost, lost, 0);
    world_restart_reader(d->w);
    world_run(d->w);
    assert_account(d, 20000, 20000 - lost, lost, 0);
}

static void segments_removed_at_the_limit_are_gaps_of_another_kind(void **state)
{
    struct disk_world *d = *state;
    put(d, 300);
    settle(d);
    ask(d, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_UP, .request = 1});
    assert_int_equal(drain(d).samples, 200);
    world_pass(d->w, 200);
    for (int i = 0; i < 100; i++) {
        put(d, 300);
    }
    while (journal_durable_sequence(d->journal) < journal_next_sequence(d->journal)) {
        sched_yield();
    }
    world_restart_reader(d->w);
    uint64_t dropped = of_scope(remove_segments(d, 1, 5)) - 200;
    atomic_store(&d->w->engine.marks.first_segment, 5);
    world_run(d->w);
    assert_account(d, 20200, 200, 0, dropped);
}

static void what_was_delivered_before_it_was_removed_is_no_gap(void **state)
{
    struct disk_world *d = *state;
    for (int i = 0; i < 100; i++) {
        put(d, 300);
    }
    settle(d);
    ask(d, WORLD_CLOUD, (struct ask){.kind = ASK_FEED_UP, .request = 1});
    assert_int_equal(drain(d).samples, 20000);
    world_pass(d->w, 200);
    assert_account(d, 20000, 20000, 0, 0);
    remove_segments(d, 1, 5);
    atomic_store(&d->w->engine.marks.first_segment, 5);
    world_restart_reader(d->w);
    put(d, 300);
    settle(d);
    assert_account(d, 20200, 20000, 0, 0);
    /* counted only up to within what is gone: the rest of it was delivered all the same */
    struct feed *f = d->w->core->feeds;
    uint64_t total = f->account.total;
    f->account =
        (struct account){.at = 301, .journaled = 200, .total = total - 20000, .total_known = true};
    audit_rewind(d->w->core);
    world_run(d->w);
    assert_account(d, 20200, 20000, 0, 0);
}

static void damage_within_a_segment_is_a_gap_when_the_next_opens(void **state)
{
    struct disk_world *d = *state;
    for (int i = 0; i < 100; i++) {
        put(d, 300);
    }
    while (journal_durable_sequence(d->journal) < journal_next_sequence(d->journal)) {
        sched_yield();
    }
    struct segment_header h;
    int fd;
    open_segment(d, 3, &h, &fd);
    assert_int_equal(pwrite(fd, "damage", 6, 40000), 6);
    close(fd);
    world_run(d->w);
    assert_account(d, 20000, 0, 200, 0); /* one frame */
}

static void put_gap(struct disk_world *d, uint64_t produced)
{
    struct record_gap gap = {.scope = GAP_TAG,
                             .which = 1,
                             .cause = GAP_RING_FULL,
                             .from_ns = (int64_t)d->next * NS_PER_S,
                             .to_ns = (int64_t)d->next * NS_PER_S,
                             .produced = produced};
    struct journal_frame f = {.box = PLAN_NONE, .now_ns = gap.from_ns};
    size_t count = slot_count_for(sizeof gap);
    struct slot *s = journal_begin(d->journal, &f, count);
    assert_non_null(s);
    memset(s, 0, count * sizeof *s);
    s[0] =
        (struct slot){.time = gap.from_ns, .value.u64 = sizeof gap, .tag = record_tag(RECORD_GAP)};
    memcpy(s + 1, &gap, sizeof gap);
    journal_commit(d->journal, count, 1);
}

static void assert_cause(struct disk_world *d, struct ask a, uint32_t records, uint64_t produced)
{
    a.kind = ASK_CAUSES;
    a.request = 5;
    struct seen seen = ask(d, WORLD_CONSOLE, a);
    assert_int_equal(seen.ends, 1);
    assert_int_equal(seen.end.error, 0);
    assert_int_equal(seen.rows, records > 0);
    assert_int_equal(seen.cause.records, records);
    assert_int_equal(seen.cause.produced, produced);
}

static void causes_are_the_same_before_and_after_sealing(void **state)
{
    struct disk_world *d = *state;
    const struct ask all = {0}, first = {.to_ns = 5 * NS_PER_S};
    put_gap(d, 5);
    for (int i = 0; i < 50; i++) {
        put(d, 300);
    }
    settle(d);
    assert_cause(d, all, 1, 5);
    put_gap(d, 7); /* in a segment that is sealed, and not asked for before */
    for (int i = 0; i < 50; i++) {
        put(d, 300);
    }
    put_gap(d, 9); /* in one that stays */
    settle(d);
    struct seal seal = {.disk = &disk_files, .dir = d->dir_fd, .plan = &d->w->g.plan};
    uint64_t last = atomic_load(&d->w->engine.marks.written_segment), epoch = 0, from = 0;
    for (uint64_t number = 1; number < last; number++) {
        struct sealed_header header;
        assert_int_equal(seal_segment(&seal, number, epoch, from, &header), 0);
        epoch = header.epoch;
        from = header.end_sequence;
    }
    remove_segments(d, 1, last - 1); /* one is there twice, raw and sealed */
    atomic_store(&d->w->engine.marks.first_segment, last - 1);
    world_pass(d->w, 3000); /* a folder that has just changed is looked at again */
    assert_cause(d, all, 3, 21);
    world_restart_reader(d->w);
    world_run(d->w);
    assert_cause(d, all, 3, 21);
    assert_cause(d, first, 1, 5);
}

static void an_account_survives_every_truncation_and_corruption(void **state)
{
    struct disk_world *d = *state;
    put(d, 300);
    settle(d);
    struct feed *f = d->w->core->feeds;
    uint8_t good[FEED_STATE_MAX], bytes[FEED_STATE_MAX];
    assert_int_equal(cursor_add(&f->cursor, 0, 100), 0);
    assert_int_equal(cursor_add(&f->cursor, 150, 200), 0);
    size_t size = feed_state_encode(f, good);
    struct account account = f->account;
    assert_int_equal(feed_state_decode(f, good, size, 5), 0);
    assert_memory_equal(&f->account, &account, sizeof account);
    assert_int_equal(f->cursor.count, 2);
    for (size_t n = 0; n < size; n++) {
        assert_int_equal(feed_state_decode(f, good, n, 5), ERR_MALFORMED);
        assert_int_equal(f->account.since_ns, 5);
        assert_int_equal(f->cursor.count + f->account.at + f->delivered, 0);
    }
    for (size_t n = 0; n < size; n++) {
        memcpy(bytes, good, size);
        bytes[n] ^= 0x41;
        int err = feed_state_decode(f, bytes, size, 5);
        assert_true(err == 0 || err == ERR_MALFORMED || err == ERR_NOT_FOUND);
    }
    f->scope_sum ^= 1; /* another contract: begins where all before was delivered */
    assert_int_equal(feed_state_decode(f, good, size, 5), ERR_NOT_FOUND);
    assert_int_equal(f->account.at, 100);
    assert_int_equal(f->cursor.count, 1);
    memset(bytes, 0, 8); /* version 1: delivered, then the cursor */
    memcpy(bytes + 8, good + size - 36, 36);
    assert_int_equal(feed_state_decode(f, bytes, 44, 5), ERR_NOT_FOUND);
    assert_int_equal(f->account.at, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_feed_accounts_for_everything_on_disk, disk_setup,
                                        disk_teardown),
        cmocka_unit_test_setup_teardown(queries_find_what_is_on_disk, disk_setup, disk_teardown),
        cmocka_unit_test_setup_teardown(a_journal_that_restarts_is_followed, disk_setup,
                                        disk_teardown),
        cmocka_unit_test_setup_teardown(segments_lost_before_delivery_are_gaps, disk_setup,
                                        disk_teardown),
        cmocka_unit_test_setup_teardown(segments_removed_at_the_limit_are_gaps_of_another_kind,
                                        disk_setup, disk_teardown),
        cmocka_unit_test_setup_teardown(what_was_delivered_before_it_was_removed_is_no_gap,
                                        disk_setup, disk_teardown),
        cmocka_unit_test_setup_teardown(damage_within_a_segment_is_a_gap_when_the_next_opens,
                                        disk_setup, disk_teardown),
        cmocka_unit_test_setup_teardown(causes_are_the_same_before_and_after_sealing, disk_setup,
                                        disk_teardown),
        cmocka_unit_test_setup_teardown(an_account_survives_every_truncation_and_corruption,
                                        disk_setup, disk_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
