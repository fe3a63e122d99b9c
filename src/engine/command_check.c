/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine lays before the guard: who asks, what the plant is like at this moment. */
#include "engine/internal.h"

#include "base/clock.h"
#include "guard/session.h"
#include "tag/conduit.h"
#include "tag/status.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define FRESH_NS                                                                                   \
    (10 * NS_PER_S) /* a value counts as known for so long, or for three periods of its device */

/* "user:anna", "token:mes"; the name of a local session says already what it is. */
static void name_caller(struct guard_caller *caller, const struct session *s)
{
    const char *prefix = s->kind == SESSION_PERSON || s->kind == SESSION_VOUCHED ? "user:"
                         : s->kind == SESSION_TOKEN                              ? "token:"
                                                                                 : "";
    snprintf(caller->name, sizeof caller->name, "%s%.*s", prefix,
             (int)(sizeof caller->name - 1 - strlen(prefix)), s->name);
    snprintf(caller->role, sizeof caller->role, "%s", role_name(s->role) ? role_name(s->role) : "");
}

static const char *zone_name(const struct plan *p, uint32_t zone)
{
    return plan_text(p, p->zones[zone].name);
}

/* Whether callers of the box reach the tag. A clock that is set back opens no conduit again. */
static bool conduits_let(struct engine *e, uint32_t box, const struct plan_tag *tag,
                         enum conduit_act act, char *why)
{
    const struct plan *p = &e->g->plan;
    struct commands *k = &e->commands;
    k->latest_utc_ns = e->utc_ns > k->latest_utc_ns ? e->utc_ns : k->latest_utc_ns;
    if (box == PLAN_NONE || conduit_lets(p, p->boxes[box].zone, tag, act, k->latest_utc_ns, NULL)) {
        return true;
    }
    snprintf(why, GUARD_REASON_SIZE, "no conduit lets callers in the zone %.40s %s this in %.40s",
             zone_name(p, p->boxes[box].zone), act == CONDUIT_READ ? "read" : "command",
             zone_name(p, tag->zone));
    return false;
}

static bool acts_on_switch(uint32_t act)
{
    return act == COMMAND_INHIBIT || act == COMMAND_ALLOW || act == COMMAND_ISLAND ||
           act == COMMAND_JOIN;
}

bool command_caller(struct engine *e, struct inlet *in, const struct record_command *w,
                    uint32_t tag_id, struct guard_caller *caller, char *why)
{
    static const uint8_t none[16];
    struct session session;
    const struct plan_tag *tag = tag_id ? plan_find_tag(&e->g->plan, tag_id) : NULL;
    bool looks = w->act == COMMAND_LOOK;
    *caller = (struct guard_caller){.name = ""};
    if (!memcmp(w->session, none, sizeof none)) {
        snprintf(caller->name, sizeof caller->name, "service:%.39s", in->seat->name);
        snprintf(why, GUARD_REASON_SIZE, "sign in first: a service may not do that");
        return !acts_on_switch(w->act) &&
               (!tag || conduits_let(e, in->box, tag, looks ? CONDUIT_READ : CONDUIT_COMMAND, why));
    }
    if (!session_find(&e->g->identity->sessions, w->session, in->box, e->mono_ns, &session)) {
        snprintf(why, GUARD_REASON_SIZE, "the session has ended: sign in again");
        return false;
    }
    name_caller(caller, &session);
    bool looks_at_switch = w->act == COMMAND_INHIBITED || w->act == COMMAND_ISLANDED;
    enum right needed = w->act == COMMAND_LOOK || looks_at_switch               ? RIGHT_READ
                        : acts_on_switch(w->act)                                ? RIGHT_INHIBIT
                        : w->act == COMMAND_APPROVE || w->act == COMMAND_REJECT ? RIGHT_APPROVE
                                                                                : RIGHT_COMMAND;
    if (!role_may(session.role, needed)) {
        snprintf(why, GUARD_REASON_SIZE, "the role %s may not do that", caller->role);
        return false;
    }
    if (tag && !session_in_zone(&session, tag->zone)) {
        snprintf(why, GUARD_REASON_SIZE, "your account does not reach into the zone %.60s",
                 zone_name(&e->g->plan, tag->zone));
        return false;
    }
    return !tag || conduits_let(e, in->box, tag, looks ? CONDUIT_READ : CONDUIT_COMMAND, why);
}

bool command_known_value(struct engine *e, struct tag_state *t, double *number)
{
    struct now_value now;
    const struct plan_tag *tag = t->tag;
    int64_t fresh = FRESH_NS;
    if (tag->device != PLAN_NONE) {
        int64_t periods = e->g->plan.devices[tag->device].period_ms * 3 * NS_PER_MS;
        fresh = periods > fresh ? periods : fresh;
    }
    if (value_is_long((enum value_type)tag->type) || now_read(t->zone, tag, &now) != ERR_OK ||
        status_severity(now.slot.status) != SEVERITY_GOOD || !t->seen_ns ||
        e->mono_ns - t->seen_ns > fresh) {
        return false;
    }
    *number = value_as_double((enum value_type)tag->type, now.slot.value);
    return true;
}

struct guard_tag *command_memory(struct commands *k, uint32_t tag)
{
    uint32_t low = 0, high = k->memory_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (k->memory[middle].tag < tag) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < k->memory_count && k->memory[low].tag == tag ? k->memory + low : NULL;
}

void command_receipt(struct engine *e, struct command *c, const struct record_command *w)
{
    struct record_receipt *r = &c->receipt;
    *r = (struct record_receipt){.tag = w->tag,
                                 .type = w->type,
                                 .value = w->value,
                                 .act = w->act,
                                 .asked_ns = e->utc_ns,
                                 .changed_ns = e->utc_ns};
    memcpy(r->id, w->id, sizeof r->id);
    snprintf(r->who, sizeof r->who, "%s", c->caller.name);
    snprintf(c->wish, sizeof c->wish, "%.*s", (int)sizeof w->reason, w->reason);
    c->contract = c->tag ? plan_find_write(&e->g->plan, w->tag) : NULL;
    c->memory = command_memory(&e->commands, w->tag);
}

bool command_writes_allowed(struct engine *e, char *why)
{
    if (!e->audit || audit_failed(e->audit)) {
        snprintf(why, GUARD_REASON_SIZE, "the audit can't be written, so nothing may be");
        return false;
    }
    return inhibit_lets(e, why);
}

static bool is_present(struct engine *e, const struct plan_write *contract)
{
    double number = 0;
    struct tag_state *t = contract->presence ? engine_tag(e, contract->presence) : NULL;
    return !contract->presence || (t && command_known_value(e, t, &number) && number != 0);
}

static void read_for_permissive(void *context, uint32_t id, struct expr_value *out)
{
    struct engine *e = context;
    struct tag_state *t = engine_tag(e, id);
    struct now_value now;
    *out = (struct expr_value){.none = true};
    if (t && t->seen_ns && !value_is_long((enum value_type)t->tag->type) &&
        now_read(t->zone, t->tag, &now) == ERR_OK) {
        enum status_severity severity = status_severity(now.slot.status);
        *out = (struct expr_value){
            .good = severity == SEVERITY_GOOD,
            .uncertain = severity == SEVERITY_UNCERTAIN,
            .number = value_as_double((enum value_type)t->tag->type, now.slot.value),
            .age_ns = e->mono_ns - t->seen_ns};
    }
}

static bool permissive_lets(struct engine *e, const struct plan_write *contract, char *why)
{
    const struct plan *p = &e->g->plan;
    const struct expr *x = e->commands.permissives + (contract - p->writes);
    const struct expr_reader reader = {.context = e, .read = read_for_permissive};
    char part[120];
    if (!x->head || expr_holds(x, &reader) == EXPR_TRUE) {
        return true;
    }
    expr_explain(x, plan_text(p, contract->permissive), &reader, part, sizeof part);
    snprintf(why, GUARD_REASON_SIZE, "the permissive is not met: %s", part);
    return false;
}

static bool ask_guard(struct engine *e, const struct command *c, const struct guard_tag *memory,
                      char *why)
{
    struct tm local;
    time_t seconds = (time_t)(e->utc_ns / NS_PER_S);
    struct guard_ask ask = {.plan = &e->g->plan,
                            .contract = c->contract,
                            .tag = c->tag ? c->tag->tag : NULL,
                            .caller = &c->caller,
                            .memory = memory,
                            .type = c->receipt.type,
                            .value = c->receipt.value,
                            .mono_ns = e->mono_ns};
    if (c->contract && c->contract->hour_count && localtime_r(&seconds, &local)) {
        ask.weekday = (uint32_t)(local.tm_wday + 6) % 7;
        ask.minute = (uint32_t)(local.tm_hour * 60 + local.tm_min);
    }
    ask.present = !c->contract || is_present(e, c->contract);
    ask.has_now = c->tag && command_known_value(e, c->tag, &ask.now);
    return command_writes_allowed(e, why) && guard_lets(&ask, why) &&
           permissive_lets(e, c->contract, why);
}

bool command_lets(struct engine *e, struct command *c, char *why)
{
    union slot_value effective;
    if (!ask_guard(e, c, c->memory, why) ||
        !guard_raw(c->tag->tag, c->receipt.value, &c->raw, &effective, why)) {
        return false;
    }
    c->receipt.value = effective;
    struct now_value now; /* only now: who may not write it may not be told what it is either */
    if (now_read(c->tag->zone, c->tag->tag, &now) == ERR_OK && !now.slot.status) {
        c->receipt.has_before = 1;
        c->receipt.before = now.slot.value;
    }
    return true;
}

bool command_still_lets(struct engine *e, const struct command *c, char *why)
{
    static const struct guard_tag nothing_written;
    return conduits_let(e, c->box, c->tag->tag, CONDUIT_COMMAND, why) &&
           ask_guard(e, c, &nothing_written, why);
}
