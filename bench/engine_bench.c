/* SPDX-License-Identifier: Apache-2.0 */
/* engine.ingest: samples a second through intake, scaling, now and a real journal (10 ms group commit) in this folder's
 * temporary directory, all in one process: fill a ring, step until it is taken, again. 1,000 float64 tags. */
#include "bench/plan.h"

#include "base/clock.h"
#include "engine/engine.h"
#include "engine/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAGS    1000u
#define BATCH   500u
#define SECONDS 4

static void fill(struct ring_producer *p, uint64_t *produced)
{
    struct slot batch[BATCH];
    while (ring_room(p) >= BATCH) {
        for (uint32_t i = 0; i < BATCH; i++) {
            uint64_t n = (*produced)++;
            batch[i] = (struct slot){.time = (int64_t)n * 1000,
                                     .value.f64 = (double)n * 0.1,
                                     .tag = (uint32_t)(n % TAGS) + 1};
        }
        if (ring_put(p, batch, BATCH)) {
            break;
        }
    }
    ring_publish(p);
}

static void ignore(void *context)
{
    (void)context;
}

static double measure(const char *dir)
{
    size_t size = 0;
    struct gateway *g = NULL;
    struct journal *journal = NULL;
    struct engine *e = NULL;
    struct journal_recovered recovered;
    struct ring_producer p;
    void *image = small_plan(dir, TAGS, 65536, &size);
    if (!image || gateway_new(&g, image, size)) {
        return 0;
    }
    struct journal_options options = {.dir = dir,
                                      .plan = &g->plan,
                                      .marks = &g->engine->marks,
                                      .on_written = ignore,
                                      .on_durable = ignore};
    struct seat *seat = g->seats + SEAT_BOX;
    if (journal_open(&journal, &options, &recovered) ||
        engine_new(&e, g, journal, NULL, &recovered, clock_utc_ns(), clock_mono_ns()) ||
        ring_producer_init(&p, seat->up, seat->up_capacity, seat->up_tail, -1)) {
        return 0;
    }
    uint64_t produced = 0;
    int64_t start = clock_mono_ns(), now = start;
    while (now - start < SECONDS * NS_PER_S) {
        fill(&p, &produced);
        engine_step(e, clock_utc_ns(), now);
        now = clock_mono_ns();
    }
    while (engine_step(e, clock_utc_ns(), clock_mono_ns())) {
    }
    uint64_t taken = e->inlets[BOX_INLET].up.next;
    double seconds = (double)(clock_mono_ns() - start) / 1e9;
    engine_free(e);
    journal_close(journal);
    gateway_free(g);
    return (double)taken / seconds;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--list")) {
        puts("engine.ingest");
        return 0;
    }
    char dir[] = "engine-bench-XXXXXX", command[64];
    if (!mkdtemp(dir)) {
        return 1;
    }
    double rate = measure(dir);
    snprintf(command, sizeof command, "rm -rf ./%s", dir);
    int status = system(command);
    printf("engine.ingest %.0f samples/s\n", rate);
    return rate > 0 && status == 0 ? 0 : 1;
}
