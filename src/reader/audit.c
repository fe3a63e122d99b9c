/* SPDX-License-Identifier: Apache-2.0 */
/* The accounts of all feeds, by one pass over what has become durable, whether anybody is connected or not. It knows
 * nothing of what was sent, so the two can be compared (feed_balances).
 *
 * What can't be read can't be counted, but each segment opens with the totals per tag of everything before it: how many
 * samples of a scope lay in a stretch that is missing is the difference between that total and ours. Was the whole stretch
 * delivered before it vanished, then it is no gap. A difference without a missing stretch must not be.
 *
 * A cursor never passes its account (cursor_store.c), so a segment that no cursor needs any more is counted. */
#include "reader/core.h"

#include <string.h>

void audit_rewind(struct reader_core *core)
{
    follow_close(core->counting.follow);
    core->counting = (struct counting){0};
}

/* Sequence numbers of [from, to) are missing. */
static void find_missing(struct feed *feed, uint64_t from, uint64_t to)
{
    struct cursor_range hole;
    if (cursor_next_hole(&feed->cursor, from, to, &hole)) {
        feed->account.missing = true;
    } else {
        feed->account.gone = true;
    }
}

/* The opening of a segment is complete: everything before `first` adds up to feed->opening_sum. */
static void compare_total(struct feed *feed, uint64_t first, bool oldest)
{
    struct account *a = &feed->account;
    bool jump = first > a->at;
    if (first < a->at) {
        return; /* counting goes on in the middle of this segment */
    }
    if (jump && a->at) {
        find_missing(feed, a->at, first);
    }
    /* less: records that the account had are lost, and recovery never saw them */
    if (a->total_known && feed->opening_sum > a->total) {
        uint64_t more = feed->opening_sum - a->total;
        uint64_t *gap = jump && oldest ? &a->dropped : &a->lost;
        *(a->missing ? gap : a->gone ? &a->journaled : &a->wrong) += more;
        a->journaled += a->missing ? more : 0;
    }
    a->total = feed->opening_sum;
    a->total_known = true;
    a->missing = a->gone = false;
    a->at = first;
}

static void add_accounts(struct feed *feed, const struct frame_header *h, const struct slot *slots)
{
    struct frame_account account;
    for (uint32_t i = 0; i + 1 < h->slot_count; i += sizeof account / sizeof *slots) {
        memcpy(&account, slots + i, sizeof account);
        if (filter_has_tag(&feed->scope.filter, account.id)) {
            feed->opening_sum += account.journaled;
        }
    }
}

static void on_opening(void *context, uint64_t segment, const struct frame_header *h,
                       const struct slot *slots, bool spoiled)
{
    struct reader_core *core = context;
    core->counting.spoiled |= spoiled;
    for (uint32_t i = 0; i < core->feed_count; i++) {
        struct feed *feed = core->feeds + i;
        if (h->kind == FRAME_ACCOUNTS) {
            add_accounts(feed, h, slots);
        } else if (h->kind == FRAME_OPENED) {
            if (feed->known && !core->counting.spoiled) {
                compare_total(feed, h->first_sequence, segment == core->journal.first_segment);
            }
            feed->opening_sum = 0;
        }
    }
    core->counting.spoiled &= h->kind != FRAME_OPENED;
}

static uint64_t samples_in(const struct follow_frame *frame, const struct filter *filter,
                           uint64_t from)
{
    uint64_t samples = 0, sequence = frame->first_sequence;
    for (size_t i = 0; i < frame->slot_count;) {
        const struct slot *s = frame->slots + i;
        if (!slot_is_control(s)) {
            samples += sequence >= from && filter_has_tag(filter, slot_id(s));
        }
        sequence += record_has_sequence(s);
        i += slot_is_long(s) ? slot_record_length(s) : 1;
    }
    return samples;
}

static void count_frame(struct reader_core *core, const struct follow_frame *frame)
{
    for (uint32_t i = 0; i < core->feed_count; i++) {
        struct feed *feed = core->feeds + i;
        struct account *a = &feed->account;
        if (!feed->known || frame->end_sequence <= a->at) {
            continue;
        }
        if (a->at && frame->first_sequence > a->at) {
            find_missing(feed, a->at, frame->first_sequence);
        }
        uint64_t samples = samples_in(frame, &feed->scope.filter, a->at);
        a->journaled += samples;
        a->total += samples;
        a->at = frame->end_sequence;
    }
}

/* Where the account begins that is furthest behind. False: there is none. */
static bool find_start(const struct reader_core *core, uint64_t *from)
{
    bool any = false;
    for (uint32_t i = 0; i < core->feed_count; i++) {
        const struct feed *feed = core->feeds + i;
        if (feed->known && (!any || feed->account.at < *from)) {
            *from = feed->account.at;
            any = true;
        }
    }
    return any;
}

static int stand_at(struct reader_core *core, uint64_t from)
{
    struct counting *counting = &core->counting;
    if (counting->follow && counting->sequence <= from) {
        return ERR_OK;
    }
    int err = counting->follow ? follow_seek(counting->follow, from)
                               : follow_open_on(&counting->follow, core->history.disk,
                                                core->history.dir, &core->g->engine->marks, from);
    if (!err) {
        follow_on_opening(counting->follow, on_opening, core);
        counting->sequence = from;
        counting->has_frame = false;
    }
    return err;
}

void audit_step(struct reader_core *core)
{
    struct counting *counting = &core->counting;
    uint64_t from = 0, durable = core->journal.durable_sequence;
    size_t budget = SLICE_SLOTS;
    if (!core->journal.epoch || !find_start(core, &from) || stand_at(core, from)) {
        counting->reached = durable; /* nobody has an account, or it can't be read now */
        return;
    }
    while (budget) {
        int got = counting->has_frame ? 1 : follow_next(counting->follow, &counting->frame);
        counting->has_frame = got > 0;
        if (got <= 0 || counting->frame.end_sequence > durable) {
            counting->reached = durable;
            return;
        }
        count_frame(core, &counting->frame);
        counting->sequence = counting->frame.end_sequence;
        counting->has_frame = false;
        size_t cost = counting->frame.slot_count + 1;
        budget -= cost < budget ? cost : budget;
    }
    core->more = true;
}
