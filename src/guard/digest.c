/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

bool digest_sha256(const void *data, size_t size, uint8_t out[32])
{
    return EVP_Digest(data, size, out, NULL, EVP_sha256(), NULL) == 1;
}

bool digest_equal(const void *a, const void *b, size_t size)
{
    return CRYPTO_memcmp(a, b, size) == 0;
}
