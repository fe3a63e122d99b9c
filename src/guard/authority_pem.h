/* SPDX-License-Identifier: Apache-2.0 */
/* PEM texts, and what the parts of the authority share. Texts are owned by the caller; NULL: it can't be done. */
#ifndef ISTHMUS_GUARD_AUTHORITY_PEM_H
#define ISTHMUS_GUARD_AUTHORITY_PEM_H

#include "guard/authority.h"

struct X509_crl_st;
struct X509_req_st;

char *pem_of_certificate(struct x509_st *c);
char *pem_of_crl(struct X509_crl_st *crl);
char *pem_of_request(struct X509_req_st *request);
/* `passphrase` NULL: unencrypted. */
char *pem_of_key(struct evp_pkey_st *key, const char *passphrase);
/* A block of our own. */
char *pem_of_bytes(const char *title, const uint8_t *bytes, size_t size);

struct x509_st *pem_to_certificate(const char *pem); /* the first one */
struct X509_crl_st *pem_to_crl(const char *pem);
struct X509_req_st *pem_to_request(const char *pem);
struct evp_pkey_st *pem_to_key(const char *pem, const char *passphrase);
/* The bytes of the first block with that title; their number, at most `size`, or -1. */
int pem_to_bytes(const char *pem, const char *title, uint8_t *bytes, size_t size);

/* The host names and addresses that it holds, with ',' between them. */
void certificate_names(struct x509_st *c, char *out, size_t size);

void pem_wipe(char *text); /* free, of a secret */

/* "DNS:a,IP:b" of its names; false: one is none, or they are too long. */
MUST_USE bool holder_san(const struct holder *h, char *out, size_t size);

#endif
