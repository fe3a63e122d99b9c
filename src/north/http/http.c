/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP service: libwebsockets on the box's libuv loop. A service of the configuration listens on a loopback port; the box
 * that every gateway has, and that has no address, on the Unix socket in the state folder and on nothing else. Either listens
 * before the box is locked in. */
#include "north/http/http.h"

#include <arpa/inet.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct isthmus_option options[] = {
    {"listen", ISTHMUS_OPTION_BIND, "127.0.0.1:8480", 0, 0, NULL,
     "where the API and the console listen: a loopback address"},
    {"scope", ISTHMUS_OPTION_CHOICE, "all", 0, 0, "all|feeds",
     "which tags it may show: all, or those of contracts that name this service"},
    {"access", ISTHMUS_OPTION_CHOICE, "open", 0, 0, "open|signed_in",
     "who may read: whoever reaches it, or who has signed in"},
    {0},
};

static const struct lws_protocols protocols[] = {
    {"isthmus", request_callback, sizeof(struct request), 8192, 0, NULL, 0},
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

static void note_authorities(struct http *h, const char *ip, int port)
{
    snprintf(h->authority[0], sizeof h->authority[0], strchr(ip, ':') ? "[%s]:%d" : "%s:%d", ip,
             port);
    snprintf(h->authority[1], sizeof h->authority[1], "localhost:%d", port);
    snprintf(h->authority[2], sizeof h->authority[2], "127.0.0.1:%d", port);
    snprintf(h->authority[3], sizeof h->authority[3], "[::1]:%d", port);
}

static bool make_context(struct http *h)
{
    void *loops[1] = {service_loop(h->host)};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .foreign_loops = loops,
        .user = h,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .pt_serv_buf_size = 32768,
        .max_http_header_data = 8192,
        .timeout_secs = 15,
        .fd_limit_per_thread = 1024,
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
    };
    return lws_create_vhost(h->context, &info);
}

static bool make_tcp(struct http *h, const char *listen, char *why, size_t why_size)
{
    char ip[64];
    int port = split_listen(listen, ip);
    h->tcp = make_host(h, "loopback", ip, port, 0);
    if (!h->tcp) {
        snprintf(why, why_size, "can't listen on %s: is the port taken?", listen);
        return false;
    }
    port = port ? port : lws_get_vhost_port(h->tcp);
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
    free(state);
}

static void *http_open(struct service_host *host, char *why, size_t why_size)
{
    const char *listen = service_option_text(host, "listen");
    bool local = !service_plan(host)->boxes[service_box(host)].address_count;
    if (!local && !is_loopback(listen)) {
        snprintf(
            why, why_size,
            "listen: %s is no loopback address; others need identities, which are not there yet",
            listen);
        return NULL;
    }
    struct http *h = calloc(1, sizeof *h);
    if (!h) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    h->host = host;
    h->plan = service_plan(host);
    h->signed_in = service_option_number(host, "access") > 0;
    lws_set_log_level(LLL_ERR, NULL);
    if (!make_context(h)) {
        snprintf(why, why_size,
                 "libwebsockets can't start on libuv; install libwebsockets-evlib-uv");
    } else if (local ? make_local(h, why, why_size) : make_tcp(h, listen, why, why_size)) {
        return h;
    }
    if (h->context) {
        lws_context_destroy(h->context);
    }
    free(h);
    return NULL;
}

static int http_start(void *state)
{
    struct http *h = state;
    if (h->tcp) {
        service_log(h->host, "console and API on http://%s", h->authority[0]);
    }
    return ERR_OK;
}

static void http_stop(void *state)
{
    struct http *h = state;
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
