/* SPDX-License-Identifier: Apache-2.0 */
/* The identity's process: locks itself in (only its own folder), then serves what the engine passes to it. */
#include "identity/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "box/sandbox.h"
#include "identity/core.h"

#define SLEEP_MAX_MS 500

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

static void rest(const struct seat *seat)
{
    struct pollfd fd = {.fd = seat->from_engine_read, .events = POLLIN};
    char sink[64];
    if (poll(&fd, 1, SLEEP_MAX_MS) > 0) {
        while (read(fd.fd, sink, sizeof sink) == (ssize_t)sizeof sink) {
        }
    }
}

int identity_main(struct gateway *g)
{
    const struct seat *seat = g->seats + SEAT_IDENTITY;
    char path[4096];
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    signal(SIGINT, SIG_IGN);
    int dir = open_folder(g, path, sizeof path);
    if (dir < 0) {
        return fail("cannot open its folder below the state folder", dir);
    }
    struct identity d = {.plan = &g->plan, .sessions = &g->identity->sessions};
    session_recover(d.sessions);
    int err = sandbox_enter(g, &(struct sandbox_profile){.write_dir = path});
    if (err) {
        return fail("cannot start", err);
    }
    atomic_store_explicit(&seat->panel->ready, 1, memory_order_release);
    while (!stop_asked) {
        d.mono_ns = clock_mono_ns();
        d.utc_ns = clock_utc_ns();
        atomic_store_explicit(&seat->panel->heartbeat_ns, d.mono_ns, memory_order_relaxed);
        identity_expire(&d);
        rest(seat);
    }
    close(dir);
    return 0;
}
