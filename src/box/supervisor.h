/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor: starts the engine, the reader, the sealer and the boxes, listens to their hearts, restarts what died with a stated
 * reason, performs their connects and binds, and tells all of it in the health segment. */
#ifndef ISTHMUS_BOX_SUPERVISOR_H
#define ISTHMUS_BOX_SUPERVISOR_H

#include "box/box.h"

/* The body of the supervisor's process. Runs until SIGTERM, then stops all in order (boxes, then the middle) within
 * SUPERVISOR_STOP_MS. Returns the exit status. */
#define SUPERVISOR_STOP_MS 2000
int supervisor_run(struct gateway *g, const struct middle *middle);

/* proc.c: what the kernel says of a process. 0 when it can't be read. */
uint64_t proc_cpu_ns(pid_t pid);
uint64_t proc_pss_bytes(pid_t pid);

/* The first thing in each forked process: dies with its parent `parent`, is named in ps, ignores a terminal's ^C. */
void proc_become(const char *name, pid_t parent);

#endif
