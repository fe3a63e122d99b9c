/* SPDX-License-Identifier: Apache-2.0 */
/* The syslog service: hands the gateway's audit to a collector, each entry at least once and in order.
 *
 *   asked from `sent` ─→ batch ─→ wire ─→ `sent` moves ─→ … ─→ the delivery ends ─→ `confirmed` = `sent`, which is stored
 *
 * A delivery ends when nothing more is there for a second, or after DELIVERY_MAX entries. Only then does the collector say that it
 * has read them (wire.h); so when anything fails before, the next delivery begins again where this one began. That the
 * receipt costs a connection each time was found better than guessing by time what a collector may have lost. */
#include "box/service.h"
#include "box/tls_client.h"
#include "north/syslog/message.h"
#include "north/syslog/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/clock.h"

#define BATCH_ENTRIES 64u
/* one message more before each entry and behind the last: that some are missing */
#define BATCH_BYTES  ((2 * BATCH_ENTRIES + 1) * MESSAGE_MAX)
#define DELIVERY_MAX 1000u
#define LINGER_MS    1000u
#define ASK_MS       60000u
#define RETRY_MS     500u
#define CURSOR_KEY   "syslog/next"

struct relay {
    struct service_host *host;
    const char *gateway;
    struct sockaddr_storage address;
    const char *to;              /* as configured */
    struct ssl_ctx_st *tls;      /* owned; NULL: without */
    const char *ca, *cert, *key; /* borrowed */
    uint64_t timeout_ms, retry_max_ms, retry_ms;

    uint64_t confirmed; /* the collector has all numbers below */
    uint64_t sent;      /* all below were sent, on the wire that is open or before */
    uint32_t on_wire;   /* entries sent on it */
    uint32_t asked;     /* request under way; 0: none */
    uint64_t expected;  /* of it: the next number */
    char *batch;        /* owned */
    size_t batch_size;  /* 0: none waits */
    uint32_t batch_count;
    uint64_t batch_end;
    struct wire *wire; /* NULL: none */
    bool ready, sending, finishing;
    uv_timer_t retry, limit, linger;
    bool stopping;
    char last_why[256];
};

static const struct isthmus_option options[] = {
    {"address", ISTHMUS_OPTION_ADDRESS, NULL, 0, 0, NULL, "The collector, host:port."},
    {"audit", ISTHMUS_OPTION_CHOICE, NULL, 0, 0, "all",
     "What the collector is given: all is the whole audit, with every name in it."},
    {"tls", ISTHMUS_OPTION_BOOL, "true", 0, 0, NULL,
     "Connect with TLS (1.2 or newer); without, only to loopback."},
    {"tls_name", ISTHMUS_OPTION_TEXT, "", 0, 0, NULL,
     "The name the collector's certificate must hold; empty: the address."},
    {"ca", ISTHMUS_OPTION_FILE, "", 0, 0, NULL,
     "PEM file of the authorities to trust; empty: those of the system."},
    {"cert", ISTHMUS_OPTION_FILE, "", 0, 0, NULL, "PEM file of the client's certificate."},
    {"key", ISTHMUS_OPTION_FILE, "", 0, 0, NULL,
     "PEM file of the client's private key, mode 0600."},
    {"timeout", ISTHMUS_OPTION_DURATION, "30s", 100, 3600000, NULL,
     "How long the collector may take for a step; then it is connected to again."},
    {"reconnect_max", ISTHMUS_OPTION_DURATION, "30s", 500, 3600000, NULL,
     "The longest wait before connecting again; it begins with half a second and doubles."},
    {0},
};

static void ask(struct relay *r);
static void deliver(struct relay *r);

/* ---- The wire. ---- */

static void drop_wire(struct relay *r)
{
    wire_free(r->wire);
    r->wire = NULL;
    r->ready = r->sending = r->finishing = false;
    r->on_wire = 0;
    uv_timer_stop(&r->limit);
    uv_timer_stop(&r->linger);
}

static void on_retry(uv_timer_t *timer)
{
    ask(timer->data);
}

/* All over again from what is confirmed, after a while. */
static void begin_again(struct relay *r)
{
    drop_wire(r);
    if (r->asked) {
        service_forget(r->host, r->asked);
        r->asked = 0;
    }
    r->batch_size = 0;
    r->sent = r->confirmed;
    uv_timer_start(&r->retry, on_retry, r->retry_ms, 0);
    r->retry_ms = 2 * r->retry_ms < r->retry_max_ms ? 2 * r->retry_ms : r->retry_max_ms;
}

static void say(struct relay *r, const char *why)
{
    if (strcmp(why, r->last_why) != 0) {
        service_log(r->host, "the audit does not reach %s: %s; it is kept, and sent when it can be",
                    r->to, why);
        snprintf(r->last_why, sizeof r->last_why, "%s", why);
    }
}

static void on_failed(void *context, const char *why)
{
    struct relay *r = context;
    const char *refusal = tls_client_refusal(r->tls);
    say(r, refusal ? refusal : why);
    begin_again(r);
}

static void on_limit(uv_timer_t *timer)
{
    struct relay *r = timer->data;
    on_failed(r, r->finishing ? "the collector does not say that it has read all"
                 : r->sending ? "the collector takes nothing"
                              : "the collector does not answer");
}

static void expect_progress(struct relay *r)
{
    uv_timer_start(&r->limit, on_limit, r->timeout_ms, 0);
}

static void finish(struct relay *r)
{
    uv_timer_stop(&r->linger);
    r->ready = false;
    r->finishing = true;
    expect_progress(r);
    wire_finish(r->wire);
}

static void on_linger(uv_timer_t *timer)
{
    finish(timer->data);
}

static void send_batch(struct relay *r)
{
    uv_timer_stop(&r->linger);
    r->ready = false;
    r->sending = true;
    expect_progress(r);
    wire_send(r->wire, r->batch, r->batch_size);
}

static void on_ready(void *context)
{
    struct relay *r = context;
    uv_timer_stop(&r->limit);
    if (r->sending) {
        r->sending = false;
        r->sent = r->batch_end;
        r->on_wire += r->batch_count;
        r->batch_size = 0;
    }
    r->ready = true;
    if (r->batch_size) {
        send_batch(r);
    } else if (r->on_wire >= DELIVERY_MAX) {
        finish(r);
        ask(r);
    } else {
        uv_timer_start(&r->linger, on_linger, LINGER_MS, 0);
        ask(r);
    }
}

/* An error is tried again by the host; what was not stored is sent once more after a restart. */
static void on_stored(void *context, int error, const void *value, size_t size)
{
    (void)context;
    (void)error;
    (void)value;
    (void)size;
}

static void store(struct relay *r)
{
    int err = service_store(r->host, CURSOR_KEY, &r->confirmed, sizeof r->confirmed, on_stored, r);
    (void)err; /* too many are under way: the next one says as much */
}

static void on_received(void *context)
{
    struct relay *r = context;
    if (*r->last_why) {
        service_log(r->host, "the audit reaches %s again", r->to);
        r->last_why[0] = '\0';
    }
    r->retry_ms = RETRY_MS;
    r->confirmed = r->sent;
    store(r);
    drop_wire(r);
    deliver(r);
}

/* What was renewed is taken up with each connection; what can't be read leaves what was there before. */
static void renew_files(struct relay *r)
{
    char why[sizeof r->last_why];
    if (r->tls && tls_client_load(r->tls, r->ca, r->cert, r->key, why, sizeof why)) {
        say(r, why);
    }
    service_certificate(r->host, tls_client_ends_ns(r->tls));
}

static void deliver(struct relay *r)
{
    static const struct wire_events events = {on_ready, on_received, on_failed, NULL};
    struct wire_events mine = events;
    mine.context = r;
    if (!r->batch_size) {
        ask(r);
    } else if (r->ready) {
        send_batch(r);
    } else if (!r->wire) {
        renew_files(r);
        r->wire = wire_open(service_loop(r->host), &r->address, r->tls, &mine);
        if (r->wire) {
            expect_progress(r);
        } else {
            on_failed(r, strerror(errno));
        }
    }
}

/* ---- The audit. ---- */

static void note_missing(struct relay *r, uint64_t to)
{
    if (r->expected < to) {
        r->batch_size +=
            message_missing(r->expected, to, clock_utc_ns(), r->gateway, r->batch + r->batch_size);
        r->expected = to;
    }
}

static void on_row(void *context, const void *row, size_t size)
{
    struct relay *r = context;
    struct audit_entry e;
    if (size != sizeof e || r->batch_count == BATCH_ENTRIES) {
        return; /* no reader of ours says this */
    }
    memcpy(&e, row, sizeof e);
    if (e.number < r->expected) {
        return;
    }
    note_missing(r, e.number);
    r->batch_size += message_entry(&e, r->gateway, r->batch + r->batch_size);
    r->batch_count++;
    r->expected = e.number + 1;
}

static void on_end(void *context, const struct answer *end)
{
    struct relay *r = context;
    r->asked = 0;
    if (end->error) {
        say(r, err_text(-(int)end->error));
        begin_again(r);
        return;
    }
    if (end->covers.to < r->sent) {
        service_log(r->host, "the audit ends before entry %llu: it is another one, and sent whole",
                    (unsigned long long)r->sent);
        r->confirmed = 1;
        store(r);
        begin_again(r);
        return;
    }
    note_missing(r, end->covers.to);
    r->batch_end = end->covers.to;
    deliver(r);
}

/* Asks for what comes next, unless it was asked for or waits already. */
static void ask(struct relay *r)
{
    if (r->stopping || r->asked || r->batch_size) {
        return;
    }
    struct ask a = {.kind = ASK_AUDIT,
                    .from_sequence = r->sent,
                    .max_records = BATCH_ENTRIES,
                    .max_ms = ASK_MS};
    struct answer_handler handler = {NULL, on_row, on_end, r};
    r->batch_count = 0;
    r->expected = r->sent;
    int request = service_ask(r->host, &a, &handler);
    r->asked = request > 0 ? (uint32_t)request : 0;
    if (request < 0) {
        begin_again(r);
    }
}

/* ---- The service's life. ---- */

static void on_fetched(void *context, int error, const void *value, size_t size)
{
    struct relay *r = context;
    if (!error && size == sizeof r->confirmed) {
        memcpy(&r->confirmed, value, size);
    }
    r->sent = r->confirmed = r->confirmed ? r->confirmed : 1;
    ask(r);
}

static int relay_start(void *service)
{
    struct relay *r = service;
    struct uv_loop_s *loop = service_loop(r->host);
    uv_timer_t *timers[] = {&r->retry, &r->limit, &r->linger};
    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++) {
        uv_timer_init(loop, timers[i]);
        timers[i]->data = r;
    }
    return service_fetch(r->host, CURSOR_KEY, on_fetched, r);
}

static void relay_stop(void *service)
{
    struct relay *r = service;
    r->stopping = true;
    drop_wire(r);
    uv_close((uv_handle_t *)&r->retry, NULL);
    uv_close((uv_handle_t *)&r->limit, NULL);
    uv_close((uv_handle_t *)&r->linger, NULL);
    service_stopped(r->host);
}

static const char *text_option(const struct relay *r, const char *name)
{
    const char *text = service_option_text(r->host, name);
    return text ? text : "";
}

/* ip:port, or [ip]:port. */
static bool read_address(struct relay *r, char ip[INET6_ADDRSTRLEN + 2])
{
    const char *colon = strrchr(r->to, ':');
    size_t size = colon ? (size_t)(colon - r->to) : 0;
    bool brackets = size > 2 && r->to[0] == '[' && r->to[size - 1] == ']';
    struct sockaddr_in *four = (void *)&r->address;
    struct sockaddr_in6 *six = (void *)&r->address;
    long port = colon ? strtol(colon + 1, NULL, 10) : 0;
    if (!size || size > INET6_ADDRSTRLEN || port < 1 || port > 65535) {
        return false;
    }
    snprintf(ip, INET6_ADDRSTRLEN + 2, "%.*s", (int)(brackets ? size - 2 : size), r->to + brackets);
    if (inet_pton(AF_INET, ip, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)port);
        return true;
    }
    six->sin6_family = AF_INET6;
    six->sin6_port = htons((uint16_t)port);
    return inet_pton(AF_INET6, ip, &six->sin6_addr) == 1;
}

static int read_options(struct relay *r, char *why, size_t why_size)
{
    static char ip[INET6_ADDRSTRLEN + 2]; /* the context of TLS borrows it */
    const char *name = text_option(r, "tls_name");
    r->to = text_option(r, "address");
    r->ca = text_option(r, "ca");
    r->cert = text_option(r, "cert");
    r->key = text_option(r, "key");
    r->timeout_ms = (uint64_t)service_option_number(r->host, "timeout");
    r->retry_max_ms = (uint64_t)service_option_number(r->host, "reconnect_max");
    if (!read_address(r, ip)) {
        snprintf(why, why_size, "option 'address': '%s' is no ip:port", r->to);
        return ERR_CONFIG;
    }
    if (service_option_number(r->host, "tls") != 0) {
        r->tls = tls_client_new(*name ? name : ip, !*r->ca, why, why_size);
        return r->tls ? tls_client_load(r->tls, r->ca, r->cert, r->key, why, why_size) : ERR_CONFIG;
    }
    return ERR_OK;
}

static void relay_free(void *service)
{
    struct relay *r = service;
    if (r) {
        SSL_CTX_free(r->tls);
        free(r->batch);
        free(r);
    }
}

static void *relay_open(struct service_host *host, char *why, size_t why_size)
{
    struct relay *r = calloc(1, sizeof *r);
    snprintf(why, why_size, "out of memory");
    if (!r || !(r->batch = malloc(BATCH_BYTES))) {
        relay_free(r);
        return NULL;
    }
    const struct plan *plan = service_plan(host);
    r->host = host;
    r->gateway = plan_text(plan, plan->header->name);
    r->retry_ms = RETRY_MS;
    if (read_options(r, why, why_size)) {
        relay_free(r);
        return NULL;
    }
    return r;
}

const struct service *isthmus_service(void)
{
    static const struct service service = {
        .name = "syslog",
        .summary = "the audit, by syslog (RFC 5424) over TLS",
        .options = options,
        .open = relay_open,
        .start = relay_start,
        .stop = relay_stop,
        .free = relay_free,
    };
    return &service;
}
