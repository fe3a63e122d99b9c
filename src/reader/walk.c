/* SPDX-License-Identifier: Apache-2.0 */
/* The inner loop is the reader's share of the sample path: one compare and one bit test a sample. A run of numeric
 * samples ends at whatever is not a wanted numeric sample; long and control records are runs of their own, for they
 * are rare. */
#include "reader/walk.h"

#include <string.h>

bool filter_has_gap(const struct filter *f, uint32_t scope, uint32_t which)
{
    return scope == GAP_TAG      ? filter_has_tag(f, which)
           : scope == GAP_DEVICE ? which < f->device_count && f->devices[which]
           : scope == GAP_BOX    ? which < f->box_count && f->boxes[which]
                                 : scope == GAP_ALL;
}

bool filter_has_note(const struct filter *f, const struct slot *record)
{
    if (record_kind(record) == RECORD_GAP) {
        struct record_gap gap;
        if (record->value.u64 < sizeof gap) {
            return false;
        }
        memcpy(&gap, slot_payload(record), sizeof gap);
        return filter_has_gap(f, gap.scope, gap.which);
    }
    struct record_event event;
    if (record_kind(record) != RECORD_EVENT || record->value.u64 < sizeof event) {
        return false;
    }
    memcpy(&event, slot_payload(record), sizeof event);
    if (event.device != UINT32_MAX) {
        return event.device < f->device_count && f->devices[event.device];
    }
    return event.box == UINT32_MAX || (event.box < f->box_count && f->boxes[event.box]);
}

void walk_close(struct walk *s)
{
    follow_close(s->follow);
    *s = (struct walk){0};
}

int walk_seek(struct walk *s, const struct history *h, const struct journal_marks *marks,
              uint64_t sequence)
{
    if (s->follow && s->sequence == sequence && !s->by_time) {
        return ERR_OK;
    }
    int err = s->follow ? follow_seek(s->follow, sequence)
                        : follow_open_on(&s->follow, h->disk, h->dir, marks, sequence);
    s->has_frame = s->by_time = false;
    s->sequence = sequence;
    s->lost = 0;
    return err;
}

int walk_seek_time(struct walk *s, const struct history *h, const struct journal_marks *marks,
                   int64_t from_ns)
{
    int err = s->follow ? ERR_OK : follow_open_on(&s->follow, h->disk, h->dir, marks, 0);
    if (!err) {
        err = follow_seek_time(s->follow, from_ns);
    }
    s->has_frame = false;
    s->by_time = true;
    s->sequence = err ? 0 : follow_sequence(s->follow);
    s->lost = 0;
    return err;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool frame_is_wanted(const struct walk *s, const struct filter *f)
{
    const struct follow_frame *frame = &s->frame;
    return frame->end_sequence > s->sequence &&
           !(f->timed && (frame->max_ns < f->from_ns || frame->min_ns > f->to_ns));
}

/* 1: a frame with something at or after s->sequence is there; 0: nothing more is written. */
static int need_frame(struct walk *s, const struct filter *f, const struct walk_limit *limit)
{
    while (!s->has_frame) {
        if (*limit->budget == 0 || s->sequence >= limit->end) {
            return 0;
        }
        int got = follow_next(s->follow, &s->frame);
        if (got <= 0) {
            return got;
        }
        s->lost += s->frame.first_sequence > s->sequence ? s->frame.lost_before : 0;
        s->has_frame = frame_is_wanted(s, f);
        /* one that is stepped over was read and checked all the same */
        size_t cost = 1 + (s->has_frame ? 0 : s->frame.slot_count);
        *limit->budget -= (size_t)least(*limit->budget, cost);
        s->at = 0;
        s->at_first = s->frame.first_sequence;
        uint64_t reached = s->has_frame ? s->frame.first_sequence : s->frame.end_sequence;
        s->sequence = reached > s->sequence ? reached : s->sequence;
    }
    return 1;
}

/* Steps over the record at s->at. */
static void step_over(struct walk *s, size_t slots, uint32_t records)
{
    s->at += slots;
    s->at_first += records;
    s->sequence = s->at_first > s->sequence ? s->at_first : s->sequence;
}

/* Numeric samples from s->at on: first those that are not wanted, then a run of those that are. False: no run. */
static bool numeric_run(struct walk *s, const struct filter *f, const struct walk_limit *limit,
                        struct walk_run *run)
{
    const struct slot *slots = s->frame.slots + s->at;
    size_t left = (size_t)least(s->frame.slot_count - s->at, limit->end - s->at_first);
    left = (size_t)least(left, *limit->budget);
    size_t n = 0;
    while (n < left && !(slots[n].tag & SLOT_LONG) &&
           (f->notes_only || s->at_first + n < s->sequence || !filter_has_tag(f, slots[n].tag))) {
        n++;
    }
    size_t start = n, most = (size_t)least(left - n, least(limit->records, limit->slots)) + n;
    while (n < most && !(slots[n].tag & SLOT_LONG) && filter_has_tag(f, slots[n].tag)) {
        n++;
    }
    n = f->notes_only ? start : n;
    *limit->budget -= n;
    run->slots = slots + start;
    run->slot_count = n - start;
    run->records = run->samples = (uint32_t)(n - start);
    run->first_sequence = s->at_first + start;
    step_over(s, n, (uint32_t)n);
    return n > start;
}

/* The long or control record at s->at. False: not wanted. */
static bool single_run(struct walk *s, const struct filter *f, const struct walk_limit *limit,
                       struct walk_run *run)
{
    const struct slot *slot = s->frame.slots + s->at;
    size_t length = slot_record_length(slot);
    bool control = slot_is_control(slot), sequenced = record_has_sequence(slot);
    bool wanted = sequenced && s->at_first >= s->sequence &&
                  (control ? !f->no_notes && (f->all_notes || filter_has_note(f, slot))
                           : !f->notes_only && filter_has_tag(f, slot_id(slot)));
    run->slots = slot;
    run->slot_count = length;
    run->records = 1;
    run->samples = !control;
    run->first_sequence = s->at_first;
    *limit->budget -= (size_t)least(*limit->budget, length);
    step_over(s, length, sequenced);
    return wanted;
}

int walk_next(struct walk *s, const struct filter *f, const struct walk_limit *limit,
              struct walk_run *run)
{
    for (;;) {
        int got = need_frame(s, f, limit);
        if (got <= 0) {
            return got < 0                     ? got
                   : s->sequence >= limit->end ? WALK_END
                   : *limit->budget == 0       ? WALK_BUDGET
                                               : WALK_END;
        }
        run->epoch = s->frame.epoch;
        run->now_ns = s->frame.now_ns;
        while (s->at < s->frame.slot_count) {
            const struct slot *slot = s->frame.slots + s->at;
            if (s->at_first >= limit->end && record_has_sequence(slot)) {
                return WALK_END;
            }
            if (*limit->budget == 0) {
                return WALK_BUDGET;
            }
            if (slot_is_long(slot) ? single_run(s, f, limit, run) : numeric_run(s, f, limit, run)) {
                return WALK_RUN;
            }
        }
        s->sequence = s->frame.end_sequence > s->sequence ? s->frame.end_sequence : s->sequence;
        s->has_frame = false;
    }
}
