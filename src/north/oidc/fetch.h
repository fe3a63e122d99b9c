/* SPDX-License-Identifier: Apache-2.0 */
/* Small HTTPS requests on the box's loop (libcurl's multi interface): no redirects, no proxies, no cookies, nothing looked up by
 * name; answers of at most FETCH_MAX bytes within FETCH_MS. One thread: the loop's. */
#ifndef ISTHMUS_NORTH_OIDC_FETCH_H
#define ISTHMUS_NORTH_OIDC_FETCH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define FETCH_MAX (256u << 10)
#define FETCH_MS  4000
#define FETCHES   24u /* under way */
#define FETCH_WHY 256u

struct fetch;
struct uv_loop_s;

struct fetch_request {
    const char *url;
    const char *connect;         /* "ip:port" that stands for the URL's host */
    const char *form;            /* what is posted; NULL: a GET */
    const char *user, *password; /* NULL: none */
};

/* `status`: of HTTP; 0: there was no whole answer, `why` says why. The body is borrowed, with a NUL behind. */
typedef void fetch_done(void *context, long status, const char *body, size_t size, const char *why);

/* Before the box is locked in. `ca`: PEM of who is trusted, borrowed for good. NULL: out of memory. */
struct fetch *fetch_new(struct uv_loop_s *loop, const char *ca, size_t ca_size);
/* Copies what it is given. Plain http is spoken to loopback addresses only: who asks for that sees to it. ERR_FULL. */
MUST_USE int fetch_start(struct fetch *f, const struct fetch_request *request, fetch_done *done,
                         void *context);
/* Ends all that is under way, without a call. Its handles are closed in the next turn of the loop. */
void fetch_stop(struct fetch *f);
void fetch_free(struct fetch *f);

#endif
