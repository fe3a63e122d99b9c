/* SPDX-License-Identifier: Apache-2.0 */
/* Requests may be pipelined: as many whole frames as a read brought are answered in one write. A client that does not read
 * its answers is cut off when the kernel's buffer is full. Handles hold the server alive; the last to close frees it. */
#include "sim/server.h"

#include "base/err.h"
#include "sim/answer.h"

#include <stdlib.h>
#include <string.h>

#define INPUT_MAX 4096

struct client {
    uv_tcp_t tcp;
    struct server *server;
    struct client *next;
    uint64_t heard_ms; /* loop's time of the last whole request */
    uint8_t input[INPUT_MAX];
    size_t used;
};

struct server {
    uv_tcp_t listener;
    uv_timer_t sweep;
    struct plc *plc;
    struct client *clients; /* those that are not closing */
    uint64_t idle_ms;
    int count, handles;
};

static void release(struct server *s)
{
    if (--s->handles == 0) {
        free(s);
    }
}

static void on_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void on_client_closed(uv_handle_t *handle)
{
    struct client *c = handle->data;
    release(c->server);
    free(c);
}

static void drop(struct client *c)
{
    struct server *s = c->server;
    for (struct client **at = &s->clients; *at; at = &(*at)->next) {
        if (*at == c) {
            *at = c->next;
            s->count--;
            uv_close((uv_handle_t *)&c->tcp, on_client_closed);
            return;
        }
    }
}

/* Answers whole frames of the input as long as their replies have room. How many bytes they were, or -1: no Modbus. */
static int answer_some(struct client *c, uint8_t *replies, size_t size, size_t *filled)
{
    size_t at = 0;
    *filled = 0;
    while (c->used - at >= 6 && size - *filled >= MODBUS_FRAME_MAX) {
        size_t frame = 6u + (size_t)(c->input[at + 4] << 8 | c->input[at + 5]);
        if (frame < 8 || frame > MODBUS_FRAME_MAX) {
            return -1;
        }
        if (c->used - at < frame) {
            break;
        }
        size_t n = answer_frame(c->server->plc, c->input + at, frame, replies + *filled);
        if (!n) {
            return -1;
        }
        *filled += n;
        at += frame;
    }
    return (int)at;
}

static void answer_all(struct client *c)
{
    uint8_t replies[8 * MODBUS_FRAME_MAX];
    for (;;) {
        size_t filled;
        int taken = answer_some(c, replies, sizeof replies, &filled);
        uv_buf_t buffer = uv_buf_init((char *)replies, (unsigned)filled);
        if (taken < 0 ||
            (filled && uv_try_write((uv_stream_t *)&c->tcp, &buffer, 1) != (int)filled)) {
            drop(c); /* or it does not read what it asked for */
            return;
        }
        if (!taken) {
            return;
        }
        c->heard_ms = uv_now(c->tcp.loop);
        c->used -= (size_t)taken;
        memmove(c->input, c->input + taken, c->used);
    }
}

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
    struct client *c = handle->data;
    (void)wanted;
    *buffer = uv_buf_init((char *)c->input + c->used, (unsigned)(INPUT_MAX - c->used));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct client *c = stream->data;
    (void)buffer;
    if (n < 0) {
        drop(c);
        return;
    }
    c->used += (size_t)n;
    answer_all(c);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct server *s = listener->data;
    struct client *c = status ? NULL : calloc(1, sizeof *c);
    if (!c || uv_tcp_init(listener->loop, &c->tcp)) {
        free(c);
        return;
    }
    c->server = s;
    c->tcp.data = c;
    c->heard_ms = uv_now(listener->loop);
    c->next = s->clients;
    s->clients = c;
    s->count++;
    s->handles++;
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) || s->count > SERVER_CLIENTS_MAX ||
        uv_read_start((uv_stream_t *)&c->tcp, on_room, on_read)) {
        drop(c);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
}

static void on_sweep(uv_timer_t *timer)
{
    struct server *s = timer->data;
    for (struct client *c = s->clients, *next; c; c = next) {
        next = c->next;
        if (uv_now(timer->loop) - c->heard_ms >= s->idle_ms) {
            drop(c);
        }
    }
}

static int listen_on(struct server *s, int *port)
{
    struct sockaddr_in address;
    int size = sizeof address;
    int bad = uv_ip4_addr("127.0.0.1", *port, &address);
    bad = bad ? bad : uv_tcp_bind(&s->listener, (const struct sockaddr *)&address, 0);
    bad = bad ? bad : uv_listen((uv_stream_t *)&s->listener, SERVER_CLIENTS_MAX, on_connection);
    bad = bad ? bad : uv_tcp_getsockname(&s->listener, (struct sockaddr *)&address, &size);
    *port = bad ? 0 : ntohs(address.sin_port);
    return bad;
}

int server_open(struct server **out, uv_loop_t *loop, struct plc *plc, uint64_t idle_ms, int *port)
{
    struct server *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s || uv_tcp_init(loop, &s->listener)) {
        free(s);
        return ERR_NOMEM;
    }
    s->plc = plc;
    s->idle_ms = idle_ms;
    s->handles = 2;
    s->listener.data = s->sweep.data = s;
    uv_timer_init(loop, &s->sweep);
    int bad = listen_on(s, port);
    bad = bad ? bad : uv_timer_start(&s->sweep, on_sweep, idle_ms / 4, idle_ms / 4);
    if (bad) {
        server_close(s);
        return err_from_errno(-bad);
    }
    *out = s;
    return ERR_OK;
}

void server_close(struct server *s)
{
    if (!s) {
        return;
    }
    uv_close((uv_handle_t *)&s->listener, on_closed);
    uv_close((uv_handle_t *)&s->sweep, on_closed);
    while (s->clients) {
        drop(s->clients);
    }
}
