/* SPDX-License-Identifier: Apache-2.0 */
/* What travels to the root and back, on a stick or by mail: both may be read and changed on their way. A request is proven by a
 * token of 120 bits that a person carries in another way, and the same token proves the answer; so neither can be forged
 * by whoever has the files, nor can the token be found from them. A renewal is proven by the key of the certificate that it
 * replaces, its answer by the root that the holder knows. */
#include "guard/authority_pem.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_PROOF   "ISTHMUS TOKEN PROOF"
#define RENEWAL_PROOF "ISTHMUS RENEWAL PROOF"
#define PROOF_MAX     128
#define GROUP         4
#define LETTERS       24

/* Without those that look alike. */
static const char alphabet[] = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

void token_make(char token[TOKEN_TEXT])
{
    unsigned char bytes[LETTERS];
    token[0] = 0;
    if (RAND_bytes(bytes, sizeof bytes) == 1) {
        char *at = token;
        for (int i = 0; i < LETTERS; i++) {
            *at++ = alphabet[bytes[i] % 32];
            if (i % GROUP == GROUP - 1) {
                *at++ = i == LETTERS - 1 ? 0 : '-';
            }
        }
    }
}

bool token_read(const char *text, char token[TOKEN_TEXT])
{
    int count = 0;
    char *at = token;
    for (; *text; text++) {
        char c = *text >= 'a' && *text <= 'z' ? (char)(*text - 32) : *text;
        if (c == '-' || c == ' ' || c == '\n' || c == '\r') {
            continue;
        }
        if (!strchr(alphabet, c) || count == LETTERS) {
            return false;
        }
        *at++ = c;
        if (++count % GROUP == 0) {
            *at++ = count == LETTERS ? 0 : '-';
        }
    }
    return count == LETTERS;
}

/* ---- Proofs ---- */

/* Where the block begins that proves what stands before it; NULL: there is none. */
static const char *proof_at(const char *text, const char *title)
{
    char begin[64];
    snprintf(begin, sizeof begin, "-----BEGIN %s-----", title);
    return strstr(text, begin);
}

static bool token_mac(const char *token, const char *what, const char *text, size_t size,
                      uint8_t mac[32])
{
    unsigned length = 0;
    size_t head = strlen(what) + 1;
    uint8_t *all = malloc(head + size);
    if (!all) {
        return false;
    }
    memcpy(all, what, head); /* its NUL divides: a request is no answer */
    memcpy(all + head, text, size);
    bool good =
        HMAC(EVP_sha256(), token, (int)strlen(token), all, head + size, mac, &length) != NULL;
    free(all);
    return good && length == 32;
}

/* The text with the proof behind it. Takes `text`. */
static char *with_token(char *text, const char *what, const char *token)
{
    uint8_t mac[32];
    char *proof = text && token_mac(token, what, text, strlen(text), mac)
                      ? pem_of_bytes(TOKEN_PROOF, mac, sizeof mac)
                      : NULL;
    char *all = proof ? malloc(strlen(text) + strlen(proof) + 1) : NULL;
    if (all) {
        stpcpy(stpcpy(all, text), proof);
    }
    free(text);
    free(proof);
    return all;
}

static bool has_token(const char *text, const char *what, const char *token)
{
    uint8_t mac[32], proof[32];
    const char *end = proof_at(text, TOKEN_PROOF);
    return end && token && token_mac(token, what, text, (size_t)(end - text), mac) &&
           pem_to_bytes(end, TOKEN_PROOF, proof, sizeof proof) == sizeof proof &&
           CRYPTO_memcmp(mac, proof, sizeof mac) == 0;
}

/* ---- Requests ---- */

static bool add_names(X509_REQ *request, const struct holder *h)
{
    char san[2048];
    X509_EXTENSION *names = NULL;
    STACK_OF(X509_EXTENSION) *all = sk_X509_EXTENSION_new_null();
    bool good = all && holder_san(h, san, sizeof san);
    if (good && *san) {
        names = X509V3_EXT_nconf_nid(NULL, NULL, NID_subject_alt_name, san);
        good = names && sk_X509_EXTENSION_push(all, names) &&
               X509_REQ_add_extensions(request, all) == 1;
    }
    X509_EXTENSION_free(names);
    sk_X509_EXTENSION_free(all);
    return good;
}

static bool add_entry(X509_NAME *name, const char *field, const char *text)
{
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)text, -1,
                                      -1, 0) == 1;
}

static char *make_csr(const struct holder *h, char why[AUTHORITY_WHY])
{
    X509_REQ *request = X509_REQ_new();
    X509_NAME *name = request ? X509_REQ_get_subject_name(request) : NULL;
    bool good = name && holder_name_is_good(h->name) && holder_kind_name(h->kind) &&
                (h->kind != HOLDER_GATEWAY || *h->names) && X509_REQ_set_version(request, 0) == 1 &&
                add_entry(name, "OU", holder_kind_name(h->kind)) &&
                add_entry(name, "CN", h->name) && add_names(request, h) &&
                X509_REQ_set_pubkey(request, h->key) == 1 &&
                X509_REQ_sign(request, h->key, EVP_sha256()) > 0;
    char *pem = good ? pem_of_request(request) : NULL;
    X509_REQ_free(request);
    ERR_clear_error();
    if (!pem) {
        snprintf(why, AUTHORITY_WHY,
                 "no request can be made: a name has letters, digits, '-', '_', '.' and '@', and a "
                 "gateway "
                 "needs the host names and addresses that it is called by (--names)");
    }
    return pem;
}

int request_make(const struct holder *h, const char *token, char **request, char why[AUTHORITY_WHY])
{
    *request = with_token(make_csr(h, why), "isthmus request", token);
    return *request ? ERR_OK : ERR_MALFORMED;
}

static size_t sign(EVP_PKEY *key, const char *text, size_t size, uint8_t out[PROOF_MAX])
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    size_t length = PROOF_MAX;
    bool good = c && EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestSign(c, out, &length, (const unsigned char *)text, size) == 1;
    EVP_MD_CTX_free(c);
    return good ? length : 0;
}

static bool verify(EVP_PKEY *key, const char *text, size_t size, const uint8_t *proof,
                   size_t length)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool good = c && key && EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestVerify(c, proof, length, (const unsigned char *)text, size) == 1;
    EVP_MD_CTX_free(c);
    return good;
}

int request_make_renewal(EVP_PKEY *fresh, const char *old_certificate, EVP_PKEY *old_key,
                         char **request, char why[AUTHORITY_WHY])
{
    struct certificate_facts facts;
    struct holder h = {.key = fresh};
    uint8_t proof[PROOF_MAX];
    char *csr = NULL, *text = NULL, *block = NULL;
    *request = NULL;
    if (certificate_read(old_certificate, &facts) || strlen(facts.name) >= sizeof h.name) {
        snprintf(why, AUTHORITY_WHY, "the old certificate can't be read: enrol anew");
        return ERR_MALFORMED;
    }
    h.kind = holder_kind_from_name(facts.kind);
    strcpy(h.name, facts.name);
    strcpy(h.names, facts.names);
    X509 *old = pem_to_certificate(old_certificate);
    char *only = old ? pem_of_certificate(old) : NULL;
    if ((csr = make_csr(&h, why)) && only && (text = malloc(strlen(csr) + strlen(only) + 1))) {
        stpcpy(stpcpy(text, csr), only);
        size_t length = sign(old_key, text, strlen(text), proof);
        block = length ? pem_of_bytes(RENEWAL_PROOF, proof, length) : NULL;
    }
    if (block && (*request = malloc(strlen(text) + strlen(block) + 1))) {
        stpcpy(stpcpy(*request, text), block);
    }
    X509_free(old);
    free(only);
    free(csr);
    free(text);
    free(block);
    return *request ? ERR_OK : ERR_NOMEM;
}

bool request_is_new(const char *request)
{
    return proof_at(request, TOKEN_PROOF) != NULL;
}

static void read_names(X509_REQ *request, struct holder *h)
{
    STACK_OF(X509_EXTENSION) *all = X509_REQ_get_extensions(request);
    int at = X509v3_get_ext_by_NID(all, NID_subject_alt_name, -1);
    X509 *carrier = at >= 0 ? X509_new() : NULL; /* so that one function reads names */
    if (carrier && X509_add_ext(carrier, X509v3_get_ext(all, at), -1) == 1) {
        certificate_names(carrier, h->names, sizeof h->names);
    }
    X509_free(carrier);
    sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
}

static bool read_csr(const char *text, struct holder *h)
{
    X509_REQ *request = pem_to_request(text);
    char kind[16] = "";
    bool good = false;
    if (request) {
        X509_NAME *name = X509_REQ_get_subject_name(request);
        X509_NAME_get_text_by_NID(name, NID_organizationalUnitName, kind, sizeof kind);
        X509_NAME_get_text_by_NID(name, NID_commonName, h->name, sizeof h->name);
        h->kind = holder_kind_from_name(kind);
        h->key = X509_REQ_get_pubkey(request);
        read_names(request, h);
        good = h->kind && holder_name_is_good(h->name) && h->key && EVP_PKEY_is_a(h->key, "EC") &&
               EVP_PKEY_get_bits(h->key) == 256 && X509_REQ_verify(request, h->key) == 1;
    }
    X509_REQ_free(request);
    return good;
}

/* The old certificate is the root's, still good, and of the same holder; its key has signed. */
static bool is_renewal(const struct authority *a, const char *text, int64_t utc_ns,
                       struct holder *h, char why[AUTHORITY_WHY])
{
    struct certificate_facts facts;
    uint8_t proof[PROOF_MAX];
    const char *end = proof_at(text, RENEWAL_PROOF);
    X509 *old = end ? pem_to_certificate(text) : NULL;
    int length = old ? pem_to_bytes(end, RENEWAL_PROOF, proof, sizeof proof) : -1;
    char *only = old ? pem_of_certificate(old) : NULL;
    bool good = false;
    if (length <= 0 || !only || certificate_read(only, &facts) || X509_verify(old, a->key) != 1 ||
        !verify(X509_get0_pubkey(old), text, (size_t)(end - text), (const uint8_t *)proof,
                (size_t)length)) {
        snprintf(why, AUTHORITY_WHY,
                 "the request is not proven by a certificate of this root: enrol anew (isthmus pki "
                 "enrol)");
    } else if (utc_ns >= facts.ends_ns) {
        snprintf(why, AUTHORITY_WHY,
                 "the certificate to be renewed has expired: enrol anew (isthmus pki enrol)");
    } else if (strcmp(facts.name, h->name) || h->kind != holder_kind_from_name(facts.kind) ||
               strcmp(facts.names, h->names)) {
        snprintf(why, AUTHORITY_WHY,
                 "a renewal keeps name, kind and host names: enrol anew for others");
    } else {
        strcpy(h->old_serial, facts.serial);
        h->renews = good = true;
    }
    X509_free(old);
    free(only);
    return good;
}

int request_open(const struct authority *a, const char *request, const char *token, int64_t utc_ns,
                 struct holder *h, char why[AUTHORITY_WHY])
{
    *h = (struct holder){0};
    bool good = read_csr(request, h);
    if (!good) {
        snprintf(why, AUTHORITY_WHY, "this is no request of isthmus pki enrol or renew");
    } else if (request_is_new(request)) {
        good = has_token(request, "isthmus request", token);
        if (!good) {
            snprintf(why, AUTHORITY_WHY,
                     "the token is not that of the request, or the request was changed on its way");
        }
    } else {
        good = is_renewal(a, request, utc_ns, h, why);
    }
    ERR_clear_error();
    if (!good) {
        holder_fini(h);
    }
    return good ? ERR_OK : ERR_REFUSED;
}

/* ---- Answers ---- */

int answer_make(const char *certificate, const char *root, const char *crl, const char *token,
                char **answer)
{
    char *text = malloc(strlen(certificate) + strlen(root) + strlen(crl) + 1);
    if (text) {
        stpcpy(stpcpy(stpcpy(text, certificate), root), crl);
    }
    *answer = text && token ? with_token(text, "isthmus answer", token) : text;
    return *answer ? ERR_OK : ERR_NOMEM;
}

void answer_fini(struct answer_parts *p)
{
    free(p->certificate);
    free(p->root);
    free(p->crl);
    *p = (struct answer_parts){0};
}

/* The second certificate of a text. */
static X509 *second_certificate(const char *text)
{
    static const char end[] = "-----END CERTIFICATE-----";
    const char *first = strstr(text, end);
    return first ? pem_to_certificate(first + strlen(end)) : NULL;
}

static bool belongs_together(X509 *leaf, X509 *root, X509_CRL *crl, EVP_PKEY *key, int64_t utc_ns,
                             char why[AUTHORITY_WHY])
{
    EVP_PKEY *signer = root ? X509_get0_pubkey(root) : NULL;
    bool good = false;
    if (!leaf || !signer || !crl || X509_check_ca(root) != 1 || X509_verify(leaf, signer) != 1 ||
        X509_CRL_verify(crl, signer) != 1) {
        snprintf(why, AUTHORITY_WHY,
                 "this is no answer of isthmus pki sign, or it was changed on its way");
    } else if (X509_check_private_key(leaf, key) != 1) {
        snprintf(why, AUTHORITY_WHY,
                 "the answer is to another request than the last one of this folder");
    } else if (utc_ns < certificate_begins_ns(leaf)) {
        snprintf(why, AUTHORITY_WHY, "%s", certificate_explain(X509_V_ERR_CERT_NOT_YET_VALID));
    } else if (utc_ns >= certificate_ends_ns(leaf)) {
        snprintf(why, AUTHORITY_WHY, "%s", certificate_explain(X509_V_ERR_CERT_HAS_EXPIRED));
    } else {
        good = true;
    }
    return good;
}

int answer_open(const char *answer, const char *token, const char *known_root, EVP_PKEY *key,
                int64_t utc_ns, struct answer_parts *parts, char why[AUTHORITY_WHY])
{
    X509 *leaf = pem_to_certificate(answer), *root = second_certificate(answer);
    X509 *known = known_root ? pem_to_certificate(known_root) : NULL;
    X509_CRL *crl = pem_to_crl(answer);
    *parts = (struct answer_parts){0};
    bool good = belongs_together(leaf, root, crl, key, utc_ns, why);
    if (good && known_root) {
        good = known && X509_cmp(known, root) == 0;
        if (!good) {
            snprintf(why, AUTHORITY_WHY,
                     "the answer comes from another root than the one that is trusted here");
        }
    } else if (good && !has_token(answer, "isthmus answer", token)) {
        snprintf(why, AUTHORITY_WHY, "the answer does not hold the token of this folder's request");
        good = false;
    }
    if (good) {
        *parts = (struct answer_parts){pem_of_certificate(leaf), pem_of_certificate(root),
                                       pem_of_crl(crl)};
        good = parts->certificate && parts->root && parts->crl;
    }
    if (!good) {
        answer_fini(parts);
    }
    X509_free(leaf);
    X509_free(root);
    X509_free(known);
    X509_CRL_free(crl);
    ERR_clear_error();
    return good ? ERR_OK : ERR_REFUSED;
}
