/* SPDX-License-Identifier: Apache-2.0 */
/* From what the driver delivered to what the tag means: scale (double multiply, then add; the build forbids
 * contraction), type, range. A value that doesn't fit its type becomes bad, never wrapped or clipped. */
#include "engine/internal.h"
#include "tag/status.h"

#include <math.h>

static void make_bad(struct slot *s, uint32_t status)
{
    s->status = status;
    s->value.u64 = 0;
}

/* Whole 64-bit numbers that only change their width must not go through a double. */
static bool convert_whole(const struct plan_tag *tag, struct slot *s)
{
    bool from_signed = value_is_signed((enum value_type)tag->raw_type);
    bool to_signed = value_is_signed((enum value_type)tag->type);
    if (from_signed != to_signed && s->value.i64 < 0) {
        return false;
    }
    return value_is_legal((enum value_type)tag->type, s->value);
}

static bool convert(const struct plan_tag *tag, struct slot *s)
{
    enum value_type raw = (enum value_type)tag->raw_type, type = (enum value_type)tag->type;
    if (!tag->has_scale && !value_is_float(raw) && !value_is_float(type)) {
        return convert_whole(tag, s);
    }
    double number = value_as_double(raw, s->value);
    if (tag->has_scale) {
        number = number * tag->scale;
        number = number + tag->offset;
    }
    return value_from_double(type, number, &s->value) == ERR_OK;
}

bool value_refine(const struct plan_tag *tag, struct slot *s)
{
    if (status_severity(s->status) == SEVERITY_BAD) {
        s->value.u64 = 0;
        return true;
    }
    if (!value_is_legal((enum value_type)tag->raw_type, s->value)) {
        return false;
    }
    if ((tag->has_scale || tag->raw_type != tag->type) && !convert(tag, s)) {
        make_bad(s, (uint32_t)STATUS_BAD_OUT_OF_RANGE);
        return true;
    }
    if (tag->has_range && s->status == STATUS_GOOD) {
        double number = value_as_double((enum value_type)tag->type, s->value);
        if (number < tag->low || number > tag->high) {
            s->status = (uint32_t)STATUS_UNCERTAIN_RANGE;
        }
    }
    return true;
}

bool value_is_suppressed(const struct tag_state *t, const struct slot *s)
{
    const struct plan_tag *tag = t->tag;
    if (tag->deadband_kind == DEADBAND_NONE || !t->has_last || t->last_status != s->status) {
        return false;
    }
    if (status_severity(s->status) == SEVERITY_BAD) {
        return true; /* the same bad status again says nothing new */
    }
    double width = tag->deadband_kind == DEADBAND_PERCENT
                       ? tag->deadband / 100 * (tag->high - tag->low)
                       : tag->deadband;
    /* OPC UA Part 8, 7.2: passed on when the change exceeds the deadband; NaN compares false, so it is passed on. */
    return fabs(value_as_double((enum value_type)tag->type, s->value) - t->last) <= width;
}
