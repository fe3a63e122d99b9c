/* SPDX-License-Identifier: Apache-2.0 */
/* What a locked-in process can and cannot do. Each case is a forked child in its seat; the test plays the supervisor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "box/sandbox.h"
#include "box/test_plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIPPED 77

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno);      \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static char folder[] = "/tmp/isthmus-sandbox-XXXXXX";
static int listener, datagrams; /* the only peers that the box may reach */
static struct sockaddr_in peer, elsewhere;

typedef void child_body(struct gateway *g);

static int make_peers(void **state)
{
    (void)state;
    socklen_t size = sizeof peer;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (!mkdtemp(folder) || bind(listener, (void *)&any, sizeof any) || listen(listener, 5) ||
        getsockname(listener, (void *)&peer, &size) ||
        bind(datagrams, (void *)&peer, sizeof peer)) {
        return -1;
    }
    elsewhere = peer;
    elsewhere.sin_port = htons((uint16_t)(ntohs(peer.sin_port) ^ 1));
    return 0;
}

static int drop_peers(void **state)
{
    (void)state;
    char command[100];
    static const char *const left[] = {"file", "own"}; /* a test that is skipped ends at once */
    for (int i = 0; i < 2; i++) {
        snprintf(command, sizeof command, "%s/%s", folder, left[i]);
        unlink(command);
    }
    close(listener);
    close(datagrams);
    return rmdir(folder);
}

/* The supervisor's part until the child has ended. */
static int attend(struct gateway *g, pid_t pid, int talk)
{
    char why[TALK_TEXT + 1];
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), notifications = -1, status;
    struct pollfd fds[3] = {{pidfd, POLLIN, 0}, {talk, POLLIN, 0}, {-1, POLLIN, 0}};
    while (poll(fds, 3, 10000) > 0 && !fds[0].revents) {
        if (fds[1].revents) {
            int fd = sandbox_take_listener(talk, pidfd, why);
            if (fd >= 0) {
                notifications = fds[2].fd = fd;
            } else if (fd != ERR_BUSY) {
                fds[1].fd = -1;
            }
        }
        if (fds[2].revents & POLLIN) {
            sandbox_serve(notifications, pidfd, &g->plan, g->plan.boxes, false);
        } else if (fds[2].revents) {
            fds[2].fd = -1;
        }
    }
    if (!fds[0].revents) {
        kill(pid, SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(pidfd);
    close(talk);
    if (notifications >= 0) {
        close(notifications);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status) + 1000;
}

static void in_sandbox(int seat, const struct sandbox_profile *profile, child_body *body)
{
    void *image;
    size_t size;
    struct gateway *g;
    int talk[2];
    char connect_to[40];
    snprintf(connect_to, sizeof connect_to, "127.0.0.1:%u", ntohs(peer.sin_port));
    assert_int_equal(test_plan(&image, &size, folder, connect_to, "127.0.0.1:0"), 0);
    assert_int_equal(gateway_new(&g, image, size), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, talk), 0);
    pid_t pid = fork();
    if (pid == 0) {
        g->supervisor_fd = talk[1];
        CHECK(gateway_enter(g, seat) == 0);
        sandbox_begin(g);
        CHECK(syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno == ENOSYS);
        if (body && seat == SEAT_ENGINE) {
            body(g);
            _exit(0);
        }
        CHECK(sandbox_enter(g, profile) == 0);
        if (!(atomic_load(&g->seats[seat].panel->layers) & LAYER_SECCOMP)) {
            _exit(SKIPPED); /* a sanitizer's build */
        }
        body(g);
        _exit(0);
    }
    close(talk[1]);
    int how = attend(g, pid, talk[0]);
    uint32_t layers = atomic_load(&g->seats[seat].panel->layers);
    gateway_free(g);
    if (how == SKIPPED) {
        skip();
    }
    assert_int_equal(how, 0);
    assert_true(layers & LAYER_SECCOMP);
    assert_true(seat < SEAT_BOX || (layers & LAYER_ADDRESSES));
}

static const struct sandbox_profile box_profile = {.sockets = true};

static int stream(int flags)
{
    return socket(AF_INET, SOCK_STREAM | flags, 0);
}

static void connects(struct gateway *g)
{
    (void)g;
    int fd = stream(SOCK_NONBLOCK), error = -1;
    socklen_t size = sizeof error;
    CHECK(fd >= 0);
    CHECK(connect(fd, (void *)&elsewhere, sizeof elsewhere) < 0 && errno == EACCES);
    struct sockaddr_in other = peer;
    other.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    CHECK(connect(fd, (void *)&other, sizeof other) < 0 && errno == EACCES);
    CHECK(connect(fd, (void *)&peer, 1) < 0 && errno == EINVAL);
    CHECK(connect(fd, (void *)8, sizeof peer) < 0 && errno == EFAULT);
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = elsewhere.sin_port};
    CHECK(inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr) == 1);
    int six = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(six < 0 || (connect(six, (void *)&mapped, sizeof mapped) < 0 && errno == EACCES));
    CHECK(connect(fd, (void *)&peer, sizeof peer) == 0 || errno == EINPROGRESS);
    struct pollfd ready = {fd, POLLOUT, 0};
    CHECK(poll(&ready, 1, 5000) == 1);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0);
    CHECK(send(fd, "hello", 5, 0) == 5);
    int blocking = stream(0);
    CHECK(connect(blocking, (void *)&peer, sizeof peer) < 0 && errno == EINVAL);
    CHECK(connect(STDERR_FILENO, (void *)&peer, sizeof peer) < 0 && errno == ENOTSOCK);
}

static void only_allowed_addresses_are_reached(void **state)
{
    (void)state;
    in_sandbox(TEST_FIELD, &box_profile, connects);
}

static void listens(struct gateway *g)
{
    (void)g;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in all = {.sin_family = AF_INET};
    int fd = stream(0), wide = stream(0);
    CHECK(listen(wide, 5) < 0 && errno == EACCES);
    CHECK(bind(wide, (void *)&all, sizeof all) < 0 && errno == EACCES);
    CHECK(bind(fd, (void *)&peer, sizeof peer) < 0 && errno == EACCES);
    CHECK(bind(fd, (void *)&here, sizeof here) == 0);
    CHECK(listen(fd, 5) == 0);
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    CHECK(accept4(fd, NULL, NULL, 0) < 0 && errno == EAGAIN);
}

static void only_allowed_addresses_are_listened_on(void **state)
{
    (void)state;
    in_sandbox(TEST_FIELD, &box_profile, listens);
}

/* Its own file and no other, to read and not to write, whatever it was when the box began. */
static void reads(struct gateway *g)
{
    char own[100], byte[2] = "";
    snprintf(own, sizeof own, "%s/own", g->state_dir);
    int fd = open(own, O_RDONLY);
    CHECK(fd >= 0 && read(fd, byte, 1) == 1 && *byte == 'x');
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK(write(fd, "y", 1) < 0);
    CHECK(open(own, O_RDWR) < 0 && errno == EPERM);
    CHECK(open(own, O_RDONLY | O_TRUNC) < 0 && errno == EPERM);
    own[strlen(own) - 1] = 0;
    CHECK(open(own, O_RDONLY) < 0 && errno == EACCES);
    CHECK(open("", O_RDONLY) < 0 && errno == EACCES);
    CHECK(syscall(SYS_openat, AT_FDCWD, (void *)8, O_RDONLY) < 0 && errno == EFAULT);
}

static void only_named_files_are_read(void **state)
{
    (void)state;
    char own[100];
    snprintf(own, sizeof own, "%s/own", folder);
    FILE *f = fopen(own, "we");
    assert_non_null(f);
    assert_int_equal(fputs("x", f) >= 0, 1);
    fclose(f);
    in_sandbox(TEST_FIELD, &box_profile, reads);
}

static void sends(struct gateway *g)
{
    (void)g;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct iovec part = {"x", 1};
    struct msghdr message = {
        .msg_name = &peer, .msg_namelen = sizeof peer, .msg_iov = &part, .msg_iovlen = 1};
    CHECK(sendto(fd, "datagram", 8, 0, (void *)&elsewhere, sizeof elsewhere) < 0 &&
          errno == EACCES);
    CHECK(sendmsg(fd, &message, 0) < 0 && errno == EPERM);
    CHECK(sendto(fd, "datagram", 8, 0, (void *)&peer, sizeof peer) == 8);
}

static void only_allowed_addresses_are_sent_to(void **state)
{
    (void)state;
    char bytes[20];
    in_sandbox(TEST_FIELD, &box_profile, sends);
    assert_int_equal(recv(datagrams, bytes, sizeof bytes, MSG_DONTWAIT), 8);
    assert_int_equal(recv(datagrams, bytes, sizeof bytes, MSG_DONTWAIT), -1);
}

static void *add_one(void *number)
{
    ++*(int *)number;
    return NULL;
}

static void tries_everything(struct gateway *g)
{
    (void)g;
    const int families[] = {AF_UNIX, AF_NETLINK, AF_PACKET};
    for (int i = 0; i < 3; i++) {
        CHECK(socket(families[i], SOCK_DGRAM, 0) < 0 && errno == EPERM);
    }
    CHECK(socket(AF_INET, SOCK_RAW, IPPROTO_TCP) < 0 && errno == EPERM);
    CHECK(open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES);
    CHECK(open("/proc/self/mem", O_RDWR) < 0 && errno == EPERM);
    CHECK(fork() < 0);
    char *const arguments[] = {"true", NULL};
    CHECK(execve("/bin/true", arguments, NULL) < 0 && errno == EPERM);
    CHECK(kill(getppid(), 0) < 0 && errno == EPERM);
    CHECK(syscall(SYS_tgkill, getppid(), getppid(), 0) < 0 && errno == EPERM);
    struct rlimit limit;
    CHECK(prlimit(getppid(), RLIMIT_CORE, NULL, &limit) < 0 && errno == EPERM);
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
               0) == MAP_FAILED);
    CHECK(syscall(SYS_memfd_create, "x", 0) < 0 && errno == EPERM);
    CHECK(syscall(SYS_unshare, 0) < 0 && errno == EPERM);
    /* and what it needs still works */
    pthread_t thread;
    int number = 1;
    CHECK(pthread_create(&thread, NULL, add_one, &number) == 0);
    CHECK(pthread_join(thread, NULL) == 0 && number == 2);
    void *memory = malloc(10u << 20);
    CHECK(memory);
    free(memory);
}

static void a_box_can_do_nothing_else(void **state)
{
    (void)state;
    in_sandbox(TEST_FIELD, &box_profile, tries_everything);
}

static int gate[2], answer[2]; /* between the engine and a thread that it had before */

static void *early_thread(void *unused)
{
    (void)unused;
    char byte;
    if (read(gate[0], &byte, 1) == 1) {
        byte = socket(AF_INET, SOCK_STREAM, 0) < 0 && open("/etc/passwd", O_RDONLY) < 0 ? 'y' : 'n';
        if (write(answer[1], &byte, 1) != 1) {
            return NULL;
        }
    }
    return NULL;
}

static void engine(struct gateway *g)
{
    char path[100], byte;
    pthread_t thread;
    CHECK(pipe(gate) == 0 && pipe(answer) == 0);
    CHECK(pthread_create(&thread, NULL, early_thread, NULL) == 0);
    struct sandbox_profile profile = {.write_dir = g->state_dir};
    CHECK(sandbox_enter(g, &profile) == 0);
    if (!(atomic_load(&g->engine->panel.layers) & LAYER_SECCOMP)) {
        _exit(SKIPPED);
    }
    snprintf(path, sizeof path, "%s/file", g->state_dir);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && write(fd, "x", 1) == 1 && fdatasync(fd) == 0);
    CHECK(socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM);
    if (atomic_load(&g->engine->panel.layers) & LAYER_LANDLOCK) {
        CHECK(open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES);
        CHECK(write(gate[1], "", 1) == 1 && read(answer[0], &byte, 1) == 1 && byte == 'y');
    }
}

static void the_middle_has_its_folder_and_no_socket(void **state)
{
    (void)state;
    in_sandbox(SEAT_ENGINE, NULL, engine);
}

static void each_layer_has_a_name(void **state)
{
    (void)state;
    unsigned bit = 0;
    for (; sandbox_layer_name(bit); bit++) {
        assert_true((LAYERS_BOX | LAYERS_MIDDLE) & (1u << bit));
    }
    assert_int_equal(LAYERS_BOX | LAYERS_MIDDLE, (1 << bit) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_allowed_addresses_are_reached),
        cmocka_unit_test(only_allowed_addresses_are_listened_on),
        cmocka_unit_test(only_allowed_addresses_are_sent_to),
        cmocka_unit_test(only_named_files_are_read),
        cmocka_unit_test(a_box_can_do_nothing_else),
        cmocka_unit_test(the_middle_has_its_folder_and_no_socket),
        cmocka_unit_test(each_layer_has_a_name),
    };
    return cmocka_run_group_tests(tests, make_peers, drop_peers);
}
