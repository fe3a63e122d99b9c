/* SPDX-License-Identifier: Apache-2.0 */
/* clone is called raw: only so it returns a pidfd, which can't be made to mean another process. The parent has one thread,
 * so the child finds no lock that somebody else holds. */
#include "box/child.h"
#include "box/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#define NICE         10
#define MEMORY_SLACK (8u << 20) /* what mallinfo2 doesn't know of: libraries' data */

int child_fork(struct child *child, int *out)
{
    int ends[2], pidfd = -1;
    pid_t parent = getpid();
    if (pipe2(ends, O_CLOEXEC)) {
        return err_from_errno(errno);
    }
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK)) {
        int err = err_from_errno(errno);
        close(ends[0]);
        close(ends[1]);
        return err;
    }
    long pid = syscall(SYS_clone, (unsigned long)(CLONE_PIDFD | SIGCHLD), NULL, &pidfd, NULL, NULL);
    if (pid < 0) {
        int err = err_from_errno(errno);
        close(ends[0]);
        close(ends[1]);
        return err;
    }
    if (pid > 0) {
        close(ends[1]);
        *child = (struct child){.pidfd = pidfd, .out = ends[0]};
        return 1;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent) { /* it died before we asked to die with it */
        _exit(1);
    }
    *out = ends[1];
    return 0;
}

static void close_others(int a, int b)
{
    int low = a < b ? a : b, high = a < b ? b : a;
    int from[] = {0, low + 1, high + 1}, to[] = {low - 1, high - 1, INT_MAX};
    for (int i = 0; i < 3; i++) {
        if (from[i] <= to[i]) {
            (void)close_range((unsigned)from[i], (unsigned)to[i], 0);
        }
    }
}

static bool set_limits(const struct child_limits *limits)
{
    struct mallinfo2 now = mallinfo2();
    rlim_t memory = now.arena + now.hblkhd + limits->memory_bytes + MEMORY_SLACK;
    const struct rlimit data = {memory, memory}, cpu = {limits->cpu_s, limits->cpu_s + 1};
    return setpriority(PRIO_PROCESS, 0, NICE) == 0 && setrlimit(RLIMIT_CPU, &cpu) == 0 &&
           (SANITIZED || setrlimit(RLIMIT_DATA, &data) == 0);
}

static int narrow(void)
{
    static const int calls[] = {
        SCMP_SYS(read),           SCMP_SYS(pread64),       SCMP_SYS(write),
        SCMP_SYS(close),          SCMP_SYS(lseek),         SCMP_SYS(fstat),
        SCMP_SYS(newfstatat),     SCMP_SYS(statx),         SCMP_SYS(getdents64),
        SCMP_SYS(fadvise64),      SCMP_SYS(fcntl),         SCMP_SYS(brk),
        SCMP_SYS(munmap),         SCMP_SYS(mremap),        SCMP_SYS(madvise),
        SCMP_SYS(futex),          SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),
        SCMP_SYS(getpid),         SCMP_SYS(gettid),        SCMP_SYS(rt_sigreturn),
        SCMP_SYS(rt_sigprocmask), SCMP_SYS(getrandom),     SCMP_SYS(restart_syscall),
        SCMP_SYS(exit),           SCMP_SYS(exit_group)};
    const struct scmp_arg_cmp data = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    const struct scmp_arg_cmp reading =
        SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY);
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter) {
        return ERR_NOMEM;
    }
    int bad = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0); /* the parent has set it */
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        int refused = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
        bad |= refused && refused != -EDOM && refused != -EINVAL; /* not on this architecture */
    }
    bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, data);
    bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, data);
    bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, reading);
    bad |= seccomp_load(filter);
    seccomp_release(filter);
    return bad ? ERR_UNSUPPORTED : ERR_OK;
}

int child_lock_in(int dir_fd, int out, const struct child_limits *limits)
{
    prctl(PR_SET_NAME, "ist:query", 0, 0, 0);
    close_others(dir_fd, out);
    if (!set_limits(limits)) {
        return ERR_UNSUPPORTED;
    }
    if (!SANITIZED) {
        sandbox_only_below(
            dir_fd); /* a kernel that can't did not lock the parent in either, which tells */
    }
    return SANITIZED ? ERR_OK : narrow();
}

int child_reap(struct child *child, struct child_end *end)
{
    siginfo_t info = {0};
    if (waitid((idtype_t)P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG) || !info.si_pid) {
        return 0;
    }
    end->status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    close(child->pidfd);
    child->pidfd = -1;
    return 1;
}

void child_await(struct child *child)
{
    struct child_end end;
    struct pollfd ended = {.fd = child->pidfd, .events = POLLIN};
    (void)poll(&ended, 1, 1000);
    (void)child_reap(child, &end);
}

void child_kill(struct child *child)
{
    if (child->pidfd >= 0) {
        (void)syscall(SYS_pidfd_send_signal, child->pidfd, SIGKILL, NULL, 0);
    }
}

int child_allow(void *filter)
{
    const int one = SCMP_ACT_ALLOW;
    int bad = seccomp_rule_add(filter, one, SCMP_SYS(clone), 1,
                               SCMP_A0(SCMP_CMP_EQ, CLONE_PIDFD | SIGCHLD));
    bad |= seccomp_rule_add(filter, one, SCMP_SYS(waitid), 1, SCMP_A0(SCMP_CMP_EQ, P_PIDFD));
    bad |= seccomp_rule_add(filter, one, SCMP_SYS(pidfd_send_signal), 1,
                            SCMP_A1(SCMP_CMP_EQ, SIGKILL));
    /* what the child needs to become less than its parent */
    bad |=
        seccomp_rule_add(filter, one, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_PDEATHSIG));
    bad |= seccomp_rule_add(filter, one, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP));
    bad |= seccomp_rule_add(filter, one, SCMP_SYS(seccomp), 1,
                            SCMP_A0(SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER));
    bad |= seccomp_rule_add(filter, one, SCMP_SYS(setpriority), 2,
                            SCMP_A0(SCMP_CMP_EQ, PRIO_PROCESS), SCMP_A1(SCMP_CMP_EQ, 0));
    bad |= seccomp_rule_add(filter, one, SCMP_SYS(close_range), 0);
    bad |= sandbox_allow_only_below(filter);
    return bad;
}
