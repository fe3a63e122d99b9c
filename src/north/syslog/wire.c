/* SPDX-License-Identifier: Apache-2.0 */
/* A state per thing that is waited for; `step` goes from one to the next as far as the socket lets it, and each time it is
 * settled anew what to watch the socket for. Calls from above only say what is wanted, and the loop's next turn does it. */
#include "north/syslog/wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#define READS_MAX 1000 /* of what the collector says, at once */

enum stage { CONNECTING, SHAKING, READY, SENDING, CLOSING, LISTENING, OVER };

struct wire {
    struct wire_events events;
    uv_poll_t poll;
    int fd;
    SSL *ssl; /* NULL: plain */
    enum stage stage;
    const char *bytes;
    size_t left;
    bool blocked; /* until the socket can be written */
};

/* What a call on the socket led to. */
enum outcome { DONE, WAIT, END, BROKEN };

static enum outcome of_errno(void)
{
    return errno == EAGAIN || errno == EINTR ? WAIT : BROKEN;
}

static enum outcome of_ssl(struct wire *w, int result)
{
    switch (SSL_get_error(w->ssl, result)) {
    case SSL_ERROR_NONE:
        return DONE;
    case SSL_ERROR_WANT_WRITE:
        w->blocked = true;
        return WAIT;
    case SSL_ERROR_WANT_READ:
        return WAIT;
    case SSL_ERROR_ZERO_RETURN:
        return END;
    default:
        return BROKEN;
    }
}

/* `why` NULL: OpenSSL or the system know. */
static void fail(struct wire *w, const char *why)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    char text[160];
    snprintf(text, sizeof text, "%s", why ? why : reason ? reason : strerror(errno));
    ERR_clear_error();
    w->stage = OVER;
    w->events.failed(w->events.context, text);
}

static enum outcome connected(struct wire *w)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &size) || error) {
        errno = error ? error : errno;
        return BROKEN;
    }
    w->stage = w->ssl ? SHAKING : READY;
    return DONE;
}

static enum outcome shake(struct wire *w)
{
    int result = SSL_do_handshake(w->ssl);
    enum outcome o = result == 1 ? DONE : of_ssl(w, result);
    w->stage = o == DONE ? READY : w->stage;
    return o;
}

static enum outcome send_some(struct wire *w)
{
    while (w->left) {
        ssize_t n = w->ssl ? SSL_write(w->ssl, w->bytes, (int)w->left)
                           : send(w->fd, w->bytes, w->left, MSG_NOSIGNAL);
        if (n <= 0) {
            enum outcome o = w->ssl ? of_ssl(w, (int)n) : of_errno();
            w->blocked |= !w->ssl;
            return o;
        }
        w->bytes += n;
        w->left -= (size_t)n;
    }
    w->stage = READY;
    return DONE;
}

static enum outcome close_ours(struct wire *w)
{
    int result = w->ssl ? SSL_shutdown(w->ssl) : shutdown(w->fd, SHUT_WR);
    if (result < 0) {
        return w->ssl ? of_ssl(w, result) : of_errno();
    }
    w->stage = LISTENING;
    return DONE;
}

/* A collector has nothing to say; what it says all the same is dropped, and one that does not stop is left: the loop has other
 * things to do. END: it has closed its side. */
static enum outcome listen_on(struct wire *w)
{
    char sink[256];
    for (int reads = 0; reads < READS_MAX; reads++) {
        ssize_t n =
            w->ssl ? SSL_read(w->ssl, sink, sizeof sink) : recv(w->fd, sink, sizeof sink, 0);
        if (n <= 0) {
            return w->ssl ? of_ssl(w, (int)n) : n == 0 ? END : of_errno();
        }
    }
    errno = EMSGSIZE;
    return BROKEN;
}

/* Goes as far as it can: WAIT, or what ended it. READY is told each time it is reached. */
static enum outcome go_on(struct wire *w)
{
    enum outcome o = DONE;
    if (w->stage != CONNECTING && w->stage != SHAKING) {
        o = listen_on(w);
        o = o == WAIT ? DONE : o;
    }
    while (o == DONE) {
        enum stage before = w->stage;
        switch (w->stage) {
        case CONNECTING:
            o = connected(w);
            break;
        case SHAKING:
            o = shake(w);
            break;
        case SENDING:
            o = send_some(w);
            break;
        case CLOSING:
            o = close_ours(w);
            break;
        default:
            return WAIT;
        }
        if (w->stage == READY && before != READY) {
            w->events.ready(w->events.context);
        }
    }
    return o;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct wire *w)
{
    int events = UV_READABLE | (w->blocked || w->stage == CONNECTING ? UV_WRITABLE : 0);
    if (uv_is_closing((uv_handle_t *)&w->poll)) {
        return;
    }
    if (w->stage == OVER) {
        uv_poll_stop(&w->poll);
    } else {
        uv_poll_start(&w->poll, events, on_poll);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct wire *w = poll->data;
    (void)events;
    if (w->stage == OVER) {
        return;
    }
    w->blocked = false;
    errno = 0;
    ERR_clear_error();
    enum outcome o = go_on(w); /* the socket knows better than the poll what is wrong */
    if (o == WAIT && status < 0 && w->stage != OVER) {
        errno = -status;
        o = BROKEN;
    }
    if (w->stage == OVER) {
        return; /* it was given up by an event */
    }
    if (o == END && w->stage == LISTENING) {
        w->stage = OVER;
        w->events.received(w->events.context);
    } else if (o == END || o == BROKEN) {
        fail(w, o == END ? "the collector closed the connection" : NULL);
    }
    watch(w);
}

/* The next turn of the loop goes on: a socket that can be written wakes it at once. */
static void nudge(struct wire *w)
{
    w->blocked = true;
    watch(w);
}

void wire_send(struct wire *w, const char *bytes, size_t size)
{
    w->bytes = bytes;
    w->left = size;
    w->stage = SENDING;
    nudge(w);
}

void wire_finish(struct wire *w)
{
    w->stage = CLOSING;
    nudge(w);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void wire_free(struct wire *w)
{
    if (!w) {
        return;
    }
    w->stage = OVER;
    uv_close((uv_handle_t *)&w->poll, on_closed);
    SSL_free(w->ssl);
    w->ssl = NULL;
    close(w->fd);
}

static bool set_up(struct wire *w, struct uv_loop_s *loop, const struct sockaddr_storage *to,
                   SSL_CTX *tls)
{
    socklen_t size =
        to->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    w->fd = socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (w->fd < 0) {
        return false;
    }
    if (tls) {
        w->ssl = SSL_new(tls);
        if (!w->ssl || SSL_set_fd(w->ssl, w->fd) != 1) {
            return false;
        }
        SSL_set_connect_state(w->ssl);
        SSL_set_mode(w->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
    }
    /* what else goes wrong shows when the socket is watched */
    return (connect(w->fd, (const void *)to, size) == 0 || errno == EINPROGRESS) &&
           uv_poll_init(loop, &w->poll, w->fd) == 0;
}

struct wire *wire_open(struct uv_loop_s *loop, const struct sockaddr_storage *to,
                       struct ssl_ctx_st *tls, const struct wire_events *events)
{
    struct wire *w = calloc(1, sizeof *w);
    if (!w) {
        return NULL;
    }
    *w = (struct wire){.events = *events, .fd = -1, .stage = CONNECTING};
    w->poll.data = w;
    if (!set_up(w, loop, to, tls)) {
        int error = errno;
        SSL_free(w->ssl);
        if (w->fd >= 0) {
            close(w->fd);
        }
        free(w);
        errno = error;
        return NULL;
    }
    watch(w);
    return w;
}
