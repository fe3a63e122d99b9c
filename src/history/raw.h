/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the data frames of a list of raw segments, in order. What a suspect segment's successor brings again is stepped
 * over; damage is stepped over and counted. Unlike journal/follow.h it reads a fixed stretch, with or without a gateway
 * that runs. */
#ifndef ISTHMUS_HISTORY_RAW_H
#define ISTHMUS_HISTORY_RAW_H

#include "journal/folder.h"
#include "journal/journal.h"
#include "journal/scan.h"

struct raw_walk {
    int dir;
    const uint64_t *numbers;          /* borrowed, ascending */
    uint32_t count, at;               /* at: the segment being read */
    uint64_t end_segment, end_offset; /* what is behind is not written yet */
    struct scan scan;
    int fd;
    struct segment_header segment; /* of the one being read */
    struct segment_limit limit;    /* likewise */
    uint64_t epoch;                /* of what `next` counts in */
    uint64_t next;                 /* sequence number expected */
    uint64_t lost;                 /* sequence numbers that were in damaged stretches */
    uint64_t unreadable;           /* segments without a sound header … */
    int error;                     /* … what is wrong with the last of them */
    bool catalogue;                /* set it to get the catalogue's frames (FRAME_TAGS) too */
};

/* `end` NULL: everything in the files. What epoch `from_epoch` of the journal has before `from_sequence` was had already. */
MUST_USE int raw_walk_init(struct raw_walk *w, const struct disk *disk, int dir,
                           const uint64_t *numbers, uint32_t count,
                           const struct journal_position *end, uint64_t from_epoch,
                           uint64_t from_sequence);
void raw_walk_fini(struct raw_walk *w);
/* 1: a data frame, slots borrowed until the next call; 0: the end; ERR_NOT_FOUND: a segment is gone (sealed meanwhile): look
 * at the folder again; other negative: ERR_IO. */
MUST_USE int raw_walk_next(struct raw_walk *w, struct frame_header *h, const struct slot **slots);

#endif
