/* SPDX-License-Identifier: Apache-2.0 */
/* TLS of the listener: certificate and key, the authority and the list of revoked certificates of clients, all from files. When one of
 * them changes, what is new is taken up for new connections; those that are open live on. One thread: the loop's. */
#ifndef ISTHMUS_NORTH_HTTP_TLS_H
#define ISTHMUS_NORTH_HTTP_TLS_H

#include "box/service.h"

struct ssl_ctx_st;
struct lws;
struct tls;

/* Reads the options of the service and the files, which must be good. NULL with what to do in `why`. */
struct tls *tls_new(struct service_host *host, char *why, size_t why_size);
void tls_free(struct tls *t);

/* The server's context is made: it gets what was read, and keeps getting what is new until tls_stop. */
MUST_USE bool tls_begin(struct tls *t, struct ssl_ctx_st *server);
bool tls_is_begun(const struct tls *t);
MUST_USE bool tls_start(struct tls *t); /* from now on it looks for new files */
void tls_stop(struct tls *t);

/* The SHA-256 of the public key of the certificate that the other end has shown and proven to be its own. False: none. */
MUST_USE bool tls_peer_key(struct lws *wsi, uint8_t key[32]);

#endif
