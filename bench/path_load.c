/* SPDX-License-Identifier: Apache-2.0 */
/* Both ends of the path benchmarks, in one process so that they share a clock: Modbus TCP devices whose registers change
 * by themselves, and a Sparkplug subscriber that says how long each change took from the device's answer to the message.
 *
 *   path_load BROKER_PORT FIRST_PORT DEVICES TAGS PERIOD_MS
 *
 * Device d listens on FIRST_PORT + d and serves TAGS float32 (ABCD) from holding register 0. Each group of 32 tags holds
 * one number that names the group and its change, exact in a float32; so a value that arrives tells which read it came
 * from, and its latency is counted from there: the wait for the poll is left out. For every line on stdin, a line of JSON
 * with what happened since the line before. */
#include "base/clock.h"
#include "north/sparkplug/payload.h"

#include <errno.h>
#include <math.h>
#include <mosquitto.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define GROUP_TAGS   32u
#define EXACT        (UINT32_C(1) << 24) /* integers below are exact in a float32 */
#define CLIENTS_MAX  256u
#define BUCKET_NS    10000
#define BUCKETS      100000u /* 1 s; the last one takes what is slower */
#define REQUEST_SIZE 12u

struct client {
    int fd;
    uint32_t device;
    size_t in_size, out_size;
    uint8_t in[8192], out[64 * 1024];
};

static uint32_t devices, tags, groups,
    changes; /* groups of one device; changes until the numbers repeat */
static int64_t period_ns, start_ns;
static _Atomic int64_t
    *reads; /* [devices * groups * changes]: when that change was first asked for */
static _Atomic uint64_t served, received, historical, histogram[BUCKETS];
static struct client *clients[CLIENTS_MAX];
static int poller;

static void die(const char *what)
{
    fprintf(stderr, "path_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- The devices. ---- */

/* Devices change one after the other within the period, as real ones do. */
static uint32_t change_of(uint32_t device, int64_t now_ns)
{
    int64_t phase = period_ns * device / devices;
    return (uint32_t)((now_ns - start_ns + phase) / period_ns % changes);
}

static size_t answer(const struct client *c, const uint8_t *request, int64_t now_ns, uint8_t *out)
{
    uint32_t from = (uint32_t)request[8] << 8 | request[9];
    uint32_t count = (uint32_t)request[10] << 8 | request[11];
    memcpy(out, request, 8);
    if (request[7] != 3 || count == 0 || count > 125 || from + count > 2 * tags) {
        out[5] = 3;
        out[7] |= 0x80;
        out[8] = 2;
        return 9;
    }
    uint32_t change = change_of(c->device, now_ns);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = from + i, group = c->device * groups + at / 2 / GROUP_TAGS;
        uint32_t number = group * changes + change, bits;
        if (at % (2 * GROUP_TAGS) == 0) {
            int64_t unread = 0;
            atomic_compare_exchange_strong(reads + number, &unread, now_ns);
        }
        memcpy(&bits, &(float){(float)number}, sizeof bits);
        uint32_t word = at % 2 ? bits & 0xffff : bits >> 16;
        out[9 + 2 * i] = (uint8_t)(word >> 8);
        out[10 + 2 * i] = (uint8_t)word;
    }
    uint32_t bytes = 2 * count;
    out[4] = (uint8_t)((bytes + 3) >> 8);
    out[5] = (uint8_t)(bytes + 3);
    out[8] = (uint8_t)bytes;
    atomic_fetch_add_explicit(&served, count / 2, memory_order_relaxed);
    return 9 + bytes;
}

static void drop(struct client *c)
{
    for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
        if (clients[i] == c) {
            clients[i] = NULL;
        }
    }
    close(c->fd);
    free(c);
}

static void serve(struct client *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_size, sizeof c->in - c->in_size, 0);
    if (n <= 0) {
        drop(c);
        return;
    }
    int64_t now_ns = clock_mono_ns();
    c->in_size += (size_t)n;
    size_t at = 0;
    for (c->out_size = 0; c->in_size - at >= REQUEST_SIZE && sizeof c->out - c->out_size >= 260;
         at += REQUEST_SIZE) {
        c->out_size += answer(c, c->in + at, now_ns, c->out + c->out_size);
    }
    c->in_size -= at;
    memmove(c->in, c->in + at, c->in_size);
    /* The socket blocks: a client that asks faster than it reads waits. */
    for (size_t sent = 0; sent < c->out_size;) {
        n = send(c->fd, c->out + sent, c->out_size - sent, MSG_NOSIGNAL);
        if (n <= 0) {
            drop(c);
            return;
        }
        sent += (size_t)n;
    }
}

static void welcome(int listener, uint32_t device)
{
    int fd = accept(listener, NULL, NULL), on = 1;
    uint32_t place = 0;
    while (place < CLIENTS_MAX && clients[place]) {
        place++;
    }
    struct client *c = place < CLIENTS_MAX ? calloc(1, sizeof *c) : NULL;
    if (fd < 0 || !c) {
        die("accept");
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->fd = fd;
    c->device = device;
    clients[place] = c;
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = CLIENTS_MAX + place};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event)) {
        die("epoll");
    }
}

static int listen_on(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 16)) {
        die("listen");
    }
    return fd;
}

/* ---- The subscriber. ---- */

static void on_metric(const struct metric *m, int64_t now_ns)
{
    atomic_fetch_add_explicit(&received, 1, memory_order_relaxed);
    if (m->is_historical) {
        atomic_fetch_add_explicit(&historical, 1, memory_order_relaxed);
        return;
    }
    if (m->field != METRIC_FLOAT || m->real < 0 || m->real >= (double)EXACT) {
        return;
    }
    int64_t read_ns = atomic_load(reads + (uint32_t)m->real);
    if (read_ns) {
        int64_t bucket = (now_ns - read_ns) / BUCKET_NS;
        atomic_fetch_add_explicit(histogram + (bucket < BUCKETS ? bucket : BUCKETS - 1), 1,
                                  memory_order_relaxed);
    }
}

static void on_message(struct mosquitto *m, void *context, const struct mosquitto_message *message)
{
    (void)m;
    (void)context;
    int64_t now_ns = clock_mono_ns();
    struct reader in = reader_of(message->payload, (size_t)message->payloadlen);
    struct metric metric;
    while (payload_next(&in, &metric) > 0) {
        on_metric(&metric, now_ns);
    }
}

static void subscribe(int port)
{
    mosquitto_lib_init();
    struct mosquitto *m = mosquitto_new(NULL, true, NULL);
    if (!m) {
        die("mosquitto");
    }
    mosquitto_message_callback_set(m, on_message);
    if (mosquitto_connect(m, "127.0.0.1", port, 60) ||
        mosquitto_subscribe(m, NULL, "spBv1.0/+/DDATA/#", 0) || mosquitto_loop_start(m)) {
        die("can't subscribe");
    }
}

/* ---- The account. ---- */

static double quantile_ms(const uint64_t *counts, uint64_t total, double q)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < BUCKETS; i++) {
        sum += counts[i];
        if (sum > 0 && (double)sum >= q * (double)total) {
            return (i + 0.5) * BUCKET_NS / 1e6;
        }
    }
    return NAN;
}

static void report(void)
{
    static uint64_t counts[BUCKETS];
    uint64_t total = 0;
    for (uint32_t i = 0; i < BUCKETS; i++) {
        counts[i] = atomic_exchange(histogram + i, 0);
        total += counts[i];
    }
    printf("{\"served\":%llu,\"received\":%llu,\"historical\":%llu,\"timed\":%llu,\"p50_ms\":%.3f,"
           "\"p99_ms\":%.3f}\n",
           (unsigned long long)atomic_exchange(&served, 0),
           (unsigned long long)atomic_exchange(&received, 0),
           (unsigned long long)atomic_exchange(&historical, 0), (unsigned long long)total,
           total ? quantile_ms(counts, total, 0.5) : 0.0,
           total ? quantile_ms(counts, total, 0.99) : 0.0);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fputs("usage: path_load BROKER_PORT FIRST_PORT DEVICES TAGS PERIOD_MS\n", stderr);
        return 2;
    }
    int broker = atoi(argv[1]), first_port = atoi(argv[2]);
    devices = (uint32_t)atoi(argv[3]);
    tags = (uint32_t)atoi(argv[4]);
    period_ns = atoi(argv[5]) * INT64_C(1000000);
    if (devices - 1 >= CLIENTS_MAX || tags - 1 >= 32768 || period_ns <= 0) {
        fputs("path_load: 1 to 256 devices of 1 to 32768 tags\n", stderr);
        return 2;
    }
    groups = (tags + GROUP_TAGS - 1) / GROUP_TAGS;
    changes = EXACT / (groups * devices);
    reads = calloc(EXACT, sizeof *reads);
    poller = epoll_create1(EPOLL_CLOEXEC);
    start_ns = clock_mono_ns();
    if (!reads || poller < 0) {
        die("memory");
    }
    int *listeners = calloc(devices, sizeof *listeners);
    for (uint32_t d = 0; listeners && d < devices; d++) {
        listeners[d] = listen_on(first_port + (int)d);
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = d};
        epoll_ctl(poller, EPOLL_CTL_ADD, listeners[d], &event);
    }
    epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO,
              &(struct epoll_event){.events = EPOLLIN, .data.u64 = 2 * CLIENTS_MAX});
    subscribe(broker);
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event events[64];
        int n = epoll_wait(poller, events, 64, -1);
        for (int i = 0; i < n; i++) {
            uint64_t who = events[i].data.u64;
            if (who == 2 * CLIENTS_MAX) {
                char line[64];
                if (read(STDIN_FILENO, line, sizeof line) <= 0) {
                    return 0;
                }
                report();
            } else if (who < CLIENTS_MAX) {
                welcome(listeners[who], (uint32_t)who);
            } else if (clients[who - CLIENTS_MAX]) {
                serve(clients[who - CLIENTS_MAX]);
            }
        }
    }
}
