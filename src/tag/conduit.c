/* SPDX-License-Identifier: Apache-2.0 */
#include "tag/conduit.h"

#include "tag/glob.h"

static bool is_open(const struct plan_conduit *c, int64_t utc_ns)
{
    return !c->until_ns || utc_ns < c->until_ns;
}

static bool leads(const struct plan_conduit *c, uint32_t from, uint32_t to, enum conduit_act act,
                  int64_t utc_ns)
{
    return c->from == from && c->to == to && (c->acts & (uint32_t)act) && is_open(c, utc_ns);
}

static bool names(const struct plan *plan, const struct plan_conduit *c, const char *path)
{
    bool named = !c->glob_count;
    for (uint32_t i = 0; !named && i < c->glob_count; i++) {
        named = glob_matches(plan_text(plan, plan->options[c->first_glob + i].value), path);
    }
    return named;
}

bool conduit_lets(const struct plan *plan, uint32_t zone, const struct plan_tag *tag,
                  enum conduit_act act, int64_t utc_ns, const struct plan_conduit **by)
{
    const struct plan_conduit *found = NULL;
    bool same = zone == PLAN_NONE || zone == tag->zone;
    for (uint32_t i = 0; !same && !found && i < plan->header->conduits.count; i++) {
        const struct plan_conduit *c = plan->conduits + i;
        if (leads(c, zone, tag->zone, act, utc_ns) && names(plan, c, plan_text(plan, tag->path))) {
            found = c;
        }
    }
    if (by) {
        *by = found;
    }
    return same || found;
}

bool conduit_reaches(const struct plan *plan, uint32_t zone, uint32_t to, enum conduit_act act,
                     int64_t utc_ns)
{
    bool reached = zone == PLAN_NONE || zone == to;
    for (uint32_t i = 0; !reached && i < plan->header->conduits.count; i++) {
        reached = leads(plan->conduits + i, zone, to, act, utc_ns);
    }
    return reached;
}

int64_t conduit_next_end(const struct plan *plan, int64_t utc_ns)
{
    int64_t next = INT64_MAX;
    for (uint32_t i = 0; i < plan->header->conduits.count; i++) {
        int64_t until = plan->conduits[i].until_ns;
        next = until > utc_ns && until < next ? until : next;
    }
    return next;
}
