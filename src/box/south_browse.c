/* SPDX-License-Identifier: Apache-2.0 */
/* Browsing: a request of the engine becomes a job of the driver, its items records up the ring, its end the last one.
 * Items that find no room are counted, never waited for: samples go first. */
#include "box/south.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tag/status.h"
#include "tag/value.h"

_Static_assert((int)ISTHMUS_BOOL == (int)VALUE_BOOL && (int)ISTHMUS_BYTES == (int)VALUE_BYTES,
               "drivers and tags name types with the same numbers");

static void put_end(struct south_host *host, struct south_browse *b)
{
    struct slot head = {.time = clock_utc_ns(), .tag = record_tag(RECORD_BROWSED)};
    b->ended = ring_put_record(&host->up, &head, &b->end, sizeof b->end) != 0;
    b->used = b->ended;
    host->waiting = host->waiting || b->ended;
}

static void end_browse(struct south_host *host, struct south_browse *b, uint32_t status,
                       const char *text)
{
    b->end.status = status;
    snprintf(b->end.text, sizeof b->end.text, "%s", text);
    put_end(host, b);
}

void south_browse_take(struct south_host *host, const struct record_browse *request)
{
    struct south_browse *b = NULL, none;
    for (uint32_t i = 0; i < SOUTH_BROWSES_MAX && !b; i++) {
        b = host->browses[i].used ? NULL : host->browses + i;
    }
    bool busy = !b;
    b = busy ? &none : b;
    *b = (struct south_browse){.used = true, .end.asker = request->asker};
    memcpy(b->end.id, request->id, sizeof b->end.id);
    struct south_device *d = south_device_find(host, request->device);
    if (busy) {
        end_browse(host, b, (uint32_t)STATUS_BAD_RESOURCE, "too many browses at once");
    } else if (!d || !d->state || host->stopping) {
        end_browse(host, b, (uint32_t)STATUS_BAD_NO_COMMUNICATION, "the device is not open");
    } else if (!host->driver->browse) {
        end_browse(host, b, (uint32_t)STATUS_BAD_NOT_SUPPORTED, "the driver cannot browse");
    } else {
        host->driver->browse(d->state, SOUTH_COMMANDS_MAX + (uint64_t)(b - host->browses));
    }
}

/* The browse of a job that is under way, or NULL. */
static struct south_browse *browse_of(struct south_host *host, uint64_t job)
{
    uint64_t i = job - SOUTH_COMMANDS_MAX;
    bool known = job >= SOUTH_COMMANDS_MAX && i < SOUTH_BROWSES_MAX && host->browses[i].used &&
                 !host->browses[i].ended;
    if (!known) {
        south_log(host, "the driver spoke of a job that is not under way");
    }
    return known ? host->browses + i : NULL;
}

void south_browse_item(struct south_host *host, uint64_t job, const struct isthmus_item *item)
{
    struct south_browse *b = browse_of(host, job);
    if (!b) {
        return;
    }
    const char *texts[ITEM_TEXTS] = {item->address, item->name, item->unit, item->description};
    uint8_t payload[sizeof(struct record_item) + ITEM_TEXTS * ITEM_TEXT_MAX];
    struct record_item out = {
        .asker = b->end.asker, .type = (uint8_t)item->type, .writable = item->writable != 0};
    size_t used = sizeof out;
    memcpy(out.id, b->end.id, sizeof out.id);
    for (int i = 0; i < ITEM_TEXTS; i++) {
        size_t size = texts[i] ? strnlen(texts[i], ITEM_TEXT_MAX) : 0;
        out.sizes[i] = (uint16_t)size;
        memcpy(payload + used, texts[i] ? texts[i] : "", size);
        used += size;
    }
    memcpy(payload, &out, sizeof out);
    struct slot head = {.time = clock_utc_ns(), .tag = record_tag(RECORD_ITEM)};
    b->end.lost += ring_put_record(&host->up, &head, payload, used) != 0;
}

void south_browse_done(struct south_host *host, uint64_t job, uint32_t status, const char *text)
{
    struct south_browse *b = browse_of(host, job);
    if (b) {
        bool said = text && *text;
        end_browse(host, b, status, said ? text : status ? status_name(status) : "");
    }
}

void south_browse_retry(struct south_host *host)
{
    for (uint32_t i = 0; i < SOUTH_BROWSES_MAX; i++) {
        if (host->browses[i].ended) {
            put_end(host, host->browses + i);
        }
    }
}
