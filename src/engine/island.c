/* SPDX-License-Identifier: Apache-2.0 */
/* The island: while a person (switch.c) or a file in the state folder says so, no service reaches beyond this machine. The engine
 * only decides and tells; the supervisor ends the services (box/supervisor.c), and sees the file by itself, so that
 * it cuts even when the engine hangs. */
#include "engine/internal.h"

#include <stdio.h>
#include <string.h>

/* Without an audit nobody knows whether it was set before the gateway was started; an engine before us did. */
void island_begin(struct engine *e)
{
    struct hand_switch *h = &e->commands.island;
    if (!e->audit && atomic_load(&e->g->engine->island) != ISLAND_OFF) {
        *h = (struct hand_switch){.set = true, .since_ns = e->utc_ns, .who = "gateway"};
        snprintf(h->why, sizeof h->why, "the audit can't be read, which knows whether it was set");
    }
}

void island_turn(struct engine *e)
{
    struct hand_switch *h = &e->commands.island;
    switch_turn(e, h, AUDIT_ISLAND_SET);
    atomic_store(&e->g->engine->island, h->set || h->file ? ISLAND_ON : ISLAND_OFF);
}

const char *island_act(struct engine *e, const struct record_command *w,
                       const struct guard_caller *caller)
{
    const char *why = switch_act(e, &e->commands.island, AUDIT_ISLAND_SET, w->act == COMMAND_ISLAND,
                                 w->reason, caller);
    return why == switch_is_local ? "it ends only at the gateway itself: isthmus island off" : why;
}

static uint64_t services_outside(const struct engine *e)
{
    uint64_t count = 0;
    for (size_t i = SEAT_BOX; i < e->g->seat_count; i++) {
        count += atomic_load(&e->g->health->seats[i].outside) != 0;
    }
    return count;
}

void island_tell(struct engine *e, struct record_receipt *r)
{
    const struct hand_switch *h = &e->commands.island;
    /* Who ends it is told what is left, not that it takes until that is durable. */
    bool set = h->set && !h->clearing;
    r->state = COMMAND_CONFIRMED;
    r->type = VALUE_BOOL;
    r->has_after = r->has_before = 1;
    r->after.u64 = set || h->file;
    r->before.u64 = services_outside(e);
    r->changed_ns = h->since_ns;
    if (set) {
        snprintf(r->reason, sizeof r->reason, "cut off by %s: %.80s", h->who, h->why);
    } else {
        snprintf(r->reason, sizeof r->reason, "%s",
                 h->file ? "cut off by the file '" ISLAND_FILE "' in the gateway's state folder"
                         : "services reach what the configuration names");
    }
}
