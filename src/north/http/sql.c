/* SPDX-License-Identifier: Apache-2.0 */
/* POST /api/v1/sql: the body is one statement; the reader has a child run it (box/link.h, ASK_SQL). A short answer is
 * gathered and sent whole, so that what goes wrong has a proper status. A long one is sent in chunks while it is made, and
 * the next piece is asked for only when the socket has taken the last one. What goes wrong then ends JSON with a member
 * "error"; CSV just ends without its last chunk, and so the client knows. */
#include "north/http/http.h"

#include "base/clock.h"

#include <jansson.h>

#define PIECE_BYTES 65536u
#define CHUNK_BYTES 8192u
#define ROWS        10000u /* of JSON, unless more are asked for */
#define SECONDS     30u
#define STALLED_S   60 /* a client takes what it is sent within that */

struct sql {
    bool streamed, ended;
    uint32_t error;  /* of the end */
    uint32_t wanted; /* bytes of the piece that are still to come */
};

bool sql_is_streamed(const struct request *r)
{
    return r->sql && r->sql->streamed;
}

void sql_free(struct sql *q)
{
    free(q);
}

/* ---- What went wrong. ---- */

static void problem_of(int error, int *status, const char **title)
{
    static const struct {
        int error, status;
        const char *title;
    } problems[] = {
        {ERR_MALFORMED, 400, "The statement is wrong"},
        {ERR_REFUSED, 403, "Queries only read"},
        {ERR_TIMEOUT, 422, "The query takes too long"},
        {ERR_NOMEM, 422, "The query needs too much memory"},
        {ERR_TOO_LONG, 422, "The result is too long"},
        {ERR_BUSY, 503, "Busy"},
        {ERR_UNSUPPORTED, 501, "SQL is not installed"},
        {ERR_CLOSED, 500, "The query was ended"},
        {0, 500, "The query failed"},
    };
    size_t i = 0;
    while (problems[i].error && problems[i].error != error) {
        i++;
    }
    *status = problems[i].status;
    *title = problems[i].title;
}

/* Line and column, from 1, of a place in the statement; columns count bytes. */
static void pair_place(struct request *r, size_t offset)
{
    uint64_t line = 1, column = 1;
    for (size_t i = 0; i < offset && i < r->upload_size; i++) {
        bool newline = r->upload[i] == '\n';
        line += newline;
        column = newline ? 1 : column + 1;
    }
    json_pair_uint(&r->body, "offset", offset);
    json_pair_uint(&r->body, "line", line);
    json_pair_uint(&r->body, "column", column);
}

/* `told`: what the child says of it; may be NULL. */
static void answer_problem(struct request *r, int error, const json_t *told)
{
    int status;
    const char *title, *detail = json_string_value(json_object_get(told, "error"));
    const json_t *offset = json_object_get(told, "offset");
    problem_of(error, &status, &title);
    json_clear(&r->body);
    r->status = status;
    r->type = "application/problem+json";
    json_open(&r->body, '{');
    json_pair_text(&r->body, "title", title);
    json_pair_int(&r->body, "status", status);
    json_pair_text(&r->body, "detail",
                   detail ? detail
                   : error == ERR_BUSY
                       ? "As many queries as there may be are under way; try again in a moment."
                   : error == ERR_CLOSED
                       ? "The process that worked on it was ended before it was done."
                   : error == ERR_TIMEOUT ? "Ask for less, or allow more time with ?seconds=…."
                                          : err_text(error));
    if (json_is_integer(offset) && json_integer_value(offset) >= 0) {
        pair_place(r, (size_t)json_integer_value(offset));
    }
    json_close(&r->body, '}');
    request_done(r);
}

/* ---- From the reader. ---- */

static void start_stream(struct request *r)
{
    r->sql->streamed = r->ready = true;
    r->sent = 1; /* the mark */
    lws_callback_on_writable(r->wsi);
}

static void on_row(void *context, const void *row, size_t size)
{
    struct request *r = context;
    struct sql *q = r->sql;
    r->body.comma = false; /* bytes, not values */
    json_raw(&r->body, row, size);
    request_grown(r);
    q->wanted -= size < q->wanted ? (uint32_t)size : q->wanted;
    if (q->streamed) {
        lws_callback_on_writable(r->wsi);
    } else if (q->wanted == 0 && !r->body.bad && r->body.text[0] == SQL_RESULT) {
        start_stream(r);
    }
}

static void on_end(void *context, const struct answer *end)
{
    struct request *r = context;
    r->ask = 0;
    r->sql->ended = true;
    r->sql->error = end->error;
    if (r->sql->streamed) {
        lws_callback_on_writable(r->wsi);
        return;
    }
    size_t size = r->body.bad ? 0 : r->body.size;
    if (!end->error && size && r->body.text[0] == SQL_RESULT) {
        memmove(r->body.text, r->body.text + 1, --r->body.size);
        request_grown(r);
        request_done(r);
        return;
    }
    json_t *told = size > 1 && r->body.text[0] == SQL_ERROR
                       ? json_loadb(r->body.text + 1, size - 1, 0, NULL)
                       : NULL;
    answer_problem(r, end->error ? -(int)end->error : ERR_GARBAGE, told);
    json_decref(told);
}

/* ---- To the client. ---- */

static bool write_chunk(struct request *r, const char *data, size_t size)
{
    unsigned char frame[LWS_PRE + CHUNK_BYTES + 32];
    char *at = (char *)frame + LWS_PRE;
    int head = snprintf(at, 16, "%zx\r\n", size);
    memcpy(at + head, data, size);
    memcpy(at + head + size, "\r\n", 2);
    size_t whole = (size_t)head + size + 2;
    return lws_write(r->wsi, frame + LWS_PRE, whole, LWS_WRITE_HTTP) >= (int)whole;
}

bool sql_writable(struct request *r)
{
    struct sql *q = r->sql;
    size_t left = r->body.size - r->sent, n = left < CHUNK_BYTES ? left : CHUNK_BYTES;
    if (n) {
        if (!write_chunk(r, r->body.text + r->sent, n)) {
            return false;
        }
        r->sent += n;
        lws_set_timeout(r->wsi, PENDING_TIMEOUT_HTTP_CONTENT, STALLED_S);
        lws_callback_on_writable(r->wsi);
        return true;
    }
    if (q->ended) { /* the last chunk, unless something is missing */
        if (!q->error) {
            (void)write_chunk(r, "", 0);
        }
        return false;
    }
    lws_set_timeout(r->wsi, NO_PENDING_TIMEOUT, 0);
    json_clear(&r->body);
    request_grown(r);
    r->sent = 0;
    if (q->wanted == 0) {
        q->wanted = PIECE_BYTES;
        service_take(r->http->host, r->ask, PIECE_BYTES);
    }
    return true;
}

/* ---- */

static bool read_format(struct request *r, struct ask_sql *sql)
{
    const char *format = request_argument(r, "format");
    if (format && strcmp(format, "json") != 0 && strcmp(format, "csv") != 0) {
        request_problem(r, 400, "Wrong argument", "'format' is json or csv.");
        return false;
    }
    sql->format = format && !strcmp(format, "csv") ? SQL_CSV : SQL_JSON;
    return true;
}

void sql_begin(struct request *r)
{
    struct ask ask = {0};
    struct ask_sql sql = {.take = PIECE_BYTES};
    uint64_t rows, seconds;
    if (!read_format(r, &sql) || !request_number(r, "limit", 0, SQL_ROWS_MAX, &rows) ||
        !request_number(r, "seconds", SECONDS, SQL_MS_MAX / 1000, &seconds)) {
        return;
    }
    r->sql = calloc(1, sizeof *r->sql);
    if (!r->sql) {
        request_problem(r, 503, "Busy", "Out of memory; try again in a moment.");
        return;
    }
    sql.cut = rows || sql.format == SQL_JSON;
    ask.max_records = rows ? (uint32_t)rows : sql.format == SQL_JSON ? ROWS : SQL_ROWS_MAX;
    ask.max_ms = (uint32_t)(seconds ? seconds : 1) * 1000;
    r->sql->wanted = PIECE_BYTES;
    r->type = sql.format == SQL_CSV ? "text/csv; charset=utf-8" : "application/json";
    lws_set_timeout(r->wsi, NO_PENDING_TIMEOUT, 0); /* the query has its own */
    memcpy(ask.session, r->session, sizeof ask.session);
    int number =
        service_ask_sql(r->http->host, &ask, &sql, r->upload ? r->upload : "", r->upload_size,
                        &(struct answer_handler){.row = on_row, .end = on_end, .context = r});
    if (number < 0) {
        request_problem(r, 503, "Busy", "Too many requests are under way; try again in a moment.");
        return;
    }
    r->ask = ask.request;
}
