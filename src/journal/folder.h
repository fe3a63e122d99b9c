/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's folder: the names in it, and what they add up to. Raw segments (segment_name in journal/frame.h) and the sealed
 * files that stand for them lie side by side; `.damaged` is what was set aside, `.part` what is being written. */
#ifndef ISTHMUS_JOURNAL_FOLDER_H
#define ISTHMUS_JOURNAL_FOLDER_H

#include "journal/disk.h"
#include "journal/frame.h"

#include <stdbool.h>

/* "AAAAAAAAAAAAAAAA-BBBBBBBBBBBBBBBB.R.col": first and last segment, revision; an import: "import-AAAAAAAAAAAAAAAA.R.col". */
#define SEALED_NAME_SIZE 64u
struct sealed_place { /* what a sealed file's name tells */
    uint64_t first, last;
    uint32_t revision;
    bool imported;
};
/* False: it is no sealed file's name. */
bool sealed_name_parse(const char *name, struct sealed_place *out);

struct folder_sum {
    uint64_t bytes;     /* of all files that are the journal's, whole or not */
    uint64_t first_raw; /* lowest number of a raw segment, 0: there is none */
    uint64_t highest;   /* number of a segment, raw, sealed, or set aside */
    uint64_t sealed;    /* files */
    uint64_t set_aside; /* files */
};
/* Opens a raw segment and proves its header: a descriptor, or a negative err. */
MUST_USE int segment_open(const struct disk *disk, int dir, uint64_t number, int flags,
                          struct segment_header *h);

/* What a segment holds ends where the next one begins (invariant 10). After a failed flush, or a start, the old one was cut
 * back, but the power may have gone before that was durable: then any part of its end is there again. */
struct segment_limit {
    uint64_t sequence, offset; /* UINT64_MAX: no limit */
};
/* As the next one after `number` and up to `last` tells whose header is sound. */
MUST_USE int segment_limit_find(const struct disk *disk, int dir, uint64_t number, uint64_t last,
                                struct segment_limit *out);

MUST_USE int folder_sum_up(const struct disk *disk, int dir, struct folder_sum *out);

#endif
