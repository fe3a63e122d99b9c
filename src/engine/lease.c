/* SPDX-License-Identifier: Apache-2.0 */
/* Leases: a confirmed value that is not renewed goes back to the contract's, unless somebody at the machine has changed it
 * meanwhile. While one runs, the contract's heartbeat tag is written every second, so that the PLC itself can fall back when
 * the whole gateway is lost. */
#include "engine/internal.h"

#include "base/clock.h"

#include <stdio.h>

#define HEARTBEAT_NS NS_PER_S

static void begin_revert(struct engine *e, struct command *c, const char *why)
{
    union slot_value wanted, raw, effective;
    char reason[GUARD_REASON_SIZE];
    struct now_value now;
    bool known = now_read(c->tag->zone, c->tag->tag, &now) == ERR_OK && !now.slot.status;
    if (known && !command_holds(c, now.slot.value, c->receipt.value)) {
        command_end_lease(e, c, LEASE_LEFT,
                          "the device holds another value: the operator's hand wins");
        command_close(e, c);
    } else if (!command_writes_allowed(e, reason)) {
        command_end_lease(e, c, LEASE_STUCK, reason);
        command_close(e, c);
    } else if (value_from_double((enum value_type)c->receipt.type, c->contract->revert, &wanted) ||
               !guard_raw(c->tag->tag, wanted, &raw, &effective, reason)) {
        command_end_lease(e, c, LEASE_STUCK, "the contract's revert value does not fit the device");
        command_close(e, c);
    } else {
        snprintf(c->receipt.reason, sizeof c->receipt.reason, "%s", why);
        c->reverting = true;
        command_send(e, c, raw);
    }
}

void lease_revert_ended(struct engine *e, struct command *c, const struct record_written *w)
{
    if (w->end == WRITTEN_DONE) {
        command_end_lease(e, c, LEASE_REVERTED,
                          "the lease has ended: the contract's value is back");
    } else {
        command_end_lease(e, c, LEASE_STUCK, w->reason);
    }
    command_close(e, c);
}

/* It counts from 0 to 99 and begins again, or turns on and off. What does not get through is the PLC's to notice. */
static void beat(struct engine *e, struct command *c)
{
    struct tag_state *t = c->contract->heartbeat ? engine_tag(e, c->contract->heartbeat) : NULL;
    union slot_value wanted, raw, effective;
    char why[GUARD_REASON_SIZE];
    if (!t || e->mono_ns < c->beat_ns || !command_writes_allowed(e, why)) {
        return;
    }
    c->beat_ns = e->mono_ns + HEARTBEAT_NS;
    c->beats = (c->beats + 1) % (t->tag->type == VALUE_BOOL ? 2 : 100);
    if (!value_from_double((enum value_type)t->tag->type, c->beats, &wanted) &&
        guard_raw(t->tag, wanted, &raw, &effective, why)) {
        (void)command_put_raw(e, t->tag, raw);
    }
}

void lease_turn(struct engine *e, struct command *c)
{
    if (c->reverting && e->mono_ns >= c->due_ns) {
        command_end_lease(e, c, LEASE_STUCK, "the device's box did not answer");
        command_close(e, c);
    } else if (!c->reverting && e->mono_ns >= c->due_ns) {
        begin_revert(e, c, "the lease was not renewed");
    } else if (!c->reverting) {
        beat(e, c);
    }
}

const char *lease_renew(struct engine *e, struct command *c, const struct guard_caller *caller)
{
    if (c->receipt.lease != LEASE_HELD || c->reverting) {
        return "it has no lease that runs";
    }
    if (strcmp(caller->name, c->caller.name) != 0) {
        return "only who asked can renew the lease";
    }
    c->due_ns = e->mono_ns + c->contract->lease_ms * NS_PER_MS;
    c->receipt.until_ns = e->utc_ns + c->contract->lease_ms * NS_PER_MS;
    command_note(e, c, AUDIT_LEASE_RENEWED);
    return NULL;
}

const char *lease_release(struct engine *e, struct command *c, const struct guard_caller *caller)
{
    if (c->receipt.lease != LEASE_HELD || c->reverting) {
        return "it has no lease that runs";
    }
    if (strcmp(caller->name, c->caller.name) != 0 &&
        !guard_names(&e->g->plan, c->contract, "approver", caller)) {
        return "only who asked, or an approver, can release the lease";
    }
    begin_revert(e, c, "released");
    return NULL;
}
