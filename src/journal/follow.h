/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's reading side: frames in order from a sequence number, live up to the written mark. Opens segment
 * files read-only by name in an open folder (the reader process is locked in). Checks every CRC. */
#ifndef ISTHMUS_JOURNAL_FOLLOW_H
#define ISTHMUS_JOURNAL_FOLLOW_H

#include "journal/disk.h"
#include "journal/frame.h"
#include "journal/journal.h"

struct follow; /* a position in the journal */

/* `dir_fd` borrowed. Starts before the first record with sequence >= `sequence` (0: the oldest that exists). */
MUST_USE int follow_open(struct follow **follow, int dir_fd, const struct journal_marks *marks,
                         uint64_t sequence);
/* The same on another disk than the real one; borrowed. */
MUST_USE int follow_open_on(struct follow **follow, const struct disk *disk, int dir_fd,
                            const struct journal_marks *marks, uint64_t sequence);
void follow_close(struct follow *follow);
MUST_USE int follow_seek(struct follow *follow, uint64_t sequence);
/* Skips to the first frame whose time range reaches `from_ns` or later (coarse: the caller filters). */
MUST_USE int follow_seek_time(struct follow *follow, int64_t from_ns);

struct follow_frame { /* borrowed until the next call */
    uint64_t epoch, first_sequence, end_sequence, generation;
    uint32_t box;
    int64_t now_ns;           /* when the engine journaled it */
    int64_t min_ns, max_ns;   /* source times of its samples */
    const struct slot *slots; /* whole, proven records */
    size_t slot_count;
    uint64_t
        lost_before; /* sequence numbers missing before this frame (damaged or removed segment) */
};

/* 1: *frame is the next; 0: nothing more is written yet; negative: ERR_IO. Damaged stretches are stepped over and
 * appear in lost_before. */
MUST_USE int follow_next(struct follow *follow, struct follow_frame *frame);

/* Frames of segments' openings (journal/frame.h) that follow_next passes on its way, each before the data behind it.
 * `spoiled`: some damage lies just before it, so the opening may not be whole. */
typedef void follow_opening(void *context, uint64_t segment, const struct frame_header *h,
                            const struct slot *slots, bool spoiled);
void follow_on_opening(struct follow *follow, follow_opening *take, void *context);

/* The sequence number that the next frame starts with, as far as known. */
uint64_t follow_sequence(const struct follow *follow);

#endif
