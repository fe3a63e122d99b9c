/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/internal.h"

#include <stdio.h>
#include <string.h>

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
