/* SPDX-License-Identifier: Apache-2.0 */
/* The identity's process: locks itself in (only its own folder), then answers what the engine passes to it, one after the
 * other. A password takes some 30 ms of work, so a flood of sign-ins fills the ring, the engine says "busy" to those that find
 * no room, and nobody else waits. */
#include "identity/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "box/sandbox.h"
#include "identity/core.h"

#define SLEEP_MAX_MS 500
#define REVIEW_NS    (500 * NS_PER_MS)

struct process {
    struct gateway *g;
    const struct seat *seat;
    struct ring_consumer down;
    struct ring_producer up;
    struct slot taken[SLOT_RECORD_MAX];
    struct exchange exchange;
    struct identity identity;
};

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

static int open_folder(const struct gateway *g, char *path, size_t size)
{
    int length = snprintf(path, size, "%s/identity", g->state_dir);
    if (length < 0 || (size_t)length >= size) {
        return ERR_TOO_LONG;
    }
    if (mkdir(path, 0700) && errno != EEXIST) {
        return err_from_errno(errno);
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_from_errno(errno) : fd;
}

static int fail(const char *what, int err)
{
    fprintf(stderr, "isthmus: identity: %s: %s\n", what, err_text(err));
    return 1;
}

static void turn_clock(struct process *p)
{
    p->identity.mono_ns = clock_mono_ns();
    p->identity.utc_ns = clock_utc_ns();
    atomic_store_explicit(&p->seat->panel->heartbeat_ns, p->identity.mono_ns, memory_order_relaxed);
}

static void put(struct process *p, enum record_kind kind, const void *payload, size_t size)
{
    struct slot head = {.time = p->identity.utc_ns, .tag = record_tag(kind)};
    if (ring_put_record(&p->up, &head, payload, size) == ERR_OK) {
        ring_publish(&p->up); /* else the asker's patience ends it */
    }
}

static void send(struct process *p, const struct exchange *x)
{
    uint8_t payload[SLOT_PAYLOAD_MAX];
    size_t rows = x->answer.count * sizeof *x->rows;
    if (x->asks) {
        put(p, RECORD_VOUCH, &x->vouch, sizeof x->vouch);
        return;
    }
    memcpy(payload, &x->answer, sizeof x->answer);
    memcpy(payload + sizeof x->answer, x->rows, rows);
    put(p, RECORD_SIGNED, payload, sizeof x->answer + rows);
    explicit_bzero(payload, sizeof payload);
}

static void answer(struct process *p, const struct slot *s)
{
    struct exchange *x = &p->exchange;
    struct sign_request request = {.kind = 0};
    struct vouch_answer vouched;
    if (s->tag == record_tag(RECORD_SIGN) && s->value.u64 <= sizeof request) {
        memcpy(&request, slot_payload(s), (size_t)s->value.u64);
        x->request = &request;
        identity_answer(&p->identity, x);
        send(p, x);
        explicit_bzero(&request, sizeof request);
    } else if (s->tag == record_tag(RECORD_VOUCHED) && s->value.u64 == sizeof vouched) {
        memcpy(&vouched, slot_payload(s), sizeof vouched);
        if (identity_vouched(&p->identity, &vouched, x)) {
            send(p, x);
        }
    }
    explicit_bzero(x, sizeof *x);
    explicit_bzero(p->taken, sizeof p->taken);
}

/* One record, if there is one. Negative: the ring holds garbage. */
static int serve(struct process *p)
{
    int n = ring_take(&p->down, p->taken, SLOT_RECORD_MAX);
    if (n <= 0) {
        return n;
    }
    size_t length = slot_record_length(p->taken);
    if (!length || length > (size_t)n) {
        return ERR_GARBAGE;
    }
    ring_step_back(&p->down, (size_t)n - length);
    answer(p, p->taken);
    ring_release(&p->down, p->down.next);
    return 1;
}

static void rest(struct process *p)
{
    struct pollfd fd = {.fd = p->seat->from_engine_read, .events = POLLIN};
    char sink[64];
    if (ring_nap(&p->down) && poll(&fd, 1, SLEEP_MAX_MS) > 0) {
        while (read(fd.fd, sink, sizeof sink) == (ssize_t)sizeof sink) {
        }
    }
    ring_awake(&p->down);
}

/* A link for the first administrator on the gateway's terminal or log. */
static void offer_link(struct process *p)
{
    char secret[SECRET_TEXT], text[SIGN_TEXT];
    if (!identity_make_link(&p->identity, secret)) {
        return;
    }
    fprintf(stderr, "isthmus: nobody can sign in yet. Within an hour, and once, the first "
                    "administrator enrols at\n");
    for (uint32_t i = 0; (i = identity_link_text(&p->identity, i, secret, text)) != PLAN_NONE;
         i++) {
        fprintf(stderr, "isthmus:   %s\n", text);
    }
    explicit_bzero(secret, sizeof secret);
    explicit_bzero(text, sizeof text);
}

static int run(struct process *p)
{
    int served = 0;
    int64_t reviewed_ns = 0;
    while (!stop_asked && served >= 0) {
        turn_clock(p);
        if (p->identity.mono_ns - reviewed_ns > REVIEW_NS) {
            identity_review(&p->identity);
            reviewed_ns = p->identity.mono_ns;
        }
        served = serve(p);
        if (!served) {
            rest(p);
        }
    }
    return served < 0 ? fail("the engine's ring can't be true", served) : 0;
}

static int begin(struct process *p, const char *path)
{
    const struct seat *s = p->seat;
    int err = ring_producer_init(&p->up, s->up, s->up_capacity, s->up_tail, s->to_engine_write);
    err = err ? err : ring_consumer_init(&p->down, s->down, s->down_capacity, s->down_tail);
    err = err ? err : sandbox_enter(p->g, &(struct sandbox_profile){.write_dir = path});
    if (err) {
        return fail("cannot start", err);
    }
    turn_clock(p);
    identity_open(&p->identity);
    if (p->identity.broken) {
        fprintf(stderr,
                "isthmus: identity: %s/" ACCOUNTS_FILE
                ": %s; nobody can sign in, and it is not written over: put a sound one in its "
                "place, or take it away\n",
                path, err_text(p->identity.broken));
    }
    offer_link(p);
    atomic_store_explicit(&s->panel->ready, 1, memory_order_release);
    return run(p);
}

int identity_main(struct gateway *g)
{
    char path[4096];
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    signal(SIGINT, SIG_IGN);
    umask(077);
    int dir = open_folder(g, path, sizeof path);
    if (dir < 0) {
        return fail("cannot open its folder below the state folder", dir);
    }
    struct process *p = calloc(1, sizeof *p);
    if (!p) {
        close(dir);
        return fail("cannot start", ERR_NOMEM);
    }
    p->g = g;
    p->seat = g->seats + SEAT_IDENTITY;
    p->identity.plan = &g->plan;
    p->identity.sessions = &g->identity->sessions;
    p->identity.disk = &disk_files;
    p->identity.dir = dir;
    int status = begin(p, path);
    explicit_bzero(p, sizeof *p);
    free(p);
    close(dir);
    return status;
}
