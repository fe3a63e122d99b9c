/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's half: a box's connect or bind is stopped by the kernel; we copy the address out of the box, check the
 * copy, take the socket, and make the call ourselves with the copy. So what is checked is what is used, whatever the box
 * does to its memory meanwhile. The sockets are non-blocking, so that the call returns at once. */
#include "box/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

int sandbox_take_listener(int talk, int pidfd)
{
    int32_t number;
    ssize_t n = recv(talk, &number, sizeof number, MSG_DONTWAIT);
    if (n != (ssize_t)sizeof number) {
        return n < 0 && (errno == EAGAIN || errno == EINTR) ? ERR_BUSY : ERR_CLOSED;
    }
    int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
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

static bool is_allowed(const struct plan *plan, const struct plan_box *box, const char *verb,
                       const struct sockaddr_storage *a, socklen_t size)
{
    char ip[INET6_ADDRSTRLEN];
    unsigned port;
    if (!address_text(a, size, ip, sizeof ip, &port)) {
        return false;
    }
    for (uint32_t i = 0; i < box->address_count; i++) {
        const struct plan_option *o = plan->options + box->first_address + i;
        if (!strcmp(plan_text(plan, o->key), verb) &&
            matches(plan_text(plan, o->value), ip, port)) {
            return true;
        }
    }
    return false;
}

/* 0 or an errno. */
static int perform(const struct seccomp_notif *n, int pidfd, const struct plan *plan,
                   const struct plan_box *box)
{
    struct sockaddr_storage address = {0};
    uint64_t size = n->data.args[2];
    if (size < sizeof(sa_family_t) || size > sizeof address) {
        return EINVAL;
    }
    struct iovec here = {&address, (size_t)size},
                 there = {(void *)(uintptr_t)n->data.args[1], (size_t)size};
    if (process_vm_readv((pid_t)n->pid, &here, 1, &there, 1, 0) != (ssize_t)size) {
        return EFAULT;
    }
    bool connecting = n->data.nr == SCMP_SYS(connect);
    if (!is_allowed(plan, box, connecting ? "connect" : "bind", &address, (socklen_t)size)) {
        return EACCES;
    }
    int fd = (int)syscall(SYS_pidfd_getfd, pidfd, (int)n->data.args[0], 0);
    if (fd < 0) {
        return EBADF;
    }
    int result = EINVAL; /* a blocking socket would stall us: refuse */
    if (!connecting || (fcntl(fd, F_GETFL) & O_NONBLOCK)) {
        int bad = connecting ? connect(fd, (void *)&address, (socklen_t)size)
                             : bind(fd, (void *)&address, (socklen_t)size);
        result = bad ? errno : 0;
    }
    close(fd);
    return result;
}

void sandbox_serve(int listener, int pidfd, const struct plan *plan, const struct plan_box *box)
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
    reply.r.error = -perform(&request.n, pidfd, plan, box);
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply.r); /* fails only when the caller is gone */
}
