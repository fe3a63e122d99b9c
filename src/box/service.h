/* SPDX-License-Identifier: Apache-2.0 */
/* The interface of north services: modules (NAME.so) that a north box loads. One loop, one thread. The host hides the
 * rings: a service asks and gets call-backs. */
#ifndef ISTHMUS_BOX_SERVICE_H
#define ISTHMUS_BOX_SERVICE_H

#include <isthmus/driver.h> /* option tables are the same for drivers and services */

#include "box/link.h"
#include "guard/sign.h"
#include "guard/vouch.h"
#include "tag/plan.h"

struct service_host;

/* Modules find these in the program that loads them. */
#pragma GCC visibility push(default)

/* Called for a request's answers, in order: records of a run one by one (`slots` is the whole record, `run` says epoch,
 * sequence of this record in first_sequence, flags); rows (`row`, `row_size`); at last the end. Everything is borrowed
 * during the call. After the end the request number is free. */
struct answer_handler {
    void (*record)(void *context, const struct answer *run, const struct slot *slots, size_t count);
    void (*row)(void *context, const void *row, size_t size);
    void (*end)(void *context, const struct answer *end);
    void *context;
};

struct uv_loop_s *service_loop(struct service_host *host);
const struct plan *service_plan(const struct service_host *host); /* this box's part */
uint32_t service_box(const struct service_host *host);            /* index of our box in the plan */
/* A checked option: text, and its number (duration in ms, bool 0/1, choice's index). NULL/0 when the service's table
 * has no such option. */
const char *service_option_text(const struct service_host *host, const char *name);
double service_option_number(const struct service_host *host, const char *name);

/* Sends an ask (request is filled in and returned, > 0); ERR_FULL when too many are under way (SERVICE_ASKS_MAX). */
#define SERVICE_ASKS_MAX 256u
MUST_USE int service_ask(struct service_host *host, struct ask *ask,
                         const struct answer_handler *handler);
/* The same for a query in SQL (ASK_SQL): format, cut and take of `sql` are given, its text is sent along. Its rows are bytes;
 * they stop when `take` of them have come, until service_take asks for more. */
MUST_USE int service_ask_sql(struct service_host *host, struct ask *ask, const struct ask_sql *sql,
                             const char *text, size_t size, const struct answer_handler *handler);
/* The same for a search in the audit (ASK_SEARCH). */
MUST_USE int service_ask_search(struct service_host *host, struct ask *ask,
                                const struct ask_search *search,
                                const struct answer_handler *handler);
void service_take(struct service_host *host, uint32_t request, uint32_t bytes);
/* Forgets a request: its remaining answers are dropped; a query is cancelled. */
void service_forget(struct service_host *host, uint32_t request);

/* Durable small values of this box, through the engine's journal: done(context, error, value, size). */
typedef void service_store_done(void *context, int error, const void *value, size_t size);
MUST_USE int service_store(struct service_host *host, const char *key, const void *value,
                           size_t size, service_store_done *done, void *context);
MUST_USE int service_fetch(struct service_host *host, const char *key, service_store_done *done,
                           void *context);

/* Asks something of the guard (struct record_command); ends in done exactly once: with the first receipt that is an end
 * or waits for somebody, or at once for acts on an earlier command. ERR_FULL: too many are under way. */
typedef void service_command_done(void *context, const struct record_receipt *receipt);
MUST_USE int service_command(struct service_host *host, const struct record_command *command,
                             service_command_done *done, void *context);

/* The same for a batch: done gets the batch's own receipt. */
MUST_USE int service_batch(struct service_host *host, const struct record_commands *batch,
                           const struct record_part *parts, service_command_done *done,
                           void *context);

/* What a device offers: one call-back for each item (borrowed texts, unchecked bytes of the device but terminated), then
 * the end, exactly once: status 0 or an OPC UA StatusCode with a text, and how many items were lost on their way. One
 * browse at a time: ERR_BUSY. */
struct browse_item {
    const char *address, *name, *unit, *description;
    uint32_t type; /* enum value_type, 0: unknown */
    bool writable;
};
struct browse_handler {
    void (*item)(void *context, const struct browse_item *item);
    void (*end)(void *context, uint32_t status, const char *text, uint32_t lost);
    void *context;
};
MUST_USE int service_browse(struct service_host *host, uint32_t device, const uint8_t session[16],
                            const struct browse_handler *handler);

/* Asks the identity (guard/sign.h; `id` and `asker` are filled in on the way). One answer, exactly once; `rows` are answer->count
 * of them, both borrowed during the call. Status SIGN_BUSY if no answer comes. ERR_FULL: too many are under way. */
typedef void service_sign_done(void *context, const struct sign_answer *answer,
                               const struct sign_row *rows);
MUST_USE int service_sign(struct service_host *host, struct sign_request *request,
                          service_sign_done *done, void *context);

/* Answers what the service's `vouch` was asked; `id` and `act` are those of the request. ERR_FULL: there is no room now. */
MUST_USE int service_vouched(struct service_host *host, const struct vouch_answer *answer);

/* When the first of the certificates ends that it works with (UTC): shown with the health of the box. 0: it has none. */
void service_certificate(struct service_host *host, int64_t ends_ns);

/* An event for the journal (EVENT_FEED_UP …). */
void service_event(struct service_host *host, enum event_kind kind, const char *text);
void service_log(struct service_host *host, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

struct service {
    const char *name, *summary;
    const struct isthmus_option *options;
    /* Before the box is locked in: files may be read, listening sockets made, libraries initialised. NULL with the
     * reason in `why` on failure. */
    void *(*open)(struct service_host *host, char *why, size_t why_size);
    /* Locked in: begin. */
    int (*start)(void *service);
    /* Ends within a second; then calls service_stopped. */
    void (*stop)(void *service);
    void (*free)(void *service); /* after the loop has ended */
    /* The identity asks it about a person who signs in; borrowed. NULL: it vouches for nobody. */
    void (*vouch)(void *service, const struct vouch_request *request);
};
void service_stopped(struct service_host *host);

#pragma GCC visibility pop

/* The one exported symbol of a service module. */
__attribute__((visibility("default"))) const struct service *isthmus_service(void);

#endif
