/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks, and what a route may do for whom: what session.c gives to the rest of the HTTP service. */
#ifndef ISTHMUS_NORTH_HTTP_SESSION_H
#define ISTHMUS_NORTH_HTTP_SESSION_H

#include <libwebsockets.h>

#include "guard/sign.h"

struct http;
struct request;

#define CSRF_HEADER  "x-isthmus-csrf:"
#define KNOWN_MAX    64u
#define BEGUN_SUFFIX "-begun" /* of the cookie of who is away to sign in by a provider */

/* What a request shows of who sends it. */
struct caller {
    char kind;    /* 0: nothing */
    uint32_t uid; /* of the other end of the local socket */
    uint8_t session[SESSION_ID_SIZE];
    uint8_t address[16];
    char secret[96];
    bool browser; /* a page sent it, as its Origin tells; of a certificate only */
    char csrf[33];
    char begun[33]; /* the word of a sign-in by a provider */
    char key[136];  /* all that counts of it, as one text */
};

/* What the identity said of such a caller lately. */
struct known {
    char key[136]; /* "": free */
    struct sign_answer facts;
    uint64_t until_ms, used_ms; /* loop time: believed until; told to be used */
};

void caller_read(const struct http *h, struct lws *wsi, struct caller *c);
/* What was remembered of whoever sends the request is no longer so. */
void caller_forget(struct request *r);
/* The session of whoever opens a WebSocket, without asking anybody; false: none is known. */
bool caller_session(struct http *h, struct lws *wsi, uint8_t session[SESSION_ID_SIZE]);

/* Begins the request's route if whoever sends it may, or answers why not. */
void access_begin(struct request *r);

/* Asks the identity in the name of the request's session; `q`'s secrets are wiped. The answer comes unless the caller has left. */
typedef void sign_then(struct request *r, const struct sign_answer *answer,
                       const struct sign_row *rows);
void sign_send(struct request *r, struct sign_request *q, sign_then *then);
/* Why the identity would not. */
void sign_problem(struct request *r, const struct sign_answer *answer);

/* A body of texts and truth values, all known by name; false with the answer made. A field without `out` is a truth value. */
struct body_field {
    const char *name;
    bool required;
    char *out;
    size_t size;
    bool *flag;
};
MUST_USE bool body_read(struct request *r, const struct body_field *fields, size_t count,
                        const char *example);

/* Routes. */
void session_get(struct request *r);
void session_post(struct request *r);
void session_delete(struct request *r);
void session_password(struct request *r);
void enrol_post(struct request *r);
void providers_get(struct request *r);
void session_begin(struct request *r);
void session_finish(struct request *r);
/* accounts.c */
void enrol_link(struct request *r);
void accounts_get(struct request *r);
void accounts_post(struct request *r);
void account_set(struct request *r);
void account_delete(struct request *r);
void tokens_get(struct request *r);
void tokens_post(struct request *r);
void token_delete(struct request *r);

#endif
