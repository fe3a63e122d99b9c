/* SPDX-License-Identifier: Apache-2.0 */
/* One TCP connection, its requests and their ends. Requests gather in `out` and leave in one write per turn; a read
 * takes what the socket holds, up to IN_SIZE, and gives several frames at once.
 *
 * How many requests a device takes at once is learnt: doubled after FULL_RUN answers with a full window, halved and
 * held for CEILING_NS when a request got its answer only when it was repeated alone, or when the device closed the
 * connection on several. While a request is repeated, nothing else is on its way, so that a device that drops what
 * comes too early is told from a dead unit. */
#include "south/modbus/device.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tag/status.h"

#define FULL_RUN       8u
#define CEILING_NS     (600 * NS_PER_S)
#define BACKOFF_FIRST  (250 * NS_PER_MS)
#define STRANGERS_MAX  64u
#define PROBE_ALONE_NS (50 * NS_PER_MS) /* so long a probe holds others up */

int64_t device_now(const struct modbus_device *d)
{
    return d->host->now_mono(d->host->context);
}

int64_t device_utc(const struct modbus_device *d)
{
    return d->host->now_utc(d->host->context);
}

void device_state(struct modbus_device *d, enum isthmus_state state, const char *reason)
{
    if (d->state != state || strcmp(d->reason, reason)) {
        d->state = state;
        snprintf(d->reason, sizeof d->reason, "%s", reason);
        d->host->state(d->host->context, d->config->index, state, d->reason);
    }
}

/* ---- how many at once ---- */

static void strike(struct modbus_device *d, int64_t now)
{
    if (!d->fixed_window && d->window > 1) {
        d->window /= 2;
        d->ceiling = d->window;
        d->ceiling_until = now + CEILING_NS;
    }
    d->good_run = 0;
}

static void learn(struct modbus_device *d, bool full, int64_t now)
{
    if (d->fixed_window || d->careful || !full) {
        return;
    }
    if (d->ceiling < IN_FLIGHT_MAX && now >= d->ceiling_until) {
        d->ceiling = IN_FLIGHT_MAX;
    }
    if (++d->good_run >= FULL_RUN && d->window < d->ceiling) {
        d->window = d->window * 2 < d->ceiling ? d->window * 2 : d->ceiling;
        d->good_run = 0;
    }
}

uint32_t session_in_flight(const struct modbus_device *d, int64_t now)
{
    uint32_t n = 0;
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        const struct request *r = d->requests + i;
        n += r->kind && !r->held && !(r->kind == REQUEST_PROBE && now - r->sent > PROBE_ALONE_NS);
    }
    return n;
}

static struct request *find_held(struct modbus_device *d)
{
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        if (d->requests[i].kind && d->requests[i].held) {
            return d->requests + i;
        }
    }
    return NULL;
}

static void end_care(struct modbus_device *d)
{
    d->careful = d->careful && find_held(d);
    d->struck = d->struck && d->careful;
}

/* ---- out ---- */

static void fill_read(struct modbus_device *d, struct request *r)
{
    static const uint8_t functions[] = {MODBUS_READ_COILS, MODBUS_READ_DISCRETE, MODBUS_READ_INPUT,
                                        MODBUS_READ_HOLDING};
    const struct modbus_block *b = &d->blocks[r->block].at;
    r->body = (struct modbus_request){.unit = (uint8_t)b->unit,
                                      .function = functions[b->table],
                                      .start = b->start,
                                      .count = b->count};
}

struct request *session_send(struct modbus_device *d, const struct request *wanted)
{
    struct request *r = NULL;
    for (size_t i = 0; i < REQUESTS_MAX && !r; i++) {
        r = d->requests[i].kind ? NULL : d->requests + i;
    }
    struct request filled = *wanted;
    filled.held = false;
    if (filled.kind == REQUEST_BLOCK || filled.kind == REQUEST_PROBE) {
        fill_read(d, &filled);
    }
    filled.body.transaction = d->transaction;
    struct writer w = writer_of(d->out + d->out_size, sizeof d->out - d->out_size);
    if (!r || modbus_encode(&w, &filled.body)) {
        return NULL;
    }
    d->transaction++;
    d->out_size += writer_used(&w);
    filled.body.data = NULL;
    filled.sent = device_now(d);
    filled.deadline = filled.sent + d->timeout;
    *r = filled;
    d->figures.requests++;
    return r;
}

static void on_written(uv_write_t *write, int status);

static void flush_out(struct modbus_device *d)
{
    if (!d->out_size || d->out_busy || d->link != LINK_UP) {
        return;
    }
    uv_buf_t buf = uv_buf_init((char *)d->out, (unsigned)d->out_size);
    int n = uv_try_write((uv_stream_t *)&d->tcp, &buf, 1);
    size_t sent = n > 0 ? (size_t)n : 0;
    d->figures.bytes_out += sent;
    memmove(d->out, d->out + sent, d->out_size - sent);
    d->out_size -= sent;
    if (n < 0 && n != UV_EAGAIN) {
        session_fail(d, uv_strerror(n));
    } else if (d->out_size) {
        buf.len = d->out_size;
        d->out_busy = d->out_size;
        n = uv_write(&d->write, (uv_stream_t *)&d->tcp, &buf, 1, on_written);
        if (n < 0) {
            d->out_busy = 0;
            session_fail(d, uv_strerror(n));
        }
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct modbus_device *d = write->data;
    if (status < 0) {
        session_fail(d, uv_strerror(status));
        return;
    }
    d->figures.bytes_out += d->out_busy;
    d->out_size -= d->out_busy;
    memmove(d->out, d->out + d->out_busy, d->out_size);
    d->out_busy = 0;
    session_turn(d);
}

/* ---- in ---- */

static void on_reply(struct modbus_device *d, struct request *slot,
                     const struct modbus_frame *frame, int64_t now, int64_t utc)
{
    struct request r = *slot;
    bool full = session_in_flight(d, now) >= d->window;
    if (!frame->exception && !modbus_answers(frame, &r.body)) {
        session_fail(d, "an answer does not fit its request");
        return;
    }
    slot->kind = 0;
    d->strangers = 0;
    d->figures.replies++;
    d->figures.exceptions += frame->exception != 0;
    uint32_t latency = (uint32_t)((now - r.sent) / NS_PER_US);
    uint32_t old = d->figures.latency_us;
    d->figures.latency_us = old ? (old * 7 + latency) / 8 : latency;
    if (d->careful && r.tries) {
        if (!d->struck) {
            strike(d, now);
        }
        d->struck = true;
        end_care(d);
    } else {
        learn(d, full, now);
    }
    if (r.kind == REQUEST_BLOCK) {
        d->cycle_requests--;
    }
    if (frame->exception != 10 && frame->exception != 11) {
        poll_up(d, now);
    }
    if (r.kind == REQUEST_BLOCK || r.kind == REQUEST_PROBE) {
        poll_reply(d, &r, frame, now, utc);
    } else {
        job_reply(d, &r, frame);
    }
}

static struct request *find_request(struct modbus_device *d, const struct modbus_frame *frame)
{
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        struct request *r = d->requests + i;
        if (r->kind && r->body.transaction == frame->transaction && r->body.unit == frame->unit &&
            r->body.function == frame->function) {
            return r;
        }
    }
    return NULL;
}

/* Handles all whole frames in the input. */
static void take_frames(struct modbus_device *d)
{
    int64_t now = device_now(d), utc = device_utc(d);
    size_t at = 0;
    while (d->link == LINK_UP) {
        struct modbus_frame frame;
        int n = modbus_next_frame(d->in + at, d->in_size - at, &frame);
        if (n < 0) {
            session_fail(d, "what the device sends is no Modbus TCP");
            return;
        }
        if (!n) {
            break;
        }
        at += (size_t)n;
        struct request *r = find_request(d, &frame);
        if (r) {
            on_reply(d, r, &frame, now, utc);
        } else if (++d->strangers > STRANGERS_MAX) { /* a late answer is no fault, many are */
            session_fail(d, "the device sends answers that nobody asked for");
            return;
        }
    }
    if (d->link == LINK_UP) {
        memmove(d->in, d->in + at, d->in_size - at);
        d->in_size -= at;
    }
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct modbus_device *d = handle->data;
    (void)suggested;
    *buf = uv_buf_init((char *)d->in + d->in_size, (unsigned)(sizeof d->in - d->in_size));
}

/* A device that holds small answers back until the one before is acknowledged (Nagle) would wait 40 ms for our
 * delayed acknowledgement: while answers are due, acknowledge at once. The kernel forgets the wish, so each time. */
static void acknowledge(struct modbus_device *d)
{
    uv_os_fd_t fd;
    int on = 1;
    if (d->link == LINK_UP && session_in_flight(d, device_now(d)) > 0 &&
        !uv_fileno((uv_handle_t *)&d->tcp, &fd)) {
        setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
    }
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct modbus_device *d = stream->data;
    (void)buf;
    if (n < 0) {
        session_fail(d, n == UV_EOF ? "the device closed the connection" : uv_strerror((int)n));
        return;
    }
    d->in_size += (size_t)n;
    d->figures.bytes_in += (uint64_t)n;
    take_frames(d);
    session_turn(d);
    acknowledge(d);
}

/* ---- life of the connection ---- */

static void on_timer(uv_timer_t *timer);

static void handle_closed(struct modbus_device *d)
{
    if (--d->handles == 0) {
        const struct isthmus_host *host = d->host;
        uint32_t index = d->config->index;
        device_free(d);
        host->closed(host->context, index);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

static void on_tcp_closed(uv_handle_t *handle)
{
    struct modbus_device *d = handle->data;
    d->out_size = d->out_busy = d->in_size = 0;
    d->link = LINK_WAITING;
    if (d->closing) {
        handle_closed(d);
    } else {
        session_turn(d);
    }
}

static void lose_requests(struct modbus_device *d, const char *reason)
{
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        struct request r = d->requests[i];
        d->requests[i].kind = 0;
        if (r.kind == REQUEST_WRITE || r.kind == REQUEST_IDENTIFY) {
            job_lost(d, &r, reason);
        }
    }
    job_end_all(d, (uint32_t)STATUS_BAD_NO_COMMUNICATION, reason);
}

void session_fail(struct modbus_device *d, const char *reason)
{
    if (d->link == LINK_CLOSING || d->link == LINK_WAITING) {
        return;
    }
    int64_t now = device_now(d);
    if (d->link == LINK_UP && session_in_flight(d, now) > 1) {
        strike(d, now);
    }
    d->careful = d->struck = false;
    d->link = LINK_CLOSING;
    lose_requests(d, reason);
    poll_down(d, now);
    d->backoff = d->backoff ? d->backoff * 2 : BACKOFF_FIRST;
    d->backoff = d->backoff < d->backoff_max ? d->backoff : d->backoff_max;
    d->reconnect_at = now + d->backoff;
    device_state(d, ISTHMUS_DOWN, reason);
    d->host->figures(d->host->context, d->config->index, &d->figures);
    uv_close((uv_handle_t *)&d->tcp, on_tcp_closed);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct modbus_device *d = connect->data;
    if (d->link != LINK_CONNECTING) {
        return;
    }
    if (!status) {
        status = uv_read_start((uv_stream_t *)&d->tcp, on_room, on_read);
    }
    if (status) {
        d->link = LINK_UP;
        session_fail(d, uv_strerror(status));
        return;
    }
    uv_tcp_nodelay(&d->tcp, 1);
    d->link = LINK_UP;
    d->strangers = 0;
    d->next_poll = device_now(d);
    session_turn(d);
}

static void begin_connect(struct modbus_device *d, int64_t now)
{
    int n = uv_tcp_init(d->host->loop, &d->tcp);
    d->tcp.data = d->connect.data = d->write.data = d;
    d->reconnect_at = now + BACKOFF_FIRST;
    if (n) {
        return;
    }
    d->link = LINK_CONNECTING;
    d->connect_deadline = now + d->timeout;
    d->figures.reconnects += d->figures.requests > 0;
    n = uv_tcp_connect(&d->connect, &d->tcp, (const struct sockaddr *)&d->address, on_connected);
    if (n) {
        session_fail(d, uv_strerror(n));
    }
}

/* ---- time ---- */

static void expire(struct modbus_device *d, struct request *slot, int64_t now)
{
    struct request r = *slot;
    slot->kind = 0;
    d->figures.timeouts++;
    if (r.kind == REQUEST_WRITE || r.kind == REQUEST_IDENTIFY) {
        job_lost(d, &r, "no answer in time");
        return;
    }
    if (r.kind == REQUEST_BLOCK && r.tries < d->retries) {
        r.tries++;
        if (d->careful || (d->window > 1 && !d->fixed_window)) {
            d->careful = r.held = true;
            r.deadline = INT64_MAX;
            *slot = r;
            return;
        }
        if (session_send(d, &r)) {
            return;
        }
    }
    d->cycle_requests -= r.kind == REQUEST_BLOCK;
    if (!d->retries) {
        strike(d, now);
    }
    poll_unit_dead(d, d->blocks[r.block].unit, now);
    end_care(d);
    for (size_t i = 0; i < d->unit_count; i++) {
        if (!d->units[i].dead) {
            return;
        }
    }
    char reason[96];
    snprintf(reason, sizeof reason, "no answer within %lld ms",
             (long long)(d->timeout / NS_PER_MS));
    session_fail(d, reason);
}

static void repeat_held(struct modbus_device *d, int64_t now)
{
    struct request *held = d->careful ? find_held(d) : NULL;
    if (held && !session_in_flight(d, now)) {
        struct request r = *held;
        held->kind = 0;
        held->held = false;
        if (!session_send(d, &r)) {
            *held = r; /* no room to write: later */
        }
    }
}

static void look_at_time(struct modbus_device *d, int64_t now)
{
    if (d->link == LINK_WAITING && now >= d->reconnect_at) {
        begin_connect(d, now);
    } else if (d->link == LINK_CONNECTING && now >= d->connect_deadline) {
        session_fail(d, "no connection in time");
    }
    for (size_t i = 0; d->link == LINK_UP && i < REQUESTS_MAX; i++) {
        if (d->requests[i].kind && now >= d->requests[i].deadline) {
            expire(d, d->requests + i, now);
        }
    }
    if (d->link == LINK_UP && now >= d->next_poll) {
        poll_begin(d, now);
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t next_due(const struct modbus_device *d)
{
    switch (d->link) {
    case LINK_WAITING:
        return d->reconnect_at;
    case LINK_CONNECTING:
        return d->connect_deadline;
    case LINK_CLOSING:
        return INT64_MAX;
    default:
        break;
    }
    int64_t due = d->next_poll;
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        if (d->requests[i].kind) {
            due = earlier(due, d->requests[i].deadline);
        }
        if (d->requests[i].kind == REQUEST_PROBE && d->cycle_open) {
            due = earlier(due, d->requests[i].sent + 2 * PROBE_ALONE_NS);
        }
    }
    return d->sample_count ? earlier(due, d->first_sample_at + 5 * NS_PER_MS) : due;
}

/* The timer is left alone when it fires early enough anyway: it is set again then. */
static void arm(struct modbus_device *d, int64_t now)
{
    int64_t due = next_due(d);
    if (due == INT64_MAX || (d->armed && d->armed <= due)) {
        return;
    }
    int64_t wait = due > now ? due - now : 0;
    uv_update_time(d->host->loop);
    uv_timer_start(&d->timer, on_timer, (uint64_t)((wait + NS_PER_MS - 1) / NS_PER_MS), 0);
    d->armed = due;
}

void session_turn(struct modbus_device *d)
{
    if (d->closing) {
        return;
    }
    int64_t now = device_now(d);
    look_at_time(d, now);
    poll_account_now_and_then(d, now);
    if (d->link == LINK_UP) {
        job_pump(d, now);
        repeat_held(d, now);
        poll_pump(d, now);
        poll_settle(d, now);
        flush_out(d);
    }
    arm(d, now);
}

static void on_timer(uv_timer_t *timer)
{
    struct modbus_device *d = timer->data;
    d->armed = 0;
    session_turn(d);
}

void session_start(struct modbus_device *d)
{
    d->timer.data = d;
    d->handles = 1;
    uv_timer_init(d->host->loop, &d->timer);
    d->down = true;
    d->down_since = device_now(d);
    d->down_since_utc = device_utc(d);
    d->reconnect_at = d->down_since;
    device_state(d, ISTHMUS_CONNECTING, "");
    session_turn(d);
}

void session_close(struct modbus_device *d)
{
    if (d->closing) {
        return;
    }
    d->closing = true;
    lose_requests(d, "the gateway is stopping");
    poll_account(d);
    poll_flush(d);
    uv_close((uv_handle_t *)&d->timer, on_timer_closed);
    if (d->link == LINK_UP || d->link == LINK_CONNECTING) {
        uv_close((uv_handle_t *)&d->tcp, on_tcp_closed);
        d->handles++;
    } else if (d->link == LINK_CLOSING) {
        d->handles++;
    }
    d->link = LINK_CLOSING;
}
