/* SPDX-License-Identifier: Apache-2.0 */
/* The shortest way through the middle and back: a box puts a sample and a question for a stored value into its ring, the engine takes them,
 * and its answer to the question lies in the box's ring. The engine is the real process (engine_main), the box a child with
 * its seat; both sleep between hops, so each hop holds two wake-ups.
 *
 *   ring.hop_pinned_p50  both on one core
 *   ring.hop_p50         placed by the kernel
 *   ring.hop_cpu         CPU of both, a hop (pinned) */
#include "bench/plan.h"

#include "base/clock.h"
#include "engine/engine.h"
#include "tag/record.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOPS 20000u
#define WARM 1000u

struct result { /* shared between the processes */
    double p50_us;
    bool whole;
};

static int by_size(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Sleeps until the answer is there. false: no answer, or garbage. */
static bool take_answer(struct ring_consumer *down, int fd)
{
    struct slot slots[SLOT_RECORD_MAX];
    for (;;) {
        int n = ring_take(down, slots, SLOT_RECORD_MAX);
        if (n < 0) {
            return false;
        }
        if (n > 0) {
            ring_release(down, down->next);
            return record_kind(slots) == RECORD_STORED;
        }
        if (ring_nap(down)) {
            char bytes[64];
            struct pollfd wait = {.fd = fd, .events = POLLIN};
            if (poll(&wait, 1, 1000) <= 0 || read(fd, bytes, sizeof bytes) <= 0) {
                return false;
            }
        }
        ring_awake(down);
    }
}

static bool hop(struct ring_producer *up, struct ring_consumer *down, int fd)
{
    struct slot sample = {.time = clock_utc_ns(), .tag = 1, .value.f64 = 1.5};
    struct record_store question = {.key = "bench"};
    struct slot head = {.time = sample.time, .tag = record_tag(RECORD_FETCH), .status = 1};
    if (ring_put(up, &sample, 1) || ring_put_record(up, &head, &question, sizeof question)) {
        return false;
    }
    ring_publish(up);
    return take_answer(down, fd);
}

/* The box's process. */
static void run_box(struct gateway *g, struct result *result)
{
    static int64_t took[HOPS];
    struct ring_producer up;
    struct ring_consumer down;
    if (gateway_enter(g, SEAT_BOX)) {
        return;
    }
    struct seat *s = g->seats + SEAT_BOX;
    if (ring_producer_init(&up, s->up, s->up_capacity, s->up_tail, s->to_engine_write) ||
        ring_consumer_init(&down, s->down, s->down_capacity, s->down_tail)) {
        return;
    }
    for (uint32_t i = 0; i < WARM + HOPS; i++) {
        int64_t start = clock_mono_ns();
        atomic_store(&s->panel->heartbeat_ns, start);
        if (!hop(&up, &down, s->from_engine_read)) {
            return;
        }
        took[i < WARM ? 0 : i - WARM] = clock_mono_ns() - start;
    }
    qsort(took, HOPS, sizeof *took, by_size);
    result->p50_us = (double)took[HOPS / 2] / 1e3;
    result->whole = true;
}

static double children_cpu_us(void)
{
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

/* One run in a fresh gateway. false: it could not be made. */
static bool run(const char *dir, struct result *result, double *cpu_us)
{
    size_t size = 0;
    struct gateway *g = NULL;
    void *image = small_plan(dir, 1, 65536, &size);
    *result = (struct result){0};
    if (!image || gateway_new(&g, image, size)) {
        return false;
    }
    atomic_store(&g->health->seats[SEAT_ENGINE].starts, 1);
    atomic_store(&g->health->seats[SEAT_BOX].starts, 1);
    double before = children_cpu_us();
    pid_t engine = fork();
    if (engine == 0) {
        _exit(gateway_enter(g, SEAT_ENGINE) ? 1 : engine_main(g));
    }
    for (int64_t start = clock_mono_ns();
         !atomic_load(&g->engine->panel.ready) && clock_mono_ns() - start < 5 * NS_PER_S;) {
        sched_yield();
    }
    pid_t box = fork();
    if (box == 0) {
        run_box(g, result);
        _exit(0);
    }
    waitpid(box, NULL, 0);
    kill(engine, SIGTERM);
    waitpid(engine, NULL, 0);
    *cpu_us = (children_cpu_us() - before) / (HOPS + WARM);
    gateway_free(g);
    return result->whole;
}

static bool measure(const char *name, const char *dir)
{
    struct result *result =
        mmap(NULL, sizeof *result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    double cpu_us = 0;
    cpu_set_t everywhere, one;
    sched_getaffinity(0, sizeof everywhere, &everywhere);
    CPU_ZERO(&one);
    for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && !CPU_COUNT(&one); cpu--) {
        if (CPU_ISSET(cpu, &everywhere)) {
            CPU_SET(cpu, &one);
        }
    }
    bool pinned = strcmp(name, "ring.hop_p50") != 0;
    if (result == MAP_FAILED || (pinned && sched_setaffinity(0, sizeof one, &one)) ||
        !run(dir, result, &cpu_us)) {
        return false;
    }
    sched_setaffinity(0, sizeof everywhere, &everywhere);
    printf("%s %.2f µs\n", name, !strcmp(name, "ring.hop_cpu") ? cpu_us : result->p50_us);
    munmap(result, sizeof *result);
    return true;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--list")) {
        puts("ring.hop_pinned_p50\nring.hop_p50\nring.hop_cpu");
        return 0;
    }
    for (int i = 1; i < argc; i++) {
        char dir[] = "ring-bench-XXXXXX", command[64];
        if (!mkdtemp(dir)) {
            return 1;
        }
        bool good = measure(argv[i], dir);
        fflush(stdout);
        snprintf(command, sizeof command, "rm -rf ./%s", dir);
        if (system(command) || !good) {
            fprintf(stderr, "ring_bench: %s could not be measured\n", argv[i]);
            return 1;
        }
    }
    return 0;
}
