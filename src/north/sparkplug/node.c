/* SPDX-License-Identifier: Apache-2.0 */
/* The edge node (Sparkplug 3.0, chapter 5):
 *
 *   FETCHING ─▶ STORING ─▶ CONNECTING ─▶ WAITING ─▶ READING ─▶ BORN
 *      the last   the next    with the     for the    current     births, then the feeds are up
 *      bdSeq      is durable  will of it   primary    values
 *                    ▲                     host, if one is configured
 *                    └───────── IDLE ◀── any end of the connection; a new bdSeq each time
 *
 * A device is born when data of it follows, and dies when all its tags have lost their source and nothing came for a
 * while (tags.c, tick). Plain JSON alone has no births: it goes from CONNECTING to BORN. */
#include "north/sparkplug/sparkplug.h"

#include "box/tls_client.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BDSEQ_KEY "bdseq"

static int64_t loop_ms(const struct node *n)
{
    return (int64_t)uv_now(service_loop(n->host));
}

struct writer node_payload(struct node *n, int64_t now_ns)
{
    struct writer w = writer_of(n->out, n->out_size);
    payload_begin(&w, now_ns);
    return w;
}

static int publish_raw(struct node *n, const char *topic, const struct writer *w)
{
    struct mqtt_message m = {.topic = topic, .data = w->start, .size = writer_used(w)};
    if (w->bad || !n->mqtt) {
        return w->bad ? ERR_TOO_LONG : ERR_CLOSED;
    }
    return n->ops->publish(n->mqtt, &m);
}

int node_publish(struct node *n, const char *topic, struct writer *w)
{
    payload_end(w, n->seq++);
    return publish_raw(n, topic, w);
}

/* ---- Births and deaths. ---- */

static struct writer death_payload(struct node *n)
{
    int64_t now_ns = clock_utc_ns();
    struct writer w = node_payload(n, now_ns);
    metric_encode_named(&w, "bdSeq", VALUE_INT64, n->bdseq, now_ns);
    return w;
}

void node_device_birth(struct node *n, uint32_t place)
{
    struct node_device *d = n->devices + place;
    int64_t now_ns = clock_utc_ns();
    if (place == n->device_count - 1) {
        return; /* the node itself: born with the connection */
    }
    struct writer w = node_payload(n, now_ns);
    tags_births(n, place, &w, now_ns);
    node_publish(n, d->birth, &w);
    d->born = true;
    d->last_ms = loop_ms(n);
}

static void device_death(struct node *n, uint32_t place)
{
    struct writer w = node_payload(n, clock_utc_ns());
    node_publish(n, n->devices[place].death, &w);
    n->devices[place].born = false;
}

static void node_birth(struct node *n)
{
    uint32_t own = n->device_count - 1;
    int64_t now_ns = clock_utc_ns();
    struct writer w = node_payload(n, now_ns);
    metric_encode_named(&w, "bdSeq", VALUE_INT64, n->bdseq, now_ns);
    metric_encode_named(&w, "Node Control/Rebirth", VALUE_BOOL, 0, now_ns);
    tags_births(n, own, &w, now_ns);
    n->seq = 0;
    node_publish(n, n->devices[own].birth, &w);
    n->devices[own].born = true;
}

static void node_births(struct node *n)
{
    n->rebirth = false;
    n->birth_ms = loop_ms(n);
    node_birth(n);
    for (uint32_t p = 0; p + 1 < n->device_count; p++) {
        struct node_device *d = n->devices + p;
        d->born = false;
        if (d->count && d->lost < d->count) {
            node_device_birth(n, p);
        }
    }
}

/* ---- From the connection to the births. ---- */

static void be_born(struct node *n)
{
    n->state = NODE_BORN;
    n->last_why[0] = '\0';
    if (node_speaks_sparkplug(n)) {
        node_births(n);
    } else {
        n->birth_ms = loop_ms(n);
    }
    struct mqtt_message m = {.topic = n->options.online, .qos = 1, .retain = true};
    if (!node_speaks_sparkplug(n) && plain_online(n, true)) {
        m.data = n->json.text;
        m.size = n->json.size;
        n->ops->publish(n->mqtt, &m);
    }
    char text[96];
    snprintf(text, sizeof text, "%s:%u", n->options.ip, n->options.port);
    service_event(n->host, EVENT_FEED_UP, text);
    service_log(n->host, "connected to %s", text);
    feeds_up(n);
}

static void ask_now(struct node *n);

static void on_now(void *context, const struct answer *run, const struct slot *s, size_t count)
{
    struct node *n = context;
    (void)run;
    (void)count;
    uint32_t tag = slot_is_control(s) ? UINT32_MAX : tags_find(n, slot_id(s));
    if (tag != UINT32_MAX) {
        tags_note(n, tag, s);
        n->now_from = slot_id(s) + 1;
    }
}

static void on_now_end(void *context, const struct answer *end)
{
    struct node *n = context;
    n->now_ask = 0;
    if (n->state != NODE_READING || end->error) {
        return; /* the tick asks again */
    }
    if (end->more) {
        ask_now(n);
    } else {
        be_born(n);
    }
}

static void ask_now(struct node *n)
{
    struct ask ask = {
        .kind = ASK_NOW, .tag_from = n->now_from, .tag_to = SLOT_ID_MAX, .max_records = 4096};
    struct answer_handler handler = {.record = on_now, .end = on_now_end, .context = n};
    int request = service_ask(n->host, &ask, &handler);
    n->now_ask = request > 0 ? (uint32_t)request : 0;
}

static void proceed(struct node *n)
{
    bool host_missing = *n->options.primary && !n->primary_online;
    if (node_speaks_sparkplug(n) && host_missing) {
        n->state = NODE_WAITING;
    } else if (node_speaks_sparkplug(n)) {
        n->state = NODE_READING;
        n->now_from = 1;
        ask_now(n);
    } else {
        be_born(n);
    }
}

/* ---- The connection's events. ---- */

static void on_up(void *context)
{
    struct node *n = context;
    if (n->state == NODE_CONNECTING) {
        proceed(n);
    }
}

static void retry_later(struct node *n);
static void node_leave(struct node *n);
static void finish(struct node *n);

static void on_down(void *context, const char *why)
{
    struct node *n = context;
    bool born = n->state == NODE_BORN;
    n->mqtt = NULL;
    if (n->now_ask) {
        service_forget(n->host, n->now_ask);
        n->now_ask = 0;
    }
    if (born) {
        feeds_down(n);
        service_event(n->host, EVENT_FEED_DOWN, why ? why : "disconnected");
    }
    const char *refusal = tls_client_refusal(n->options.tls);
    why = why && refusal ? refusal : why;
    if (why && strcmp(why, n->last_why) != 0) {
        service_log(n->host, "no connection to %s:%u: %s", n->options.ip, n->options.port, why);
        snprintf(n->last_why, sizeof n->last_why, "%s", why);
    }
    if (born && loop_ms(n) - n->birth_ms > 10000) {
        n->retry_ms = n->options.retry_min_ms; /* it was a good connection */
    }
    n->state = NODE_IDLE;
    if (n->stopping) {
        finish(n);
    } else {
        retry_later(n);
    }
}

static void on_state(struct node *n, const char *topic, const void *data, size_t size)
{
    bool online;
    int64_t time_ms;
    if (strcmp(topic + strlen("spBv1.0/STATE/"), n->options.primary) != 0 ||
        state_parse(data, size, &online, &time_ms) || time_ms < n->primary_ms) {
        return;
    }
    n->primary_ms = time_ms;
    n->primary_online = online;
    if (online && n->state == NODE_WAITING) {
        proceed(n);
    } else if (!online && (n->state == NODE_READING || n->state == NODE_BORN)) {
        service_log(n->host, "the primary host %s is offline: holding back", n->options.primary);
        node_leave(n);
    }
}

static void on_message(void *context, const char *topic, const void *data, size_t size)
{
    struct node *n = context;
    const char *device;
    switch (topic_parse(topic, n->options.group, n->options.id, &device)) {
    case TOPIC_NCMD:
        n->rebirth |= command_take(n, data, size, true);
        break;
    case TOPIC_DCMD:
        command_take(n, data, size, false);
        break;
    case TOPIC_STATE:
        on_state(n, topic, data, size);
        break;
    case TOPIC_OTHER:
        break;
    }
    if (n->rebirth && n->state == NODE_BORN && loop_ms(n) - n->birth_ms >= REBIRTH_MS) {
        node_births(n);
    }
}

static void on_acked(void *context, int id)
{
    feeds_acked(context, id);
}

static void node_leave(struct node *n)
{
    bool born = n->state == NODE_BORN;
    if (born && node_speaks_sparkplug(n)) {
        struct writer w = death_payload(n);
        publish_raw(n, n->devices[n->device_count - 1].death, &w);
    }
    if (born && !node_speaks_sparkplug(n) && plain_online(n, false)) {
        struct mqtt_message m = {
            .topic = n->options.online, .data = n->json.text, .size = n->json.size, .retain = true};
        n->ops->publish(n->mqtt, &m);
    }
    if (born) {
        feeds_down(n);
        service_event(n->host, EVENT_FEED_DOWN, "left");
    }
    n->state = NODE_LEAVING;
    if (n->mqtt) {
        n->ops->shutdown(n->mqtt);
    } else {
        on_down(n, NULL);
    }
}

/* ---- Connecting. ---- */

static void fill_config(struct node *n, struct mqtt_config *c)
{
    const struct node_options *o = &n->options;
    *c = (struct mqtt_config){.loop = service_loop(n->host),
                              .ip = o->ip,
                              .port = o->port,
                              .client_id = o->client_id,
                              .username = *o->username ? o->username : NULL,
                              .password = *o->password ? o->password : NULL,
                              .keepalive_s = o->keepalive_s,
                              .timeout_ms = o->timeout_ms,
                              .tls = o->tls};
    if (node_speaks_sparkplug(n)) {
        struct writer w = death_payload(n);
        c->will = (struct mqtt_message){.topic = n->devices[n->device_count - 1].death,
                                        .data = w.start,
                                        .size = writer_used(&w),
                                        .qos = 1};
    } else if (plain_online(n, false)) {
        c->will = (struct mqtt_message){.topic = o->online,
                                        .data = n->json.text,
                                        .size = n->json.size,
                                        .qos = 1,
                                        .retain = true};
    }
}

/* What was renewed since; what can't be read leaves what was there before. */
static void renew_files(struct node *n)
{
    const struct node_options *o = &n->options;
    char why[sizeof n->last_why];
    if (o->tls && tls_client_load(o->tls, o->ca, o->cert, o->key, why, sizeof why) &&
        strcmp(why, n->last_why) != 0) {
        service_log(n->host, "%s", why);
        snprintf(n->last_why, sizeof n->last_why, "%s", why);
    }
    service_certificate(n->host, tls_client_ends_ns(o->tls));
}

static void open_connection(struct node *n)
{
    const struct node_options *o = &n->options;
    static const struct mqtt_events events_of = {on_up, on_down, on_message, on_acked, NULL};
    struct mqtt_events events = events_of;
    struct mqtt_config config;
    char ncmd[2 * TOPIC_MAX + 16], dcmd[2 * TOPIC_MAX + 16], state[TOPIC_MAX + 16];
    const char *topics[] = {ncmd, dcmd, state};
    snprintf(ncmd, sizeof ncmd, "spBv1.0/%s/NCMD/%s", o->group, o->id);
    snprintf(dcmd, sizeof dcmd, "spBv1.0/%s/DCMD/%s/+", o->group, o->id);
    snprintf(state, sizeof state, "spBv1.0/STATE/%s", o->primary);
    renew_files(n);
    fill_config(n, &config);
    config.topics = topics;
    config.topic_count = !node_speaks_sparkplug(n) ? 0 : *o->primary ? 3 : 2;
    events.context = n;
    n->primary_online = false;
    n->primary_ms = 0;
    n->rebirth = false;
    n->state = NODE_CONNECTING;
    n->mqtt = n->ops->open(&config, &events);
    if (!n->mqtt) {
        on_down(n, "out of memory");
    }
}

static void on_stored(void *context, int error, const void *value, size_t size)
{
    struct node *n = context;
    (void)value;
    (void)size;
    if (n->state != NODE_STORING) {
        return;
    }
    if (error) {
        on_down(n, err_text(error));
    } else {
        open_connection(n);
    }
}

static void node_connect(struct node *n)
{
    if (!node_speaks_sparkplug(n)) {
        open_connection(n);
        return;
    }
    n->state = NODE_STORING;
    n->bdseq++;
    int err = service_store(n->host, BDSEQ_KEY, &n->bdseq, sizeof n->bdseq, on_stored, n);
    if (err) {
        on_down(n, err_text(err));
    }
}

static void on_fetched(void *context, int error, const void *value, size_t size)
{
    struct node *n = context;
    if (n->state != NODE_FETCHING) {
        return;
    }
    if (error) {
        on_down(n, err_text(error));
        return;
    }
    n->bdseq = size == 1 ? *(const uint8_t *)value : UINT8_MAX; /* the first is 0 */
    n->fetched = true;
    node_connect(n);
}

static void node_fetch(struct node *n)
{
    if (!node_speaks_sparkplug(n) || n->fetched) {
        node_connect(n);
        return;
    }
    n->state = NODE_FETCHING;
    int err = service_fetch(n->host, BDSEQ_KEY, on_fetched, n);
    if (err) {
        on_down(n, err_text(err));
    }
}

/* ---- Time. ---- */

static uint64_t random_next(struct node *n)
{
    n->random ^= n->random << 13; /* xorshift64: for jitter only */
    n->random ^= n->random >> 7;
    n->random ^= n->random << 17;
    return n->random;
}

static void on_retry(uv_timer_t *timer)
{
    node_fetch(timer->data);
}

/* The wait doubles up to the limit, give or take a quarter, so that many gateways do not come back all at once. */
static void retry_later(struct node *n)
{
    uint64_t wait_ms = n->retry_ms * 3 / 4 + random_next(n) % (n->retry_ms / 2 + 1);
    uv_timer_start(&n->retry, on_retry, wait_ms, 0);
    n->retry_ms =
        n->retry_ms < n->options.retry_max_ms / 2 ? n->retry_ms * 2 : n->options.retry_max_ms;
}

static void bury(struct node *n)
{
    for (uint32_t p = 0; p + 1 < n->device_count; p++) {
        const struct node_device *d = n->devices + p;
        if (d->born && d->lost == d->count && loop_ms(n) - d->last_ms >= QUIET_MS) {
            device_death(n, p);
        }
    }
}

static void node_tick(struct node *n)
{
    if (n->state == NODE_READING && !n->now_ask) {
        ask_now(n);
    }
    if (n->state == NODE_BORN) {
        if (n->rebirth && loop_ms(n) - n->birth_ms >= REBIRTH_MS) {
            node_births(n);
        }
        if (node_speaks_sparkplug(n)) {
            bury(n);
        }
        feeds_tick(n);
    }
    command_report(n);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct node *n = handle->data;
    if (--n->handles == 0) {
        service_stopped(n->host);
    }
}

static void finish(struct node *n)
{
    if (!uv_is_closing((uv_handle_t *)&n->tick)) {
        uv_close((uv_handle_t *)&n->tick, on_handle_closed);
        uv_close((uv_handle_t *)&n->retry, on_handle_closed);
        uv_close((uv_handle_t *)&n->pace, on_handle_closed);
    }
}

static void on_tick(uv_timer_t *timer)
{
    node_tick(timer->data);
}

int node_start(struct node *n)
{
    if (uv_timer_init(service_loop(n->host), &n->tick) ||
        uv_timer_init(service_loop(n->host), &n->retry) ||
        uv_timer_init(service_loop(n->host), &n->pace)) {
        return ERR_IO;
    }
    n->handles = 3;
    n->tick.data = n->retry.data = n->pace.data = n;
    uv_timer_start(&n->tick, on_tick, TICK_MS, TICK_MS);
    n->retry_ms = n->options.retry_min_ms;
    n->random = (uint64_t)clock_utc_ns() | 1;
    node_fetch(n);
    return ERR_OK;
}

void node_stop(struct node *n)
{
    n->stopping = true;
    uv_timer_stop(&n->retry);
    node_leave(n);
}
