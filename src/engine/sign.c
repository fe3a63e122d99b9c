/* SPDX-License-Identifier: Apache-2.0 */
/* Sign-ins, and what administrators ask of the identity: from the north box that asks, and back. Nothing of it is journaled,
 * for it holds secrets. Who asks is written here, so a box can't speak for another. The engine never waits: what finds no room
 * is refused as busy, and an answer that finds none is ended by the asker's patience. */
#include "engine/internal.h"

#include "guard/sign.h"

#include <string.h>

static void refuse(struct engine *e, struct inlet *asker, const struct sign_request *request)
{
    struct sign_answer answer = {.asker = asker->box, .kind = request->kind, .status = SIGN_BUSY};
    memcpy(answer.id, request->id, sizeof answer.id);
    (void)reply_send(e, asker, RECORD_SIGNED, &answer, sizeof answer);
}

static const char *pass_request(struct engine *e, struct inlet *asker, const struct slot *s)
{
    struct inlet *identity = e->inlets + (SEAT_IDENTITY - SEAT_READER);
    struct sign_request request;
    if (!reply_inlet(e, asker->box, BOX_NORTH) || s->value.u64 != sizeof request) {
        return "a sign-in record is malformed";
    }
    memcpy(&request, slot_payload(s), sizeof request);
    request.asker = asker->box;
    if (!reply_send(e, identity, RECORD_SIGN, &request, sizeof request)) {
        refuse(e, asker, &request);
    }
    explicit_bzero(&request, sizeof request);
    return NULL;
}

const char *sign_pass(struct engine *e, struct inlet *in, const struct slot *s)
{
    struct sign_answer answer;
    if (record_kind(s) == RECORD_SIGN) {
        return pass_request(e, in, s);
    }
    if (in->box != FRAME_IDENTITY || s->value.u64 < sizeof answer) {
        return "the answer to a sign-in is not its own";
    }
    memcpy(&answer, slot_payload(s), sizeof answer);
    struct inlet *to = reply_inlet(e, answer.asker, BOX_NORTH);
    if (!to) {
        return "it answers a box that can't have asked";
    }
    (void)reply_send(e, to, RECORD_SIGNED, slot_payload(s), (size_t)s->value.u64);
    return NULL;
}
