/* SPDX-License-Identifier: Apache-2.0 */
/* What the identity and the box of a provider of sign-ins say to each other, through the engine: RECORD_VOUCH to the box,
 * RECORD_VOUCHED back. The box talks to the provider and to nobody else, and says whom the provider vouches for; who may
 * then do what is the identity's. All texts are NUL-padded with at least one NUL. */
#ifndef ISTHMUS_GUARD_VOUCH_H
#define ISTHMUS_GUARD_VOUCH_H

#include "guard/sign.h"
#include "tag/plan.h"

#define VOUCH_MODULE "oidc" /* the service that does it */
#define VOUCH_WORD                                                                                 \
    48u /* a random word that an URL can hold; so also a verifier and its challenge (RFC 7636) */
#define VOUCH_REDIRECT 320u
#define VOUCH_GROUPS   64u     /* that a provider's people can be told apart by */
#define VOUCH_NAME_MAX 40u     /* of PROVIDER/NAME: what the audit holds */
#define VOUCH_PATH     "/oidc" /* of the console, to which the provider sends the browser back */

enum vouch_act {
    VOUCH_BEGIN = 1, /* where must the browser go? [state, nonce, word: the challenge, redirect] */
    VOUCH_FINISH,    /* whom is the code good for? [nonce, word: the verifier, redirect, code] */
};

struct vouch_request {
    uint8_t id[16];         /* at random, the identity's own */
    uint32_t provider, act; /* index of the box; enum vouch_act */
    char state[VOUCH_WORD], nonce[VOUCH_WORD], word[VOUCH_WORD];
    char redirect[VOUCH_REDIRECT];
    char code[SIGN_PROOF];
};

enum vouch_status {
    VOUCH_OK,
    VOUCH_FAR,     /* the provider can't be asked: text */
    VOUCH_REFUSED, /* what it says is no proof: text */
};

struct vouch_answer {
    uint8_t id[16];
    uint32_t provider, act; /* provider: written by the engine */
    uint32_t status, reserved;
    uint64_t
        groups; /* bit n: the person is in the n-th group that the plan names for the provider */
    char name[NAME_SIZE]; /* what the provider calls the person */
    char text[SIGN_TEXT]; /* where to go, or why not */
};
_Static_assert(sizeof(struct vouch_request) <= 2400 && sizeof(struct vouch_answer) <= 2400,
               "both fit a record");

/* A line of the configuration's `people`: who is in the group has the role. In the plan it lies among the addresses of the
 * provider's box, key "group", as "ROLE ZONES GROUP", ZONES "a,b", or "*": all. */
struct vouch_group {
    uint32_t role;
    char zones[ZONES_SIZE];
    const char *group; /* of the plan */
};
#define VOUCH_GROUP_KEY "group"

/* The n-th of the box; false: it has no more. */
MUST_USE bool vouch_group(const struct plan *plan, uint32_t box, uint32_t n,
                          struct vouch_group *out);
/* Whether the box is that of a provider. */
bool vouch_is_provider(const struct plan *plan, uint32_t box);

#endif
