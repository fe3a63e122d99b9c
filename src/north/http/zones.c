/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/zones: the picture of zones and conduits: what lies where, which ways there are, and what really flowed on them in the
 * last day. Who is limited to zones sees those. */
#include "north/http/http.h"

#include "base/clock.h"

#include <stdlib.h>

#define HOUR_NS (3600 * NS_PER_S)

static bool shows_zone(const struct request *r, uint32_t zone)
{
    bool shown = !r->zone_limit;
    for (uint32_t i = 0; !shown && i < r->zone_count && i < SESSION_ZONES; i++) {
        shown = r->zones[i] == zone;
    }
    return shown;
}

static const char *name_of(const struct request *r, plan_str name)
{
    return plan_text(r->http->plan, name);
}

static void pair_zone(struct request *r, const char *key, uint32_t zone)
{
    const struct plan *p = r->http->plan;
    if (zone < p->header->zones.count) {
        json_pair_text(&r->body, key, name_of(r, p->zones[zone].name));
    } else {
        json_key(&r->body, key);
        json_nil(&r->body);
    }
}

/* ---- What flowed ---- */

static void put_figures(struct json *j, const struct flow_hour *h)
{
    json_pair_uint(j, "values", h->values);
    json_pair_uint(j, "queries", h->queries);
    json_pair_uint(j, "reads_refused", h->reads_refused);
    json_pair_uint(j, "commands_allowed", h->allowed);
    json_pair_uint(j, "commands_refused", h->refused);
}

static int by_hour(const void *a, const void *b)
{
    const struct flow_hour *x = a, *y = b;
    return x->hour < y->hour ? -1 : x->hour > y->hour;
}

static void row_flow(void *context, const void *row, size_t size)
{
    struct request *r = context;
    const struct plan *p = r->http->plan;
    struct answer_flow a;
    struct flow_hour sum = {0};
    struct json *j = &r->body;
    if (size < sizeof a) {
        return;
    }
    memcpy(&a, row, sizeof a);
    if (a.box >= p->header->boxes.count || a.zone >= p->header->zones.count) {
        return;
    }
    qsort(a.hours, FLOW_HOURS, sizeof *a.hours, by_hour);
    for (uint32_t i = 0; i < FLOW_HOURS; i++) {
        sum.values += a.hours[i].values;
        sum.queries += a.hours[i].queries;
        sum.reads_refused += a.hours[i].reads_refused;
        sum.allowed += a.hours[i].allowed;
        sum.refused += a.hours[i].refused;
    }
    json_open(j, '{');
    json_pair_text(j, "service", name_of(r, p->boxes[a.box].name));
    pair_zone(r, "from", p->boxes[a.box].zone);
    pair_zone(r, "to", a.zone);
    put_figures(j, &sum);
    list_begin(r, "hours");
    for (uint32_t i = 0; i < FLOW_HOURS; i++) {
        if (a.hours[i].hour) {
            json_open(j, '{');
            json_pair_time(j, "hour", (int64_t)a.hours[i].hour * HOUR_NS);
            put_figures(j, a.hours + i);
            json_close(j, '}');
        }
    }
    json_close(j, ']');
    json_close(j, '}');
    request_grown(r);
}

/* ---- What there is ---- */

static void put_zone(struct request *r, uint32_t zone)
{
    const struct plan *p = r->http->plan;
    struct json *j = &r->body;
    uint32_t tags = 0;
    json_open(j, '{');
    pair_zone(r, "zone", zone);
    for (uint32_t i = 0; i < p->header->tags.count; i++) {
        tags += p->tags[i].zone == zone;
    }
    json_pair_uint(j, "tags", tags);
    list_begin(r, "devices");
    for (uint32_t i = 0; i < p->header->devices.count; i++) {
        const struct plan_device *d = p->devices + i;
        if (d->zone == zone && !d->blanked) {
            json_text(j, name_of(r, d->name));
        }
    }
    json_close(j, ']');
    list_begin(r, "services");
    for (uint32_t i = 0; i < p->header->boxes.count; i++) {
        const struct plan_box *b = p->boxes + i;
        if (b->kind == BOX_NORTH && b->zone == zone) {
            json_text(j, name_of(r, b->name));
        }
    }
    json_close(j, ']');
    json_close(j, '}');
}

static void put_conduit(struct request *r, const struct plan_conduit *c)
{
    const struct plan *p = r->http->plan;
    struct json *j = &r->body;
    json_open(j, '{');
    json_pair_text(j, "conduit", name_of(r, c->name));
    pair_zone(r, "from", c->from);
    pair_zone(r, "to", c->to);
    json_pair_bool(j, "read", (c->acts & CONDUIT_READ) != 0);
    json_pair_bool(j, "command", (c->acts & CONDUIT_COMMAND) != 0);
    json_pair_bool(j, "all_tags", !c->glob_count);
    list_begin(r, "tags");
    for (uint32_t i = 0; i < c->glob_count; i++) {
        const char *glob = name_of(r, p->options[c->first_glob + i].value);
        if (*glob) { /* of another zone's conduit it is not told */
            json_text(j, glob);
        }
    }
    json_close(j, ']');
    json_pair_bool(j, "open", !c->until_ns || clock_utc_ns() < c->until_ns);
    if (c->until_ns) {
        json_pair_time(j, "until", c->until_ns);
    }
    json_pair_text(j, "place", name_of(r, c->place));
    json_close(j, '}');
}

static void end_flows(void *context, const struct answer *end)
{
    struct request *r = context;
    const struct plan *p = r->http->plan;
    json_close(&r->body, ']');
    list_begin(r, "zones");
    for (uint32_t i = 0; i < p->header->zones.count; i++) {
        if (shows_zone(r, i)) {
            put_zone(r, i);
        }
    }
    json_close(&r->body, ']');
    list_begin(r, "conduits");
    for (uint32_t i = 0; i < p->header->conduits.count; i++) {
        const struct plan_conduit *c = p->conduits + i;
        if (shows_zone(r, c->to) || shows_zone(r, c->from)) {
            put_conduit(r, c);
        }
    }
    json_close(&r->body, ']');
    request_grown(r);
    list_finish(r, end);
}

void zones_begin(struct request *r)
{
    struct ask ask = {.kind = ASK_FLOWS};
    list_open(r, "flows");
    request_ask(r, &ask, &(struct answer_handler){.row = row_flow, .end = end_flows, .context = r});
}
