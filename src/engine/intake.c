/* SPDX-License-Identifier: Apache-2.0 */
/* From one ring into one frame: the atomic unit of account. Slots are copied out of shared memory first, then checked;
 * what the ring's owner may not say condemns it. Every sample taken ends in exactly one place: journaled, suppressed or
 * rejected, so produced = journaled + suppressed + rejected + gaps holds after every frame. */
#include "engine/batch.h"
#include "engine/internal.h"

#include <string.h>

struct frame { /* under construction */
    struct engine *e;
    struct inlet *in;
    struct slot *out;
    size_t used;
    uint64_t sequence, first_sequence;
    uint64_t ring_position; /* of the record under way */
    const char *fault;      /* why the owner of the ring is condemned; NULL: fine so far */
};

static void emit(struct frame *f, const struct slot *slots, size_t count)
{
    slots_copy(f->out + f->used, slots, count);
    f->used += count;
}

static void touch(struct frame *f, struct tag_state *t)
{
    if (!t->suppressed && !t->rejected) {
        f->e->touched[f->e->touched_count++] = (uint32_t)(t - f->e->tags);
    }
}

static void take_sample(struct frame *f, struct slot *s, size_t count)
{
    struct tag_state *t = engine_tag(f->e, slot_id(s));
    if (!t || t->tag->box != f->in->box) {
        f->fault = "published a tag that is not its own";
        return;
    }
    const struct plan_tag *tag = t->tag;
    bool is_long = slot_is_long(s);
    struct now_entry *entry = engine_entry(t);
    ledger_add(&entry->produced, 1);
    bool fits = is_long
                    ? value_is_long((enum value_type)tag->type) && s->value.u64 <= tag->max_length
                    : !value_is_long((enum value_type)tag->type) || s->status >> 31;
    if (!fits ||
        (!is_long && !value_is_long((enum value_type)tag->type) && !value_refine(tag, s))) {
        touch(f, t);
        t->rejected++;
        ledger_add(&entry->rejected, 1);
        return;
    }
    t->seen_ns = f->e->mono_ns;
    if (t->awaited && !is_long) {
        command_sample(f->e, t, s);
    }
    if (!is_long && value_is_suppressed(t, s)) {
        touch(f, t);
        t->suppressed++;
        ledger_add(&entry->suppressed, 1);
        return;
    }
    if (!is_long && !value_is_long((enum value_type)tag->type)) {
        t->last = value_as_double((enum value_type)tag->type, s->value);
    } else if (!is_long) {
        s->value.u64 = 0; /* a text with a bad status and no bytes */
    }
    t->last_status = s->status;
    t->has_last = 1;
    now_write(t->zone, tag, s, is_long ? slot_payload(s) : NULL, f->sequence);
    ledger_add(&entry->journaled, 1);
    emit(f, s, count);
    f->sequence++;
}

static void take_batch(struct frame *f, const struct slot *s, size_t count)
{
    const struct plan *p = &f->e->g->plan;
    if (s->value.u64 != sizeof(struct record_batch) || s->status >= p->header->devices.count ||
        p->devices[s->status].box != f->in->box) {
        f->fault = "a batch record is malformed";
        return;
    }
    emit(f, s, count);
}

static bool cause_is_a_drivers(uint32_t cause)
{
    return (cause >= GAP_DEVICE_DOWN && cause <= GAP_POLL_LATE) || cause == GAP_DEVICE_OVERFLOW ||
           cause == GAP_SEQUENCE_JUMP;
}

static bool gap_is_its_own(const struct frame *f, const struct record_gap *gap)
{
    const struct plan *p = &f->e->g->plan;
    if (f->in->box == FRAME_SEALER) { /* of what was journaled and is no more */
        return (gap->cause == GAP_SEGMENT_LOST || gap->cause == GAP_FEED_LIMIT ||
                gap->cause == GAP_RETIRED) &&
               !gap->produced && gap->from_ns <= gap->to_ns &&
               (gap->scope == GAP_ALL || (gap->scope == GAP_TAG && engine_tag(f->e, gap->which)));
    }
    if (!cause_is_a_drivers(gap->cause) || gap->produced || gap->from_ns > gap->to_ns) {
        return false;
    }
    if (gap->scope == GAP_TAG) {
        struct tag_state *t = engine_tag(f->e, gap->which);
        return t && t->tag->box == f->in->box;
    }
    return gap->scope == GAP_DEVICE && gap->which < p->header->devices.count &&
           p->devices[gap->which].box == f->in->box;
}

static void take_gap(struct frame *f, const struct slot *s, size_t count)
{
    struct record_gap gap;
    if (s->value.u64 != sizeof gap) {
        f->fault = "a gap record is malformed";
        return;
    }
    memcpy(&gap, slot_payload(s), sizeof gap);
    if (!gap_is_its_own(f, &gap)) {
        f->fault = "a gap record is not its own";
        return;
    }
    emit(f, s, count);
    f->sequence++;
}

static void take_event(struct frame *f, struct slot *s, size_t count)
{
    const struct plan *p = &f->e->g->plan;
    struct record_event event;
    bool device = s->status == EVENT_DEVICE_UP || s->status == EVENT_DEVICE_DOWN;
    bool feed = s->status == EVENT_FEED_UP || s->status == EVENT_FEED_DOWN;
    bool history = f->in->box == FRAME_SEALER &&
                   (s->status == EVENT_HISTORY_FAULT || s->status == EVENT_HISTORY_RETIRED);
    if (s->value.u64 != sizeof event || (!device && !feed && !history)) {
        f->fault = "an event record is malformed";
        return;
    }
    memcpy(&event, slot_payload(s), sizeof event);
    bool own = device ? event.device < p->header->devices.count &&
                            p->devices[event.device].box == f->in->box
                      : event.device == PLAN_NONE;
    if (!own) {
        f->fault = "an event record is not its own";
        return;
    }
    event.box = history ? PLAN_NONE : f->in->box; /* nobody speaks for another */
    memcpy(s + 1, &event, sizeof event);
    emit(f, s, count);
    f->sequence++;
}

static void answer_store(struct frame *f, const struct slot *s, const struct record_store *request,
                         int error, const struct store_entry *entry)
{
    uint8_t payload[sizeof(struct record_store) + STORE_VALUE_MAX];
    struct record_store reply = {.error = (uint32_t)-error};
    memcpy(reply.key, request->key, sizeof reply.key);
    reply.size = entry ? entry->size : 0;
    memcpy(payload, &reply, sizeof reply);
    if (entry) {
        memcpy(payload + sizeof reply, entry->value, entry->size);
    }
    struct slot head = {
        .time = f->e->utc_ns, .tag = record_tag(RECORD_STORED), .status = s->status};
    /* A box that does not empty its ring loses the reply, and only it. */
    if (ring_put_record(&f->in->down, &head, payload, sizeof reply + reply.size) == ERR_OK) {
        ring_publish(&f->in->down);
    }
}

/* The latest value of a key: since the engine's start, else what the journal had before. NULL: there is none. */
static const struct store_entry *recall(struct engine *e, uint32_t owner, const char *key)
{
    uint8_t value[STORE_VALUE_MAX];
    const struct store_entry *entry = store_find(&e->store, owner, key);
    if (!entry) {
        int size = journal_stored(e->journal, owner, key, value, sizeof value);
        if (size >= 0 && store_put(&e->store, owner, key, value, (size_t)size) == ERR_OK) {
            entry = store_find(&e->store, owner, key);
        }
    }
    return entry;
}

static void take_store(struct frame *f, struct slot *s, size_t count)
{
    struct record_store request;
    if (s->value.u64 < sizeof request) {
        f->fault = "a store record is malformed";
        return;
    }
    memcpy(&request, slot_payload(s), sizeof request);
    bool fetch = record_kind(s) == RECORD_FETCH;
    uint64_t size = fetch ? 0 : request.size;
    if (s->value.u64 != sizeof request + size || !request.key[0] || size > STORE_VALUE_MAX) {
        f->fault = "a store record is malformed";
        return;
    }
    if (fetch) {
        answer_store(f, s, &request, 0, recall(f->e, f->in->box, request.key));
        return;
    }
    struct store_waiting w = {
        .owner = f->in->box, .request = s->status, .ring_position = f->ring_position + count};
    memcpy(w.key, request.key, sizeof w.key);
    /* First the promise to confirm: a value that is not journaled must not be found either. */
    int err = store_await(&f->e->store, &w) ? ERR_OK : ERR_BUSY;
    if (!err) {
        err = store_put(&f->e->store, f->in->box, request.key, slot_payload(s) + sizeof request,
                        size);
        f->e->store.waiting_count -= err != ERR_OK;
    }
    if (err) {
        answer_store(f, s, &request, err, NULL);
        return;
    }
    struct slot head = *s;
    head.status = f->in->box; /* in the journal: whose value it is */
    emit(f, &head, 1);
    emit(f, s + 1, count - 1);
}

static void take_command(struct frame *f, const struct slot *s)
{
    struct record_command command;
    if (s->value.u64 != sizeof command || f->in->box >= f->e->g->plan.header->boxes.count ||
        f->e->g->plan.boxes[f->in->box].kind != BOX_NORTH) {
        f->fault = "a command record is malformed";
        return;
    }
    memcpy(&command, slot_payload(s), sizeof command);
    if (f->ring_position >=
        f->in->asked_before) { /* else its caller knows that the engine has restarted */
        command_ask(f->e, f->in, &command);
    }
}

static void take_batch_of_commands(struct frame *f, const struct slot *s)
{
    const struct plan *p = &f->e->g->plan;
    if (f->in->box >= p->header->boxes.count || p->boxes[f->in->box].kind != BOX_NORTH) {
        f->fault = "a batch of commands is malformed";
    } else if (f->ring_position >= f->in->asked_before) {
        f->fault = batch_ask(f->e, f->in, s);
    }
}

static void take_control(struct frame *f, struct slot *s, size_t count)
{
    switch (record_kind(s)) {
    case RECORD_BATCH:
        take_batch(f, s, count);
        break;
    case RECORD_GAP:
        take_gap(f, s, count);
        break;
    case RECORD_EVENT:
        take_event(f, s, count);
        break;
    case RECORD_STORE:
    case RECORD_FETCH:
        take_store(f, s, count);
        break;
    case RECORD_COMMAND:
        take_command(f, s);
        break;
    case RECORD_COMMANDS:
        take_batch_of_commands(f, s);
        break;
    case RECORD_BROWSE:
    case RECORD_ITEM:
    case RECORD_BROWSED:
        f->fault = browse_pass(f->e, f->in, s);
        break;
    case RECORD_SIGN:
    case RECORD_SIGNED:
        f->fault = sign_pass(f->e, f->in, s);
        break;
    case RECORD_VOUCH:
    case RECORD_VOUCHED:
        f->fault = vouch_pass(f->e, f->in, s);
        break;
    case RECORD_WRITTEN:
        f->fault = command_written(f->e, f->in, s);
        break;
    default:
        f->fault = "a record of unknown kind";
    }
}

static void emit_tally(struct frame *f, uint32_t id, enum tally_kind kind, uint32_t count)
{
    struct record_tally tally = {.tag = id, .kind = kind, .count = count};
    struct slot slots[2] = {
        {.time = f->e->utc_ns, .value.u64 = sizeof tally, .tag = record_tag(RECORD_TALLY)}};
    memcpy(slots + 1, &tally, sizeof tally);
    emit(f, slots, 2);
}

static void emit_tallies(struct frame *f)
{
    struct engine *e = f->e;
    for (uint32_t i = 0; i < e->touched_count; i++) {
        struct tag_state *t = e->tags + e->touched[i];
        if (t->suppressed) {
            emit_tally(f, t->tag->id, TALLY_SUPPRESSED, t->suppressed);
        }
        if (t->rejected) {
            emit_tally(f, t->tag->id, TALLY_REJECTED, t->rejected);
        }
        t->suppressed = t->rejected = 0;
    }
    e->touched_count = 0;
}

/* How many of the slots taken are whole, sound records. */
static size_t whole_records(const struct slot *slots, size_t count, bool *garbage)
{
    size_t at = 0;
    while (at < count) {
        size_t length = slot_record_length(slots + at);
        if (!length) {
            *garbage = true;
            break;
        }
        if (length > count - at) {
            break;
        }
        at += length;
    }
    return at;
}

int intake_run(struct engine *e, struct inlet *in)
{
    uint64_t from = in->up.next;
    int n = ring_take(&in->up, e->taken, INTAKE_SLOTS);
    if (n <= 0) {
        if (n < 0) {
            watch_condemn(e, in, "its ring's position can't be true");
        }
        return 0;
    }
    bool garbage = false;
    size_t whole = whole_records(e->taken, (size_t)n, &garbage);
    ring_step_back(&in->up, (size_t)n - whole);
    if (!whole) {
        watch_condemn(e, in, garbage ? "a record's length can't be true" : "a record is cut off");
        return 0;
    }
    /* The worst a taken record can become: a tally of two slots. */
    struct journal_frame jf = {in->box, in->ring_life, from, from + whole, e->utc_ns};
    struct frame f = {.e = e, .in = in, .first_sequence = journal_next_sequence(e->journal)};
    f.sequence = f.first_sequence;
    f.out = journal_begin(e->journal, &jf, 3 * whole + 8);
    if (!f.out) {
        ring_step_back(&in->up, whole);
        return 0; /* the disk is behind: leave it in the ring */
    }
    for (size_t at = 0; at < whole && !f.fault;) {
        struct slot *s = e->taken + at;
        size_t count = slot_record_length(s);
        f.ring_position = from + at;
        if (slot_is_control(s)) {
            take_control(&f, s, count);
        } else {
            take_sample(&f, s, count);
        }
        at += count;
    }
    emit_tallies(&f);
    journal_commit(e->journal, f.used, f.sequence - f.first_sequence);
    if (f.fault || garbage) {
        watch_condemn(e, in, f.fault ? f.fault : "a record's length can't be true");
        return 0;
    }
    return (size_t)n == INTAKE_SLOTS;
}
