/* SPDX-License-Identifier: Apache-2.0 */
#include "box/reach.h"

#include <string.h>

bool reach_is_loopback(const char *address)
{
    return !strncmp(address, "127.", 4) || !strncmp(address, "[::1]:", 6);
}

static bool has(const struct plan *plan, const struct plan_box *box, const char *verb,
                bool loopback)
{
    for (uint32_t i = 0; i < box->address_count; i++) {
        const struct plan_option *o = plan->options + box->first_address + i;
        if (!strcmp(plan_text(plan, o->key), verb) &&
            reach_is_loopback(plan_text(plan, o->value)) == loopback) {
            return true;
        }
    }
    return false;
}

bool reach_is_beyond(const struct plan *plan, const struct plan_box *box)
{
    return box->kind == BOX_NORTH &&
           (has(plan, box, "connect", true) || has(plan, box, "connect", false) ||
            has(plan, box, "bind", false));
}

bool reach_is_local(const struct plan *plan, const struct plan_box *box)
{
    return has(plan, box, "bind", true);
}
