/* SPDX-License-Identifier: Apache-2.0 */
/* What the root signs. */
#include "guard/authority.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guard/authority_pem.h"

#define EARLY_S 3600 /* a certificate begins an hour before it is made: clocks differ */
#define DAY_S   INT64_C(86400)
#define NS      INT64_C(1000000000)

static const char *const kinds[] = {"", "gateway", "service", "user"};

const char *holder_kind_name(enum holder_kind kind)
{
    return kind >= HOLDER_GATEWAY && kind <= HOLDER_USER ? kinds[kind] : NULL;
}

enum holder_kind holder_kind_from_name(const char *name)
{
    for (int i = HOLDER_GATEWAY; i <= HOLDER_USER; i++) {
        if (!strcmp(name, kinds[i])) {
            return (enum holder_kind)i;
        }
    }
    return (enum holder_kind)0;
}

bool holder_name_is_good(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@");
    return n && !name[n] && n < HOLDER_NAME && name[0] != '.' && name[0] != '-';
}

void holder_fini(struct holder *h)
{
    EVP_PKEY_free(h->key);
    *h = (struct holder){0};
}

int holder_key_make(EVP_PKEY **key, char **pem)
{
    *key = EVP_EC_gen("P-256");
    *pem = *key ? pem_of_key(*key, NULL) : NULL;
    if (!*pem) {
        EVP_PKEY_free(*key);
        *key = NULL;
        return ERR_NOMEM;
    }
    return ERR_OK;
}

int holder_key_open(EVP_PKEY **key, const char *pem)
{
    *key = pem_to_key(pem, NULL);
    return *key ? ERR_OK : ERR_MALFORMED;
}

void holder_key_free(EVP_PKEY *key)
{
    EVP_PKEY_free(key);
}

/* ---- Certificates ---- */

static bool add_extension(X509 *c, X509V3_CTX *context, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_nconf_nid(NULL, context, nid, value);
    bool good = e && X509_add_ext(c, e, -1) == 1;
    X509_EXTENSION_free(e);
    return good;
}

static bool set_serial(X509 *c)
{
    unsigned char bytes[16];
    if (RAND_bytes(bytes, sizeof bytes) != 1) {
        return false;
    }
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive, and always of one length */
    BIGNUM *n = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool good = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(c));
    BN_free(n);
    return good;
}

static bool set_times(X509 *c, int64_t utc_ns, int days)
{
    time_t now = (time_t)(utc_ns / NS), begin = now - EARLY_S, end = now + (time_t)(days * DAY_S);
    return ASN1_TIME_set(X509_getm_notBefore(c), begin) &&
           ASN1_TIME_set(X509_getm_notAfter(c), end);
}

static bool add_name(X509_NAME *name, const char *field, const char *text)
{
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)text, -1,
                                      -1, 0) == 1;
}

static X509 *new_certificate(EVP_PKEY *key, int64_t utc_ns, int days)
{
    X509 *c = X509_new();
    if (c && (X509_set_version(c, X509_VERSION_3) != 1 || !set_serial(c) ||
              !set_times(c, utc_ns, days) || X509_set_pubkey(c, key) != 1)) {
        X509_free(c);
        return NULL;
    }
    return c;
}

static X509 *make_root(EVP_PKEY *key, const char *name, int days, int64_t utc_ns)
{
    X509 *c = new_certificate(key, utc_ns, days);
    X509V3_CTX context;
    if (!c) {
        return NULL;
    }
    X509V3_set_ctx(&context, c, c, NULL, NULL, 0);
    if (!add_name(X509_get_subject_name(c), "CN", name) ||
        X509_set_issuer_name(c, X509_get_subject_name(c)) != 1 ||
        !add_extension(c, &context, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !add_extension(c, &context, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(c, &context, NID_subject_key_identifier, "hash") ||
        !X509_sign(c, key, EVP_sha256())) {
        X509_free(c);
        return NULL;
    }
    return c;
}

int authority_make(const char *name, int days, int64_t utc_ns, const char *passphrase,
                   char **key_pem, char **root_pem, char why[AUTHORITY_WHY])
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *root = key && days > 0 ? make_root(key, name, days, utc_ns) : NULL;
    *key_pem = root ? pem_of_key(key, passphrase) : NULL;
    *root_pem = *key_pem ? pem_of_certificate(root) : NULL;
    int err = *root_pem ? ERR_OK : ERR_MALFORMED;
    if (err) {
        snprintf(why, AUTHORITY_WHY, "no root can be made with this name (1 to 64 letters)");
        pem_wipe(*key_pem);
        *key_pem = NULL;
    }
    X509_free(root);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return err;
}

int authority_open(struct authority *a, const char *key_pem, const char *root_pem,
                   const char *passphrase, char why[AUTHORITY_WHY])
{
    *a = (struct authority){.root = pem_to_certificate(root_pem),
                            .key = pem_to_key(key_pem, passphrase)};
    if (!a->key) {
        snprintf(why, AUTHORITY_WHY, "the passphrase does not open the root's key");
    } else if (!a->root || X509_check_private_key(a->root, a->key) != 1) {
        snprintf(why, AUTHORITY_WHY,
                 "the root's certificate is not that of its key: bring both from a backup");
    } else {
        return ERR_OK;
    }
    ERR_clear_error();
    authority_close(a);
    return ERR_REFUSED;
}

void authority_close(struct authority *a)
{
    X509_free(a->root);
    EVP_PKEY_free(a->key);
    *a = (struct authority){0};
}

bool holder_san(const struct holder *h, char *out, size_t size)
{
    char name[CERTIFICATE_NAME_MAX];
    const char *names = h->names;
    size_t at = 0;
    *out = 0;
    while (certificate_next_name(&names, name)) {
        int n =
            certificate_name_is_good(name)
                ? snprintf(out + at, size - at, "%s%s:%s", at ? "," : "",
                           strspn(name, "0123456789.") == strlen(name) || strchr(name, ':') ? "IP"
                                                                                            : "DNS",
                           name)
                : -1;
        if (n < 0 || (size_t)n >= size - at) {
            return false;
        }
        at += (size_t)n;
    }
    return !*names;
}

static bool add_all(X509 *c, const struct authority *a, const struct holder *h, const char *san)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, a->root, c, NULL, NULL, 0);
    const char *usage = h->kind == HOLDER_GATEWAY || (h->kind == HOLDER_SERVICE && *san)
                            ? "serverAuth,clientAuth"
                            : "clientAuth";
    return add_extension(c, &context, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(c, &context, NID_key_usage, "critical,digitalSignature") &&
           add_extension(c, &context, NID_ext_key_usage, usage) &&
           add_extension(c, &context, NID_subject_key_identifier, "hash") &&
           add_extension(c, &context, NID_authority_key_identifier, "keyid") &&
           (!*san || add_extension(c, &context, NID_subject_alt_name, san));
}

int authority_issue(const struct authority *a, const struct holder *h, int days, int64_t utc_ns,
                    char **certificate, struct issued *issued, char why[AUTHORITY_WHY])
{
    char san[2048];
    struct certificate_facts facts;
    *certificate = NULL;
    if (!holder_kind_name(h->kind) || !holder_name_is_good(h->name) ||
        !holder_san(h, san, sizeof san) || (h->kind == HOLDER_GATEWAY && !*san)) {
        snprintf(why, AUTHORITY_WHY,
                 "a %s needs a name of letters, digits, '-', '_', '.', '@', and%s host names or "
                 "addresses",
                 holder_kind_name(h->kind) ? holder_kind_name(h->kind) : "holder",
                 h->kind == HOLDER_GATEWAY ? "" : " good");
        return ERR_MALFORMED;
    }
    if (utc_ns + days * DAY_S * NS > certificate_ends_ns(a->root) || days <= 0) {
        snprintf(why, AUTHORITY_WHY,
                 "it would outlive the root: choose fewer days, or make a new root");
        return ERR_RANGE;
    }
    X509 *c = new_certificate(h->key, utc_ns, days);
    bool good = c && add_name(X509_get_subject_name(c), "OU", holder_kind_name(h->kind)) &&
                add_name(X509_get_subject_name(c), "CN", h->name) &&
                X509_set_issuer_name(c, X509_get_subject_name(a->root)) == 1 &&
                add_all(c, a, h, san) && X509_sign(c, a->key, EVP_sha256()) &&
                (*certificate = pem_of_certificate(c)) && !certificate_read(*certificate, &facts);
    X509_free(c);
    ERR_clear_error();
    if (!good) {
        free(*certificate);
        *certificate = NULL;
        snprintf(why, AUTHORITY_WHY, "the certificate can't be made");
        return ERR_NOMEM;
    }
    *issued = (struct issued){.begins_ns = facts.begins_ns, .ends_ns = facts.ends_ns};
    memcpy(issued->serial, facts.serial, sizeof issued->serial);
    memcpy(issued->fingerprint, facts.fingerprint, sizeof issued->fingerprint);
    return ERR_OK;
}

/* ---- The list of revoked certificates ---- */

static bool add_revoked(X509_CRL *crl, const struct revoked *r)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    BIGNUM *n = NULL;
    ASN1_INTEGER *serial = NULL;
    ASN1_TIME *when = ASN1_TIME_set(NULL, (time_t)(r->utc_ns / NS));
    bool good =
        entry && when && BN_hex2bn(&n, r->serial) && (serial = BN_to_ASN1_INTEGER(n, NULL)) &&
        X509_REVOKED_set_serialNumber(entry, serial) == 1 &&
        X509_REVOKED_set_revocationDate(entry, when) == 1 && X509_CRL_add0_revoked(crl, entry) == 1;
    if (!good) {
        X509_REVOKED_free(entry);
    }
    ASN1_TIME_free(when);
    ASN1_INTEGER_free(serial);
    BN_free(n);
    return good;
}

/* Numbers rise with time, so that an older list is known for one. */
static bool add_number(X509_CRL *crl, int64_t utc_ns)
{
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    bool good = number && ASN1_INTEGER_set_int64(number, utc_ns / 1000000) == 1 &&
                X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0) == 1;
    ASN1_INTEGER_free(number);
    return good;
}

int authority_revoke(const struct authority *a, const struct revoked *list, size_t count, int days,
                     int64_t utc_ns, char **out, char why[AUTHORITY_WHY])
{
    X509_CRL *crl = X509_CRL_new();
    time_t now = (time_t)(utc_ns / NS);
    ASN1_TIME *begin = ASN1_TIME_set(NULL, now - EARLY_S),
              *end = ASN1_TIME_set(NULL, now + (time_t)(days * DAY_S));
    bool good = crl && begin && end && days > 0 &&
                X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
                X509_CRL_set_issuer_name(crl, X509_get_subject_name(a->root)) == 1 &&
                X509_CRL_set1_lastUpdate(crl, begin) == 1 &&
                X509_CRL_set1_nextUpdate(crl, end) == 1 && add_number(crl, utc_ns);
    for (size_t i = 0; good && i < count; i++) {
        good = add_revoked(crl, list + i);
    }
    good = good && X509_CRL_sort(crl) == 1 && X509_CRL_sign(crl, a->key, EVP_sha256()) > 0;
    *out = good ? pem_of_crl(crl) : NULL;
    X509_CRL_free(crl);
    ASN1_TIME_free(begin);
    ASN1_TIME_free(end);
    ERR_clear_error();
    if (!*out) {
        snprintf(why, AUTHORITY_WHY, "the list of revoked certificates can't be made");
        return ERR_NOMEM;
    }
    return ERR_OK;
}
