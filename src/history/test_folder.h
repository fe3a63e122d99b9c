/* SPDX-License-Identifier: Apache-2.0 */
/* A journal's folder with random content, for the tests of history: raw segments as a gateway would have left them, and the
 * model: every sample in the order of its arrival. What is sealed and merged must tell the same as the model. */
#ifndef ISTHMUS_HISTORY_TEST_FOLDER_H
#define ISTHMUS_HISTORY_TEST_FOLDER_H

#include "history/seal.h"
#include "history/series.h"

#define FOLDER_TAGS                                                                                \
    6u /* ids 1..6: float64, uint16, bool, text, float32, and float64 that is seldom there */
#define FOLDER_TEXT_MAX 40u

struct folder_sample {
    struct slot slot; /* tag: the id */
    uint8_t text[FOLDER_TEXT_MAX];
};

struct folder {
    char path[64];
    int dir;
    const struct disk *disk;
    struct history history;
    uint64_t next_segment, next_sequence;
    int64_t now_ns;
    uint64_t random;
    struct folder_sample *samples; /* owned; in the order of their arrival */
    size_t count, room;
    uint64_t gaps; /* gap records */
    bool well;     /* all samples are good and numbers from now on: whole blocks may be summed up */
};

enum value_type folder_type(uint32_t id);
void folder_init(struct folder *f, uint64_t seed);
void folder_fini(struct folder *f);
uint32_t folder_random(struct folder *f, uint32_t below);
/* One more raw segment with up to `frames` frames: late samples, equal times, bad status, NaN, texts, gaps. */
void folder_segment(struct folder *f, uint32_t frames);
/* Seals the oldest raw segment and removes it; false: there is none. */
bool folder_seal(struct folder *f);
/* Merges some neighbouring sealed files and removes them; false: there are less than two. */
bool folder_merge(struct folder *f);
/* The model's samples of a tag in [from_ns, to_ns], as a series must give them. Returns how many; `out` has room for all. */
size_t folder_expect(const struct folder *f, uint32_t id, int64_t from_ns, int64_t to_ns,
                     const struct folder_sample **out);

/* Every tag, whole and in random ranges, with the samples next to them, is what the model says; raw and sealed as one. */
void folder_check(struct folder *f);

#endif
