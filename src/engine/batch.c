/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a batch; batch_ask.c takes what callers ask. */
#include "engine/batch.h"
#include "engine/internal.h"

#include <stdio.h>
#include <string.h>

static struct batch *batch_of(const struct engine *e, const struct command *c)
{
    return e->commands.batches->open + c->batch - 1;
}

struct batch *batch_find(struct engine *e, const uint8_t id[16])
{
    for (uint32_t i = 0; i < BATCHES_OPEN; i++) {
        struct batch *b = e->commands.batches->open + i;
        if (b->count && !memcmp(b->receipt.id, id, 16)) {
            return b;
        }
    }
    return NULL;
}

struct command *batch_part(struct engine *e, const struct batch *b, uint32_t part, bool undoes)
{
    for (uint32_t i = 0; i < e->commands.open_count; i++) {
        struct command *c = e->commands.open + i;
        if (c->batch && batch_of(e, c) == b && c->part == part && c->undoes == undoes) {
            return c;
        }
    }
    return NULL;
}

void batch_id(const struct engine *e, const struct command *c, uint8_t out[16])
{
    memset(out, 0, 16);
    if (c->batch) {
        memcpy(out, batch_of(e, c)->receipt.id, 16);
    }
}

void batch_set(struct engine *e, struct batch *b, enum command_state state, const char *reason)
{
    b->receipt.state = state;
    b->receipt.changed_ns = e->utc_ns;
    snprintf(b->receipt.reason, sizeof b->receipt.reason, "%.159s", reason);
}

static void tell(struct engine *e, const struct batch *b)
{
    struct inlet *in = reply_inlet(e, b->box, BOX_NORTH);
    if (in) {
        command_reply(e, in, &b->receipt);
    }
}

void batch_part_ended(struct engine *e, const struct command *c)
{
    struct batch *b = batch_of(e, c);
    bool good = c->receipt.state == COMMAND_CONFIRMED;
    if (c->undoes) {
        b->put_back += good;
        b->left += !good;
        return;
    }
    b->parts[c->part] = c->receipt;
    if (!good && !b->why[0]) {
        snprintf(b->why, sizeof b->why, "part %u of %u: %s", c->part + 1, b->count,
                 c->receipt.reason);
    }
}

static uint32_t count_in(const struct batch *b, uint32_t state)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        n += b->parts[i].state == state;
    }
    return n;
}

static void finish(struct engine *e, struct batch *b)
{
    char text[300];
    uint32_t good = count_in(b, COMMAND_CONFIRMED), unknown = count_in(b, COMMAND_UNKNOWN);
    enum command_state state = COMMAND_FAILED;
    snprintf(text, sizeof text, "%s", b->why);
    if (good == b->count) {
        state = COMMAND_CONFIRMED;
        snprintf(text, sizeof text, "all %u parts were read back; they were written %s", b->count,
                 b->together ? "in one transaction of the device" : "one after another");
    } else if (!good && !unknown && !count_in(b, COMMAND_FAILED)) {
        state = count_in(b, COMMAND_EXPIRED) ? COMMAND_EXPIRED : COMMAND_REFUSED;
    } else {
        state = unknown ? COMMAND_UNKNOWN : COMMAND_FAILED;
    }
    if (good && good < b->count) {
        snprintf(text, sizeof text, "%u of %u that were written before are put back; %.110s",
                 b->put_back, good, b->why);
    }
    batch_set(e, b, state, text);
    b->receipt.until_ns = 0;
    (void)command_note_batch(e, &b->receipt, state, AUDIT_BATCH_ENDED, b->receipt.reason);
    tell(e, b);
    receipt_keep(&e->commands, &b->receipt);
    b->count = 0;
}

/* What was written goes back to what it was before, where the device still holds ours. */
static void put_back(struct engine *e, struct batch *b, uint32_t part)
{
    char why[GUARD_REASON_SIZE];
    struct record_receipt *done = b->parts + part;
    struct record_command w = {.act = COMMAND_WRITE, .tag = done->tag, .type = done->type};
    struct command c = {.caller = b->caller,
                        .box = b->box,
                        .tag = engine_tag(e, done->tag),
                        .batch = (uint32_t)(b - e->commands.batches->open) + 1,
                        .part = part,
                        .undoes = true};
    struct now_value now;
    w.value = done->before;
    command_part_id(w.id, b->receipt.id, BATCH_MAX + part);
    snprintf(w.reason, sizeof w.reason, "put back: a part of the batch failed");
    command_receipt(e, &c, &w);
    memcpy(c.receipt.approver, done->approver, sizeof c.receipt.approver);
    bool held = now_read(c.tag->zone, c.tag->tag, &now) == ERR_OK && !now.slot.status &&
                command_holds(&c, now.slot.value, done->value);
    if (!done->has_before) {
        snprintf(why, sizeof why, "what it was before is not known: it is left as it is");
    } else if (!held) {
        snprintf(why, sizeof why, "the device holds another value: the operator's hand wins");
    } else if (e->commands.open_count == COMMANDS_OPEN) {
        snprintf(why, sizeof why, "too many commands are open");
    } else if (command_lets(e, &c, why)) {
        if (command_open(e, &c)) {
            struct command *opened = e->commands.open + e->commands.open_count - 1;
            (void)(c.receipt.approver[0] && /* with the part's own: a restart must find it */
                   command_note_intent(e, opened, AUDIT_COMMAND_APPROVED));
            return;
        }
        snprintf(why, sizeof why, "the audit can't be written, so nothing may be");
    }
    b->left++;
    command_refuse(e, &c, why);
}

/* True: there was one. */
static bool refuse_unsent(struct engine *e, struct batch *b, const char *why)
{
    bool any = false;
    for (uint32_t i = 0; i < b->count; i++) {
        struct command *c = batch_part(e, b, i, false);
        if (c && c->receipt.state < COMMAND_SENT) {
            command_end(e, c, COMMAND_REFUSED, why);
            any = true;
        }
    }
    return any;
}

/* All in one transaction: true, if that can be tried. */
static bool send_together(struct engine *e, struct batch *b)
{
    struct command *parts[BATCH_MAX];
    for (uint32_t i = 0; i < b->count; i++) {
        parts[i] = batch_part(e, b, i, false);
        if (b->apart || b->count < 2 || !parts[i] || parts[i]->receipt.state != COMMAND_CHECKED ||
            parts[i]->tag->tag->device != parts[0]->tag->tag->device ||
            parts[i]->tag->tag->device == PLAN_NONE) {
            return false;
        }
    }
    uint64_t write = command_put_together(e, parts, b->count);
    for (uint32_t i = 0; write && i < b->count; i++) {
        command_sent(e, parts[i], write, true);
    }
    if (!write) {
        (void)refuse_unsent(e, b, "the device's box is down or busy; nothing was sent");
    }
    b->together = write != 0;
    return true;
}

void batch_goes_apart(struct engine *e, struct command *c)
{
    struct batch *b = batch_of(e, c);
    b->apart = true;
    b->together = false;
    c->together = false;
    command_set(e, c, COMMAND_CHECKED,
                "it waits for the parts before it: they go one after another");
}

/* The next part that was not sent, once the device has taken the one before; false: it waits for that. */
static bool send_next(struct engine *e, struct batch *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        struct command *c = batch_part(e, b, i, false);
        if (c && c->receipt.state == COMMAND_CHECKED) {
            command_go(e, c);
            return true;
        }
        if (c && c->receipt.state == COMMAND_SENT) {
            return false;
        }
    }
    return false;
}

/* All parts may be sent: once more each is laid before the guard, so that none is sent when another can't be. */
static void begin_to_send(struct engine *e, struct batch *b)
{
    char why[GUARD_REASON_SIZE];
    for (uint32_t i = 0; i < b->count; i++) {
        struct command *c = batch_part(e, b, i, false);
        if (c && !command_still_lets(e, c, why)) {
            command_end(e, c, COMMAND_REFUSED, why);
            return;
        }
    }
    b->sends = true;
    batch_set(e, b, COMMAND_SENT, "its parts are on their way to the device");
}

/* True: all parts may be sent now, or none any more. */
static bool gather(struct engine *e, struct batch *b)
{
    uint32_t ready = 0;
    int64_t until = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        const struct command *c = batch_part(e, b, i, false);
        ready += c && c->ready;
        if (c && c->receipt.state == COMMAND_WAITING && (!until || c->receipt.until_ns < until)) {
            until = c->receipt.until_ns;
        }
    }
    if (ready == b->count) {
        begin_to_send(e, b);
        return true;
    }
    if (until && b->receipt.state != COMMAND_WAITING) {
        batch_set(e, b, COMMAND_WAITING, "a second person has to approve it");
        b->receipt.until_ns = until;
        tell(e, b);
    }
    return false;
}

/* One thing at a time; false: it waits for something. */
static bool advance(struct engine *e, struct batch *b)
{
    uint32_t open = count_in(b, COMMAND_NEVER_HEARD), good = count_in(b, COMMAND_CONFIRMED);
    if (open && b->why[0]) {
        return refuse_unsent(
            e, b, "another part of the batch could not be written; this one was not sent");
    }
    if (open) {
        return b->sends ? send_together(e, b) || send_next(e, b) : gather(e, b);
    }
    if (b->why[0] && good && !b->undoes) {
        b->undoes = true;
        for (uint32_t i = b->count; i-- > 0;) {
            if (b->parts[i].state == COMMAND_CONFIRMED) {
                put_back(e, b, i);
            }
        }
    }
    if (!b->undoes || b->put_back + b->left == good) {
        finish(e, b);
    }
    return false;
}

void batches_turn(struct engine *e)
{
    for (uint32_t i = 0; i < BATCHES_OPEN; i++) {
        struct batch *b = e->commands.batches->open + i;
        while (b->count && advance(e, b)) {
        }
    }
}

void batch_recall(struct commands *k, const struct audit_entry *a)
{
    struct record_receipt r = {.value = a->after,
                               .state = COMMAND_UNKNOWN,
                               .asked_ns = a->utc_ns,
                               .changed_ns = a->utc_ns,
                               .reason =
                                   "the gateway was restarted in its middle: nothing more was "
                                   "sent; its parts tell what became of them"};
    memcpy(r.id, a->id, sizeof r.id);
    snprintf(r.who, sizeof r.who, "%.*s", (int)strnlen(a->who, sizeof a->who), a->who);
    if (a->kind == AUDIT_BATCH_ENDED && !receipt_find(k, a->id)) {
        return; /* it was refused before it began */
    }
    if (a->kind == AUDIT_BATCH_ENDED) {
        r.state = a->detail < COMMAND_STATE_END ? (uint32_t)a->detail : COMMAND_UNKNOWN;
        snprintf(r.reason, sizeof r.reason, "%.*s", (int)strnlen(a->text, sizeof a->text), a->text);
    }
    receipt_keep(k, &r);
}
