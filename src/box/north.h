/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the host of north services, shared by its parts: north.c (the process's life), north_link.c (asks to
 * the reader and their answers), north_engine.c (stored values and commands through the engine), north_browse.c (what devices offer), north_sign.c (sign-ins). Services see only
 * box/service.h. One thread: the loop's. */
#ifndef ISTHMUS_BOX_NORTH_H
#define ISTHMUS_BOX_NORTH_H

#include <uv.h>

#include "box/box.h"
#include "box/service.h"

#define NORTH_STORES_MAX   32u /* stores and fetches under way */
#define NORTH_COMMANDS_MAX 64u
#define NORTH_BROWSE_MS    30000 /* after so long a browse has no answer */
#define NORTH_SIGNS_MAX    64u   /* sign-ins under way */
#define NORTH_SIGN_MS      10000 /* after so long one has no answer … */
#define NORTH_VOUCH_MS     14000 /* … or, where a provider is asked, up to three times */
#define NORTH_TAKE_SLOTS   2048u /* taken from a ring at once; more than the longest record */

struct north_ask {    /* a request under way to the reader */
    uint32_t request; /* 0: free */
    bool forgotten;   /* its answers are dropped; the number stays taken until the end has come */
    bool query;       /* of SQL or history: long, so the reader is told when it is forgotten */
    bool cancel;      /* the reader is to be told that it is forgotten … */
    uint32_t take;    /* … or how much more it may answer */
    struct answer_handler handler;
};

struct north_store {  /* a store or fetch under way to the engine */
    uint32_t request; /* 0: free */
    bool fetch;
    char key[STORE_KEY_MAX];
    size_t size; /* of value */
    service_store_done *done;
    void *context;
    uint8_t value[STORE_VALUE_MAX]; /* kept: sent again when the engine has restarted */
};

struct north_command {
    bool used;
    struct record_command command;
    service_command_done *done;
    void *context;
};

struct north_sign {
    uint8_t id[16];
    uint32_t kind;
    uint64_t until;          /* loop time */
    service_sign_done *done; /* NULL: free */
    void *context;
};

struct service_host {
    struct gateway *g; /* borrowed */
    uint32_t box;
    const struct seat *seat;
    const struct service *service;
    void *state;                      /* the service's own */
    struct isthmus_setting *settings; /* owned */
    size_t setting_count;
    uv_loop_t loop;
    uv_poll_t from_engine, from_reader;
    uv_timer_t heartbeat;
    uv_signal_t term;
    uv_prepare_t before_sleep;
    uv_check_t after_sleep;
    uv_idle_t busy; /* started while a ring holds more: the loop does not sleep */
    bool stopping, stopped, broken;

    struct ring_producer ask;
    struct ring_consumer answer;
    uint64_t reader_epoch;
    uint32_t ask_count; /* rises with each ask */
    struct north_ask asks[SERVICE_ASKS_MAX];
    struct answer run; /* records of it are still to come */
    uint32_t run_left;

    struct ring_producer up;
    struct ring_consumer down;
    uint64_t engine_epoch;
    bool resend; /* the engine has restarted and is not ready yet */
    uint32_t store_count;
    struct north_store stores[NORTH_STORES_MAX];
    struct north_command commands[NORTH_COMMANDS_MAX];

    bool browsing;
    uint8_t browse_id[16];
    uint64_t browse_until; /* loop time */
    struct browse_handler browse;

    struct north_sign signs[NORTH_SIGNS_MAX];

    struct slot taken[NORTH_TAKE_SLOTS];
};

/* Attach to the rings. 0 or a negative err. */
MUST_USE int north_link_init(struct service_host *host);
MUST_USE int north_engine_init(struct service_host *host);

/* Calls `word` for each whole record that the ring holds, bounded. 1: there is more; 0; negative: garbage. */
typedef void north_word(struct service_host *host, const struct slot *slots, size_t count);
MUST_USE int north_take(struct service_host *host, struct ring_consumer *ring, north_word *word);

/* Take what the ring holds, bounded, and call back. 1: there is more; 0; negative: garbage. */
MUST_USE int north_link_take(struct service_host *host);
MUST_USE int north_engine_take(struct service_host *host);

/* Notice that the other side has restarted: requests to the reader end with ERR_CLOSED, stores are sent again,
 * commands end unknown. Cheap; called once per turn of the loop. */
void north_link_watch(struct service_host *host);
/* north_browse.c: a record from the engine; the end if there is none in time, or `why` it can't come any more. */
void north_browse_word(struct service_host *host, const struct slot *s);
void north_browse_watch(struct service_host *host, const char *why);

/* north_sign.c: a record from the engine; the end of those that can't be answered any more. */
void north_sign_word(struct service_host *host, const struct slot *s);
void north_vouch_word(struct service_host *host, const struct slot *s);
void north_sign_watch(struct service_host *host, bool restarted);

void north_engine_watch(struct service_host *host);

#endif
