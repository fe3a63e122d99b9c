/* SPDX-License-Identifier: Apache-2.0 */
/* TLS (1.2 or newer) of services that connect to a server: whom they trust, what they show, and why a server was refused. Modules link
 * it; one thread. */
#ifndef ISTHMUS_BOX_TLS_CLIENT_H
#define ISTHMUS_BOX_TLS_CLIENT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A context for a server of that name, which is borrowed for the context's life; `system`: it trusts what the system
 * does. NULL with the reason. */
struct ssl_ctx_st *tls_client_new(const char *name, bool system, char *why, size_t why_size);
/* Reads what it trusts and shows, for connections from now on. Empty texts: not given.
 * ERR_CONFIG with the reason: what it had before stays. */
MUST_USE int tls_client_load(struct ssl_ctx_st *c, const char *ca, const char *cert,
                             const char *key, char *why, size_t why_size);
/* When the certificate ends that it shows (UTC); 0: it shows none. */
int64_t tls_client_ends_ns(struct ssl_ctx_st *tls);
/* Why the peer's certificate was refused last, and forgets it; NULL: it was not. */
const char *tls_client_refusal(struct ssl_ctx_st *tls);

#endif
