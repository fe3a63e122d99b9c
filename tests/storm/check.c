/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold whenever the journal was opened, whatever happened before. Numbers are those of docs/journal-format.md. */
#include "storm.h"

#include <stdlib.h>
#include <string.h>

struct seen {
    struct journal_account sums[STORM_TAGS + 1];
    bool sealed; /* not all of it is in raw segments any more */
};

/* Takes back what the journal does not have: only what was never acknowledged, or what damage excuses. */
static void cut_account(struct world *w, uint64_t next, uint64_t ring)
{
    struct account *a = &w->account;
    while (a->count && a->told[a->count - 1].first >= next) {
        const struct told *t = a->told + --a->count;
        must(w, t->first + t->sequences > a->durable || t->excused); /* J1 */
        must(w, t->life != a->life || !t->ring_to || t->ring_to > ring ||
                    t->excused); /* invariant 7 */
        a->slot_count = t->slots;
    }
    if (a->count) {
        const struct told *t = a->told + a->count - 1;
        must(w, t->first + t->sequences <= next); /* invariant 1: whole frames */
    }
    /* Later writes may have reached the disk without earlier ones: that was told, and never acknowledged. */
    for (size_t i = a->count; i-- > 0 && a->told[i].first >= a->durable;) {
        const struct journal_recovered *r = &w->recovered;
        a->told[i].excused |= a->told[i].first >= r->lost_from && a->told[i].first < r->lost_to;
    }
    a->durable = next;
}

/* The plant's ring goes on where the journal's account of it ends, or is gone with the power. */
static void go_on(struct world *w, uint64_t ring, bool power_was_cut)
{
    struct account *a = &w->account;
    must(w, ring <= a->taken);
    if (w->recovered.untold_ns) {
        put_gap(w, &(struct record_gap){.scope = GAP_ALL, .cause = GAP_JOURNAL_FAILED});
    }
    if (w->recovered.lost || w->recovered.damaged_bytes) {
        put_gap(w, &(struct record_gap){
                       .scope = GAP_ALL, .cause = GAP_SEGMENT_LOST, .missed = w->recovered.lost});
    }
    if (power_was_cut) {
        for (uint64_t unit = 0; unit < a->taken; unit++) {
            a->lost[plant_tag(w, unit)] += unit < ring && account_is_shed(a, unit);
            account_shed(a, unit, false);
        }
        a->life++;
        a->taken = a->released = a->store_next = a->store_released = 0;
        put_gap(w, &(struct record_gap){.scope = GAP_ALL, .cause = GAP_GATEWAY_DOWN});
        return;
    }
    for (uint64_t unit = ring; unit < a->taken; unit++) {
        account_shed(a, unit, false);
    }
    a->taken = ring;
    if (a->released > ring) {
        put_skip(w, ring, a->released);
        a->taken = a->released;
    }
}

/* The last value with this key; NULL: there is none. */
static struct stored *last_stored(struct account *a, uint64_t key)
{
    size_t i = a->stored_count;
    while (i-- > 0) {
        if (a->stored[i].position % STORM_KEYS == key && a->stored[i].life) {
            return a->stored + i;
        }
    }
    return NULL;
}

static void check_stored(struct world *w, uint64_t position)
{
    struct account *a = &w->account;
    while (a->stored_count && a->stored[a->stored_count - 1].life == a->life &&
           a->stored[a->stored_count - 1].position >= position) {
        a->stored_count--;
    }
    must(w, position >= a->store_released || w->damages);
    for (uint64_t key = 0; key < STORM_KEYS && !w->damages; key++) {
        struct stored value = {0}, *last;
        char name[] = {(char)('a' + key), 0};
        int size = journal_stored(w->journal, 1, name, &value, sizeof value);
        while ((last = last_stored(a, key)) && memcmp(&value, last, sizeof value) != 0) {
            /* it lay in a hole that writes out of order left */
            must(w, w->recovered.damaged_bytes && last->life == a->life &&
                        last->position >= a->store_released);
            last->life = 0;
        }
        must(w, size == (last ? (int)sizeof value : ERR_NOT_FOUND));
    }
    a->store_next = a->store_released = position;
}

static void add_record(struct world *w, struct seen *s, const struct slot *r)
{
    if (!slot_is_control(r)) {
        must(w, slot_id(r) <= STORM_TAGS);
        s->sums[slot_id(r)].journaled++;
    } else if (record_kind(r) == RECORD_TALLY) {
        struct record_tally t;
        memcpy(&t, r + 1, sizeof t);
        must(w, t.tag <= STORM_TAGS);
        *(t.kind == TALLY_SUPPRESSED ? &s->sums[t.tag].suppressed : &s->sums[t.tag].rejected) +=
            t.count;
    } else if (record_kind(r) == RECORD_GAP) {
        struct record_gap gap;
        memcpy(&gap, r + 1, sizeof gap);
        s->sums[gap.scope == GAP_TAG ? gap.which : 0].gaps += gap.produced;
    }
}

static bool is_told(const struct world *w, const struct told *t, const struct follow_frame *f)
{
    const struct slot *slots = w->account.slots + t->slots;
    return t->first == f->first_sequence && t->first + t->sequences == f->end_sequence &&
           t->box == f->box && t->slot_count == f->slot_count &&
           !memcmp(slots, f->slots, f->slot_count * sizeof *slots);
}

static void trace_frame(const struct world *w, const struct follow_frame *f)
{
    if (w->trace) {
        fprintf(w->trace, "    read %llu to %llu, lost before %llu, epoch %llu\n",
                (unsigned long long)f->first_sequence, (unsigned long long)f->end_sequence,
                (unsigned long long)f->lost_before, (unsigned long long)f->epoch);
    }
}

/* An orderly stop journals the gaps that are still open by itself. If the power goes meanwhile, a later one may be there
 * and an earlier one not: neither was acknowledged. */
static void learn(struct world *w, const struct follow_frame *f)
{
    must(w, f->box == PLAN_NONE && f->end_sequence == f->first_sequence + 1);
    must(w, record_kind(f->slots) == RECORD_GAP);
    const struct account *a = &w->account;
    const struct told *last = a->count ? a->told + a->count - 1 : NULL;
    uint64_t end = last && last->first + last->sequences > w->closing_from
                       ? last->first + last->sequences
                       : w->closing_from;
    if (end < f->first_sequence) {
        struct told torn = {
            .first = end, .sequences = f->first_sequence - end, .box = PLAN_NONE, .excused = true};
        account_tell(&w->account, &torn, NULL);
    }
    struct told t = {.first = f->first_sequence,
                     .sequences = 1,
                     .box = f->box,
                     .slot_count = (uint32_t)f->slot_count};
    account_tell(&w->account, &t, f->slots);
}

/* What raw segments no longer have is in history. */
static bool is_sealed(const struct world *w, const struct told *t)
{
    return t->first + t->sequences <= w->sealed_end || t->unsealed;
}

/* As history has it. */
static void add_told(struct world *w, struct seen *s, const struct told *t)
{
    const struct slot *slots = w->account.slots + t->slots;
    s->sealed |= is_sealed(w, t);
    for (size_t i = 0; i < t->slot_count && is_sealed(w, t) && (t->found || !t->excused);
         i += slot_record_length(slots + i)) {
        add_record(w, s, slots + i);
    }
}

/* Reads all there is, in order, each record once, bit for bit (invariants 1, 3, 8; J1). */
static void read_all(struct world *w, struct seen *s)
{
    struct follow *f;
    struct follow_frame frame;
    struct account *a = &w->account;
    size_t at = 0;
    uint64_t lost = 0;
    bool began = false; /* what is missing before the oldest is not counted */
    int got;
    must(w, follow_open_on(&f, sim_disk(w->sim), 0, &w->marks, 0) == 0);
    while ((got = follow_next(f, &frame)) > 0) {
        must(w, frame.epoch < w->marks.epoch);
        for (size_t i = 0; i < frame.slot_count; i += slot_record_length(frame.slots + i)) {
            add_record(w, s, frame.slots + i);
        }
        lost += frame.lost_before;
        trace_frame(w, &frame);
        if (frame.end_sequence == frame.first_sequence) {
            continue; /* stored values and tallies of the journal's own: in the sums */
        }
        if (frame.first_sequence >= w->closing_from && !account_find(a, frame.first_sequence)) {
            learn(w, &frame);
        }
        uint64_t skipped = 0;
        for (; at < a->count && a->told[at].first < frame.first_sequence; at++) {
            must(w, a->told[at].excused || is_sealed(w, a->told + at));
            add_told(w, s, a->told + at);
            skipped += a->told[at].sequences;
        }
        must(w, at < a->count && is_told(w, a->told + at, &frame));
        a->told[at].found = true;
        must(w, lost == skipped || !began); /* J2: no hole */
        began = true;
        lost = 0;
        at++;
    }
    must(w, got == 0);
    for (; at < a->count; at++) {
        must(w, a->told[at].excused || is_sealed(w, a->told + at));
        add_told(w, s, a->told + at);
    }
    s->sealed |= w->marks.first_segment > 1; /* also what has no sequence number */
    follow_close(f);
    w->closing_from = UINT64_MAX;
}

static void check_accounts(struct world *w, const struct seen *s, uint64_t ring)
{
    /* A gap over a stretch of time tells of all that is missing in it. */
    bool told_in_time = w->recovered.untold_ns || w->recovered.damaged_bytes;
    for (uint32_t tag = 1; tag <= STORM_TAGS; tag++) {
        static const struct journal_account none;
        const struct journal_account *a = journal_tag_account(w->journal, tag);
        const struct journal_account *sum = s->sums + tag;
        a = a ? a : &none;
        must(w,
             a->produced == a->journaled + a->suppressed + a->rejected + a->gaps); /* invariant 5 */
        if (w->damages) {
            continue;
        }
        must(w, a->journaled == sum->journaled); /* invariants 4 and 6 */
        must(w, s->sealed || a->suppressed == sum->suppressed);
        must(w, s->sealed || a->rejected == sum->rejected);
        must(w, a->gaps == sum->gaps);
        uint64_t shed = w->account.lost[tag];
        for (uint64_t unit = 0; unit < ring; unit++) {
            shed += account_is_shed(&w->account, unit) && plant_tag(w, unit) == tag;
        }
        must(w, sum->gaps - w->account.settled[tag] >= shed || told_in_time); /* J2: no hole */
    }
    for (uint32_t tag = 1; told_in_time && tag <= STORM_TAGS; tag++) {
        w->account.settled[tag] = s->sums[tag].gaps;
        w->account.lost[tag] = 0;
    }
    for (uint64_t unit = 0; told_in_time && unit < ring; unit++) {
        account_shed(&w->account, unit, false);
    }
}

void check_all(struct world *w, bool power_was_cut)
{
    struct account *a = &w->account;
    struct seen s = {0};
    uint64_t life, ring = 0, store = 0, next = journal_next_sequence(w->journal);
    if (!journal_ring_position(w->journal, 0, &life, &ring) || life != a->life) {
        ring = 0;
    }
    if (!journal_ring_position(w->journal, 1, &life, &store) || life != a->life) {
        store = 0;
    }
    sim_fail(w->sim, SIM_READ, 0, 0, 0);
    cut_account(w, next, ring);
    check_stored(w, store);
    look_at_history(w);
    read_all(w, &s);
    check_history(w);
    check_care(w);
    check_accounts(w, &s, ring);
    go_on(w, ring, power_was_cut);
}

void check_live(struct world *w, unsigned frames)
{
    struct follow_frame f;
    while (w->live && frames-- && follow_next(w->live, &f) > 0) {
        trace_frame(w, &f);
        if (f.end_sequence == f.first_sequence || f.end_sequence <= w->live_sequence) {
            continue;
        }
        const struct told *t = account_find(&w->account, f.first_sequence);
        must(w, t && t->first == f.first_sequence && is_told(w, t, &f));
        while (w->live_sequence < f.first_sequence) { /* stepped over: rightly? */
            const struct told *over = account_find(&w->account, w->live_sequence);
            must(w, !over || over->excused); /* none: a gap that an orderly stop had added */
            w->live_sequence = over ? over->first + over->sequences : w->live_sequence + 1;
        }
        w->live_sequence = f.end_sequence;
    }
}
