/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256, and comparing secrets without telling how far they are equal. */
#ifndef ISTHMUS_GUARD_DIGEST_H
#define ISTHMUS_GUARD_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* False: the library fails (out of memory). */
MUST_USE bool digest_sha256(const void *data, size_t size, uint8_t out[32]);
/* In a time that depends on the size alone. */
MUST_USE bool digest_equal(const void *a, const void *b, size_t size);

#endif
