/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP service: libwebsockets on the box's libuv loop. A service of the configuration listens on a loopback port, or with
 * TLS and for those who have signed in on any other; the box that every gateway has, and that has no address, on the Unix socket in the state folder and on nothing else. Either listens
 * before the box is locked in. */
#include "north/http/http.h"

#include "guard/certificate.h"
#include "north/http/tls.h"

#include <arpa/inet.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct isthmus_option options[] = {
    {"listen", ISTHMUS_OPTION_BIND, "127.0.0.1:8480", 0, 0, NULL,
     "where the API and the console listen: beyond loopback only with tls and access: signed_in"},
    {"scope", ISTHMUS_OPTION_CHOICE, "all", 0, 0, "all|feeds",
     "which tags it may show: all, or those of contracts that name this service"},
    {"access", ISTHMUS_OPTION_CHOICE, "open", 0, 0, "open|signed_in",
     "who may read: whoever reaches it, or who has signed in"},
    {"tls", ISTHMUS_OPTION_BOOL, "false", 0, 0, NULL, "HTTPS, with TLS 1.2 or newer"},
    {"cert", ISTHMUS_OPTION_FILE, "", 0, 0, NULL,
     "PEM file of the certificate; empty: the gateway's own, STATE/pki/gateway.crt"},
    {"key", ISTHMUS_OPTION_FILE, "", 0, 0, NULL,
     "PEM file of its private key, mode 0600; empty: STATE/pki/gateway.key"},
    {"names", ISTHMUS_OPTION_TEXT, "", 0, 0, NULL,
     "host names and addresses, with commas between them, by which it is called"},
    {"client_certs", ISTHMUS_OPTION_CHOICE, "none", 0, 0, "none|optional|required",
     "whether clients show a certificate"},
    {"client_ca", ISTHMUS_OPTION_FILE, "", 0, 0, NULL,
     "PEM file of the authority of clients; empty: STATE/pki/root.crt"},
    {"crl", ISTHMUS_OPTION_FILE, "", 0, 0, NULL,
     "PEM file of the list of revoked certificates; empty: STATE/pki/root.crl, unless client_ca is "
     "given"},
    {0},
};

/* Before the first exchange libwebsockets shows the context of TLS that it has made. */
static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t size)
{
    if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS) {
        struct http *h = lws_context_user(lws_get_context(wsi));
        return h->tls && tls_begin(h->tls, user) ? 0 : -1;
    }
    return request_callback(wsi, reason, user, in, size);
}

static const struct lws_protocols protocols[] = {
    {"isthmus", on_event, sizeof(struct request), 8192, 0, NULL, 0},
    {0},
};

/* The address of ADDRESS:PORT without the brackets of IPv6; its port, or -1 when it has none. */
static int split_listen(const char *listen, char ip[64])
{
    const char *colon = strrchr(listen, ':');
    bool bracket = listen[0] == '[' && colon && colon > listen && colon[-1] == ']';
    *ip = 0;
    if (!colon) {
        return -1;
    }
    snprintf(ip, 64, "%.*s", (int)(colon - listen) - 2 * bracket, listen + bracket);
    return atoi(colon + 1);
}

/* A name that begins like one is none: "127.0.0.1.example". */
static bool is_loopback(const char *listen)
{
    char ip[64];
    struct in_addr v4;
    return split_listen(listen, ip) >= 0 &&
           (!strcmp(ip, "::1") ||
            (inet_pton(AF_INET, ip, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127));
}

static void note_authority(struct http *h, const char *name, int port)
{
    bool bare = strchr(name, ':') != NULL;
    if (h->authority_count + 2 > AUTHORITIES) {
        return;
    }
    snprintf(h->authority[h->authority_count++], AUTHORITY_MAX, bare ? "[%s]:%d" : "%s:%d", name,
             port);
    if (port == (h->tls ? 443 : 80)) { /* browsers leave it away */
        snprintf(h->authority[h->authority_count++], AUTHORITY_MAX, bare ? "[%s]" : "%s", name);
    }
}

static void note_authorities(struct http *h, const char *ip, int port)
{
    char name[CERTIFICATE_NAME_MAX];
    const char *names = service_option_text(h->host, "names");
    while (certificate_next_name(&names, name)) {
        note_authority(h, name, port);
    }
    note_authority(h, ip, port);
    note_authority(h, "localhost", port);
    note_authority(h, "127.0.0.1", port);
    note_authority(h, "::1", port);
}

static bool make_context(struct http *h)
{
    void *loops[1] = {service_loop(h->host)};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   (h->tls ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0),
        .foreign_loops = loops,
        .user = h,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .pt_serv_buf_size = 32768,
        .max_http_header_data = 8192,
        .timeout_secs = 15,
        .fd_limit_per_thread = TCP_MAX + 200,
    };
    h->context = lws_create_context(&info);
    return h->context != NULL;
}

static struct lws_vhost *make_host(struct http *h, const char *name, const char *iface, int port,
                                   uint64_t more)
{
    struct lws_context_creation_info info = {
        .vhost_name = name,
        .iface = iface,
        .port = port,
        .protocols = protocols,
        .options = more,
        .keepalive_timeout = 30,
        .alpn = "http/1.1", /* what the exchange knows */
    };
    return lws_create_vhost(h->context, &info);
}

static bool make_tcp(struct http *h, const char *listen, char *why, size_t why_size)
{
    char ip[64];
    int port = split_listen(listen, ip);
    uint64_t tls = LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    h->tcp = make_host(h, "tcp", ip, port, h->tls ? tls : 0);
    if (!h->tcp) {
        snprintf(why, why_size, "can't listen on %s: is the port taken?", listen);
        return false;
    }
    if (h->tls && !tls_is_begun(h->tls)) { /* it would answer in the clear */
        snprintf(why, why_size, "TLS can't be set up");
        return false;
    }
    port = port ? port : lws_get_vhost_port(h->tcp);
    h->scheme = h->tls ? "https" : "http";
    h->peer_key = service_option_number(h->host, "client_certs") > 0 ? tls_peer_key : NULL;
    note_authorities(h, ip, port);
    /* a browser gives a cookie to every port of a host */
    snprintf(h->cookie_name, sizeof h->cookie_name, "isthmus-%d", port);
    return true;
}

static bool make_local(struct http *h, char *why, size_t why_size)
{
    int size = snprintf(h->socket_path, sizeof h->socket_path, "%s/isthmus.sock",
                        plan_text(h->plan, h->plan->header->state_dir));
    if (size >= (int)sizeof h->socket_path) {
        snprintf(why, why_size, "the path of the state folder is too long for a socket in it");
        return false;
    }
    unlink(h->socket_path);
    h->local = make_host(h, "local", h->socket_path, 0, LWS_SERVER_OPTION_UNIX_SOCK);
    if (!h->local || chmod(h->socket_path, 0600)) { /* libwebsockets lets the group in */
        snprintf(why, why_size, "can't listen on %s", h->socket_path);
        return false;
    }
    return true;
}

static void http_free(void *state)
{
    struct http *h = state;
    tls_free(h->tls);
    free(h);
}

/* What check has refused before; a box does not count on that. */
static bool may_listen(const struct http *h, const char *listen)
{
    return is_loopback(listen) || (service_option_number(h->host, "tls") > 0 && h->signed_in);
}

static bool begin(struct http *h, char *why, size_t why_size)
{
    const char *listen = service_option_text(h->host, "listen");
    bool local = !h->plan->boxes[service_box(h->host)].address_count;
    if (!local && !may_listen(h, listen)) {
        snprintf(why, why_size,
                 "listen: %s is no loopback address: tls: true and access: signed_in are missing",
                 listen);
        return false;
    }
    if (!local && service_option_number(h->host, "tls") > 0) {
        h->tls = tls_new(h->host, why, why_size);
        if (!h->tls) {
            return false;
        }
    }
    if (!make_context(h)) {
        snprintf(why, why_size,
                 "libwebsockets can't start on libuv; install libwebsockets-evlib-uv");
        return false;
    }
    return local ? make_local(h, why, why_size) : make_tcp(h, listen, why, why_size);
}

static void *http_open(struct service_host *host, char *why, size_t why_size)
{
    struct http *h = calloc(1, sizeof *h);
    if (!h) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    h->host = host;
    h->plan = service_plan(host);
    h->signed_in = service_option_number(host, "access") > 0;
    lws_set_log_level(LLL_ERR, NULL);
    if (begin(h, why, why_size)) {
        return h;
    }
    if (h->context) {
        lws_context_destroy(h->context);
    }
    http_free(h);
    return NULL;
}

static int http_start(void *state)
{
    struct http *h = state;
    if (h->tls && !tls_start(h->tls)) {
        return ERR_NOMEM;
    }
    if (h->tcp) {
        service_log(h->host, "console and API on %s://%s", h->scheme, h->authority[0]);
    }
    return ERR_OK;
}

static void http_stop(void *state)
{
    struct http *h = state;
    if (h->tls) {
        tls_stop(h->tls);
    }
    lws_context_destroy(h->context);
    h->context = NULL;
    service_stopped(h->host);
}

static const struct service service = {
    .name = "http",
    .summary = "HTTP API, WebSocket stream, metrics and the web console",
    .options = options,
    .open = http_open,
    .start = http_start,
    .stop = http_stop,
    .free = http_free,
};

const struct service *isthmus_service(void)
{
    return &service;
}
