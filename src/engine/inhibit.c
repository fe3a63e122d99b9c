/* SPDX-License-Identifier: Apache-2.0 */
/* The write inhibit: while anything says so, nothing is written, reverts neither. A person sets it (switch.c); a file in the
 * state folder and a key switch (a tag) set it by being there. What can't be read, or is stale, inhibits. */
#include "engine/internal.h"

#include <stdio.h>
#include <string.h>

/* What inhibits by being there, whatever a person set or cleared. */
static bool things_let(struct engine *e, char *why)
{
    const struct plan *p = &e->g->plan;
    double number = 0;
    if (e->commands.inhibit.file) {
        snprintf(why, GUARD_REASON_SIZE,
                 "writes are inhibited by the file 'inhibit' in the gateway's state folder");
        return false;
    }
    struct tag_state *key = engine_tag(e, p->header->inhibit_tag);
    if (p->header->inhibit_tag && (!key || !command_known_value(e, key, &number) || number != 0)) {
        snprintf(why, GUARD_REASON_SIZE, "writes are inhibited by the key switch %.80s (%s)",
                 key ? plan_text(p, key->tag->path) : "", number != 0 ? "on" : "not known");
        return false;
    }
    return true;
}

bool inhibit_lets(struct engine *e, char *why)
{
    const struct hand_switch *h = &e->commands.inhibit;
    if (h->set) {
        snprintf(why, GUARD_REASON_SIZE, "writes are inhibited by %s: %.60s", h->who, h->why);
        return false;
    }
    return things_let(e, why);
}

const char *inhibit_act(struct engine *e, const struct record_command *w,
                        const struct guard_caller *caller)
{
    const char *why = switch_act(e, &e->commands.inhibit, AUDIT_INHIBIT_SET,
                                 w->act == COMMAND_INHIBIT, w->reason, caller);
    return why == switch_is_local ? "it is lifted only at the gateway itself: isthmus inhibit off"
                                  : why;
}

void inhibit_turn(struct engine *e)
{
    switch_turn(e, &e->commands.inhibit, AUDIT_INHIBIT_SET);
}

void inhibit_tell(struct engine *e, struct record_receipt *r)
{
    const struct hand_switch *h = &e->commands.inhibit;
    char why[GUARD_REASON_SIZE] = "writes are let through as the contracts have it";
    /* Who clears is told what is left, not that it takes until that is durable. */
    bool inhibited = !(h->clearing ? things_let(e, why) : inhibit_lets(e, why));
    r->state = COMMAND_CONFIRMED;
    r->type = VALUE_BOOL;
    r->has_after = 1;
    r->after.u64 = inhibited;
    r->changed_ns = h->since_ns;
    snprintf(r->reason, sizeof r->reason, "%s", why);
}
