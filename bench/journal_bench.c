/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's limits, in a temporary folder of this one:
 *
 *   journal.durable_appends  acknowledged durable appends/s of 1,000 callers that each wait for theirs: a frame with one sample each, a flush
 *                            for each group (sync: always), for four seconds
 *   journal.start            s from a writer's kill to a journal that takes samples, with 1 GiB of open segments
 *   journal.start_sealed     the same with 100 sealed files of 1 GiB each beside it (sparse, with sound headers), which are looked at too */
#include "bench/plan.h"

#include "base/clock.h"
#include "history/history.h"
#include "history/sealed_format.h"
#include "journal/journal.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLERS 512u
#define SECONDS 4
#define TAGS    1000u
#define GIB     (UINT64_C(1) << 30)
#define SAMPLES 500u /* a frame */
#define SEALED  100u
#define SEGMENT (UINT64_C(16) << 20)

static struct plan plan;

static void ignore(void *context)
{
    (void)context;
}

static bool make_plan(const char *dir, enum journal_sync sync)
{
    size_t size;
    void *image = small_plan(dir, TAGS, 65536, &size);
    if (!image || plan_open(&plan, image, size)) {
        return false;
    }
    struct plan_header *h = image;
    h->sync = sync;
    h->segment_size = SEGMENT;
    h->journal_limit = UINT64_C(1) << 40;
    return true;
}

static int open_journal(struct journal **j, const char *dir, struct journal_marks *marks,
                        struct journal_recovered *recovered)
{
    return journal_open(
        j,
        &(struct journal_options){
            .dir = dir, .plan = &plan, .marks = marks, .on_written = ignore, .on_durable = ignore},
        recovered);
}

/* A frame of so many samples; false: there is no room now. */
static bool append(struct journal *j, uint32_t count, uint64_t *ring)
{
    struct journal_frame f = {.box = 0,
                              .box_epoch = 1,
                              .ring_from = *ring,
                              .ring_to = *ring + count,
                              .now_ns = clock_utc_ns()};
    struct slot *s = journal_begin(j, &f, count);
    for (uint32_t i = 0; s && i < count; i++) {
        s[i] = (struct slot){.time = f.now_ns,
                             .value.f64 = (double)(*ring + i),
                             .tag = (uint32_t)((*ring + i) % TAGS) + 1};
    }
    if (s) {
        *ring += count;
        journal_commit(j, count, count);
    }
    return s != NULL;
}

static double durable_appends(const char *dir)
{
    struct journal *j = NULL;
    struct journal_marks marks = {0};
    struct journal_recovered recovered;
    uint64_t ring = 0, first;
    if (!make_plan(dir, SYNC_ALWAYS) || open_journal(&j, dir, &marks, &recovered)) {
        return 0;
    }
    first = journal_next_sequence(j);
    int64_t start = clock_mono_ns();
    while (clock_mono_ns() - start < SECONDS * NS_PER_S) {
        bool any = false; /* whose append is acknowledged makes the next one */
        while (journal_next_sequence(j) - journal_durable_sequence(j) < CALLERS &&
               append(j, 1, &ring)) {
            any = true;
        }
        if (any) {
            journal_flush(j);
        } else {
            sched_yield();
        }
    }
    double rate =
        (double)(journal_durable_sequence(j) - first) / ((double)(clock_mono_ns() - start) / 1e9);
    fprintf(stderr, "durable_appends: %.0f flushes/s\n",
            (double)atomic_load(&marks.flushes) / SECONDS);
    journal_close(j);
    return rate;
}

/* A process that writes 1 GiB and is gone without a word. */
static bool write_and_die(const char *dir)
{
    pid_t child = fork();
    int status = 1;
    if (child == 0) {
        struct journal *j = NULL;
        struct journal_marks marks = {0};
        struct journal_recovered recovered;
        uint64_t ring = 0;
        if (open_journal(&j, dir, &marks, &recovered)) {
            _exit(1);
        }
        while (ring * sizeof(struct slot) < GIB) {
            if (!append(j, SAMPLES, &ring)) {
                sched_yield();
            }
        }
        while (journal_durable_sequence(j) < journal_next_sequence(j)) {
            sched_yield();
        }
        _exit(0);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static bool make_sealed(int dir)
{
    for (uint64_t n = 1; n <= SEALED; n++) {
        char name[SEALED_NAME_SIZE];
        struct sealed_header h = {.magic = SEALED_MAGIC,
                                  .version = SEALED_VERSION,
                                  .first_segment = n,
                                  .last_segment = n,
                                  .first_ns = INT64_MAX,
                                  .last_ns = INT64_MIN,
                                  .columns_offset = sizeof h,
                                  .notes_offset = sizeof h,
                                  .catalogue_offset = sizeof h,
                                  .blocks_offset = sizeof h,
                                  .size = GIB};
        h.crc = sealed_header_crc(&h);
        sealed_name(&h, name);
        int fd = openat(dir, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        bool well = fd >= 0 && write(fd, &h, sizeof h) == (ssize_t)sizeof h &&
                    ftruncate(fd, (off_t)GIB) == 0;
        if (fd >= 0) {
            close(fd);
        }
        if (!well) {
            return false;
        }
    }
    return true;
}

static double start(const char *dir, bool sealed)
{
    struct journal *j = NULL;
    struct journal_marks marks = {0};
    struct journal_recovered recovered;
    struct history history;
    uint64_t ring = UINT64_C(1) << 40;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || !make_plan(dir, SYNC_PERIOD) || (sealed && !make_sealed(fd)) ||
        !write_and_die(dir)) {
        return 0;
    }
    int64_t begin = clock_mono_ns();
    if (open_journal(&j, dir, &marks, &recovered) || !append(j, 1, &ring) ||
        history_open(&history, &disk_files, fd)) {
        return 0;
    }
    double seconds = (double)(clock_mono_ns() - begin) / 1e9;
    fprintf(stderr, "start: %llu segments and %u sealed files\n",
            (unsigned long long)recovered.segments, history.shelf->file_count);
    history_close(&history);
    journal_close(j);
    close(fd);
    return seconds;
}

static int run(const char *name, const char *unit, double (*measure)(const char *dir))
{
    char dir[] = "journal-bench-XXXXXX", command[64];
    if (!mkdtemp(dir)) {
        return 1;
    }
    double value = measure(dir);
    snprintf(command, sizeof command, "rm -rf ./%s", dir);
    int status = system(command);
    printf("%s %.*f %s\n", name, value < 100 ? 3 : 0, value, unit);
    fflush(stdout);
    return value > 0 && status == 0 ? 0 : 1;
}

static double start_raw(const char *dir)
{
    return start(dir, false);
}

static double start_with_sealed(const char *dir)
{
    return start(dir, true);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name, *unit;
        double (*measure)(const char *dir);
    } all[] = {{"journal.durable_appends", "appends/s", durable_appends},
               {"journal.start", "s", start_raw},
               {"journal.start_sealed", "s", start_with_sealed}};
    int failed = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        bool wanted = argc < 2;
        for (int k = 1; k < argc; k++) {
            wanted |= !strcmp(argv[k], all[i].name);
        }
        if (argc > 1 && !strcmp(argv[1], "--list")) {
            puts(all[i].name);
        } else if (wanted) {
            failed |= run(all[i].name, all[i].unit, all[i].measure);
        }
    }
    return failed;
}
