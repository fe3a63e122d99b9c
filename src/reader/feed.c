/* SPDX-License-Identifier: Apache-2.0 */
/* A feed: two lanes through the journal, and the cursor.
 *
 *   0 ─── delivered ───┬─ hole ─┬─ delivered ─┬─ hole ─┐ up_head ────────── live ──────────▶ written
 *                      └───────── backlog lane ────────┘         in flight: `sent`
 *
 * Going up fixes up_head. What the cursor does not have below it is backlog, hole by hole; from it on is live. With
 * live_first both lanes are served in turn, else live waits until the backlog is through: then all goes in one order.
 * Each answer is one stretch of one lane and stays in `sent` until its confirmation and the durable mark have passed
 * it; only then it enters the cursor, so the cursor is always true, whatever dies. A stretch without anything for the
 * feed is "sent and confirmed" at once. Going down forgets what was sent: it is sent again as backlog.
 *
 * A box can only confirm what it was sent, whole answers at a time, so it cannot harm any cursor but its own. */
#include "reader/core.h"

#include "base/crc32c.h"

#include <string.h>

int feed_init(struct feed *feed, const struct plan *plan, uint32_t index)
{
    const struct plan_feed *f = plan->feeds + index;
    feed->index = index;
    feed->name = plan_text(plan, f->name);
    feed->live_first = f->live_first;
    feed->freshness_ms = f->freshness_ms;
    int err = scope_of_feed(&feed->scope, plan, index);
    if (!err) {
        size_t words = feed->scope.filter.end_id / 64 + 1;
        feed->scope_sum = crc32c(0, feed->scope.tags, words * sizeof *feed->scope.tags);
    }
    return err;
}

void feed_fini(struct feed *feed)
{
    walk_close(&feed->live);
    walk_close(&feed->backlog);
    scope_fini(&feed->scope);
}

void feed_down(struct feed *feed)
{
    feed->up = false;
    feed->sent_count = 0;
    feed->unmerged = false;
}

static void feed_up(struct feed *feed, uint64_t written)
{
    feed_down(feed);
    feed->up = true;
    feed->up_head = feed->live_at = written;
    feed->backlog_at = 0;
    feed->live_turn = true;
}

void feed_rewind(struct feed *feed, uint64_t written)
{
    if (feed->live_at > written && feed->up) {
        feed_up(feed, written);
    }
    walk_close(&feed->live);
    walk_close(&feed->backlog);
}

/* ---- What was sent. ---- */

struct tally {
    uint32_t records, samples;
    int state; /* of the last walk_next */
    struct late_runs late;
};

static void note_sent(struct feed *feed, uint64_t from, uint64_t to, const struct tally *t,
                      bool confirmed)
{
    struct sent *last = feed->sent_count ? feed->sent + feed->sent_count - 1 : NULL;
    if (from == to) {
        return;
    }
    feed->unmerged |= confirmed;
    if (confirmed && last && last->confirmed && last->to == from) {
        last->to = to;
        last->samples += t->samples;
        return;
    }
    feed->sent[feed->sent_count++] = (struct sent){
        .from = from, .to = to, .samples = t->samples, .confirmed = confirmed, .late = t->late};
}

void feed_confirm(struct feed *feed, struct cursor_range range, int64_t now_ns)
{
    for (uint32_t i = 0; i < feed->sent_count; i++) {
        struct sent *s = feed->sent + i;
        if (s->from >= range.from && s->to <= range.to) {
            s->confirmed = true;
            s->confirmed_ns = now_ns;
            feed->unmerged = true;
        }
    }
}

void feed_merge(struct feed *feed, uint64_t durable)
{
    uint32_t kept = 0;
    bool waits = false;
    for (uint32_t i = 0; feed->unmerged && i < feed->sent_count; i++) {
        struct sent s = feed->sent[i];
        if (s.confirmed && s.to <= durable && cursor_add(&feed->cursor, s.from, s.to) == 0) {
            feed->delivered += s.samples;
            report_delivered(&feed->report, &s.late, s.confirmed_ns, feed->freshness_ms);
            feed->dirty = true;
        } else {
            waits |= s.confirmed;
            feed->sent[kept++] = s;
        }
    }
    if (feed->unmerged) {
        feed->sent_count = kept;
        feed->unmerged = waits;
    }
}

/* ---- The lanes. ---- */

struct lane {
    struct walk *walk;
    uint64_t *at;
    uint64_t end;
    bool backlog;
};

static bool backlog_lane(struct feed *feed, struct lane *lane)
{
    struct cursor_range hole;
    if (!cursor_next_hole(&feed->cursor, feed->backlog_at, feed->up_head, &hole)) {
        feed->backlog_at = feed->up_head;
        walk_close(&feed->backlog);
        return false;
    }
    if (hole.from > feed->backlog_at) {
        feed->backlog_at = hole.from;
    }
    *lane = (struct lane){&feed->backlog, &feed->backlog_at, hole.to, true};
    return true;
}

/* The lane whose turn it is; false: there is nothing in either. */
static bool choose_lane(struct feed *feed, uint64_t written, struct lane *lane)
{
    struct lane live = {&feed->live, &feed->live_at, written, false};
    bool has_backlog = backlog_lane(feed, lane);
    bool has_live = feed->live_at < written && (feed->live_first || !has_backlog);
    if (has_live && (!has_backlog || feed->live_turn)) {
        *lane = live;
        return true;
    }
    return has_backlog;
}

static void add_late(struct late_runs *late, const struct walk_run *run, int64_t now_ns)
{
    for (size_t i = 0; i < run->slot_count;) {
        const struct slot *s = run->slots + i;
        if (!slot_is_control(s)) {
            late_add(late, s->time, now_ns);
        }
        i += slot_is_long(s) ? slot_record_length(s) : 1;
    }
}

/* Sends what the lane has, up to `most` records, the room in the ring and the budget. */
static int send_lane(struct link *link, struct reader_core *core, struct feed *feed,
                     const struct request *r, const struct lane *lane, size_t *budget,
                     struct tally *t)
{
    uint64_t most = r->ask.max_records && r->ask.max_records < FEED_RECORDS_MAX ? r->ask.max_records
                                                                                : FEED_RECORDS_MAX;
    int err = walk_seek(lane->walk, &core->history, &core->g->engine->marks, *lane->at);
    size_t room;
    while (!err && t->records < most && (room = link_room(link, core)) > 0) {
        struct walk_run run;
        struct walk_limit limit = {lane->end, most - t->records, room, budget};
        t->state = walk_next(lane->walk, &feed->scope.filter, &limit, &run);
        if (t->state != WALK_RUN) {
            err = t->state < 0 ? t->state : ERR_OK;
            break;
        }
        link_run(link, r, &run, lane->backlog ? ANSWER_BACKLOG : 0);
        t->records += run.records;
        t->samples += run.samples;
        add_late(&t->late, &run, core->utc_ns);
    }
    lane->walk->lost = 0; /* the audit counts it, in samples */
    return err;
}

static void feed_next(struct reader_core *core, struct link *link, struct request *r,
                      struct feed *feed)
{
    size_t budget = SLICE_SLOTS;
    struct lane lane;
    while (!r->done && feed->sent_count < SENT_MAX && link_room(link, core) &&
           choose_lane(feed, core->journal.written_sequence, &lane)) {
        struct tally t = {.state = WALK_RUN};
        uint64_t from = *lane.at;
        int err = send_lane(link, core, feed, r, &lane, &budget, &t);
        uint64_t to = lane.walk->sequence < lane.end ? lane.walk->sequence : lane.end;
        to = to < from ? from : to;
        *lane.at = to;
        feed->live_turn = lane.backlog;
        note_sent(feed, from, to, &t, t.records == 0);
        if (t.records || err) {
            link_end(link, core, r, err, (struct cursor_range){from, to},
                     to < core->journal.written_sequence);
        } else if (to == from || budget == 0) {
            break;
        }
    }
    core->more |= budget == 0;
}

/* FEED_UP, FEED_DOWN and FEED_NEXT, by the box that owns the feed. */
void feed_ask(struct reader_core *core, struct link *link, struct request *r)
{
    struct cursor_range none = {0};
    if (r->ask.feed >= core->feed_count || core->plan->feeds[r->ask.feed].box != link->box) {
        link_end(link, core, r, ERR_REFUSED, none, false);
        return;
    }
    struct feed *feed = core->feeds + r->ask.feed;
    if (r->ask.kind == ASK_FEED_DOWN) {
        if (link_end(link, core, r, ERR_OK, none, false)) {
            feed_down(feed);
        }
    } else if (r->ask.kind == ASK_FEED_UP) {
        uint64_t head = core->journal.written_sequence;
        if (feed->known && core->journal.epoch &&
            link_end(link, core, r, ERR_OK, (struct cursor_range){head, head}, false)) {
            feed_up(feed, head);
        }
    } else if (!feed->up) {
        link_end(link, core, r, ERR_CLOSED, none, false);
    } else {
        feed_next(core, link, r, feed);
    }
}

/* ---- The account. ---- */

uint64_t feed_gaps(const struct feed *feed)
{
    return feed->account.lost + feed->account.dropped;
}

uint64_t feed_pending(const struct feed *feed)
{
    uint64_t done = feed->delivered + feed_gaps(feed);
    return feed->account.journaled > done ? feed->account.journaled - done : 0;
}

/* Two counts that know nothing of each other: of what was confirmed, and of what the journal has. When the cursor has
 * everything that was counted, nothing may be pending. */
bool feed_balances(const struct feed *feed)
{
    struct cursor_range hole;
    uint64_t done = feed->delivered + feed_gaps(feed);
    bool all = !cursor_next_hole(&feed->cursor, 0, feed->account.at, &hole);
    return !feed->account.wrong &&
           (all ? done == feed->account.journaled : done <= feed->account.journaled);
}
