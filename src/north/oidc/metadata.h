/* SPDX-License-Identifier: Apache-2.0 */
/* What a provider says of itself (OpenID Connect Discovery 1.0, 4), and the addresses and forms that are made of it. No I/O. */
#ifndef ISTHMUS_NORTH_OIDC_METADATA_H
#define ISTHMUS_NORTH_OIDC_METADATA_H

#include <stdbool.h>
#include <stddef.h>

#include "guard/vouch.h"

#define METADATA_URL 512u

struct metadata {
    char authorize[METADATA_URL], token[METADATA_URL], keys[METADATA_URL];
    bool secret_in_form; /* the secret goes in the form, not in the head */
};

/* Any bytes; `why` says what is wrong with them. */
MUST_USE bool metadata_read(struct metadata *out, const char *text, size_t size, const char *issuer,
                            const char **why);

/* "host:port" of an URL, in small letters, with the port that its scheme has if it names none. False: it is none. */
MUST_USE bool url_authority(const char *url, char *out, size_t size);

/* Appends "KEY=VALUE" to what stands in `out`, with "&" between, the value as an URL needs it. False: no room, `out` is
 * unchanged. */
MUST_USE bool form_add(char *out, size_t size, const char *key, const char *value);

/* Where the browser goes. False: it is too long. */
MUST_USE bool metadata_authorize(const struct metadata *m, const struct vouch_request *v,
                                 const char *client_id, const char *scopes, char *out, size_t size);

#endif
