/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256, secrets that are known by it, and comparing secrets without telling how far they are equal. */
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

#define SECRET_BYTES 32u /* at most, of a secret */

/* A random secret of `bytes` bytes: its text, `prefix` and hex digits, and the digest to keep of it. False: no random
 * numbers, or no room. */
MUST_USE bool digest_new_secret(size_t bytes, const char *prefix, char *text, size_t text_size,
                                uint8_t out[32]);
/* What is kept of a public key whose SHA-256 is `hex` (64 digits); never the digest of any secret. False: it is none. */
MUST_USE bool digest_of_key(const char *hex, uint8_t out[32]);
/* The digest of what such a text says; false: it is none. */
MUST_USE bool digest_of_secret(size_t bytes, const char *prefix, const char *text, uint8_t out[32]);

#endif
