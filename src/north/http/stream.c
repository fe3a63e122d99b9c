/* SPDX-License-Identifier: Apache-2.0 */
/* Values as they come: GET /api/v1/stream as lines of JSON, or /api/v1/ws as WebSocket messages.
 *
 * Nothing is queued per client: the stream pulls the next records from the journal only when the socket has taken what it
 * had. Mode `every` gives each record in order; a client that is slow simply lags, and the journal holds what it has not
 * seen. Mode `latest` gives, at most every 250 ms, the newest value of each tag that changed since. A client of it that
 * was late is told how many were replaced by newer ones; one that has fallen far behind jumps to the journal's head, with
 * the values of now, and is told the stretch. Told is also, in both modes, what the journal no longer had. */
#include "north/http/stream.h"

#define BATCH_RECORDS 500
#define NOW_RECORDS   100                 /* even the longest texts make no batch too large */
#define BATCH_BYTES   (UINT32_C(1) << 19) /* then what is left waits for the next batch */
#define LAG_MAX       50000               /* records that mode latest reads to catch up */

static void pull(struct stream *s);

static bool stream_wants(struct stream *s, const struct plan_tag *tag)
{
    return s->wanted[tag - s->r->http->plan->tags] != 0;
}

/* A WebSocket message is one JSON array. */
static void message_begin(struct stream *s)
{
    if (s->socket && !s->r->body.size) {
        json_open(&s->r->body, '[');
    }
}

static void emit(struct stream *s, const struct answer *run, const struct slot *slots)
{
    message_begin(s);
    size_t before = s->r->body.size;
    render_record(&s->r->body, s->r->http->plan, run, slots);
    if (!s->socket && s->r->body.size > before) {
        json_newline(&s->r->body);
    }
}

static void emit_skip(struct stream *s, const char *why, const struct skip *skip)
{
    message_begin(s);
    render_skip(&s->r->body, why, skip->from, skip->to, skip->records);
    if (!s->socket) {
        json_newline(&s->r->body);
    }
}

static void retry_soon(struct stream *s);

/* Offers the batch, if there is one. */
static bool flush(struct stream *s)
{
    struct request *r = s->r;
    if (!r->body.size) {
        return false;
    }
    if (s->socket) {
        json_close(&r->body, ']');
    }
    if (r->body.bad) { /* one batch can't be that large: give up on this client */
        r->dead = true;
    }
    s->writing = true;
    s->flushed_ms = uv_now(s->timer->loop);
    lws_set_timeout(r->wsi, PENDING_TIMEOUT_HTTP_CONTENT, STALLED_S);
    lws_callback_on_writable(r->wsi);
    return true;
}

static void ask(struct stream *s, struct ask *what, const struct answer_handler *handler)
{
    memcpy(what->session, s->r->session, sizeof what->session);
    if (service_ask(s->r->http->host, what, handler) < 0) {
        retry_soon(s);
        return;
    }
    s->ask = what->request;
}

static void note_superseded(struct stream *s, uint64_t sequence)
{
    struct skip *k = &s->superseded;
    k->from = !k->records || sequence < k->from ? sequence : k->from;
    k->to = !k->records || sequence > k->to ? sequence : k->to;
    k->records++;
}

static void keep_latest(struct stream *s, const struct plan_tag *tag, const struct answer *run,
                        const struct slot *slot)
{
    size_t i = (size_t)(tag - s->r->http->plan->tags);
    if (s->dirty[i]) {
        note_superseded(s, s->latest_sequence[i]);
    }
    s->latest[i] = *slot;
    s->latest_sequence[i] = run->first_sequence;
    s->epoch = run->epoch;
    s->dirty[i] = 1;
    s->any_dirty = true;
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
    } else if (s->every || !tag || count > 1) {
        emit(s, run, slots);
    } else {
        keep_latest(s, tag, run, slots);
    }
}

static void emit_latest(struct stream *s)
{
    const struct plan *p = s->r->http->plan;
    uint32_t i = 0;
    if (s->late && s->superseded.records) {
        emit_skip(s, "slow client", &s->superseded);
    }
    s->superseded.records = 0;
    s->late = false;
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
    ask(s, &(struct ask){.kind = ASK_HEAD, .from_sequence = s->next, .max_ms = 10000},
        &(struct answer_handler){.end = head_moved, .context = s});
}

/* The session has ended: so does the stream. */
static bool is_over(struct stream *s, const struct answer *end)
{
    if (end->error == (uint32_t)-ERR_PERMISSION) {
        s->r->dead = true;
        lws_callback_on_writable(s->r->wsi);
    }
    return s->r->dead;
}

static void on_end(void *context, const struct answer *end)
{
    struct stream *s = context;
    s->ask = 0;
    if (is_over(s, end)) {
        return;
    }
    s->more = end->more || s->cut;
    if (!end->error && end->lost) {
        emit_skip(s, "no longer in the journal",
                  &(struct skip){end->covers.from, end->covers.to - 1, end->lost});
    }
    if (s->cut) {
        s->next = s->cut;
        s->cut = 0;
    } else if (!end->error && end->covers.to > s->next) {
        s->next = end->covers.to;
    }
    if (!s->every && !s->more) {
        emit_latest(s);
    }
    if (flush(s)) {
        return;
    }
    if (s->more) {
        pull(s);
    } else if (s->every) {
        await_head(s);
    } else {
        retry_soon(s);
    }
}

/* ---- The jump: current values in place of the records before `head`. ---- */

static void now_record(void *context, const struct answer *run, const struct slot *slots,
                       size_t count)
{
    struct stream *s = context;
    const struct plan_tag *tag = plan_find_tag(s->r->http->plan, slot_id(slots));
    if (!tag) {
        return;
    }
    s->now_from = tag->id + 1;
    if (!stream_wants(s, tag) || run->first_sequence < s->next || run->first_sequence >= s->head) {
        return; /* it has that one already, or will read it */
    }
    if (count > 1) {
        emit(s, run, slots);
    } else {
        keep_latest(s, tag, run, slots);
    }
}

static void now_end(void *context, const struct answer *end)
{
    struct stream *s = context;
    s->ask = 0;
    if (is_over(s, end)) {
        return;
    }
    if (!end->more) {
        s->now_from = 0;
        s->next = s->head;
    }
    if (!flush(s)) {
        pull(s);
    }
}

static void jump(struct stream *s)
{
    emit_skip(s, "slow client", &(struct skip){s->next, s->head - 1, s->head - s->next});
    memset(s->dirty, 0, s->r->http->plan->header->tags.count);
    s->superseded.records = 0;
    s->any_dirty = false;
    s->now_from = 1;
}

/* ---- */

static void pull(struct stream *s)
{
    if (s->now_from) {
        ask(s,
            &(struct ask){.kind = ASK_NOW,
                          .tag_from = s->now_from,
                          .tag_to = SLOT_ID_MAX,
                          .max_records = NOW_RECORDS},
            &(struct answer_handler){.record = now_record, .end = now_end, .context = s});
        return;
    }
    ask(s, &(struct ask){.kind = ASK_READ, .from_sequence = s->next, .max_records = BATCH_RECORDS},
        &(struct answer_handler){.record = on_record, .end = on_end, .context = s});
}

static void head_row(void *context, const void *row, size_t size)
{
    struct stream *s = context;
    const struct answer_journal *a = row;
    if (size >= sizeof *a) {
        s->head = a->written_sequence;
    }
}

static void head_end(void *context, const struct answer *end)
{
    struct stream *s = context;
    s->ask = 0;
    if (is_over(s, end)) {
        return;
    }
    if (end->error) {
        retry_soon(s);
        return;
    }
    if (!s->placed) {
        s->next = s->head;
        s->placed = true;
    } else if (!s->every && s->head > s->next && s->head - s->next > LAG_MAX) {
        jump(s);
    }
    pull(s);
}

/* Where the journal's head is: to begin there, or to see how far behind the stream is. */
static void look(struct stream *s)
{
    ask(s, &(struct ask){.kind = ASK_JOURNAL, .max_records = 1},
        &(struct answer_handler){.row = head_row, .end = head_end, .context = s});
}

static void on_timer(uv_timer_t *timer)
{
    struct stream *s = timer->data;
    if (!s || s->writing || s->ask) {
        return;
    }
    if (s->placed) {
        pull(s);
    } else {
        look(s);
    }
}

static void retry_soon(struct stream *s)
{
    uv_timer_start(s->timer, on_timer, LATEST_MS, 0);
}

void stream_start(struct stream *s)
{
    s->subscribed = true;
    look(s);
}

void stream_taken(struct stream *s)
{
    s->late |= uv_now(s->timer->loop) - s->flushed_ms > LATEST_MS;
    lws_set_timeout(s->r->wsi, NO_PENDING_TIMEOUT, 0);
    if (!s->every && s->late && !s->now_from) {
        look(s);
    } else if (s->every || s->more || s->any_dirty || s->now_from) {
        pull(s);
    } else {
        retry_soon(s);
    }
}
