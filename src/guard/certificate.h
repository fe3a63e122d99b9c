/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates, as far as people must be told what is wrong with one and what to do. Texts are PEM; no I/O. */
#ifndef ISTHMUS_GUARD_CERTIFICATE_H
#define ISTHMUS_GUARD_CERTIFICATE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct x509_st;
struct stack_st_X509;
struct evp_pkey_st;

#define CERTIFICATE_NAME_MAX 256

/* A certificate, what else was in its file (those of the authorities between it and the root), and its key. All owned. */
struct certificate_pair {
    struct x509_st *leaf;
    struct stack_st_X509 *chain;
    struct evp_pkey_st *key;
};

/* ERR_MALFORMED or ERR_REFUSED (the key belongs to another certificate) with what to do in `why`. A key that is encrypted can't be read: nobody
 * is there to ask when a gateway starts. */
MUST_USE int certificate_pair_read(const char *cert, size_t cert_size, const char *key,
                                   size_t key_size, struct certificate_pair *out, char *why,
                                   size_t why_size);
void certificate_pair_free(struct certificate_pair *pair);

/* Whether a server may show it at that time under each of `names` (with commas or blanks between them). */
MUST_USE bool certificate_serves(struct x509_st *leaf, const char *names, int64_t utc_ns, char *why,
                                 size_t why_size);

/* The SHA-256 of its public key (SubjectPublicKeyInfo): the same as long as a renewal keeps the key. */
MUST_USE bool certificate_key(const struct x509_st *c, uint8_t key[32]);

struct asn1_string_st;

/* UTC; INT64_MIN when it holds no time. */
int64_t certificate_time_ns(const struct asn1_string_st *time);
int64_t certificate_begins_ns(const struct x509_st *leaf);
int64_t certificate_ends_ns(const struct x509_st *leaf);

/* What is wrong and what to do, for an X509_V_ERR_… of OpenSSL. Never NULL. */
const char *certificate_explain(int verify_error);

/* The next of names with commas or blanks between them; false: there is none, or it is too long. */
MUST_USE bool certificate_next_name(const char **at, char name[CERTIFICATE_NAME_MAX]);

/* An address, or a host's name as it stands in certificates. */
MUST_USE bool certificate_name_is_good(const char *name);

#endif
