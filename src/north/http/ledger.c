/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger: accounts per tag with their sum, the causes of gaps, and the accounts of the feeds. */
#include "north/http/http.h"

#include <stdlib.h>

static const char *text_of(const struct request *r, plan_str s)
{
    return plan_text(r->http->plan, s);
}

/* ---- Tags ---- */

static int compare_id(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static bool is_of_feed(const struct request *r, const struct plan_tag *tag)
{
    const struct plan_feed *f = r->feed;
    return !f || bsearch(&tag->id, r->http->plan->feed_tags + f->first_tag, f->tag_count,
                         sizeof tag->id, compare_id);
}

static void render_account(struct json *j, const struct answer_ledger *l, bool balanced)
{
    json_pair_uint(j, "produced", l->produced);
    json_pair_uint(j, "journaled", l->journaled);
    json_pair_uint(j, "suppressed", l->suppressed);
    json_pair_uint(j, "rejected", l->rejected);
    json_pair_uint(j, "gaps", l->gaps);
    json_pair_bool(j, "balanced", balanced);
}

static void row_ledger(void *context, const void *row, size_t size)
{
    struct request *r = context;
    const struct answer_ledger *l = row;
    if (size == sizeof(struct answer_since)) {
        r->total.since_ns = ((const struct answer_since *)row)->since_ns;
        return;
    }
    const struct plan_tag *tag = size >= sizeof *l ? plan_find_tag(r->http->plan, l->tag) : NULL;
    if (!tag || !wants_tag(r, tag) || !is_of_feed(r, tag)) {
        return;
    }
    bool balanced = l->produced == l->journaled + l->suppressed + l->rejected + l->gaps;
    r->total.produced += l->produced;
    r->total.journaled += l->journaled;
    r->total.suppressed += l->suppressed;
    r->total.rejected += l->rejected;
    r->total.gaps += l->gaps;
    r->total.unbalanced += !balanced;
    json_open(&r->body, '{');
    json_pair_text(&r->body, "tag", text_of(r, tag->path));
    render_account(&r->body, l, balanced);
    json_close(&r->body, '}');
    request_grown(r);
}

static void ledger_end(void *context, const struct answer *end)
{
    struct request *r = context;
    if (!end->error) {
        const struct ledger_total *t = &r->total;
        struct json *j = &r->body;
        json_close(j, ']');
        json_key(j, "total");
        json_open(j, '{');
        render_account(j,
                       &(struct answer_ledger){.produced = t->produced,
                                               .journaled = t->journaled,
                                               .suppressed = t->suppressed,
                                               .rejected = t->rejected,
                                               .gaps = t->gaps},
                       t->unbalanced == 0);
        json_close(j, '}');
        if (t->since_ns) {
            json_pair_time(j, "since", t->since_ns);
        }
    }
    list_finish(r, end);
}

void ledger_begin(struct request *r)
{
    const struct plan *p = r->http->plan;
    const char *name = request_argument(r, "feed");
    for (uint32_t i = 0; name && !r->feed && i < p->header->feeds.count; i++) {
        r->feed = strcmp(text_of(r, p->feeds[i].name), name) ? NULL : p->feeds + i;
    }
    if (name && !r->feed) {
        request_problem(r, 404, "No such feed", "See /api/v1/feeds for the feeds there are.");
        return;
    }
    struct ask ask = {.kind = ASK_LEDGER, .tag_from = 1, .tag_to = SLOT_ID_MAX};
    list_open(r, "tags");
    request_ask(r, &ask,
                &(struct answer_handler){.row = row_ledger, .end = ledger_end, .context = r});
}

/* ---- Causes ---- */

static void row_cause(void *context, const void *row, size_t size)
{
    struct request *r = context;
    const struct answer_cause *c = row;
    const struct plan *p = r->http->plan;
    const struct plan_tag *tag =
        size >= sizeof *c && c->scope == GAP_TAG ? plan_find_tag(p, c->which) : NULL;
    if (size < sizeof *c || (c->scope == GAP_TAG && (!tag || !wants_tag(r, tag)))) {
        return;
    }
    struct json *j = &r->body;
    json_open(j, '{');
    json_pair_text(j, "cause", gap_cause_name(c->cause));
    render_scope(j, p, c->scope, c->which);
    json_pair_uint(j, "records", c->records);
    json_pair_uint(j, "produced", c->produced);
    json_pair_uint(j, "missed", c->missed);
    json_pair_time(j, "from", c->from_ns);
    json_pair_time(j, "to", c->to_ns);
    json_close(j, '}');
    request_grown(r);
}

void causes_begin(struct request *r)
{
    struct ask ask = {.kind = ASK_CAUSES};
    bool stretch = request_argument(r, "from") || request_argument(r, "to");
    if (!request_time(r, "from", stretch ? INT64_MIN : 0, &ask.from_ns) ||
        !request_time(r, "to", stretch ? INT64_MAX : 0, &ask.to_ns)) {
        return;
    }
    list_open(r, "causes");
    request_ask(r, &ask, &(struct answer_handler){.row = row_cause, .end = list_end, .context = r});
}

/* ---- Feeds ---- */

static void row_feed(void *context, const void *row, size_t size)
{
    struct request *r = context;
    const struct answer_feed *f = row;
    const struct plan *p = r->http->plan;
    if (size < sizeof *f || f->feed >= p->header->feeds.count) {
        return;
    }
    struct json *j = &r->body;
    json_open(j, '{');
    json_pair_text(j, "contract", text_of(r, p->feeds[f->feed].name));
    json_pair_text(j, "service", text_of(r, p->boxes[p->feeds[f->feed].box].name));
    json_pair_text(j, "effect", render_effect(p->feeds + f->feed));
    json_pair_bool(j, "connected", f->connected != 0);
    json_pair_uint(j, "tags", p->feeds[f->feed].tag_count);
    json_pair_time(j, "since", f->since_ns);
    json_pair_uint(j, "journaled", f->journaled);
    json_pair_uint(j, "delivered", f->delivered);
    json_pair_uint(j, "pending", f->pending);
    json_pair_uint(j, "gaps", f->gaps);
    json_pair_uint(j, "dropped", f->dropped);
    json_pair_bool(j, "balanced", f->balanced != 0);
    render_wide(j, "confirmed_seq", f->confirmed_sequence);
    render_wide(j, "head_seq", f->head_sequence);
    json_close(j, '}');
}

void feeds_begin(struct request *r)
{
    ask_rows(r, ASK_FEEDS, "feeds", row_feed);
}
