/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the HTTP service share. http.c: the service and the server; request.c: one exchange; session.h: who asks, and whether he may; api.c, command.c,
 * ledger.c, metrics.c, sql.c, prom.h: what each route answers; stream.c, stream_client.c: values as they come (NDJSON and WebSocket); assets.c: what
 * is served as it is; render.c: records as JSON. */
#ifndef ISTHMUS_NORTH_HTTP_HTTP_H
#define ISTHMUS_NORTH_HTTP_HTTP_H

#include <libwebsockets.h>

#include "base/json.h"
#include "box/service.h"
#include "north/http/session.h"

#define BODY_MAX      (UINT32_C(64) << 20)  /* bytes of one answer */
#define HELD_MAX      (UINT64_C(256) << 20) /* bytes of all answers that wait to be taken */
#define TARGET_MAX    512                   /* bytes of a path, of one argument */
#define ARGUMENTS_MAX 16
#define UPLOAD_MAX    16384
#define UPLOAD_MS     10000 /* a body takes no longer than that to come */
#define TCP_MAX       1200 /* connections; what is left of the box's files is for the local socket */
#define AUTHORITIES   36
#define AUTHORITY_MAX 264
#define STREAMS_MAX   100    /* each keeps an ask under way, of SERVICE_ASKS_MAX */
#define RECORDS_MAX   100000 /* of one answer, and the default is 10,000 */

struct http {
    struct service_host *host;
    const struct plan *plan;
    struct lws_context *context;
    struct lws_vhost *tcp, *local;
    struct tls *tls;                            /* owned; NULL: plain */
    char authority[AUTHORITIES][AUTHORITY_MAX]; /* what a Host header may say … */
    size_t authority_count;
    bool (*peer_key)(struct lws *wsi, uint8_t key[32]); /* NULL: clients show no certificates */
    const char *scheme; /* … and, behind this and ://, an Origin header */
    char socket_path[108];
    char cookie_name[24];
    bool signed_in; /* reading needs a session too */
    struct known known[KNOWN_MAX];
    uint64_t requests, refused, open_streams;
    uint64_t connections; /* over TCP */
    uint64_t held;        /* bytes of answers, HELD_MAX */
    uint32_t queries;     /* of PromQL, under way */
};

struct request;
struct asset;

enum method { METHOD_GET, METHOD_POST, METHOD_DELETE };

enum access {
    ACCESS_FREE,   /* for whoever reaches us */
    ACCESS_OPEN,   /* the same, unless the service's option says that reading needs a session */
    ACCESS_SHOWN,  /* the same, and who shows who he is, is known */
    ACCESS_SIGNED, /* with a session only */
};

struct route {
    const char *path; /* a trailing "/ *" (without the space) takes the rest as argument */
    enum method method;
    enum access access;
    uint32_t right; /* that the session's role needs */
    void (*begin)(struct request *r);
};

struct stream;
struct sql;
struct prom;
struct columns;
struct contracts;

struct ticket {
    struct request *request; /* NULL: gone */
};

struct request {
    struct http *http;
    struct lws *wsi;
    char path[TARGET_MAX];
    const char *rest; /* behind a wildcard route */
    char arguments[ARGUMENTS_MAX][TARGET_MAX];
    int argument_count;
    char *upload; /* owned, UPLOAD_MAX; NULL: none is taken */
    size_t upload_size;
    int64_t begun_ns; /* monotonic */
    bool close;       /* after the answer, for a body that nobody wants may follow */
    const struct route *route;
    struct caller caller;
    uint8_t session[SESSION_ID_SIZE]; /* of whoever asks, once that is known; zeros: nobody's */
    uint32_t zone_limit, zone_count, zones[SESSION_ZONES]; /* of it, as in struct session */
    char cookie[144];                                      /* to set with the answer; "": none */
    char retry_after[12];                                  /* seconds; likewise */
    struct json body;
    const char *type; /* content type */
    int status;
    uint32_t ask; /* under way; 0: none */
    bool ready, head_sent, dead;
    size_t sent, held; /* held: counted in http->held */
    uint64_t count, last_sequence;
    const struct plan_feed *feed; /* only its tags; NULL: all */
    struct ledger_total {
        uint64_t produced, journaled, suppressed, rejected, gaps, unbalanced;
        int64_t since_ns;
    } total;
    const struct asset *asset;   /* instead of the body */
    struct ticket *ticket;       /* of what the engine or the identity is asked, under way */
    struct stream *stream;       /* owned; NULL: a plain answer */
    struct sql *sql;             /* owned; NULL: no query */
    struct prom *prom;           /* owned; NULL: nothing of Prometheus' API */
    struct columns *columns;     /* owned; NULL: none are being filled */
    struct contracts *contracts; /* owned; NULL: no report on them is being made */
};

/* request.c */
int request_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                     size_t size);
const char *request_argument(const struct request *r, const char *name); /* NULL: not given */
/* A whole number within bounds, or the fallback; false with the answer already made when it isn't one. */
bool request_number(struct request *r, const char *name, uint64_t fallback, uint64_t most,
                    uint64_t *out);
bool request_time(struct request *r, const char *name, int64_t fallback, int64_t *out);
/* Counts what the answer has grown by; makes it bad when all answers together are too large. */
void request_grown(struct request *r);
void request_done(struct request *r);
/* RFC 9457: what went wrong, why, what to do. */
void request_problem(struct request *r, int status, const char *title, const char *detail);
/* Asks the reader; answers come through the handler with the request as context. */
void request_ask(struct request *r, struct ask *ask, const struct answer_handler *handler);

/* api.c: an answer that is a list, from the reader's rows */
typedef void row_handler(void *context, const void *row, size_t size);
void list_open(struct request *r, const char *name);
void list_begin(struct request *r, const char *name); /* in an object that is open */
void list_end(void *context, const struct answer *end);
void list_finish(void *context, const struct answer *end); /* when the list is closed already */
void ask_rows(struct request *r, enum ask_kind kind, const char *name, row_handler *row);
/* Whether whoever asks may know that there is this tag. The reader decides what he gets to see of it. */
bool shows_tag(const struct request *r, const struct plan_tag *tag);
/* The tag at that path that he may know of; NULL: none. */
const struct plan_tag *find_tag(const struct request *r, const char *path);
/* Whether he may, and the argument `tags` lets this one through. */
bool wants_tag(struct request *r, const struct plan_tag *tag);

/* api.c, ledger.c, command.c, metrics.c, browse.c */
extern const struct route http_routes[];
void ledger_begin(struct request *r);
void causes_begin(struct request *r);
void feeds_begin(struct request *r);
void commands_begin(struct request *r);
void writes_begin(struct request *r);
void command_begin(struct request *r);
void command_look_begin(struct request *r);
void command_act_begin(struct request *r);
void inhibit_get(struct request *r);
void inhibit_post(struct request *r);
void island_get(struct request *r);
void island_post(struct request *r);
void metrics_begin(struct request *r);
void browse_begin(struct request *r);

/* contracts.c */
void contracts_begin(struct request *r);
void contract_begin(struct request *r);
void trial_begin(struct request *r);
void contracts_free(struct contracts *c);

/* audit.c */
void audit_begin(struct request *r);
void proof_begin(struct request *r);

/* zones.c */
void zones_begin(struct request *r);

/* sql.c */
void sql_begin(struct request *r);
void sql_free(struct sql *q);
bool sql_is_streamed(const struct request *r); /* its answer is sent while it is made */
/* Sends what there is, when it is streamed. False: close the connection. */
bool sql_writable(struct request *r);

/* steps.c: GET /api/v1/history with a step; `ask` says of which tag, from when to when. */
void steps_begin(struct request *r, const struct plan_tag *tag, struct ask *ask);

/* columns.c: the same with format=columns. */
void columns_begin(struct request *r, const struct plan_tag *tag, struct ask *ask);
size_t columns_size(const struct columns *c); /* bytes that are not in the body yet */
void columns_free(struct columns *c);

/* render.c */
const char *render_effect(const struct plan_feed *f); /* of a contract */
void render_scope(struct json *j, const struct plan *plan, uint32_t scope, uint32_t which);
void render_wide(struct json *j, const char *key, uint64_t v); /* a 64-bit number, as text */
void render_record(struct json *j, const struct plan *plan, const struct answer *run,
                   const struct slot *s);
void render_value(struct json *j, const struct plan_tag *tag, const struct slot *s);
void render_sample(struct json *j, const struct plan *plan, const struct plan_tag *tag,
                   const struct answer *run, const struct slot *s);

/* `records` from sequence `from` to `to` are not given. */
void render_skip(struct json *j, const char *why, uint64_t from, uint64_t to, uint64_t records);

/* stream_client.c */
void stream_begin(struct request *r); /* GET /api/v1/stream */
void stream_free(struct stream *s);
void stream_writable(struct request *r);
int stream_socket(struct http *http, struct lws *wsi, enum lws_callback_reasons reason,
                  struct request *r, void *in, size_t size);

#endif
