/* SPDX-License-Identifier: Apache-2.0 */
/* The write inhibit: while anything says so, nothing is written, reverts neither. A person sets it from anywhere and clears it
 * only at the gateway itself; a file in the state folder and a key switch (a tag) set it by being there. What can't be read,
 * or is stale, inhibits. A setting counts at once, a clearing only when it is durable in the audit. */
#include "engine/internal.h"

#include <stdio.h>
#include <string.h>

#define MENTIONED                                                                                  \
    (AUDIT_RECALLED /                                                                              \
     2) /* entries after which the audit is told again, so that it can be recalled */

static bool tell_audit(struct engine *e, enum audit_kind kind, const char *who, const char *why,
                       uint64_t *ticket)
{
    struct audit_entry entry = {.kind = kind, .utc_ns = e->utc_ns};
    snprintf(entry.who, sizeof entry.who, "%s", who);
    snprintf(entry.text, sizeof entry.text, "%s", why);
    return e->audit && audit_append(e->audit, &entry, true, ticket) == ERR_OK;
}

void inhibit_recall(struct inhibit *h, const struct audit_entry *a)
{
    h->set = a->kind == AUDIT_INHIBIT_SET;
    h->since_ns = a->utc_ns;
    snprintf(h->who, sizeof h->who, "%.*s", (int)sizeof h->who - 1, a->who);
    snprintf(h->why, sizeof h->why, "%.*s", (int)sizeof h->why - 1, a->text);
}

void inhibit_turn(struct engine *e)
{
    struct inhibit *h = &e->commands.inhibit;
    if (h->clearing && audit_durable(e->audit) > h->ticket) {
        h->set = h->clearing = false;
    }
    if (h->set && !h->clearing && e->audit && audit_durable(e->audit) >= h->ticket + MENTIONED) {
        (void)tell_audit(e, AUDIT_INHIBIT_SET, h->who, h->why, &h->ticket);
    }
}

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
    const struct inhibit *h = &e->commands.inhibit;
    if (h->set) {
        snprintf(why, GUARD_REASON_SIZE, "writes are inhibited by %s: %.60s", h->who, h->why);
        return false;
    }
    return things_let(e, why);
}

const char *inhibit_act(struct engine *e, const struct record_command *w,
                        const struct guard_caller *caller)
{
    struct inhibit *h = &e->commands.inhibit;
    bool local = !strncmp(caller->name, "local:", 6);
    char why[COMMAND_REASON_SIZE];
    snprintf(why, sizeof why, "%.*s", (int)sizeof why - 1, w->reason);
    if (w->act == COMMAND_INHIBIT) {
        h->clearing = false;
        h->set = true;
        h->since_ns = e->utc_ns;
        snprintf(h->who, sizeof h->who, "%s", caller->name);
        snprintf(h->why, sizeof h->why, "%s", why);
        return tell_audit(e, AUDIT_INHIBIT_SET, h->who, why, &h->ticket)
                   ? NULL
                   : "it holds, but the audit could not take it: a restart would forget it";
    }
    if (!local) {
        return "it is lifted only at the gateway itself: isthmus inhibit off";
    }
    if (h->set && !tell_audit(e, AUDIT_INHIBIT_CLEARED, caller->name, why, &h->ticket)) {
        return "the audit can't be written, so it stays";
    }
    h->clearing = h->set;
    return NULL;
}

void inhibit_tell(struct engine *e, struct record_receipt *r)
{
    const struct inhibit *h = &e->commands.inhibit;
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
