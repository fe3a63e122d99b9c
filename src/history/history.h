/* SPDX-License-Identifier: Apache-2.0 */
/* What lies in the journal's folder, as one: sealed files, and the raw segments that no sealed file stands for yet. Nobody
 * is locked out: the sealer puts a whole file there under its name before it takes away what that stands for. A shelf is the
 * folder as it was seen once; it keeps its files open, so what was seen stays readable. One thread. */
#ifndef ISTHMUS_HISTORY_HISTORY_H
#define ISTHMUS_HISTORY_HISTORY_H

#include "history/gather.h"
#include "history/raw.h"
#include "history/sealed.h"

struct history_file { /* of one history; shelves share it */
    struct sealed sealed;
    char name[SEALED_NAME_SIZE];
    uint32_t holders;
    bool imported;
    uint64_t damage; /* blocks and tables that could not be read, so far */
};

struct shelf {
    uint32_t holders;
    struct history_file **files; /* owned; older samples first: imports, then by segment */
    uint32_t file_count;
    uint64_t *raw; /* owned; segments that no file stands for, ascending */
    uint32_t raw_count;
    uint64_t end_sequence, end_epoch; /* of the file before the raw segments */
    uint64_t *
        covered; /* owned; raw segments that are still there though a file stands for them, ascending */
    uint32_t covered_count;
    uint32_t damaged;                    /* files that can't be read at all … */
    char damaged_name[SEALED_NAME_SIZE]; /* … one of them, and what is wrong with it */
    int damaged_error;
};

struct history {
    const struct disk *disk;
    int dir; /* borrowed */
    struct shelf *shelf;
    int64_t
        changed_ns; /* of the folder, as it was listed; 0: not at all, or too fresh to be sure */
};

MUST_USE int history_open(struct history *h, const struct disk *disk, int dir);
void history_close(struct history *h);
/* Looks at the folder again if it has changed. 0, or an error that left everything as it was. `utc_ns`: now. */
MUST_USE int history_refresh(struct history *h, int64_t utc_ns);
struct shelf *shelf_hold(struct shelf *s);
void shelf_release(struct shelf *s);

/* ---- What the raw segments hold of some tags. ---- */

struct tail {
    struct history *history;
    struct shelf *shelf; /* held */
    struct raw_walk walk;
    struct gather gather;
    bool complete;
};

/* Of the tags in the bitmap (borrowed), or of `only` if that isn't 0; up to `end` (NULL: all there is). */
MUST_USE int tail_open(struct tail *t, struct history *h, const struct journal_position *end,
                       const uint64_t *tags, uint32_t end_id, uint32_t only);
/* Looks at no more than *budget slots, and counts it down. 1: complete; 0: call again; ERR_NOT_FOUND: a segment was sealed
 * meanwhile: refresh and begin anew; ERR_FULL: more than `most` bytes; other negative errors. */
MUST_USE int tail_step(struct tail *t, size_t *budget, size_t most);
void tail_close(struct tail *t);

#endif
