/* SPDX-License-Identifier: Apache-2.0 */
/* What callers ask of batches: to begin one, after all of its parts are checked; and acts on one as a whole. */
#include "engine/batch.h"
#include "engine/internal.h"

#include "base/crc32c.h"

#include <stdio.h>
#include <string.h>

const char *batch_ask(struct engine *e, struct inlet *in, const struct slot *s)
{
    struct batches *all = e->commands.batches;
    struct record_commands head;
    const uint8_t *payload = slot_payload(s);
    if (s->value.u64 < sizeof head) {
        return "a batch of commands is malformed";
    }
    memcpy(&head, payload, sizeof head);
    if (!head.count || head.count > BATCH_MAX ||
        s->value.u64 != sizeof head + head.count * sizeof(struct record_part) ||
        (head.act != COMMAND_WRITE && head.act != COMMAND_TRY)) {
        return "a batch of commands is malformed";
    }
    if (all->asked_count == BATCHES_ASKED) {
        struct record_receipt r = {.state = COMMAND_REFUSED,
                                   .act = head.act,
                                   .denied = 1,
                                   .reason = "too many batches at once"};
        memcpy(r.id, head.id, sizeof r.id);
        command_reply(e, in, &r);
        return NULL;
    }
    struct asked_batch *a = all->asked + all->asked_count++;
    a->in = in;
    a->head = head;
    memcpy(a->parts, payload + sizeof head, head.count * sizeof *a->parts);
    return NULL;
}

static struct record_command part_of(const struct asked_batch *a, uint32_t part)
{
    struct record_command w = {.act = a->head.act,
                               .tag = a->parts[part].tag,
                               .type = a->parts[part].type,
                               .value = a->parts[part].value};
    command_part_id(w.id, a->head.id, part);
    memcpy(w.session, a->head.session, sizeof w.session);
    memcpy(w.reason, a->head.reason, sizeof w.reason);
    return w;
}

static bool stands_twice(const struct asked_batch *a, uint32_t part)
{
    for (uint32_t i = 0; i < part; i++) {
        if (a->parts[i].tag == a->parts[part].tag) {
            return true;
        }
    }
    return false;
}

/* One part, laid before the guard as a command of its own; false: refused, or its caller may not. */
static bool check_part(struct engine *e, const struct asked_batch *a, uint32_t part, char *why)
{
    struct commands *k = &e->commands;
    struct record_command w = part_of(a, part);
    struct command *c = k->batches->checked + part;
    *c = (struct command){.box = a->in->box, .tag = engine_tag(e, w.tag), .part = part};
    if (!command_caller(e, a->in, &w, w.tag, &c->caller, why)) {
        return false;
    }
    memcpy(c->session, w.session, sizeof c->session);
    command_receipt(e, c, &w);
    if (stands_twice(a, part)) {
        snprintf(why, GUARD_REASON_SIZE, "the tag stands twice in the batch");
        return false;
    }
    if (command_find(k, w.id) || receipt_find(k, w.id)) {
        snprintf(why, GUARD_REASON_SIZE, "this id is another command's");
        return false;
    }
    if (!command_lets(e, c, why)) {
        return false;
    }
    if (c->contract->lease_ms) {
        snprintf(why, GUARD_REASON_SIZE, "its contract has a lease: it can't be part of a batch");
    }
    return !c->contract->lease_ms;
}

/* Refused as a whole: nothing of it was sent. The audit has it by its first part that was refused. */
static void refuse(struct engine *e, const struct asked_batch *a, struct record_receipt *r,
                   uint32_t part, const char *why)
{
    char text[GUARD_REASON_SIZE + 40];
    struct command *c = e->commands.batches->checked + part;
    snprintf(text, sizeof text, "part %u of %u: %s", part + 1, a->head.count, why);
    snprintf(r->reason, sizeof r->reason, "%.159s", text);
    r->state = COMMAND_REFUSED;
    if (c->caller.name[0] && c->receipt.asked_ns) {
        command_refuse(e, c, why);
    } else {
        struct record_command w = part_of(a, part);
        board_count(e, a->in->box, w.tag, true);
        command_note_denial(e, a->in, &w, &c->caller, why);
    }
    if (command_may_tell_refusal(e)) {
        (void)command_note_batch(e, r, r->state, AUDIT_BATCH_ENDED, r->reason);
    }
    receipt_keep_refused(&e->commands, r);
    command_reply(e, a->in, r);
}

static void begin(struct engine *e, const struct asked_batch *a, struct record_receipt *r)
{
    static const char takes_nothing[] = "the audit can't be written, so nothing may be";
    struct commands *k = &e->commands;
    struct batch *b = NULL;
    for (uint32_t i = 0; i < BATCHES_OPEN; i++) {
        b = k->batches->open[i].count ? b : k->batches->open + i;
    }
    if (!b || k->open_count + 2 * a->head.count > COMMANDS_OPEN) { /* undoing takes places too */
        refuse(e, a, r, 0, "too many commands are open");
        return;
    }
    if (!command_note_batch(e, r, a->head.count, AUDIT_BATCH_REQUESTED, a->head.reason)) {
        refuse(e, a, r, 0, takes_nothing);
        return;
    }
    *b = (struct batch){.receipt = *r, .caller = k->batches->checked[0].caller, .box = a->in->box};
    b->count = a->head.count;
    batch_set(e, b, COMMAND_CHECKED, "the guard lets all parts through");
    for (uint32_t i = 0; i < a->head.count; i++) {
        struct command *c = k->batches->checked + i;
        c->batch = (uint32_t)(b - k->batches->open) + 1;
        if (!command_open(e, c)) {
            command_set(e, c, COMMAND_REFUSED, takes_nothing);
            batch_part_ended(e, c);
        }
    }
}

/* Known already: its receipt, if it is the very same batch again. */
static bool look_again(struct engine *e, const struct asked_batch *a,
                       const struct record_receipt *r, const struct guard_caller *caller)
{
    struct batch *b = batch_find(e, a->head.id);
    struct command *c = command_find(&e->commands, a->head.id);
    const struct record_receipt *known = b   ? &b->receipt
                                         : c ? &c->receipt
                                             : receipt_find(&e->commands, a->head.id);
    if (!known) {
        return false;
    }
    struct record_receipt again = *known;
    again.act = a->head.act;
    if (known->tag || known->value.u64 != r->value.u64 || strcmp(known->who, r->who) != 0) {
        struct record_command first = part_of(a, 0);
        memcpy(first.id, a->head.id, sizeof first.id);
        command_deny(e, a->in, &(struct record_receipt){.state = COMMAND_REFUSED}, &first, caller,
                     "this id is another command's");
    } else {
        command_reply(e, a->in, &again);
    }
    return true;
}

static void take(struct engine *e, struct asked_batch *a)
{
    char why[GUARD_REASON_SIZE] = "";
    struct batches *all = e->commands.batches;
    struct record_receipt r = {.act = a->head.act, .asked_ns = e->utc_ns, .changed_ns = e->utc_ns};
    memcpy(r.id, a->head.id, sizeof r.id);
    r.value.u64 =
        (uint64_t)a->head.count << 32 | crc32c(0, a->parts, a->head.count * sizeof *a->parts);
    struct record_command first = part_of(a, 0);
    struct guard_caller caller;
    bool may = command_caller(e, a->in, &first, first.tag, &caller, why);
    snprintf(r.who, sizeof r.who, "%s", caller.name);
    if (may && look_again(e, a, &r, &caller)) {
        return;
    }
    for (uint32_t i = 0; i < a->head.count; i++) {
        if (!check_part(e, a, i, why)) {
            refuse(e, a, &r, i, why);
            return;
        }
    }
    if (a->head.act == COMMAND_WRITE) {
        begin(e, a, &r);
        return;
    }
    r.state = COMMAND_CHECKED;
    bool one_device = true;
    for (uint32_t i = 1; i < a->head.count; i++) {
        one_device &= all->checked[i].tag->tag->device == all->checked[0].tag->tag->device;
    }
    snprintf(r.reason, sizeof r.reason,
             "the guard would let all %u parts through; nothing was sent. They would go %s",
             a->head.count,
             one_device ? "in one transaction, if the device can; else one after another"
                        : "one after another: they are of several devices");
    command_reply(e, a->in, &r);
}

void batches_take(struct engine *e)
{
    struct batches *all = e->commands.batches;
    for (uint32_t i = 0; i < all->asked_count; i++) {
        take(e, all->asked + i);
    }
    all->asked_count = 0;
}

/* ---- Acts on the whole. ---- */

/* A second person's word for all parts that wait. NULL, or why not. */
static const char *decide(struct engine *e, struct inlet *in, const struct batch *b,
                          const struct record_command *w, char *room)
{
    const char *why = NULL;
    bool any = false;
    for (uint32_t i = 0; i < b->count && !why; i++) {
        struct guard_caller caller;
        struct command *c = batch_part(e, b, i, false);
        if (!c || c->receipt.state != COMMAND_WAITING) {
            continue;
        }
        any = true;
        why = !command_caller(e, in, w, c->receipt.tag, &caller, room) ? room
              : w->act == COMMAND_APPROVE ? command_approve(e, c, w, &caller)
                                          : command_reject(e, c, &caller);
    }
    return why || any ? why : "it does not wait for an approval";
}

bool batch_act(struct engine *e, struct inlet *in, const struct record_command *w)
{
    char room[GUARD_REASON_SIZE];
    struct guard_caller caller;
    struct batch *b = w->act <= COMMAND_LOOK ? batch_find(e, w->id) : NULL;
    if (!b) {
        return false;
    }
    const char *why = !command_caller(e, in, w, 0, &caller, room) ? room
                      : w->act == COMMAND_LOOK                    ? NULL
                      : w->act == COMMAND_APPROVE || w->act == COMMAND_REJECT
                          ? decide(e, in, b, w, room)
                          : "this id is a batch's";
    if (why) {
        command_deny(e, in, &b->receipt, w, &caller, why);
    } else {
        struct record_receipt r = b->receipt;
        r.act = w->act;
        command_reply(e, in, &r);
    }
    return true;
}
