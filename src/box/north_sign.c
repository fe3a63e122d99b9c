/* SPDX-License-Identifier: Apache-2.0 */
/* Sign-ins from a service's side: a request up the ring, one answer from the identity through the engine. */
#include "box/north.h"

#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

static uint64_t patience(uint32_t kind)
{
    return kind == SIGN_BEGIN || kind == SIGN_FINISH ? NORTH_VOUCH_MS : NORTH_SIGN_MS;
}

int service_sign(struct service_host *host, struct sign_request *request, service_sign_done *done,
                 void *context)
{
    struct north_sign *free_one = NULL;
    for (uint32_t i = 0; i < NORTH_SIGNS_MAX && !free_one; i++) {
        free_one = host->signs[i].done ? NULL : host->signs + i;
    }
    if (!free_one) {
        return ERR_FULL;
    }
    if (getrandom(request->id, sizeof request->id, GRND_NONBLOCK) != (ssize_t)sizeof request->id) {
        return ERR_IO;
    }
    struct slot head = {.time = clock_utc_ns(), .tag = record_tag(RECORD_SIGN)};
    int err = ring_put_record(&host->up, &head, request, sign_request_size(request->kind));
    if (!err) {
        *free_one = (struct north_sign){.kind = request->kind,
                                        .until = uv_now(&host->loop) + patience(request->kind),
                                        .done = done,
                                        .context = context};
        memcpy(free_one->id, request->id, sizeof free_one->id);
    }
    return err;
}

static void end(struct north_sign *s, const struct sign_answer *answer, const struct sign_row *rows)
{
    service_sign_done *done = s->done;
    s->done = NULL; /* free: the call-back may sign again */
    done(s->context, answer, rows);
}

void north_sign_word(struct service_host *host, const struct slot *s)
{
    struct sign_answer answer;
    struct sign_row rows[SIGN_ROWS_MAX];
    if (s->value.u64 < sizeof answer) {
        return;
    }
    memcpy(&answer, slot_payload(s), sizeof answer);
    if (answer.count > SIGN_ROWS_MAX ||
        s->value.u64 != sizeof answer + answer.count * sizeof *rows) {
        return;
    }
    memcpy(rows, slot_payload(s) + sizeof answer, answer.count * sizeof *rows);
    for (uint32_t i = 0; i < NORTH_SIGNS_MAX; i++) {
        struct north_sign *found = host->signs + i;
        if (found->done && !memcmp(found->id, answer.id, sizeof answer.id)) {
            end(found, &answer, rows);
            return;
        }
    }
}

void north_sign_watch(struct service_host *host, bool restarted)
{
    for (uint32_t i = 0; i < NORTH_SIGNS_MAX; i++) {
        struct north_sign *s = host->signs + i;
        if (s->done && (restarted || uv_now(&host->loop) >= s->until)) {
            struct sign_answer answer = {.kind = s->kind, .status = SIGN_BUSY};
            end(s, &answer, NULL);
        }
    }
}

/* ---- The other side: a service that vouches for people ---- */

void north_vouch_word(struct service_host *host, const struct slot *s)
{
    struct vouch_request request;
    if (host->service->vouch && s->value.u64 == sizeof request && !host->stopping) {
        memcpy(&request, slot_payload(s), sizeof request);
        host->service->vouch(host->state, &request);
        explicit_bzero(&request, sizeof request);
    }
}

int service_vouched(struct service_host *host, const struct vouch_answer *answer)
{
    struct slot head = {.time = clock_utc_ns(), .tag = record_tag(RECORD_VOUCHED)};
    return ring_put_record(&host->up, &head, answer, sizeof *answer);
}
