/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's folder: the names in it, and what they add up to. Raw segments (segment_name in journal/frame.h) and the sealed
 * files that stand for them lie side by side; `.damaged` is what was set aside, `.part` what is being written. */
#ifndef ISTHMUS_JOURNAL_FOLDER_H
#define ISTHMUS_JOURNAL_FOLDER_H

#include "journal/disk.h"

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
MUST_USE int folder_sum_up(const struct disk *disk, int dir, struct folder_sum *out);

#endif
