/* SPDX-License-Identifier: Apache-2.0 */
/* The reader's process: no sockets; it sleeps on wake pipes, reads the journal's folder, and is locked in. */
#include "reader/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "box/box.h"
#include "box/sandbox.h"
#include "reader/core.h"

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

struct wakes {
    struct pollfd *fds; /* our pipes, and room for what the core waits for */
    nfds_t count;       /* of pipes */
};

static int collect_wakes(const struct gateway *g, struct wakes *w)
{
    w->fds = calloc(g->seat_count + 1 + QUERIES_MAX, sizeof *w->fds);
    if (!w->fds) {
        return ERR_NOMEM;
    }
    w->fds[w->count++].fd = g->seats[SEAT_READER].from_engine_read;
    for (size_t i = SEAT_BOX; i < g->seat_count; i++) {
        if (g->seats[i].ask && g->seats[i].to_reader_read >= 0) {
            w->fds[w->count++].fd = g->seats[i].to_reader_read;
        }
    }
    for (nfds_t i = 0; i < w->count + QUERIES_MAX; i++) {
        w->fds[i].events = POLLIN;
    }
    return ERR_OK;
}

/* Sleeps until a pipe wakes us, the time is over, or the end is asked for: signals come only in here. */
static void sleep_until(struct wakes *w, const struct reader_core *core, int ms,
                        const sigset_t *open)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    int more[QUERIES_MAX];
    size_t count = core_descriptors(core, more);
    for (size_t i = 0; i < count; i++) {
        w->fds[w->count + i].fd = more[i];
    }
    if (ppoll(w->fds, w->count + count, &time, open) <= 0) {
        return;
    }
    for (nfds_t i = 0; i < w->count; i++) {
        char bytes[64];
        while (w->fds[i].revents && read(w->fds[i].fd, bytes, sizeof bytes) == sizeof bytes) {
        }
    }
}

static void run(struct gateway *g, struct reader_core *core, struct wakes *w, const sigset_t *open)
{
    struct panel *panel = g->seats[SEAT_READER].panel;
    while (!stop_asked) {
        int64_t mono_ns = clock_mono_ns();
        atomic_store_explicit(&panel->heartbeat_ns, mono_ns, memory_order_relaxed);
        int ms = core_step(core, clock_utc_ns(), mono_ns);
        if (core->broken) {
            fprintf(stderr, "isthmus: reader: %s wrote garbage; not heard until it restarts\n",
                    core->broken);
            core->broken = NULL;
        }
        if (ms == 0) {
            struct timespec at_once = {0};
            (void)!ppoll(NULL, 0, &at_once, open); /* lets a signal in */
        } else {
            if (core_nap(core)) {
                sleep_until(w, core, ms, open);
            }
            core_awake(core);
        }
    }
    core_finish(core);
}

/* A folder of the engine's; it may be that the engine has not made it yet. */
static int open_folder(const struct gateway *g, const char *name)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", g->state_dir, name);
    if (length < 0 || (size_t)length >= sizeof path) {
        return ERR_TOO_LONG;
    }
    if (mkdir(path, 0700) && errno != EEXIST) {
        return err_from_errno(errno);
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_from_errno(errno) : fd;
}

/* Without it everything else works. */
static void load_sql(struct reader_core *core)
{
    char why[512];
    *(void **)&core->sql = module_symbol(SQL_MODULE, "reader", SQL_SYMBOL, why, sizeof why);
    if (!core->sql) {
        fprintf(stderr, "isthmus: reader: no SQL: %s\n", why);
    }
}

static int lock_in(struct gateway *g)
{
    char path[4096], audit[4096]; /* their lengths were proven */
    snprintf(path, sizeof path, "%s/journal", g->state_dir);
    snprintf(audit, sizeof audit, "%s/audit", g->state_dir);
    struct sandbox_profile profile = {.read_dir = path, .audit_dir = audit, .children = true};
    return sandbox_enter(g, &profile);
}

static int fail(const char *what, int err)
{
    fprintf(stderr, "isthmus: reader: %s: %s\n", what, err_text(err));
    return EXIT_FAILURE;
}

int reader_main(struct gateway *g)
{
    struct panel *panel = g->seats[SEAT_READER].panel;
    struct wakes wakes = {0};
    struct reader_core *core = NULL;
    struct audit_tail trail;
    sigset_t closed, open;
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&closed);
    sigaddset(&closed, SIGTERM);
    sigprocmask(SIG_BLOCK, &closed, &open);
    sigdelset(&open, SIGTERM);
    sigaction(SIGTERM, &action, NULL);
    int dir_fd = open_folder(g, "journal");
    if (dir_fd < 0) {
        return fail("cannot open the journal's folder", dir_fd);
    }
    int audit_fd = open_folder(g, "audit");
    if (audit_fd < 0) {
        return fail("cannot open the audit's folder", audit_fd);
    }
    audit_tail_init(&trail, &disk_files, audit_fd);
    int err = collect_wakes(g, &wakes);
    err = err ? err : core_new(&core, g, &disk_files, dir_fd);
    if (!err) {
        core->trail = &trail;
        load_sql(core);
        gateway_hide_from_children(g);
        err = lock_in(g);
    }
    if (err) {
        return fail("cannot start", err);
    }
    atomic_store_explicit(&panel->ready, 1, memory_order_release);
    run(g, core, &wakes, &open);
    core_free(core);
    free(wakes.fds);
    audit_tail_fini(&trail);
    close(audit_fd);
    close(dir_fd);
    return EXIT_SUCCESS;
}
