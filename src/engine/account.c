/* SPDX-License-Identifier: Apache-2.0 */
/* Gaps and events that the engine itself notes. */
#include "engine/internal.h"

#include <stdio.h>
#include <string.h>

/* One control record in a frame of the engine's own. A journal without room for it is full: then the journal counts the
 * loss itself. */
static bool note(struct engine *e, struct slot head, const void *payload, size_t size,
                 int sequences)
{
    size_t count = slot_count_for(size);
    struct journal_frame frame = {.box = FRAME_ENGINE, .now_ns = e->utc_ns};
    struct slot *out = journal_begin(e->journal, &frame, count);
    if (!out) {
        return false;
    }
    memset(out, 0, count * sizeof *out);
    head.value.u64 = size;
    out[0] = head;
    memcpy(out + 1, payload, size);
    journal_commit(e->journal, count, (uint64_t)sequences);
    return true;
}

void account_event(struct engine *e, enum event_kind kind, uint32_t box, uint64_t detail,
                   const char *text)
{
    struct record_event event = {.box = box, .device = PLAN_NONE, .detail = detail};
    snprintf(event.text, sizeof event.text, "%s", text);
    struct slot head = {.time = e->utc_ns, .tag = record_tag(RECORD_EVENT), .status = kind};
    note(e, head, &event, sizeof event, 1);
}

static bool note_gap(struct engine *e, const struct record_gap *gap)
{
    struct slot head = {.time = e->utc_ns, .tag = record_tag(RECORD_GAP)};
    return note(e, head, gap, sizeof *gap, 1);
}

void account_gap(struct engine *e, const struct record_gap *gap)
{
    note_gap(e, gap);
}

/* Samples that found no room in a ring: the box counts them per tag, we turn the growth into gaps. What has a durable gap
 * is kept in shared memory, so that an engine started anew neither forgets nor counts twice. */
void account_drops(struct engine *e, struct inlet *in)
{
    uint64_t total = atomic_load_explicit(&in->up.head->dropped, memory_order_acquire);
    if (!in->seat->drops || total == in->seen_dropped) {
        return;
    }
    const struct plan *p = &e->g->plan;
    uint32_t at = 0;
    for (uint32_t i = 0; i < p->header->tags.count; i++) {
        if (p->tags[i].box != in->box) {
            continue;
        }
        struct drop_counter *d = in->seat->drops + at;
        uint64_t *noted = in->noted_drops + at++;
        uint64_t count = atomic_load_explicit(&d->count, memory_order_acquire);
        if (count <= *noted) {
            continue;
        }
        struct record_gap gap = {.scope = GAP_TAG,
                                 .which = p->tags[i].id,
                                 .cause = GAP_RING_FULL,
                                 .from_ns = atomic_load(&d->first_ns),
                                 .to_ns = atomic_load(&d->last_ns),
                                 .produced = count - *noted};
        if (gap.from_ns > gap.to_ns) {
            gap.from_ns = gap.to_ns;
        }
        if (!note_gap(e, &gap)) {
            return; /* no room in the journal's buffer: go on at the next tick */
        }
        *noted = count;
        in->drops_until = journal_next_sequence(e->journal);
        struct now_entry *entry = engine_entry(e->tags + i);
        ledger_add(&entry->produced, gap.produced);
        ledger_add(&entry->gaps, gap.produced);
    }
    in->seen_dropped = total;
}

void account_durable_drops(struct engine *e, struct inlet *in)
{
    if (!in->drops_until || journal_durable_sequence(e->journal) < in->drops_until) {
        return;
    }
    uint32_t count = e->g->plan.boxes[in->box].tag_count;
    for (uint32_t i = 0; i < count; i++) {
        atomic_store_explicit(in->seat->drops_seen + i, in->noted_drops[i], memory_order_relaxed);
    }
    in->drops_until = 0;
}

/* Frames that the disk would not take: their samples count as gaps, no longer as journaled. */
void account_losses(struct engine *e)
{
    struct record_gap gaps[64];
    size_t n = journal_take_losses(e->journal, gaps, sizeof gaps / sizeof *gaps);
    for (size_t i = 0; i < n; i++) {
        note_gap(e, gaps + i);
        struct tag_state *t = engine_tag(e, gaps[i].which);
        if (t && gaps[i].scope == GAP_TAG) {
            struct now_entry *entry = engine_entry(t);
            ledger_add(&entry->journaled, 0 - gaps[i].produced);
            ledger_add(&entry->gaps, gaps[i].produced);
        }
    }
}
