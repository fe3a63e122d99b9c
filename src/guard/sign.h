/* SPDX-License-Identifier: Apache-2.0 */
/* What a north box and the identity say to each other, through the engine: RECORD_SIGN up, RECORD_SIGNED back, one for each.
 * The engine fills in who asks, and passes both on; nothing of it is journaled. All texts are NUL-padded with at least one
 * NUL. A secret is never in an answer but once, to whom it was made for. */
#ifndef ISTHMUS_GUARD_SIGN_H
#define ISTHMUS_GUARD_SIGN_H

#include <stddef.h>

#include "guard/password.h"
#include "guard/session.h"

/* In brackets what of the request counts beside the session. */
enum sign_kind {
    SIGN_IN = 1, /* a person signs in [name, secret, code, address] */
    SIGN_TOKEN,  /* a machine does [secret, address] */
    SIGN_LOCAL,  /* a user of this machine does [uid]; only of a box that no network reaches */
    SIGN_ENROL, /* the first administrator begins, or somebody who has got a link [secret: of the link,
                            name, fresh, address] */
    SIGN_WHO,         /* who a session is [flags: SIGN_USED] */
    SIGN_OUT,         /* ends the session */
    SIGN_PASSWORD,    /* one's own [secret, fresh, code, address] */
    SIGN_LINK,        /* a new link for the first administrator; those before it end */
    SIGN_ACCOUNTS,    /* lists accounts [from] */
    SIGN_ACCOUNT_ADD, /* [name, role, zones, expires, fresh, flags: SIGN_TOTP; or SIGN_INVITE] */
    SIGN_ACCOUNT_SET, /* another password [name, fresh, flags: SIGN_TOTP makes a new secret]; or with
                            SIGN_INVITE none, and a link; or SIGN_DISABLE, SIGN_ENABLE */
    SIGN_ACCOUNT_REMOVE, /* [name] */
    SIGN_TOKENS,         /* lists tokens [from] */
    SIGN_TOKEN_ADD,    /* [name, role, zones, net, expires; with SIGN_BY_KEY secret: of the key] */
    SIGN_TOKEN_REMOVE, /* [name] */
    SIGN_KEY,       /* a machine that has proven a key by TLS signs in [secret: 64 hex digits, the
                            SHA-256 of the public key; address]; only of a box that asks for certificates */
    SIGN_PROVIDERS, /* lists who vouches for people here [from] */
    SIGN_BEGIN, /* a person is going to sign in by a provider [name: its service; address]: the answer's
                            session is the browser's word, text where it has to go */
    SIGN_FINISH, /* … and is back [secret: the browser's word, fresh: state, proof: code; address] */
    SIGN_KIND_END
};

#define SIGN_PROOF 1280u /* of what a provider gives the browser along, terminated */

enum sign_flag {
    SIGN_USED = 1,
    SIGN_TOTP = 2,
    SIGN_BY_KEY = 4,
    SIGN_INVITE = 8, /* nobody knows the password: a link lets its owner choose one */
    SIGN_DISABLE = 16,
    SIGN_ENABLE = 32
};

struct sign_request {
    uint8_t id[16];       /* the asker's, at random: a stranger's answers don't match */
    uint32_t asker, kind; /* index of the box, written by the engine; enum sign_kind */
    uint8_t session[SESSION_ID_SIZE];
    uint8_t address[16]; /* the caller's, as in struct net */
    uint32_t uid, role, from, flags;
    int64_t expires_ns; /* UTC; 0: never */
    char name[NAME_SIZE];
    char zones[ZONES_SIZE];
    char net[NET_TEXT];
    char secret[PASSWORD_MAX + 1], fresh[PASSWORD_MAX + 1];
    char code[8];
    char proof[SIGN_PROOF]; /* last: only with SIGN_FINISH it goes along */
};

/* Bytes of such a request's record. */
static inline size_t sign_request_size(uint32_t kind)
{
    return kind == SIGN_FINISH ? sizeof(struct sign_request) : offsetof(struct sign_request, proof);
}

enum sign_status {
    SIGN_OK,
    SIGN_WRONG,     /* what was shown opens nothing; never what of it */
    SIGN_SLOW,      /* too many failures: in retry_ms */
    SIGN_ENDED,     /* there is no such session any more */
    SIGN_FORBIDDEN, /* the session's role may not */
    SIGN_BAD,       /* it can't be done so: text */
    SIGN_EXISTS,
    SIGN_NONE, /* no account or token has that name */
    SIGN_FULL,
    SIGN_BUSY,    /* no answer could come; again in a moment */
    SIGN_BROKEN,  /* accounts can't be read or written: text */
    SIGN_FAR,     /* the provider can't be asked: text */
    SIGN_REFUSED, /* it vouches for nobody who may sign in here: text */
    SIGN_STATUS_END
};

#define SIGN_TEXT 768u

struct sign_answer {
    uint8_t id[16];
    uint32_t asker, kind;
    uint32_t status, retry_ms;
    uint32_t flags, reserved; /* of the request */
    /* of the session, if status is SIGN_OK and it has one */
    uint8_t session[SESSION_ID_SIZE];
    uint8_t csrf[16]; /* bound to it; known to whoever may read its pages */
    char name[NAME_SIZE];
    uint32_t session_kind, role;
    uint32_t zone_limit, zone_count, zones[SESSION_ZONES];
    int64_t issued_utc_ns;
    uint64_t ends_ms, idle_ms; /* from now, at the latest; without use (0: need not be used) */
    /* what was done, for the audit */
    char subject
        [NAME_SIZE]; /* the account or token that it was done to, or the name that was tried */
    uint8_t address[16];
    char text
        [SIGN_TEXT]; /* why not; or the new secret, of SIGN_LINK, SIGN_TOKEN_ADD and with SIGN_TOTP; or an address */
    uint32_t count, next; /* of struct sign_row behind this; 0: that was all, else where to go on */
};

#define SIGN_ROWS_MAX 2u

struct
    sign_row { /* an account or a token; or a provider: name, and in `zones` what people call it */
    char name[NAME_SIZE];
    char zones[ZONES_SIZE];
    char net[NET_TEXT];
    char maker[NAME_SIZE];
    uint32_t role, has_totp, open, sessions; /* open: can sign in now; sessions alive */
    uint32_t disabled, vouched; /* vouched: no account, somebody whom a provider vouches for now */
    int64_t created_ns, expires_ns;
    int64_t last_ns;  /* of the last sign-in since the identity began; 0: there was none */
    uint64_t wait_ms; /* so long nobody may try that name */
};
_Static_assert(sizeof(struct sign_answer) + SIGN_ROWS_MAX * sizeof(struct sign_row) <= 2400 &&
                   sizeof(struct sign_request) <= 2400,
               "both fit a record");

/* Of whoever is no session of the gateway's: what stands before the 64 hex digits of a token. */
#define TOKEN_PREFIX "isthmus_"

#endif
