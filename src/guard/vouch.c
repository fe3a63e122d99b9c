/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/vouch.h"

#include <string.h>

bool vouch_is_provider(const struct plan *plan, uint32_t box)
{
    return box < plan->header->boxes.count && plan->boxes[box].kind == BOX_NORTH &&
           !strcmp(plan_text(plan, plan->boxes[box].module), VOUCH_MODULE);
}

static bool read_group(const char *text, struct vouch_group *out)
{
    size_t role = strcspn(text, " ");
    const char *zones = text + role + (text[role] == ' ');
    size_t size = strcspn(zones, " ");
    *out = (struct vouch_group){.role = role_from_name(text, role)};
    if (!out->role || size >= sizeof out->zones || zones[size] != ' ') {
        return false;
    }
    memcpy(out->zones, zones, size);
    if (!strcmp(out->zones, "*")) {
        out->zones[0] = 0;
    }
    out->group = zones + size + 1;
    return true;
}

bool vouch_group(const struct plan *plan, uint32_t box, uint32_t n, struct vouch_group *out)
{
    const struct plan_box *b = plan->boxes + box;
    for (uint32_t i = 0; i < b->address_count; i++) {
        const struct plan_option *o = plan->options + b->first_address + i;
        if (!strcmp(plan_text(plan, o->key), VOUCH_GROUP_KEY) && !n--) {
            return read_group(plan_text(plan, o->value), out);
        }
    }
    return false;
}
