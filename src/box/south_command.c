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
    } else if (status == (uint32_t)STATUS_BAD_NOT_SUPPORTED && c->together) {
        end_command(host, c, WRITTEN_APART, text); /* the device itself lacks the means */
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

static bool fits(const struct plan_tag *tag, uint32_t type, union slot_value value)
{
    return type == tag->raw_type && !value_is_long((enum value_type)type) &&
           value_is_legal((enum value_type)type, value);
}

static void begin_command(struct south_host *host, struct south_command *c)
{
    const struct plan_tag *tag = plan_find_tag(&host->g->plan, c->write.tag);
    struct south_device *d = tag ? south_device_find(host, tag->device) : NULL;
    if (!d || !d->state || host->stopping) {
        end_command(host, c, WRITTEN_REFUSED, "the device is not open");
    } else if (!host->driver->write) {
        end_command(host, c, WRITTEN_REFUSED, "the driver cannot write");
    } else if (!fits(tag, c->write.type, c->write.value)) {
        end_command(host, c, WRITTEN_REFUSED, "the value does not fit the tag's type");
    } else {
        struct isthmus_write w = {
            .job = (uint64_t)(c - host->commands), .tag = tag->id, .value.u64 = c->write.value.u64};
        host->driver->write(d->state, &w);
    }
}

/* Several writes in one transaction, if the driver has the means. */
static void begin_together(struct south_host *host, struct south_command *c,
                           const struct record_part *parts, uint32_t count)
{
    struct isthmus_write writes[BATCH_MAX];
    const struct plan_tag *first = plan_find_tag(&host->g->plan, parts[0].tag);
    struct south_device *d = first ? south_device_find(host, first->device) : NULL;
    if (!d || !d->state || host->stopping) {
        end_command(host, c, WRITTEN_REFUSED, "the device is not open");
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct plan_tag *tag = plan_find_tag(&host->g->plan, parts[i].tag);
        if (!tag || tag->device != first->device || !fits(tag, parts[i].type, parts[i].value)) {
            end_command(host, c, WRITTEN_REFUSED, "a value does not fit its tag's type");
            return;
        }
        writes[i] = (struct isthmus_write){
            .job = (uint64_t)(c - host->commands), .tag = tag->id, .value.u64 = parts[i].value.u64};
    }
    if (!host->driver->write_together ||
        host->driver->write_together(d->state, writes, count) != 0) {
        end_command(host, c, WRITTEN_APART, "the device can't take them in one transaction");
    }
}

/* A write, or several in one; false: garbage. */
static bool begin_record(struct south_host *host, struct south_command *c, const struct slot *s)
{
    struct record_part parts[BATCH_MAX];
    struct record_writes head;
    if (s->tag == record_tag(RECORD_WRITE)) {
        if (s->value.u64 != sizeof c->write) {
            return false;
        }
        memcpy(&c->write, slot_payload(s), sizeof c->write);
        c->used = true;
        begin_command(host, c);
        return true;
    }
    if (s->value.u64 < sizeof head) {
        return false;
    }
    memcpy(&head, slot_payload(s), sizeof head);
    if (!head.count || head.count > BATCH_MAX ||
        s->value.u64 != sizeof head + head.count * sizeof *parts) {
        return false;
    }
    memcpy(parts, (const uint8_t *)slot_payload(s) + sizeof head, head.count * sizeof *parts);
    c->write = (struct record_write){.number = head.number};
    c->used = c->together = true;
    begin_together(host, c, parts, head.count);
    return true;
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
    if (slots->tag != record_tag(RECORD_WRITE) && slots->tag != record_tag(RECORD_WRITES)) {
        ring_release(&host->down, host->down.next - (count - length));
        return (int)length;
    }
    struct south_command *c = free_command(host);
    if (!c) {
        return 0;
    }
    *c = (struct south_command){.used = false};
    ring_release(&host->down, host->down.next - (count - length)); /* before the driver gets it */
    return begin_record(host, c, slots) ? (int)length : ERR_GARBAGE;
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
