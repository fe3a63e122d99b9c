/* SPDX-License-Identifier: Apache-2.0 */
/* Who took what from where: each value that is put into a service's ring is counted for the zone of its tag, a stretch of
 * values of one zone at a time. What the engine let through or refused it counts by itself (box/board.h). */
#include "reader/core.h"

#include <stdlib.h>

int flows_init(struct reader_core *core)
{
    const struct plan *p = core->plan;
    uint32_t zones = p->header->zones.count, services = 0;
    for (uint32_t i = 0; i < p->header->boxes.count; i++) {
        services += p->boxes[i].kind == BOX_NORTH;
    }
    uint32_t most = zones ? FLOWS_MAX / zones : 0;
    core->flow_count = (services < most ? services : most) * zones;
    core->zone_end = p->header->tags.count ? p->tags[p->header->tags.count - 1].id + 1 : 0;
    core->flows = calloc(core->flow_count + 1, sizeof *core->flows);
    core->zone_of = calloc(core->zone_end + 1, sizeof *core->zone_of);
    if (!core->flows || !core->zone_of) {
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < p->header->tags.count; i++) {
        core->zone_of[p->tags[i].id] = (uint16_t)p->tags[i].zone;
    }
    for (uint32_t b = 0, at = 0; b < p->header->boxes.count && at < core->flow_count; b++) {
        for (uint32_t z = 0; p->boxes[b].kind == BOX_NORTH && z < zones; z++) {
            core->flows[at++] = (struct flow){.box = b, .zone = z};
        }
    }
    return ERR_OK;
}

void flows_fini(struct reader_core *core)
{
    free(core->flows);
    free(core->zone_of);
}

void flows_attach(struct reader_core *core, struct link *link)
{
    uint32_t zones = core->plan->header->zones.count;
    for (uint32_t i = 0; i < core->flow_count; i += zones) {
        link->flows = core->flows[i].box == link->box ? core->flows + i : link->flows;
    }
}

static void add_values(struct link *link, uint32_t zone, uint64_t values)
{
    if (values) {
        flow_now(link->flows + zone, link->core->utc_ns)->values += values;
    }
}

void flows_samples(struct link *link, const struct slot *slots, size_t count)
{
    const struct reader_core *core = link->core;
    uint64_t values = 0;
    uint32_t zone = 0;
    for (size_t i = 0; link->flows && i < count;) {
        const struct slot *s = slots + i;
        uint32_t id = slot_is_control(s) ? core->zone_end : slot_id(s);
        if (id < core->zone_end && core->zone_of[id] != zone) {
            add_values(link, zone, values);
            zone = core->zone_of[id];
            values = 0;
        }
        values += id < core->zone_end;
        i += slot_is_long(s) ? slot_record_length(s) : 1;
    }
    add_values(link, zone, values);
}

static struct flow_hour *hour_for(struct link *link, uint32_t tag)
{
    const struct reader_core *core = link->core;
    return link->flows && plan_find_tag(core->plan, tag)
               ? flow_now(link->flows + core->zone_of[tag], core->utc_ns)
               : NULL;
}

void flows_values(struct link *link, uint32_t tag, uint64_t count)
{
    struct flow_hour *h = hour_for(link, tag);
    if (h) {
        h->values += count;
    }
}

void flows_refused(struct link *link, uint32_t tag)
{
    struct flow_hour *h = hour_for(link, tag);
    if (h) {
        h->reads_refused++;
    }
}

/* A query is not followed into what it reads: it counts for each zone in which it could have seen something. */
void flows_query(struct link *link, const struct filter *scope)
{
    const struct plan *p = link->core->plan;
    for (uint32_t z = 0; link->flows && z < p->header->zones.count; z++) {
        bool seen = false;
        for (uint32_t i = 0; !seen && i < p->header->tags.count; i++) {
            seen = p->tags[i].zone == z && filter_has_tag(scope, p->tags[i].id);
        }
        if (seen) {
            flow_now(link->flows + z, link->core->utc_ns)->queries++;
        }
    }
}

void flows_step(struct reader_core *core)
{
    for (uint32_t i = 0; i < core->flow_count; i++) {
        struct flow *f = core->flows + i;
        const struct traffic *t =
            core->g->traffic + (size_t)f->box * core->plan->header->zones.count + f->zone;
        flow_commands(f, atomic_load_explicit(&t->allowed, memory_order_relaxed),
                      atomic_load_explicit(&t->refused, memory_order_relaxed), core->utc_ns);
    }
}

/* Of services that are not the asker's own only those that show everything hear; of zones only what the session reaches. */
static bool is_shown(const struct link *link, const struct request *r, const struct flow *f)
{
    bool shown = link->scope.all || f->box == link->box;
    if (shown && r->narrow) {
        shown = false;
        for (uint32_t i = 0; i < r->narrow->zone_count; i++) {
            shown |= r->narrow->zones[i] == f->zone;
        }
    }
    return shown;
}

void answer_flows(struct reader_core *core, struct link *link, struct request *r)
{
    uint32_t now = (uint32_t)(core->utc_ns / (3600 * NS_PER_S));
    for (; r->at < core->flow_count; r->at++) {
        const struct flow *f = core->flows + r->at;
        struct answer_flow row = {.box = f->box, .zone = f->zone};
        bool any = false;
        for (uint32_t h = 0; h < FLOW_HOURS; h++) {
            if (f->hours[h].hour + FLOW_HOURS > now && f->hours[h].hour <= now) {
                row.hours[h] = f->hours[h];
                any = true;
            }
        }
        if (any && is_shown(link, r, f) && !link_row(link, core, r, &row, sizeof row)) {
            return;
        }
    }
    link_end(link, core, r, ERR_OK, (struct cursor_range){0}, false);
}
