/* SPDX-License-Identifier: Apache-2.0 */
/* What a provider of sign-ins sends, read strictly: its keys (RFC 7517) and ID tokens (OpenID Connect Core 1.0, 2 and 3.1.3.7;
 * RFC 7519, RFC 7515 in its compact form). RS256 and ES256 only, with a key that the set says is for that: what a token says
 * of its own proof counts for nothing else. No I/O; the time is handed in. */
#ifndef ISTHMUS_NORTH_OIDC_TOKEN_H
#define ISTHMUS_NORTH_OIDC_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TOKEN_MAX    32768u /* characters of an ID token */
#define TOKEN_KEYS   32u    /* of a provider; more are passed over */
#define TOKEN_KID    128u
#define TOKEN_GROUPS 1024u /* of a person; one who is in more is in none */

struct evp_pkey_st;

enum token_alg { TOKEN_RS256 = 1, TOKEN_ES256 };

struct token_key {
    char kid[TOKEN_KID]; /* "": it has none */
    enum token_alg alg;
    struct evp_pkey_st *key; /* owned */
};

struct token_keys {
    uint32_t count;
    struct token_key list[TOKEN_KEYS];
};

/* Reads a set of keys; what can't be used for this is passed over. ERR_MALFORMED: it is no set. Any bytes. */
MUST_USE int token_keys_read(struct token_keys *keys, const char *text, size_t size);
void token_keys_free(struct token_keys *keys);

struct token_expected {
    const char *issuer, *client_id, *nonce;
    const char *name_claim, *groups_claim;
    int64_t now_s, leeway_s; /* leeway: by which the clocks may differ */
};

enum token_verdict {
    TOKEN_GOOD,
    TOKEN_BAD,
    TOKEN_STRANGE_KEY, /* the set has none that could have signed it: it may have a newer one */
};

struct token_person {
    char name[64];         /* "": the claim is no text, or too long */
    struct json_t *groups; /* borrowed of `claims`; NULL: there are none */
    struct json_t *claims; /* owned, by token_person_free */
};

/* Any bytes. `why` says what is wrong, for people. */
enum token_verdict token_verify(const char *text, size_t size, const struct token_keys *keys,
                                const struct token_expected *expected, struct token_person *person,
                                const char **why);
/* Whether the person is in that group. */
bool token_in_group(const struct token_person *person, const char *group);
void token_person_free(struct token_person *person);

#endif
