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

void watch_condemn(struct engine *e, struct inlet *in, const char *reason)
{
    if (in->condemned) {
        return;
    }
    in->condemned = true;
    struct verdict *v = in->seat->verdict;
    char text[96];
    snprintf(text, sizeof text, "wrote garbage: %s", reason);
    words_from_text(v->reason, 12, text);
    atomic_store(&v->epoch, in->epoch);
    atomic_fetch_add(&v->raised, 1);
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
                             .from_ns = in->last_alive_utc,
                             .to_ns = e->utc_ns};
    if (gap.from_ns > gap.to_ns) {
        gap.from_ns = gap.to_ns;
    }
    gap.missed = missed_samples(e, in->box, gap.to_ns - gap.from_ns);
    account_gap(e, &gap);
}

static void adopt(struct engine *e, struct inlet *in, uint64_t epoch)
{
    bool is_box = in->box < e->g->plan.header->boxes.count;
    bool south = is_box && e->g->plan.boxes[in->box].kind == BOX_SOUTH;
    if (in->epoch && south) {
        note_back(e, in);
    }
    if (in->condemned) {
        /* The supervisor emptied the rings; the position only ever grows. */
        int err =
            ring_consumer_init(&in->up, in->seat->up, in->seat->up_capacity, in->seat->up_tail);
        in->condemned = err != ERR_OK;
    }
    in->epoch = epoch;
    in->down_noted = false;
    if (is_box) {
        account_event(e, EVENT_BOX_START, in->box, epoch, box_name(e, in));
    }
}

/* Which life of the process fills the ring: the supervisor counts them; the process itself is not asked. */
uint64_t watch_epoch(const struct engine *e, const struct inlet *in)
{
    const struct health_seat *h = e->g->health->seats + (in->seat - e->g->seats);
    uint64_t starts = atomic_load_explicit(&h->starts, memory_order_acquire);
    return starts ? e->g->life + starts : 0;
}

/* A heartbeat counts when it changes, by our clock. */
static bool heard(struct engine *e, struct inlet *in, bool changed)
{
    int64_t heartbeat = atomic_load(&in->seat->panel->heartbeat_ns);
    if (changed || heartbeat != in->seen_heartbeat) {
        in->seen_heartbeat = heartbeat;
        in->heard_ns = e->mono_ns;
        in->last_alive_utc = e->utc_ns;
    }
    return e->mono_ns - in->heard_ns <= HEART_LATE_NS;
}

void watch_seats(struct engine *e)
{
    for (size_t i = 0; i < e->inlet_count; i++) {
        struct inlet *in = e->inlets + i;
        uint64_t epoch = watch_epoch(e, in);
        bool changed = epoch != in->epoch;
        if (changed) {
            adopt(e, in, epoch);
        }
        bool alive = heard(e, in, changed);
        bool box = in->epoch && in->box < e->g->plan.header->boxes.count;
        const struct health_seat *h = e->g->health->seats + (in->seat - e->g->seats);
        bool dead = atomic_load(&h->state) == SEAT_WAITING || !alive;
        if (box && dead && !in->down_noted && e->g->plan.boxes[in->box].kind == BOX_SOUTH) {
            note_down(e, in, "the box is down");
        }
    }
}
