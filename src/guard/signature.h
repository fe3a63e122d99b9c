/* SPDX-License-Identifier: Apache-2.0 */
/* A signature under a data contract, as a file that people can read (docs/contracts.md):
 *
 *   isthmus-contract-signature: 1
 *   contract: pumps
 *   as: owner
 *   by: operations
 *   key: 8b1f2a3c4d5e6f70         the first 8 bytes of the SHA-256 of the public key
 *   key-kind: lasting             or: throw-away
 *   at: 2026-11-23T16:00:00Z
 *   digest: …                     SHA-256 of the terms
 *   signature: …                  Ed25519 over all lines before this one
 *
 *   isthmus-contract-terms: 1     the terms that were signed, so that it can be told what has changed since
 *   … */
#ifndef ISTHMUS_GUARD_SIGNATURE_H
#define ISTHMUS_GUARD_SIGNATURE_H

#include "guard/ed25519.h"
#include "guard/terms.h"

#define SIGNATURE_NAME_MAX 160u /* bytes of a contract's or signer's name */
#define SIGNATURE_KEY_ID   17u  /* with its NUL */

enum signature_role { SIGNATURE_OWNER, SIGNATURE_CUSTODIAN, SIGNATURE_ROLES };
extern const char *const signature_roles[SIGNATURE_ROLES]; /* "owner", "custodian" */

struct signature {
    char contract[SIGNATURE_NAME_MAX + 1], by[SIGNATURE_NAME_MAX + 1];
    enum signature_role role;
    char key[SIGNATURE_KEY_ID];
    bool throw_away;
    int64_t at_ns; /* whole seconds */
    uint8_t digest[32], signature[ED25519_SIGNATURE_SIZE];
    struct terms_span message; /* what is signed */
    struct terms_span terms;   /* sound, and of that digest */
};

/* Takes a file apart; spans are borrowed from `data`. ERR_MALFORMED; ERR_CHECKSUM: the terms in it are not those that were
 * signed. Whose signature it is, and whether it holds, only signature_holds says. */
MUST_USE int signature_read(struct signature *s, const void *data, size_t size);
bool signature_holds(const struct signature *s, const uint8_t public_key[ED25519_KEY_SIZE]);

/* Signs: fills in key, digest and signature, and gives the file's text (owned, free()). Names are without control characters.
 * ERR_NOMEM. */
MUST_USE int signature_write(struct signature *s, const uint8_t secret[ED25519_KEY_SIZE],
                             char **text, size_t *size);
/* The id of a public key. */
bool signature_key_id(const uint8_t public_key[ED25519_KEY_SIZE], char out[SIGNATURE_KEY_ID]);

#endif
