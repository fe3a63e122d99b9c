/* SPDX-License-Identifier: Apache-2.0 */
/* The key that signs the audit: Ed25519 (RFC 8032), in `keys/audit.pem` below the state folder, made at the first start. */
#ifndef ISTHMUS_GUARD_AUDIT_KEY_H
#define ISTHMUS_GUARD_AUDIT_KEY_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Reads the key, or makes it when there is none. ERR_PERMISSION: others than the owner could read it; ERR_MALFORMED: it is
 * no such key. `why` says what to do. */
MUST_USE int audit_key_load(const char *state_dir, uint8_t secret[32], char *why, size_t why_size);

#endif
