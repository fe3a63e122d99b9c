/* SPDX-License-Identifier: Apache-2.0 */
#include "north/oidc/test_signer.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void need(bool good)
{
    if (!good) {
        abort();
    }
}

static void append_base64url(char *out, size_t size, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t at = strlen(out);
    need(at + (count + 2) / 3 * 4 + 1 < size);
    uint32_t held = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < count; i++) {
        held = held << 8 | bytes[i];
        for (bits += 8; bits >= 6; bits -= 6) {
            out[at++] = digits[held >> (bits - 6) & 63];
        }
    }
    if (bits) {
        out[at++] = digits[held << (6 - bits) & 63];
    }
    out[at] = 0;
}

void signer_init(struct signer *s, bool p256, const char *kid)
{
    *s = (struct signer){
        .key = p256 ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048), .p256 = p256, .kid = kid};
    need(s->key);
}

void signer_fini(struct signer *s)
{
    EVP_PKEY_free(s->key);
}

static void append_number(const struct signer *s, const char *param, int width, char *out,
                          size_t size)
{
    BIGNUM *n = NULL;
    uint8_t bytes[512];
    need(EVP_PKEY_get_bn_param(s->key, param, &n) == 1);
    int count = width ? BN_bn2binpad(n, bytes, width) : BN_bn2bin(n, bytes);
    append_base64url(out, size, bytes, (size_t)count);
    BN_free(n);
}

void signer_jwk(const struct signer *s, char *out, size_t size)
{
    const char *names[] = {s->p256 ? "x" : "n", s->p256 ? "y" : "e"};
    const char *params[] = {s->p256 ? OSSL_PKEY_PARAM_EC_PUB_X : OSSL_PKEY_PARAM_RSA_N,
                            s->p256 ? OSSL_PKEY_PARAM_EC_PUB_Y : OSSL_PKEY_PARAM_RSA_E};
    snprintf(out, size, "{\"kty\":\"%s\",\"kid\":\"%s\"%s", s->p256 ? "EC" : "RSA", s->kid,
             s->p256 ? ",\"crv\":\"P-256\"" : "");
    for (int i = 0; i < 2; i++) {
        snprintf(out + strlen(out), size - strlen(out), ",\"%s\":\"", names[i]);
        append_number(s, params[i], s->p256 ? 32 : 0, out, size);
        strcat(out, "\"");
    }
    strcat(out, "}");
}

static void append_der_as_pair(const uint8_t *der, size_t der_size, char *out, size_t size)
{
    uint8_t pair[64];
    ECDSA_SIG *both = d2i_ECDSA_SIG(NULL, &der, (long)der_size);
    need(both && BN_bn2binpad(ECDSA_SIG_get0_r(both), pair, 32) == 32 &&
         BN_bn2binpad(ECDSA_SIG_get0_s(both), pair + 32, 32) == 32);
    ECDSA_SIG_free(both);
    append_base64url(out, size, pair, sizeof pair);
}

static void write_parts(const char *head, const void *claims, size_t claims_size, char *out,
                        size_t size)
{
    out[0] = 0;
    append_base64url(out, size, (const uint8_t *)head, strlen(head));
    strcat(out, ".");
    append_base64url(out, size, claims, claims_size);
}

void signer_token_of(const struct signer *s, const char *head, const void *claims,
                     size_t claims_size, char *out, size_t size)
{
    uint8_t signature[512];
    size_t length = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    write_parts(head, claims, claims_size, out, size);
    need(context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, s->key) == 1 &&
         EVP_DigestSign(context, signature, &length, (const uint8_t *)out, strlen(out)) == 1);
    EVP_MD_CTX_free(context);
    strcat(out, ".");
    if (s->p256) {
        append_der_as_pair(signature, length, out, size);
    } else {
        append_base64url(out, size, signature, length);
    }
}

void signer_token(const struct signer *s, const char *head, const char *claims, char *out,
                  size_t size)
{
    signer_token_of(s, head, claims, strlen(claims), out, size);
}

void signer_hmac(const struct signer *s, const char *head, const char *claims, char *out,
                 size_t size)
{
    uint8_t tag[32];
    unsigned tag_size = sizeof tag;
    char *pem;
    BIO *bio = BIO_new(BIO_s_mem());
    need(bio && PEM_write_bio_PUBKEY(bio, s->key) == 1);
    long pem_size = BIO_get_mem_data(bio, &pem);
    write_parts(head, claims, strlen(claims), out, size);
    need(HMAC(EVP_sha256(), pem, (int)pem_size, (const uint8_t *)out, strlen(out), tag, &tag_size));
    BIO_free(bio);
    strcat(out, ".");
    append_base64url(out, size, tag, sizeof tag);
}
