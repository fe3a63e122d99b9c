/* SPDX-License-Identifier: Apache-2.0 */
/* Data to measure history with: a seeded generator of mixed industrial signals, and recordings read from CSV. */
#ifndef ISTHMUS_BENCH_SIGNALS_H
#define ISTHMUS_BENCH_SIGNALS_H

#include "tag/value.h"

#include <stdbool.h>
#include <stdint.h>

/* One tag, sorted by time. */
struct signal {
    enum value_type type;
    uint32_t count;
    int64_t *time;   /* owned, as the others */
    uint64_t *value; /* as in slots */
    uint32_t *status;
};

struct signals {
    struct signal *tags;
    uint32_t count;
};

/* `tags` signals of `samples` values once a second. Of ten: four analog values with two decimals, two with one, an ADC's 16
 * bits, a set point, a counter, a computed double with all its bits. Noise of the last digits is a bell around a wandering
 * process; how wide and how slow is drawn for each tag. Clock: on the second, or with `jitter` 0 to 50 whole milliseconds
 * late. All samples are good. false: no memory. */
bool signals_generate(struct signals *out, uint64_t seed, uint32_t tags, uint32_t samples,
                      bool jitter);

/* Bits a sample of the generated noise alone: what nobody can save, whoever knew the processes behind it. */
double signals_noise_bits(uint64_t seed, uint32_t tags);

/* Recordings of the shared data folder: "skab" or "nab". Each numeric column is a float64 tag with the timestamps as given; a
 * column of the same name goes on over the files of skab, sorted by time. false: not there. */
bool signals_read(struct signals *out, const char *folder, const char *set);

void signals_free(struct signals *s);

#endif
