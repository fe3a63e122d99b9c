/* SPDX-License-Identifier: Apache-2.0 */
/* The sealer's process. It works while there is something to do and looks twice a second otherwise: nobody waits for it, so
 * nobody needs to wake it. */
#include "sealer/sealer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "box/sandbox.h"
#include "sealer/core.h"

#define IDLE_MS    500
#define TROUBLE_MS 5000
#define MERGE_MAX  (UINT64_C(1) << 30)

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

static void beat(void *context)
{
    struct gateway *g = context;
    atomic_store_explicit(&g->sealer->panel.heartbeat_ns, clock_mono_ns(), memory_order_relaxed);
    if (stop_asked) {
        _exit(0); /* in the middle of work, which is as if it had never begun */
    }
}

static void wait_a_moment(void *context)
{
    struct timespec time = {.tv_nsec = NS_PER_MS};
    beat(context);
    nanosleep(&time, NULL);
}

static void rest(struct gateway *g, int ms)
{
    for (int slept = 0; slept < ms && !stop_asked; slept += IDLE_MS) {
        struct timespec time = {.tv_nsec = IDLE_MS * NS_PER_MS};
        beat(g);
        nanosleep(&time, NULL); /* a signal ends it */
    }
}

/* The journal's folder; it may be that the engine has not made it yet. */
static int open_folder(const struct gateway *g, char *path, size_t size)
{
    int length = snprintf(path, size, "%s/journal", g->state_dir);
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
    fprintf(stderr, "isthmus: sealer: %s: %s\n", what, err_text(err));
    return 1;
}

static void run(struct gateway *g, struct sealer *s)
{
    while (!stop_asked) {
        beat(g);
        int done = sealer_step(s, clock_utc_ns());
        if (s->trouble[0]) {
            fprintf(stderr, "isthmus: sealer: %s\n", s->trouble);
            s->trouble[0] = '\0';
        }
        if (done <= 0) {
            rest(g, done < 0 ? TROUBLE_MS : IDLE_MS);
        }
    }
}

int sealer_main(struct gateway *g)
{
    const struct seat *seat = g->seats + SEAT_SEALER;
    struct ring_producer up;
    char path[4096];
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    signal(SIGINT, SIG_IGN);
    (void)setpriority(PRIO_PROCESS, 0, 10); /* whoever samples or answers goes first */
    int dir = open_folder(g, path, sizeof path);
    if (dir < 0) {
        return fail("cannot open the journal's folder", dir);
    }
    int err =
        ring_producer_init(&up, seat->up, seat->up_capacity, seat->up_tail, seat->to_engine_write);
    err = err ? err : sandbox_enter(g, &(struct sandbox_profile){.write_dir = path});
    struct sealer s = {.disk = &disk_files,
                       .dir = dir,
                       .plan = &g->plan,
                       .marks = &g->engine->marks,
                       .needed = &g->reader->needed_sequence,
                       .panel = g->sealer,
                       .up = &up,
                       .beat = beat,
                       .wait = wait_a_moment,
                       .context = g,
                       .merge_limit = MERGE_MAX};
    err = err ? err : sealer_open(&s);
    if (err) {
        return fail("cannot start", err);
    }
    atomic_store_explicit(&g->sealer->panel.ready, 1, memory_order_release);
    run(g, &s);
    sealer_close(&s);
    close(dir);
    return 0;
}
