/* SPDX-License-Identifier: Apache-2.0 */
/* A switch for emergencies: a person who may sets it from anywhere and clears it only at the gateway itself. A setting counts at
 * once, a clearing only when it is durable in the audit, which also remembers the switch over restarts. */
#include "engine/internal.h"

#include <stdio.h>
#include <string.h>

#define MENTIONED                                                                                  \
    (AUDIT_RECALLED /                                                                              \
     2) /* entries after which the audit is told again, so that it can be recalled */

const char switch_is_local[] = "it is cleared only at the gateway itself";

static bool tell_audit(struct engine *e, uint32_t kind, const char *who, const char *why,
                       uint64_t *ticket)
{
    struct audit_entry entry = {.kind = kind, .utc_ns = e->utc_ns};
    snprintf(entry.who, sizeof entry.who, "%s", who);
    snprintf(entry.text, sizeof entry.text, "%s", why);
    return e->audit && audit_append(e->audit, &entry, true, ticket) == ERR_OK;
}

void switch_recall(struct hand_switch *h, const struct audit_entry *a, enum audit_kind set)
{
    if (a->kind != (uint32_t)set && a->kind != (uint32_t)set + 1) {
        return;
    }
    h->set = a->kind == (uint32_t)set;
    h->since_ns = a->utc_ns;
    snprintf(h->who, sizeof h->who, "%.*s", (int)sizeof h->who - 1, a->who);
    snprintf(h->why, sizeof h->why, "%.*s", (int)sizeof h->why - 1, a->text);
}

void switch_turn(struct engine *e, struct hand_switch *h, enum audit_kind set)
{
    if (h->clearing && audit_durable(e->audit) > h->ticket) {
        h->set = h->clearing = false;
    }
    if (h->set && !h->clearing && e->audit && audit_durable(e->audit) >= h->ticket + MENTIONED) {
        (void)tell_audit(e, set, h->who, h->why, &h->ticket);
    }
}

const char *switch_act(struct engine *e, struct hand_switch *h, enum audit_kind set, bool on,
                       const char *reason, const struct guard_caller *caller)
{
    char why[COMMAND_REASON_SIZE];
    snprintf(why, sizeof why, "%.*s", (int)sizeof why - 1, reason);
    if (on) {
        h->clearing = false;
        h->set = true;
        h->since_ns = e->utc_ns;
        snprintf(h->who, sizeof h->who, "%s", caller->name);
        snprintf(h->why, sizeof h->why, "%s", why);
        return tell_audit(e, set, h->who, why, &h->ticket)
                   ? NULL
                   : "it holds, but the audit could not take it: a restart would forget it";
    }
    if (strncmp(caller->name, "local:", 6) != 0) {
        return switch_is_local;
    }
    if (h->set && !tell_audit(e, (uint32_t)set + 1, caller->name, why, &h->ticket)) {
        return "the audit can't be written, so it stays";
    }
    h->clearing = h->set;
    return NULL;
}
