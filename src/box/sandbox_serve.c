/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's half: a box's connect or bind is stopped by the kernel; we copy the address out of the box, check the
 * copy, take the socket, and make the call ourselves with the copy. So what is checked is what is used, whatever the box
 * does to its memory meanwhile. Listening and sends with an address go the same way, and so does the opening of the few files that its
 * configuration names: certificates are renewed while the box runs. */
#include "box/reach.h"
#include "box/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#define SERVE_MS 100

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

int sandbox_take_listener(int talk, int pidfd, char *why)
{
    struct sandbox_talk say;
    ssize_t n = recv(talk, &say, sizeof say, MSG_DONTWAIT);
    if (n != (ssize_t)sizeof say) {
        return n < 0 && (errno == EAGAIN || errno == EINTR) ? ERR_BUSY : ERR_CLOSED;
    }
    if (say.listener < 0) {
        memcpy(why, say.text, TALK_TEXT);
        why[TALK_TEXT] = 0;
        return ERR_REFUSED;
    }
    int fd = (int)syscall(SYS_pidfd_getfd, pidfd, say.listener, 0);
    if (fd < 0) {
        return err_from_errno(errno);
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (send(talk, "", 1, MSG_NOSIGNAL) != 1) {
        close(fd);
        return ERR_CLOSED;
    }
    return fd;
}

static bool address_text(const struct sockaddr_storage *a, socklen_t size, char *ip, size_t ip_size,
                         unsigned *port)
{
    if (a->ss_family == AF_INET && size >= sizeof(struct sockaddr_in)) {
        const struct sockaddr_in *in = (const void *)a;
        *port = ntohs(in->sin_port);
        return inet_ntop(AF_INET, &in->sin_addr, ip, (socklen_t)ip_size) != NULL;
    }
    if (a->ss_family == AF_INET6 && size >= sizeof(struct sockaddr_in6)) {
        const struct sockaddr_in6 *in = (const void *)a;
        *port = ntohs(in->sin6_port);
        return inet_ntop(AF_INET6, &in->sin6_addr, ip, (socklen_t)ip_size) != NULL;
    }
    return false;
}

/* "ip:port", "[ip6]:port", port "*" for any. */
static bool matches(const char *rule, const char *ip, unsigned port)
{
    const char *colon = strrchr(rule, ':');
    if (!colon) {
        return false;
    }
    size_t n = (size_t)(colon - rule);
    if (n >= 2 && rule[0] == '[' && rule[n - 1] == ']') {
        rule++;
        n -= 2;
    }
    if (strlen(ip) != n || memcmp(rule, ip, n) != 0) {
        return false;
    }
    return !strcmp(colon + 1, "*") || strtoul(colon + 1, NULL, 10) == port;
}

/* Bound to an address of the plan, whatever port the kernel chose for port 0. */
static bool is_bound(const struct plan *plan, const struct plan_box *box,
                     const struct sockaddr_storage *a, socklen_t size)
{
    char ip[INET6_ADDRSTRLEN];
    unsigned port;
    if (!address_text(a, size, ip, sizeof ip, &port) || !port) {
        return false;
    }
    for (uint32_t i = 0; i < box->address_count; i++) {
        const struct plan_option *o = plan->options + box->first_address + i;
        const char *rule = plan_text(plan, o->value);
        if (!strcmp(plan_text(plan, o->key), "bind") &&
            (matches(rule, ip, port) || matches(rule, ip, 0))) {
            return true;
        }
    }
    return false;
}

static bool is_allowed(const struct plan *plan, const struct plan_box *box, bool island,
                       const char *verb, const struct sockaddr_storage *a, socklen_t size)
{
    char ip[INET6_ADDRSTRLEN];
    unsigned port;
    if (!address_text(a, size, ip, sizeof ip, &port)) {
        return false;
    }
    for (uint32_t i = 0; i < box->address_count; i++) {
        const struct plan_option *o = plan->options + box->first_address + i;
        const char *rule = plan_text(plan, o->value);
        bool shut = island && (strcmp(verb, "bind") != 0 || !reach_is_loopback(rule));
        if (!strcmp(plan_text(plan, o->key), verb) && matches(rule, ip, port) && !shut) {
            return true;
        }
    }
    return false;
}

/* Copies what lies in the box. */
static bool copy_in(const struct seccomp_notif *n, uint64_t from, void *to, size_t size)
{
    struct iovec here = {to, size}, there = {(void *)(uintptr_t)from, size};
    return process_vm_readv((pid_t)n->pid, &here, 1, &there, 1, 0) == (ssize_t)size;
}

/* The path that lies in the box; false: it does not end. The second half is only there if the box has the next page. */
static bool copy_path(const struct seccomp_notif *n, char path[PATH_MAX])
{
    uint64_t from = n->data.args[1], first = 4096 - from % 4096;
    struct iovec here = {path, PATH_MAX};
    struct iovec there[2] = {{(void *)(uintptr_t)from, (size_t)first},
                             {(void *)(uintptr_t)(from + first), PATH_MAX - (size_t)first}};
    ssize_t size = process_vm_readv((pid_t)n->pid, &here, 1, there, there[1].iov_len ? 2 : 1, 0);
    return size > 0 && memchr(path, 0, (size_t)size);
}

/* Opens a file that the plan lets the box read, by the plan's own words, and gives it to the box. 0: answered; else an errno. */
static int perform_open(int listener, const struct seccomp_notif *n, const struct plan *plan,
                        const struct plan_box *box)
{
    static char path[PATH_MAX]; /* one thread */
    struct stat st;
    if (!copy_path(n, path)) {
        return EFAULT;
    }
    for (uint32_t i = 0; i < box->address_count; i++) {
        const struct plan_option *o = plan->options + box->first_address + i;
        if (strcmp(plan_text(plan, o->key), "read") || strcmp(plan_text(plan, o->value), path)) {
            continue;
        }
        int fd = open(plan_text(plan, o->value), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0) {
            return errno;
        }
        struct seccomp_notif_addfd add = {.id = n->id,
                                          .flags = SECCOMP_ADDFD_FLAG_SEND,
                                          .srcfd = (uint32_t)fd,
                                          .newfd_flags = O_CLOEXEC};
        bool given = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
                     ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) >= 0;
        close(fd);
        return given ? 0 : EACCES;
    }
    return EACCES;
}

/* A socket that was never bound would listen on any address: only what was bound through us may listen. */
static int perform_listen(const struct seccomp_notif *n, int fd, const struct plan *plan,
                          const struct plan_box *box)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    if (getsockname(fd, (void *)&address, &size)) {
        return errno;
    }
    if (!is_bound(plan, box, &address, size)) {
        return EACCES;
    }
    return listen(fd, (int)n->data.args[1]) ? errno : 0;
}

/* 0 or an errno; *sent: what a send gives back. */
static int perform_send(const struct seccomp_notif *n, int fd, const struct sockaddr_storage *to,
                        socklen_t to_size, int64_t *sent)
{
    static uint8_t data[65536]; /* one thread */
    uint64_t size = n->data.args[2];
    if (size > sizeof data) {
        return EMSGSIZE;
    }
    if (size && !copy_in(n, n->data.args[1], data, (size_t)size)) {
        return EFAULT;
    }
    ssize_t done =
        sendto(fd, data, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL, (const void *)to, to_size);
    *sent = done;
    return done < 0 ? errno : 0;
}

/* 0 or an errno. */
static int perform_on(const struct seccomp_notif *n, int fd, const struct plan *plan,
                      const struct plan_box *box, bool island, int64_t *value)
{
    struct sockaddr_storage address = {0};
    bool sending = n->data.nr == SCMP_SYS(sendto), binding = n->data.nr == SCMP_SYS(bind);
    uint64_t from = n->data.args[sending ? 4 : 1], size = n->data.args[sending ? 5 : 2];
    if (n->data.nr == SCMP_SYS(listen)) {
        return perform_listen(n, fd, plan, box);
    }
    if (size < sizeof(sa_family_t) || size > sizeof address) {
        return EINVAL;
    }
    if (!copy_in(n, from, &address, (size_t)size)) {
        return EFAULT;
    }
    if (!is_allowed(plan, box, island, binding ? "bind" : "connect", &address, (socklen_t)size)) {
        return EACCES;
    }
    if (sending) {
        return perform_send(n, fd, &address, (socklen_t)size, value);
    }
    if (binding) {
        return bind(fd, (void *)&address, (socklen_t)size) ? errno : 0;
    }
    if (!(fcntl(fd, F_GETFL) & O_NONBLOCK)) {
        return EINVAL; /* it would stall us */
    }
    return connect(fd, (void *)&address, (socklen_t)size) ? errno : 0;
}

/* The socket is shared with the box, which may make it blocking again between our look and our call. An alarm that rings
 * until the call is over interrupts it then. */
static void set_alarm(int ms)
{
    const struct itimerval timer = {{0, ms * 1000}, {0, ms * 1000}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void on_alarm(int number)
{
    (void)number; /* the interruption is all */
}

static int perform(const struct seccomp_notif *n, int pidfd, const struct plan *plan,
                   const struct plan_box *box, bool island, int64_t *value)
{
    int fd = (int)syscall(SYS_pidfd_getfd, pidfd, (int)n->data.args[0], 0);
    if (fd < 0) {
        return EBADF;
    }
    int type = 0, family = 0;
    socklen_t size = sizeof type;
    int result = ENOTSOCK;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0) {
        sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL);
        set_alarm(SERVE_MS);
        result = family == AF_INET || family == AF_INET6
                     ? perform_on(n, fd, plan, box, island, value)
                     : EAFNOSUPPORT;
        set_alarm(0);
    }
    close(fd);
    return result;
}

void sandbox_serve(int listener, int pidfd, const struct plan *plan, const struct plan_box *box,
                   bool island)
{
    /* The kernel may know longer structs than our header: both are given room. */
    union {
        struct seccomp_notif n;
        uint8_t room[512];
    } request;
    union {
        struct seccomp_notif_resp r;
        uint8_t room[512];
    } reply;
    memset(&request, 0, sizeof request);
    memset(&reply, 0, sizeof reply);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request.n)) {
        return; /* the caller was interrupted meanwhile */
    }
    reply.r.id = request.n.id;
    int64_t value = 0;
    if (request.n.data.nr == SCMP_SYS(openat)) {
        reply.r.error = -perform_open(listener, &request.n, plan, box);
        if (reply.r.error) {
            ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply.r);
        }
        return;
    }
    island = island && box->kind == BOX_NORTH; /* the plant's side goes on */
    int error = perform(&request.n, pidfd, plan, box, island, &value);
    reply.r.error = -error;
    reply.r.val = error ? 0 : value;
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply.r); /* fails only when the caller is gone */
}
