/* SPDX-License-Identifier: Apache-2.0 */
/* A stream's client: what it asks for, and how it gets it. Over WebSocket it first sends, once,
 * {"subscribe": {"tags": ["glob", …], "mode": "latest" | "every", "from" or "after": sequence}}. */
#include "north/http/stream.h"

#include "tag/glob.h"

#include <errno.h>
#include <jansson.h>

static void choose(struct stream *s)
{
    const struct plan *p = s->r->http->plan;
    for (uint32_t i = 0; i < p->header->tags.count; i++) {
        s->wanted[i] = s->glob_count == 0;
        for (size_t g = 0; g < s->glob_count && !s->wanted[i]; g++) {
            s->wanted[i] = glob_matches(s->globs[g], plan_text(p, p->tags[i].path));
        }
    }
}

static struct stream *stream_new(struct request *r, bool socket)
{
    uint32_t tags = r->http->plan->header->tags.count;
    struct stream *s = r->http->open_streams < STREAMS_MAX ? calloc(1, sizeof *s) : NULL;
    if (!s) {
        return NULL;
    }
    s->r = r;
    s->socket = socket;
    s->wanted = calloc(tags + 1, 1);
    s->dirty = calloc(tags + 1, 1);
    s->latest = calloc(tags + 1, sizeof *s->latest);
    s->latest_sequence = calloc(tags + 1, sizeof *s->latest_sequence);
    s->timer = calloc(1, sizeof *s->timer);
    if (!s->wanted || !s->dirty || !s->latest || !s->latest_sequence || !s->timer ||
        uv_timer_init(service_loop(r->http->host), s->timer)) {
        free(s->timer);
        s->timer = NULL;
        stream_free(s);
        return NULL;
    }
    s->timer->data = s;
    r->http->open_streams++;
    json_fini(&r->body);
    json_init(&r->body, MESSAGE_MAX);
    return s;
}

static void timer_closed(uv_handle_t *handle)
{
    free(handle);
}

void stream_free(struct stream *s)
{
    if (!s) {
        return;
    }
    if (s->ask) {
        service_forget(s->r->http->host, s->ask);
    }
    if (s->timer) {
        s->r->http->open_streams--;
        s->timer->data = NULL;
        uv_close((uv_handle_t *)s->timer, timer_closed);
    }
    free(s->wanted);
    free(s->dirty);
    free(s->latest);
    free(s->latest_sequence);
    free(s);
}

/* `from` a sequence on, or `after` one; neither: from the journal's head on. */
static bool set_place(struct stream *s, const char *from, const char *after)
{
    const char *text = from ? from : after;
    char *end;
    if (!text) {
        return true;
    }
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    s->next = from ? n : n + 1;
    s->placed = true;
    return *text >= '0' && *text <= '9' && !*end && !errno && !(from && after) && s->next >= n;
}

static bool set_mode(struct stream *s, const char *mode)
{
    s->every = mode && !strcmp(mode, "every");
    return !mode || s->every || !strcmp(mode, "latest");
}

static bool add_glob(struct stream *s, const char *glob)
{
    if (s->glob_count == GLOBS_MAX || strlen(glob) >= sizeof s->globs[0]) {
        return false;
    }
    strcpy(s->globs[s->glob_count++], glob);
    return true;
}

void stream_begin(struct request *r)
{
    struct stream *s = stream_new(r, false);
    if (!s) {
        request_problem(r, 503, "Too many streams", "Close one, then try again.");
        return;
    }
    r->stream = s;
    bool good = set_mode(s, request_argument(r, "mode")) &&
                set_place(s, request_argument(r, "from"), request_argument(r, "after"));
    for (int i = 0; i < r->argument_count; i++) {
        if (!strncmp(r->arguments[i], "tags=", 5)) {
            good = good && add_glob(s, r->arguments[i] + 5);
        }
    }
    if (!good) {
        stream_free(s);
        r->stream = NULL;
        request_problem(r, 400, "Wrong argument",
                        "mode is latest or every; from or after is a seq, not both; at most 32 "
                        "globs in tags.");
        return;
    }
    r->type = "application/x-ndjson";
    lws_set_timeout(r->wsi, NO_PENDING_TIMEOUT, 0); /* the limit for one answer */
    r->ready = true;
    choose(s);
    stream_start(s);
    lws_callback_on_writable(r->wsi);
}

/* Sends what the batch holds; pulls the next when it is gone. */
void stream_writable(struct request *r)
{
    struct stream *s = r->stream;
    if (!s->writing || r->dead) { /* a batch still being gathered is not cut */
        return;
    }
    unsigned char chunk[LWS_PRE + 8192];
    size_t left = r->body.size - s->sent;
    size_t n = left < 8192 ? left : 8192;
    memcpy(chunk + LWS_PRE, r->body.text + s->sent, n);
    int flags =
        !s->socket ? LWS_WRITE_HTTP : lws_write_ws_flags(LWS_WRITE_TEXT, s->sent == 0, n == left);
    if (lws_write(r->wsi, chunk + LWS_PRE, n, (enum lws_write_protocol)flags) < (int)n) {
        r->dead = true;
        return;
    }
    s->sent += n;
    if (s->sent < r->body.size) {
        lws_set_timeout(r->wsi, PENDING_TIMEOUT_HTTP_CONTENT, STALLED_S);
        lws_callback_on_writable(r->wsi);
        return;
    }
    s->writing = false;
    s->sent = 0;
    json_clear(&r->body);
    stream_taken(s);
}

/* A sequence number as we write them, or as a number; NULL: not given. "" is none. */
static const char *sequence_text(json_t *v, char text[24])
{
    if (!json_is_integer(v)) {
        return v ? json_is_string(v) ? json_string_value(v) : "" : NULL;
    }
    snprintf(text, 24, "%lld", (long long)json_integer_value(v));
    return text;
}

static int take_subscription(struct stream *s, const void *text, size_t size)
{
    char from[24], after[24];
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    json_t *wish = json_object_get(root, "subscribe"), *mode = json_object_get(wish, "mode"), *glob;
    bool good = json_is_object(wish) && !s->subscribed && (!mode || json_is_string(mode)) &&
                set_mode(s, json_string_value(mode)) &&
                set_place(s, sequence_text(json_object_get(wish, "from"), from),
                          sequence_text(json_object_get(wish, "after"), after));
    size_t i;
    json_array_foreach(json_object_get(wish, "tags"), i, glob)
    {
        good = good && json_is_string(glob) && add_glob(s, json_string_value(glob));
    }
    json_decref(root);
    if (good) {
        choose(s);
        stream_start(s);
    }
    return good ? 0 : -1;
}

int stream_socket(struct http *http, struct lws *wsi, enum lws_callback_reasons reason,
                  struct request *r, void *in, size_t size)
{
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        *r = (struct request){.http = http, .wsi = wsi, .ready = true, .head_sent = true};
        caller_session(http, wsi, r->session);
        r->stream = stream_new(r, true);
        return r->stream ? 0 : -1;
    case LWS_CALLBACK_RECEIVE:
        if (!lws_is_final_fragment(wsi) || size > UPLOAD_MAX || !r->stream) {
            return -1;
        }
        return take_subscription(r->stream, in, size);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        if (r->stream) {
            stream_writable(r);
        }
        return r->dead ? -1 : 0;
    default:
        if (r && r->http) {
            stream_free(r->stream);
            json_fini(&r->body);
            *r = (struct request){0};
        }
        return 0;
    }
}
