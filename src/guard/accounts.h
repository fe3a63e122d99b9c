/* SPDX-License-Identifier: Apache-2.0 */
/* Who there is: people's accounts and machines' tokens. One owner thread: the identity's. A change rises `revision`, and the
 * account's own, so that sessions begun before it are known. No I/O: accounts_file.h keeps them. */
#ifndef ISTHMUS_GUARD_ACCOUNTS_H
#define ISTHMUS_GUARD_ACCOUNTS_H

#include "base/err.h"
#include "guard/password.h"
#include "guard/role.h"
#include "guard/session.h"
#include "guard/totp.h"

#define ACCOUNTS_MAX 256u
#define TOKENS_MAX   256u

/* Addresses are those of IPv6; one of IPv4 lies at ::ffff:0:0. */
struct net {
    uint8_t address[16];
    uint32_t bits; /* that count, from the first; 0: every address */
};

struct account {
    char name[NAME_SIZE];   /* letters, digits, '-', '_', '.', '@'; unique among accounts */
    char zones[ZONES_SIZE]; /* "": all */
    char hash[PASSWORD_HASH_SIZE];
    uint8_t totp[TOTP_SECRET_SIZE]; /* if has_totp */
    uint32_t has_totp;
    uint32_t role;                  /* enum role */
    uint32_t disabled;              /* 1: exists, and can't sign in */
    int64_t created_ns, expires_ns; /* UTC; 0: never */
    uint64_t revision;
    uint64_t totp_last; /* the step of the last code that was taken; not kept */
    int64_t last_ns;    /* UTC, of the last sign-in; not kept */
};

struct token {
    char name[NAME_SIZE]; /* unique among tokens */
    char zones[ZONES_SIZE];
    char maker[NAME_SIZE]; /* who made it */
    uint8_t digest[32];    /* SHA-256 of its 32 bytes */
    struct net net;        /* from where it may be used */
    uint32_t role;
    int64_t created_ns, expires_ns; /* UTC; always set */
    uint64_t revision;
    int64_t last_ns; /* UTC, of the last sign-in; not kept */
};

struct accounts {
    uint64_t revision; /* +1 with each change */
    uint32_t count, token_count;
    struct account list[ACCOUNTS_MAX];
    struct token tokens[TOKENS_MAX];
};

/* 1 to NAME_SIZE - 1 of the letters above. `name` need not be terminated within NAME_SIZE. */
MUST_USE bool name_is_good(const char name[NAME_SIZE]);
/* "" or names with commas between them, each good, at most SESSION_ZONES. */
MUST_USE bool zones_are_good(const char zones[ZONES_SIZE]);

/* NULL: there is none. */
struct account *accounts_find(struct accounts *a, const char *name);
struct token *tokens_find(struct accounts *a, const char *name);
struct token *tokens_find_digest(struct accounts *a, const uint8_t digest[32]);

/* Whether the entry could be kept: names, role, what must be set. The one judge for new entries and those of a file. A
 * vendor's account has an end and zones. */
MUST_USE bool account_is_good(const struct account *account);
MUST_USE bool token_is_good(const struct token *token);

/* Adds, with a revision of its own. ERR_EXISTS, ERR_FULL, ERR_MALFORMED. */
MUST_USE int accounts_add(struct accounts *a, const struct account *account);
MUST_USE int tokens_add(struct accounts *a, const struct token *token);
/* After a change to it. */
void accounts_changed(struct accounts *a, struct account *account);
void accounts_remove(struct accounts *a, struct account *account);
void tokens_remove(struct accounts *a, struct token *token);

/* Whether it can sign in at that time, as far as the account alone tells. */
MUST_USE bool account_is_open(const struct account *account, int64_t utc_ns);
/* Administrators that can sign in. */
uint32_t accounts_administrators(const struct accounts *a, int64_t utc_ns);

/* "10.0.0.0/8", "2001:db8::/32", "10.1.2.3"; "" is every address. False: it is none. */
MUST_USE bool net_parse(const char *text, struct net *net);
void net_text(const struct net *net, char out[NET_TEXT]);
MUST_USE bool net_has(const struct net *net, const uint8_t address[16]);

#endif
