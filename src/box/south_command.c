/* SPDX-License-Identifier: Apache-2.0 */
/* Writes: what the engine sends down the ring becomes a write of the driver, and its end goes up the ring.
 *
 * Exactly once: a write is released from the ring before the driver gets it, so a restarted box never sees it again;
 * its end is kept until the ring has room. No free place for a write: it stays in the ring, the engine sees a full
 * one. */
#include "box/south.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tag/status.h"

static bool put_end(struct south_host *host, const struct record_written *end)
{
    struct slot head = {.time = clock_utc_ns(), .tag = record_tag(RECORD_WRITTEN)};
    return ring_put_record(&host->up, &head, end, sizeof *end) == 0;
}

static void end_command(struct south_host *host, struct south_command *c, enum written_end end,
                        const char *reason)
{
    c->written =
        (struct record_written){.number = c->write.number, .tag = c->write.tag, .end = end};
    snprintf(c->written.reason, sizeof c->written.reason, "%s", reason ? reason : "");
    if (put_end(host, &c->written)) {
        c->used = false;
    } else {
        c->answered = true;
        host->waiting = true;
    }
}

void south_command_done(struct south_host *host, uint64_t job, uint32_t status, const char *text)
{
    struct south_command *c = job < SOUTH_COMMANDS_MAX ? host->commands + job : NULL;
    if (!c || !c->used || c->answered) {
        south_log(host, "the driver ended a job that was not under way");
        return;
    }
    if (!status) {
        end_command(host, c, WRITTEN_DONE, text);
    } else if (status == (uint32_t)STATUS_BAD_TIMEOUT || status == (uint32_t)STATUS_BAD_SHUTDOWN) {
        end_command(host, c, WRITTEN_UNKNOWN, text); /* it may have reached the device */
    } else {
        end_command(host, c, WRITTEN_FAILED, text && *text ? text : status_name(status));
    }
}

void south_command_retry(struct south_host *host)
{
    for (uint32_t i = 0; i < SOUTH_COMMANDS_MAX; i++) {
        struct south_command *c = host->commands + i;
        if (c->used && c->answered && put_end(host, &c->written)) {
            *c = (struct south_command){.used = false};
        }
        host->waiting = host->waiting || c->answered;
    }
}

static struct south_command *free_command(struct south_host *host)
{
    for (uint32_t i = 0; i < SOUTH_COMMANDS_MAX; i++) {
        if (!host->commands[i].used) {
            return host->commands + i;
        }
    }
    return NULL;
}

static void begin_command(struct south_host *host, struct south_command *c)
{
    const struct plan_tag *tag = plan_find_tag(&host->g->plan, c->write.tag);
    struct south_device *d = tag ? south_device_find(host, tag->device) : NULL;
    if (!d || !d->state || host->stopping) {
        end_command(host, c, WRITTEN_REFUSED, "the device is not open");
    } else if (!host->driver->write) {
        end_command(host, c, WRITTEN_REFUSED, "the driver cannot write");
    } else if (c->write.type != tag->raw_type || value_is_long((enum value_type)tag->raw_type) ||
               !value_is_legal((enum value_type)tag->raw_type, c->write.value)) {
        end_command(host, c, WRITTEN_REFUSED, "the value does not fit the tag's type");
    } else {
        struct isthmus_write w = {
            .job = (uint64_t)(c - host->commands), .tag = tag->id, .value.u64 = c->write.value.u64};
        host->driver->write(d->state, &w);
    }
}

/* Handles the first record of `slots`: its length, 0 when it must wait or is cut, or garbage. */
static int take_one(struct south_host *host, const struct slot *slots, size_t count)
{
    size_t length = slot_record_length(slots);
    if (!length) {
        return ERR_GARBAGE;
    }
    if (length > count) {
        return 0;
    }
    if (slots->tag == record_tag(RECORD_BROWSE)) {
        struct record_browse request;
        if (slots->value.u64 != sizeof request) {
            return ERR_GARBAGE;
        }
        memcpy(&request, slot_payload(slots), sizeof request);
        ring_release(&host->down, host->down.next - (count - length));
        south_browse_take(host, &request);
        return (int)length;
    }
    if (slots->tag != record_tag(RECORD_WRITE)) {
        ring_release(&host->down, host->down.next - (count - length));
        return (int)length;
    }
    if (slots->value.u64 != sizeof(struct record_write)) {
        return ERR_GARBAGE;
    }
    struct south_command *c = free_command(host);
    if (!c) {
        return 0;
    }
    *c = (struct south_command){.used = true};
    memcpy(&c->write, slot_payload(slots), sizeof c->write);
    ring_release(&host->down, host->down.next - (count - length));
    begin_command(host, c);
    return (int)length;
}

int south_command_take(struct south_host *host)
{
    struct slot taken[SOUTH_TAKE_SLOTS];
    int count = ring_take(&host->down, taken, SOUTH_TAKE_SLOTS);
    if (count <= 0) {
        return count;
    }
    size_t at = 0, all = (size_t)count;
    while (at < all) {
        int length = take_one(host, taken + at, all - at);
        if (length < 0) {
            return length;
        }
        if (!length) {
            break;
        }
        at += (size_t)length;
    }
    ring_step_back(&host->down, all - at);
    return at > 0 && ring_waiting(&host->down) > 0;
}
