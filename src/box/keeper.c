/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper does as little as possible, so that it has little to die of: it holds the shared memory and waits. When the
 * supervisor dies, so do its children; the keeper, their subreaper, waits until all are gone and forks a new supervisor on
 * the same memory. When the keeper dies, all die with it: what the rings held beyond the journal's last commit is lost,
 * and the next start journals a gap "gateway down" from the last frame on. */
#include "box/supervisor.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* One gateway per state folder. The descriptor stays open for the keeper's life; negative err. */
static int lock_state(const char *dir)
{
    char path[4096], pid[24];
    if (mkdir(dir, 0700) && errno != EEXIST) {
        fprintf(stderr, "isthmus: can't make the state folder %s: %s\n", dir, strerror(errno));
        return err_from_errno(errno);
    }
    snprintf(path, sizeof path, "%s/journal",
             dir); /* here, so that the reader needs no right to make it */
    if (mkdir(path, 0700) && errno != EEXIST) {
        fprintf(stderr, "isthmus: can't make %s: %s\n", path, strerror(errno));
        return err_from_errno(errno);
    }
    snprintf(path, sizeof path, "%s/lock", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        fprintf(stderr, "isthmus: can't open %s: %s\n", path, strerror(errno));
        return err_from_errno(errno);
    }
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
        pid[n > 0 ? n : 0] = 0;
        fprintf(stderr, "isthmus: another gateway (process %.*s) runs on %s; stop it first\n",
                (int)strcspn(pid, "\n"), pid, dir);
        close(fd);
        return ERR_BUSY;
    }
    int n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)n, 0) != n) {
        fprintf(stderr, "isthmus: can't write %s: %s\n", path, strerror(errno));
    }
    return fd;
}

static pid_t fork_supervisor(struct gateway *g, const struct middle *middle, const sigset_t *before,
                             int lock)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        close(lock); /* the lock is the keeper's: it ends with the keeper */
        proc_become("supervisor", parent);
        sigprocmask(SIG_SETMASK, before, NULL);
        int status = supervisor_run(g, middle);
        fflush(NULL);
        _exit(status);
    }
    return pid;
}

/* Waits for one of the signals in `set` for at most `ms`; 0 on time-out. */
static int wait_signal(const sigset_t *set, int ms)
{
    struct timespec limit = {ms / 1000, ms % 1000 * 1000000L};
    int signal_number = ms < 0 ? sigwaitinfo(set, NULL) : sigtimedwait(set, NULL, &limit);
    return signal_number > 0 ? signal_number : 0;
}

/* Reaps what has ended; true when `pid` was among it. */
static bool reap_until(pid_t pid, int *status)
{
    pid_t ended;
    int end;
    bool found = false;
    while ((ended = waitpid(-1, &end, WNOHANG)) > 0) {
        if (ended == pid) {
            *status = end;
            found = true;
        }
    }
    return found;
}

static int stop_all(pid_t pid, const sigset_t *set)
{
    int status;
    kill(pid, SIGTERM);
    int64_t deadline = clock_mono_ns() + (SUPERVISOR_STOP_MS + 500) * NS_PER_MS;
    while (clock_mono_ns() < deadline) {
        wait_signal(set, 50);
        if (reap_until(pid, &status)) {
            return 0;
        }
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return 1;
}

int keeper_run(struct gateway *g, const struct middle *middle)
{
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, &before);
    int lock = lock_state(g->state_dir);
    if (lock < 0) {
        return 1;
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    atomic_store(&g->health->keeper_pid, (uint32_t)getpid());
    for (int backoff_ms = 100;;) {
        int64_t started = clock_mono_ns();
        pid_t pid = fork_supervisor(g, middle, &before, lock);
        int status = 0, number;
        while (pid > 0 && !reap_until(pid, &status)) {
            number = wait_signal(&set, middle->is_done ? 200 : -1);
            bool done = middle->is_done && middle->is_done(g);
            if (done || number == SIGTERM || number == SIGINT) {
                return stop_all(pid, &set);
            }
        }
        fprintf(stderr,
                "isthmus: the supervisor ended; starting all processes again on the same memory\n");
        /* Its children were killed with it: wait for the last of them. */
        while (waitpid(-1, NULL, 0) > 0) {
        }
        atomic_fetch_add(&g->health->supervisor_restarts, 1);
        backoff_ms = clock_mono_ns() - started > 30 * NS_PER_S ? 100
                     : backoff_ms < 10000                      ? backoff_ms * 2
                                                               : 10000;
        number = wait_signal(&set, backoff_ms);
        if (number == SIGTERM || number == SIGINT) {
            return 0;
        }
    }
}
