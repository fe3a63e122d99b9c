/* SPDX-License-Identifier: Apache-2.0 */
/* Gaps and events that the engine itself notes. */
#include "engine/internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define DROPS_MAX (UINT64_C(1) << 48) /* of a tag between two looks: years of a fast one */

/* One control record in a frame of its own. False: the journal's buffer has no room. */
static bool note_in(struct engine *e, const struct journal_frame *frame, struct slot head,
                    const void *payload, size_t size)
{
    size_t count = slot_count_for(size);
    struct slot *out = journal_begin(e->journal, frame, count);
    if (!out) {
        return false;
    }
    memset(out, 0, count * sizeof *out);
    head.value.u64 = size;
    out[0] = head;
    memcpy(out + 1, payload, size);
    journal_commit(e->journal, count, record_has_sequence(&head));
    return true;
}

static bool note(struct engine *e, struct slot head, const void *payload, size_t size)
{
    return note_in(e, &(struct journal_frame){.box = FRAME_ENGINE, .now_ns = e->utc_ns}, head,
                   payload, size);
}

/* What the audit wants to know of what happens to the gateway itself. */
static void audit_event(struct engine *e, enum event_kind kind, uint32_t box, const char *text)
{
    const struct plan *p = &e->g->plan;
    struct audit_entry entry = {.kind = kind == EVENT_GATEWAY_START  ? AUDIT_GATEWAY_START
                                        : kind == EVENT_GATEWAY_STOP ? AUDIT_GATEWAY_STOP
                                        : kind == EVENT_BOX_START    ? AUDIT_BOX_START
                                        : kind == EVENT_BOX_STOP     ? AUDIT_BOX_STOP
                                                                     : 0,
                                .utc_ns = e->utc_ns,
                                .detail = p->header->generation};
    uint64_t unused;
    if (e->audit && entry.kind) {
        bool known = box < p->header->boxes.count;
        snprintf(entry.subject, sizeof entry.subject, "%.80s",
                 plan_text(p, known ? p->boxes[box].name : p->header->name));
        snprintf(entry.text, sizeof entry.text, "%.160s", text);
        int full =
            audit_append(e->audit, &entry, false, &unused); /* what needs it is refused then */
        (void)full;
    }
}

static const char *date(int64_t utc_ns, char out[24])
{
    struct tm tm;
    time_t seconds = (time_t)(utc_ns / NS_PER_S);
    if (!utc_ns || !gmtime_r(&seconds, &tm) || !strftime(out, 24, "%Y-%m-%dT%H:%M:%SZ", &tm)) {
        return "none";
    }
    return out;
}

/* A box says it, and could say another thing each moment. */
void account_certificate(struct engine *e, struct inlet *in)
{
    char now[24], before[24];
    uint64_t unused;
    int64_t ends =
        atomic_load_explicit(&in->seat->panel->certificate_ends_ns, memory_order_relaxed);
    bool soon = in->certificate_told_ns && e->mono_ns - in->certificate_told_ns < 60 * NS_PER_S;
    if (ends == in->seen_certificate || soon || !e->audit) {
        return;
    }
    struct audit_entry entry = {.kind = AUDIT_CERTIFICATE,
                                .utc_ns = e->utc_ns,
                                .type = VALUE_INT64,
                                .has_before = in->seen_certificate != 0,
                                .has_after = ends != 0,
                                .before.i64 = in->seen_certificate,
                                .after.i64 = ends};
    snprintf(entry.subject, sizeof entry.subject, "%.80s", in->seat->name);
    snprintf(entry.text, sizeof entry.text, "the first of its certificates ends %s; before: %s",
             date(ends, now), date(in->seen_certificate, before));
    if (audit_append(e->audit, &entry, false, &unused) == ERR_OK) {
        in->seen_certificate = ends;
        in->certificate_told_ns = e->mono_ns;
    }
}

void account_event(struct engine *e, enum event_kind kind, uint32_t box, uint64_t detail,
                   const char *text)
{
    struct record_event event = {.box = box, .device = PLAN_NONE, .detail = detail};
    snprintf(event.text, sizeof event.text, "%s", text);
    struct slot head = {.time = e->utc_ns, .tag = record_tag(RECORD_EVENT), .status = kind};
    note(e, head, &event, sizeof event);
    audit_event(e, kind, box, text);
}

static bool note_gap(struct engine *e, const struct record_gap *gap)
{
    struct slot head = {.time = e->utc_ns, .tag = record_tag(RECORD_GAP)};
    return note(e, head, gap, sizeof *gap);
}

void account_gap(struct engine *e, const struct record_gap *gap)
{
    note_gap(e, gap);
}

void account_skip(struct engine *e, struct inlet *in, uint64_t from, enum gap_cause cause)
{
    struct journal_frame frame = {in->box, in->ring_life, from, in->up.next, e->utc_ns};
    struct slot head = {.time = e->utc_ns, .tag = record_tag(RECORD_GAP)};
    struct record_gap gap = {.scope = GAP_BOX,
                             .which = in->box,
                             .cause = cause,
                             .from_ns =
                                 e->last_ns && e->last_ns < e->utc_ns ? e->last_ns : e->utc_ns,
                             .to_ns = e->utc_ns,
                             .missed = in->up.next - from};
    if (cause) {
        note_in(e, &frame, head, &gap, sizeof gap);
    } else if (journal_begin(e->journal, &frame, 0)) {
        journal_commit(e->journal, 0, 0);
    }
}

/* What the journal holds of the time before, as far as it could be read. */
static void tell_damage(struct engine *e, const struct journal_recovered *r)
{
    char text[96];
    account_event(e, EVENT_JOURNAL_RECOVERED, PLAN_NONE, r->cut_bytes + r->damaged_bytes, r->text);
    if (r->lost) {
        snprintf(text, sizeof text, "records of sequence %llu to %llu are lost",
                 (unsigned long long)r->lost_from, (unsigned long long)r->lost_to - 1);
        account_event(e, EVENT_JOURNAL_FAULT, PLAN_NONE, r->lost, text);
    }
    if (r->lost || r->damaged_bytes || r->set_aside) {
        struct record_gap gap = {.scope = GAP_ALL,
                                 .cause = GAP_SEGMENT_LOST,
                                 .from_ns = r->lost ? r->lost_from_ns : r->last_ns,
                                 .to_ns = r->lost ? r->lost_to_ns : e->utc_ns,
                                 .missed = r->lost};
        gap.from_ns = gap.from_ns < gap.to_ns ? gap.from_ns : gap.to_ns;
        account_gap(e, &gap);
    }
}

#define SINCE_KEY "ledger/since"

/* When the accounts began: told once, when the journal was new. */
static void recall_since(struct engine *e, const struct journal_recovered *r)
{
    struct {
        struct record_store head;
        int64_t since_ns;
    } told = {.head = {.key = SINCE_KEY, .size = sizeof told.since_ns}, .since_ns = e->utc_ns};
    if (!r->last_ns) {
        struct slot head = {
            .time = e->utc_ns, .tag = record_tag(RECORD_STORE), .status = FRAME_ENGINE};
        note(e, head, &told, sizeof told);
    } else if (journal_stored(e->journal, FRAME_ENGINE, SINCE_KEY, &told.since_ns,
                              sizeof told.since_ns) != sizeof told.since_ns) {
        told.since_ns = 0; /* an older Isthmus began this journal */
    }
    atomic_store(&e->g->engine->ledger_since_ns, told.since_ns);
}

void account_start(struct engine *e, const struct journal_recovered *r)
{
    recall_since(e, r);
    _Atomic uint32_t *told = &e->g->engine->start_told;
    bool first = !atomic_load(told);
    struct record_gap gap = {.scope = GAP_ALL,
                             .cause = GAP_GATEWAY_DOWN,
                             .from_ns = r->last_ns < e->utc_ns ? r->last_ns : e->utc_ns,
                             .to_ns = e->utc_ns};
    if (first) {
        account_event(e, EVENT_GATEWAY_START, PLAN_NONE, 0, "gateway started");
    }
    if (r->text[0]) {
        tell_damage(e, r);
    }
    if (r->untold_ns) { /* the predecessor let samples go and had no time to count them */
        struct record_gap untold = {.scope = GAP_ALL,
                                    .cause = GAP_JOURNAL_FAILED,
                                    .from_ns = r->untold_ns < e->utc_ns ? r->untold_ns : e->utc_ns,
                                    .to_ns = e->utc_ns};
        account_gap(e, &untold);
    }
    if (first && r->last_ns) {
        account_gap(e, &gap);
        gap.cause = GAP_TORN_TAIL;
        if (r->cut_bytes) { /* without a start of the gateway the rings still have what was cut off */
            account_gap(e, &gap);
        }
    }
    atomic_store(told, 1);
}

/* How many of a tag's drops are gaps already. The ledger knows, and after a restart of the engine the journal knew it:
 * so drops are never counted twice, nor forgotten, whenever the engine dies. */
static uint64_t drops_told(const struct inlet *in, struct tag_state *t)
{
    return atomic_load(&engine_entry(t)->gaps) + 1 -
           atomic_load(in->seat->other_gaps + t->box_index);
}

/* False: no room in the journal's buffer. */
static bool tell_drops(struct engine *e, struct inlet *in, struct tag_state *t)
{
    struct drop_counter *d = in->seat->drops + t->box_index;
    uint64_t count = atomic_load_explicit(&d->count, memory_order_acquire);
    uint64_t more = count - drops_told(in, t);
    if (!more || more > INT64_MAX) { /* more: it counts backwards */
        return true;
    }
    if (more > DROPS_MAX) {
        watch_condemn(e, in, "its count of lost samples can't be true");
        return true;
    }
    struct record_gap gap = {.scope = GAP_TAG,
                             .which = t->tag->id,
                             .cause = GAP_RING_FULL,
                             .from_ns = atomic_load(&d->first_ns),
                             .to_ns = atomic_load(&d->last_ns),
                             .produced = more};
    if (gap.from_ns > gap.to_ns) {
        gap.from_ns = gap.to_ns;
    }
    if (!note_gap(e, &gap)) {
        return false;
    }
    ledger_add(&engine_entry(t)->produced, more);
    ledger_add(&engine_entry(t)->gaps, more);
    atomic_store_explicit(in->seat->drops_seen + t->box_index, count, memory_order_release);
    return true;
}

/* Samples that found no room in a ring: the box counts them per tag, we turn the growth into gaps. */
void account_drops(struct engine *e, struct inlet *in)
{
    uint64_t total = atomic_load_explicit(&in->up.head->dropped, memory_order_acquire);
    if (!in->seat->drops || total == in->seen_dropped) {
        return;
    }
    for (uint32_t i = 0; i < e->g->plan.header->tags.count && !in->condemned; i++) {
        if (e->tags[i].tag->box == in->box && !tell_drops(e, in, e->tags + i)) {
            return; /* go on at the next tick */
        }
    }
    in->seen_dropped = total;
}

void account_forget_drops(struct engine *e, struct inlet *in)
{
    for (uint32_t i = 0; in->seat->drops && i < e->g->plan.header->tags.count; i++) {
        struct tag_state *t = e->tags + i;
        if (t->tag->box == in->box) {
            uint64_t count = atomic_load(&in->seat->drops[t->box_index].count);
            atomic_store(in->seat->drops_seen + t->box_index, count);
            atomic_store(in->seat->other_gaps + t->box_index,
                         atomic_load(&engine_entry(t)->gaps) + 1 - count);
        }
    }
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
            _Atomic uint64_t *other = e->g->seats[SEAT_BOX + t->tag->box].other_gaps;
            ledger_add(&entry->gaps, gaps[i].produced);
            if (other) {
                ledger_add(other + t->box_index, gaps[i].produced);
            }
        }
    }
}
