/* SPDX-License-Identifier: Apache-2.0 */
/* Plays a client, libwebsockets and the reader to the HTTP service, for the test and the fuzz target beside: one request
 * as text, "GET /path?a=1&b=2" (or POST, or WS for a WebSocket), header lines "Host: …", "Origin: …" and "If-None-Match: …",
 * an empty line, and the body (WS: the first message). The reader knows nothing, and the engine refuses. Aborts when the
 * service keeps something of the exchange. */
#ifndef ISTHMUS_NORTH_HTTP_INPUT_H
#define ISTHMUS_NORTH_HTTP_INPUT_H

#include <stddef.h>

/* The status of the answer, 101 for a WebSocket that lives on, 0 when the connection was closed without an answer. */
int http_input(const void *text, size_t size);

#endif
