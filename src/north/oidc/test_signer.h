/* SPDX-License-Identifier: Apache-2.0 */
/* The other side of token.h, for its tests and its fuzzer: makes keys, and tokens signed by them. It aborts when it can't. */
#ifndef ISTHMUS_NORTH_OIDC_TEST_SIGNER_H
#define ISTHMUS_NORTH_OIDC_TEST_SIGNER_H

#include "north/oidc/key.h"
#include "north/oidc/token.h"

struct signer {
    struct evp_pkey_st *key;
    bool p256;
    const char *kid;
};

void signer_init(struct signer *s, bool p256, const char *kid);
void signer_fini(struct signer *s);
/* Its public key as a JSON Web Key. */
void signer_jwk(const struct signer *s, char *out, size_t size);
/* HEAD.CLAIMS.SIGNATURE, with the signature of its own kind whatever the head says. */
void signer_token(const struct signer *s, const char *head, const char *claims, char *out,
                  size_t size);
void signer_token_of(const struct signer *s, const char *head, const void *claims,
                     size_t claims_size, char *out, size_t size);
/* With an HMAC under the public key as PEM: who takes that has mixed up what is secret. */
void signer_hmac(const struct signer *s, const char *head, const char *claims, char *out,
                 size_t size);

#endif
