/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the sound frames of a segment file through a private buffer, and finds its way again behind damage. */
#ifndef ISTHMUS_JOURNAL_SCAN_H
#define ISTHMUS_JOURNAL_SCAN_H

#include "journal/disk.h"
#include "journal/frame.h"

struct scan {
    const struct disk *disk;
    int fd;          /* borrowed */
    uint64_t offset; /* of the next frame */
    uint64_t end;    /* of what may be read */
    uint8_t *buffer; /* owned; holds file bytes [base, base + filled) */
    uint64_t base;
    size_t filled;
};

MUST_USE int scan_init(struct scan *s, const struct disk *disk);
void scan_fini(struct scan *s);
void scan_start(struct scan *s, int fd, uint64_t offset, uint64_t end);
/* More was written meanwhile. */
void scan_extend(struct scan *s, uint64_t end);

/* 1: the next sound frame (slots borrowed until the next call), `skipped` bytes of damage before it; 0: no sound frame
 * before the end (offset stays); negative: ERR_IO. */
MUST_USE int scan_next(struct scan *s, struct frame_header *h, const struct slot **slots,
                       uint64_t *skipped);

#endif
