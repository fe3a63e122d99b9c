/* SPDX-License-Identifier: Apache-2.0 */
/* Browsing from a service's side: a request up the ring, items and an end from the engine. */
#include "box/north.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "tag/status.h"
#include "tag/value.h"

int service_browse(struct service_host *host, uint32_t device, const uint8_t session[16],
                   const struct browse_handler *handler)
{
    struct record_browse request = {.device = device};
    if (host->browsing) {
        return ERR_BUSY;
    }
    memcpy(request.session, session, sizeof request.session);
    if (getrandom(request.id, sizeof request.id, GRND_NONBLOCK) != sizeof request.id) {
        return ERR_IO;
    }
    struct slot head = {.time = clock_utc_ns(), .tag = record_tag(RECORD_BROWSE)};
    int err = ring_put_record(&host->up, &head, &request, sizeof request);
    if (!err) {
        host->browsing = true;
        host->browse = *handler;
        host->browse_until = uv_now(&host->loop) + NORTH_BROWSE_MS;
        memcpy(host->browse_id, request.id, sizeof host->browse_id);
    }
    return err;
}

static void end_browse(struct service_host *host, uint32_t status, const char *text, uint32_t lost)
{
    host->browsing = false; /* the call-back may browse again */
    host->browse.end(host->browse.context, status, text, lost);
}

/* The texts lie behind one another; false: they can't. */
static bool take_item(struct service_host *host, const struct slot *s)
{
    struct record_item head;
    char texts[ITEM_TEXTS][ITEM_TEXT_MAX + 1];
    size_t at = sizeof head, size = (size_t)s->value.u64;
    memcpy(&head, slot_payload(s), sizeof head);
    for (int i = 0; i < ITEM_TEXTS; i++) {
        if (head.sizes[i] > ITEM_TEXT_MAX || head.sizes[i] > size - at) {
            return false;
        }
        memcpy(texts[i], slot_payload(s) + at, head.sizes[i]);
        texts[i][head.sizes[i]] = 0;
        at += head.sizes[i];
    }
    struct browse_item item = {.address = texts[ITEM_ADDRESS],
                               .name = texts[ITEM_NAME],
                               .unit = texts[ITEM_UNIT],
                               .description = texts[ITEM_DESCRIPTION],
                               .type = head.type < VALUE_TYPE_END ? head.type : 0,
                               .writable = head.writable != 0};
    host->browse.item(host->browse.context, &item);
    return true;
}

void north_browse_word(struct service_host *host, const struct slot *s)
{
    struct record_browsed end;
    bool item = s->tag == record_tag(RECORD_ITEM);
    size_t least = item ? sizeof(struct record_item) : sizeof end;
    if (!host->browsing || s->value.u64 < least ||
        memcmp(slot_payload(s), host->browse_id, sizeof host->browse_id) != 0) {
        return; /* of a browse that was given up */
    }
    if (item) {
        if (!take_item(host, s)) {
            end_browse(host, (uint32_t)STATUS_BAD_DECODING, "the driver's items are garbage", 0);
        }
        return;
    }
    memcpy(&end, slot_payload(s), sizeof end);
    end.text[sizeof end.text - 1] = 0;
    end_browse(host, end.status, end.text, end.lost);
}

void north_browse_watch(struct service_host *host, const char *why)
{
    if (host->browsing && (why || uv_now(&host->loop) >= host->browse_until)) {
        end_browse(host, (uint32_t)STATUS_BAD_TIMEOUT, why ? why : "no answer in time", 0);
    }
}
