/* SPDX-License-Identifier: Apache-2.0 */
#include "north/http/http_input.h"

#include "box/sandbox.h"
#include "box/test_plan.h"
#include "north/http/assets.h"
#include "north/http/http.h"

#include <uv.h>

#define ASKS  SERVICE_ASKS_MAX
#define TURNS 50 /* a stream that lives on is looked at so often */

#define SIGNS 4

enum {
    PATH,
    ARGUMENTS,
    HOST,
    ORIGIN,
    NONE_MATCH,
    LENGTH,
    ENCODING,
    COOKIE,
    AUTHORIZATION,
    CSRF,
    TEXTS
};

struct lws { /* what the service is told of the request under way */
    char *texts[TEXTS];
    char method[8];
    bool wants_write, completed;
};

struct lws_vhost { /* never looked into */
    int unused;
};

static struct {
    uv_loop_t loop;
    struct plan plan;
    struct http http;
    struct answer_handler asks[ASKS];
    bool asked[ASKS], waits[ASKS];
    service_command_done *command_done;
    void *command_context;
    struct record_receipt receipt;
    struct browse_handler browse;
    bool browses;
    struct sign {
        struct sign_request request;
        service_sign_done *done; /* NULL: free */
        void *context;
    } signs[SIGNS];
} world;

/* ---- libwebsockets. ---- */

static const char *token(const struct lws *wsi, enum lws_token_indexes index)
{
    const char *text = NULL;
    if (index == WSI_TOKEN_GET_URI && strcmp(wsi->method, "POST") != 0 &&
        strcmp(wsi->method, "DELETE") != 0 && strcmp(wsi->method, "PUT") != 0) {
        text = wsi->texts[PATH];
    } else if (index == WSI_TOKEN_POST_URI && !strcmp(wsi->method, "POST")) {
        text = wsi->texts[PATH];
    } else if (index == WSI_TOKEN_DELETE_URI && !strcmp(wsi->method, "DELETE")) {
        text = wsi->texts[PATH];
    } else if (index == WSI_TOKEN_HTTP_COOKIE) {
        text = wsi->texts[COOKIE];
    } else if (index == WSI_TOKEN_HTTP_AUTHORIZATION) {
        text = wsi->texts[AUTHORIZATION];
    } else if (index == WSI_TOKEN_HOST) {
        text = wsi->texts[HOST];
    } else if (index == WSI_TOKEN_ORIGIN) {
        text = wsi->texts[ORIGIN];
    } else if (index == WSI_TOKEN_HTTP_IF_NONE_MATCH) {
        text = wsi->texts[NONE_MATCH];
    } else if (index == WSI_TOKEN_HTTP_CONTENT_LENGTH) {
        text = wsi->texts[LENGTH];
    } else if (index == WSI_TOKEN_HTTP_TRANSFER_ENCODING) {
        text = wsi->texts[ENCODING];
    }
    return text ? text : "";
}

static int give(char *out, int capacity, const char *text, size_t size)
{
    if (size >= (size_t)capacity) {
        return -1;
    }
    memcpy(out, text, size);
    out[size] = 0;
    return (int)size;
}

int lws_hdr_total_length(struct lws *wsi, enum lws_token_indexes index)
{
    return (int)strlen(token(wsi, index));
}

int lws_hdr_copy(struct lws *wsi, char *out, int capacity, enum lws_token_indexes index)
{
    const char *text = token(wsi, index);
    return give(out, capacity, text, strlen(text));
}

int lws_hdr_custom_copy(struct lws *wsi, char *out, int capacity, const char *name, int name_size)
{
    const char *text = wsi->texts[CSRF];
    (void)name;
    (void)name_size;
    return text ? give(out, capacity, text, strlen(text)) : -1;
}

/* The argument number `i`; NULL: there is none. */
static const char *argument(const struct lws *wsi, int i, size_t *size)
{
    const char *at = wsi->texts[ARGUMENTS];
    while (at && i-- > 0) {
        at = strchr(at, '&');
        at = at ? at + 1 : NULL;
    }
    *size = at ? strcspn(at, "&") : 0;
    return at;
}

int lws_hdr_fragment_length(struct lws *wsi, enum lws_token_indexes index, int i)
{
    size_t size;
    (void)index;
    argument(wsi, i, &size);
    return (int)size;
}

int lws_hdr_copy_fragment(struct lws *wsi, char *out, int capacity, enum lws_token_indexes index,
                          int i)
{
    size_t size;
    (void)index;
    const char *text = argument(wsi, i, &size);
    return text ? give(out, capacity, text, size) : -1;
}

struct lws *lws_get_network_wsi(struct lws *wsi)
{
    return wsi;
}

lws_sockfd_type lws_get_socket_fd(struct lws *wsi)
{
    (void)wsi;
    return -1;
}

struct lws_vhost *lws_get_vhost(struct lws *wsi)
{
    (void)wsi;
    return world.http.tcp;
}

struct lws_context *lws_get_context(const struct lws *wsi)
{
    (void)wsi;
    return NULL;
}

void *lws_context_user(struct lws_context *context)
{
    (void)context;
    return &world.http;
}

int lws_callback_on_writable(struct lws *wsi)
{
    wsi->wants_write = true;
    return 1;
}

void lws_set_timeout(struct lws *wsi, enum pending_timeout reason, int seconds)
{
    (void)wsi;
    (void)reason;
    (void)seconds;
}

int lws_is_final_fragment(struct lws *wsi)
{
    (void)wsi;
    return 1;
}

int lws_add_http_common_headers(struct lws *wsi, unsigned int code, const char *type,
                                lws_filepos_t size, unsigned char **at, unsigned char *end)
{
    (void)wsi;
    (void)code;
    (void)size;
    *at += strlen(type) + 100;
    return *at >= end;
}

int lws_add_http_header_by_name(struct lws *wsi, const unsigned char *name,
                                const unsigned char *value, int size, unsigned char **at,
                                unsigned char *end)
{
    (void)wsi;
    if (size < 0 || strlen((const char *)name) + (size_t)size + 4 >= (size_t)(end - *at)) {
        return 1;
    }
    memcpy(*at, value, (size_t)size);
    *at += size;
    return 0;
}

int lws_finalize_write_http_header(struct lws *wsi, unsigned char *start, unsigned char **at,
                                   unsigned char *end)
{
    (void)wsi;
    return *at < start || *at >= end;
}

int lws_write(struct lws *wsi, unsigned char *data, size_t size, enum lws_write_protocol protocol)
{
    static unsigned char sent[32768]; /* read, so that a sanitizer sees what is sent */
    (void)wsi;
    (void)protocol;
    if (size > sizeof sent) {
        abort();
    }
    memcpy(sent, data, size);
    return (int)size;
}

int lws_http_transaction_completed(struct lws *wsi)
{
    wsi->completed = true;
    return 0;
}

/* ---- The host, with a reader that knows nothing. ---- */

struct uv_loop_s *service_loop(struct service_host *host)
{
    (void)host;
    return &world.loop;
}

int service_ask(struct service_host *host, struct ask *ask, const struct answer_handler *handler)
{
    (void)host;
    for (uint32_t i = 0; i < ASKS; i++) {
        if (!world.asked[i]) {
            world.asked[i] = true;
            world.waits[i] = ask->kind == ASK_HEAD; /* nothing new comes */
            world.asks[i] = *handler;
            ask->request = i + 1;
            return (int)ask->request;
        }
    }
    return ERR_FULL;
}

int service_ask_search(struct service_host *host, struct ask *ask, const struct ask_search *search,
                       const struct answer_handler *handler)
{
    (void)search;
    ask->kind = ASK_SEARCH;
    return service_ask(host, ask, handler);
}

int service_ask_sql(struct service_host *host, struct ask *ask, const struct ask_sql *sql,
                    const char *text, size_t size, const struct answer_handler *handler)
{
    (void)sql;
    (void)text;
    (void)size;
    ask->kind = ASK_SQL;
    return service_ask(host, ask, handler);
}

void service_take(struct service_host *host, uint32_t request, uint32_t bytes)
{
    (void)host;
    (void)request;
    (void)bytes;
}

void service_forget(struct service_host *host, uint32_t request)
{
    (void)host;
    world.asked[request - 1] = false;
}

int service_command(struct service_host *host, const struct record_command *command,
                    service_command_done *done, void *context)
{
    (void)host;
    if (world.command_done) {
        return ERR_FULL;
    }
    world.receipt = (struct record_receipt){.tag = command->tag,
                                            .type = command->type,
                                            .value = command->value,
                                            .act = command->act,
                                            .state = COMMAND_REFUSED};
    memcpy(world.receipt.id, command->id, sizeof world.receipt.id);
    world.command_done = done;
    world.command_context = context;
    return ERR_OK;
}
int service_batch(struct service_host *host, const struct record_commands *batch,
                  const struct record_part *parts, service_command_done *done, void *context)
{
    const struct record_command first = {.act = batch->act, .tag = parts[0].tag};
    return service_command(host, &first, done, context);
}

const char *sandbox_layer_name(unsigned bit_number)
{
    return bit_number < 8 ? "layer" : NULL;
}

const struct asset *asset_find(const char *path)
{
    static const struct asset console = {.path = "/",
                                         .type = "text/html",
                                         .tag = "\"1\"",
                                         .data = (const void *)"<html>",
                                         .size = 6};
    return strcmp(path, "/") ? NULL : &console;
}

int service_browse(struct service_host *host, uint32_t device, const uint8_t session[16],
                   const struct browse_handler *handler)
{
    (void)host;
    (void)session;
    if (world.browses || device >= world.plan.header->devices.count) {
        return ERR_BUSY;
    }
    world.browses = true;
    world.browse = *handler;
    return ERR_OK;
}

int service_sign(struct service_host *host, struct sign_request *request, service_sign_done *done,
                 void *context)
{
    (void)host;
    for (int i = 0; i < SIGNS; i++) {
        if (!world.signs[i].done) {
            world.signs[i] = (struct sign){*request, done, context};
            return ERR_OK;
        }
    }
    return ERR_FULL;
}

/* The identity knows one session, whose id begins with a zero, one token, one password and one link: "sesame". */
static void answer_identity(struct sign *s)
{
    const struct sign_request *q = &s->request;
    bool opens = q->kind == SIGN_IN || q->kind == SIGN_TOKEN || q->kind == SIGN_ENROL;
    bool right = opens ? !strcmp(q->secret, "sesame") : q->kind == SIGN_LOCAL || !q->session[0];
    struct sign_answer answer = {.kind = q->kind,
                                 .status = right   ? SIGN_OK
                                           : opens ? SIGN_WRONG
                                                   : SIGN_ENDED,
                                 .name = "ada",
                                 .session_kind = SESSION_PERSON,
                                 .role = ROLE_ADMINISTRATOR};
    struct sign_row row = {.name = "ada", .role = ROLE_ADMINISTRATOR};
    answer.count = q->kind == SIGN_ACCOUNTS || q->kind == SIGN_TOKENS;
    answer.next = q->kind == SIGN_ACCOUNTS && !q->from;
    service_sign_done *done = s->done;
    s->done = NULL;
    done(s->context, &answer, &row);
}

static void answer_engine(void)
{
    for (int i = 0; i < SIGNS; i++) {
        if (world.signs[i].done) {
            answer_identity(world.signs + i);
        }
    }
    service_command_done *done = world.command_done;
    world.command_done = NULL;
    if (done) {
        done(world.command_context, &world.receipt);
    }
    if (world.browses) {
        const struct browse_item item = {
            .address = "holding:0", .name = "power", .unit = "kW", .description = "\xff\n"};
        world.browses = false;
        world.browse.item(world.browse.context, &item);
        world.browse.end(world.browse.context, 0, "", 0);
    }
}

static void answer_asks(void)
{
    for (uint32_t i = 0; i < ASKS; i++) {
        if (world.asked[i] && !world.waits[i]) {
            struct answer end = {.kind = ANSWER_END, .request = i + 1};
            world.asked[i] = false;
            if (world.asks[i].end) {
                world.asks[i].end(world.asks[i].context, &end);
            }
        }
    }
    answer_engine();
}

/* ---- The client. ---- */

static void begin_world(void)
{
    void *image;
    size_t size;
    static struct lws_vhost vhosts[2];
    if (test_plan(&image, &size, "/nowhere", NULL, NULL) || plan_open(&world.plan, image, size) ||
        uv_loop_init(&world.loop)) {
        abort();
    }
    world.http = (struct http){.plan = &world.plan, .tcp = vhosts, .local = vhosts + 1};
    strcpy(world.http.authority[0], "127.0.0.1:8480");
    world.http.authority_count = 1;
    world.http.scheme = "http";
    strcpy(world.http.cookie_name, "isthmus-8480");
}

/* Takes a line off: ends it, and returns it. */
static char *take_line(char **at)
{
    char *line = *at, *end = strchr(line, '\n');
    if (end) {
        *end = 0;
        *at = end + 1;
        if (end > line && end[-1] == '\r') {
            end[-1] = 0;
        }
    } else {
        *at = line + strlen(line);
    }
    return line;
}

/* What libwebsockets would have made of the head; the body is what is left at `at`. */
static void read_head(struct lws *wsi, char **at)
{
    static const char *const names[TEXTS] = {
        [HOST] = "Host: ",
        [ORIGIN] = "Origin: ",
        [NONE_MATCH] = "If-None-Match: ",
        [LENGTH] = "Content-Length: ",
        [ENCODING] = "Transfer-Encoding: ",
        [COOKIE] = "Cookie: ",
        [AUTHORIZATION] = "Authorization: ",
        [CSRF] = "X-Isthmus-CSRF: ",
    };
    char *line = take_line(at), *space = strchr(line, ' ');
    *wsi = (struct lws){0};
    if (space && space - line < (int)sizeof wsi->method) {
        memcpy(wsi->method, line, (size_t)(space - line));
        line = space + 1;
    }
    line[strcspn(line, " ")] = 0; /* HTTP/1.1 */
    wsi->texts[PATH] = line;
    wsi->texts[ARGUMENTS] = strchr(line, '?');
    if (wsi->texts[ARGUMENTS]) {
        *wsi->texts[ARGUMENTS]++ = 0;
    }
    for (line = take_line(at); *line; line = take_line(at)) {
        for (int i = HOST; i < TEXTS; i++) {
            size_t n = strlen(names[i]);
            if (!strncasecmp(line, names[i], n)) {
                wsi->texts[i] = line + n;
            }
        }
    }
}

static int tell(struct lws *wsi, struct request *r, enum lws_callback_reasons reason, void *data,
                size_t size)
{
    return request_callback(wsi, reason, r, data, size);
}

/* Lets the service write and the reader answer until nothing more happens. Not 0: it closes the connection. */
static int run(struct lws *wsi, struct request *r, enum lws_callback_reasons writable)
{
    int closed = 0;
    for (int i = 0; i < TURNS && !closed && !wsi->completed; i++) {
        answer_asks();
        if (wsi->wants_write) {
            wsi->wants_write = false;
            closed = tell(wsi, r, writable, NULL, 0);
        }
    }
    return closed;
}

/* A body whose length is not told has the right one. */
static int exchange(struct lws *wsi, struct request *r, char *body, size_t size)
{
    char length[24];
    if (!strcmp(wsi->method, "POST") && !wsi->texts[LENGTH]) {
        snprintf(length, sizeof length, "%zu", size);
        wsi->texts[LENGTH] = length;
    }
    int closed = tell(wsi, r, LWS_CALLBACK_HTTP, wsi->texts[PATH], strlen(wsi->texts[PATH]));
    bool post = !strcmp(wsi->method, "POST");
    for (size_t at = 0; post && !closed && at < size; at += 1000) {
        size_t n = size - at < 1000 ? size - at : 1000;
        closed = tell(wsi, r, LWS_CALLBACK_HTTP_BODY, body + at, n);
    }
    if (post && !closed) {
        closed = tell(wsi, r, LWS_CALLBACK_HTTP_BODY_COMPLETION, NULL, 0);
    }
    closed = closed ? closed : run(wsi, r, LWS_CALLBACK_HTTP_WRITEABLE);
    int status = closed && !r->head_sent ? 0 : r->status;
    tell(wsi, r, LWS_CALLBACK_CLOSED_HTTP, NULL, 0);
    return status;
}

static int converse(struct lws *wsi, struct request *r, char *body, size_t size)
{
    if (tell(wsi, NULL, LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION, NULL, 0)) {
        return 0;
    }
    int closed = tell(wsi, r, LWS_CALLBACK_ESTABLISHED, NULL, 0);
    closed = closed ? closed : tell(wsi, r, LWS_CALLBACK_RECEIVE, body, size);
    closed = closed ? closed : run(wsi, r, LWS_CALLBACK_SERVER_WRITEABLE);
    tell(wsi, r, LWS_CALLBACK_CLOSED, NULL, 0);
    return closed ? 0 : 101;
}

int http_input(const void *text, size_t size)
{
    static struct request request; /* large; zero when an exchange is over */
    struct lws wsi;
    if (!world.plan.header) {
        begin_world();
    }
    char *copy = malloc(size + 1), *at = copy;
    if (!copy) {
        abort();
    }
    memcpy(copy, text, size);
    copy[size] = 0;
    read_head(&wsi, &at);
    size_t left = size - (size_t)(at - copy);
    int status = strcmp(wsi.method, "WS") ? exchange(&wsi, &request, at, left)
                                          : converse(&wsi, &request, at, left);
    answer_engine(); /* its caller is gone */
    uv_run(&world.loop, UV_RUN_NOWAIT);
    free(copy);
    if (request.http || world.http.open_streams || world.http.held || uv_loop_alive(&world.loop)) {
        abort();
    }
    for (uint32_t i = 0; i < ASKS; i++) {
        if (world.asked[i]) {
            abort();
        }
    }
    return status;
}
