/* SPDX-License-Identifier: Apache-2.0 */
/* The whole path of writing, engine → journal → sealed, under a steady load, in a temporary folder of this one:
 *
 *   journal.write_path         samples/s that became journaled and sealed
 *   journal.write_path_behind  segments that wait for the sealer at the end
 *   journal.write_path_step    the 99th percentile of the engine's steps, as a multiple of that without a sealer
 *
 * 1,000 tags get a sample each in turn, 3.2 million a second in all, for ISTHMUS_BENCH_SECONDS (default 60; the goal speaks of
 * 600) with and a quarter of that without a sealer. The engine has a core of its own; the journal's thread and the sealer, a process as in the
 * gateway, share the others. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched.h */
#endif
#include "bench/plan.h"
#include "bench/signals.h"

#include "base/clock.h"
#include "engine/engine.h"
#include "engine/internal.h"
#include "sealer/core.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TAGS    1000u
#define ROUNDS  600u
#define RATE    3200000.0
#define PERIOD  (INT64_C(10) * NS_PER_MS) /* a burst of samples so often, as drivers make them */
#define STEPS   (1u << 20)                /* kept: a step takes some 10 us */
#define SEGMENT (UINT64_C(16) << 20)      /* the default */

struct shared { /* with the sealer's process */
    _Atomic int stop;
    struct sealer_panel panel;
};

struct outcome {
    double rate, p99_us;
    uint64_t behind;
};

static void pin(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    (void)sched_setaffinity(0, sizeof set, &set); /* without it the figures are worse, not wrong */
}

static void pin_away_from(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < (int)sysconf(_SC_NPROCESSORS_ONLN); i++) {
        if (i != core) {
            CPU_SET(i, &set);
        }
    }
    (void)sched_setaffinity(0, sizeof set, &set);
}

static int seal(struct shared *shared, struct gateway *g, const char *dir)
{
    struct sealer s = {.disk = &disk_files,
                       .dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                       .plan = &g->plan,
                       .marks = &g->engine->marks,
                       .panel = &shared->panel,
                       .merge_limit = UINT64_C(1) << 30};
    int err = setpriority(PRIO_PROCESS, 0, 10) || sealer_open(&s) ? -1 : 0;
    while (!err && !atomic_load(&shared->stop)) {
        int done = sealer_step(&s, clock_utc_ns());
        err = done < 0 ? done : 0;
        if (done == 0) {
            nanosleep(&(struct timespec){.tv_nsec = 500 * NS_PER_MS}, NULL);
        }
    }
    if (err) {
        fprintf(stderr, "write_path: %s\n", s.trouble);
    }
    sealer_close(&s);
    return err ? 1 : 0;
}

/* The values that all tags get, round by round (bench/signals.h), as drivers deliver them: doubles. Owned by the caller. */
static double *make_values(void)
{
    struct signals in;
    double *values = malloc(sizeof *values * ROUNDS * TAGS);
    if (!values || !signals_generate(&in, 1, TAGS, ROUNDS, false)) {
        free(values);
        return NULL;
    }
    for (uint32_t t = 0; t < TAGS; t++) {
        for (uint32_t n = 0; n < ROUNDS; n++) {
            union slot_value v = {.u64 = in.tags[t].value[n]};
            values[n * TAGS + t] = value_as_double(in.tags[t].type, v);
        }
    }
    signals_free(&in);
    return values;
}

/* What is due by now, as far as there is room. */
static void fill(struct ring_producer *p, const double *values, uint64_t *produced, int64_t due_ns,
                 int64_t utc_ns)
{
    uint64_t due = (uint64_t)((double)due_ns * RATE / 1e9);
    while (*produced < due) {
        struct slot batch[TAGS / 2];
        if (ring_room(p) < TAGS / 2) {
            break;
        }
        for (uint32_t i = 0; i < TAGS / 2; i++, ++*produced) {
            uint64_t n = *produced / TAGS;
            uint32_t tag = (uint32_t)(*produced % TAGS);
            batch[i] = (struct slot){.time = utc_ns + (int64_t)(n % 32) * 1000,
                                     .value.f64 = values[n % ROUNDS * TAGS + tag],
                                     .tag = tag + 1};
        }
        if (ring_put(p, batch, TAGS / 2)) {
            break;
        }
    }
    ring_publish(p);
}

static void ignore(void *context)
{
    (void)context;
}

static int by_size(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Paces the load and steps the engine; the time of each step that took something goes into `steps`, as ns. */
static bool drive(struct gateway *g, const char *dir, const double *values, double seconds,
                  uint32_t *steps, struct outcome *out)
{
    struct journal *journal = NULL;
    struct engine *e = NULL;
    struct journal_recovered recovered;
    struct ring_producer p;
    struct journal_options options = {.dir = dir,
                                      .plan = &g->plan,
                                      .marks = &g->engine->marks,
                                      .on_written = ignore,
                                      .on_durable = ignore};
    struct seat *seat = g->seats + SEAT_BOX;
    pin_away_from(0); /* for the journal's thread */
    if (journal_open(&journal, &options, &recovered) ||
        engine_new(&e, g, journal, NULL, &recovered, clock_utc_ns(), clock_mono_ns()) ||
        ring_producer_init(&p, seat->up, seat->up_capacity, seat->up_tail, -1)) {
        return false;
    }
    pin(0);
    uint64_t produced = 0;
    size_t count = 0;
    int64_t start = clock_mono_ns(), end = start + (int64_t)(seconds * 1e9), now = start;
    for (int64_t tick = start; now < end; now = clock_mono_ns()) {
        if (now >= tick) {
            fill(&p, values, &produced, now - start, clock_utc_ns());
            tick += PERIOD;
        }
        uint64_t before = e->inlets[BOX_INLET].up.next;
        int64_t began = clock_mono_ns();
        bool more = engine_step(e, clock_utc_ns(), began);
        if (e->inlets[BOX_INLET].up.next != before) {
            steps[count++ % STEPS] = (uint32_t)(clock_mono_ns() - began);
        }
        if (!more && now < tick - 200000) {
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        }
    }
    out->rate = (double)e->inlets[BOX_INLET].up.next / ((double)(clock_mono_ns() - start) / 1e9);
    count = count < STEPS ? count : STEPS;
    qsort(steps, count, sizeof *steps, by_size);
    out->p99_us = count ? (double)steps[count * 99 / 100] / 1e3 : 0;
    fprintf(stderr, "write_path: %.0f samples/s; steps of %.1f us, p99 %.1f us, p99.9 %.1f us\n",
            out->rate, count ? (double)steps[count / 2] / 1e3 : 0, out->p99_us,
            count ? (double)steps[count * 999 / 1000] / 1e3 : 0);
    engine_free(e);
    journal_close(journal);
    return true;
}

static bool measure(const double *values, double seconds, bool sealing, struct outcome *out)
{
    char dir[] = "write-path-XXXXXX", command[64];
    size_t size = 0;
    struct gateway *g = NULL;
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint32_t *steps = malloc(STEPS * sizeof *steps);
    void *image =
        shared != MAP_FAILED && mkdtemp(dir) ? small_plan(dir, TAGS, 1u << 18, &size) : NULL;
    if (image) { /* as large as the disk: nothing is to be dropped */
        ((struct plan_header *)image)->segment_size = SEGMENT;
        ((struct plan_header *)image)->journal_limit = UINT64_C(1) << 40;
    }
    bool well = image && steps && !gateway_new(&g, image, size);
    pid_t child = -1;
    if (well && sealing && (child = fork()) == 0) {
        pin_away_from(0);
        _exit(seal(shared, g, dir));
    }
    well = well && drive(g, dir, values, seconds, steps, out);
    if (child > 0) {
        int status = 1;
        out->behind = atomic_load(&shared->panel.waiting_segments);
        fprintf(stderr, "write_path: %llu sealed samples in %llu files of %.2f bytes a sample\n",
                (unsigned long long)shared->panel.samples, (unsigned long long)shared->panel.files,
                (double)shared->panel.bytes / (double)(shared->panel.samples + 1));
        atomic_store(&shared->stop, 1);
        well = waitpid(child, &status, 0) == child && status == 0 && well;
    }
    snprintf(command, sizeof command, "rm -rf ./%s", dir);
    well = system(command) == 0 && well;
    gateway_free(g);
    free(steps);
    munmap(shared, sizeof *shared);
    return well;
}

int main(int argc, char **argv)
{
    const char *text = getenv("ISTHMUS_BENCH_SECONDS");
    double seconds = text ? strtod(text, NULL) : 60;
    struct outcome with = {0}, without = {0};
    if (argc > 1 && !strcmp(argv[1], "--list")) {
        puts("journal.write_path\njournal.write_path_behind\njournal.write_path_step");
        return 0;
    }
    double *values = make_values();
    if (!values || !(seconds >= 1) || !measure(values, seconds / 4, false, &without) ||
        !measure(values, seconds, true, &with)) {
        return 1;
    }
    printf("journal.write_path %.0f samples/s\n", with.rate);
    printf("journal.write_path_behind %llu segments\n", (unsigned long long)with.behind);
    printf("journal.write_path_step %.2f times\n", with.p99_us / without.p99_us);
    free(values);
    return 0;
}
