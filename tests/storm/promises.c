/* SPDX-License-Identifier: Apache-2.0 */
/* Promises J4 and J5 of the design, played step by step. (J1 to J3 are what a storm of the acts that endanger them checks.) */
#include "storm.h"

#include <stdio.h>
#include <string.h>

#define SEGMENTS 1000u

static void no_reader(struct world *w)
{
    follow_close(w->live);
    w->live = NULL;
}

static void stop_and_start(struct world *w)
{
    no_reader(w);
    sealer_end(w);
    w->closing_from = journal_next_sequence(w->journal);
    journal_close(w->journal);
    world_restart(w, false);
    no_reader(w);
}

struct first_sealed {
    char name[SEALED_NAME_SIZE];
};

static void note_sealed(void *to, const char *name)
{
    struct first_sealed *f = to;
    struct sealed_place p;
    if (sealed_name_parse(name, &p) && (!f->name[0] || strcmp(name, f->name) < 0)) {
        snprintf(f->name, sizeof f->name, "%s", name);
    }
}

static uint64_t set_aside(struct world *w)
{
    struct folder_sum sum;
    must(w, folder_sum_up(sim_disk(w->sim), 0, &sum) == 0);
    return sum.set_aside;
}

/* One damaged segment in a thousand, then a damaged sealed file: start, queries and ledger go on (world_restart checks all), it is
 * set aside, named, and counted. */
void promise_damaged_segment(struct world *w)
{
    const struct disk *d = sim_disk(w->sim);
    char name[SEGMENT_NAME_SIZE];
    struct first_sealed sealed = {0};
    no_reader(w);
    while (w->marks.written_segment < SEGMENTS) {
        act_take(w);
        journal_flush(w->journal);
        journal_turns(w, 4);
        engine_turn(w);
        sim_pass(w->sim, 20 * NS_PER_MS);
    }
    segment_name(SEGMENTS / 2, name);
    damage_header(w, name);
    stop_and_start(w);
    must(w, w->recovered.set_aside == 1 && strstr(w->recovered.text, name) != NULL);
    must(w, set_aside(w) == 1);
    for (int i = 0; i < 20; i++) {
        sealer_turn(w, 2 * SEGMENTS);
        no_reader(w);
    }
    must(w, w->sealing && w->sealer.history.shelf->raw_count <= 2);
    must(w, d->list(d->context, 0, note_sealed, &sealed) == 0 && sealed.name[0]);
    damage_header(w, sealed.name);
    stop_and_start(w);
    sealer_turn(w, 1);
    sealer_turn(w, 1);
    must(w, strstr(w->sealer.trouble, sealed.name) != NULL);
    must(w, set_aside(w) == 2);
    stop_and_start(w);
}

/* The engine while the disk hangs: each of its turns is over at once, nothing of its own is refused, and no sample let go. */
static void turns(void *context)
{
    struct world *w = context;
    const struct clock *c = sim_clock(w->sim);
    struct record_gap command = {.scope = GAP_DEVICE, .cause = GAP_DEVICE_DOWN};
    for (int i = 0; i < 500; i++) {
        int64_t before = c->mono_ns(c->context);
        uint64_t taken = w->account.taken;
        put_gap(w, &command); /* what records a command takes the same way */
        act_take(w);
        engine_turn(w);
        must(w, w->account.taken > taken);
        must(w, c->mono_ns(c->context) == before);
        sim_pass(w->sim, 10 * NS_PER_MS);
    }
}

/* A flush that takes 5 s. What the threads of a real gateway do meanwhile is in journal_fault and journal_thread. */
void promise_stalled_disk(struct world *w)
{
    no_reader(w);
    act_take(w);
    uint64_t durable = journal_durable_sequence(w->journal);
    sim_slow_flush(w->sim, NS_PER_MS, turns, w);
    journal_flush(w->journal);
    journal_turns(w, 1);
    sim_slow_flush(w->sim, 0, NULL, NULL);
    journal_flush(w->journal);
    journal_turns(w, 100);
    engine_turn(w);
    must(w, journal_durable_sequence(w->journal) == journal_next_sequence(w->journal));
    must(w, journal_durable_sequence(w->journal) > durable + 500);
    stop_and_start(w);
}
