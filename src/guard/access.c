/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/access.h"

#include "guard/contract.h"
#include "tag/conduit.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct asking {
    const struct plan *plan;
    const struct access_who *who;
    const struct plan_box *box;
    const struct plan_tag *tag;
    int64_t utc_ns;
    struct access_answer *out;
};

static bool tell(const struct asking *a, bool allowed, const char *place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static bool tell(const struct asking *a, bool allowed, const char *place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(a->out->why, sizeof a->out->why, format, args);
    va_end(args);
    a->out->allowed = allowed;
    a->out->place = place;
    return allowed;
}

static const char *text(const struct asking *a, plan_str s)
{
    return plan_text(a->plan, s);
}

static const char *option(const struct asking *a, const char *key)
{
    const char *value = plan_option(a->plan, a->box->first_option, a->box->option_count, key);
    return value ? value : "";
}

static const char *zone_name(const struct asking *a, uint32_t zone)
{
    return text(a, a->plan->zones[zone].name);
}

static bool is_local(const struct asking *a)
{
    return a->box->zone == PLAN_NONE;
}

/* Through this service, in person or not, with this right. */
static bool person_lets(const struct asking *a, enum right right)
{
    const struct access_who *w = a->who;
    const char *service = text(a, a->box->name), *place = text(a, a->box->place);
    if (w->local && !is_local(a)) {
        return tell(a, false, "", "local callers come by the gateway's own socket only");
    }
    if (!w->role) {
        return strcmp(w->caller.name + strlen("service:"), service) == 0 ||
               tell(a, false, "", "%s asks through itself only", w->caller.name);
    }
    if (strcmp(text(a, a->box->module), "http") != 0) {
        return tell(a, false, place, "nobody signs in to %s: what comes through it is service:%s",
                    service, service);
    }
    if (!role_may(w->role, right)) {
        return tell(a, false, "", "the role %s may not do that", role_name(w->role));
    }
    if (!session_in_zone(&w->zones, a->tag->zone)) {
        return tell(a, false, "", "the account does not reach into the zone %s",
                    zone_name(a, a->tag->zone));
    }
    return tell(a, true, place, "the role %s may", role_name(w->role));
}

/* Last, for it names what lets it. */
static bool conduit_tells(const struct asking *a, enum conduit_act act)
{
    const struct plan_conduit *by;
    const char *service = text(a, a->box->name);
    if (!conduit_lets(a->plan, a->box->zone, a->tag, act, a->utc_ns, &by)) {
        return tell(a, false, text(a, a->box->place),
                    "no conduit leads from the zone %s, in which %s lies, to this in %s",
                    zone_name(a, a->box->zone), service, zone_name(a, a->tag->zone));
    }
    if (by) {
        return tell(a, true, text(a, by->place), "the conduit %s leads from the zone %s to %s",
                    text(a, by->name), zone_name(a, by->from), zone_name(a, by->to));
    }
    return is_local(a)
               ? tell(a, true, "", "the gateway's own socket reaches every zone")
               : tell(a, true, text(a, a->box->place), "%s lies in the zone %s, as the tag does",
                      service, zone_name(a, a->tag->zone));
}

/* The contract by which the service delivers the tag; NULL: none. */
static const struct plan_feed *feed_of(const struct asking *a)
{
    for (uint32_t i = 0; i < a->plan->header->feeds.count; i++) {
        const struct plan_feed *f = a->plan->feeds + i;
        for (uint32_t k = 0; a->plan->boxes + f->box == a->box && k < f->tag_count; k++) {
            if (a->plan->feed_tags[f->first_tag + k] == a->tag->id) {
                return f;
            }
        }
    }
    return NULL;
}

static bool explain_read(const struct asking *a)
{
    const char *place = text(a, a->box->place);
    bool all = !strcmp(option(a, "scope"), "all");
    bool open = !is_local(a) && strcmp(option(a, "access"), "signed_in") != 0;
    const struct plan_feed *feed = all ? NULL : feed_of(a);
    if (!all && !feed) {
        return tell(a, false, place, "no contract names the tag for %s", text(a, a->box->name));
    }
    if (feed && !a->who->role) {
        return person_lets(a, RIGHT_READ) && conduit_tells(a, CONDUIT_READ) &&
               tell(a, true, place, "the contract %s names it", text(a, feed->name));
    }
    if (!open && !a->who->role) {
        return tell(a, false, place, "%s shows nothing to whoever has not signed in",
                    text(a, a->box->name));
    }
    if (open && !a->who->local) { /* whoever reaches it, with an account or not */
        return conduit_tells(a, CONDUIT_READ);
    }
    return person_lets(a, RIGHT_READ) && conduit_tells(a, CONDUIT_READ);
}

static bool explain_write(const struct asking *a, bool approve)
{
    const struct plan_write *c = plan_find_write(a->plan, a->tag->id);
    if (!c) {
        return tell(a, false, "", "no write contract allows it: tags are read-only");
    }
    const char *name = text(a, c->name), *place = text(a, c->place);
    if (approve && !c->approval_ms) {
        return tell(a, false, place, "the contract %s asks for no approval", name);
    }
    if (approve && !a->who->role) {
        return tell(a, false, "", "only a person or a machine that has signed in approves");
    }
    if (!person_lets(a, approve ? RIGHT_APPROVE : RIGHT_COMMAND) ||
        !conduit_tells(a, CONDUIT_COMMAND)) {
        return false;
    }
    if (!guard_names(a->plan, c, approve ? "approver" : "caller", &a->who->caller)) {
        return tell(a, false, place, "the contract %s does not name %s%s%s", name,
                    a->who->caller.name, *a->who->caller.role ? " nor role:" : "",
                    a->who->caller.role);
    }
    return tell(a, true, place, "the contract %s names %s", name, a->who->caller.name);
}

void access_explain(const struct plan *plan, const struct access_who *who, uint32_t box,
                    const struct plan_tag *tag, enum access_act act, int64_t utc_ns,
                    struct access_answer *out)
{
    const struct asking a = {.plan = plan,
                             .who = who,
                             .box = plan->boxes + box,
                             .tag = tag,
                             .utc_ns = utc_ns,
                             .out = out};
    if (act == ACCESS_READ) {
        explain_read(&a);
    } else {
        explain_write(&a, act == ACCESS_APPROVE);
    }
}

/* ---- What a contract asks for ---- */

struct listing {
    char *out;
    size_t size, used;
};

static void add(struct listing *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct listing *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (l->used && l->used + 2 < l->size) {
        l->used += (size_t)snprintf(l->out + l->used, l->size - l->used, ", ");
    }
    int n = vsnprintf(l->out + l->used, l->size - l->used, format, args);
    va_end(args);
    l->used = n < 0 ? l->used : l->used + (size_t)n < l->size ? l->used + (size_t)n : l->size - 1;
}

void access_conditions(const struct plan *plan, const struct plan_write *c,
                       const struct plan_tag *tag, char *out, size_t size)
{
    struct listing l = {out, size, 0};
    const char *unit = plan_text(plan, tag->unit);
    const struct plan_tag *presence = plan_find_tag(plan, c->presence);
    const struct plan_tag *heartbeat = plan_find_tag(plan, c->heartbeat);
    double low, high;
    *out = 0;
    guard_range(c, tag, &low, &high);
    if (isfinite(low) || isfinite(high)) {
        add(&l, "%.10g to %.10g%s%s", low, high, *unit ? " " : "", unit);
    }
    if (c->step > 0) {
        add(&l, "at most %.10g at once", c->step);
    }
    if (c->rate_count) {
        add(&l, "%u in %g s", c->rate_count, c->rate_ms / 1000.0);
    }
    if (c->lifetime) {
        add(&l, "%" PRIu64 " writes for ever", c->lifetime);
    }
    if (c->hour_count) {
        add(&l, "at its times only");
    }
    if (plan_text(plan, c->permissive)[0]) {
        add(&l, "when %s", plan_text(plan, c->permissive));
    }
    if (presence) {
        add(&l, "somebody present: %s", plan_text(plan, presence->path));
    }
    if (c->approval_ms) {
        add(&l, "a second person approves within %g s", c->approval_ms / 1000.0);
    }
    if (c->lease_ms) {
        add(&l, "back to %.10g after %g s unless renewed", c->revert, c->lease_ms / 1000.0);
    }
    if (heartbeat) {
        add(&l, "heartbeat %s", plan_text(plan, heartbeat->path));
    }
}
