/* SPDX-License-Identifier: Apache-2.0 */
/* Values as they come: GET /api/v1/stream as lines of JSON, or /api/v1/ws as WebSocket messages (the client first sends
 * {"subscribe": {"tags": ["glob", …], "mode": "latest" | "every"}}).
 *
 * Nothing is queued per client: the stream pulls the next records from the journal only when the socket has taken what it
 * had. Mode `every` gives each record in order; a client that is slow simply lags, and the journal holds what it has not
 * seen. Mode `latest` gives, at most every 250 ms, the newest value of each tag that changed since. */
#include "north/http/http.h"

#include "tag/glob.h"

#include <jansson.h>
#include <uv.h>

#define GLOBS_MAX     32
#define BATCH_RECORDS 500
#define LATEST_MS     250
#define BATCH_BYTES   (UINT32_C(1) << 19) /* then what is left waits for the next batch */
#define MESSAGE_MAX   (UINT32_C(1) << 20)

struct stream {
    struct request *r;
    bool socket; /* WebSocket */
    bool every;
    bool subscribed;
    char globs[GLOBS_MAX][256];
    size_t glob_count;
    uint8_t *wanted; /* per tag of the plan */
    uint64_t next;   /* sequence to read from */
    uint64_t cut;    /* not 0: the batch is full of bytes, go on from this sequence */
    uint64_t epoch;
    uint32_t ask;
    uv_timer_t *timer;
    size_t sent; /* of r->body */
    bool writing;
    bool more; /* the journal has more than the last batch */
    struct slot *
        latest; /* mode latest: per tag, whole record of a number; texts are fetched by their first bytes */
    uint64_t *latest_sequence;
    uint8_t *dirty;
    bool any_dirty;
};

static void pull(struct stream *s);

static bool stream_wants(struct stream *s, const struct plan_tag *tag)
{
    return s->wanted[tag - s->r->http->plan->tags] != 0;
}

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

static void flush(struct stream *s)
{
    struct request *r = s->r;
    if (r->body.bad) { /* one batch can't be that large: give up on this client */
        r->dead = true;
    }
    if (r->body.size > s->sent) {
        s->writing = true;
        lws_callback_on_writable(r->wsi);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct stream *s = timer->data;
    if (s && !s->writing && !s->ask) {
        pull(s);
    }
}

static void line_begin(struct stream *s)
{
    if (s->socket && s->r->body.size) {
        return; /* a message is one JSON array */
    }
    if (s->socket) {
        json_open(&s->r->body, '[');
    }
}

static void emit(struct stream *s, const struct answer *run, const struct slot *slots)
{
    line_begin(s);
    size_t before = s->r->body.size;
    render_record(&s->r->body, s->r->http->plan, run, slots);
    if (!s->socket && s->r->body.size > before) {
        json_newline(&s->r->body);
    }
}

static void on_record(void *context, const struct answer *run, const struct slot *slots,
                      size_t count)
{
    struct stream *s = context;
    const struct plan_tag *tag =
        slot_is_control(slots) ? NULL : plan_find_tag(s->r->http->plan, slot_id(slots));
    if (s->cut || (tag && !stream_wants(s, tag))) {
        return;
    }
    if (s->r->body.size >= BATCH_BYTES) {
        s->cut = run->first_sequence;
        return;
    }
    if (s->every || !tag || count > 1) {
        emit(s, run, slots);
        return;
    }
    size_t i = (size_t)(tag - s->r->http->plan->tags);
    s->latest[i] = *slots;
    s->latest_sequence[i] = run->first_sequence;
    s->epoch = run->epoch;
    s->dirty[i] = 1;
    s->any_dirty = true;
}

static void emit_latest(struct stream *s)
{
    const struct plan *p = s->r->http->plan;
    uint32_t i = 0;
    for (; s->any_dirty && i < p->header->tags.count && s->r->body.size < BATCH_BYTES; i++) {
        if (s->dirty[i]) {
            struct answer run = {.epoch = s->epoch, .first_sequence = s->latest_sequence[i]};
            emit(s, &run, s->latest + i);
            s->dirty[i] = 0;
        }
    }
    s->any_dirty = s->any_dirty && i < p->header->tags.count;
}

static void head_moved(void *context, const struct answer *end)
{
    struct stream *s = context;
    (void)end;
    s->ask = 0;
    pull(s);
}

/* Sleeps until the journal has something new. */
static void await_head(struct stream *s)
{
    struct ask ask = {.kind = ASK_HEAD, .from_sequence = s->next, .max_ms = 10000};
    struct answer_handler handler = {.end = head_moved, .context = s};
    if (service_ask(s->r->http->host, &ask, &handler) < 0) {
        uv_timer_start(s->timer, on_timer, LATEST_MS, 0);
        return;
    }
    s->ask = ask.request;
}

static void on_end(void *context, const struct answer *end)
{
    struct stream *s = context;
    s->ask = 0;
    s->more = end->more || s->cut;
    if (s->cut) {
        s->next = s->cut;
        s->cut = 0;
    } else if (!end->error && end->covers.to > s->next) {
        s->next = end->covers.to;
    }
    if (!s->every && !s->more) {
        emit_latest(s);
    }
    if (s->socket && s->r->body.size) {
        json_close(&s->r->body, ']');
    }
    if (s->r->body.size) {
        flush(s);
        return;
    }
    if (s->more) {
        pull(s);
    } else if (s->every) {
        await_head(s);
    } else {
        uv_timer_start(s->timer, on_timer, LATEST_MS, 0);
    }
}

static void pull(struct stream *s)
{
    struct ask ask = {.kind = ASK_READ, .from_sequence = s->next, .max_records = BATCH_RECORDS};
    struct answer_handler handler = {.record = on_record, .end = on_end, .context = s};
    if (service_ask(s->r->http->host, &ask, &handler) < 0) {
        uv_timer_start(s->timer, on_timer, LATEST_MS, 0);
        return;
    }
    s->ask = ask.request;
}

/* Begins at the journal's head, or behind `after`. */
static void head_row(void *context, const void *row, size_t size)
{
    struct stream *s = context;
    const struct answer_journal *a = row;
    if (size >= sizeof *a && !s->next) {
        s->next = a->written_sequence;
    }
}

static void head_end(void *context, const struct answer *end)
{
    struct stream *s = context;
    (void)end;
    s->ask = 0;
    pull(s);
}

static void start(struct stream *s)
{
    choose(s);
    s->subscribed = true;
    struct ask ask = {.kind = ASK_JOURNAL, .max_records = 1};
    struct answer_handler handler = {.row = head_row, .end = head_end, .context = s};
    if (service_ask(s->r->http->host, &ask, &handler) < 0) {
        s->r->dead = true;
        return;
    }
    s->ask = ask.request;
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
    uint64_t after;
    if (!request_number(r, "after", 0, UINT64_MAX - 1, &after)) {
        return;
    }
    struct stream *s = stream_new(r, false);
    if (!s) {
        request_problem(r, 503, "Too many streams", "Close one, then try again.");
        return;
    }
    r->stream = s;
    s->next = request_argument(r, "after") ? after + 1 : 0;
    bool good = set_mode(s, request_argument(r, "mode"));
    for (int i = 0; i < r->argument_count; i++) {
        if (!strncmp(r->arguments[i], "tags=", 5)) {
            good = good && add_glob(s, r->arguments[i] + 5);
        }
    }
    if (!good) {
        stream_free(s);
        r->stream = NULL;
        request_problem(r, 400, "Wrong argument",
                        "mode is latest or every; at most 32 globs in tags.");
        return;
    }
    r->type = "application/x-ndjson";
    lws_set_timeout(r->wsi, NO_PENDING_TIMEOUT, 0); /* the limit for one answer */
    r->ready = true;
    start(s);
    lws_callback_on_writable(r->wsi);
}

/* Sends what the batch holds; pulls the next when it is gone. */
void stream_writable(struct request *r)
{
    struct stream *s = r->stream;
    if (!s->writing) { /* a batch still being gathered is not cut */
        return;
    }
    size_t left = r->body.size - s->sent;
    if (left) {
        unsigned char chunk[LWS_PRE + 8192];
        size_t n = left < 8192 ? left : 8192;
        memcpy(chunk + LWS_PRE, r->body.text + s->sent, n);
        int flags = !s->socket ? LWS_WRITE_HTTP
                               : lws_write_ws_flags(LWS_WRITE_TEXT, s->sent == 0, n == left);
        if (lws_write(r->wsi, chunk + LWS_PRE, n, (enum lws_write_protocol)flags) < (int)n) {
            r->dead = true;
            return;
        }
        s->sent += n;
        if (s->sent < r->body.size) {
            lws_callback_on_writable(r->wsi);
            return;
        }
    }
    s->writing = false;
    s->sent = 0;
    json_clear(&r->body);
    if (s->every || s->more || s->any_dirty) {
        pull(s);
    } else {
        uv_timer_start(s->timer, on_timer, LATEST_MS, 0);
    }
}

static int take_subscription(struct stream *s, const void *text, size_t size)
{
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    json_t *wish = json_object_get(root, "subscribe"), *glob;
    bool good = json_is_object(wish) && !s->subscribed &&
                set_mode(s, json_string_value(json_object_get(wish, "mode")));
    size_t i;
    json_array_foreach(json_object_get(wish, "tags"), i, glob)
    {
        good = good && json_is_string(glob) && add_glob(s, json_string_value(glob));
    }
    json_decref(root);
    if (good) {
        start(s);
    }
    return good && !s->r->dead ? 0 : -1;
}

int stream_socket(struct http *http, struct lws *wsi, enum lws_callback_reasons reason,
                  struct request *r, void *in, size_t size)
{
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        *r = (struct request){.http = http, .wsi = wsi, .ready = true, .head_sent = true};
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
