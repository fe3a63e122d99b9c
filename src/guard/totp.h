/* SPDX-License-Identifier: Apache-2.0 */
/* The second factor: time-based one-time passwords (RFC 6238) with HMAC-SHA-1, six digits, steps of 30 s: what every
 * authenticator app knows. */
#ifndef ISTHMUS_GUARD_TOTP_H
#define ISTHMUS_GUARD_TOTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TOTP_SECRET_SIZE 20u
#define TOTP_TEXT_SIZE   33u /* of the secret in base32, terminated */
#define TOTP_STEP_NS     (30 * INT64_C(1000000000))

/* The code of a step (time divided by TOTP_STEP_NS). */
uint32_t totp_code(const uint8_t secret[TOTP_SECRET_SIZE], uint64_t step);

/* Whether `code` (six digits) is one of the steps before, at or after `utc_ns` and later than `*last`, the step of the last code
 * that was taken; then `*last` is its step: a code counts once. */
MUST_USE bool totp_take(const uint8_t secret[TOTP_SECRET_SIZE], const char *code, int64_t utc_ns,
                        uint64_t *last);

void totp_text(const uint8_t secret[TOTP_SECRET_SIZE], char out[TOTP_TEXT_SIZE]);

#endif
