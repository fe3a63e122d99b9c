/* SPDX-License-Identifier: Apache-2.0 */
/* Public keys of JSON Web Keys (RFC 7518, 6), and what they sign (3.3, 3.4). */
#ifndef ISTHMUS_NORTH_OIDC_KEY_H
#define ISTHMUS_NORTH_OIDC_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define KEY_SIGNATURE_MAX 1024u /* an RSA key of 8,192 bits */

struct evp_pkey_st;

/* Bytes of unpadded base64url; how many, or ERR_MALFORMED. Padding, other letters and leftover bits are malformed. */
MUST_USE int base64url_decode(const char *text, size_t size, uint8_t *out, size_t out_size);

/* Of base64url texts, NULL: there is none. NULL: it is no such key, or too weak (RSA below 2,048 bits). Owned: EVP_PKEY_free. */
struct evp_pkey_st *key_of_rsa(const char *n, const char *e);
struct evp_pkey_st *key_of_p256(const char *curve, const char *x, const char *y);

/* Whether it has signed the bytes: RSASSA-PKCS1-v1_5 with SHA-256, or `p256`: ECDSA with SHA-256, r and s in 64 bytes. */
MUST_USE bool key_verifies(struct evp_pkey_st *key, bool p256, const void *data, size_t size,
                           const uint8_t *signature, size_t signature_size);

#endif
