/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ISTHMUS_GUARD_AUDIT_INTERNAL_H
#define ISTHMUS_GUARD_AUDIT_INTERNAL_H

#include "guard/audit_format.h"

#include <pthread.h>
#include <stdatomic.h>

struct audit {
    const struct disk *disk;
    const struct clock *clock;
    struct audit_options options;
    int dir;
    uint8_t secret[32], public_key[32];
    uint32_t file_entries;

    /* The writer's. */
    int fd; /* -1: none; the next group begins one */
    uint64_t file_first;
    uint32_t file_count;       /* entries in it */
    uint64_t written;          /* number of the next entry to be written */
    uint8_t last_hash[32];     /* of the one before */
    uint64_t checkpoint;       /* number of the last one */
    int64_t checkpoint_ns;     /* monotonic */
    int64_t retry_ns;          /* monotonic: after a failure nothing is tried before */
    bool spare;                /* the spare file is there */
    char why[AUDIT_TEXT_SIZE]; /* the next file's first entry tells it; "": nothing */

    struct audit_files files; /* of before */
    uint64_t recalled_end;    /* entries from before this one was opened are below */

    /* Between the two. */
    struct audit_entry *ring; /* [AUDIT_BUFFER_ENTRIES] */
    uint64_t taken, put;      /* entries ever; behind lock */
    _Atomic uint64_t durable; /* numbers below are on disk */
    _Atomic bool failed, full;
    pthread_mutex_t lock;
    pthread_cond_t more;
    pthread_t thread;
    bool stop, has_thread;
};

/* audit_open.c: finds the end of what is there, tells the newest entries, and where to go on. */
MUST_USE int audit_recover(struct audit *a);

#endif
