/* SPDX-License-Identifier: Apache-2.0 */
/* A short-lived child of the reader: the one place where what a stranger wrote (the text of a query) is parsed in the
 * middle. It has a copy of the reader's memory without the shared segments that the reader or a box writes
 * (gateway_hide_from_children), two descriptors, and less right than the reader to do anything. The reader can signal its
 * own children only: by the descriptor that it got when it made them. */
#ifndef ISTHMUS_BOX_CHILD_H
#define ISTHMUS_BOX_CHILD_H

#include "base/err.h"

#include <stddef.h>

struct child {
    int pidfd; /* readable when it has ended; -1: none */
    int out;   /* what it writes, non-blocking; -1: closed */
};

/* Forks. In the parent 1 and *child is owned; in the child 0 and *out is the blocking end that it writes to; or a negative
 * err. */
MUST_USE int child_fork(struct child *child, int *out);

struct child_limits {
    size_t memory_bytes; /* more than it begins with */
    unsigned cpu_s;      /* then the kernel kills it */
};
/* In the child, first: keeps `dir_fd` and `out` only, and locks itself in: from then on it can read files below the folders
 * that were left open to its parent, take memory within the limit, write, and end. */
MUST_USE int child_lock_in(int dir_fd, int out, const struct child_limits *limits);

/* How it ended: its exit status, or minus the number of the signal that killed it. */
struct child_end {
    int status;
};
/* 1: it has ended and is gone, *end says how; 0: it still runs. */
int child_reap(struct child *child, struct child_end *end);
/* Kills it if it still runs. It must be reaped all the same. */
void child_kill(struct child *child);
/* Reaps one that was killed: it ends soon, and nobody waits longer than a second. */
void child_await(struct child *child);

/* What the parent's filter must let through for all this. Not 0: it can't. */
MUST_USE int child_allow(void *seccomp_filter);

#endif
