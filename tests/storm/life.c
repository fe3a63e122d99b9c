/* SPDX-License-Identifier: Apache-2.0 */
/* A world's life: a gateway that is built, lives through its crashes, and ends in order. */
#include "storm.h"

#include "tag/plan_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTS_MAX 100000u /* a world that gets no crash by then is stuck */

static void make_plan(struct world *w)
{
    static const uint32_t syncs[] = {SYNC_PERIOD, SYNC_PERIOD, SYNC_ALWAYS, SYNC_OS};
    struct plan_build *b = plan_build_new();
    struct plan_header *h = plan_build_header(b);
    h->generation = 7;
    h->sync = syncs[dice(w, 4)];
    h->sync_ms = 10;
    h->when_full = FULL_STOP;
    if (w->scripted) {
        h->sync = SYNC_PERIOD;
        h->segment_size = 4096;
        h->journal_limit = 0;
    }
    h->segment_size = (uint64_t)4096 << dice(w, 5);
    h->journal_limit = dice(w, 4) ? 0 : (UINT64_C(3) << 20) + dice(w, 1u << 20);
    bool retains = !w->scripted && dice(w, 2);
    if (retains) {
        retain_plan(h);
        w->ring = retain_new(w);
    }
    plan_build_zone(b, &(struct plan_zone){.name = plan_build_text(b, "process")});
    plan_build_box(b, &(struct plan_box){.name = plan_build_text(b, "plc"), .kind = BOX_SOUTH});
    plan_build_box(b, &(struct plan_box){.name = plan_build_text(b, "cloud"), .kind = BOX_NORTH});
    plan_build_device(b, &(struct plan_device){.name = plan_build_text(b, "plc1")});
    for (uint32_t i = 1; i <= STORM_TAGS; i++) {
        char path[16];
        snprintf(path, sizeof path, "works/t%u", i);
        plan_build_tag(b,
                       &(struct plan_tag){.id = i,
                                          .path = plan_build_text(b, path),
                                          .unit = plan_build_text(b, "Cel"),
                                          .type = (uint8_t)plant_type(i),
                                          .raw_type = (uint8_t)plant_type(i),
                                          .max_length = 32,
                                          .retention = retains && i < STORM_TAGS ? (uint8_t)i : 0});
    }
    size_t size = 0;
    must(w, plan_build_finish(b, &w->image, &size) == 0);
    plan_build_free(b);
    must(w, plan_open(&w->plan, w->image, size) == 0);
}

static void open_live(struct world *w)
{
    uint64_t from = dice(w, journal_next_sequence(w->journal) + 1);
    from = from < w->raw_begin ? w->raw_begin : from;
    must(w, follow_open_on(&w->live, sim_disk(w->sim), 0, &w->marks, from) == 0);
    w->live_sequence = from;
}

static void close_live(struct world *w)
{
    follow_close(w->live);
    w->live = NULL;
}

/* Opens the journal; false: the power went meanwhile. */
static bool try_open(struct world *w)
{
    struct journal_options o = {.dir = "/tmp", /* it is the simulation's folder in truth */
                                .plan = &w->plan,
                                .marks = &w->marks,
                                .buffer_bytes = 1u << 20,
                                .disk = sim_disk(w->sim),
                                .clock = sim_clock(w->sim),
                                .stepped = true};
    int err = journal_open(&w->journal, &o, &w->recovered);
    if (sim_is_dead(w->sim)) {
        if (!err) {
            journal_close(w->journal);
        }
        w->journal = NULL;
        return false;
    }
    must(w, err == 0);               /* J4: nothing on the disk stops the start */
    w->ended |= w->recovered.unsafe; /* it says itself that it can promise nothing */
    return true;
}

static void power_on(struct world *w)
{
    close_live(w);
    sealer_end(w);
    sim_power_on(w->sim);
    if (w->ring) {
        retain_crash(w, true);
    }
    memset(&w->marks, 0, sizeof w->marks);
    w->ended |= w->plan.header->sync == SYNC_OS; /* which promised nothing for this case */
}

void world_restart(struct world *w, bool power_was_cut)
{
    if (!w->scripted && dice(w, 4) == 0) {
        sim_cut_power(w->sim, 1 + dice(w, 12));
    }
    while (!try_open(w)) {
        power_was_cut = true;
        w->crashes++;
        power_on(w);
        if (dice(w, 2)) {
            sim_cut_power(w->sim, 1 + dice(w, 12));
        }
    }
    if (w->trace) {
        fprintf(w->trace, "-- opened: epoch %llu, sequence %llu; %s\n",
                (unsigned long long)w->marks.epoch,
                (unsigned long long)journal_next_sequence(w->journal), w->recovered.text);
    }
    if (w->ended) {
        return;
    }
    check_all(w, power_was_cut);
    if (w->live) {
        uint64_t next = journal_next_sequence(w->journal);
        w->live_sequence = w->live_sequence < next ? w->live_sequence : next;
        must(w,
             follow_seek(w->live, w->live_sequence) == 0); /* as the reader does in a new epoch */
    } else {
        open_live(w);
    }
}

void world_crash(struct world *w, bool power_was_cut)
{
    journal_close(w->journal);
    w->journal = NULL;
    w->crashes++;
    if (power_was_cut) {
        power_on(w);
    } else {
        sim_revive(w->sim);
        if (w->ring) {
            retain_crash(w, false);
        }
        if (dice(w, 2)) {
            sealer_end(w);
        }
    }
    if (dice(w, 16) == 0) {
        close_live(w); /* who has it open can't know */
        sealer_end(w);
        damage_something(w);
    }
    if (dice(w, 3)) {
        sim_heal(w->sim);
    }
    world_restart(w, power_was_cut);
}

static void close_all(struct world *w)
{
    journal_close(w->journal);
    close_live(w);
    sealer_end(w);
}

/* The disk is well again: all that is still in the buffer reaches it, and an orderly stop leaves nothing open. */
static void end_in_order(struct world *w)
{
    sim_heal(w->sim);
    sim_cut_power(w->sim, 0);
    for (int i = 0; i < 200; i++) {
        sim_pass(w->sim, 40 * NS_PER_S);
        engine_turn(w);
        journal_turns(w, 10);
    }
    must(w, w->plan.header->journal_limit ||
                journal_durable_sequence(w->journal) == journal_next_sequence(w->journal));
    w->closing_from = journal_next_sequence(w->journal);
    journal_close(w->journal);
    w->journal = NULL;
    must(w, try_open(w));
    check_all(w, false);
    close_all(w);
}

void world_begin(struct world *w, uint64_t seed)
{
    w->seed = seed;
    w->last_act = "start";
    w->closing_from = UINT64_MAX;
    w->sim = sim_new(seed);
    sim_trace(w->sim, w->trace);
    make_plan(w);
    w->account.life = 1;
    world_restart(w, false);
}

void world_live(struct world *w, uint64_t seed, uint64_t crashes)
{
    world_begin(w, seed);
    while (w->crashes < crashes && !w->ended) {
        must(w, w->acts < ACTS_MAX);
        act(w);
        if (sim_is_dead(w->sim)) {
            world_crash(w, true);
        }
    }
    world_end(w);
}

void world_end(struct world *w)
{
    if (w->ended) {
        close_all(w);
    } else {
        end_in_order(w);
    }
    account_fini(&w->account);
    free(w->image);
    free(w->ring);
    sim_free(w->sim);
}
