/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds: records of an answer are a batch. They are put in order by device (an answer may mix devices; a message may not),
 * published at QoS 0, gaps behind them and the marker last at QoS 1. The broker takes what one connection sends in order,
 * so the marker's acknowledgement says that all before it arrived: then the answer's stretch is confirmed.
 *
 *   ask ─▶ records ─▶ end ─▶ DDATA… gaps… marker ─▶ acknowledged ─▶ confirm
 *
 * At most options.in_flight batches are under way; what the sink does not take stays in the journal. */
#include "north/sparkplug/sparkplug.h"

#include "base/clock.h"
#include "tag/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

static size_t slots_max(const struct node *n)
{
    return 4 * (size_t)n->options.batch + 2 * SLOT_RECORD_MAX;
}

int feeds_init(struct node *n, char *why, size_t why_size)
{
    const struct plan *plan = n->plan;
    n->feeds = calloc(plan->header->feeds.count + 1u, sizeof *n->feeds);
    for (uint32_t i = 0; n->feeds && i < plan->header->feeds.count; i++) {
        if (plan->feeds[i].box != service_box(n->host)) {
            continue;
        }
        struct node_feed *f = n->feeds + n->feed_count++;
        f->node = n;
        f->index = i;
        f->name = plan_text(plan, plan->feeds[i].name);
        f->entries = calloc(n->options.batch, sizeof *f->entries);
        f->gaps = calloc(n->options.batch, sizeof *f->gaps);
        f->slots = calloc(slots_max(n), sizeof *f->slots);
        if (!f->entries || !f->gaps || !f->slots) {
            snprintf(why, why_size, "out of memory");
            return ERR_NOMEM;
        }
    }
    if (!n->feed_count) {
        snprintf(why, why_size, "no feed names this service: it would have nothing to send");
        return ERR_CONFIG;
    }
    return ERR_OK;
}

void feeds_fini(struct node *n)
{
    for (uint32_t i = 0; i < n->feed_count; i++) {
        free(n->feeds[i].entries);
        free(n->feeds[i].gaps);
        free(n->feeds[i].slots);
    }
    free(n->feeds);
}

/* ---- A batch to messages. ---- */

static void link_entry(struct node *n, struct node_feed *f, uint32_t index)
{
    uint32_t place = n->tags[f->entries[index].tag].place;
    struct node_device *d = n->devices + place;
    if (!d->touched) {
        d->touched = true;
        d->head = index;
        n->touched[n->touched_count++] = place;
    } else {
        f->entries[d->tail].next = index;
    }
    d->tail = index;
    f->entries[index].next = NONE;
}

static inline void encode(struct node *n, struct node_feed *f, const struct entry *e,
                          struct writer *w)
{
    const struct node_tag *t = n->tags + e->tag;
    const struct slot *s = f->slots + e->slot;
    struct metric_sample sample = {
        .time_ns = s->time,
        .value = s->value,
        .bytes = slot_payload(s),
        .status = s->status,
        .is_null = status_severity(s->status) == SEVERITY_BAD,
        .is_historical = e->historical,
        .epoch = e->epoch,
        .sequence = e->sequence,
    };
    metric_encode(w, &t->shape, &sample, NULL);
    if (!e->historical) {
        tags_note(n, e->tag, s);
    }
}

static void publish_device(struct node *n, struct node_feed *f, uint32_t place)
{
    struct node_device *d = n->devices + place;
    if (!d->born) {
        node_device_birth(n, place);
    }
    int64_t now_ns = clock_utc_ns();
    for (uint32_t at = d->head; at != NONE;) {
        struct writer w = node_payload(n, now_ns);
        for (uint32_t count = 0;
             at != NONE && count < DATA_METRICS_MAX && writer_used(&w) < DATA_SIZE; count++) {
            encode(n, f, f->entries + at, &w);
            at = f->entries[at].next;
        }
        if (node_publish(n, d->data, &w) < 0) {
            return;
        }
    }
    d->last_ms = (int64_t)uv_now(service_loop(n->host));
}

static void publish_json(struct node *n, const char *topic, int qos, bool retain, int *id)
{
    struct mqtt_message m = {
        .topic = topic, .data = n->json.text, .size = n->json.size, .qos = qos, .retain = retain};
    *id = n->mqtt ? n->ops->publish(n->mqtt, &m) : ERR_CLOSED;
}

/* Publishes what has come, without a marker. */
static void flush(struct node_feed *f)
{
    struct node *n = f->node;
    int id;
    n->touched_count = 0;
    for (uint32_t i = 0; i < f->entry_count; i++) {
        const struct entry *e = f->entries + i;
        if (e->tag == NONE) {
            continue; /* a gap */
        }
        if (node_speaks_sparkplug(n)) {
            link_entry(n, f, i);
        }
        if (n->tags[e->tag].topic && plain_sample(n, n->tags + e->tag, f->slots + e->slot, e)) {
            publish_json(n, n->tags[e->tag].topic, 0, n->options.json_retain && !e->historical,
                         &id);
        }
    }
    for (uint32_t i = 0; i < n->touched_count; i++) {
        publish_device(n, f, n->touched[i]);
        n->devices[n->touched[i]].touched = false;
    }
    for (uint32_t i = 0; i < f->gap_count; i++) {
        const struct entry *e = f->entries + f->gaps[i];
        if (plain_gap(n, f, f->slots + e->slot, e)) {
            publish_json(n, n->options.gap, 1, false, &id);
        }
    }
    f->published += f->entry_count;
    f->entry_count = f->gap_count = 0;
    f->slot_count = 0;
}

/* ---- Records in. ---- */

static void next(struct node_feed *f);
static void go_on(struct node *n);

static void on_pace(uv_timer_t *timer)
{
    go_on(timer->data);
}

/* The source of these tags is gone, as the gateway itself says; only what is live counts. */
static void on_event(struct node *n, const struct slot *s)
{
    struct record_event event = {0};
    size_t size = (size_t)s->value.u64;
    memcpy(&event, slot_payload(s), size < sizeof event ? size : sizeof event);
    for (uint32_t p = 0; p + 1 < n->device_count; p++) {
        bool device = s->status == EVENT_DEVICE_DOWN && event.device == p;
        bool box = s->status == EVENT_BOX_STOP && event.box == n->plan->devices[p].box;
        if ((device || box) && n->devices[p].birth) {
            tags_lose(n, p);
        }
    }
}

static void on_record(void *context, const struct answer *run, const struct slot *s, size_t count)
{
    struct node_feed *f = context;
    struct node *n = f->node;
    bool historical = (run->flags & ANSWER_BACKLOG) != 0, gap = false;
    if (n->state != NODE_BORN || count > SLOT_RECORD_MAX) {
        return;
    }
    uint32_t tag = NONE;
    if (slot_is_control(s)) {
        gap = record_kind(s) == RECORD_GAP;
        if (record_kind(s) == RECORD_EVENT && !historical) {
            flush(f); /* what came before it is said before it */
            on_event(n, s);
        }
    } else {
        tag = tags_find(n, slot_id(s));
    }
    if (!gap && (tag == NONE || value_is_long(n->tags[tag].shape.type) != slot_is_long(s))) {
        return;
    }
    if (f->entry_count == n->options.batch || f->slot_count + count > slots_max(n)) {
        flush(f);
    }
    if (gap) {
        f->gaps[f->gap_count++] = f->entry_count;
    }
    f->entries[f->entry_count++] = (struct entry){.epoch = run->epoch,
                                                  .sequence = run->first_sequence,
                                                  .slot = (uint32_t)f->slot_count,
                                                  .tag = tag,
                                                  .historical = historical};
    slots_copy(f->slots + f->slot_count, s, count);
    f->slot_count += count;
}

/* ---- Confirmation. ---- */

/* Tells the reader, in order, what the broker has confirmed. */
static void settle(struct node_feed *f)
{
    uint32_t done = 0;
    while (done < f->count && f->in_flight[done].confirmed) {
        struct ask ask = {
            .kind = ASK_FEED_CONFIRM, .feed = f->index, .confirm = f->in_flight[done].covers};
        if (service_ask(f->node->host, &ask, NULL) < 0) {
            break; /* the ring is full: at the next tick */
        }
        done++;
    }
    f->count -= done;
    memmove(f->in_flight, f->in_flight + done, f->count * sizeof *f->in_flight);
}

static void on_end(void *context, const struct answer *end)
{
    struct node_feed *f = context;
    struct node *n = f->node;
    f->ask = 0;
    if (n->state != NODE_BORN || f->state != FEED_LIVE) {
        return;
    }
    if (end->error) { /* the reader was restarted: begin again, at the next tick */
        f->state = FEED_IDLE;
        f->entry_count = f->gap_count = f->published = 0;
        f->slot_count = 0;
        return;
    }
    flush(f);
    struct in_flight batch = {.covers = end->covers, .confirmed = f->published == 0};
    f->published = 0;
    if (!batch.confirmed) {
        bool built = plain_marker(n, f, end->covers);
        publish_json(n, n->options.marker, 1, false, &batch.id);
        if (!built || batch.id < 0) {
            return; /* never confirmed; the connection's end follows */
        }
    }
    f->in_flight[f->count++] = batch;
    if (!batch.confirmed) {
        uv_timer_start(&n->pace, on_pace, PACE_MS, 0);
    }
    settle(f);
    next(f);
}

static void next(struct node_feed *f)
{
    struct node *n = f->node;
    if (n->state != NODE_BORN || f->state != FEED_LIVE || f->ask ||
        f->count >= n->options.in_flight || uv_is_active((uv_handle_t *)&n->pace)) {
        return;
    }
    struct ask ask = {.kind = ASK_FEED_NEXT, .feed = f->index, .max_records = n->options.batch};
    struct answer_handler handler = {.record = on_record, .end = on_end, .context = f};
    int request = service_ask(n->host, &ask, &handler);
    f->ask = request > 0 ? (uint32_t)request : 0; /* else at the next tick */
}

static void go_on(struct node *n)
{
    for (uint32_t i = 0; i < n->feed_count; i++) {
        settle(n->feeds + i);
        next(n->feeds + i);
    }
}

void feeds_acked(struct node *n, int id)
{
    for (uint32_t i = 0; i < n->feed_count; i++) {
        struct node_feed *f = n->feeds + i;
        for (uint32_t k = 0; k < f->count; k++) {
            if (f->in_flight[k].id == id && !f->in_flight[k].confirmed) {
                f->in_flight[k].confirmed = true;
                if (!uv_is_active((uv_handle_t *)&n->pace)) {
                    settle(f);
                    next(f);
                } /* else one message to the reader says both */
                return;
            }
        }
    }
}

/* ---- Up and down. ---- */

static void on_risen(void *context, const struct answer *end)
{
    struct node_feed *f = context;
    f->ask = 0;
    if (f->state == FEED_RISING) {
        f->state = end->error ? FEED_IDLE : FEED_LIVE;
        next(f);
    }
}

static void begin(struct node_feed *f)
{
    struct ask ask = {.kind = ASK_FEED_UP, .feed = f->index};
    struct answer_handler handler = {.end = on_risen, .context = f};
    int request = service_ask(f->node->host, &ask, &handler);
    if (request > 0) {
        f->ask = (uint32_t)request;
        f->state = FEED_RISING;
    }
}

void feeds_up(struct node *n)
{
    for (uint32_t i = 0; i < n->feed_count; i++) {
        begin(n->feeds + i);
    }
}

void feeds_down(struct node *n)
{
    for (uint32_t i = 0; i < n->feed_count; i++) {
        struct node_feed *f = n->feeds + i;
        if (f->ask) {
            service_forget(n->host, f->ask);
            f->ask = 0;
        }
        settle(f);
        struct ask ask = {.kind = ASK_FEED_DOWN, .feed = f->index};
        if (f->state != FEED_IDLE && service_ask(n->host, &ask, NULL) < 0) {
            service_log(n->host, "feed %s: no room to say that it is down", f->name);
        }
        f->state = FEED_IDLE;
        f->count = f->entry_count = f->gap_count = f->published = 0;
        f->slot_count = 0;
    }
}

void feeds_tick(struct node *n)
{
    for (uint32_t i = 0; i < n->feed_count; i++) {
        struct node_feed *f = n->feeds + i;
        if (f->state == FEED_IDLE) {
            begin(f);
        }
    }
    go_on(n);
}
