/* SPDX-License-Identifier: Apache-2.0 */
/* Cursors are stored values of the reader, "cursor/FEED", with what feed_state.c puts beside them. They are fetched
 * at the start and stored at most every 100 ms, one store at a time. A request without an answer (the engine has
 * restarted) is sent again. */
#include "reader/core.h"

#include <string.h>

#define TAKE_SLOTS  (2 * SLOT_RECORD_MAX)
#define RECOUNT_MAX (UINT64_C(1) << 20) /* records that a successor may have to count again */

/* What the feed still needs of the journal begins here: its first undelivered record, or what its account has not seen. */
static uint64_t needs_from(const struct feed *feed)
{
    const struct cursor *c = &feed->cursor;
    uint64_t hole = c->count && c->ranges[0].from == 0 ? c->ranges[0].to : 0;
    return hole < feed->account.at ? hole : feed->account.at;
}

static void send(struct reader_core *core, struct feed *feed, enum record_kind kind)
{
    uint8_t payload[sizeof(struct record_store) + FEED_STATE_MAX];
    struct record_store head = {0};
    stored_key(head.key, "cursor", feed->name);
    if (kind == RECORD_STORE) {
        head.size = (uint32_t)feed_state_encode(feed, payload + sizeof head);
    }
    memcpy(payload, &head, sizeof head);
    core->store_count = core->store_count == UINT32_MAX ? 1 : core->store_count + 1;
    struct slot slot = {.time = core->utc_ns, .tag = record_tag(kind), .status = core->store_count};
    if (ring_put_record(&core->up, &slot, payload, sizeof head + head.size) == 0) {
        feed->store_request = core->store_count;
        feed->dirty = feed->dirty && kind != RECORD_STORE;
        feed->stored_at = feed->account.at;
        feed->storing = needs_from(feed);
    }
    feed->asked_ns = core->mono_ns; /* when the ring is full too: try later */
}

static void on_stored(struct reader_core *core, const struct slot *s)
{
    struct record_store head;
    size_t size = (size_t)s->value.u64;
    if (size < sizeof head) {
        return;
    }
    memcpy(&head, slot_payload(s), sizeof head);
    size_t left = size - sizeof head;
    if (kept_take(core, s->status, &head, slot_payload(s) + sizeof head,
                  left < head.size ? left : head.size)) {
        return;
    }
    for (uint32_t i = 0; i < core->feed_count; i++) {
        struct feed *feed = core->feeds + i;
        if (!feed->store_request || feed->store_request != s->status) {
            continue;
        }
        feed->store_request = 0;
        if (feed->known) {
            feed->dirty |= head.error != 0;
            feed->kept = head.error ? feed->kept : feed->storing;
        } else if (!head.error) {
            size = left < head.size ? left : head.size;
            if (feed_state_decode(feed, slot_payload(s) + sizeof head, size, core->utc_ns)) {
                feed->dirty =
                    true; /* a new account: it begins now, also for whoever comes after us */
            }
            feed->known = true;
            feed->kept = needs_from(feed);
            core->counting.reached = 0; /* its account is to be made */
        }
    }
}

void cursors_take(struct reader_core *core)
{
    struct slot slots[TAKE_SLOTS];
    for (;;) {
        int count = ring_take(&core->down, slots, TAKE_SLOTS);
        if (count <= 0) {
            return; /* garbage of the engine: nobody could help; cursors stay as they are */
        }
        size_t at = 0, length;
        while (at < (size_t)count && (length = slot_record_length(slots + at)) > 0 &&
               at + length <= (size_t)count) {
            if (slots[at].tag == record_tag(RECORD_STORED)) {
                on_stored(core, slots + at);
            }
            at += length;
        }
        if (at == 0) {
            at = (size_t)count; /* not a record: step over it */
        }
        ring_step_back(&core->down, (size_t)count - at);
        ring_release(&core->down, core->down.next);
    }
}

/* The sealer may take away what lies before. A cursor counts as it is stored: after a crash the feed goes on from there. */
static void tell_needed(struct reader_core *core)
{
    uint64_t needed = UINT64_MAX;
    bool known = true;
    for (uint32_t i = 0; i < core->feed_count; i++) {
        const struct feed *feed = core->feeds + i;
        known &= feed->known;
        needed = feed->kept < needed ? feed->kept : needed;
    }
    needed = !known ? 0 : needed ? needed : 1; /* 0 says that it is not known */
    atomic_store_explicit(&core->g->reader->needed_sequence, needed, memory_order_release);
}

void cursors_step(struct reader_core *core)
{
    uint64_t epoch = atomic_load_explicit(&core->g->engine->panel.epoch, memory_order_acquire);
    bool restarted = epoch != core->engine_epoch;
    core->engine_epoch = epoch;
    for (uint32_t i = 0; i < core->feed_count; i++) {
        struct feed *feed = core->feeds + i;
        uint64_t durable = core->journal.durable_sequence, counted = feed->account.at;
        feed_merge(feed, counted < durable ? counted : durable); /* the account is never behind */
        if (feed->known) {
            report_gaps(&feed->report, feed_gaps(feed), core->utc_ns);
        }
        feed->dirty |= feed->known && counted - feed->stored_at > RECOUNT_MAX;
        bool silent = core->mono_ns - feed->asked_ns >= RETRY_NS;
        if (feed->store_request && (restarted || silent)) {
            feed->store_request = 0;
            feed->dirty |= feed->known;
        }
        if (feed->store_request) {
            continue;
        }
        if (!feed->known && (restarted || silent || !feed->asked_ns)) {
            send(core, feed, RECORD_FETCH);
        } else if (feed->known && feed->dirty && core->mono_ns - feed->asked_ns >= PERSIST_NS) {
            send(core, feed, RECORD_STORE);
        }
    }
    tell_needed(core);
}

bool cursors_wait(const struct reader_core *core)
{
    for (uint32_t i = 0; i < core->feed_count; i++) {
        const struct feed *feed = core->feeds + i;
        if (feed->dirty || feed->unmerged || !feed->known) {
            return true;
        }
    }
    return false;
}
