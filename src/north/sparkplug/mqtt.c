/* SPDX-License-Identifier: Apache-2.0 */
/* libmosquitto with the loop outside: the socket is watched by uv_poll, its timers are served each second.
 *
 * libmosquitto may not be destroyed, and its socket not be watched any more, from within its call-backs; so these only
 * note what happened, and `settle`, at the end of each of our entries, acts on it. Failures of calls that come from
 * above are told through a timer, so that no event is raised within a call. */
#include "north/sparkplug/mqtt.h"

#include <errno.h>
#include <mosquitto.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define SERVE_MS    1000u
#define SHUTDOWN_MS 500u

struct mqtt {
    struct mosquitto *client;
    struct mqtt_events events;
    uv_poll_t poll;
    uv_timer_t serve, limit, tell;
    int handles; /* open ones */
    int fd;      /* that poll watches, -1: none */
    int poll_events;
    int subscribe_id;
    bool up, tell_up, ended, leaving, freed;
    bool reading;  /* on_publish is an acknowledgement only then; else QoS 0 has left */
    char why[160]; /* the first reason */
    uint32_t topic_count;
    char *topics[];
};

static void fail(struct mqtt *m, const char *why)
{
    if (!m->ended) {
        m->ended = true;
        snprintf(m->why, sizeof m->why, "%s", why);
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct mqtt *m = handle->data;
    if (--m->handles == 0) {
        for (uint32_t i = 0; i < m->topic_count; i++) {
            free(m->topics[i]);
        }
        free(m);
    }
}

static void unwatch(struct mqtt *m)
{
    if (m->fd >= 0) {
        m->fd = -1;
        uv_close((uv_handle_t *)&m->poll, on_handle_closed);
    }
}

static void mqtt_free(struct mqtt *m)
{
    if (!m || m->freed) {
        return;
    }
    m->freed = true;
    unwatch(m);
    mosquitto_destroy(m->client); /* closes the socket */
    m->client = NULL;
    uv_close((uv_handle_t *)&m->serve, on_handle_closed);
    uv_close((uv_handle_t *)&m->limit, on_handle_closed);
    uv_close((uv_handle_t *)&m->tell, on_handle_closed);
}

static void settle(struct mqtt *m);

/* Many brokers leave Nagle's algorithm on: what they send next, a command perhaps, waits until the last bytes are
 * acknowledged. Linux forgets the option by itself (tcp(7)); where it can't be set, commands come later. */
static void acknowledge_now(int fd)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct mqtt *m = poll->data;
    int rc = MOSQ_ERR_SUCCESS;
    if (status < 0 || (events & UV_READABLE)) {
        m->reading = true;
        rc = mosquitto_loop_read(m->client, 1);
        m->reading = false;
        if (!rc && m->fd >= 0) {
            acknowledge_now(m->fd);
        }
    }
    if (!rc && !m->ended && (events & UV_WRITABLE)) {
        rc = mosquitto_loop_write(m->client, 1);
    }
    if (rc) {
        fail(m, rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc));
    }
    settle(m);
}

static void watch(struct mqtt *m)
{
    int fd = mosquitto_socket(m->client);
    if (m->fd >= 0 && m->fd != fd) {
        unwatch(m);
    }
    if (fd < 0) {
        fail(m, "connection lost");
        return;
    }
    if (m->fd < 0) {
        if (uv_poll_init(m->serve.loop, &m->poll, fd)) {
            fail(m, "cannot watch the socket");
            return;
        }
        m->poll.data = m;
        m->handles++;
        m->fd = fd;
        m->poll_events = 0;
    }
    int events = UV_READABLE | (mosquitto_want_write(m->client) ? UV_WRITABLE : 0);
    if (events != m->poll_events) {
        m->poll_events = events;
        uv_poll_start(&m->poll, events, on_poll);
    }
}

/* The end of each entry from the loop: events are raised here, and the poll follows what the client wants. */
static void settle(struct mqtt *m)
{
    if (m->tell_up && !m->ended) {
        m->tell_up = false;
        uv_timer_stop(&m->limit);
        m->events.up(m->events.context);
        if (m->freed) {
            return;
        }
    }
    if (!m->ended) {
        watch(m);
    }
    if (m->ended) {
        unwatch(m); /* before its number can be given to another */
        uv_timer_stop(&m->tell);
        struct mqtt_events events = m->events;
        char why[sizeof m->why];
        memcpy(why, m->why, sizeof why);
        bool leaving = m->leaving;
        mqtt_free(m);
        events.down(events.context, leaving ? NULL : why);
    }
}

static void on_tell(uv_timer_t *timer)
{
    settle(timer->data);
}

/* After an entry from above: the poll is set now, an end is told later. */
static void settle_later(struct mqtt *m)
{
    if (!m->ended) {
        watch(m);
    }
    if (m->ended) {
        uv_timer_start(&m->tell, on_tell, 0, 0);
    }
}

static void on_serve(uv_timer_t *timer)
{
    struct mqtt *m = timer->data;
    int rc = mosquitto_loop_misc(m->client);
    if (rc) {
        fail(m, rc == MOSQ_ERR_NO_CONN ? "connection lost" : mosquitto_strerror(rc));
    }
    settle(m);
}

static void on_limit(uv_timer_t *timer)
{
    struct mqtt *m = timer->data;
    fail(m, "no answer in time");
    settle(m);
}

/* ---- libmosquitto's call-backs: only notes. ---- */

static void on_connect(struct mosquitto *client, void *context, int code)
{
    struct mqtt *m = context;
    if (code) {
        fail(m, mosquitto_connack_string(code));
        return;
    }
    if (!m->topic_count) {
        m->up = m->tell_up = true;
        return;
    }
    int rc = mosquitto_subscribe_multiple(client, &m->subscribe_id, (int)m->topic_count, m->topics,
                                          1, 0, NULL);
    if (rc) {
        fail(m, mosquitto_strerror(rc));
    }
}

static void on_subscribe(struct mosquitto *client, void *context, int id, int count,
                         const int *granted)
{
    struct mqtt *m = context;
    (void)client;
    if (id != m->subscribe_id || m->up) {
        return;
    }
    for (int i = 0; i < count; i++) {
        if (granted[i] > 2) {
            fail(m, "the broker refuses a subscription");
        }
    }
    m->up = m->tell_up = true;
}

static void on_disconnect(struct mosquitto *client, void *context, int code)
{
    (void)client;
    fail(context, code ? mosquitto_strerror(code) : "disconnected");
}

static void on_message(struct mosquitto *client, void *context,
                       const struct mosquitto_message *message)
{
    struct mqtt *m = context;
    (void)client;
    if (message->topic && message->payloadlen >= 0) {
        m->events.message(m->events.context, message->topic,
                          message->payload ? message->payload : "", (size_t)message->payloadlen);
    }
}

static void on_publish(struct mosquitto *client, void *context, int id)
{
    struct mqtt *m = context;
    (void)client;
    if (m->reading) {
        m->events.acked(m->events.context, id);
    }
}

/* ---- The way from above. ---- */

static int set_up(struct mqtt *m, const struct mqtt_config *c)
{
    const struct mqtt_message *will = &c->will;
    mosquitto_connect_callback_set(m->client, on_connect);
    mosquitto_disconnect_callback_set(m->client, on_disconnect);
    mosquitto_subscribe_callback_set(m->client, on_subscribe);
    mosquitto_message_callback_set(m->client, on_message);
    mosquitto_publish_callback_set(m->client, on_publish);
    int rc = mosquitto_int_option(m->client, MOSQ_OPT_TCP_NODELAY, 1);
    rc = rc ? rc : mosquitto_max_inflight_messages_set(m->client, 0); /* we count ourselves */
    if (!rc && will->topic) {
        rc = mosquitto_will_set(m->client, will->topic, (int)will->size, will->data, will->qos,
                                will->retain);
    }
    if (!rc && c->username) {
        rc = mosquitto_username_pw_set(m->client, c->username, c->password);
    }
    if (!rc && c->tls) {
        rc = mosquitto_int_option(m->client, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
        rc = rc ? rc : mosquitto_void_option(m->client, MOSQ_OPT_SSL_CTX, c->tls);
    }
    return rc ? rc : mosquitto_connect_async(m->client, c->ip, c->port, (int)c->keepalive_s);
}

static bool copy_topics(struct mqtt *m, const struct mqtt_config *c)
{
    for (uint32_t i = 0; i < c->topic_count; i++) {
        m->topics[i] = strdup(c->topics[i]);
        if (!m->topics[i]) {
            return false;
        }
        m->topic_count++;
    }
    return true;
}

static void start_timers(struct mqtt *m, const struct mqtt_config *c)
{
    uv_timer_t *timers[] = {&m->serve, &m->limit, &m->tell};
    for (int i = 0; i < 3; i++) {
        uv_timer_init(c->loop, timers[i]);
        timers[i]->data = m;
        m->handles++;
    }
    uv_timer_start(&m->serve, on_serve, SERVE_MS, SERVE_MS);
    uv_timer_start(&m->limit, on_limit, c->timeout_ms, 0);
}

static struct mqtt *mqtt_open(const struct mqtt_config *c, const struct mqtt_events *events)
{
    struct mqtt *m = calloc(1, sizeof *m + c->topic_count * sizeof m->topics[0]);
    if (!m) {
        return NULL;
    }
    m->fd = -1;
    m->events = *events;
    m->client = mosquitto_new(c->client_id, true, m);
    if (!m->client || !copy_topics(m, c)) {
        mosquitto_destroy(m->client);
        for (uint32_t i = 0; i < m->topic_count; i++) {
            free(m->topics[i]);
        }
        free(m);
        return NULL;
    }
    start_timers(m, c);
    int rc = set_up(m, c);
    if (rc) {
        fail(m, rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc));
    }
    settle_later(m);
    return m;
}

static int mqtt_publish(struct mqtt *m, const struct mqtt_message *message)
{
    int id = 0;
    if (m->ended || m->leaving) {
        return ERR_CLOSED;
    }
    int rc = mosquitto_publish(m->client, &id, message->topic, (int)message->size, message->data,
                               message->qos, message->retain);
    if (rc) {
        fail(m, mosquitto_strerror(rc));
    }
    settle_later(m);
    return rc ? ERR_CLOSED : id;
}

static void mqtt_shutdown(struct mqtt *m)
{
    m->leaving = true;
    if (!m->ended && mosquitto_disconnect(m->client)) {
        fail(m, "disconnected");
    }
    uv_timer_start(&m->limit, on_limit, SHUTDOWN_MS, 0);
    settle_later(m);
}

const struct mqtt_ops mqtt_libmosquitto = {mqtt_open, mqtt_publish, mqtt_shutdown, mqtt_free};
