/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/totp.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "guard/digest.h"

uint32_t totp_code(const uint8_t secret[TOTP_SECRET_SIZE], uint64_t step)
{
    uint8_t counter[8], mac[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    struct writer w = writer_of(counter, sizeof counter);
    write_u64be(&w, step);
    if (!HMAC(EVP_sha1(), secret, TOTP_SECRET_SIZE, counter, sizeof counter, mac, &size) ||
        size != 20) {
        return UINT32_MAX; /* no code equals it */
    }
    struct reader r = reader_of(mac + (mac[19] & 15), 4);
    return (read_u32be(&r) & 0x7fffffff) % 1000000;
}

bool totp_take(const uint8_t secret[TOTP_SECRET_SIZE], const char *code, int64_t utc_ns,
               uint64_t *last)
{
    uint64_t now = utc_ns > 0 ? (uint64_t)(utc_ns / TOTP_STEP_NS) : 0, found = 0;
    if (strnlen(code, 7) != 6) {
        return false;
    }
    for (uint64_t step = now ? now - 1 : now; step <= now + 1; step++) {
        char text[11];
        snprintf(text, sizeof text, "%06u", totp_code(secret, step));
        if (digest_equal(text, code, 7) && step > *last) {
            found = step;
        }
    }
    *last = found ? found : *last;
    return found != 0;
}

void totp_text(const uint8_t secret[TOTP_SECRET_SIZE], char out[TOTP_TEXT_SIZE])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    for (uint32_t i = 0; i < TOTP_TEXT_SIZE - 1; i++) { /* 160 bits: 32 letters of five */
        uint32_t bit = i * 5, at = bit / 8;
        uint32_t two = (uint32_t)secret[at] << 8 | (at + 1 < TOTP_SECRET_SIZE ? secret[at + 1] : 0);
        out[i] = letters[two >> (11 - bit % 8) & 31];
    }
    out[TOTP_TEXT_SIZE - 1] = 0;
}
