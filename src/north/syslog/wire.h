/* SPDX-License-Identifier: Apache-2.0 */
/* One delivery to a collector: a connection, bytes over it, and at its end the collector's word that it has read them all.
 * Syslog has no acknowledgement, but with TLS whoever gets our close_notify must answer with its own (RFC 5425 4.4), which nobody
 * between can forge; without TLS, on loopback only, its end of the stream behind ours says the same. One thread: the loop's. */
#ifndef ISTHMUS_NORTH_SYSLOG_WIRE_H
#define ISTHMUS_NORTH_SYSLOG_WIRE_H

#include <stddef.h>
#include <sys/socket.h>

struct uv_loop_s;
struct ssl_ctx_st;
struct wire;

/* None is called from within a call from above. After `received` or `failed` nothing comes any more; wire_free is still due. */
struct wire_events {
    void (*ready)(void *context);    /* it is connected; or all of what was sent has left */
    void (*received)(void *context); /* after wire_finish: the collector has read all */
    void (*failed)(void *context, const char *why);
    void *context;
};

/* Begins to connect. `tls` NULL: without; borrowed until wire_free. NULL: errno says why. */
struct wire *wire_open(struct uv_loop_s *loop, const struct sockaddr_storage *to,
                       struct ssl_ctx_st *tls, const struct wire_events *events);
/* When it is ready: `bytes` are borrowed until it is ready again. */
void wire_send(struct wire *w, const char *bytes, size_t size);
/* When it is ready: there is no more. */
void wire_finish(struct wire *w);
/* At any time, also from an event. NULL: nothing. */
void wire_free(struct wire *w);

#endif
