/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/internal.h"

#include <stdio.h>
#include <string.h>

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

/* Until the guard exists nothing in the physical world is moved, whoever asks. */
void reply_refused(struct engine *e, struct inlet *in, const struct slot *request,
                   const struct record_command *command)
{
    struct record_command receipt = *command;
    receipt.end = COMMAND_REFUSED;
    snprintf(receipt.reason, sizeof receipt.reason,
             "no write contract allows it: tags are read-only");
    struct slot head = {
        .time = e->utc_ns, .tag = record_tag(RECORD_RECEIPT), .status = request->status};
    if (ring_put_record(&in->down, &head, &receipt, sizeof receipt) == ERR_OK) {
        ring_publish(&in->down);
    }
}
