/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL copies a context's certificate into each connection when that begins, and a connection keeps the store that judged it.
 * So to renew is to put the new ones into the context. Files are looked at by their names (the sandbox lets a box ask for a
 * file's state, and read what its configuration names); they are taken when all of them are good together: a certificate that is
 * there before its key is a state that passes. */
#include "north/http/tls.h"

#include <libwebsockets.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uv.h>

#include "base/clock.h"
#include "box/strict_file.h"
#include "guard/certificate.h"

#define LOOK_MS 1000
#define SAID_MS 10000 /* in so long … */
#define SAID    10    /* … it is told no more often why a client was refused */
#define FILES   4

enum client_certs { CLIENT_NONE, CLIENT_OPTIONAL, CLIENT_REQUIRED };

struct tls {
    struct service_host *host;
    struct ssl_ctx_st *server; /* borrowed; NULL: not made yet */
    const char *paths[FILES];  /* cert, key, client_ca, crl; "": none */
    const char *names;
    enum client_certs asks;
    struct certificate_pair pair; /* until it is in the context */
    X509_STORE *store;
    struct stat seen[FILES];
    uv_timer_t *timer; /* NULL: none */
    uint64_t said_ms;  /* since when … */
    uint32_t said;     /* … so often */
};

static int tls_index = -1; /* of the struct tls that a context belongs to */

/* ---- Reading ---- */

static bool look(struct tls *t)
{
    bool changed = false;
    for (int i = 0; i < FILES; i++) {
        struct stat now = {0};
        if (*t->paths[i] && stat(t->paths[i], &now)) {
            now = (struct stat){0};
        }
        const struct stat *then = t->seen + i;
        changed |= now.st_ino != then->st_ino || now.st_size != then->st_size ||
                   now.st_mode != then->st_mode || now.st_uid != then->st_uid ||
                   now.st_mtim.tv_sec != then->st_mtim.tv_sec ||
                   now.st_mtim.tv_nsec != then->st_mtim.tv_nsec;
        t->seen[i] = now;
    }
    return changed;
}

static bool read_pair(struct tls *t, char *cert, char *key, char *why, size_t why_size)
{
    int key_size = strict_file_read(t->paths[1], true, key, why, why_size);
    int cert_size =
        key_size < 0 ? key_size : strict_file_read(t->paths[0], false, cert, why, why_size);
    if (cert_size < 0 || certificate_pair_read(cert, (size_t)cert_size, key, (size_t)key_size,
                                               &t->pair, why, why_size)) {
        return false;
    }
    return certificate_serves(t->pair.leaf, t->names, clock_utc_ns(), why, why_size);
}

/* All certificates and lists of a PEM text. */
static bool add_to_store(X509_STORE *store, const char *text, size_t size)
{
    BIO *bio = BIO_new_mem_buf(text, (int)size);
    STACK_OF(X509_INFO) *all = bio ? PEM_X509_INFO_read_bio(bio, NULL, NULL, NULL) : NULL;
    bool any = false, good = all != NULL;
    for (int i = 0; good && i < sk_X509_INFO_num(all); i++) {
        const X509_INFO *info = sk_X509_INFO_value(all, i);
        good = (!info->x509 || X509_STORE_add_cert(store, info->x509)) &&
               (!info->crl || X509_STORE_add_crl(store, info->crl));
        any |= info->x509 || info->crl;
    }
    sk_X509_INFO_pop_free(all, X509_INFO_free);
    BIO_free(bio);
    ERR_clear_error();
    return good && any;
}

static bool read_store(struct tls *t, char *text, char *why, size_t why_size)
{
    t->store = X509_STORE_new();
    if (!t->store) {
        snprintf(why, why_size, "out of memory");
        return false;
    }
    for (int i = 2; i < FILES; i++) {
        int size = *t->paths[i] ? strict_file_read(t->paths[i], false, text, why, why_size) : 0;
        if (size < 0) {
            return false;
        }
        if (*t->paths[i] && !add_to_store(t->store, text, (size_t)size)) {
            snprintf(why, why_size, "'%s' holds no %s in PEM", t->paths[i],
                     i == 2 ? "certificate of an authority" : "list of revoked certificates");
            return false;
        }
    }
    if (*t->paths[3]) {
        X509_STORE_set_flags(t->store, X509_V_FLAG_CRL_CHECK);
    }
    return true;
}

static void drop(struct tls *t)
{
    certificate_pair_free(&t->pair);
    X509_STORE_free(t->store);
    t->store = NULL;
}

static bool read_files(struct tls *t, char *why, size_t why_size)
{
    char *cert = malloc(STRICT_FILE_MAX + 1), *key = malloc(STRICT_FILE_MAX + 1);
    bool good = cert && key;
    if (!good) {
        snprintf(why, why_size, "out of memory");
    }
    good = good && read_pair(t, cert, key, why, why_size) &&
           (t->asks == CLIENT_NONE || read_store(t, cert, why, why_size));
    if (key) {
        explicit_bzero(key, STRICT_FILE_MAX + 1);
    }
    free(key);
    free(cert);
    if (!good) {
        drop(t);
    }
    return good;
}

struct tls *tls_new(struct service_host *host, char *why, size_t why_size)
{
    static const char *const names[FILES] = {"cert", "key", "client_ca", "crl"};
    struct tls *t = calloc(1, sizeof *t);
    if (!t) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    t->host = host;
    t->asks = (enum client_certs)service_option_number(host, "client_certs");
    t->names = service_option_text(host, "names");
    for (int i = 0; i < FILES; i++) {
        t->paths[i] = service_option_text(host, names[i]);
    }
    (void)look(t);
    if (!read_files(t, why, why_size)) {
        free(t);
        return NULL;
    }
    return t;
}

void tls_free(struct tls *t)
{
    if (t) {
        drop(t);
        free(t);
    }
}

/* ---- Serving ---- */

static int on_verify(int good, X509_STORE_CTX *judged)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(judged, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *t = ssl ? SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), tls_index) : NULL;
    if (!good && t) {
        uint64_t now = uv_now(service_loop(t->host));
        const X509 *shown = X509_STORE_CTX_get_current_cert(judged);
        char name[128] = "";
        if (shown) {
            X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName, name,
                                      sizeof name);
        }
        for (char *c = name; *c; c++) { /* a stranger's words go into our log */
            *c = (*c >= ' ' && *c < 127) ? *c : '?';
        }
        if (now - t->said_ms >= SAID_MS) {
            t->said_ms = now;
            t->said = 0;
        }
        if (t->said++ < SAID) {
            service_log(t->host, "refused the client certificate '%s': %s", name,
                        certificate_explain(X509_STORE_CTX_get_error(judged)));
        }
    }
    return good;
}

/* Whose certificates a client should offer: browsers show only these. */
static void name_authorities(struct tls *t)
{
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    const STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(t->store);
    for (int i = 0; names && i < sk_X509_OBJECT_num(all); i++) {
        X509 *authority = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
        X509_NAME *name = authority ? X509_NAME_dup(X509_get_subject_name(authority)) : NULL;
        if (name && !sk_X509_NAME_push(names, name)) {
            X509_NAME_free(name);
        }
    }
    SSL_CTX_set_client_CA_list(t->server, names); /* takes it */
}

/* The first end of what serving needs: the certificate, and the list without which no client is let in. */
static int64_t first_end_ns(const struct tls *t)
{
    int64_t end = certificate_ends_ns(t->pair.leaf);
    const STACK_OF(X509_OBJECT) *all = t->store ? X509_STORE_get0_objects(t->store) : NULL;
    for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
        const X509_CRL *list = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(all, i));
        int64_t of_list = list ? certificate_time_ns(X509_CRL_get0_nextUpdate(list)) : INT64_MAX;
        end = of_list < end ? of_list : end;
    }
    return end;
}

static bool put(struct tls *t)
{
    int64_t end_ns = first_end_ns(t);
    bool good =
        SSL_CTX_use_cert_and_key(t->server, t->pair.leaf, t->pair.key, t->pair.chain, 1) == 1;
    if (good && t->store) {
        name_authorities(t);
        SSL_CTX_set_cert_store(t->server, t->store); /* takes it */
        t->store = NULL;
    }
    if (good) {
        service_certificate(t->host, end_ns);
    }
    drop(t);
    return good;
}

bool tls_begin(struct tls *t, SSL_CTX *server)
{
    static const int modes[] = {[CLIENT_NONE] = SSL_VERIFY_NONE,
                                [CLIENT_OPTIONAL] = SSL_VERIFY_PEER,
                                [CLIENT_REQUIRED] =
                                    SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT};
    if (tls_index < 0) {
        tls_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    }
    t->server = server;
    SSL_CTX_set_ex_data(server, tls_index, t);
    SSL_CTX_set_verify(server, modes[t->asks], on_verify);
    /* A ticket would carry a certificate past its revocation. */
    SSL_CTX_set_session_cache_mode(server, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(server, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                    SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_num_tickets(server, 0);
    return SSL_CTX_set_min_proto_version(server, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(server, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 && put(t);
}

bool tls_is_begun(const struct tls *t)
{
    return t->server != NULL;
}

/* The new files, or what is wrong with them, once. */
static void on_look(uv_timer_t *timer)
{
    struct tls *t = timer->data;
    char why[512] = "";
    if (!look(t)) {
        return;
    }
    if (!read_files(t, why, sizeof why) || !put(t)) {
        service_log(t->host, "the changed certificate files are not taken up: %s", why);
    } else {
        service_log(t->host, "new certificate files are taken up");
    }
}

bool tls_start(struct tls *t)
{
    t->timer = malloc(sizeof *t->timer);
    if (!t->timer || uv_timer_init(service_loop(t->host), t->timer)) {
        free(t->timer);
        t->timer = NULL;
        return false;
    }
    t->timer->data = t;
    return uv_timer_start(t->timer, on_look, LOOK_MS, LOOK_MS) == 0;
}

static void on_closed(uv_handle_t *timer)
{
    free(timer);
}

void tls_stop(struct tls *t)
{
    if (t->timer) {
        uv_close((uv_handle_t *)t->timer, on_closed);
        t->timer = NULL;
    }
}

bool tls_peer_key(struct lws *wsi, uint8_t key[32])
{
    SSL *ssl = lws_get_ssl(lws_get_network_wsi(wsi));
    X509 *shown =
        ssl && SSL_get_verify_result(ssl) == X509_V_OK ? SSL_get1_peer_certificate(ssl) : NULL;
    bool good = shown && certificate_key(shown, key);
    X509_free(shown);
    return good;
}
