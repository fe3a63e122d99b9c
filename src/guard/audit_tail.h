/* SPDX-License-Identifier: Apache-2.0 */
/* Reads an audit on while it is being written. Nothing is proven here but that each entry is whole (audit_verify.h does the
 * rest); what was archived or is damaged is stepped over, so whoever reads sees the numbers jump. One thread. */
#ifndef ISTHMUS_GUARD_AUDIT_TAIL_H
#define ISTHMUS_GUARD_AUDIT_TAIL_H

#include "guard/audit_format.h"

struct audit_tail {
    const struct disk *disk; /* borrowed, as the folder */
    int dir;
    struct audit_files files; /* as listed when entries below `listed` were on disk */
    uint64_t listed;
    int fd;               /* of the file that is read; -1: none */
    uint64_t first, next; /* its entries that count: [first, next) */
};

void audit_tail_init(struct audit_tail *t, const struct disk *disk, int dir);
void audit_tail_fini(struct audit_tail *t);

/* The first whole entry with a number from *number on, below `end`: all below it are on disk. 1, and *number is its
 * number; 0: there is none, and *number is `end`; or negative: ERR_IO, ERR_NOMEM. Looks at `budget` places at most: when
 * they are used up, 0 with *number below `end`. */
MUST_USE int audit_tail_read(struct audit_tail *t, uint64_t *number, uint64_t end, size_t *budget,
                             struct audit_entry *out);

#endif
