/* SPDX-License-Identifier: Apache-2.0 */
#include "north/oidc/key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <string.h>

#define RSA_LEAST_BITS 2048
#define POINT          32u /* bytes of a coordinate on P-256 */

static EVP_PKEY *make_key(const char *type, OSSL_PARAM *params)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;
    if (!context || !params || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    return key;
}

static BIGNUM *number_of(const char *text)
{
    uint8_t bytes[KEY_SIGNATURE_MAX];
    int size = text && strlen(text) <= 2 * KEY_SIGNATURE_MAX
                   ? base64url_decode(text, strlen(text), bytes, sizeof bytes)
                   : ERR_MALFORMED;
    return size > 0 ? BN_bin2bn(bytes, size, NULL) : NULL;
}

/* An even or tiny exponent is no key; a huge one only costs time. */
static bool exponent_is_fit(const BIGNUM *e)
{
    return BN_is_odd(e) && !BN_is_one(e) && BN_num_bits(e) <= 33;
}

struct evp_pkey_st *key_of_rsa(const char *n_text, const char *e_text)
{
    BIGNUM *n = number_of(n_text), *e = number_of(e_text);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;
    if (n && e && build && BN_num_bits(n) >= RSA_LEAST_BITS && BN_is_odd(n) && exponent_is_fit(e) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e)) {
        params = OSSL_PARAM_BLD_to_param(build);
        key = make_key("RSA", params);
    }
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    return key;
}

struct evp_pkey_st *key_of_p256(const char *curve, const char *x, const char *y)
{
    uint8_t point[1 + 2 * POINT] = {4}; /* not compressed */
    bool good = curve && !strcmp(curve, "P-256") && x && y &&
                base64url_decode(x, strlen(x), point + 1, POINT) == (int)POINT &&
                base64url_decode(y, strlen(y), point + 1 + POINT, POINT) == (int)POINT;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char[]){"P-256"}, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point),
        OSSL_PARAM_construct_end()};
    return good ? make_key("EC", params) : NULL; /* the library proves that it lies on the curve */
}

/* r and s as the library wants them; their size, or 0. Owned: OPENSSL_free. */
static int to_der(const uint8_t signature[2 * POINT], uint8_t **out)
{
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, POINT, NULL), *s = BN_bin2bn(signature + POINT, POINT, NULL);
    int length = 0;
    *out = NULL;
    if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
        r = s = NULL; /* the pair's */
        length = i2d_ECDSA_SIG(pair, out);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return length > 0 ? length : 0;
}

bool key_verifies(struct evp_pkey_st *key, bool p256, const void *data, size_t size,
                  const uint8_t *signature, size_t signature_size)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t *der = NULL;
    if (p256) {
        signature_size = signature_size == 2 * POINT ? (size_t)to_der(signature, &der) : 0;
        signature = der;
    }
    bool good = context && signature && signature_size &&
                EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestVerify(context, signature, signature_size, data, size) == 1;
    OPENSSL_free(der);
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return good;
}
