/* SPDX-License-Identifier: Apache-2.0 */
/* The life of commands; command_check.c asks the guard, command_tell.c tells callers, audit and journal. */
#include "engine/batch.h"
#include "engine/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_NS (15 * INT64_C(1000000000)) /* of the device's box to a write */

int commands_init(struct engine *e)
{
    const struct plan *p = &e->g->plan;
    struct commands *k = &e->commands;
    k->open = calloc(COMMANDS_OPEN, sizeof *k->open);
    k->past = calloc(COMMANDS_PAST, sizeof *k->past);
    k->refused = calloc(REFUSED_PAST, sizeof *k->refused);
    k->known = calloc(KNOWN_BUCKETS * KNOWN_WAYS, sizeof *k->known);
    k->secret = e->g->life ^ (uint64_t)e->mono_ns << 20;
    k->permissives = calloc(p->header->writes.count + 1, sizeof *k->permissives);
    k->memory = calloc(p->header->write_tags.count + 1, sizeof *k->memory);
    k->batches = calloc(1, sizeof *k->batches);
    if (!k->batches || !k->open || !k->past || !k->refused || !k->known || !k->memory ||
        !k->permissives) {
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < p->header->writes.count; i++) {
        const struct plan_write *w = p->writes + i;
        int err = w->code_size ? expr_open(k->permissives + i, p->code + w->code, w->code_size) : 0;
        if (err) {
            return err;
        }
    }
    for (uint32_t i = 0; i < p->header->tags.count; i++) { /* ascending */
        if (plan_find_write(p, p->tags[i].id)) {
            k->memory[k->memory_count++].tag = p->tags[i].id;
        }
    }
    return ERR_OK;
}

void commands_fini(struct engine *e)
{
    free(e->commands.open);
    free(e->commands.past);
    free(e->commands.refused);
    free(e->commands.known);
    free(e->commands.permissives);
    free(e->commands.memory);
    free(e->commands.batches);
}

struct command *command_find(struct commands *k, const uint8_t id[16])
{
    for (uint32_t i = 0; i < k->open_count; i++) {
        if (!memcmp(k->open[i].receipt.id, id, 16)) {
            return k->open + i;
        }
    }
    return NULL;
}

/* Samples of the tag concern commands as long as any of them is open. */
static void await(struct engine *e, struct tag_state *t)
{
    t->awaited = 0;
    for (uint32_t i = 0; i < e->commands.open_count; i++) {
        t->awaited |= e->commands.open[i].tag == t;
    }
}

/* The place is filled with the last one: whoever walks the open ones looks at the place again. */
void command_close(struct engine *e, struct command *c)
{
    struct commands *k = &e->commands;
    struct tag_state *t = c->tag;
    receipt_keep(k, &c->receipt);
    board_end(e, c);
    *c = k->open[--k->open_count];
    await(e, t);
}

/* ---- What the state waits for. ---- */

void command_set(struct engine *e, struct command *c, enum command_state state, const char *reason)
{
    c->receipt.state = state;
    c->receipt.changed_ns = e->utc_ns;
    snprintf(c->receipt.reason, sizeof c->receipt.reason, "%s", reason);
}

void command_end(struct engine *e, struct command *c, enum command_state state, const char *reason)
{
    command_set(e, c, state, reason);
    bool leased = state == COMMAND_CONFIRMED && c->contract->lease_ms;
    if (leased) {
        c->receipt.lease = LEASE_HELD;
        c->due_ns = e->mono_ns + c->contract->lease_ms * NS_PER_MS;
        c->receipt.until_ns = e->utc_ns + c->contract->lease_ms * NS_PER_MS;
    } else {
        c->receipt.until_ns = 0;
    }
    command_tell_end(e, c);
    if (c->batch) {
        batch_part_ended(e, c);
    }
    if (!leased) {
        command_close(e, c);
    }
}

void command_sent(struct engine *e, struct command *c, uint64_t write, bool together)
{
    c->seen = false;
    c->write = write;
    c->together = together;
    c->due_ns = e->mono_ns + ANSWER_NS;
    if (!c->reverting) {
        command_set(e, c, COMMAND_SENT,
                    together ? "sent to the device's box with the other parts of its batch"
                             : "sent to the device's box");
        command_note(e, c, AUDIT_COMMAND_SENT);
    }
}

void command_send(struct engine *e, struct command *c, union slot_value raw)
{
    static const char reason[] = "the device's box is down or busy; nothing was sent";
    uint64_t write = command_put_raw(e, c->tag->tag, raw);
    if (write) {
        command_sent(e, c, write, false);
    } else if (c->reverting) {
        command_end_lease(e, c, LEASE_STUCK, reason);
        command_close(e, c);
    } else {
        command_end(e, c, COMMAND_REFUSED, reason);
    }
}

/* Nothing stands in its way but that the guard may have changed its mind meanwhile. */
void command_go(struct engine *e, struct command *c)
{
    char why[GUARD_REASON_SIZE];
    if (!command_still_lets(e, c, why)) {
        command_end(e, c, COMMAND_REFUSED, why);
    } else {
        command_send(e, c, c->raw);
    }
}

static void became_durable(struct engine *e, struct command *c)
{
    if (c->contract->approval_ms && !c->receipt.approver[0]) {
        command_set(e, c, COMMAND_WAITING, "a second person has to approve it");
        c->due_ns = e->mono_ns + c->contract->approval_ms * NS_PER_MS;
        c->receipt.until_ns = e->utc_ns + c->contract->approval_ms * NS_PER_MS;
        command_answer(e, c);
    } else if (c->batch && !c->undoes) {
        c->ready = true;
        command_set(e, c, COMMAND_CHECKED, "it waits for the other parts of its batch");
    } else {
        command_go(e, c);
    }
}

bool command_holds(const struct command *c, union slot_value seen, union slot_value wanted)
{
    enum value_type type = (enum value_type)c->receipt.type;
    double difference = value_as_double(type, seen) - value_as_double(type, wanted);
    return seen.u64 == wanted.u64 || fabs(difference) <= c->contract->tolerance;
}

static void read_back(struct engine *e, struct command *c)
{
    char reason[GUARD_REASON_SIZE];
    bool as_wanted = c->seen && command_holds(c, c->seen_value, c->receipt.value);
    c->receipt.has_after = c->seen;
    c->receipt.after = c->seen_value;
    if (as_wanted) {
        command_end(e, c, COMMAND_CONFIRMED, "read back from the device");
    } else if (e->mono_ns >= c->due_ns && c->receipt.state == COMMAND_ACCEPTED && c->seen) {
        snprintf(reason, sizeof reason, "the device accepted it, but holds %.10g",
                 value_as_double((enum value_type)c->receipt.type, c->seen_value));
        command_end(e, c, COMMAND_FAILED, reason);
    } else if (e->mono_ns >= c->due_ns) {
        command_end(e, c, COMMAND_UNKNOWN,
                    c->receipt.state == COMMAND_ACCEPTED
                        ? "the device accepted it, but its value did not come back in time"
                        : "sent, but no answer came, and its value was not read back");
    }
}

/* ---- What boxes tell. ---- */

void command_sample(struct engine *e, struct tag_state *t, const struct slot *sample)
{
    for (uint32_t i = 0; i < e->commands.open_count && !sample->status; i++) {
        struct command *c = e->commands.open + i;
        bool after = c->receipt.state == COMMAND_ACCEPTED || !c->write;
        if (c->tag == t && after) {
            c->seen = true;
            c->seen_value = sample->value;
        }
    }
}

/* Nobody knows whether it took effect: what is read back tells. */
void command_await_proof(struct engine *e, struct command *c, const char *reason)
{
    command_set(e, c, COMMAND_SENT, reason);
    c->due_ns = e->mono_ns + c->contract->readback_ms * NS_PER_MS;
}

static void take_end(struct engine *e, struct command *c)
{
    struct record_written w = c->written;
    c->write = 0;
    c->answered = false;
    if (c->reverting) {
        lease_revert_ended(e, c, &w);
    } else if (w.end == WRITTEN_APART && c->together) {
        batch_goes_apart(e, c);
    } else if (w.end == WRITTEN_DONE) {
        command_set(e, c, COMMAND_ACCEPTED, "accepted by the device; its value is awaited back");
        command_note(e, c, AUDIT_COMMAND_ACCEPTED);
        c->due_ns = e->mono_ns + c->contract->readback_ms * NS_PER_MS;
    } else if (w.end == WRITTEN_REFUSED || w.end == WRITTEN_FAILED) {
        command_end(e, c, w.end == WRITTEN_REFUSED ? COMMAND_REFUSED : COMMAND_FAILED, w.reason);
    } else {
        command_await_proof(e, c, w.reason);
    }
}

const char *command_written(struct engine *e, struct inlet *in, const struct slot *s)
{
    struct record_written w;
    if (s->value.u64 != sizeof w) {
        return "the end of a write is malformed";
    }
    memcpy(&w, slot_payload(s), sizeof w);
    w.reason[sizeof w.reason - 1] = '\0';
    for (uint32_t i = 0; i < e->commands.open_count; i++) {
        struct command *c = e->commands.open + i;
        if (c->write && c->write == w.number && (c->together || c->tag->tag->id == w.tag) &&
            c->tag->tag->box == in->box) {
            c->written = w;
            c->answered = true;
        }
    }
    return NULL; /* of a life before, or too late: that command waits for its value, or has ended */
}

void command_box_gone(struct engine *e, uint32_t box)
{
    for (uint32_t i = 0; i < e->commands.open_count;) {
        struct command *c = e->commands.open + i;
        uint32_t count = e->commands.open_count;
        if (c->tag->tag->box == box && c->write && !c->answered) {
            c->written = (struct record_written){.end = WRITTEN_UNKNOWN,
                                                 .reason = "the device's box was restarted"};
            take_end(e, c);
        }
        i += e->commands.open_count == count;
    }
}

/* ---- What callers ask. ---- */

void command_ask(struct engine *e, struct inlet *in, const struct record_command *command)
{
    struct commands *k = &e->commands;
    if (k->asked_count < COMMANDS_ASKED) {
        k->asked[k->asked_count++] = (struct asked){in, *command};
    } else {
        struct record_receipt r = {.state = COMMAND_REFUSED,
                                   .act = command->act,
                                   .denied = 1,
                                   .reason = "too many commands at once"};
        memcpy(r.id, command->id, sizeof r.id);
        command_reply(e, in, &r);
    }
}

static bool is_same(const struct record_receipt *r, const struct record_command *w,
                    const struct guard_caller *caller)
{
    return r->tag == w->tag && r->type == w->type && !strcmp(r->who, caller->name);
}

void command_refuse(struct engine *e, struct command *c, const char *why)
{
    command_set(e, c, COMMAND_REFUSED, why);
    receipt_keep_refused(&e->commands, &c->receipt);
    board_refused(e, c);
    board_count(e, c->box, c->receipt.tag, true);
    command_tell_end(e, c);
}

bool command_open(struct engine *e, struct command *c)
{
    struct commands *k = &e->commands;
    command_set(e, c, COMMAND_CHECKED, "the guard lets it through");
    guard_note(c->memory, e->mono_ns); /* first: the entry has the count */
    if (!command_note_intent(e, c, AUDIT_COMMAND_REQUESTED)) {
        return false;
    }
    board_begin(e, c);
    board_count(e, c->box, c->receipt.tag, false);
    k->open[k->open_count++] = *c;
    await(e, c->tag);
    return true;
}

/* A new command; its place among the open ones is taken only if the guard lets it through. */
static void begin_write(struct engine *e, struct inlet *in, const struct record_command *w,
                        const struct guard_caller *caller)
{
    char why[GUARD_REASON_SIZE];
    struct command c = {.caller = *caller, .box = in->box, .tag = engine_tag(e, w->tag)};
    memcpy(c.session, w->session, sizeof c.session);
    command_receipt(e, &c, w);
    if (!command_lets(e, &c, why)) {
        command_refuse(e, &c, why);
    } else if (w->act == COMMAND_TRY) {
        command_set(e, &c, COMMAND_CHECKED, "the guard would let it through; nothing was sent");
        board_count(e, c.box, w->tag, false);
        command_reply(e, in, &c.receipt);
    } else if (e->commands.open_count == COMMANDS_OPEN) {
        command_refuse(e, &c, "too many commands are open");
    } else if (!command_open(e, &c)) {
        command_refuse(e, &c, "the audit can't be written, so nothing may be");
    }
}

void command_deny(struct engine *e, struct inlet *in, const struct record_receipt *r,
                  const struct record_command *w, const struct guard_caller *caller,
                  const char *why)
{
    struct record_receipt receipt = *r;
    memcpy(receipt.id, w->id, sizeof receipt.id);
    receipt.act = w->act;
    receipt.denied = 1;
    snprintf(receipt.reason, sizeof receipt.reason, "%s", why);
    board_count(e, in->box, r->tag ? r->tag : w->tag, true);
    command_note_denial(e, in, w, caller, why);
    command_reply(e, in, &receipt);
}

const char *command_approve(struct engine *e, struct command *c, const struct record_command *w,
                            const struct guard_caller *caller)
{
    if (c->receipt.state != COMMAND_WAITING || e->mono_ns >= c->due_ns) {
        return "it does not wait for an approval";
    }
    static const uint8_t none[16];
    bool same_session = memcmp(w->session, none, 16) && !memcmp(w->session, c->session, 16);
    if (!strcmp(caller->name, c->caller.name) || same_session) {
        return "who asked can't approve: it takes a second person";
    }
    if (!guard_names(&e->g->plan, c->contract, "approver", caller)) {
        return "the contract does not name you as an approver";
    }
    snprintf(c->receipt.approver, sizeof c->receipt.approver, "%s", caller->name);
    command_set(e, c, COMMAND_CHECKED, "approved");
    if (!command_note_intent(e, c, AUDIT_COMMAND_APPROVED)) {
        c->receipt.approver[0] = '\0';
        command_set(e, c, COMMAND_WAITING, "a second person has to approve it");
        return "the audit can't be written, so nothing may be";
    }
    return NULL;
}

const char *command_reject(struct engine *e, struct command *c, const struct guard_caller *caller)
{
    char reason[GUARD_REASON_SIZE];
    bool own = !strcmp(caller->name, c->caller.name);
    if (c->receipt.state != COMMAND_WAITING) {
        return "it does not wait for an approval";
    }
    if (!own && !guard_names(&e->g->plan, c->contract, "approver", caller)) {
        return "the contract does not name you as an approver";
    }
    snprintf(reason, sizeof reason, "%s by %s", own ? "withdrawn" : "rejected", caller->name);
    command_end(e, c, COMMAND_REFUSED, reason);
    return NULL;
}

static void act_on(struct engine *e, struct inlet *in, struct command *c,
                   const struct record_command *w, const struct guard_caller *caller)
{
    struct record_receipt before = c->receipt;
    const char *why = w->act == COMMAND_APPROVE  ? command_approve(e, c, w, caller)
                      : w->act == COMMAND_REJECT ? command_reject(e, c, caller)
                      : w->act == COMMAND_RENEW  ? lease_renew(e, c, caller)
                                                 : lease_release(e, c, caller);
    if (why) {
        command_deny(e, in, &before, w, caller, why);
        return;
    }
    const struct command *still = command_find(&e->commands, w->id);
    const struct record_receipt *past = still ? &still->receipt : receipt_find(&e->commands, w->id);
    struct record_receipt receipt = *past;
    receipt.act = w->act;
    board_count(e, in->box, receipt.tag, false);
    command_reply(e, in, &receipt);
}

static void look(struct engine *e, struct inlet *in, const struct record_command *w,
                 const struct record_receipt *known, const struct guard_caller *caller)
{
    struct record_receipt receipt = *known;
    receipt.act = w->act;
    if (w->act == COMMAND_WRITE || w->act == COMMAND_TRY) {
        if (!is_same(known, w, caller)) {
            command_deny(e, in, &(struct record_receipt){.state = COMMAND_REFUSED}, w, caller,
                         "this id is another command's");
            return;
        }
    } else if (w->act != COMMAND_LOOK) {
        command_deny(e, in, known, w, caller, "it has ended");
        return;
    }
    command_reply(e, in, &receipt);
}

/* The acts of inhibit and island have nothing to do with an earlier command. */
static bool is_switch(uint32_t act)
{
    return act >= COMMAND_INHIBIT && act <= COMMAND_ISLANDED;
}

static void take_switch(struct engine *e, struct inlet *in, const struct record_command *w,
                        const struct guard_caller *caller)
{
    struct record_receipt receipt = {.act = w->act, .asked_ns = e->utc_ns};
    bool island = w->act >= COMMAND_ISLAND;
    bool looks = w->act == COMMAND_INHIBITED || w->act == COMMAND_ISLANDED;
    const char *why = looks ? NULL : island ? island_act(e, w, caller) : inhibit_act(e, w, caller);
    memcpy(receipt.id, w->id, sizeof receipt.id);
    (island ? island_tell : inhibit_tell)(e, &receipt);
    if (why) {
        command_deny(e, in, &receipt, w, caller, why);
    } else {
        command_reply(e, in, &receipt);
    }
}

static void take_asked(struct engine *e, struct inlet *in, const struct record_command *w)
{
    static const struct record_receipt nothing = {.reason = "no command has this id"};
    struct commands *k = &e->commands;
    struct guard_caller caller;
    char why[GUARD_REASON_SIZE];
    if (batch_act(e, in, w)) {
        return;
    }
    struct command *c = command_find(k, w->id);
    const struct record_receipt *known = c ? &c->receipt : receipt_find(k, w->id);
    uint32_t tag = is_switch(w->act) ? 0 : known ? known->tag : w->tag;
    if (!command_caller(e, in, w, tag, &caller, why)) {
        command_deny(e, in, &(struct record_receipt){.state = COMMAND_REFUSED}, w, &caller, why);
    } else if (is_switch(w->act)) {
        take_switch(e, in, w, &caller);
    } else if (c && w->act >= COMMAND_APPROVE && w->act <= COMMAND_RELEASE) {
        act_on(e, in, c, w, &caller);
    } else if (known) {
        look(e, in, w, known, &caller);
    } else if (w->act == COMMAND_WRITE || w->act == COMMAND_TRY) {
        begin_write(e, in, w, &caller);
    } else {
        struct record_receipt receipt = nothing;
        receipt.act = w->act;
        memcpy(receipt.id, w->id, sizeof receipt.id);
        command_reply(e, in, &receipt);
    }
}

/* ---- The turn. ---- */

static void turn_one(struct engine *e, struct command *c, uint64_t durable)
{
    if (c->answered) {
        take_end(e, c);
        return; /* the place may be another's now */
    }
    switch (c->receipt.state) {
    case COMMAND_CHECKED:
        if (c->intent < durable && !c->ready) {
            became_durable(e, c);
        }
        break;
    case COMMAND_WAITING:
        if (e->mono_ns >= c->due_ns) {
            command_end(e, c, COMMAND_EXPIRED, "nobody approved it in time");
        }
        break;
    case COMMAND_SENT:
        if (c->write && e->mono_ns >= c->due_ns) {
            c->write = 0;
            command_await_proof(e, c, "the device's box did not answer");
        } else if (!c->write) {
            read_back(e, c);
        }
        break;
    case COMMAND_ACCEPTED:
        read_back(e, c);
        break;
    default: /* confirmed, with a lease */
        lease_turn(e, c);
    }
}

void command_turn(struct engine *e)
{
    struct commands *k = &e->commands;
    batches_take(e);
    for (uint32_t i = 0; i < k->asked_count; i++) {
        take_asked(e, k->asked[i].in, &k->asked[i].command);
    }
    k->asked_count = 0;
    command_tell_refusals(e);
    inhibit_turn(e);
    island_turn(e);
    uint64_t durable = k->open_count && e->audit ? audit_durable(e->audit) : 0;
    for (uint32_t i = 0; i < k->open_count;) {
        uint32_t count = k->open_count;
        turn_one(e, k->open + i, durable);
        i += k->open_count == count;
    }
    batches_turn(e);
    board_turn(e);
}
