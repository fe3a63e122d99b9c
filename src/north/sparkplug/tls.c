/* SPDX-License-Identifier: Apache-2.0 */
/* Everything is read before the box is locked in, so the system's bundle is taken and not its folder, which OpenSSL reads
 * only when it looks for a certificate. The broker's name is checked here for all connections of the context;
 * libmosquitto only knows the address, so the name for SNI is put in before the first message. */
#include "north/sparkplug/sparkplug.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int refusal_index = -1; /* of what on_verify keeps in a context */

#define SYSTEM_BUNDLE "/etc/ssl/certs/ca-certificates.crt"

static void explain(char *why, size_t why_size, const char *what, const char *file)
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    snprintf(why, why_size, "%s '%s': %s", what, file, reason ? reason : "cannot be used");
    ERR_clear_error();
}

static bool is_address(const char *name)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

static void on_info(const SSL *ssl, int where, int value)
{
    (void)value;
    const char *name = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if ((where & SSL_CB_HANDSHAKE_START) && name && !is_address(name)) {
        SSL_set_tlsext_host_name((SSL *)(uintptr_t)ssl, name);
    }
}

/* Keeps the reason beside the context: libmosquitto tells none. */
static int on_verify(int good, X509_STORE_CTX *store)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    if (!good && ssl) {
        int error = X509_STORE_CTX_get_error(store);
        SSL_CTX_set_ex_data(SSL_get_SSL_CTX(ssl), refusal_index, (void *)(intptr_t)error);
    }
    return good;
}

const char *tls_refusal(struct ssl_ctx_st *tls)
{
    intptr_t error = tls ? (intptr_t)SSL_CTX_get_ex_data(tls, refusal_index) : 0;
    if (!error) {
        return NULL;
    }
    SSL_CTX_set_ex_data(tls, refusal_index, NULL);
    return X509_verify_cert_error_string((long)error);
}

static int load(SSL_CTX *c, const char *ca, const char *cert, const char *key, char *why,
                size_t why_size)
{
    const char *trust = *ca ? ca : SYSTEM_BUNDLE;
    if (SSL_CTX_load_verify_file(c, trust) != 1) {
        explain(why, why_size, "option 'ca'", trust);
        return ERR_CONFIG;
    }
    if (!*cert != !*key) {
        snprintf(why, why_size, "options 'cert' and 'key' go together");
        return ERR_CONFIG;
    }
    if (*cert && SSL_CTX_use_certificate_chain_file(c, cert) != 1) {
        explain(why, why_size, "option 'cert'", cert);
        return ERR_CONFIG;
    }
    if (*key && (SSL_CTX_use_PrivateKey_file(c, key, SSL_FILETYPE_PEM) != 1 ||
                 SSL_CTX_check_private_key(c) != 1)) {
        explain(why, why_size, "option 'key'", key);
        return ERR_CONFIG;
    }
    return ERR_OK;
}

struct ssl_ctx_st *tls_new(const char *ca, const char *cert, const char *key, const char *name,
                           char *why, size_t why_size)
{
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    if (!c || SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) != 1) {
        snprintf(why, why_size, "TLS cannot be set up");
        SSL_CTX_free(c);
        return NULL;
    }
    if (refusal_index < 0) {
        refusal_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    }
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, on_verify);
    X509_VERIFY_PARAM *check = SSL_CTX_get0_param(c);
    int good = is_address(name) ? X509_VERIFY_PARAM_set1_ip_asc(check, name)
                                : X509_VERIFY_PARAM_set1_host(check, name, 0);
    SSL_CTX_set_app_data(c, (void *)(uintptr_t)name); /* borrowed: the caller's options */
    SSL_CTX_set_info_callback(c, on_info);
    if (good != 1) {
        explain(why, why_size, "option 'tls_name'", name);
    }
    if (good != 1 || load(c, ca, cert, key, why, why_size)) {
        SSL_CTX_free(c);
        return NULL;
    }
    return c;
}
