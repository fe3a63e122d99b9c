/* SPDX-License-Identifier: Apache-2.0 */
/* What can happen. A new kind of work on the same disk is one more line in the table at the end. */
#include "storm.h"

#include "tag/plan.h"

#include <stdlib.h>
#include <string.h>

#define FRAME_UNITS 60u

static size_t put_tally(struct slot *out, uint32_t tag, uint32_t kind, uint64_t count)
{
    struct record_tally t = {tag, kind, count};
    if (!count) {
        return 0;
    }
    out[0] = (struct slot){.value.u64 = sizeof t, .tag = record_tag(RECORD_TALLY)};
    memset(out + 1, 0, sizeof *out);
    memcpy(out + 1, &t, sizeof t);
    return 2;
}

/* Hands over what was built; false: the journal let its samples go. */
static bool commit(struct world *w, struct told *t, const struct slot *slots)
{
    struct slot *copy = malloc((t->slot_count + 1) * sizeof *copy);
    must(w, copy != NULL);
    memcpy(copy, slots, t->slot_count * sizeof *copy);
    uint64_t before = journal_next_sequence(w->journal);
    t->first = journal_commit(w->journal, t->slot_count, t->sequences);
    bool kept = journal_next_sequence(w->journal) != before;
    must(w, t->first == before);
    if (kept) {
        must(w, journal_next_sequence(w->journal) == before + t->sequences); /* invariant 3 */
        account_tell(&w->account, t, copy);
        if (w->trace) {
            fprintf(w->trace, "    frame of box %d from %llu, %llu records, ring to %llu\n",
                    (int)t->box, (unsigned long long)t->first, (unsigned long long)t->sequences,
                    (unsigned long long)t->ring_to);
        }
    }
    free(copy);
    return kept;
}

/* The engine takes the next units of the plant's ring; at least one of them is a sample to be journaled. */
static void take(struct world *w, uint64_t count)
{
    struct account *a = &w->account;
    uint64_t from = a->taken, to = from + count, tallies[STORM_TAGS + 1][2] = {{0}};
    while (plant_fate(w, to - 1) != JOURNALED) {
        to++;
    }
    struct journal_frame f = {
        .box_epoch = a->life, .ring_from = from, .ring_to = to, .now_ns = world_now(w)};
    struct slot *s = journal_begin(w->journal, &f, (size_t)(to - from) * PLANT_SLOTS + 32);
    if (!s) {
        return; /* the ring keeps it */
    }
    struct told t = {.life = a->life, .ring_to = to};
    if (dice(w, 4) == 0) {
        struct record_batch batch = {-5, 7};
        s[0] = (struct slot){.value.u64 = sizeof batch, .tag = record_tag(RECORD_BATCH)};
        memset(s + 1, 0, sizeof *s);
        memcpy(s + 1, &batch, sizeof batch);
        t.slot_count = 2;
    }
    for (uint64_t unit = from; unit < to; unit++) {
        enum fate fate = plant_fate(w, unit);
        if (fate == JOURNALED) {
            t.slot_count += (uint32_t)plant_sample(w, unit, s + t.slot_count);
            t.sequences++;
        } else {
            tallies[plant_tag(w, unit)][fate == REJECTED]++;
        }
    }
    for (uint32_t tag = 1; tag <= STORM_TAGS; tag++) {
        for (uint32_t kind = TALLY_SUPPRESSED; kind <= TALLY_REJECTED; kind++) {
            t.slot_count += (uint32_t)put_tally(s + t.slot_count, tag, kind,
                                                tallies[tag][kind == TALLY_REJECTED]);
        }
    }
    bool kept = commit(w, &t, s);
    for (uint64_t unit = from; unit < to; unit++) {
        account_shed(a, unit, !kept && plant_fate(w, unit) == JOURNALED);
    }
    a->taken = to;
}

static void put_gap_in(struct world *w, const struct journal_frame *f, const struct record_gap *gap)
{
    struct slot *s = journal_begin(w->journal, f, slot_count_for(sizeof *gap));
    if (!s) {
        return;
    }
    struct told t = {.box = f->box,
                     .slot_count = (uint32_t)slot_count_for(sizeof *gap),
                     .sequences = 1,
                     .life = f->box_epoch,
                     .ring_to = f->ring_to};
    memset(s, 0, t.slot_count * sizeof *s);
    s[0] =
        (struct slot){.time = f->now_ns, .value.u64 = sizeof *gap, .tag = record_tag(RECORD_GAP)};
    memcpy(s + 1, gap, sizeof *gap);
    must(w, commit(w, &t, s)); /* gaps are never let go */
}

bool put_note(struct world *w, const struct slot *slots, size_t count)
{
    struct journal_frame f = {.box = PLAN_NONE, .now_ns = world_now(w)};
    struct slot *s = journal_begin(w->journal, &f, count);
    if (!s) {
        return false;
    }
    struct told t = {.box = f.box, .slot_count = (uint32_t)count, .sequences = 1};
    memcpy(s, slots, count * sizeof *s);
    must(w, commit(w, &t, s));
    return true;
}

void put_gap(struct world *w, const struct record_gap *gap)
{
    struct journal_frame f = {.box = PLAN_NONE, .now_ns = world_now(w)};
    put_gap_in(w, &f, gap);
}

void put_skip(struct world *w, uint64_t from, uint64_t to)
{
    struct journal_frame f = {
        .box_epoch = w->account.life, .ring_from = from, .ring_to = to, .now_ns = world_now(w)};
    struct record_gap gap = {.scope = GAP_BOX, .cause = GAP_JOURNAL_FAILED, .missed = to - from};
    put_gap_in(w, &f, &gap);
}

void engine_turn(struct world *w)
{
    struct account *a = &w->account;
    struct record_gap gaps[8];
    size_t n = journal_take_losses(w->journal, gaps, sizeof gaps / sizeof *gaps);
    for (size_t i = 0; i < n; i++) {
        must(w, gaps[i].scope == GAP_TAG && gaps[i].from_ns <= gaps[i].to_ns);
        put_gap(w, gaps + i);
    }
    if (w->ring) {
        retain_take(w);
    }
    uint64_t to = journal_durable_ring(w->journal, 0);
    must(w, to <= a->taken);
    a->released = to > a->released ? to : a->released;
    to = journal_durable_ring(w->journal, 1);
    must(w, to <= a->store_next);
    a->store_released = to > a->store_released ? to : a->store_released;
    uint64_t durable = journal_durable_sequence(w->journal);
    must(w, durable >= a->durable && durable <= journal_next_sequence(w->journal));
    a->durable = durable;
}

void journal_turns(struct world *w, uint64_t most)
{
    while (most-- && journal_step(w->journal) == 0) {
    }
}

/* ---- The acts. ---- */

void act_take(struct world *w)
{
    take(w, 1 + dice(w, FRAME_UNITS));
}

static void act_take_much(struct world *w)
{
    for (uint64_t n = dice(w, 20); n > 0; n--) {
        take(w, 1 + dice(w, FRAME_UNITS));
    }
}

static void act_event(struct world *w)
{
    struct record_gap gap = {.scope = GAP_DEVICE, .cause = GAP_DEVICE_DOWN, .missed = dice(w, 100)};
    put_gap(w, &gap);
}

static void act_store(struct world *w)
{
    struct account *a = &w->account;
    struct stored value = {a->life, a->store_next};
    struct journal_frame f = {.box = 1,
                              .box_epoch = a->life,
                              .ring_from = a->store_next,
                              .ring_to = a->store_next + 1,
                              .now_ns = world_now(w)};
    struct record_store r = {.size = sizeof value};
    r.key[0] = (char)('a' + a->store_next % STORM_KEYS);
    size_t size = sizeof r + sizeof value, count = slot_count_for(size);
    struct slot *s = journal_begin(w->journal, &f, count);
    if (s) {
        memset(s, 0, count * sizeof *s);
        s[0] = (struct slot){.value.u64 = size, .tag = record_tag(RECORD_STORE), .status = 1};
        memcpy(s + 1, &r, sizeof r);
        memcpy((uint8_t *)(s + 1) + sizeof r, &value, sizeof value);
        journal_commit(w->journal, count, 0);
        account_tell_stored(a, value);
        a->store_next++;
    }
}

static void act_journal(struct world *w)
{
    journal_turns(w, 1 + dice(w, 4));
}

static void act_ask_flush(struct world *w)
{
    journal_flush(w->journal);
    journal_turns(w, 2);
}

static void act_wait(struct world *w)
{
    sim_pass(w->sim, (int64_t)(1 + dice(w, 20)) * NS_PER_MS);
}

static void act_wait_long(struct world *w)
{
    sim_pass(w->sim, (int64_t)(1 + dice(w, 40)) * NS_PER_S);
}

static void act_jump(struct world *w)
{
    sim_jump(w->sim, ((int64_t)dice(w, 7200) - 3600) * NS_PER_S);
}

static void act_read(struct world *w)
{
    check_live(w, 1 + (unsigned)dice(w, 10));
}

static void act_seal(struct world *w)
{
    sealer_turn(w, 1 + (unsigned)dice(w, 6));
}

/* The sealer meets sectors that can't be read. */
static void act_seal_blind(struct world *w)
{
    sim_fail(w->sim, SIM_READ, 1 + dice(w, 40), 1 + dice(w, 3), ERR_IO);
    sealer_turn(w, 1 + (unsigned)dice(w, 6));
    sim_fail(w->sim, SIM_READ, 0, 0, 0);
}

static void act_fail(struct world *w)
{
    static const enum sim_call calls[] = {SIM_WRITE,     SIM_WRITE,    SIM_FLUSH,    SIM_FLUSH,
                                          SIM_FLUSH_DIR, SIM_ALLOCATE, SIM_TRUNCATE, SIM_OPEN,
                                          SIM_RENAME,    SIM_REMOVE};
    enum sim_call call = calls[dice(w, sizeof calls / sizeof *calls)];
    if (call == SIM_FLUSH && w->plan.header->sync == SYNC_OS) {
        return; /* then nothing was promised */
    }
    uint64_t times = dice(w, 4) ? 1 : 1 + dice(w, 40);
    sim_fail(w->sim, call, 1 + dice(w, 6), times, dice(w, 6) ? ERR_IO : ERR_FULL);
}

static void act_full(struct world *w)
{
    sim_space(w->sim, sim_used(w->sim) + dice(w, 4) * dice(w, 30000));
}

static void act_short(struct world *w)
{
    sim_short_writes(w->sim, true);
}

static void act_heal(struct world *w)
{
    sim_heal(w->sim);
}

/* The engine while a flush hangs: what the buffer can't hold stays in the ring, later it is let go. */
static void engine_goes_on(void *context)
{
    struct world *w = context;
    for (int i = 0; i < 40; i++) {
        take(w, 1000);
        engine_turn(w);
        sim_pass(w->sim, NS_PER_S / 8);
    }
}

static void act_hang(struct world *w)
{
    if (dice(w, 8) == 0) {
        sim_slow_flush(w->sim, NS_PER_MS, engine_goes_on, w);
        journal_flush(w->journal);
        journal_turns(w, 1);
        sim_slow_flush(w->sim, 0, NULL, NULL);
    }
}

static void act_stop(struct world *w)
{
    w->closing_from = journal_next_sequence(w->journal);
    journal_close(w->journal);
    w->journal = NULL;
    if (!sim_is_dead(w->sim)) {
        world_restart(w, false);
    }
}

static void act_kill(struct world *w)
{
    sim_kill(w->sim);
    world_crash(w, false);
}

static void act_cut(struct world *w)
{
    sim_cut_power(w->sim, 1 + dice(w, 25));
}

enum { J1 = 1, J2 = 2, J3 = 4 };

static const struct {
    const char *name;
    unsigned weight;
    unsigned promises; /* a bit for each of J1 to J3 that it puts to the test */
    void (*run)(struct world *w);
} acts[] = {
    {"take", 240, J1 | J2 | J3, act_take},
    {"take much", 20, J1 | J2 | J3, act_take_much},
    {"event", 30, J1 | J2 | J3, act_event},
    {"store", 40, J1, act_store},
    {"engine", 120, J1 | J2 | J3, engine_turn},
    {"journal", 240, J1 | J2 | J3, act_journal},
    {"ask flush", 30, J1, act_ask_flush},
    {"wait", 150, J1 | J2 | J3, act_wait},
    {"wait long", 12, J2, act_wait_long},
    {"jump", 4, J3, act_jump},
    {"read", 60, J1 | J3, act_read},
    {"seal", 60, J2 | J3, act_seal},
    {"seal blind", 6, J2, act_seal_blind},
    {"fail", 14, J1 | J2, act_fail},
    {"full", 3, J2, act_full},
    {"short", 4, J1, act_short},
    {"heal", 25, J1 | J2 | J3, act_heal},
    {"hang", 2, J2, act_hang},
    {"stop", 4, J1 | J3, act_stop},
    {"kill", 8, J1 | J2 | J3, act_kill},
    {"cut", 40, J1 | J2 | J3, act_cut},
};

static unsigned weight(const struct world *w, size_t i)
{
    return !w->promise || (acts[i].promises >> (w->promise - 1) & 1) ? acts[i].weight : 0;
}

void act(struct world *w)
{
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        sum += weight(w, i);
    }
    uint64_t draw = dice(w, sum);
    size_t i = 0;
    while (draw >= weight(w, i)) {
        draw -= weight(w, i++);
    }
    w->acts++;
    w->last_act = acts[i].name;
    if (w->trace) {
        fprintf(w->trace, "%llu %s\n", (unsigned long long)w->acts, acts[i].name);
    }
    acts[i].run(w);
}
