/* SPDX-License-Identifier: Apache-2.0 */
/* A tag's samples as columns, a tenth of the bytes of one object each: GET /api/v1/history with format=columns. Times are
 * milliseconds since the first one, to the nanosecond; a status is told where it changes. */
#include "north/http/http.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct columns {
    const struct plan_tag *tag; /* borrowed */
    struct json values, statuses;
    int64_t start_ns;
    uint64_t count;
    uint32_t status;
};

size_t columns_size(const struct columns *c)
{
    return c ? c->values.size + c->statuses.size : 0;
}

void columns_free(struct columns *c)
{
    if (c) {
        json_fini(&c->values);
        json_fini(&c->statuses);
        free(c);
    }
}

static void put_time(struct json *j, uint64_t ns)
{
    char text[2 * NUMBER_TEXT_SIZE];
    size_t n = number_text_uint(ns / NS_PER_MS, text);
    uint64_t rest = ns % NS_PER_MS;
    if (rest) {
        text[n++] = '.';
        for (uint64_t digit = NS_PER_MS / 10; rest; rest %= digit, digit /= 10) {
            text[n++] = (char)('0' + rest / digit);
        }
    }
    json_raw(j, text, n);
}

static void record_column(void *context, const struct answer *run, const struct slot *s,
                          size_t count)
{
    struct request *r = context;
    struct columns *c = r->columns;
    (void)run;
    (void)count;
    if (slot_is_control(s)) {
        return;
    }
    if (!c->count) {
        c->start_ns = s->time;
        json_pair_time(&r->body, "start", s->time);
        list_begin(r, "times");
    }
    put_time(&r->body, (uint64_t)s->time - (uint64_t)c->start_ns);
    render_value(&c->values, c->tag, s);
    if (!c->count || s->status != c->status) {
        json_open(&c->statuses, '[');
        json_uint(&c->statuses, c->count);
        json_uint(&c->statuses, s->status);
        json_close(&c->statuses, ']');
        c->status = s->status;
    }
    c->count++;
    request_grown(r);
}

static void put_column(struct request *r, const char *name, struct json *column)
{
    json_close(column, ']');
    json_key(&r->body, name);
    json_raw(&r->body, column->text, column->size);
    r->body.bad |= column->bad;
}

static void columns_end(void *context, const struct answer *end)
{
    struct request *r = context;
    struct columns *c = r->columns;
    if (!c->count) {
        list_begin(r, "times");
    }
    json_close(&r->body, ']');
    put_column(r, "values", &c->values);
    put_column(r, "statuses", &c->statuses);
    columns_free(c);
    r->columns = NULL;
    list_finish(r, end);
}

void columns_begin(struct request *r, const struct plan_tag *tag, struct ask *ask)
{
    struct columns *c = r->columns = calloc(1, sizeof *c);
    if (!c) {
        request_problem(r, 503, "Busy", "Out of memory; try again in a moment.");
        return;
    }
    c->tag = tag;
    json_init(&c->values, BODY_MAX);
    json_init(&c->statuses, BODY_MAX);
    json_open(&c->values, '[');
    json_open(&c->statuses, '[');
    json_open(&r->body, '{');
    json_pair_text(&r->body, "tag", plan_text(r->http->plan, tag->path));
    json_pair_text(&r->body, "unit", plan_text(r->http->plan, tag->unit));
    request_ask(
        r, ask,
        &(struct answer_handler){.record = record_column, .end = columns_end, .context = r});
}
