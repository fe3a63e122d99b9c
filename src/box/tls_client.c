/* SPDX-License-Identifier: Apache-2.0 */
/* The system's bundle is taken and not its folder, which OpenSSL reads only when it looks for a certificate, and it is read
 * before the box is locked in: from then on a box reads the files of its configuration and no others. They are read before each connection, so what was renewed is taken up with the
 * next one, and the one that is open lives on. The server's name is checked here for all connections of the context, and put in
 * before the first message for SNI: libmosquitto only knows the address. */
#include "box/tls_client.h"

#include "box/strict_file.h"
#include "guard/certificate.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int refusal_index = -1; /* of what on_verify keeps in a context */

#define SYSTEM_BUNDLE "/etc/ssl/certs/ca-certificates.crt"

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

/* Keeps the reason beside the context: OpenSSL and libmosquitto tell none that helps. */
static int on_verify(int good, X509_STORE_CTX *store)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    if (!good && ssl) {
        int error = X509_STORE_CTX_get_error(store);
        SSL_CTX_set_ex_data(SSL_get_SSL_CTX(ssl), refusal_index, (void *)(intptr_t)error);
    }
    return good;
}

const char *tls_client_refusal(struct ssl_ctx_st *tls)
{
    intptr_t error = tls ? (intptr_t)SSL_CTX_get_ex_data(tls, refusal_index) : 0;
    if (!error) {
        return NULL;
    }
    SSL_CTX_set_ex_data(tls, refusal_index, NULL);
    return certificate_explain((int)error);
}

static bool load_trust(SSL_CTX *c, const char *ca, char *why, size_t why_size)
{
    X509_STORE *store = X509_STORE_new();
    if (!store || X509_STORE_load_file(store, ca) != 1) {
        snprintf(why, why_size, "option 'ca': '%s' holds no certificates that can be used", ca);
        X509_STORE_free(store);
        ERR_clear_error();
        return false;
    }
    SSL_CTX_set_cert_store(c, store); /* takes it */
    return true;
}

static bool load_pair(SSL_CTX *c, const char *cert, const char *key, char *why, size_t why_size)
{
    char *texts = malloc(2 * (STRICT_FILE_MAX + 1)), reason[256] = "out of memory";
    char *of_key = texts ? texts + STRICT_FILE_MAX + 1 : NULL;
    struct certificate_pair pair = {0};
    int key_size = texts ? strict_file_read(key, true, of_key, reason, sizeof reason) : ERR_NOMEM;
    int cert_size =
        key_size < 0 ? key_size : strict_file_read(cert, false, texts, reason, sizeof reason);
    bool good = cert_size >= 0 &&
                !certificate_pair_read(texts, (size_t)cert_size, of_key, (size_t)key_size, &pair,
                                       reason, sizeof reason) &&
                SSL_CTX_use_cert_and_key(c, pair.leaf, pair.key, pair.chain, 1) == 1;
    if (!good) {
        snprintf(why, why_size, "options 'cert' and 'key': %s", reason);
        ERR_clear_error();
    }
    certificate_pair_free(&pair);
    if (of_key) {
        explicit_bzero(of_key, STRICT_FILE_MAX + 1);
    }
    free(texts);
    return good;
}

int tls_client_load(struct ssl_ctx_st *c, const char *ca, const char *cert, const char *key,
                    char *why, size_t why_size)
{
    if (!*cert != !*key) {
        snprintf(why, why_size, "options 'cert' and 'key' go together");
        return ERR_CONFIG;
    }
    bool good = (!*ca || load_trust(c, ca, why, why_size)) &&
                (!*cert || load_pair(c, cert, key, why, why_size));
    return good ? ERR_OK : ERR_CONFIG;
}

struct ssl_ctx_st *tls_client_new(const char *name, bool system, char *why, size_t why_size)
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
        snprintf(why, why_size, "option 'tls_name': '%s' is no name", name);
    }
    if (good != 1 || (system && !load_trust(c, SYSTEM_BUNDLE, why, why_size))) {
        SSL_CTX_free(c);
        return NULL;
    }
    return c;
}

int64_t tls_client_ends_ns(struct ssl_ctx_st *tls)
{
    X509 *shown = tls ? SSL_CTX_get0_certificate(tls) : NULL;
    return shown ? certificate_ends_ns(shown) : 0;
}
