/* SPDX-License-Identifier: Apache-2.0 */
/* Who lives, who died, who lied. The supervisor kills and restarts; the engine draws the consequences for the data: a
 * dead box's tags go bad in now at once, and when it is back, what was missed is a gap with its cause. */
#include "engine/internal.h"
#include "tag/status.h"

#include <stdio.h>

#define HEART_LATE_NS (5 * INT64_C(1000000000))

static const char *box_name(const struct engine *e, const struct inlet *in)
{
    return in->seat->name ? in->seat->name : (e->g->seats[SEAT_READER].name);
}

static bool is_south(const struct engine *e, const struct inlet *in)
{
    const struct plan *p = &e->g->plan;
    return in->box < p->header->boxes.count && p->boxes[in->box].kind == BOX_SOUTH;
}

void watch_condemn(struct engine *e, struct inlet *in, const char *reason)
{
    if (in->condemned) {
        return;
    }
    in->condemned = true;
    char text[96];
    snprintf(text, sizeof text, "wrote garbage: %s", reason);
    verdict_raise(in->seat->verdict, e->g->life + in->starts, reason);
    account_event(e, EVENT_BOX_STOP, in->box, 0, text);
    if (in->box < e->g->plan.header->boxes.count) {
        struct record_gap gap = {.scope = GAP_BOX,
                                 .which = in->box,
                                 .cause = GAP_BOX_FAULT,
                                 .from_ns = e->utc_ns,
                                 .to_ns = e->utc_ns};
        account_gap(e, &gap);
    }
}

/* Samples that periodic devices of the box would have made meanwhile. */
static uint64_t missed_samples(const struct engine *e, uint32_t box, int64_t duration_ns)
{
    const struct plan *p = &e->g->plan;
    uint64_t missed = 0;
    for (uint32_t i = 0; i < p->header->devices.count; i++) {
        const struct plan_device *d = p->devices + i;
        if (d->box == box && d->period_ms) {
            missed += (uint64_t)(duration_ns / 1000000 / d->period_ms) * d->tag_count;
        }
    }
    return missed;
}

static void note_down(struct engine *e, struct inlet *in, const char *why)
{
    in->down_noted = true;
    for (uint32_t i = 0; i < e->g->plan.header->tags.count; i++) {
        struct tag_state *t = e->tags + i;
        struct now_value v;
        if (t->tag->box == in->box && now_read(t->zone, t->tag, &v) == ERR_OK && v.slot.time) {
            v.slot.status = (uint32_t)STATUS_BAD_NO_COMMUNICATION;
            v.slot.value.u64 = 0;
            now_write(t->zone, t->tag, &v.slot, NULL, v.sequence);
            t->has_last = 0; /* the first value after the outage is always passed on */
        }
    }
    account_event(e, EVENT_BOX_STOP, in->box, 0, why);
}

static void note_back(struct engine *e, struct inlet *in)
{
    if (!in->down_noted) {
        note_down(e, in, "restarted");
    }
    struct record_gap gap = {.scope = GAP_BOX,
                             .which = in->box,
                             .cause = GAP_BOX_DOWN,
                             .from_ns = atomic_load(&in->seat->memory->alive_utc_ns),
                             .to_ns = e->utc_ns};
    if (gap.from_ns > gap.to_ns) {
        gap.from_ns = gap.to_ns;
    }
    gap.missed = missed_samples(e, in->box, gap.to_ns - gap.from_ns);
    account_gap(e, &gap);
}

/* Whoever fills the ring now, its positions: behind what the supervisor has emptied. */
static void reopen(struct engine *e, struct inlet *in)
{
    const struct seat *s = in->seat;
    uint64_t from = in->up.next;
    bool told = in->condemned; /* the verdict came with a gap */
    if (ring_consumer_init(&in->up, s->up, s->up_capacity, s->up_tail)) {
        in->condemned = false;
        watch_condemn(e, in, "its ring's position can't be true");
        return;
    }
    in->condemned = false;
    account_forget_drops(e, in);
    if (in->up.next > from) {
        account_skip(e, in, from, told || !is_south(e, in) ? (enum gap_cause)0 : GAP_BOX_FAULT);
    }
}

static void adopt(struct engine *e, struct inlet *in, uint64_t starts)
{
    if (in->starts && is_south(e, in)) {
        note_back(e, in);
    }
    in->starts = starts;
    in->down_noted = false;
    command_box_gone(e, in->box);
    if (in->condemned || atomic_load(&in->up.tail->tail) > in->up.next) {
        reopen(e, in);
    }
    if (in->box < e->g->plan.header->boxes.count) {
        account_event(e, EVENT_BOX_START, in->box, e->g->life + starts, box_name(e, in));
    }
    in->told_sequence = journal_next_sequence(e->journal);
}

/* Goes on exactly where the journal's last frame from this ring ended, even if the tail did not move any more. A tail
 * beyond it tells that the predecessor let samples go (journal_durable_ring) and died before their gap was durable. */
static void attach(struct engine *e, struct inlet *in)
{
    const struct seat *s = in->seat;
    int err = ring_consumer_init(&in->up, s->up, s->up_capacity, s->up_tail);
    in->asked_before = in->up.next + (err ? 0 : ring_waiting(&in->up));
    if (err ||
        (in->journaled > in->up.next && in->journaled - in->up.next > ring_waiting(&in->up))) {
        watch_condemn(e, in, "its ring's position can't be true");
    } else if (in->journaled > in->up.next) {
        in->up.next = in->journaled;
        ring_release(&in->up, in->journaled);
    } else if (in->journaled < in->up.next && is_south(e, in)) {
        account_skip(e, in, in->journaled, GAP_JOURNAL_FAILED);
    }
}

void watch_attach(struct engine *e)
{
    for (size_t i = 0; i < e->inlet_count; i++) {
        e->inlets[i].alive_ns = e->mono_ns;
        attach(e, e->inlets + i);
    }
}

/* A heart beats when it changes. */
static void listen_to_heart(struct engine *e, struct inlet *in)
{
    int64_t heartbeat = atomic_load(&in->seat->panel->heartbeat_ns);
    if (heartbeat != in->seen_heartbeat) {
        in->seen_heartbeat = heartbeat;
        in->alive_ns = e->mono_ns;
        atomic_store(&in->seat->memory->alive_utc_ns, e->utc_ns);
    }
}

void watch_seats(struct engine *e)
{
    uint64_t durable = journal_durable_sequence(e->journal);
    for (size_t i = 0; i < e->inlet_count; i++) {
        struct inlet *in = e->inlets + i;
        const struct health_seat *h = e->g->health->seats + (in->seat - e->g->seats);
        uint64_t starts = atomic_load(&h->starts);
        bool waits = atomic_load(&h->state) == SEAT_WAITING;
        if (starts != in->starts) {
            adopt(e, in, starts);
            in->alive_ns = e->mono_ns;
            waits = false; /* it is being started at this moment */
        }
        listen_to_heart(e, in);
        account_certificate(e, in);
        if (in->told_sequence && durable >= in->told_sequence) {
            in->told_sequence = 0;
            atomic_store(&in->seat->memory->starts, in->starts);
        }
        bool dead = waits || e->mono_ns - in->alive_ns > HEART_LATE_NS;
        if (in->starts && dead && !in->down_noted && is_south(e, in)) {
            note_down(e, in, "the box is down");
        }
    }
}
