/* SPDX-License-Identifier: Apache-2.0 */
/* Order matters: limits and no-new-privileges first, Landlock while files can still be opened, seccomp last. The filter is
 * a list of what is allowed; anything else fails with EPERM, so that a library which merely probes goes on. Landlock,
 * namespaces and capabilities belong to a thread: the middle gets them before its first thread starts (sandbox_begin).
 * seccomp is set for all threads at once. No memory becomes executable any more, no process is started or signalled. */
#include "box/sandbox.h"
#include "box/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Landlock's interface (linux/landlock.h, ABI 1): Debian 12's header lacks the newer half, so the few numbers stand here. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule       445
#define SYS_landlock_restrict_self  446
#endif
#define LANDLOCK_READ      UINT64_C(0x000c) /* read file, read folder */
#define LANDLOCK_WRITE     UINT64_C(0x01b2) /* write file; remove, make file, folder entries */
#define LANDLOCK_ALL_1     UINT64_C(0x1fff)
#define LANDLOCK_RULE_PATH 1

struct landlock_rules {
    uint64_t handled_fs;
};
struct landlock_path {
    uint64_t allowed;
    int32_t parent_fd;
} __attribute__((packed));

const char *sandbox_layer_name(unsigned bit)
{
    static const char *const names[] = {"no-new-privileges", "limits",           "landlock",
                                        "seccomp",           "addresses",        "memory-seals",
                                        "capabilities",      "network-namespace"};
    return bit < sizeof names / sizeof *names ? names[bit] : NULL;
}

static bool set_limits(void)
{
    struct rlimit none = {0, 0}, files = {4096, 4096};
    struct rlimit now;
    if (getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_max < files.rlim_max) {
        files.rlim_cur = files.rlim_max = now.rlim_max;
    }
    return setrlimit(RLIMIT_CORE, &none) == 0 && setrlimit(RLIMIT_NOFILE, &files) == 0;
}

static bool landlock_allow(int rules, const char *dir, uint64_t rights)
{
    struct landlock_path path = {.allowed = rights,
                                 .parent_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC)};
    bool ok = path.parent_fd >= 0 &&
              syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH, &path, 0) == 0;
    if (path.parent_fd >= 0) {
        close(path.parent_fd);
    }
    return ok;
}

static bool set_landlock(const struct sandbox_profile *p)
{
    struct landlock_rules handled = {LANDLOCK_ALL_1};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
    if (rules < 0) {
        return false; /* a kernel without it, or with it turned off */
    }
    bool ok =
        (!p->write_dir || landlock_allow(rules, p->write_dir, LANDLOCK_READ | LANDLOCK_WRITE)) &&
        (!p->audit_dir || landlock_allow(rules, p->audit_dir,
                                         LANDLOCK_READ | (p->write_dir ? LANDLOCK_WRITE : 0))) &&
        (!p->read_dir || landlock_allow(rules, p->read_dir, LANDLOCK_READ)) &&
        syscall(SYS_landlock_restrict_self, rules, 0) == 0;
    close(rules);
    return ok;
}

bool sandbox_only_below(int dir_fd)
{
    struct landlock_rules handled = {LANDLOCK_ALL_1};
    struct landlock_path path = {.allowed = LANDLOCK_READ, .parent_fd = dir_fd};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
    bool ok = rules >= 0 &&
              syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH, &path, 0) == 0 &&
              syscall(SYS_landlock_restrict_self, rules, 0) == 0;
    if (rules >= 0) {
        close(rules);
    }
    return ok;
}

/* What every process needs to run on: memory, time, its open descriptors, threads, signals, exit. */
static const int common_calls[] = {SCMP_SYS(read),
                                   SCMP_SYS(readv),
                                   SCMP_SYS(pread64),
                                   SCMP_SYS(write),
                                   SCMP_SYS(writev),
                                   SCMP_SYS(pwrite64),
                                   SCMP_SYS(close),
                                   SCMP_SYS(lseek),
                                   SCMP_SYS(fstat),
                                   SCMP_SYS(fstatfs),
                                   SCMP_SYS(newfstatat),
                                   SCMP_SYS(statx),
                                   SCMP_SYS(poll),
                                   SCMP_SYS(ppoll),
                                   SCMP_SYS(epoll_wait),
                                   SCMP_SYS(epoll_pwait),
                                   SCMP_SYS(epoll_ctl),
                                   SCMP_SYS(epoll_create1),
                                   SCMP_SYS(eventfd2),
                                   SCMP_SYS(timerfd_create),
                                   SCMP_SYS(timerfd_settime),
                                   SCMP_SYS(pipe2),
                                   SCMP_SYS(fcntl),
                                   SCMP_SYS(brk),
                                   SCMP_SYS(munmap),
                                   SCMP_SYS(mremap),
                                   SCMP_SYS(madvise),
                                   SCMP_SYS(futex),
                                   SCMP_SYS(clock_gettime),
                                   SCMP_SYS(clock_nanosleep),
                                   SCMP_SYS(nanosleep),
                                   SCMP_SYS(gettimeofday),
                                   SCMP_SYS(getpid),
                                   SCMP_SYS(gettid),
                                   SCMP_SYS(getppid),
                                   SCMP_SYS(getuid),
                                   SCMP_SYS(geteuid),
                                   SCMP_SYS(getgid),
                                   SCMP_SYS(getegid),
                                   SCMP_SYS(getrandom),
                                   SCMP_SYS(rt_sigaction),
                                   SCMP_SYS(rt_sigprocmask),
                                   SCMP_SYS(rt_sigreturn),
                                   SCMP_SYS(sigaltstack),
                                   SCMP_SYS(restart_syscall),
                                   SCMP_SYS(exit),
                                   SCMP_SYS(exit_group),
                                   SCMP_SYS(sched_yield),
                                   SCMP_SYS(sched_getaffinity),
                                   SCMP_SYS(set_robust_list),
                                   SCMP_SYS(rseq),
                                   SCMP_SYS(membarrier),
                                   SCMP_SYS(uname),
                                   SCMP_SYS(sysinfo),
                                   SCMP_SYS(getrusage),
                                   SCMP_SYS(dup),
                                   SCMP_SYS(getcpu),
                                   SCMP_SYS(signalfd4),
                                   SCMP_SYS(rt_sigtimedwait),
                                   SCMP_SYS(preadv),
                                   SCMP_SYS(pwritev),
                                   SCMP_SYS(epoll_pwait2),
                                   SCMP_SYS(clock_getres),
                                   -1};

/* Files below the folders that Landlock leaves open. */
static const int file_calls[] = {SCMP_SYS(openat),     SCMP_SYS(fdatasync),
                                 SCMP_SYS(fsync),      SCMP_SYS(ftruncate),
                                 SCMP_SYS(fallocate),  SCMP_SYS(renameat),
                                 SCMP_SYS(renameat2),  SCMP_SYS(rename),
                                 SCMP_SYS(unlinkat),   SCMP_SYS(unlink),
                                 SCMP_SYS(getdents64), SCMP_SYS(mkdirat),
                                 SCMP_SYS(fadvise64),  SCMP_SYS(faccessat),
                                 SCMP_SYS(faccessat2), SCMP_SYS(fstatfs),
                                 SCMP_SYS(statfs),     SCMP_SYS(flock),
                                 SCMP_SYS(mkdir),      SCMP_SYS(sync_file_range),
                                 SCMP_SYS(open),       -1};

static const int socket_calls[] = {SCMP_SYS(accept),
                                   SCMP_SYS(accept4),
                                   SCMP_SYS(getsockopt),
                                   SCMP_SYS(setsockopt),
                                   SCMP_SYS(getsockname),
                                   SCMP_SYS(getpeername),
                                   SCMP_SYS(shutdown),
                                   SCMP_SYS(recvfrom),
                                   SCMP_SYS(recvmsg),
                                   SCMP_SYS(recvmmsg),
                                   -1};

static int allow(scmp_filter_ctx filter, const int *calls)
{
    for (; *calls != -1; calls++) {
        int bad = seccomp_rule_add(filter, SCMP_ACT_ALLOW, *calls, 0);
        if (bad && bad != -EDOM && bad != -EINVAL) { /* not on this architecture, or not known */
            return ERR_UNSUPPORTED;
        }
    }
    return ERR_OK;
}

int sandbox_allow_only_below(void *filter)
{
    static const int calls[] = {SYS_landlock_create_ruleset, SYS_landlock_add_rule,
                                SYS_landlock_restrict_self, -1};
    return allow(filter, calls);
}

/* What is allowed with certain arguments only: threads but no processes, our own signals and limits, memory that is not
 * executable. glibc falls back from clone3, whose flags a filter cannot see, to clone. */
static int allow_narrowly(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp thread =
        SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM);
    const struct scmp_arg_cmp data = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    int bad = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, thread);
    bad |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, data);
    bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, data);
    bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                            SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    bad |=
        seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_EQ, 0));
    bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                            SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
    return bad ? ERR_UNSUPPORTED : ERR_OK;
}

/* Stream and datagram sockets of the internet families; addresses, and the files of the configuration, only through the supervisor. A send without an address
 * on a connected socket goes straight through; sendmsg hides its address behind a pointer, so it is never allowed.
 * listen is asked for too: on a socket that was never bound it would open a port of the kernel's choice. */
static int allow_sockets(scmp_filter_ctx filter)
{
    int bad = allow(filter, socket_calls);
    const int families[] = {AF_INET, AF_INET6};
    const int kinds[] = {SOCK_STREAM, SOCK_DGRAM};
    for (int i = 0; i < 4; i++) {
        bad |= seccomp_rule_add(
            filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
            SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i / 2]),
            SCMP_A1(SCMP_CMP_MASKED_EQ, 0xff, (scmp_datum_t)kinds[i % 2])); /* without its flags */
    }
    bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
                            SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
    bad |=
        seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, FIONBIO));
    bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                            SCMP_A1(SCMP_CMP_EQ, FIONREAD));
    bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 1, SCMP_A4(SCMP_CMP_EQ, 0));
    bad |= seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(sendto), 1, SCMP_A4(SCMP_CMP_NE, 0));
    bad |= seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(connect), 0);
    bad |= seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(bind), 0);
    bad |= seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(listen), 0);
    bad |= seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(openat), 1,
                            SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
    return bad ? ERR_UNSUPPORTED : ERR_OK;
}

void sandbox_give_up(const struct gateway *g, const char *why)
{
    struct sandbox_talk say = {.listener = -1};
    snprintf(say.text, sizeof say.text, "%s", why);
    if (g->supervisor_fd >= 0) {
        ssize_t ignored = send(g->supervisor_fd, &say, sizeof say, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)ignored;
    }
}

/* Offers the notification descriptor to the supervisor, waits until it was taken, and gives it up: a box must not
 * answer for itself. */
static int hand_over(int talk, int listener)
{
    struct sandbox_talk say = {.listener = listener};
    char taken = 0;
    if (write(talk, &say, sizeof say) != (ssize_t)sizeof say || read(talk, &taken, 1) != 1) {
        return ERR_CLOSED;
    }
    close(listener);
    return ERR_OK;
}

static int set_seccomp(struct gateway *g, const struct sandbox_profile *p, uint32_t *layers)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter) {
        return ERR_NOMEM;
    }
    bool addresses = p->sockets && g->supervisor_fd >= 0;
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1); /* all threads */
    int err = allow(filter, common_calls);
    if (!err) {
        err = allow_narrowly(filter);
    }
    if (!err && (p->write_dir || p->read_dir)) {
        err = allow(filter, file_calls);
    }
    if (!err && p->children) {
        err = child_allow(filter) ? ERR_UNSUPPORTED : ERR_OK;
    }
    if (!err && p->sockets) {
        err = addresses ? allow_sockets(filter) : ERR_UNSUPPORTED;
    }
    if (!err && seccomp_load(filter)) {
        err = ERR_UNSUPPORTED;
    }
    if (!err) {
        *layers |= LAYER_SECCOMP;
    }
    if (!err && addresses) {
        err = hand_over(g->supervisor_fd, seccomp_notify_fd(filter));
        *layers |= LAYER_ADDRESSES;
    }
    /* seccomp_release would close the listener's number a second time; the filter's memory goes with the process. */
    return err;
}

/* Gives up root's powers, now and for good. `files`: keeps the right to use files whoever owns them (the state folder may
 * belong to a user; Landlock says which files). */
static bool drop_capabilities(bool files)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct now[2], less[2] = {{0}};
    if (syscall(SYS_capget, &header, now)) {
        return false;
    }
    uint32_t kept = files ? 1u << CAP_DAC_OVERRIDE : 0;
    less[0].effective = less[0].permitted = now[0].permitted & kept;
    return syscall(SYS_capset, &header, less) == 0;
}

/* io_uring makes calls that no filter sees. libuv (1.45 and later) takes it for its loop if it is there when the loop is
 * made, whatever UV_USE_IO_URING says, and aborts once it is refused. So it must not be there from the start. */
static void hide_io_uring(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter && !seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_uring_setup), 0)) {
        (void)seccomp_load(filter); /* a kernel without filters refuses it nowhere else either */
    }
    seccomp_release(filter);
}

void sandbox_begin(struct gateway *g)
{
    struct panel *panel = g->seats[g->seat].panel;
    uint32_t layers = 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) {
        layers |= LAYER_NO_NEW_PRIVILEGES;
    }
    hide_io_uring();
    if (set_limits()) {
        layers |= LAYER_LIMITS;
    }
    if (g->seat < SEAT_BOX) {
        if (unshare(CLONE_NEWNET | CLONE_NEWIPC) == 0) {
            layers |= LAYER_NO_NETWORK;
        }
        if (drop_capabilities(true)) {
            layers |= LAYER_CAPABILITIES;
        }
        /* the reader starts no thread, and loads a module before it is locked in */
        struct sandbox_profile p = {.write_dir = g->state_dir};
        if (!SANITIZED && g->seat != SEAT_READER && set_landlock(&p)) {
            layers |= LAYER_LANDLOCK;
        }
    }
    atomic_store(&panel->layers, layers);
}

int sandbox_enter(struct gateway *g, const struct sandbox_profile *profile)
{
    struct panel *panel = g->seats[g->seat].panel;
    uint32_t layers = atomic_load(&panel->layers);
    int err = ERR_OK;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) {
        layers |= LAYER_NO_NEW_PRIVILEGES;
    }
    if (drop_capabilities(profile->write_dir || profile->read_dir)) {
        layers |= LAYER_CAPABILITIES;
    }
    if (!SANITIZED) {
        if (set_landlock(profile)) {
            layers |= LAYER_LANDLOCK;
        }
        err = set_seccomp(g, profile, &layers);
    }
    if (g->supervisor_fd >= 0) {
        close(g->supervisor_fd);
        g->supervisor_fd = -1;
    }
    atomic_store(&panel->layers, layers);
    return err;
}
