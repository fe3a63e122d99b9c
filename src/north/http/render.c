/* SPDX-License-Identifier: Apache-2.0 */
/* What a value looks like outside: DESIGN section 4. */
#include "north/http/http.h"

#include "tag/status.h"

void render_wide(struct json *j, const char *key, uint64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    json_pair_text(j, key, text);
}

/* What comes out of the history has no place in the journal any more. */
static void pair_place(struct json *j, const struct answer *run)
{
    if (!run->epoch) {
        return;
    }
    render_wide(j, "epoch", run->epoch);
    render_wide(j, "seq", run->first_sequence);
}

void render_value(struct json *j, const struct plan_tag *tag, const struct slot *s)
{
    if (status_severity(s->status) == SEVERITY_BAD) {
        json_nil(j);
    } else if (tag->type == VALUE_TEXT) {
        json_text_n(j, (const char *)slot_payload(s), slot_is_long(s) ? (size_t)s->value.u64 : 0);
    } else if (tag->type == VALUE_BYTES) {
        json_base64(j, slot_payload(s), slot_is_long(s) ? (size_t)s->value.u64 : 0);
    } else {
        char text[VALUE_TEXT_SIZE];
        size_t n = value_json((enum value_type)tag->type, s->value, text);
        json_raw(j, text, n);
    }
}

void render_sample(struct json *j, const struct plan *plan, const struct plan_tag *tag,
                   const struct answer *run, const struct slot *s)
{
    json_open(j, '{');
    json_pair_text(j, "tag", plan_text(plan, tag->path));
    json_key(j, "value");
    render_value(j, tag, s);
    json_pair_text(j, "status", status_name(s->status));
    json_pair_uint(j, "code", s->status);
    json_pair_time(j, "time", s->time);
    pair_place(j, run);
    if (run->flags & ANSWER_BACKLOG) {
        json_pair_bool(j, "backlog", true);
    }
    json_close(j, '}');
}

const char *render_effect(const struct plan_feed *f)
{
    static const char *const effects[] = {[FEED_TRIAL] = "trial",
                                          [FEED_SIGNED] = "signed",
                                          [FEED_PARTLY] = "partly",
                                          [FEED_UNSIGNED] = "unsigned"};
    return effects[f->effect];
}

void render_scope(struct json *j, const struct plan *plan, uint32_t scope, uint32_t which)
{
    const struct plan_tag *tag;
    switch (scope) {
    case GAP_TAG:
        tag = plan_find_tag(plan, which);
        json_pair_text(j, "tag", tag ? plan_text(plan, tag->path) : "");
        break;
    case GAP_DEVICE:
        json_pair_text(
            j, "device",
            which < plan->header->devices.count ? plan_text(plan, plan->devices[which].name) : "");
        break;
    case GAP_BOX:
        json_pair_text(j, "box",
                       which < plan->header->boxes.count ? plan_text(plan, plan->boxes[which].name)
                                                         : "");
        break;
    default:
        json_pair_text(j, "scope", "all");
    }
}

static void render_gap(struct json *j, const struct plan *plan, const struct slot *s)
{
    struct record_gap gap;
    memcpy(&gap, slot_payload(s), sizeof gap);
    json_pair_text(j, "gap", gap_cause_name(gap.cause));
    render_scope(j, plan, gap.scope, gap.which);
    json_pair_time(j, "from", gap.from_ns);
    json_pair_time(j, "to", gap.to_ns);
    json_pair_uint(j, "produced", gap.produced);
    json_pair_uint(j, "missed", gap.missed);
}

static void render_event(struct json *j, const struct plan *plan, const struct slot *s)
{
    struct record_event event;
    memcpy(&event, slot_payload(s), sizeof event);
    json_pair_text(j, "event", event_name(s->status));
    if (event.box < plan->header->boxes.count) {
        json_pair_text(j, "box", plan_text(plan, plan->boxes[event.box].name));
    }
    if (event.device < plan->header->devices.count) {
        json_pair_text(j, "device", plan_text(plan, plan->devices[event.device].name));
    }
    json_key(j, "text");
    json_text_n(j, event.text, strnlen(event.text, sizeof event.text));
}

void render_record(struct json *j, const struct plan *plan, const struct answer *run,
                   const struct slot *s)
{
    if (!slot_is_control(s)) {
        const struct plan_tag *tag = plan_find_tag(plan, slot_id(s));
        if (tag) {
            render_sample(j, plan, tag, run, s);
        }
        return;
    }
    bool gap = record_kind(s) == RECORD_GAP && s->value.u64 == sizeof(struct record_gap);
    bool event = record_kind(s) == RECORD_EVENT && s->value.u64 == sizeof(struct record_event);
    if (!gap && !event) {
        return;
    }
    json_open(j, '{');
    if (gap) {
        render_gap(j, plan, s);
    } else {
        render_event(j, plan, s);
    }
    json_pair_time(j, "time", s->time);
    pair_place(j, run);
    json_close(j, '}');
}

void render_skip(struct json *j, const char *why, uint64_t from, uint64_t to, uint64_t records)
{
    json_open(j, '{');
    json_pair_text(j, "skipped", why);
    json_pair_uint(j, "records", records);
    render_wide(j, "from_seq", from);
    render_wide(j, "to_seq", to);
    json_close(j, '}');
}
