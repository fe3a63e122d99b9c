/* SPDX-License-Identifier: Apache-2.0 */
/* Cycles: all blocks are read once per period, on a grid that never drifts. A poll that falls due while the one before
 * is still under way is not made, and counted. Samples gather in an array and are published when the cycle is whole,
 * or after FLUSH_NS for those that came early.
 *
 * A block goes bad as a whole: its tags get one bad sample, and what was not sampled until it is good again becomes
 * gaps. A block that the device calls illegal is halved until the culprit stands alone; that one is asked again only
 * every ILLEGAL_RETRY_NS. Halves are never merged again. */
#include "south/modbus/device.h"

#include <stdio.h>

#include "base/clock.h"
#include "tag/status.h"

#define FLUSH_NS         (5 * NS_PER_MS)
#define ILLEGAL_RETRY_NS (30 * NS_PER_S)
#define FIGURES_NS       (500 * NS_PER_MS)
#define BACKOFF_FIRST_NS NS_PER_S
#define PROBES_MAX       3u
#define ACCOUNT_FIRST_NS NS_PER_S
#define ACCOUNT_LAST_NS  (600 * NS_PER_S)

void poll_flush(struct modbus_device *d)
{
    if (d->sample_count) {
        struct isthmus_batch batch = {.device = d->config->index,
                                      .acquired_ns = device_utc(d),
                                      .clock_uncertainty_ns = -1,
                                      .samples = d->samples,
                                      .count = d->sample_count};
        d->sample_count = 0;
        d->host->publish(d->host->context, &batch);
    }
}

static struct isthmus_sample *add_sample(struct modbus_device *d, uint32_t point, uint32_t status,
                                         int64_t utc)
{
    if (d->sample_count == d->config->tag_count) {
        poll_flush(d);
    }
    if (!d->sample_count) {
        d->first_sample_at = device_now(d);
    }
    struct isthmus_sample *s = d->samples + d->sample_count++;
    *s =
        (struct isthmus_sample){.time_ns = utc, .tag = d->config->tags[point].id, .status = status};
    return s;
}

/* ---- blocks turn bad and good ---- */

static void tell_gap(struct modbus_device *d, struct block *b)
{
    int64_t utc = device_utc(d);
    for (uint32_t i = 0; b->bad_polls && i < b->at.point_count; i++) {
        uint32_t tag = d->config->tags[d->order[b->at.first + i]].id;
        d->host->missed(d->host->context, d->config->index, tag, (enum isthmus_missed)b->why,
                        b->bad_since_utc, utc, b->bad_polls);
    }
    if (b->bad_polls) {
        b->bad_polls = 0;
        b->bad_since_utc = utc;
    }
}

static void block_bad(struct modbus_device *d, struct block *b, uint32_t status,
                      enum isthmus_missed why)
{
    if (b->shown == status) {
        b->bad_polls++;
        return;
    }
    tell_gap(d, b);
    b->shown = status;
    b->why = why;
    b->bad_since_utc = device_utc(d);
    for (uint32_t i = 0; i < b->at.point_count; i++) {
        add_sample(d, d->order[b->at.first + i], status, b->bad_since_utc);
    }
}

static void block_good(struct modbus_device *d, struct block *b)
{
    if (b->shown != STATUS_GOOD) {
        tell_gap(d, b);
        b->shown = STATUS_GOOD;
        b->exception = 0;
        b->retry_at = 0;
    }
}

static void decode_block(struct modbus_device *d, const struct block *b, const uint8_t *values,
                         int64_t utc)
{
    for (uint32_t i = 0; i < b->at.point_count; i++) {
        uint32_t point = d->order[b->at.first + i];
        const struct modbus_point *p = d->points + point;
        struct isthmus_sample *s = add_sample(d, point, STATUS_GOOD, utc);
        uint32_t at = (uint32_t)(p->start - b->at.start);
        if (p->table < MODBUS_INPUT) {
            s->value.u64 = values[at / 8] >> (at % 8) & 1;
        } else if (p->type < ISTHMUS_TEXT) {
            modbus_decode(p, values + at * 2, s);
        } else {
            uint8_t *text = d->texts + d->text_at[point];
            s->value.u64 = modbus_decode_bytes(p, values + at * 2, text);
            s->bytes = text;
        }
    }
}

/* Whether halving helps: the device said that an address in the block is none. */
static bool is_illegal(uint8_t exception)
{
    return exception == 2 || exception == 3;
}

static void refuse_block(struct modbus_device *d, uint32_t index, uint8_t exception, int64_t now)
{
    struct block *b = d->blocks + index;
    if (is_illegal(exception) && b->at.point_count > 1) {
        struct block upper = *b;
        modbus_split(d->points, d->order, &b->at, &upper.at);
        upper.retry_at = b->retry_at = 0;
        upper.shown = b->shown;
        d->blocks[d->block_count++] = upper; /* reached by this cycle */
        b->exception = 0;
        struct request again = {.kind = REQUEST_BLOCK, .block = index};
        d->cycle_requests += session_send(d, &again) != NULL;
        return;
    }
    b->exception = exception;
    b->retry_at = is_illegal(exception) || exception == 1 ? now + ILLEGAL_RETRY_NS : 0;
    block_bad(d, b, modbus_exception_status(exception), ISTHMUS_MISSED_ERROR);
}

void poll_reply(struct modbus_device *d, const struct request *r, const struct modbus_frame *frame,
                int64_t now, int64_t utc)
{
    struct block *b = d->blocks + r->block;
    struct unit *u = d->units + b->unit;
    if (r->kind == REQUEST_PROBE) {
        u->probing = false;
    }
    if (frame->exception == 10 || frame->exception == 11) { /* the gateway speaks for a dead unit */
        poll_unit_dead(d, b->unit, now);
        return;
    }
    u->dead = false;
    u->backoff = 0;
    if (frame->exception) {
        refuse_block(d, r->block, frame->exception, now);
        return;
    }
    block_good(d, b);
    decode_block(d, b, modbus_values(frame), utc);
}

/* ---- units and the device ---- */

void poll_unit_dead(struct modbus_device *d, uint32_t unit, int64_t now)
{
    struct unit *u = d->units + unit;
    u->backoff = u->backoff ? u->backoff * 2 : BACKOFF_FIRST_NS;
    u->backoff = u->backoff < d->backoff_max ? u->backoff : d->backoff_max;
    u->retry_at = now + u->backoff;
    u->probing = false;
    if (u->dead) {
        return;
    }
    u->dead = true;
    for (size_t i = 0; i < d->block_count; i++) {
        if (d->blocks[i].unit == unit) {
            block_bad(d, d->blocks + i, (uint32_t)STATUS_BAD_NO_COMMUNICATION, ISTHMUS_MISSED_DOWN);
        }
    }
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        struct request *r = d->requests + i;
        if (r->kind == REQUEST_BLOCK && d->blocks[r->block].unit == unit) {
            r->kind = 0;
            d->cycle_requests--;
        }
    }
}

void poll_down(struct modbus_device *d, int64_t now)
{
    poll_account(d);
    for (size_t i = 0; i < d->block_count; i++) {
        struct block *b = d->blocks + i;
        if (b->shown == STATUS_GOOD || b->shown == (uint32_t)STATUS_BAD_WAITING_INITIAL) {
            block_bad(d, b, (uint32_t)STATUS_BAD_NO_COMMUNICATION, ISTHMUS_MISSED_DOWN);
        }
        b->bad_polls = 0; /* the device's gap accounts for all */
    }
    poll_flush(d);
    for (size_t i = 0; i < d->unit_count; i++) {
        d->units[i].dead = d->units[i].probing = false;
        d->units[i].backoff = 0;
    }
    d->cycle_open = false;
    d->cycle_requests = 0;
    if (!d->down) {
        d->down = true;
        d->down_since = now;
        d->down_since_utc = device_utc(d);
        d->down_polls = 0;
    }
}

static void tell_down_gap(struct modbus_device *d, int64_t now)
{
    uint64_t polls = (uint64_t)((now - d->down_since + d->period - 1) / d->period) - d->down_polls;
    int64_t utc = device_utc(d);
    if (d->config->tag_count && polls) {
        d->host->missed(d->host->context, d->config->index, 0, ISTHMUS_MISSED_DOWN,
                        d->down_since_utc, utc, polls * d->config->tag_count);
        d->down_polls += polls;
        d->down_since_utc = utc;
    }
}

void poll_up(struct modbus_device *d, int64_t now)
{
    if (d->down) {
        d->down = false;
        tell_down_gap(d, now);
    }
    d->backoff = 0;
}

static void tell_late(struct modbus_device *d)
{
    if (d->late) {
        d->host->missed(d->host->context, d->config->index, 0, ISTHMUS_MISSED_LATE,
                        d->late_from_utc, device_utc(d), d->late * d->config->tag_count);
        d->late = 0;
    }
}

void poll_account(struct modbus_device *d)
{
    tell_late(d);
    for (size_t i = 0; i < d->block_count; i++) {
        tell_gap(d, d->blocks + i);
    }
    if (d->closing && d->down) {
        tell_down_gap(d, device_now(d));
        d->down = false;
    }
}

static bool is_well(const struct modbus_device *d)
{
    bool well = !d->down;
    for (size_t i = 0; well && i < d->block_count; i++) {
        well = d->blocks[i].shown == STATUS_GOOD;
    }
    return well;
}

/* A long outage is told in parts, each twice as long as the one before: should this process die, hardly more than half
 * of it is told by nobody. */
void poll_account_now_and_then(struct modbus_device *d, int64_t now)
{
    if (now < d->account_at) {
        return;
    }
    if (is_well(d)) {
        d->account_wait = ACCOUNT_FIRST_NS;
    } else {
        poll_account(d);
        if (d->down) {
            tell_down_gap(d, now);
        }
        d->account_wait *= 2;
    }
    d->account_wait = d->account_wait < ACCOUNT_FIRST_NS  ? ACCOUNT_FIRST_NS
                      : d->account_wait > ACCOUNT_LAST_NS ? ACCOUNT_LAST_NS
                                                          : d->account_wait;
    d->account_at = now + d->account_wait;
}

/* ---- cycles ---- */

void poll_begin(struct modbus_device *d, int64_t now)
{
    if (d->cycle_open) {
        d->late_from_utc = d->late ? d->late_from_utc : device_utc(d);
        d->late++;
    } else {
        d->cycle_open = true;
        d->next_block = 0;
    }
    for (d->next_poll += d->period; d->next_poll <= now; d->next_poll += d->period) {
        d->late_from_utc = d->late ? d->late_from_utc : device_utc(d);
        d->late++; /* we ourselves were held up */
    }
}

static void probe(struct modbus_device *d, int64_t now)
{
    uint32_t probing = 0;
    for (size_t i = 0; i < d->unit_count; i++) {
        probing += d->units[i].probing;
    }
    for (size_t i = 0; i < d->unit_count && probing < PROBES_MAX; i++) {
        struct unit *u = d->units + i;
        if (u->dead && !u->probing && now >= u->retry_at &&
            session_in_flight(d, now) < (d->careful ? 1 : d->window)) {
            struct request r = {.kind = REQUEST_PROBE, .block = u->first_block};
            u->probing = session_send(d, &r) != NULL;
            probing++;
        }
    }
}

void poll_pump(struct modbus_device *d, int64_t now)
{
    while (d->cycle_open && d->next_block < d->block_count) {
        struct block *b = d->blocks + d->next_block;
        if (d->units[b->unit].dead || now < b->retry_at) {
            b->bad_polls++;
            d->next_block++;
            continue;
        }
        struct request r = {.kind = REQUEST_BLOCK, .block = (uint32_t)d->next_block};
        if (session_in_flight(d, now) >= (d->careful ? 1 : d->window) || !session_send(d, &r)) {
            return;
        }
        d->cycle_requests++;
        d->next_block++;
    }
    probe(d, now);
}

static void tell_state(struct modbus_device *d)
{
    for (size_t i = 0; i < d->unit_count; i++) {
        if (d->units[i].dead) {
            char text[96];
            snprintf(text, sizeof text, "unit %u does not answer", d->units[i].id);
            device_state(d, ISTHMUS_DEGRADED, text);
            return;
        }
    }
    static const char *const tables[] = {"coil", "discrete", "input", "holding"};
    for (size_t i = 0; i < d->block_count; i++) {
        const struct block *b = d->blocks + i;
        if (b->exception) {
            char text[96];
            snprintf(text, sizeof text, "unit %u %s %u+%u: %s", b->at.unit, tables[b->at.table],
                     b->at.start, b->at.count, modbus_exception_text(b->exception));
            device_state(d, ISTHMUS_DEGRADED, text);
            return;
        }
    }
    device_state(d, ISTHMUS_UP, "");
}

void poll_settle(struct modbus_device *d, int64_t now)
{
    if (d->cycle_open && d->next_block == d->block_count && !d->cycle_requests) {
        d->cycle_open = false;
        poll_flush(d);
        tell_late(d);
        if (!d->down) {
            tell_state(d);
        }
    } else if (d->sample_count && now - d->first_sample_at >= FLUSH_NS) {
        poll_flush(d);
    }
    if (now >= d->figures_at) {
        d->figures_at = now + FIGURES_NS;
        d->figures.in_flight = d->window;
        d->figures.transactions = (uint32_t)d->block_count;
        d->host->figures(d->host->context, d->config->index, &d->figures);
    }
}
