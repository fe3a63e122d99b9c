/* SPDX-License-Identifier: Apache-2.0 */
/* storm [--points N] [--seed S] [--jobs J]: worlds of at most WORLD_CRASHES crash points each, until there were N of them.
 * storm --promise N: the same with the acts that endanger promise JN (1 to 3), or the script that holds J4 or J5 to its word.
 * storm --world S: only that one, as a failure names it, telling all it does. */
#include "storm.h"

#include "base/clock.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORLD_CRASHES 25u
#define FAILURES_MAX  20u /* then it is clear that something is wrong */

void storm_fail(const struct world *w, const char *file, int line, const char *what)
{
    fflush(stdout);
    fprintf(stderr,
            "%s:%d: %s\n  in world %llu, act %llu (%s), after %llu crashes, recovered: \"%s\"\n"
            "  to see it again: storm --world %llu\n",
            file, line, what, (unsigned long long)w->seed, (unsigned long long)w->acts, w->last_act,
            (unsigned long long)w->crashes, w->recovered.text, (unsigned long long)w->seed);
    _exit(1);
}

struct tally { /* shared by the processes that run worlds */
    unsigned promise;
    _Atomic uint64_t next_seed, points, worlds, failed;
};

/* One world after another, each in a process of its own, so that one that fails ends alone. */
static void run_worlds(struct tally *t, uint64_t points, FILE *trace)
{
    while (atomic_load(&t->points) < points &&
           atomic_load(&t->failed) < (trace ? 1 : FAILURES_MAX)) {
        uint64_t seed = atomic_fetch_add(&t->next_seed, 1);
        int status = 1;
        pid_t child = fork();
        if (child == 0) {
            struct world w = {.trace = trace, .promise = t->promise};
            world_live(&w, seed, WORLD_CRASHES);
            atomic_fetch_add(&t->points, w.crashes);
            fflush(stdout);
            _exit(0);
        }
        waitpid(child, &status, 0);
        atomic_fetch_add(&t->worlds, 1);
        atomic_fetch_add(&t->failed, status != 0);
    }
}

static int play(void (*script)(struct world *w), uint64_t seed)
{
    struct world w = {.scripted = true};
    world_begin(&w, seed);
    script(&w);
    world_end(&w);
    return 0;
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t n = strtoull(text, &end, 10);
    if (*end || end == text) {
        fprintf(stderr, "storm: '%s' is no number\n", text);
        exit(2);
    }
    return n;
}

int main(int argc, char **argv)
{
    uint64_t points = 1000, seed = 1, jobs = 1, promise = 0;
    FILE *trace = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--points")) {
            points = number(argv[i + 1]);
        } else if (!strcmp(argv[i], "--seed")) {
            seed = number(argv[i + 1]);
        } else if (!strcmp(argv[i], "--jobs")) {
            jobs = number(argv[i + 1]);
        } else if (!strcmp(argv[i], "--world")) {
            seed = number(argv[i + 1]);
            points = 1;
            trace = stdout;
        } else if (!strcmp(argv[i], "--promise")) {
            promise = number(argv[i + 1]);
        } else {
            fprintf(stderr, "storm: unknown option %s\n", argv[i]);
            return 2;
        }
    }
    mallopt(M_MMAP_THRESHOLD, 8 << 20); /* what is larger is mostly unused: fresh pages are zero */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    struct tally *t =
        mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (t == MAP_FAILED) {
        return 2;
    }
    atomic_store(&t->next_seed, seed);
    if (promise > 3) {
        return play(promise == 4 ? promise_damaged_segment : promise_stalled_disk, seed);
    }
    t->promise = (unsigned)promise;
    int64_t start = clock_mono_ns();
    for (uint64_t j = 1; j < jobs; j++) {
        if (fork() == 0) {
            run_worlds(t, points, trace);
            _exit(0);
        }
    }
    run_worlds(t, points, trace);
    while (wait(NULL) > 0) {
    }
    printf("%llu crash points in %llu worlds from seed %llu: %llu worlds failed, %.1f s\n",
           (unsigned long long)t->points, (unsigned long long)t->worlds, (unsigned long long)seed,
           (unsigned long long)t->failed, (double)(clock_mono_ns() - start) / 1e9);
    return t->failed != 0;
}
