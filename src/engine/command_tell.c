/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of commands, told to boxes, audit and journal. */
#include "base/clock.h"
#include "engine/internal.h"

#include <stdio.h>
#include <string.h>

void command_reply(struct engine *e, struct inlet *in, const struct record_receipt *receipt)
{
    /* A box that does not empty its ring loses the reply, and only it: the id gives the receipt again. */
    (void)reply_send(e, in, RECORD_RECEIPT, receipt, sizeof *receipt);
}

void command_answer(struct engine *e, const struct command *c)
{
    struct inlet *in = reply_inlet(e, c->box, BOX_NORTH);
    if (in) {
        command_reply(e, in, &c->receipt);
    }
}

uint64_t command_put_raw(struct engine *e, const struct plan_tag *tag, union slot_value raw)
{
    struct inlet *to = reply_inlet(e, tag->box, BOX_SOUTH);
    struct record_write w = {
        .number = ++e->commands.writes, .tag = tag->id, .type = tag->raw_type, .value = raw};
    bool sent =
        to && !to->down_noted && to->starts && reply_send(e, to, RECORD_WRITE, &w, sizeof w);
    return sent ? w.number : 0;
}

uint64_t command_put_together(struct engine *e, struct command *const *parts, uint32_t count)
{
    uint8_t payload[sizeof(struct record_writes) + BATCH_MAX * sizeof(struct record_part)];
    struct inlet *to = reply_inlet(e, parts[0]->tag->tag->box, BOX_SOUTH);
    struct record_writes head = {.number = ++e->commands.writes, .count = count};
    memcpy(payload, &head, sizeof head);
    for (uint32_t i = 0; i < count; i++) {
        const struct plan_tag *tag = parts[i]->tag->tag;
        struct record_part part = {.tag = tag->id, .type = tag->raw_type, .value = parts[i]->raw};
        memcpy(payload + sizeof head + i * sizeof part, &part, sizeof part);
    }
    bool sent =
        to && !to->down_noted && to->starts &&
        reply_send(e, to, RECORD_WRITES, payload, sizeof head + count * sizeof(struct record_part));
    return sent ? head.number : 0;
}

/* ---- The audit and the journal. ---- */

static bool append(struct engine *e, const struct audit_entry *entry, bool reserve,
                   uint64_t *ticket)
{
    uint64_t unused;
    return e->audit && audit_append(e->audit, entry, reserve, ticket ? ticket : &unused) == ERR_OK;
}

static struct audit_entry entry_of(struct engine *e, const struct command *c, enum audit_kind kind)
{
    const struct record_receipt *r = &c->receipt;
    const struct plan *p = &e->g->plan;
    struct audit_entry entry = {.kind = kind,
                                .utc_ns = e->utc_ns,
                                .tag = r->tag,
                                .type = (uint8_t)r->type,
                                .has_before = r->has_before,
                                .before = r->before,
                                .has_after = 1,
                                .after = r->has_after ? r->after : r->value,
                                .detail = c->memory ? c->memory->writes : 0};
    memcpy(entry.id, r->id, sizeof entry.id);
    snprintf(entry.who, sizeof entry.who, "%s",
             kind == AUDIT_COMMAND_APPROVED ? r->approver : r->who);
    snprintf(entry.where, sizeof entry.where, "%.31s",
             c->box < p->header->boxes.count ? plan_text(p, p->boxes[c->box].name) : "");
    snprintf(entry.subject, sizeof entry.subject, "%.159s",
             c->tag ? plan_text(p, c->tag->tag->path) : "");
    snprintf(entry.text, sizeof entry.text, "%.160s",
             kind == AUDIT_COMMAND_REQUESTED ? c->wish : r->reason);
    return entry;
}

bool command_note_batch(struct engine *e, const struct record_receipt *r, uint32_t detail,
                        enum audit_kind kind, const char *text)
{
    struct audit_entry entry = {
        .kind = kind, .utc_ns = e->utc_ns, .after = r->value, .detail = detail};
    memcpy(entry.id, r->id, sizeof entry.id);
    snprintf(entry.who, sizeof entry.who, "%s", r->who);
    snprintf(entry.text, sizeof entry.text, "%.160s", text);
    return append(e, &entry, false, NULL);
}

void command_note(struct engine *e, const struct command *c, enum audit_kind kind)
{
    struct audit_entry entry = entry_of(e, c, kind);
    bool lease = kind >= AUDIT_LEASE_REVERTED && kind <= AUDIT_LEASE_STUCK;
    append(e, &entry, lease, NULL);
}

bool command_note_intent(struct engine *e, struct command *c, enum audit_kind kind)
{
    struct audit_entry entry = entry_of(e, c, kind);
    return append(e, &entry, false, &c->intent);
}

bool command_may_tell_refusal(struct engine *e)
{
    return e->commands.refusals++ < REFUSALS_TOLD;
}

void command_tell_refusals(struct engine *e)
{
    struct commands *k = &e->commands;
    if (e->mono_ns - k->refusals_from_ns < NS_PER_S) {
        return;
    }
    if (k->refusals > REFUSALS_TOLD) {
        struct audit_entry entry = {.kind = AUDIT_COMMAND_DENIED,
                                    .utc_ns = e->utc_ns,
                                    .detail = k->refusals - REFUSALS_TOLD};
        snprintf(entry.text, sizeof entry.text, "%u more were refused within a second",
                 k->refusals - REFUSALS_TOLD);
        append(e, &entry, false, NULL);
    }
    k->refusals = 0;
    k->refusals_from_ns = e->mono_ns;
}

void command_note_denial(struct engine *e, const struct inlet *in, const struct record_command *w,
                         const struct guard_caller *caller, const char *why)
{
    struct audit_entry entry = {
        .kind = AUDIT_COMMAND_DENIED, .utc_ns = e->utc_ns, .tag = w->tag, .detail = w->act};
    const struct plan_tag *tag = plan_find_tag(&e->g->plan, w->tag);
    memcpy(entry.id, w->id, sizeof entry.id);
    snprintf(entry.who, sizeof entry.who, "%s", caller->name);
    snprintf(entry.where, sizeof entry.where, "%.31s", in->seat->name);
    if (tag) {
        snprintf(entry.subject, sizeof entry.subject, "%.159s", plan_text(&e->g->plan, tag->path));
    }
    snprintf(entry.text, sizeof entry.text, "%.160s", why);
    if (command_may_tell_refusal(e)) {
        append(e, &entry, false, NULL);
    }
}

/* The journal's events are for who looks at the plant; the audit has it all. */
static void tell_journal(struct engine *e, const struct command *c, const char *what)
{
    char text[160];
    const struct record_receipt *r = &c->receipt;
    bool refused = r->state == COMMAND_REFUSED || r->state == COMMAND_EXPIRED;
    snprintf(text, sizeof text, "%s, %.20s, %.60s", what, r->who, r->reason);
    account_event(e, refused ? EVENT_COMMAND_REFUSED : EVENT_COMMAND, c->box, r->tag, text);
}

void command_tell_end(struct engine *e, const struct command *c)
{
    static const enum audit_kind kinds[COMMAND_STATE_END] = {
        [COMMAND_CONFIRMED] = AUDIT_COMMAND_CONFIRMED, [COMMAND_REFUSED] = AUDIT_COMMAND_REFUSED,
        [COMMAND_EXPIRED] = AUDIT_COMMAND_EXPIRED,     [COMMAND_FAILED] = AUDIT_COMMAND_FAILED,
        [COMMAND_UNKNOWN] = AUDIT_COMMAND_UNKNOWN,
    };
    bool was_open = c >= e->commands.open && c < e->commands.open + e->commands.open_count;
    if (was_open || command_may_tell_refusal(e)) {
        command_note(e, c, kinds[c->receipt.state]);
        tell_journal(e, c, command_state_name(c->receipt.state));
    }
    command_answer(e, c);
}

void command_end_lease(struct engine *e, struct command *c, enum lease_state state,
                       const char *reason)
{
    static const enum audit_kind kinds[] = {[LEASE_REVERTED] = AUDIT_LEASE_REVERTED,
                                            [LEASE_LEFT] = AUDIT_LEASE_LEFT,
                                            [LEASE_STUCK] = AUDIT_LEASE_STUCK};
    char what[32];
    c->receipt.lease = (uint8_t)state;
    c->receipt.changed_ns = e->utc_ns;
    c->receipt.until_ns = 0;
    snprintf(c->receipt.reason, sizeof c->receipt.reason, "%s", reason);
    snprintf(what, sizeof what, "lease %s", lease_state_name(state));
    command_note(e, c, kinds[state]);
    tell_journal(e, c, what);
}
