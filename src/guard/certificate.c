/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/certificate.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS_PER_SECOND INT64_C(1000000000)
#define CHAIN_MAX     8

const char *certificate_explain(int error)
{
    static const struct {
        int error;
        const char *text;
    } texts[] = {
        {X509_V_ERR_CERT_HAS_EXPIRED, "the certificate has expired: renew it (isthmus pki renew)"},
        {X509_V_ERR_CERT_NOT_YET_VALID,
         "the certificate is not valid yet: check the clocks of both machines"},
        {X509_V_ERR_CERT_REVOKED,
         "the certificate was revoked: if its holder is to be trusted again, issue another one"},
        {X509_V_ERR_INVALID_PURPOSE,
         "the certificate was issued for another use: issue one with "
         "isthmus pki gateway for servers, service or user for clients"},
        {X509_V_ERR_HOSTNAME_MISMATCH,
         "the certificate does not hold the name: issue one with it (--names)"},
        {X509_V_ERR_IP_ADDRESS_MISMATCH,
         "the certificate does not hold the address: issue one with it (--names)"},
        {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
         "the certificate is signed by itself: have the plant's authority issue one"},
        {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
         "the certificate comes from an authority that is not trusted here: name its root "
         "certificate, or issue one from the trusted root"},
        {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
         "no trusted authority has issued the certificate: name its root certificate, or issue one "
         "from the trusted root"},
        {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
         "no trusted authority has issued the certificate: name its root certificate, or issue one "
         "from the trusted root"},
        {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
         "the authority's own certificate is missing: send it along with the certificate"},
        {X509_V_ERR_CERT_SIGNATURE_FAILURE,
         "the certificate was changed after it was signed, or the authority has another key now"},
        {X509_V_ERR_UNABLE_TO_GET_CRL,
         "the list of revoked certificates is missing: bring it from the root (isthmus pki crl)"},
        {X509_V_ERR_CRL_HAS_EXPIRED,
         "the list of revoked certificates is out of date: bring a new one from the root (isthmus "
         "pki crl)"},
        {X509_V_ERR_CRL_NOT_YET_VALID,
         "the list of revoked certificates is of the future: check this machine's clock"},
        {X509_V_ERR_CRL_SIGNATURE_FAILURE,
         "the list of revoked certificates was not signed by the authority: bring it anew"},
        {X509_V_ERR_INVALID_CA,
         "the certificate was issued by one that may not issue any: it is no authority"},
        {X509_V_ERR_CERT_CHAIN_TOO_LONG, "there are too many authorities between the certificate "
                                         "and the root"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (texts[i].error == error) {
            return texts[i].text;
        }
    }
    return X509_verify_cert_error_string(error);
}

bool certificate_next_name(const char **at, char name[CERTIFICATE_NAME_MAX])
{
    *at += strspn(*at, ", \t");
    size_t size = strcspn(*at, ", \t");
    if (!size || size >= CERTIFICATE_NAME_MAX) {
        return false;
    }
    memcpy(name, *at, size);
    name[size] = 0;
    *at += size;
    return true;
}

static bool is_address(const char *name)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

bool certificate_name_is_good(const char *name)
{
    size_t size = strlen(name);
    return is_address(name) ||
           (size && size < CERTIFICATE_NAME_MAX && name[0] != '-' && name[0] != '.' &&
            strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") ==
                size);
}

int64_t certificate_time_ns(const ASN1_TIME *time)
{
    struct tm tm;
    return time && ASN1_TIME_to_tm(time, &tm) == 1 ? timegm(&tm) * NS_PER_SECOND : INT64_MIN;
}

int64_t certificate_begins_ns(const X509 *leaf)
{
    return certificate_time_ns(X509_get0_notBefore(leaf));
}

int64_t certificate_ends_ns(const X509 *leaf)
{
    return certificate_time_ns(X509_get0_notAfter(leaf));
}

/* No terminal is asked for the passphrase of an encrypted key. */
static int no_passphrase(char *out, int size, int writing, void *context)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)context;
    return 0;
}

static bool read_chain(BIO *text, struct certificate_pair *out)
{
    out->leaf = PEM_read_bio_X509(text, NULL, no_passphrase, NULL);
    out->chain = sk_X509_new_null();
    X509 *next;
    while (out->leaf && out->chain && sk_X509_num(out->chain) < CHAIN_MAX &&
           (next = PEM_read_bio_X509(text, NULL, no_passphrase, NULL))) {
        if (!sk_X509_push(out->chain, next)) {
            X509_free(next);
            return false;
        }
    }
    return out->leaf && out->chain;
}

int certificate_pair_read(const char *cert, size_t cert_size, const char *key, size_t key_size,
                          struct certificate_pair *out, char *why, size_t why_size)
{
    BIO *certs = BIO_new_mem_buf(cert, (int)cert_size), *keys = BIO_new_mem_buf(key, (int)key_size);
    int err = ERR_OK;
    *out = (struct certificate_pair){0};
    if (!certs || !keys) {
        err = ERR_NOMEM;
        snprintf(why, why_size, "out of memory");
    } else if (!read_chain(certs, out)) {
        err = ERR_MALFORMED;
        snprintf(why, why_size, "the certificate is none in PEM");
    } else if (!(out->key = PEM_read_bio_PrivateKey(keys, NULL, no_passphrase, NULL))) {
        err = ERR_MALFORMED;
        snprintf(why, why_size,
                 "the key is none in PEM, or has a passphrase: store it without one, "
                 "for nobody is there to ask");
    } else if (X509_check_private_key(out->leaf, out->key) != 1) {
        err = ERR_REFUSED;
        snprintf(why, why_size, "the key belongs to another certificate");
    }
    BIO_free(certs);
    BIO_free(keys);
    ERR_clear_error();
    if (err) {
        certificate_pair_free(out);
    }
    return err;
}

void certificate_pair_free(struct certificate_pair *pair)
{
    X509_free(pair->leaf);
    sk_X509_pop_free(pair->chain, X509_free);
    EVP_PKEY_free(pair->key);
    *pair = (struct certificate_pair){0};
}

static bool holds_name(X509 *leaf, const char *name)
{
    return is_address(name) ? X509_check_ip_asc(leaf, name, 0) == 1
                            : X509_check_host(leaf, name, 0, 0, NULL) == 1;
}

bool certificate_serves(X509 *leaf, const char *names, int64_t utc_ns, char *why, size_t why_size)
{
    char name[CERTIFICATE_NAME_MAX];
    int error = X509_V_OK;
    if (utc_ns >= certificate_ends_ns(leaf)) {
        error = X509_V_ERR_CERT_HAS_EXPIRED;
    } else if (utc_ns < certificate_begins_ns(leaf)) {
        error = X509_V_ERR_CERT_NOT_YET_VALID;
    } else if (X509_check_purpose(leaf, X509_PURPOSE_SSL_SERVER, 0) != 1) {
        error = X509_V_ERR_INVALID_PURPOSE;
    }
    if (error) {
        snprintf(why, why_size, "%s", certificate_explain(error));
        return false;
    }
    while (certificate_next_name(&names, name)) {
        if (!holds_name(leaf, name)) {
            snprintf(why, why_size,
                     "the certificate does not hold the name %s: issue one with it (--names)",
                     name);
            return false;
        }
    }
    return true;
}

bool certificate_key(const X509 *c, uint8_t key[32])
{
    unsigned char *der = NULL;
    unsigned size = 0;
    EVP_PKEY *public = X509_get0_pubkey(c);
    int length = public ? i2d_PUBKEY(public, &der) : 0;
    bool good = length > 0 &&
                EVP_Digest(der, (size_t)length, key, &size, EVP_sha256(), NULL) == 1 && size == 32;
    OPENSSL_free(der);
    return good;
}
