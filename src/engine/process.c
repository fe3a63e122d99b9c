/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's process: opens the journal, locks itself in (no sockets, only the journal's folder), then steps whenever
 * a box wakes it. Sleeping costs one wake-up pipe per seat and nothing else. */
#include "engine/internal.h"

#include "base/clock.h"
#include "box/sandbox.h"
#include "guard/audit_key.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLEEP_MAX_MS 100
#define STOP_MS      300 /* for the rings; the journal's last flush comes after it */

static volatile sig_atomic_t stop_asked;

struct wakes { /* what the journal's thread pokes */
    int durable_fd, reader_fd;
    int state_fd; /* the state folder */
    struct ring_tail *reader_tail;
    uint64_t reader_woken;
    _Atomic bool wants_durable;
};

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

static void on_written(void *context)
{
    struct wakes *w = context;
    atomic_thread_fence(
        memory_order_seq_cst); /* the marks before the nap: either it sees them, or we see it nap */
    uint64_t nap = atomic_load_explicit(&w->reader_tail->naps, memory_order_seq_cst);
    if ((nap & 1) && nap != w->reader_woken) {
        w->reader_woken = nap;
        ssize_t ignored = write(w->reader_fd, "", 1);
        (void)ignored;
    }
}

static void on_durable(void *context)
{
    struct wakes *w = context;
    if (atomic_exchange_explicit(&w->wants_durable, false, memory_order_relaxed)) {
        uint64_t one = 1;
        ssize_t ignored = write(w->durable_fd, &one, sizeof one);
        (void)ignored;
    }
}

/* Each group is waited for: a command goes on when its intent is durable. */
static void on_audited(void *context)
{
    const struct wakes *w = context;
    uint64_t one = 1;
    ssize_t ignored = write(w->durable_fd, &one, sizeof one);
    (void)ignored;
}

static void drain(int fd)
{
    char sink[64];
    while (read(fd, sink, sizeof sink) == (ssize_t)sizeof sink) {
    }
}

/* Announces the nap on every ring, and sleeps if nothing came meanwhile. */
static void sleep_until_woken(struct engine *e, struct pollfd *fds, struct wakes *w)
{
    bool idle = true;
    size_t napping = 0;
    for (; idle && napping < e->inlet_count; napping++) {
        struct inlet *in = e->inlets + napping;
        idle = in->condemned || ring_nap(&in->up);
    }
    if (idle) {
        atomic_store_explicit(&w->wants_durable, e->waits_for_durable, memory_order_relaxed);
        int n = poll(fds, e->inlet_count + 1, SLEEP_MAX_MS);
        for (size_t i = 0; n > 0 && i <= e->inlet_count; i++) {
            if (fds[i].revents) {
                drain(fds[i].fd);
            }
        }
    }
    for (size_t i = 0; i < napping; i++) {
        ring_awake(&e->inlets[i].up);
    }
}

/* The boxes are gone by now: what they left in their rings still goes to the journal, as far as the time for an orderly
 * stop reaches. What is left tells the next start's gap. */
static void empty_rings(struct engine *e)
{
    int64_t now = clock_mono_ns(), until = now + STOP_MS * NS_PER_MS;
    e->next_tick_ns = now; /* drops too */
    while ((engine_step(e, clock_utc_ns(), now) || !engine_is_drained(e)) && now < until) {
        poll(NULL, 0, engine_is_drained(e) ? 0 : 1);
        now = clock_mono_ns();
    }
}

/* The file itself can't be opened any more, and need not be: that it is there is enough. */
static bool file_sets(int state_fd, const char *name)
{
    struct stat st;
    return fstatat(state_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

static int run(struct gateway *g, struct journal *journal, struct audit *audit, struct wakes *w,
               const struct journal_recovered *recovered)
{
    struct engine *e = NULL;
    struct pollfd *fds = calloc(g->seat_count + 1, sizeof *fds);
    int err = fds ? engine_new(&e, g, journal, audit, recovered, clock_utc_ns(), clock_mono_ns())
                  : ERR_NOMEM;
    if (err) {
        free(fds);
        return err;
    }
    for (size_t i = 0; i < e->inlet_count; i++) {
        fds[i] = (struct pollfd){.fd = e->inlets[i].seat->to_engine_read, .events = POLLIN};
    }
    fds[e->inlet_count] = (struct pollfd){.fd = w->durable_fd, .events = POLLIN};
    account_start(e, recovered);
    atomic_store(&g->engine->panel.ready, 1);
    while (!stop_asked) {
        int64_t mono = clock_mono_ns();
        atomic_store_explicit(&g->engine->panel.heartbeat_ns, mono, memory_order_relaxed);
        e->commands.inhibit.file = file_sets(w->state_fd, "inhibit");
        e->commands.island.file = file_sets(w->state_fd, ISLAND_FILE);
        if (!engine_step(e, clock_utc_ns(), mono)) {
            sleep_until_woken(e, fds, w);
        }
    }
    empty_rings(e);
    account_event(e, EVENT_GATEWAY_STOP, PLAN_NONE, 0, "gateway stopped");
    engine_free(e);
    free(fds);
    return ERR_OK;
}

/* NULL: there is none, and nothing that needs it can happen; all else goes on. */
static struct audit *open_audit(struct gateway *g, const char *dir, struct wakes *w)
{
    char why[4300] = "";
    uint8_t secret[32];
    struct audit *audit = NULL;
    struct audit_options options = {.dir = dir,
                                    .secret = secret,
                                    .gateway = plan_text(&g->plan, g->plan.header->name),
                                    .on_durable = on_audited,
                                    .context = w,
                                    .end = &g->engine->audit_end};
    int err = mkdir(dir, 0700) && errno != EEXIST ? ERR_IO : ERR_OK;
    err = err ? err : audit_key_load(g->state_dir, secret, why, sizeof why);
    if (err && why[0]) {
        fprintf(stderr, "isthmus: engine: %s: %s\n", why, err_text(err));
    }
    if (!err) {
        err = audit_open(&audit, &options);
    }
    explicit_bzero(secret, sizeof secret);
    if (err) {
        fprintf(stderr,
                "isthmus: engine: no audit can be written in %s (%s), so nothing can be "
                "commanded\n",
                dir, err_text(err));
    }
    return audit;
}

int engine_main(struct gateway *g)
{
    struct seat *reader = g->seats + SEAT_READER;
    struct wakes w = {.durable_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
                      .state_fd = open(g->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                      .reader_fd = reader->from_engine_write,
                      .reader_tail = (struct ring_tail *)reader->down_tail};
    signal(SIGTERM, on_signal);
    signal(SIGINT, SIG_IGN);
    char dir[4096], audit_dir[4096];
    snprintf(dir, sizeof dir, "%s/journal", g->state_dir);
    snprintf(audit_dir, sizeof audit_dir, "%s/audit", g->state_dir);
    struct journal_options options = {.dir = dir,
                                      .plan = &g->plan,
                                      .marks = &g->engine->marks,
                                      .on_written = on_written,
                                      .on_durable = on_durable,
                                      .context = &w};
    struct journal_recovered recovered = {0};
    struct journal *journal = NULL;
    atomic_store(&g->engine->panel.heartbeat_ns, clock_mono_ns());
    int err = w.durable_fd < 0 ? ERR_IO : journal_open(&journal, &options, &recovered);
    if (err) {
        fprintf(stderr, "isthmus: engine: can't open the journal in %s: %s\n", dir, err_text(err));
        return 1;
    }
    if (recovered.text[0]) {
        fprintf(stderr, "isthmus: engine: %s\n", recovered.text);
    }
    struct audit *audit = open_audit(g, audit_dir, &w);
    struct sandbox_profile profile = {.write_dir = dir, .audit_dir = audit ? audit_dir : NULL};
    err = sandbox_enter(g, &profile);
    if (!err) {
        err = run(g, journal, audit, &w, &recovered);
    }
    audit_close(audit);
    journal_close(journal);
    if (err) {
        fprintf(stderr, "isthmus: engine: %s\n", err_text(err));
    }
    return err ? 1 : 0;
}
