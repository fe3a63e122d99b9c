/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

bool digest_sha256(const void *data, size_t size, uint8_t out[32])
{
    return EVP_Digest(data, size, out, NULL, EVP_sha256(), NULL) == 1;
}

bool digest_equal(const void *a, const void *b, size_t size)
{
    return CRYPTO_memcmp(a, b, size) == 0;
}

bool digest_new_secret(size_t bytes, const char *prefix, char *text, size_t text_size,
                       uint8_t out[32])
{
    uint8_t secret[SECRET_BYTES];
    size_t used = strlen(prefix);
    if (bytes > sizeof secret || used + 2 * bytes >= text_size ||
        getrandom(secret, bytes, GRND_NONBLOCK) != (ssize_t)bytes) {
        return false;
    }
    memcpy(text, prefix, used);
    for (size_t i = 0; i < bytes; i++) {
        snprintf(text + used + 2 * i, 3, "%02x", secret[i]);
    }
    bool done = digest_sha256(secret, bytes, out);
    explicit_bzero(secret, sizeof secret);
    return done;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool digest_of_secret(size_t bytes, const char *prefix, const char *text, uint8_t out[32])
{
    uint8_t secret[SECRET_BYTES];
    size_t used = strlen(prefix);
    if (bytes > sizeof secret || strncmp(text, prefix, used) != 0 ||
        strlen(text) != used + 2 * bytes) {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        int high = hex_digit(text[used + 2 * i]), low = hex_digit(text[used + 2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        secret[i] = (uint8_t)(high << 4 | low);
    }
    return digest_sha256(secret, bytes, out);
}

bool digest_of_key(const char *hex, uint8_t out[32])
{
    char text[] = "public key 0123456789012345678901234567890123456789012345678901234567890123";
    size_t head = sizeof text - 1 - 64;
    if (strlen(hex) != 64 || strspn(hex, "0123456789abcdef") != 64) {
        return false;
    }
    memcpy(text + head, hex, 64);
    return digest_sha256(text, sizeof text - 1, out);
}
