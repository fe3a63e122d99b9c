/* SPDX-License-Identifier: Apache-2.0 */
/* Work in a process of its own, of whose memory nothing stays but what it writes: what a heap has held lies in it until something else
 * does, and every process that is forked later inherits it. */
#ifndef ISTHMUS_BASE_APART_H
#define ISTHMUS_BASE_APART_H

#include <stddef.h>

#include "base/err.h"

/* 0 or a negative enum err; writes its result to `fd`. */
typedef int apart_work(void *context, int fd);

/* Runs it and waits for its end. *out is its result, mapped read-only, for munmap (NULL when *size is 0). ERR_NOMEM, ERR_IO; else what
 * `work` returned. */
MUST_USE int apart_run(apart_work *work, void *context, void **out, size_t *size);
/* For `work`: all of it. ERR_IO. */
MUST_USE int apart_write(int fd, const void *bytes, size_t size);

#endif
