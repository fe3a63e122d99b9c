/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/authority_pem.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEY_ROUNDS 600000 /* of PBKDF2 with SHA-256, in front of the root's key */

/* Takes the memory of `bio`. */
static char *text_of(BIO *bio, int written)
{
    char *data, *text = NULL;
    long size = written == 1 ? BIO_get_mem_data(bio, &data) : -1;
    if (size >= 0 && (text = malloc((size_t)size + 1))) {
        memcpy(text, data, (size_t)size);
        text[size] = 0;
    }
    BIO_free(bio);
    return text;
}

char *pem_of_certificate(X509 *c)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return bio ? text_of(bio, PEM_write_bio_X509(bio, c)) : NULL;
}

char *pem_of_crl(X509_CRL *crl)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return bio ? text_of(bio, PEM_write_bio_X509_CRL(bio, crl)) : NULL;
}

char *pem_of_request(X509_REQ *request)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return bio ? text_of(bio, PEM_write_bio_X509_REQ(bio, request)) : NULL;
}

/* PKCS #8: with a passphrase PBKDF2 and AES-256. */
char *pem_of_key(EVP_PKEY *key, const char *passphrase)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    if (!bio || !passphrase) {
        return bio ? text_of(bio,
                             PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL))
                   : NULL;
    }
    PKCS8_PRIV_KEY_INFO *plain = EVP_PKEY2PKCS8(key);
    X509_ALGOR *how =
        PKCS5_pbe2_set_iv(EVP_aes_256_cbc(), KEY_ROUNDS, NULL, 0, NULL, NID_hmacWithSHA256);
    X509_SIG *sealed =
        plain && how ? PKCS8_set0_pbe(passphrase, (int)strlen(passphrase), plain, how) : NULL;
    if (!sealed) {
        X509_ALGOR_free(how);
    }
    char *text = text_of(bio, sealed ? PEM_write_bio_PKCS8(bio, sealed) : 0);
    X509_SIG_free(sealed);
    PKCS8_PRIV_KEY_INFO_free(plain);
    return text;
}

char *pem_of_bytes(const char *title, const uint8_t *bytes, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return bio ? text_of(bio, PEM_write_bio(bio, title, "", bytes, (long)size) > 0) : NULL;
}

static int give_passphrase(char *out, int size, int writing, void *context)
{
    (void)writing;
    size_t n = context ? strlen(context) : 0;
    if (!n || n > (size_t)size) {
        return 0;
    }
    memcpy(out, context, n);
    return (int)n;
}

X509 *pem_to_certificate(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *c = bio ? PEM_read_bio_X509(bio, NULL, give_passphrase, NULL) : NULL;
    BIO_free(bio);
    return c;
}

X509_CRL *pem_to_crl(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509_CRL *crl = bio ? PEM_read_bio_X509_CRL(bio, NULL, give_passphrase, NULL) : NULL;
    BIO_free(bio);
    return crl;
}

X509_REQ *pem_to_request(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509_REQ *request = bio ? PEM_read_bio_X509_REQ(bio, NULL, give_passphrase, NULL) : NULL;
    BIO_free(bio);
    return request;
}

EVP_PKEY *pem_to_key(const char *pem, const char *passphrase)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key =
        bio ? PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, (void *)(uintptr_t)passphrase)
            : NULL;
    BIO_free(bio);
    return key;
}

int pem_to_bytes(const char *pem, const char *title, uint8_t *bytes, size_t size)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    char *name = NULL, *header = NULL;
    unsigned char *data = NULL;
    long length = 0;
    int found = -1;
    while (bio && found < 0 && PEM_read_bio(bio, &name, &header, &data, &length) == 1) {
        if (!strcmp(name, title) && length >= 0 && (size_t)length <= size) {
            memcpy(bytes, data, (size_t)length);
            found = (int)length;
        }
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(data);
    }
    BIO_free(bio);
    ERR_clear_error();
    return found;
}

void pem_wipe(char *text)
{
    if (text) {
        explicit_bzero(text, strlen(text));
    }
    free(text);
}

/* ---- What they say of themselves ---- */

static void name_text(const X509_NAME *name, int nid, char *out, int size)
{
    if (X509_NAME_get_text_by_NID(name, nid, out, size) < 0) {
        *out = 0;
    }
    for (char *c = out; *c; c++) { /* for logs and terminals */
        *c = (*c >= ' ' && *c < 127) ? *c : '?';
    }
}

void certificate_names(X509 *c, char *out, size_t size)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(c, NID_subject_alt_name, NULL, NULL);
    size_t at = 0;
    *out = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
        char *text = NULL;
        if (g->type == GEN_DNS) {
            int n = ASN1_STRING_length(g->d.dNSName);
            text = OPENSSL_strndup((const char *)ASN1_STRING_get0_data(g->d.dNSName), (size_t)n);
        } else if (g->type == GEN_IPADD && g->d.iPAddress->length == 4) {
            const unsigned char *b = g->d.iPAddress->data;
            text = OPENSSL_malloc(16);
            if (text) {
                snprintf(text, 16, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
            }
        } else if (g->type == GEN_IPADD && g->d.iPAddress->length == 16) {
            text = OPENSSL_malloc(40);
            for (int k = 0; text && k < 8; k++) {
                const unsigned char *b = g->d.iPAddress->data + 2 * k;
                snprintf(text + 5 * k, 6, "%02x%02x%s", b[0], b[1], k < 7 ? ":" : "");
            }
        }
        if (text && certificate_name_is_good(text) && at + strlen(text) + 2 < size) {
            at += (size_t)sprintf(out + at, "%s%s", at ? "," : "", text);
        }
        OPENSSL_free(text);
    }
    GENERAL_NAMES_free(all);
}

int certificate_read(const char *pem, struct certificate_facts *f)
{
    X509 *c = pem_to_certificate(pem);
    unsigned char digest[32], key[32];
    unsigned size = 0;
    *f = (struct certificate_facts){0};
    BIGNUM *n = c ? ASN1_INTEGER_to_BN(X509_get_serialNumber(c), NULL) : NULL;
    char *serial = n ? BN_bn2hex(n) : NULL;
    bool good = serial && strlen(serial) < sizeof f->serial &&
                X509_digest(c, EVP_sha256(), digest, &size) == 1 && size == sizeof digest &&
                certificate_key(c, key);
    if (good) {
        strcpy(f->serial, serial);
        for (unsigned i = 0; i < size; i++) {
            sprintf(f->fingerprint + 2 * i, "%02x", digest[i]);
            sprintf(f->key + 2 * i, "%02x", key[i]);
        }
        name_text(X509_get_subject_name(c), NID_commonName, f->name, sizeof f->name);
        name_text(X509_get_subject_name(c), NID_organizationalUnitName, f->kind, sizeof f->kind);
        name_text(X509_get_issuer_name(c), NID_commonName, f->issuer, sizeof f->issuer);
        certificate_names(c, f->names, sizeof f->names);
        f->begins_ns = certificate_begins_ns(c);
        f->ends_ns = certificate_ends_ns(c);
        f->is_authority = X509_check_ca(c) == 1;
    }
    OPENSSL_free(serial);
    BN_free(n);
    X509_free(c);
    ERR_clear_error();
    return good ? ERR_OK : ERR_MALFORMED;
}

int crl_read(const char *pem, int64_t *begins_ns, int64_t *ends_ns)
{
    X509_CRL *crl = pem_to_crl(pem);
    struct tm begin, end;
    bool good = crl && ASN1_TIME_to_tm(X509_CRL_get0_lastUpdate(crl), &begin) == 1 &&
                X509_CRL_get0_nextUpdate(crl) &&
                ASN1_TIME_to_tm(X509_CRL_get0_nextUpdate(crl), &end) == 1;
    if (good) {
        *begins_ns = timegm(&begin) * INT64_C(1000000000);
        *ends_ns = timegm(&end) * INT64_C(1000000000);
    }
    X509_CRL_free(crl);
    ERR_clear_error();
    return good ? ERR_OK : ERR_MALFORMED;
}

int crl_prove(const char *pem, const char *root_pem, char why[AUTHORITY_WHY])
{
    X509_CRL *crl = pem_to_crl(pem);
    X509 *root = pem_to_certificate(root_pem);
    bool good = crl && root && X509_CRL_verify(crl, X509_get0_pubkey(root)) == 1;
    if (!good) {
        snprintf(why, AUTHORITY_WHY,
                 "this is no list of revoked certificates of the root that is trusted here");
    }
    X509_CRL_free(crl);
    X509_free(root);
    ERR_clear_error();
    return good ? ERR_OK : ERR_REFUSED;
}
