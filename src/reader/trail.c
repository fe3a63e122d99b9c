/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's audit, as far as it is on disk. What was told once can't be taken back by a loss of power. */
#include "reader/core.h"

#define ENTRY_COST 16u /* of reading one, in slots */

static void end(struct reader_core *core, struct link *link, struct request *r, int error)
{
    struct cursor_range covers = {r->begin, r->at};
    link_end(link, core, r, error, covers, false);
}

/* Nothing is there. Below where the asker begins an audit ends that is not the one it knows. */
static void wait_for_more(struct reader_core *core, struct link *link, struct request *r,
                          uint64_t last)
{
    if (last && last < r->at) {
        r->begin = 0;
        r->at = last;
    } else if (core->mono_ns - r->asked_ns < r->ask.max_ms * NS_PER_MS) {
        return;
    }
    end(core, link, r, ERR_OK);
}

void answer_audit(struct reader_core *core, struct link *link, struct request *r)
{
    uint64_t last = atomic_load_explicit(&core->g->engine->audit_end, memory_order_acquire);
    struct audit_entry e;
    if (!r->begun) {
        r->begun = true;
        r->begin = r->at = r->ask.from_sequence ? r->ask.from_sequence : 1;
    }
    if (!core->trail || (r->at >= last && r->at == r->begin)) {
        wait_for_more(core, link, r, core->trail ? last : 0);
        return;
    }
    while (r->records < r->ask.max_records && r->at < last) {
        size_t looks = core->budget / ENTRY_COST, before = looks;
        if (!looks) {
            core->more = true;
            return;
        }
        int found = audit_tail_read(core->trail, &r->at, last, &looks, &e);
        core->budget -= (before - looks) * ENTRY_COST;
        if (found < 0) {
            end(core, link, r, found);
            return;
        }
        if (found && !link_row(link, core, r, &e, sizeof e)) {
            return;
        }
        r->at += found != 0;
        r->records += found != 0;
    }
    end(core, link, r, ERR_OK);
}
