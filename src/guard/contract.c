/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/contract.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool no(char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool no(char *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, GUARD_REASON_SIZE, format, args);
    va_end(args);
    return false;
}

static bool is_named(const char *name, const struct guard_caller *caller)
{
    return !strcmp(name, caller->name) ||
           (!strcmp(name, "local") && !strncmp(caller->name, "local:", 6)) ||
           (!strncmp(name, "role:", 5) && caller->role[0] && !strcmp(name + 5, caller->role));
}

bool guard_names(const struct plan *plan, const struct plan_write *contract, const char *key,
                 const struct guard_caller *caller)
{
    bool any = false;
    for (uint32_t i = 0; i < contract->caller_count; i++) {
        const struct plan_option *o = plan->options + contract->first_caller + i;
        if (!strcmp(plan_text(plan, o->key), key)) {
            any = true;
            if (is_named(plan_text(plan, o->value), caller)) {
                return true;
            }
        }
    }
    return !any && !strcmp(key, "approver") && guard_names(plan, contract, "caller", caller);
}

void guard_range(const struct plan_write *c, const struct plan_tag *tag, double *low, double *high)
{
    bool is_bool = tag->type == VALUE_BOOL;
    *low = fmax(c->low, is_bool ? 0 : tag->has_range ? tag->low : -INFINITY);
    *high = fmin(c->high, is_bool ? 1 : tag->has_range ? tag->high : INFINITY);
}

static bool range_lets(const struct guard_ask *a, double number, char *why)
{
    const struct plan_write *c = a->contract;
    const char *unit = plan_text(a->plan, a->tag->unit);
    if (!isfinite(number)) {
        return no(why, "the value is no finite number");
    }
    if (number < c->low || number > c->high) {
        return no(why, "%.10g is outside of the contract's range, %.10g to %.10g %s", number,
                  c->low, c->high, unit);
    }
    if (a->tag->has_range && (number < a->tag->low || number > a->tag->high)) {
        return no(why, "%.10g is outside of the tag's range, %.10g to %.10g %s", number,
                  a->tag->low, a->tag->high, unit);
    }
    if (c->step > 0 && !a->has_now) {
        return no(why, "the tag's present value is not known, so the step can't be judged");
    }
    if (c->step > 0 && fabs(number - a->now) > c->step) {
        return no(why, "a change from %.10g to %.10g is more than the largest step, %.10g %s",
                  a->now, number, c->step, unit);
    }
    return true;
}

static bool rate_lets(const struct guard_ask *a, char *why)
{
    const struct plan_write *c = a->contract;
    uint32_t recent = 0;
    for (uint32_t i = 0; i < GUARD_RATE_MAX; i++) {
        int64_t at = a->memory->recent_ns[i];
        recent += at && a->mono_ns - at < c->rate_ms * INT64_C(1000000);
    }
    if (c->rate_count && recent >= c->rate_count) {
        return no(why, "the rate is used up: %u writes in %g s are allowed", c->rate_count,
                  c->rate_ms / 1000.0);
    }
    if (c->lifetime && a->memory->writes >= c->lifetime) {
        return no(why, "the tag has had all %" PRIu64 " writes of its lifetime", c->lifetime);
    }
    return true;
}

static bool hours_let(const struct guard_ask *a, char *why)
{
    const struct plan_write *c = a->contract;
    for (uint32_t i = 0; i < c->hour_count; i++) {
        const struct plan_hours *h = c->hours + i;
        bool today = h->days >> a->weekday & 1, yesterday = h->days >> (a->weekday + 6) % 7 & 1;
        bool over_midnight = h->from_minute >= h->to_minute;
        if ((today && a->minute >= h->from_minute && (over_midnight || a->minute < h->to_minute)) ||
            (yesterday && over_midnight && a->minute < h->to_minute)) {
            return true;
        }
    }
    return !c->hour_count || no(why, "it is outside of the contract's times");
}

bool guard_lets(const struct guard_ask *a, char *why)
{
    const struct plan_write *c = a->contract;
    if (!c) {
        return no(why, "no write contract allows it: tags are read-only");
    }
    if (!guard_names(a->plan, c, "caller", a->caller)) {
        return no(why, "the contract %s names neither %s%s%s as a caller",
                  plan_text(a->plan, c->name), a->caller->name,
                  a->caller->role[0] ? " nor role:" : "", a->caller->role);
    }
    if (a->type != a->tag->type || value_is_long((enum value_type)a->type) ||
        !value_is_legal((enum value_type)a->type, a->value)) {
        return no(why, "the value is no %s", value_type_name((enum value_type)a->tag->type));
    }
    if (!a->present) {
        return no(why, "nobody is present at the machine, as the contract asks");
    }
    return range_lets(a, value_as_double((enum value_type)a->type, a->value), why) &&
           hours_let(a, why) && rate_lets(a, why);
}

bool guard_raw(const struct plan_tag *tag, union slot_value value, union slot_value *raw,
               union slot_value *effective, char *why)
{
    enum value_type type = (enum value_type)tag->type, raw_type = (enum value_type)tag->raw_type;
    double number = value_as_double(type, value);
    if (!tag->has_scale &&
        (type == raw_type || !(value_is_float(type) || value_is_float(raw_type)))) {
        bool negative = value_is_signed(type) && value.i64 < 0;
        *raw = *effective =
            value; /* whole numbers never pass through a double: 64 bits don't fit in it */
        return (value_is_legal(raw_type, value) && (value_is_signed(raw_type) || !negative) &&
                (!value_is_signed(raw_type) || value_is_signed(type) || value.i64 >= 0)) ||
               no(why, "%.10g does not fit the device's %s", number, value_type_name(raw_type));
    }
    double unscaled = tag->has_scale ? (number - tag->offset) / tag->scale : number;
    if (!isfinite(unscaled) || value_from_double(raw_type, unscaled, raw) ||
        !value_is_legal(raw_type, *raw)) {
        return no(why, "%.10g does not fit the device's %s", number, value_type_name(raw_type));
    }
    double back = value_as_double(raw_type, *raw);
    back = tag->has_scale ? back * tag->scale + tag->offset : back;
    if (value_from_double(type, back, effective)) {
        return no(why, "%.10g does not fit the device's %s", number, value_type_name(raw_type));
    }
    if (!tag->has_scale && back != number) {
        return no(why, "the device's %s can't hold %.10g", value_type_name(raw_type), number);
    }
    return true;
}

void guard_note(struct guard_tag *memory, int64_t mono_ns)
{
    memory->recent_ns[memory->next] = mono_ns;
    memory->next = (memory->next + 1) % GUARD_RATE_MAX;
    memory->writes++;
}
