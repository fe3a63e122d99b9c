/* SPDX-License-Identifier: Apache-2.0 */
/* One exchange: refused early if it comes from where it shouldn't, then handed to its route; the answer is gathered whole
 * (bounded by BODY_MAX) and sent as the socket takes it. */
#include "north/http/http.h"

#include "base/clock.h"
#include "north/http/assets.h"
#include "north/http/prom.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

const char *request_argument(const struct request *r, const char *name)
{
    size_t n = strlen(name);
    for (int i = 0; i < r->argument_count; i++) {
        if (!strncmp(r->arguments[i], name, n) && r->arguments[i][n] == '=') {
            return r->arguments[i] + n + 1;
        }
    }
    return NULL;
}

bool request_number(struct request *r, const char *name, uint64_t fallback, uint64_t most,
                    uint64_t *out)
{
    const char *text = request_argument(r, name);
    *out = fallback;
    if (!text) {
        return true;
    }
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || v > most) {
        char detail[128];
        snprintf(detail, sizeof detail, "'%s' must be a whole number from 0 to %llu.", name,
                 (unsigned long long)most);
        request_problem(r, 400, "Wrong argument", detail);
        return false;
    }
    *out = v;
    return true;
}

bool request_time(struct request *r, const char *name, int64_t fallback, int64_t *out)
{
    const char *text = request_argument(r, name);
    *out = fallback;
    if (text && clock_parse(text, strlen(text), out)) {
        char detail[128];
        snprintf(detail, sizeof detail, "'%s' must be a time like 2026-11-22T10:00:00Z.", name);
        request_problem(r, 400, "Wrong argument", detail);
        return false;
    }
    return true;
}

void request_grown(struct request *r)
{
    size_t size = r->body.size + columns_size(r->columns);
    r->http->held += size - r->held;
    r->held = size;
    if (r->http->held > HELD_MAX) {
        r->body.bad = true;
    }
}

void request_done(struct request *r)
{
    if (r->body.bad) {
        r->http->held -= r->held;
        r->held = 0;
        json_fini(&r->body);
        json_init(&r->body, BODY_MAX);
        request_problem(r, 413, "Answer too large",
                        "Ask for less (limit, points, a shorter time), or fewer at once.");
        return;
    }
    r->ready = true;
    if (!r->dead) {
        lws_callback_on_writable(r->wsi);
    }
}

void request_problem(struct request *r, int status, const char *title, const char *detail)
{
    json_clear(&r->body);
    r->status = status;
    r->type = "application/problem+json";
    json_open(&r->body, '{');
    json_pair_text(&r->body, "title", title);
    json_pair_int(&r->body, "status", status);
    json_pair_text(&r->body, "detail", detail);
    json_close(&r->body, '}');
    request_done(r);
}

void request_ask(struct request *r, struct ask *ask, const struct answer_handler *handler)
{
    memcpy(ask->session, r->session, sizeof ask->session);
    int number = service_ask(r->http->host, ask, handler);
    if (number < 0) {
        request_problem(r, 503, "Busy", "Too many requests are under way; try again in a moment.");
        return;
    }
    r->ask = ask->request;
}

/* ---- From where: by a name of ours, or our own user through the Unix socket. ---- */

static bool host_is_ours(const struct http *h, const char *host)
{
    for (size_t i = 0; i < h->authority_count; i++) {
        if (!strcasecmp(host, h->authority[i])) {
            return true;
        }
    }
    return false;
}

static bool origin_is_ours(const struct http *h, const char *origin)
{
    size_t n = strlen(h->scheme);
    return !strncmp(origin, h->scheme, n) && !strncmp(origin + n, "://", 3) &&
           host_is_ours(h, origin + n + 3);
}

static bool is_local_peer(struct lws *wsi)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(lws_get_socket_fd(lws_get_network_wsi(wsi)), SOL_SOCKET, SO_PEERCRED, &peer,
                   &size)) {
        return false;
    }
    return peer.uid == getuid() || peer.uid == 0;
}

/* NULL: welcome; else why not. */
static const char *refusal(struct http *h, struct lws *wsi)
{
    char host[AUTHORITY_MAX] = "", origin[AUTHORITY_MAX + 16] = "";
    int origin_size = lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN);
    if (lws_get_vhost(wsi) == h->local) {
        return is_local_peer(wsi) ? NULL
                                  : "This socket serves only the gateway's own user and root.";
    }
    if (lws_hdr_copy(wsi, host, sizeof host, WSI_TOKEN_HOST) <= 0 || !host_is_ours(h, host)) {
        return "The Host header must name this gateway as its configuration does (listen, names).";
    }
    /* One too long to copy is another's as well. */
    if (origin_size > 0 &&
        (lws_hdr_copy(wsi, origin, sizeof origin, WSI_TOKEN_ORIGIN) != origin_size ||
         !origin_is_ours(h, origin))) {
        return "Requests from other origins are refused.";
    }
    return NULL;
}

/* False when there are more or longer ones than we take: to ignore a filter would answer another question. */
static bool read_arguments(struct request *r)
{
    int size;
    for (int i = 0; (size = lws_hdr_fragment_length(r->wsi, WSI_TOKEN_HTTP_URI_ARGS, i)) > 0; i++) {
        if (i == ARGUMENTS_MAX || size >= TARGET_MAX ||
            lws_hdr_copy_fragment(r->wsi, r->arguments[i], TARGET_MAX, WSI_TOKEN_HTTP_URI_ARGS, i) <
                0) {
            return false;
        }
        r->argument_count++;
    }
    return true;
}

static bool is_stream_path(struct lws *wsi)
{
    char path[64];
    return lws_hdr_copy(wsi, path, sizeof path, WSI_TOKEN_GET_URI) > 0 &&
           !strcmp(path, "/api/v1/ws");
}

/* A WebSocket begins at once or not: whoever opens one has asked for his session just before. */
static bool may_stream(struct http *h, struct lws *wsi)
{
    uint8_t session[SESSION_ID_SIZE];
    return !h->signed_in || caller_session(h, wsi, session);
}

/* Of several at a path the one for this method, else any. */
static const struct route *find_route(struct request *r, enum method method)
{
    const struct route *found = NULL;
    for (const struct route *route = http_routes; route->path; route++) {
        size_t n = strlen(route->path);
        bool wild = route->path[n - 1] == '*';
        bool same = wild ? !strncmp(r->path, route->path, n - 1) : !strcmp(r->path, route->path);
        if (same && (!found || route->method == method)) {
            r->rest = r->path + n - 1;
            found = route;
        }
    }
    return found;
}

/* The caller names the content that it still has. */
static bool has_already(struct request *r)
{
    char tags[256];
    return lws_hdr_copy(r->wsi, tags, sizeof tags, WSI_TOKEN_HTTP_IF_NONE_MATCH) > 0 &&
           (!strcmp(tags, "*") || strstr(tags, r->asset->tag));
}

static void begin(struct request *r, enum method method)
{
    static const char *const use[] = {"Use GET.", "Use POST.", "Use DELETE."};
    r->route = find_route(r, method);
    if (r->route && r->route->method != method) {
        request_problem(r, 405, "Method not allowed", use[r->route->method]);
    } else if (r->route) {
        access_begin(r);
    } else if (method == METHOD_GET && (r->asset = asset_find(r->path))) {
        r->type = r->asset->type;
        r->status = has_already(r) ? 304 : 200;
        request_done(r);
    } else {
        request_problem(r, 404, "Not found", "See /openapi.yaml for what there is.");
    }
}

/* Room for a body whose length is known beforehand and small; else the answer is made. */
static void expect_body(struct request *r)
{
    char text[24], *end = text;
    int size = lws_hdr_copy(r->wsi, text, sizeof text, WSI_TOKEN_HTTP_CONTENT_LENGTH);
    bool number = size > 0 && *text >= '0' && *text <= '9';
    unsigned long length = number ? strtoul(text, &end, 10) : 0;
    if (!number || *end || lws_hdr_total_length(r->wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0) {
        request_problem(r, 411, "Length required",
                        "Send the body at once, with a Content-Length and not in chunks.");
    } else if (length > UPLOAD_MAX) {
        request_problem(r, 413, "Body too large", "A body has at most 16384 bytes.");
    } else if (!(r->upload = malloc(UPLOAD_MAX))) {
        request_problem(r, 503, "Busy", "Out of memory; try again in a moment.");
    } else {
        r->begun_ns = clock_mono_ns();
        r->close = false;
    }
}

static int on_body(struct request *r, const void *data, size_t size)
{
    if (r->close) { /* answered already: what still comes is of no interest */
        return 0;
    }
    if (!r->upload || r->upload_size + size > UPLOAD_MAX ||
        clock_mono_ns() - r->begun_ns > UPLOAD_MS * NS_PER_MS) {
        return -1;
    }
    if (size) { /* of an empty body libwebsockets hands over nothing, at NULL */
        memcpy(r->upload + r->upload_size, data, size);
        r->upload_size += size;
    }
    return 0;
}

static int on_http(struct request *r, struct http *h, struct lws *wsi, const char *uri, size_t size)
{
    bool post = lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0;
    bool get = lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0;
    bool delete = lws_hdr_total_length(wsi, WSI_TOKEN_DELETE_URI) > 0;
    *r = (struct request){.http = h, .wsi = wsi, .status = 200, .type = "application/json"};
    r->close = !get || lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0;
    json_init(&r->body, BODY_MAX);
    h->requests++;
    if (size >= sizeof r->path) {
        request_problem(r, 414, "URI too long", "A path is shorter than 512 bytes.");
        return 0;
    }
    memcpy(r->path, uri, size);
    r->path[size] = 0;
    const char *why = refusal(h, wsi);
    if (why) {
        h->refused++;
        request_problem(r, 403, "Refused", why);
        return 0;
    }
    if (!post && !get && !delete) {
        request_problem(r, 405, "Method not allowed", "Use GET, POST or DELETE.");
        return 0;
    }
    if (!read_arguments(r)) {
        request_problem(r, 414, "Arguments too long",
                        "At most 16 arguments, each shorter than 512 bytes.");
        return 0;
    }
    caller_read(h, wsi, &r->caller); /* now, for the header may be gone when a body is there */
    if (post) {
        expect_body(r);
    } else {
        begin(r, get ? METHOD_GET : METHOD_DELETE);
    }
    return 0;
}

static int send_head(struct request *r)
{
    static const char csp[] =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; font-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        "form-action 'none'";
    const struct {
        const char *name, *value;
    } more[] = {{"content-security-policy:", csp},
                {"x-content-type-options:", "nosniff"},
                {"referrer-policy:", "no-referrer"},
                {"cache-control:", r->asset ? "no-cache" : "no-store"},
                {"etag:", r->asset ? r->asset->tag : NULL},
                {"strict-transport-security:", r->http->tls ? "max-age=31536000" : NULL},
                {"set-cookie:", *r->cookie ? r->cookie : NULL},
                {"retry-after:", *r->retry_after ? r->retry_after : NULL},
                {"www-authenticate:", r->status == 401 ? "Bearer" : NULL},
                {"transfer-encoding:", sql_is_streamed(r) ? "chunked" : NULL}};
    unsigned char buffer[LWS_PRE + 2048], *p = buffer + LWS_PRE, *start = p,
                                          *end = buffer + sizeof buffer - 1;
    size_t size = r->asset ? r->asset->size : r->body.size;
    bool open_end = r->stream || sql_is_streamed(r);
    lws_filepos_t length = open_end ? LWS_ILLEGAL_HTTP_CONTENT_LEN : (lws_filepos_t)size;
    if (lws_add_http_common_headers(r->wsi, (unsigned)r->status, r->type, length, &p, end)) {
        return -1;
    }
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        if (more[i].value &&
            lws_add_http_header_by_name(r->wsi, (const unsigned char *)more[i].name,
                                        (const unsigned char *)more[i].value,
                                        (int)strlen(more[i].value), &p, end)) {
            return -1;
        }
    }
    r->head_sent = true;
    return lws_finalize_write_http_header(r->wsi, start, &p, end) ? -1 : 0;
}

static int on_writable(struct request *r)
{
    if (!r->ready) {
        return 0;
    }
    if (!r->head_sent) {
        if (send_head(r)) {
            return -1;
        }
        if (r->status == 304) { /* it is complete, and the next request may come at once */
            return lws_http_transaction_completed(r->wsi) ? -1 : 0;
        }
        lws_callback_on_writable(r->wsi);
        return 0;
    }
    if (r->stream) {
        stream_writable(r);
        return r->dead ? -1 : 0;
    }
    if (sql_is_streamed(r)) {
        return sql_writable(r) ? 0 : -1;
    }
    unsigned char chunk[LWS_PRE + 16384];
    const char *data = r->asset ? (const char *)r->asset->data : r->body.text;
    size_t size = r->asset ? r->asset->size : r->body.size;
    size_t n = size - r->sent < 16384 ? size - r->sent : 16384;
    if (n) {
        memcpy(chunk + LWS_PRE, data + r->sent, n);
    }
    r->sent += n;
    bool last = r->sent == size;
    if (lws_write(r->wsi, chunk + LWS_PRE, n, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) <
        (int)n) {
        return -1;
    }
    if (!last) {
        lws_callback_on_writable(r->wsi);
        return 0;
    }
    return r->close || lws_http_transaction_completed(r->wsi) ? -1 : 0;
}

static void fini(struct request *r)
{
    if (r && r->http) { /* lws has no user space for what never became a request */
        if (r->ask) {
            service_forget(r->http->host, r->ask);
        }
        r->http->held -= r->held;
        if (r->ticket) {
            r->ticket->request = NULL;
        }
        stream_free(r->stream);
        sql_free(r->sql);
        columns_free(r->columns);
        contracts_free(r->contracts);
        prom_close(r);
        json_fini(&r->body);
        free(r->upload);
        explicit_bzero(&r->caller, sizeof r->caller);
        *r = (struct request){0};
    }
}

int request_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                     size_t size)
{
    struct request *r = user;
    struct http *h = lws_context_user(lws_get_context(wsi));
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        fini(r); /* the connection's exchange before */
        return on_http(r, h, wsi, in, size);
    case LWS_CALLBACK_HTTP_BODY:
        return on_body(r, in, size);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        if (r->upload && !r->ready) {
            begin(r, METHOD_POST);
        }
        return 0;
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return r && r->http ? on_writable(r) : 0;
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
        fini(r);
        return 0;
    case LWS_CALLBACK_FILTER_NETWORK_CONNECTION: /* nonzero: closed at once */
        return lws_get_vhost(wsi) == h->tcp && h->connections >= TCP_MAX ? -1 : 0;
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
        h->connections += lws_get_vhost(wsi) == h->tcp;
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        h->connections -= h->tcp && lws_get_vhost(wsi) == h->tcp && h->connections;
        return 0;
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        if (refusal(h, wsi) || !is_stream_path(wsi) || !may_stream(h, wsi)) {
            h->refused++;
            return -1;
        }
        return 0;
    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_CLOSED:
        return stream_socket(h, wsi, reason, r, in, size);
    default:
        return 0;
    }
}
