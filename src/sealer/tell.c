/* SPDX-License-Identifier: Apache-2.0 */
#include "sealer/core.h"

#define TRIES_MAX 5000 /* moments; then the engine is not there, and its death is told by others */

#include <stdio.h>
#include <string.h>

static void put(struct sealer *s, struct slot head, const void *payload, size_t size)
{
    for (int tries = 0; s->up && tries < TRIES_MAX; tries++) {
        if (ring_put_record(s->up, &head, payload, size) == ERR_OK) {
            ring_publish(s->up);
            return;
        }
        if (s->wait) {
            s->wait(s->context);
        }
    }
}

void tell_gap(struct sealer *s, enum gap_cause cause, uint32_t tag, int64_t from_ns, int64_t to_ns,
              uint64_t samples)
{
    struct record_gap gap = {.scope = tag ? GAP_TAG : GAP_ALL,
                             .which = tag,
                             .cause = cause,
                             .from_ns = from_ns,
                             .to_ns = to_ns,
                             .missed = samples};
    if (from_ns <= to_ns) {
        put(s, (struct slot){.time = s->utc_ns, .tag = record_tag(RECORD_GAP)}, &gap, sizeof gap);
    }
}

void tell_event(struct sealer *s, enum event_kind kind, uint64_t detail, const char *text)
{
    struct record_event event = {.box = PLAN_NONE, .device = PLAN_NONE, .detail = detail};
    snprintf(event.text, sizeof event.text, "%s", text);
    put(s, (struct slot){.time = s->utc_ns, .tag = record_tag(RECORD_EVENT), .status = kind},
        &event, sizeof event);
}

/* The engine gives room back only for what is durable (invariant 7). */
bool tell_is_durable(struct sealer *s)
{
    for (int tries = 0;
         s->up && atomic_load_explicit(&s->up->tail->tail, memory_order_acquire) != s->up->next;
         tries++) {
        if (tries == TRIES_MAX || !s->wait) {
            return false;
        }
        s->wait(s->context);
    }
    return true;
}
