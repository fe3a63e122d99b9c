/* SPDX-License-Identifier: Apache-2.0 */
/* What drivers call.
 *
 * Samples become slots in a small array on the stack and go into the ring in groups. What finds no room is counted
 * per tag, with the stretch of source times, in shared memory: the engine makes a gap of it when it has caught up.
 * Gaps, events and receipts must not be lost, so what finds no room waits in fixed places (gaps of one device and
 * cause merge; of events the latest state counts) and is tried again each turn of the loop. */
#include "box/south.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tag/status.h"

#define GROUP_SLOTS 256u

static bool is_long_tag(const struct south_host *host, uint32_t id)
{
    return host->long_tags && id <= host->last_id && (host->long_tags[id / 64] >> (id % 64) & 1);
}

/* ---- samples ---- */

/* Sample that found no room. A stretch begins anew when the engine has made a gap of all before. */
static void count_drop(struct south_host *host, uint32_t id, int64_t time_ns)
{
    ring_count_dropped(&host->up, 1);
    const struct plan *plan = &host->g->plan;
    const struct plan_tag *tag = plan_find_tag(plan, id);
    if (!tag) {
        return;
    }
    size_t i = (size_t)(tag - plan->tags);
    struct drop_counter *d = host->seat->drops + i;
    uint64_t count = atomic_load_explicit(&d->count, memory_order_relaxed);
    if (count == atomic_load_explicit(&host->seat->drops_seen[i], memory_order_acquire)) {
        atomic_store_explicit(&d->first_ns, time_ns, memory_order_relaxed);
    }
    atomic_store_explicit(&d->last_ns, time_ns, memory_order_relaxed);
    atomic_store_explicit(&d->count, count + 1, memory_order_release);
}

/* Puts what fits of a group of numeric slots and counts the rest. */
static void put_group(struct south_host *host, const struct slot *slots, size_t count)
{
    if (!ring_put(&host->up, slots, count)) {
        return;
    }
    uint64_t room = ring_room(&host->up);
    size_t fit = room < count ? (size_t)room : count;
    if (ring_put(&host->up, slots, fit)) {
        fit = 0;
    }
    for (size_t i = fit; i < count; i++) {
        count_drop(host, slots[i].tag, slots[i].time);
    }
}

static void put_long(struct south_host *host, const struct isthmus_sample *s)
{
    const struct plan_tag *tag = plan_find_tag(&host->g->plan, s->tag);
    uint64_t size = s->bytes ? s->value.u64 : 0;
    struct slot head = {.time = s->time_ns, .tag = s->tag | SLOT_LONG, .status = s->status};
    if (!tag || size > tag->max_length || size > SLOT_BYTES_MAX) {
        size = 0;
        head.status = (uint32_t)STATUS_BAD_RESPONSE_TOO_LARGE;
    }
    if (ring_put_record(&host->up, &head, s->bytes, (size_t)size)) {
        count_drop(host, s->tag, s->time_ns);
    }
}

static void publish(void *context, const struct isthmus_batch *batch)
{
    struct south_host *host = context;
    struct record_batch payload = {.clock_offset_ns = batch->clock_offset_ns,
                                   .clock_uncertainty_ns = batch->clock_uncertainty_ns};
    struct slot head = {
        .time = batch->acquired_ns, .tag = record_tag(RECORD_BATCH), .status = batch->device};
    if (!batch->count) {
        return;
    }
    if (ring_put_record(&host->up, &head, &payload, sizeof payload)) {
        for (size_t i = 0; i < batch->count; i++) { /* they must not join the batch before */
            count_drop(host, batch->samples[i].tag, batch->samples[i].time_ns);
        }
        return;
    }
    struct slot group[GROUP_SLOTS];
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct isthmus_sample *s = batch->samples + i;
        bool lengthy = is_long_tag(host, s->tag);
        if (!lengthy) {
            group[count++] = (struct slot){
                .time = s->time_ns, .value.u64 = s->value.u64, .tag = s->tag, .status = s->status};
        }
        if (count == GROUP_SLOTS || lengthy) {
            put_group(host, group, count);
            count = 0;
        }
        if (lengthy) {
            put_long(host, s);
        }
    }
    put_group(host, group, count);
}

static uint64_t room(void *context)
{
    struct south_host *host = context;
    return ring_room(&host->up);
}

/* ---- gaps ---- */

static bool put_gap(struct south_host *host, const struct record_gap *gap)
{
    struct slot head = {.time = clock_utc_ns(), .tag = record_tag(RECORD_GAP)};
    return ring_put_record(&host->up, &head, gap, sizeof *gap) == 0;
}

static void missed(void *context, uint32_t device, uint32_t tag, enum isthmus_missed why,
                   int64_t from_ns, int64_t to_ns, uint64_t count)
{
    static const uint32_t causes[] = {[ISTHMUS_MISSED_DOWN] = GAP_DEVICE_DOWN,
                                      [ISTHMUS_MISSED_ERROR] = GAP_DEVICE_ERROR,
                                      [ISTHMUS_MISSED_LATE] = GAP_POLL_LATE,
                                      [ISTHMUS_MISSED_OVERFLOW] = GAP_DEVICE_OVERFLOW,
                                      [ISTHMUS_MISSED_JUMP] = GAP_SEQUENCE_JUMP};
    struct south_host *host = context;
    struct south_device *d = south_device_find(host, device);
    if (!d || why < ISTHMUS_MISSED_DOWN || why > ISTHMUS_MISSED_JUMP || !count) {
        return;
    }
    struct record_gap gap = {.scope = tag ? GAP_TAG : GAP_DEVICE,
                             .which = tag ? tag : device,
                             .cause = causes[why],
                             .from_ns =
                                 from_ns < to_ns ? from_ns : to_ns, /* the clock was set back */
                             .to_ns = to_ns,
                             .missed = count};
    struct record_gap *waiting = d->gaps + (why - ISTHMUS_MISSED_DOWN);
    if (!waiting->missed && put_gap(host, &gap)) {
        return;
    }
    host->waiting = true;
    if (!waiting->missed) {
        *waiting = gap;
        return;
    }
    if (waiting->scope != gap.scope || waiting->which != gap.which) {
        waiting->scope = GAP_DEVICE; /* the wider truth, when there is no room for the exact one */
        waiting->which = device;
    }
    waiting->from_ns = from_ns < waiting->from_ns ? from_ns : waiting->from_ns;
    waiting->to_ns = to_ns > waiting->to_ns ? to_ns : waiting->to_ns;
    waiting->missed += count;
}

/* ---- states and figures ---- */

static struct device_panel *panel_of(const struct south_host *host, uint32_t device)
{
    return host->seat->devices + device;
}

static uint32_t panel_lock(struct device_panel *p)
{
    uint32_t version = atomic_load_explicit(&p->version, memory_order_relaxed) | 1u;
    atomic_store_explicit(&p->version, version, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    return version;
}

static void panel_unlock(struct device_panel *p, uint32_t version)
{
    atomic_store_explicit(&p->version, version + 1, memory_order_release);
}

/* Puts the event of the device's last state, if the ring has not got it yet. */
static bool announce(struct south_host *host, struct south_device *d)
{
    if (d->to_announce == d->announced) {
        return true;
    }
    struct device_panel *p = panel_of(host, d->config.index);
    struct record_event event = {.box = host->box, .device = d->config.index};
    char text[sizeof event.text + 1];
    text_from_words(p->reason, sizeof event.text / 8, text);
    memcpy(event.text, text, sizeof event.text);
    struct slot head = {
        .time = p->since_utc_ns, .tag = record_tag(RECORD_EVENT), .status = d->to_announce};
    if (ring_put_record(&host->up, &head, &event, sizeof event)) {
        host->waiting = true;
        return false;
    }
    d->announced = d->to_announce;
    return true;
}

static void state(void *context, uint32_t device, enum isthmus_state now, const char *reason)
{
    struct south_host *host = context;
    struct south_device *d = south_device_find(host, device);
    if (!d) {
        return;
    }
    struct device_panel *p = panel_of(host, device);
    uint32_t version = panel_lock(p);
    if (d->shown != now) {
        atomic_store_explicit(&p->since_utc_ns, clock_utc_ns(), memory_order_relaxed);
    }
    atomic_store_explicit(&p->state, now, memory_order_relaxed);
    words_from_text(p->reason, sizeof p->reason / sizeof *p->reason, reason ? reason : "");
    panel_unlock(p, version);
    d->shown = now;
    if (now == ISTHMUS_UP || now == ISTHMUS_DEGRADED) {
        d->to_announce = EVENT_DEVICE_UP;
    } else if (now == ISTHMUS_DOWN) {
        d->to_announce = EVENT_DEVICE_DOWN;
    }
    announce(host, d);
}

static void figures(void *context, uint32_t device, const struct isthmus_figures *f)
{
    struct south_host *host = context;
    struct south_device *d = south_device_find(host, device);
    if (!d) {
        return;
    }
    const uint64_t words[] = {f->requests,   f->replies,     f->timeouts,  f->exceptions,
                              f->reconnects, f->bytes_in,    f->bytes_out, f->latency_us,
                              f->in_flight,  f->transactions};
    struct device_panel *p = panel_of(host, device);
    uint32_t version = panel_lock(p);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        atomic_store_explicit(&p->figures[i], words[i], memory_order_relaxed);
    }
    if (f->replies != d->replies) {
        atomic_store_explicit(&p->last_reply_utc_ns, clock_utc_ns(), memory_order_relaxed);
    }
    panel_unlock(p, version);
    d->replies = f->replies;
}

void south_host_retry(struct south_host *host)
{
    if (!host->waiting) {
        return;
    }
    host->waiting = false;
    for (size_t i = 0; i < host->device_count; i++) {
        struct south_device *d = host->devices + i;
        announce(host, d);
        for (size_t k = 0; k < SOUTH_CAUSES; k++) {
            if (d->gaps[k].missed && put_gap(host, d->gaps + k)) {
                d->gaps[k].missed = 0;
            }
            host->waiting = host->waiting || d->gaps[k].missed;
        }
    }
    south_command_retry(host);
    south_browse_retry(host);
}

/* ---- the rest of the table ---- */

static int64_t now_utc(void *context)
{
    (void)context;
    return clock_utc_ns();
}

static int64_t now_mono(void *context)
{
    (void)context;
    return clock_mono_ns();
}

static void job_done(void *context, uint64_t job, uint32_t status, const char *text)
{
    if (job < SOUTH_COMMANDS_MAX) {
        south_command_done(context, job, status, text);
    } else {
        south_browse_done(context, job, status, text);
    }
}

static void item(void *context, uint64_t job, const struct isthmus_item *found)
{
    south_browse_item(context, job, found);
}

static void closed(void *context, uint32_t device)
{
    struct south_host *host = context;
    struct south_device *d = south_device_find(host, device);
    if (d && d->state) {
        d->state = NULL;
        host->open_count--;
        south_closed(host);
    }
}

static void log_text(void *context, const char *text)
{
    south_log(context, "%s", text);
}

void south_log(const struct south_host *host, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "isthmus: %s: %s\n", host->seat->name, text);
}

struct south_device *south_device_find(struct south_host *host, uint32_t index)
{
    if (index >= host->g->plan.header->devices.count || host->device_of[index] == PLAN_NONE) {
        return NULL;
    }
    return host->devices + host->device_of[index];
}

/* ---- life ---- */

static int copy_devices(struct south_host *host)
{
    const struct plan *plan = &host->g->plan;
    uint32_t all = plan->header->devices.count;
    host->device_of = malloc((all + 1) * sizeof *host->device_of);
    host->devices = calloc(all + 1, sizeof *host->devices);
    if (!host->device_of || !host->devices) {
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < all; i++) {
        bool own = plan->devices[i].box == host->box && !plan->devices[i].blanked;
        host->device_of[i] = own ? (uint32_t)host->device_count : PLAN_NONE;
        if (own) {
            struct south_device *d = host->devices + host->device_count++;
            d->config.index = i;
            d->config.name = plan_text(plan, plan->devices[i].name);
        }
    }
    return ERR_OK;
}

static int copy_tags(struct south_host *host)
{
    const struct plan *plan = &host->g->plan;
    uint32_t count = plan->header->tags.count;
    for (uint32_t i = 0; i < count; i++) {
        struct south_device *d = south_device_find(host, plan->tags[i].device);
        if (d) {
            d->config.tag_count++;
        }
    }
    for (size_t i = 0; i < host->device_count; i++) {
        struct south_device *d = host->devices + i;
        d->tags = calloc(d->config.tag_count + 1, sizeof *d->tags);
        if (!d->tags) {
            return ERR_NOMEM;
        }
        d->config.tags = d->tags;
        d->config.tag_count = 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct plan_tag *t = plan->tags + i;
        struct south_device *d = south_device_find(host, t->device);
        if (d) {
            d->tags[d->config.tag_count++] =
                (struct isthmus_tag){.id = t->id,
                                     .type = (enum isthmus_type)t->raw_type,
                                     .max_length = t->max_length,
                                     .address = plan_text(plan, t->address),
                                     .path = plan_text(plan, t->path)};
        }
    }
    return ERR_OK;
}

static int mark_long_tags(struct south_host *host)
{
    const struct plan *plan = &host->g->plan;
    uint32_t count = plan->header->tags.count;
    host->last_id = count ? plan->tags[count - 1].id : 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct plan_tag *t = plan->tags + i;
        if (!value_is_long((enum value_type)t->raw_type)) {
            continue;
        }
        if (!host->long_tags) {
            host->long_tags = calloc(host->last_id / 64 + 1, sizeof *host->long_tags);
            if (!host->long_tags) {
                return ERR_NOMEM;
            }
        }
        host->long_tags[t->id / 64] |= UINT64_C(1) << (t->id % 64);
    }
    return ERR_OK;
}

int south_host_init(struct south_host *host, struct gateway *g, uint32_t box)
{
    *host = (struct south_host){.g = g, .box = box, .seat = g->seats + SEAT_BOX + box};
    host->calls = (struct isthmus_host){.abi = ISTHMUS_DRIVER_ABI,
                                        .size = sizeof host->calls,
                                        .context = host,
                                        .loop = &host->loop,
                                        .now_utc = now_utc,
                                        .now_mono = now_mono,
                                        .publish = publish,
                                        .room = room,
                                        .missed = missed,
                                        .state = state,
                                        .figures = figures,
                                        .job_done = job_done,
                                        .item = item,
                                        .closed = closed,
                                        .log = log_text};
    const struct seat *s = host->seat;
    int err = ring_producer_init(&host->up, s->up, s->up_capacity, s->up_tail, s->to_engine_write);
    if (!err) {
        err = ring_consumer_init(&host->down, s->down, s->down_capacity, s->down_tail);
    }
    if (!err) {
        err = copy_devices(host);
    }
    if (!err) {
        err = copy_tags(host);
    }
    return err ? err : mark_long_tags(host);
}

void south_host_fini(struct south_host *host)
{
    for (size_t i = 0; i < host->device_count; i++) {
        free(host->devices[i].tags);
        free(host->devices[i].settings);
    }
    free(host->devices);
    free(host->device_of);
    free(host->long_tags);
}
