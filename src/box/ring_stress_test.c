/* SPDX-License-Identifier: Apache-2.0 */
/* One ring, a producer and a consumer that both sleep and wake, as two processes and, for the thread sanitizer, as two
 * threads. Every slot must arrive once, in order, and whole; records of several slots must not be torn. The consumer
 * releases late, as after a commit, so that the ring fills and the producer has to wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAPACITY 256u
#define RECORDS  200000u
#define LIMIT_MS 30000

struct shared {
    struct ring_tail tail;
    _Atomic uint64_t failed;
    _Alignas(64) uint8_t ring[sizeof(struct ring_head) + CAPACITY * sizeof(struct slot)];
};

struct line {
    struct shared *shared;
    int wake[2], room[2]; /* pipes: to the consumer, and back when there is room again */
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    return x ^ x >> 33;
}

static size_t payload_of(uint64_t n)
{
    return n % 5 ? 0 : (size_t)(mix(n) % 200) + 1;
}

static void wait_for(int fd)
{
    struct pollfd p = {fd, POLLIN, 0};
    char bytes[64];
    if (poll(&p, 1, 1000) > 0) {
        while (read(fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes) {
        }
    }
}

static int put(struct ring_producer *p, uint64_t n)
{
    uint8_t payload[256];
    struct slot s = {.time = (int64_t)n, .value.u64 = mix(n), .tag = 1, .status = (uint32_t)n};
    size_t size = payload_of(n);
    if (!size) {
        return ring_put(p, &s, 1);
    }
    s.tag |= SLOT_LONG;
    memset(payload, (int)(n & 0xff), size);
    return ring_put_record(p, &s, payload, size);
}

static void *produce(void *context)
{
    struct line *l = context;
    struct ring_producer p;
    int64_t until = clock_mono_ns() + LIMIT_MS * NS_PER_MS;
    if (ring_producer_init(&p, l->shared->ring, CAPACITY, &l->shared->tail, l->wake[1])) {
        atomic_store(&l->shared->failed, 1);
        return NULL;
    }
    for (uint64_t n = 0; n < RECORDS && !atomic_load(&l->shared->failed);) {
        if (put(&p, n) == ERR_OK) {
            n++;
            if (mix(n) % 7 == 0) {
                ring_publish(&p);
            }
        } else {
            ring_publish(&p);
            wait_for(l->room[0]);
            if (clock_mono_ns() > until) {
                atomic_store(&l->shared->failed, 2);
            }
        }
    }
    ring_publish(&p);
    return NULL;
}

static bool is_right(const struct slot *s, uint64_t n)
{
    size_t size = payload_of(n);
    bool right = s->time == (int64_t)n && s->status == (uint32_t)n &&
                 s->value.u64 == (size ? size : mix(n)) && slot_is_long(s) == (size > 0);
    for (size_t i = 0; right && i < size; i++) {
        right = slot_payload(s)[i] == (uint8_t)(n & 0xff);
    }
    return right;
}

static void give_room(struct line *l, struct ring_consumer *c)
{
    ring_release(c, c->next);
    ssize_t ignored = write(l->room[1], "", 1);
    (void)ignored;
}

static void *consume(void *context)
{
    struct line *l = context;
    struct ring_consumer c;
    static struct slot taken[64]; /* one consumer at a time */
    int64_t until = clock_mono_ns() + LIMIT_MS * NS_PER_MS;
    uint64_t n = 0;
    if (ring_consumer_init(&c, l->shared->ring, CAPACITY, &l->shared->tail)) {
        atomic_store(&l->shared->failed, 3);
        return NULL;
    }
    while (n < RECORDS && !atomic_load(&l->shared->failed)) {
        int count = ring_take(&c, taken, 64);
        size_t at = 0;
        while (count > 0 && at < (size_t)count) {
            size_t length = slot_record_length(taken + at);
            if (length && at + length > (size_t)count) {
                break; /* cut: the rest comes with the next take */
            }
            if (!length || !is_right(taken + at, n)) {
                atomic_store(&l->shared->failed, 4);
                return NULL;
            }
            at += length;
            n++;
        }
        if (count < 0 || clock_mono_ns() > until) {
            atomic_store(&l->shared->failed, 5);
        } else if (count > 0) {
            ring_step_back(&c, (size_t)count - at);
        }
        if (count <= 0 || mix(n) % 3 == 0) {
            give_room(l, &c);
        }
        if (count == 0 && ring_nap(&c)) {
            wait_for(l->wake[0]);
            ring_awake(&c);
        }
    }
    give_room(l, &c);
    return NULL;
}

static void open_line(struct line *l)
{
    l->shared =
        mmap(NULL, sizeof *l->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(l->shared, MAP_FAILED);
    assert_int_equal(pipe2(l->wake, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(pipe2(l->room, O_NONBLOCK | O_CLOEXEC), 0);
}

static void close_line(struct line *l)
{
    assert_int_equal(atomic_load(&l->shared->failed), 0);
    const struct ring_head *head = (const void *)l->shared->ring;
    assert_true(atomic_load(&head->head) == atomic_load(&l->shared->tail.tail));
    munmap(l->shared, sizeof *l->shared);
    for (int i = 0; i < 2; i++) {
        close(l->wake[i]);
        close(l->room[i]);
    }
}

static void two_threads_lose_nothing(void **state)
{
    (void)state;
    struct line l;
    pthread_t producer, consumer;
    open_line(&l);
    assert_int_equal(pthread_create(&consumer, NULL, consume, &l), 0);
    assert_int_equal(pthread_create(&producer, NULL, produce, &l), 0);
    pthread_join(producer, NULL);
    pthread_join(consumer, NULL);
    close_line(&l);
}

static void two_processes_lose_nothing(void **state)
{
    (void)state;
    struct line l;
    int status;
    open_line(&l);
    pid_t pid = fork();
    if (pid == 0) {
        produce(&l);
        _exit(0);
    }
    consume(&l);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close_line(&l);
}

/* The consumer is killed again and again, and its successor goes on at the tail: what was not released comes again. */
static void killed_consumers_lose_nothing(void **state)
{
    (void)state;
    struct line l;
    int status;
    open_line(&l);
    struct ring_producer p;
    assert_int_equal(ring_producer_init(&p, l.shared->ring, CAPACITY, &l.shared->tail, l.wake[1]),
                     0);
    uint64_t put_count = 0, seen = 0;
    for (int round = 0; round < 50; round++) {
        while (put_count < (uint64_t)round * 37 + 37 &&
               !ring_put(&p, &(struct slot){.time = (int64_t)put_count, .tag = 1}, 1)) {
            put_count++;
        }
        ring_publish(&p);
        pid_t pid = fork();
        if (pid == 0) {
            struct ring_consumer c;
            struct slot s;
            int bad = ring_consumer_init(&c, l.shared->ring, CAPACITY, &l.shared->tail);
            uint64_t next = seen;
            for (int i = 0; !bad && i < 37 && ring_take(&c, &s, 1) == 1; i++, next++) {
                bad = s.time != (int64_t)next;
                if (i == 20) {
                    ring_release(&c, c.next); /* committed up to here; the rest is lost with us */
                }
            }
            kill(getpid(), bad ? SIGABRT : SIGKILL);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        seen = atomic_load(&l.shared->tail.tail);
        assert_int_equal(seen % 21, 0);
    }
    assert_int_equal(seen, 50 * 21);
    munmap(l.shared, sizeof *l.shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_threads_lose_nothing),
        cmocka_unit_test(two_processes_lose_nothing),
        cmocka_unit_test(killed_consumers_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
