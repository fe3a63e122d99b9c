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
                assert_true(slots->value.f64 == (double)run.first_sequence++);
                seen.samples++;
                seen.backlog += run.flags & ANSWER_BACKLOG;
                continue;
            }
            memcpy(&a, slot_payload(slots), sizeof a);
            seen.ends += a.kind == ANSWER_END;
            seen.end = a.kind == ANSWER_END ? a : seen.end;
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
    assert_int_equal(d->w->core->feeds[0].delivered, 20200);
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
    assert_int_equal(d->w->core->feeds[0].delivered, 800);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_feed_accounts_for_everything_on_disk, disk_setup,
                                        disk_teardown),
        cmocka_unit_test_setup_teardown(queries_find_what_is_on_disk, disk_setup, disk_teardown),
        cmocka_unit_test_setup_teardown(a_journal_that_restarts_is_followed, disk_setup,
                                        disk_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
