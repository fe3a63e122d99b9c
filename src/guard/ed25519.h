/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures after RFC 8032 (Ed25519), and the files in which their keys lie: PKCS #8 in PEM, mode 600. */
#ifndef ISTHMUS_GUARD_ED25519_H
#define ISTHMUS_GUARD_ED25519_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ED25519_KEY_SIZE       32u /* of a secret and of a public key */
#define ED25519_SIGNATURE_SIZE 64u

/* False: the library fails. */
MUST_USE bool ed25519_public(const uint8_t secret[ED25519_KEY_SIZE], uint8_t out[ED25519_KEY_SIZE]);
MUST_USE bool ed25519_sign(const uint8_t secret[ED25519_KEY_SIZE], const void *data, size_t size,
                           uint8_t out[ED25519_SIGNATURE_SIZE]);
MUST_USE bool ed25519_holds(const uint8_t public_key[ED25519_KEY_SIZE], const void *data,
                            size_t size, const uint8_t signature[ED25519_SIGNATURE_SIZE]);

/* Reads a key. ERR_NOT_FOUND; ERR_PERMISSION: others than the owner could read it; ERR_MALFORMED: it is no such key. `why`
 * says what to do. *throw_away (may be NULL): the file says that the key protects nothing. */
MUST_USE int ed25519_read(const char *path, uint8_t secret[ED25519_KEY_SIZE], bool *throw_away,
                          char *why, size_t why_size);
/* Makes a new key; whole or not at all, and flushed. ERR_EXISTS: there is a file of that name already. */
MUST_USE int ed25519_make(const char *path, bool throw_away);

#endif
