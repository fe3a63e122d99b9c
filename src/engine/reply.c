/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/internal.h"

struct inlet *reply_inlet(struct engine *e, uint32_t box, enum box_kind kind)
{
    const struct plan *p = &e->g->plan;
    bool fits = box < p->header->boxes.count && p->boxes[box].kind == (uint32_t)kind;
    return fits ? e->inlets + BOX_INLET + box : NULL;
}

bool reply_send(struct engine *e, struct inlet *to, enum record_kind kind, const void *payload,
                size_t size)
{
    struct slot head = {.time = e->utc_ns, .tag = record_tag(kind)};
    if (to->condemned || ring_put_record(&to->down, &head, payload, size)) {
        return false;
    }
    ring_publish(&to->down);
    return true;
}
