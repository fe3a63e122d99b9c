/* SPDX-License-Identifier: Apache-2.0 */
/* Small files that a person put there: certificates, and secrets, which must be nobody else's to read. */
#ifndef ISTHMUS_BOX_STRICT_FILE_H
#define ISTHMUS_BOX_STRICT_FILE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STRICT_FILE_MAX (64u << 10)

/* Reads the whole file into `out` (STRICT_FILE_MAX + 1 bytes), with a NUL behind, and gives its size. A negative err, with what
 * to do in `why`, if it can't be read, is no regular file or too large, or if it is a `secret` and not the calling user's or
 * root's, or anybody else may touch it. Allocates nothing, so that nothing of a secret is left behind but in `out`. */
MUST_USE int strict_file_read(const char *path, bool secret, char *out, char *why, size_t why_size);

#endif
