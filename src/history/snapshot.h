/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's folder at one moment, held: every file that counts is open, so what the sealer merges or takes away meanwhile
 * stays readable. For those that look at all of it while the gateway runs: verify and backup. */
#ifndef ISTHMUS_HISTORY_SNAPSHOT_H
#define ISTHMUS_HISTORY_SNAPSHOT_H

#include "journal/folder.h"

#define SNAPSHOT_NAME_SIZE (SEALED_NAME_SIZE + 16u)

enum snapshot_kind { SNAPSHOT_SEALED, SNAPSHOT_RAW, SNAPSHOT_ASIDE };

struct snapshot_file {
    char name[SNAPSHOT_NAME_SIZE];
    enum snapshot_kind kind;
    struct sealed_place place; /* of a raw segment: its number twice */
    int fd;                    /* -1: what was set aside is not read */
    uint64_t size;             /* when it was opened: the newest raw segment grows */
};

struct snapshot {
    const struct disk *disk;
    /* Owned. Imports, sealed files by segment, raw segments by number, what was set aside; without what other files stand
     * for. */
    struct snapshot_file *files;
    size_t count, room;
};

MUST_USE int snapshot_take(struct snapshot *s, const struct disk *disk, int dir);
void snapshot_free(struct snapshot *s);
/* Whether a sealed file stands for this raw segment. */
bool snapshot_is_covered(const struct snapshot *s, const struct snapshot_file *raw);
/* What kind of file a name tells; false: it is none of the journal's. */
bool snapshot_name_parse(const char *name, struct snapshot_file *out);
/* Brings files in their order, and takes out what others stand for; so far none is open. */
void snapshot_sort(struct snapshot *s);
MUST_USE int snapshot_add(struct snapshot *s, const struct snapshot_file *file);

#endif
