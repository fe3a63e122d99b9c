/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the identity's process share. One thread. The clocks are handed in. */
#ifndef ISTHMUS_IDENTITY_CORE_H
#define ISTHMUS_IDENTITY_CORE_H

#include "guard/accounts_file.h"
#include "guard/sign.h"
#include "guard/slow.h"
#include "tag/plan.h"

#define SECRET_TEXT 80u /* of a token or a link, terminated */

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
};

struct exchange { /* one request and its answer */
    const struct sign_request *request;
    struct session caller; /* of the request's session, where the kind needs one */
    struct sign_answer answer;
    struct sign_row rows[SIGN_ROWS_MAX];
};

/* Reads the accounts' file, frees what a predecessor was killed over, ends the sessions that are good no more. */
void identity_open(struct identity *d);
/* Answers x->request, any bytes. */
void identity_answer(struct identity *d, struct exchange *x);
/* Ends the sessions that are over, or whose account or token has changed, ended or gone. */
void identity_review(struct identity *d);
/* Makes the secret of the link for the first administrator. False: there is one, or there can be no link now. */
MUST_USE bool identity_make_link(struct identity *d, char secret[SECRET_TEXT]);
/* The link, by the way of the console that is next from box `from` on; the box, PLAN_NONE: there is none (any more), and the
 * link is one without an address. What is behind '#' a browser keeps to itself. */
uint32_t identity_link_text(const struct identity *d, uint32_t from, const char *secret,
                            char text[SIGN_TEXT]);

/* ---- Between the parts ---- */

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
/* The answer tells of the session. */
void sign_tell(struct identity *d, struct exchange *x, const struct session *s);

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
