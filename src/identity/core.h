/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the identity's process share. One thread. The clocks are handed in. */
#ifndef ISTHMUS_IDENTITY_CORE_H
#define ISTHMUS_IDENTITY_CORE_H

#include "guard/accounts_file.h"
#include "guard/sign.h"
#include "guard/slow.h"
#include "guard/vouch.h"
#include "tag/plan.h"

#define SECRET_TEXT 80u /* of a token or a link, terminated */

#define ATTEMPTS_MAX 128u

struct attempt {       /* of a person to sign in by a provider */
    uint8_t id[16];    /* of what its box is asked */
    uint32_t provider; /* index of the box */
    int64_t begun_ns;  /* monotonic; 0: free */
    bool waits;        /* for the browser to come back */
    char state[VOUCH_WORD], nonce[VOUCH_WORD], verifier[VOUCH_WORD];
    uint8_t browser[SESSION_ID_SIZE]; /* the word that only the browser knows that began it */
    struct sign_request request;      /* who is to be answered: id, asker, kind, address */
};

#define INVITES_MAX 32u

struct invite { /* a link by which somebody chooses the password of an account */
    char name[NAME_SIZE];
    uint8_t link[32];  /* SHA-256 of its secret */
    int64_t end_ns;    /* monotonic; 0: free */
    uint64_t revision; /* of the account: a change to it ends the link */
};

struct identity {
    const struct plan *plan;
    struct session_table *sessions;
    const struct disk *disk;
    int dir;
    int broken; /* why the accounts' file can't be read: nobody signs in, nothing is written; 0: it can */
    int64_t utc_ns, mono_ns; /* of this step */
    uint8_t link[32];        /* SHA-256 of the enrolment link's secret … */
    int64_t link_end_ns;     /* … which is good until then (monotonic); 0: there is none */
    struct accounts accounts, next;
    struct slow slow;
    struct attempt attempts[ATTEMPTS_MAX];
    struct invite invites[INVITES_MAX];
};

struct exchange { /* one request and its answer */
    const struct sign_request *request;
    struct session caller; /* of the request's session, where the kind needs one */
    struct sign_answer answer;
    struct sign_row rows[SIGN_ROWS_MAX];
    bool asks; /* there is no answer yet: a provider is asked this first */
    struct vouch_request vouch;
};

/* Reads the accounts' file, frees what a predecessor was killed over, ends the sessions that are good no more. */
void identity_open(struct identity *d);
/* Answers x->request, any bytes, or asks a provider. */
void identity_answer(struct identity *d, struct exchange *x);
/* What a provider's box says, any bytes: the answer to whom it concerns. False: to nobody. */
MUST_USE bool identity_vouched(struct identity *d, const struct vouch_answer *v,
                               struct exchange *x);
/* Ends the sessions that are over, or whose account or token has changed, ended or gone. */
void identity_review(struct identity *d);
/* Makes the secret of the link for the first administrator. False: there is one, or there can be no link now. */
MUST_USE bool identity_make_link(struct identity *d, char secret[SECRET_TEXT]);
/* The link, by the way of the console that is next from box `from` on; the box, PLAN_NONE: there is none (any more), and the
 * link is one without an address. What is behind '#' a browser keeps to itself. */
uint32_t identity_link_text(const struct identity *d, uint32_t from, const char *secret,
                            char text[SIGN_TEXT]);

/* The same for a link to choose the password of that account. */
void identity_invite_text(const struct identity *d, uint32_t asker, const char *name,
                          const char *secret, char text[SIGN_TEXT]);
/* Where a provider sends the browser back to, which came by that box. */
void identity_redirect_text(const struct identity *d, uint32_t box, char text[VOUCH_REDIRECT]);

/* ---- Between the parts ---- */

#define LINK_NS (3600 * INT64_C(1000000000))

/* An answer to x->request, without anything in it. */
void exchange_begin(struct exchange *x);

/* Its status and text. */
void exchange_end(struct exchange *x, enum sign_status status, const char *text);
/* Makes d->next what there is, durably; or not at all, and says so. */
bool identity_keep(struct identity *d, struct exchange *x);

/* sign_in.c */
void sign_in(struct identity *d, struct exchange *x);
void sign_token(struct identity *d, struct exchange *x);
void sign_key(struct identity *d, struct exchange *x);
void sign_local(struct identity *d, struct exchange *x);
void sign_enrol(struct identity *d, struct exchange *x);
void sign_password(struct identity *d, struct exchange *x);
/* Somebody whom a provider vouches for: `s` holds name, kind and role. */
void sign_vouched(struct identity *d, struct exchange *x, struct session *s, const char *zones);
/* Whether failures of that name or from that address are slowed now, with the answer made. */
bool sign_is_slow(struct identity *d, struct exchange *x, const char *name);
void sign_failed(struct identity *d, struct exchange *x, const char *name);
/* The answer tells of the session. */
void sign_tell(struct identity *d, struct exchange *x, const struct session *s);

/* provider.c */
void provider_list(struct identity *d, struct exchange *x);
void provider_begin(struct identity *d, struct exchange *x);
void provider_finish(struct identity *d, struct exchange *x);

/* admin.c */
void admin_link(struct identity *d, struct exchange *x);
void admin_accounts(struct identity *d, struct exchange *x);
void admin_account_add(struct identity *d, struct exchange *x);
void admin_account_set(struct identity *d, struct exchange *x);
void admin_account_remove(struct identity *d, struct exchange *x);
void admin_tokens(struct identity *d, struct exchange *x);
void admin_token_add(struct identity *d, struct exchange *x);
void admin_token_remove(struct identity *d, struct exchange *x);
/* Index of the zone of that name in the plan, PLAN_NONE: there is none. `size` bytes of `name` count. */
uint32_t identity_zone(const struct identity *d, const char *name, size_t size);

#endif
