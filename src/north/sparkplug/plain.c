/* SPDX-License-Identifier: Apache-2.0 */
/* Messages in plain JSON: values by template, gaps, markers. */
#include "north/sparkplug/sparkplug.h"

#include "tag/status.h"

#include <string.h>

static void put_value(struct json *j, enum value_type type, const struct slot *s)
{
    char text[VALUE_TEXT_SIZE];
    if (status_severity(s->status) == SEVERITY_BAD) {
        json_nil(j);
    } else if (type == VALUE_TEXT) {
        json_text_n(j, (const char *)slot_payload(s), (size_t)s->value.u64);
    } else if (type == VALUE_BYTES) {
        json_base64(j, slot_payload(s), (size_t)s->value.u64);
    } else {
        json_raw(j, text, value_json(type, s->value, text));
    }
}

bool plain_sample(struct node *n, const struct node_tag *tag, const struct slot *slots,
                  const struct entry *entry)
{
    struct json *j = &n->json;
    json_clear(j);
    json_open(j, '{');
    json_key(j, "value");
    put_value(j, tag->shape.type, slots);
    json_pair_time(j, "time", slots->time);
    json_pair_text(j, "status", status_name(slots->status));
    json_pair_uint(j, "epoch", entry->epoch);
    json_pair_uint(j, "seq", entry->sequence);
    if (entry->historical) {
        json_pair_bool(j, "historical", true);
    }
    json_close(j, '}');
    return !j->bad;
}

/* What a gap is about, in the words of the plan. */
static void put_scope(struct json *j, const struct plan *plan, const struct record_gap *g)
{
    const struct plan_tag *tag;
    switch (g->scope) {
    case GAP_TAG:
        tag = plan_find_tag(plan, g->which);
        json_pair_text(j, "tag", tag ? plan_text(plan, tag->path) : "");
        break;
    case GAP_DEVICE:
        json_pair_text(j, "device",
                       g->which < plan->header->devices.count
                           ? plan_text(plan, plan->devices[g->which].name)
                           : "");
        break;
    case GAP_BOX:
        json_pair_uint(j, "box", g->which);
        break;
    default:
        json_pair_bool(j, "all", true);
    }
}

bool plain_gap(struct node *n, const struct node_feed *feed, const struct slot *slots,
               const struct entry *entry)
{
    struct json *j = &n->json;
    struct record_gap gap = {0};
    size_t size = (size_t)slots->value.u64;
    memcpy(&gap, slot_payload(slots), size < sizeof gap ? size : sizeof gap);
    json_clear(j);
    json_open(j, '{');
    json_pair_text(j, "feed", feed->name);
    put_scope(j, n->plan, &gap);
    json_pair_text(j, "cause", gap_cause_name(gap.cause));
    json_pair_time(j, "from", gap.from_ns);
    json_pair_time(j, "to", gap.to_ns);
    json_pair_uint(j, "produced", gap.produced);
    json_pair_uint(j, "missed", gap.missed);
    json_pair_time(j, "noted", slots->time);
    json_pair_uint(j, "epoch", entry->epoch);
    json_pair_uint(j, "seq", entry->sequence);
    json_close(j, '}');
    return !j->bad;
}

bool plain_marker(struct node *n, const struct node_feed *feed, struct cursor_range covers)
{
    struct json *j = &n->json;
    json_clear(j);
    json_open(j, '{');
    json_pair_text(j, "feed", feed->name);
    json_pair_uint(j, "from", covers.from);
    json_pair_uint(j, "to", covers.to);
    json_close(j, '}');
    return !j->bad;
}

bool plain_online(struct node *n, bool online)
{
    json_clear(&n->json);
    json_open(&n->json, '{');
    json_pair_bool(&n->json, "online", online);
    json_close(&n->json, '}');
    return !n->json.bad;
}
