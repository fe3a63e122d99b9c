/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to history, as the reader puts them to src/history, on one core; the files are in a temporary folder of this one and in the
 * page cache. Each figure is processor time, the median of ROUNDS, opening the tag's series included; the samples are counted and must be all.
 *
 *   history.mean_all     ms for the mean of each of 1,000 tags over the hour that there is, from summaries
 *   history.scan         samples/s that pass as decoded samples, summaries not used: the same tags, each summed up
 *   history.year_pixels  ms for a year of one tag at 1 Hz as 1,000 columns of a chart
 *
 * To stderr: the mean over a time that cuts blocks in two, so that two blocks of each tag have to be decoded. */
#include "bench/signals.h"

#include "base/clock.h"
#include "history/history.h"
#include "history/pixels.h"
#include "history/sampled.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SEED   20261123u
#define TAGS   1000u
#define HOUR   3600u
#define YEAR   31536000u
#define PIXELS 1000u
#define ROUNDS 9

struct bench {
    struct signals in;
    struct history history;
    struct block_scratch *scratch;
    int dir;
    int64_t from_ns, to_ns; /* of the first and the last sample */
};

/* What this thread has used: on a shared machine others must not count. */
static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void put_column(struct sealed_writer *w, uint32_t id, const struct signal *s)
{
    sealed_begin(w, id, s->type);
    for (uint32_t i = 0; i < s->count; i++) {
        sealed_add(
            w,
            &(struct slot){
                .time = s->time[i], .value.u64 = s->value[i], .tag = id, .status = s->status[i]},
            NULL);
    }
    sealed_end(w);
}

/* One sealed file of `tags` signals with ids from 1 on. */
static bool prepare(struct bench *b, uint32_t tags, uint32_t samples)
{
    struct sealed_header about = {.first_segment = 1, .last_segment = 1, .created_ns = 1};
    struct sealed_writer *w = NULL;
    if (!signals_generate(&b->in, SEED, tags, samples, false) ||
        sealed_create(&w, &disk_files, b->dir, &about, tags)) {
        return false;
    }
    for (uint32_t i = 0; i < tags; i++) {
        put_column(w, i + 1, b->in.tags + i);
    }
    b->from_ns = b->in.tags[0].time[0];
    b->to_ns = b->in.tags[0].time[samples - 1];
    return !sealed_finish(w) && !history_open(&b->history, &disk_files, b->dir) &&
           b->history.shelf->file_count == 1;
}

static struct series *open_series(struct bench *b, uint32_t id, int64_t from_ns, int64_t to_ns)
{
    struct series *s = NULL;
    struct series_options o = {.tag = id,
                               .type = b->in.tags[id - 1].type,
                               .from_ns = from_ns,
                               .to_ns = to_ns,
                               .parts = BLOCK_VALUE | BLOCK_STATUS,
                               .scratch = b->scratch};
    return series_open(&s, &b->history, &o) ? NULL : s;
}

/* How many samples it is the mean of; negative: an error. */
static int64_t mean(struct bench *b, uint32_t id, int64_t from_ns, int64_t to_ns)
{
    struct series *series = open_series(b, id, from_ns, to_ns);
    struct sampled *s = NULL;
    struct step step;
    size_t budget = SIZE_MAX;
    struct sampled_options o = {.aggregate = AGGREGATE_AVERAGE,
                                .type = b->in.tags[id - 1].type,
                                .from_ns = from_ns,
                                .to_ns = to_ns + 1,
                                .step_ns = to_ns + 1 - from_ns};
    bool well = series && !sampled_open(&s, series, &o) && sampled_next(s, &budget, &step) == 1;
    sampled_close(s);
    series_close(series);
    return well ? (int64_t)step.good : -1;
}

static int64_t mean_all(struct bench *b, int64_t cut_ns)
{
    int64_t count = 0;
    for (uint32_t id = 1; id <= TAGS; id++) {
        int64_t got = mean(b, id, b->from_ns + cut_ns, b->to_ns - cut_ns);
        count = got < 0 || count < 0 ? -1 : count + got;
    }
    return count;
}

static int64_t mean_hour(struct bench *b)
{
    return mean_all(b, 0);
}

static int64_t mean_cut(struct bench *b)
{
    return mean_all(b, 30 * NS_PER_S);
}

static double number_of(enum value_type type, uint64_t word, uint32_t status)
{
    union slot_value v = {.u64 = status ? 0 : word};
    return value_is_float(type) ? v.f64 : value_is_signed(type) ? (double)v.i64 : (double)v.u64;
}

/* In four lanes, for additions wait for each other. */
static double sum_piece(enum value_type type, const struct piece *p)
{
    const uint64_t *word = p->samples->value;
    const uint32_t *status = p->samples->status;
    double a = 0, b = 0, c = 0, d = 0;
    uint32_t i = p->from;
    for (; i + 4 <= p->to; i += 4) {
        a += number_of(type, word[i], status[i]);
        b += number_of(type, word[i + 1], status[i + 1]);
        c += number_of(type, word[i + 2], status[i + 2]);
        d += number_of(type, word[i + 3], status[i + 3]);
    }
    for (; i < p->to; i++) {
        a += number_of(type, word[i], status[i]);
    }
    return a + b + c + d;
}

static int64_t scan(struct bench *b)
{
    int64_t count = 0;
    volatile double sum = 0;
    for (uint32_t id = 1; id <= TAGS; id++) {
        struct series *s = open_series(b, id, b->from_ns, b->to_ns);
        struct piece piece;
        int got = s ? 1 : -1;
        while (got > 0 && (got = series_next(s, NULL, &piece)) > 0) {
            sum = sum + sum_piece(b->in.tags[id - 1].type, &piece);
            count += piece.to - piece.from;
        }
        series_close(s);
        if (got < 0) {
            return -1;
        }
    }
    return count;
}

/* The columns that have something in them. */
static int64_t year_pixels(struct bench *b)
{
    struct pixels p;
    struct series *s = open_series(b, 1, b->from_ns, b->to_ns);
    size_t budget = SIZE_MAX;
    int64_t full = 0;
    if (!s || pixels_init(&p, b->in.tags[0].type, b->from_ns, b->to_ns, PIXELS)) {
        series_close(s);
        return -1;
    }
    int got = pixels_take(&p, s, &budget);
    for (uint32_t i = 0; i < p.count; i++) {
        struct slot out[PIXEL_SAMPLES];
        full += pixels_give(&p, i, out) > 0;
    }
    pixels_fini(&p);
    series_close(s);
    return got == 1 ? full : -1;
}

static int by_size(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Nanoseconds, the median of the rounds; 0: it failed, or did not give what there is. */
static int64_t median(struct bench *b, int64_t (*run)(struct bench *b), int64_t expect)
{
    int64_t took[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        int64_t start = cpu_ns(), got = run(b);
        took[i] = cpu_ns() - start;
        if (got != expect) {
            fprintf(stderr, "query_bench: %lld instead of %lld\n", (long long)got,
                    (long long)expect);
            return 0;
        }
    }
    qsort(took, ROUNDS, sizeof *took, by_size);
    return took[ROUNDS / 2];
}

static bool measure(const char *name, struct bench *b)
{
    int64_t all = (int64_t)TAGS * HOUR, ns = 0;
    bool year = !strcmp(name, "history.year_pixels");
    if (!prepare(b, year ? 1 : TAGS, year ? YEAR : HOUR)) {
        return false;
    }
    if (year) {
        ns = median(b, year_pixels, PIXELS);
        printf("%s %.2f ms\n", name, (double)ns / 1e6);
    } else if (!strcmp(name, "history.scan")) {
        ns = median(b, scan, all);
        printf("%s %.0f million samples/s\n", name, ns ? (double)all * 1e3 / (double)ns : 0);
    } else if (!strcmp(name, "history.mean_all")) {
        int64_t cut = median(b, mean_cut, all - (int64_t)60 * TAGS);
        fprintf(stderr, "query: the mean over 59 minutes, blocks cut: %.2f ms\n",
                (double)cut / 1e6);
        ns = median(b, mean_hour, all);
        printf("%s %.2f ms\n", name, (double)ns / 1e6);
    }
    history_close(&b->history);
    signals_free(&b->in);
    return ns > 0;
}

static bool measure_in_folder(const char *name)
{
    char dir[] = "query-bench-XXXXXX", command[64];
    struct bench b = {0};
    bool well = mkdtemp(dir) && !block_scratch_new(&b.scratch) &&
                (b.dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0;
    well = well && measure(name, &b);
    snprintf(command, sizeof command, "rm -rf ./%s", dir);
    well = system(command) == 0 && well;
    block_scratch_free(b.scratch);
    close(b.dir);
    return well;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--list")) {
        puts("history.mean_all\nhistory.scan\nhistory.year_pixels");
        return 0;
    }
    for (int i = 1; i < argc; i++) {
        if (!measure_in_folder(argv[i])) {
            fprintf(stderr, "query_bench: %s could not be measured\n", argv[i]);
            return 1;
        }
        fflush(stdout);
    }
    return 0;
}
