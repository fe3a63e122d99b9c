/* SPDX-License-Identifier: Apache-2.0 */
/* Retention in the storm: classes of three tags, and the ring on which the sealer tells the engine what is to go. Whatever happened,
 * only what is old enough may be gone, and of all that is gone a gap record tells (or its summaries are still there): it was durable
 * before. Ages are of the plant's own time, which leaps with each of its lives. */
#include "storm.h"

#include "tag/record.h"

#include <stdio.h>
#include <string.h>

#define TOLD_SLOTS 1024u
#define LIFE_S     (UINT64_C(1) << 28) / 1000 /* from one life of the plant to the next */

/* Tag 1 goes after two lives, tag 2 is thinned after one and goes after three; of tag 3 only so many bytes stay. */
static const struct plan_retention classes[] = {
    {.raw_s = 2 * LIFE_S}, {.raw_s = LIFE_S, .summaries_s = 3 * LIFE_S}, {.bytes = 6000}};

void retain_plan(struct plan_header *h)
{
    h->retention_count = sizeof classes / sizeof *classes;
    memcpy(h->retentions, classes, sizeof classes);
}

int64_t plant_now(const struct world *w)
{
    return (int64_t)(w->account.life << 28 | w->account.taken) * NS_PER_MS;
}

/* ---- From the sealer to the engine. ---- */

struct retain_ring {
    struct ring_tail tail;
    struct ring_producer up;
    struct ring_consumer down;
    uint64_t durable_at; /* what was taken is durable once the journal is up to here */
    _Alignas(64) uint8_t memory[sizeof(struct ring_head) + TOLD_SLOTS * sizeof(struct slot)];
};

/* A sealer that died may have told half: what was published is taken all the same. */
struct ring_producer *retain_begin(struct world *w)
{
    struct retain_ring *r = w->ring;
    must(w, ring_producer_init(&r->up, r->memory, TOLD_SLOTS, &r->tail, -1) == 0);
    return &r->up;
}

struct retain_ring *retain_new(struct world *w)
{
    struct retain_ring *r = aligned_alloc(64, sizeof *r);
    must(w, r != NULL);
    memset(r, 0, sizeof *r);
    must(w, ring_consumer_init(&r->down, r->memory, TOLD_SLOTS, &r->tail) == 0);
    return r;
}

/* With the power the ring is gone; an engine that was killed finds in it what was not released. */
void retain_crash(struct world *w, bool power_was_cut)
{
    struct retain_ring *r = w->ring;
    if (power_was_cut) {
        memset(r, 0, sizeof *r);
    }
    r->durable_at = 0;
    must(w, ring_consumer_init(&r->down, r->memory, TOLD_SLOTS, &r->tail) == 0);
}

/* The gap record of retention that the slots are; false: they are none. */
static bool is_retired(const struct slot *s, struct record_gap *gap)
{
    if (!slot_is_control(s) || record_kind(s) != RECORD_GAP) {
        return false;
    }
    memcpy(gap, slot_payload(s), sizeof *gap);
    return gap->cause == GAP_RETIRED;
}

void retain_take(struct world *w)
{
    struct retain_ring *r = w->ring;
    struct slot slots[SLOT_RECORD_MAX];
    int n;
    while ((n = ring_take(&r->down, slots, SLOT_RECORD_MAX)) > 0) {
        size_t length = slot_record_length(slots);
        must(w, length && length <= (size_t)n);
        ring_step_back(&r->down, (size_t)n - length);
        if (!put_note(w, slots, length)) {
            ring_step_back(&r->down, length); /* no room now */
            break;
        }
        r->durable_at = journal_next_sequence(w->journal);
        struct record_gap gap;
        if (w->trace && is_retired(slots, &gap)) {
            fprintf(w->trace, "    retired: tag %u (0: all), %lld to %lld, %llu samples\n",
                    gap.which, (long long)gap.from_ns, (long long)gap.to_ns,
                    (unsigned long long)gap.missed);
        }
    }
    if (journal_durable_sequence(w->journal) >= r->durable_at) {
        ring_release(&r->down, r->down.next);
    }
}

/* The sealer waits for what it told to be durable. */
void retain_wait(void *context)
{
    struct world *w = context;
    if (w->journal && !sim_is_dead(w->sim)) {
        engine_turn(w);
        journal_turns(w, 2);
        sim_pass(w->sim, 10 * NS_PER_MS);
    }
}

/* ---- What may be gone. ---- */

static bool is_old_enough(const struct world *w, uint32_t tag, int64_t time)
{
    uint64_t age_s = tag <= 2 ? classes[tag - 1].raw_s : 0;
    return tag <= 3 && time < w->retained_ns - (int64_t)(age_s * NS_PER_S);
}

/* From the account: the next of these in a frame from *at on; NULL: no more. */
static const struct told *next_retired(const struct world *w, size_t *at, struct record_gap *gap)
{
    const struct account *a = &w->account;
    while (*at < a->count) {
        const struct told *t = a->told + (*at)++;
        if (t->slot_count &&
            is_retired(a->slots + t->slots, gap)) { /* each is alone in its frame */
            return t;
        }
    }
    return NULL;
}

bool retain_lets_go(const struct world *w, uint32_t tag, int64_t time)
{
    struct record_gap gap;
    bool told = w->damages > 0; /* which may have hit the record itself */
    if (!w->ring || !is_old_enough(w, tag, time)) {
        return false;
    }
    for (size_t at = 0; !told && next_retired(w, &at, &gap);) {
        told =
            gap.from_ns <= time && time <= gap.to_ns && (gap.scope == GAP_ALL || gap.which == tag);
    }
    return told;
}

bool retain_thins(const struct world *w, uint32_t tag, int64_t time)
{
    return w->ring && tag == 2 && is_old_enough(w, tag, time);
}

bool retain_drops_note(const struct world *w, uint64_t sequence)
{
    struct record_gap gap;
    const struct told *t;
    bool later = w->damages > 0;
    if (!w->ring) {
        return false;
    }
    for (size_t at = 0; !later && (t = next_retired(w, &at, &gap));) {
        later = gap.scope == GAP_ALL && t->first > sequence;
    }
    return later;
}
