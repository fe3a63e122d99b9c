/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords, kept as argon2id (RFC 9106) with 19 MiB, two passes, one lane: the least that OWASP recommends, some 30 ms of
 * a small machine. The text that is kept names its own parameters, so they can be raised later. */
#ifndef ISTHMUS_GUARD_PASSWORD_H
#define ISTHMUS_GUARD_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define PASSWORD_HASH_SIZE 128u
#define PASSWORD_MIN       12u  /* characters that a new one has at least … */
#define PASSWORD_MAX       255u /* … and bytes at most */

/* NULL: a password that may be set; else what is wrong with it. */
const char *password_fault(const char *password, const char *name);

/* Makes the text to keep. ERR_NOMEM, ERR_IO (no random numbers). */
MUST_USE int password_hash(const char *password, char out[PASSWORD_HASH_SIZE]);

/* Whether it is the password. Takes the same time whether or not; with hash "" (there is no such account) it works as long
 * and is false. */
MUST_USE bool password_is(const char *password, const char hash[PASSWORD_HASH_SIZE]);

#endif
