/* SPDX-License-Identifier: Apache-2.0 */
/* A disk and its clock in memory, for tests: everything that a real one may do to a program, on command and by a seed, so that
 * it can be done again. Not part of the program.
 *
 * What was written is in the page cache ("view") until it is flushed; names that were made, renamed or removed likewise until
 * the folder is flushed. When the power goes, what was not flushed is dropped, kept, or torn (a prefix, or any of its sectors),
 * and later writes may be there without earlier ones. A flush that fails leaves the pages clean: some of them never reach the
 * disk, whatever a later flush reports (PostgreSQL's "fsyncgate"). There is one folder; `dir` is ignored. */
#ifndef ISTHMUS_JOURNAL_SIM_DISK_H
#define ISTHMUS_JOURNAL_SIM_DISK_H

#include "base/clock.h"
#include "journal/disk.h"

#include <stdbool.h>
#include <stdio.h>

struct sim;

struct sim *sim_new(uint64_t seed);
void sim_free(struct sim *s);
const struct disk *sim_disk(struct sim *s);
const struct clock *sim_clock(struct sim *s);
void sim_pass(struct sim *s, int64_t ns); /* time */
void sim_jump(struct sim *s, int64_t ns); /* only what it is by the calendar */

/* The simulation's own dice. */
uint64_t sim_random(struct sim *s, uint64_t below);

enum sim_call {
    SIM_OPEN, /* of a file that may be new */
    SIM_READ,
    SIM_WRITE,
    SIM_FLUSH,
    SIM_FLUSH_DIR,
    SIM_ALLOCATE,
    SIM_TRUNCATE,
    SIM_RENAME,
    SIM_REMOVE,
    SIM_CALLS
};
/* From the nth such call on (1: the next), `times` of them fail with `error`. A write that fails has written a part. */
void sim_fail(struct sim *s, enum sim_call call, uint64_t nth, uint64_t times, int error);
void sim_short_writes(struct sim *s, bool on); /* each writes at least a byte */
void sim_space(struct sim *s, uint64_t bytes); /* the whole disk; UINT64_MAX: no end */
void sim_heal(struct sim *s);                  /* takes all of the above back */
uint64_t sim_failures(const struct sim *s); /* calls that failed by sim_fail or for want of space */
/* Each flush takes so long, and meanwhile calls `during` (NULL: nothing). */
void sim_slow_flush(struct sim *s, int64_t ns, void (*during)(void *context), void *context);

/* The power goes in the nth call from now that changes something. Then every call fails until sim_power_on, which leaves what
 * survived. */
void sim_cut_power(struct sim *s, uint64_t nth);
bool sim_is_dead(const struct sim *s);
void sim_power_on(struct sim *s);
/* The same for a process that is killed: from now on every call fails; sim_revive: the next process finds all that was written,
 * flushed or not. */
void sim_kill(struct sim *s);
void sim_revive(struct sim *s);

/* What is in a file, borrowed until the next call; NULL: there is none. */
const uint8_t *sim_bytes(const struct sim *s, const char *name, size_t *size);
/* Damage at rest: a bit, the end of a file, or all of it. */
void sim_flip(struct sim *s, const char *name, size_t offset, unsigned bit);
void sim_shorten(struct sim *s, const char *name, size_t size);
void sim_lose(struct sim *s, const char *name);
/* Every call that changes something is told there; NULL: nowhere. */
void sim_trace(struct sim *s, FILE *to);
uint64_t sim_used(const struct sim *s); /* bytes of the files that have a name */

#endif
