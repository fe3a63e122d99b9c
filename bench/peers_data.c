/* SPDX-License-Identifier: Apache-2.0 */
/* Data for bench/peers.py:  peers_data SET FILE
 *
 *   regular, jitter   1,000 tags × 1 h of generated signals (bench/signals.h)
 *   waterworks        the simulated waterworks, 27 lines of 37 tags, as their PLCs' registers show them once a second for 1 h
 *   skab, nab         the recordings of $ISTHMUS_DATA, else ../shared/data; each tag REPLICAS times
 *
 * Of samples with equal times the first is kept: most peers keep one anyway. FILE, little endian: tags; for each whether it
 * holds whole numbers, samples (u32), times in ms since 1970 (i64), values (f64). */
#include "bench/signals.h"

#include "sim/points.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED          20261123u
#define TAGS          1000u
#define SAMPLES       3600u
#define LINES         27u
#define SKAB_REPLICAS 10u
#define NAB_REPLICAS  40u
#define NS_PER_MS     INT64_C(1000000)
#define START_MS      INT64_C(1795392000000) /* 2026-11-23 */

static bool write_u32(FILE *f, uint32_t v)
{
    return fwrite(&v, sizeof v, 1, f) == 1;
}

static bool write_tag(FILE *f, bool whole, uint32_t count, const int64_t *ms, const double *values)
{
    return write_u32(f, whole) && write_u32(f, count) &&
           fwrite(ms, sizeof *ms, count, f) == count &&
           fwrite(values, sizeof *values, count, f) == count;
}

static bool write_signal(FILE *f, const struct signal *s)
{
    int64_t *ms = calloc(s->count, sizeof *ms);
    double *values = calloc(s->count, sizeof *values);
    uint32_t n = 0;
    for (uint32_t i = 0; ms && values && i < s->count; i++) {
        int64_t at = s->time[i] / NS_PER_MS;
        if (n == 0 || at > ms[n - 1]) {
            ms[n] = at;
            values[n++] = value_as_double(s->type, (union slot_value){.u64 = s->value[i]});
        }
    }
    bool good = ms && values && write_tag(f, !value_is_float(s->type), n, ms, values);
    free(ms);
    free(values);
    return good;
}

static bool write_signals(FILE *f, const struct signals *s, uint32_t replicas)
{
    bool good = write_u32(f, s->count * replicas);
    for (uint32_t i = 0; good && i < s->count * replicas; i++) {
        good = write_signal(f, s->tags + i % s->count);
    }
    return good;
}

/* What a gateway that reads the register makes of it. */
static double measured(struct works *w, uint32_t line, const struct point *p)
{
    const void *at = (const char *)(w->lines + line) + p->at;
    uint16_t words[POINT_WORDS] = {0};
    if (p->kind == BIT) {
        return *(const bool *)at;
    }
    double value = *(const double *)at * p->factor;
    value += p->noise > 0 ? works_noise(w->lines + line, p->noise) : 0;
    if (p->high > p->low) {
        value = value < p->low ? p->low : value > p->high ? p->high : value;
    }
    point_encode(p, value, words);
    return point_decode(p, words);
}

static bool write_works(FILE *f)
{
    static int64_t ms[SAMPLES];
    const uint32_t tags = LINES * TAGS_PER_LINE;
    struct works w;
    double *values = calloc((size_t)tags * SAMPLES, sizeof *values);
    if (!values || works_init(&w, LINES, SEED)) {
        free(values);
        return false;
    }
    for (uint32_t i = 0; i < SAMPLES; i++) {
        works_step(&w, 1);
        ms[i] = START_MS + i * 1000;
        for (uint32_t t = 0; t < tags; t++) {
            values[(size_t)t * SAMPLES + i] =
                measured(&w, t / TAGS_PER_LINE, points + t % TAGS_PER_LINE);
        }
    }
    bool good = write_u32(f, tags);
    for (uint32_t t = 0; good && t < tags; t++) {
        enum point_kind kind = points[t % TAGS_PER_LINE].kind;
        good =
            write_tag(f, kind == BIT || kind == COUNT, SAMPLES, ms, values + (size_t)t * SAMPLES);
    }
    works_fini(&w);
    free(values);
    return good;
}

static bool write_set(FILE *f, const char *set)
{
    const char *folder = getenv("ISTHMUS_DATA");
    bool jitter = !strcmp(set, "jitter"), skab = !strcmp(set, "skab");
    struct signals s = {0};
    if (!strcmp(set, "waterworks")) {
        return write_works(f);
    }
    bool good = jitter || !strcmp(set, "regular")
                    ? signals_generate(&s, SEED, TAGS, SAMPLES, jitter)
                    : signals_read(&s, folder ? folder : "../shared/data", set);
    good = good && write_signals(f, &s,
                                 skab                 ? SKAB_REPLICAS
                                 : strcmp(set, "nab") ? 1
                                                      : NAB_REPLICAS);
    signals_free(&s);
    return good;
}

int main(int argc, char **argv)
{
    FILE *f = argc == 3 ? fopen(argv[2], "wb") : NULL;
    bool good = f && write_set(f, argv[1]);
    good = f && fclose(f) == 0 && good;
    if (!good) {
        fprintf(stderr, "peers_data: no such data: %s\n", argc > 1 ? argv[1] : "");
    }
    return good ? 0 : 1;
}
