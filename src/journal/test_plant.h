/* SPDX-License-Identifier: Apache-2.0 */
/* A small plan and a journal in a folder of its own, for the journal's unit tests. */
#ifndef ISTHMUS_JOURNAL_TEST_PLANT_H
#define ISTHMUS_JOURNAL_TEST_PLANT_H

#include "journal/follow.h"
#include "journal/internal.h"

#define PLANT_TAGS 4u /* ids 1..4, of box 0 (south); box 1 is north */

struct plant {
    char dir[64];
    int dir_fd;
    void *image;
    struct plan plan;
    struct journal_marks marks;
    struct journal *journal;
    struct journal_recovered recovered;
    const struct disk *disk;
    size_t buffer_bytes;
    uint64_t position; /* of box 0's ring */
};

void plant_init(struct plant *p, enum journal_sync sync, uint64_t segment_size, uint64_t limit);
void plant_fini(struct plant *p); /* removes the folder */
void plant_open(struct plant *p); /* opens the journal; fails the test if it can't */
void plant_close(struct plant *p);

/* One frame of box 0 with `count` samples of tags 1..4 in turn, values and times counting up from `value`. false: the
 * buffer has no room. */
bool plant_put(struct plant *p, size_t count, uint64_t value);
void plant_put_gap(struct plant *p, const struct record_gap *gap);
void plant_store(struct plant *p, const char *key, const void *value, size_t size);
/* Waits (10 s at most) until all is durable or lost. */
void plant_settle(struct plant *p);
bool plant_wait_durable(struct plant *p, uint64_t sequence);
/* Number of files in the folder whose name ends with `suffix`; the last one's name in `name`. */
int plant_files(struct plant *p, const char *suffix, char name[64]);

#endif
