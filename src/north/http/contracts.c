/* SPDX-License-Identifier: Apache-2.0 */
/* The report that both sides of a contract read: its terms, who has signed, and what was promised and delivered in the last day and the
 * last week, with what is missing and why. First the reader is asked for the causes of gaps in both times, then for what was
 * delivered. A gap that concerns a device or a box counts with the contract's share of its tags. */
#include "north/http/http.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

enum { DAY, WEEK, TIMES };
static const char *const times[TIMES] = {"day", "week"};

struct contracts {
    bool one;    /* a contract is named: r->feed */
    uint32_t at; /* which time's causes are being asked for */
    double
        *missing[TIMES]; /* owned: per feed of the plan, samples that never came to be delivered */
    struct json causes[TIMES]; /* of the one */
    uint32_t *tags;            /* owned: of the plan's devices and boxes: how many tags they have */
};

static const char *text_of(const struct request *r, plan_str s)
{
    return plan_text(r->http->plan, s);
}

void contracts_free(struct contracts *c)
{
    for (int i = 0; c && i < TIMES; i++) {
        free(c->missing[i]);
        json_fini(c->causes + i);
    }
    if (c) {
        free(c->tags);
    }
    free(c);
}

static bool is_of(const struct plan *p, const struct plan_feed *f, uint32_t id)
{
    const uint32_t *ids = p->feed_tags + f->first_tag;
    uint32_t low = 0, high = f->tag_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ids[middle] < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < f->tag_count && ids[low] == id;
}

/* The part of a gap that concerns the feed: 0 to 1. */
static double share(const struct request *r, const struct plan_feed *f, uint32_t scope,
                    uint32_t which)
{
    const struct plan *p = r->http->plan;
    uint32_t devices = p->header->devices.count, own = 0, all = p->header->tags.count;
    if (scope == GAP_TAG) {
        return is_of(p, f, which);
    }
    if (scope == GAP_DEVICE || scope == GAP_BOX) {
        uint32_t limit = scope == GAP_DEVICE ? devices : p->header->boxes.count;
        all = which < limit ? r->contracts->tags[scope == GAP_DEVICE ? which : devices + which] : 0;
    }
    for (uint32_t i = 0; i < f->tag_count; i++) {
        const struct plan_tag *t = plan_find_tag(p, p->feed_tags[f->first_tag + i]);
        own += t && (scope == GAP_ALL || (scope == GAP_DEVICE ? t->device : t->box) == which);
    }
    return all ? (double)own / all : 0;
}

static void row_cause(void *context, const void *row, size_t size)
{
    struct request *r = context;
    const struct answer_cause *cause = row;
    const struct plan *p = r->http->plan;
    struct contracts *c = r->contracts;
    if (size < sizeof *cause) {
        return;
    }
    for (uint32_t i = 0; i < p->header->feeds.count; i++) {
        const struct plan_feed *f = p->feeds + i;
        double part = c->one && f != r->feed ? 0 : share(r, f, cause->scope, cause->which);
        /* what retention takes away was delivered, or is a gap of the feed */
        double missing = cause->cause == GAP_RETIRED || cause->cause == GAP_FEED_LIMIT
                             ? 0
                             : ((double)cause->produced + (double)cause->missed) * part;
        c->missing[c->at][i] += missing;
        if (c->one && part > 0) {
            struct json *j = c->causes + c->at;
            json_open(j, '{');
            json_pair_text(j, "cause", gap_cause_name(cause->cause));
            render_scope(j, p, cause->scope, cause->which);
            json_pair_uint(j, "records", cause->records);
            json_pair_double(j, "missing", (double)(uint64_t)(missing + 0.5));
            json_pair_time(j, "from", cause->from_ns);
            json_pair_time(j, "to", cause->to_ns);
            json_close(j, '}');
        }
    }
}

/* ---- A contract ---- */

static void put_side(struct request *r, const char *key, const struct plan_feed *f, int side)
{
    const struct plan_signature *s = f->signatures + side;
    struct json *j = &r->body;
    json_key(j, key);
    json_open(j, '{');
    json_pair_text(j, "name", text_of(r, side == FEED_OWNER ? f->owner : f->custodian));
    json_pair_bool(j, "signed", s->at_ns != 0);
    if (s->at_ns) {
        json_pair_time(j, "at", s->at_ns);
        json_pair_text(j, "key", text_of(r, s->key));
        json_pair_bool(j, "throw_away", s->throw_away != 0);
    }
    json_close(j, '}');
}

static void put_terms(struct request *r, const struct plan_feed *f)
{
    struct json *j = &r->body;
    char digest[2 * sizeof f->digest + 1];
    for (size_t i = 0; i < sizeof f->digest; i++) {
        sprintf(digest + 2 * i, "%02x", f->digest[i]);
    }
    json_pair_text(j, "contract", text_of(r, f->name));
    json_pair_text(j, "service", text_of(r, r->http->plan->boxes[f->box].name));
    json_pair_text(j, "effect", render_effect(f));
    put_side(r, "owner", f, FEED_OWNER);
    put_side(r, "custodian", f, FEED_CUSTODIAN);
    json_pair_text(j, "missing", text_of(r, f->missing));
    json_pair_text(j, "digest", digest);
    json_pair_text(j, "purpose", text_of(r, f->purpose));
    json_pair_text(j, "classification", text_of(r, f->classification));
    json_pair_text(j, "retention", text_of(r, f->retention));
    json_pair_text(j, "returns", text_of(r, f->returns));
    json_pair_uint(j, "freshness_ms", f->freshness_ms);
    json_key(j, "completeness");
    if (f->completeness > 0) {
        json_double(j, f->completeness);
    } else {
        json_nil(j);
    }
    json_pair_uint(j, "tags", f->tag_count);
    json_pair_uint(j, "held_tags", f->held_count);
}

static void pair_percent(struct json *j, const char *key, double part, double all)
{
    json_key(j, key);
    if (all > 0) {
        json_double(j, (double)(uint64_t)(1e6 * part / all) / 1e4);
    } else {
        json_nil(j);
    }
}

static void put_report(struct request *r, const struct answer_report *a)
{
    struct json *j = &r->body;
    struct contracts *c = r->contracts;
    double missing = c->missing[a->week][a->feed], lost = (double)a->gaps + missing;
    double delivered = (double)a->delivered;
    json_key(j, times[a->week]);
    json_open(j, '{');
    json_key(j, "since");
    if (a->since_ns) {
        json_time(j, a->since_ns);
    } else {
        json_nil(j);
    }
    json_pair_uint(j, "delivered", a->delivered);
    json_pair_uint(j, "missing", (uint64_t)(lost + 0.5));
    pair_percent(j, "completeness", delivered, delivered + lost);
    pair_percent(j, "in_time", (double)a->in_time, delivered);
    json_pair_double(j, "p50_ms", a->p50_ms);
    json_pair_double(j, "p99_ms", a->p99_ms);
    if (c->one) {
        json_key(j, "causes");
        json_open(j, '[');
        if (c->causes[a->week].size) {
            json_raw(j, c->causes[a->week].text, c->causes[a->week].size);
        }
        json_close(j, ']');
    }
    json_close(j, '}');
}

static void put_tag(struct request *r, uint32_t id, bool delivered)
{
    const struct plan_tag *t = plan_find_tag(r->http->plan, id);
    struct json *j = &r->body;
    if (!t || !shows_tag(r, t)) {
        return;
    }
    json_open(j, '{');
    json_pair_text(j, "tag", text_of(r, t->path));
    json_pair_text(j, "type", value_type_name((enum value_type)t->type));
    json_pair_text(j, "unit", text_of(r, t->unit));
    if (t->has_range) {
        json_pair_double(j, "low", t->low);
        json_pair_double(j, "high", t->high);
    }
    json_pair_bool(j, "delivered", delivered);
    json_close(j, '}');
    request_grown(r);
}

static void put_tags(struct request *r, const struct plan_feed *f)
{
    const uint32_t *ids = r->http->plan->feed_tags;
    json_key(&r->body, "tag_list");
    json_open(&r->body, '[');
    for (uint32_t i = 0; i < f->tag_count; i++) {
        put_tag(r, ids[f->first_tag + i], true);
    }
    for (uint32_t i = 0; i < f->held_count; i++) {
        put_tag(r, ids[f->first_held + i], false);
    }
    json_close(&r->body, ']');
}

/* The row of the day comes before that of the week. */
static void row_report(void *context, const void *row, size_t size)
{
    struct request *r = context;
    const struct answer_report *a = row;
    const struct plan *p = r->http->plan;
    if (size < sizeof *a || a->feed >= p->header->feeds.count || a->week >= TIMES ||
        (r->contracts->one && r->feed != p->feeds + a->feed)) {
        return;
    }
    if (a->week == DAY) {
        if (!r->contracts->one) {
            json_open(&r->body, '{');
        }
        put_terms(r, p->feeds + a->feed);
        r->count++;
    }
    put_report(r, a);
    if (a->week == WEEK && r->contracts->one) {
        put_tags(r, p->feeds + a->feed);
    } else if (a->week == WEEK) {
        json_close(&r->body, '}');
    }
    request_grown(r);
}

static void end_reports(void *context, const struct answer *end)
{
    struct request *r = context;
    if (r->contracts->one && !end->error && !r->count) {
        r->ask = 0;
        request_problem(r, 404, "No such contract", "See /api/v1/contracts for those there are.");
    } else if (r->contracts->one) {
        list_finish(r, end);
    } else {
        list_end(r, end);
    }
}

/* ---- The asks, one after the other ---- */

static void end_causes(void *context, const struct answer *end);

static void ask_causes(struct request *r)
{
    int64_t now = clock_utc_ns(), day = 24 * 3600 * NS_PER_S;
    struct ask ask = {.kind = ASK_CAUSES,
                      .from_ns = now - (r->contracts->at == DAY ? day : 7 * day),
                      .to_ns = now};
    request_ask(r, &ask,
                &(struct answer_handler){.row = row_cause, .end = end_causes, .context = r});
}

static void end_causes(void *context, const struct answer *end)
{
    struct request *r = context;
    r->ask = 0;
    if (end->error) {
        request_problem(r, 503, "The reader could not answer", err_text((int)end->error));
    } else if (++r->contracts->at < TIMES) {
        ask_causes(r);
    } else {
        json_open(&r->body, '{');
        if (!r->contracts->one) {
            list_begin(r, "contracts");
        }
        struct ask ask = {.kind = ASK_REPORTS};
        request_ask(r, &ask,
                    &(struct answer_handler){.row = row_report, .end = end_reports, .context = r});
    }
}

static bool count_tags(struct request *r)
{
    const struct plan *p = r->http->plan;
    uint32_t devices = p->header->devices.count, boxes = p->header->boxes.count;
    uint32_t *tags = r->contracts->tags = calloc(devices + boxes + 1, sizeof *tags);
    for (uint32_t i = 0; tags && i < p->header->tags.count; i++) {
        const struct plan_tag *t = p->tags + i;
        if (t->device < devices) {
            tags[t->device]++;
        }
        if (t->box < boxes) {
            tags[devices + t->box]++;
        }
    }
    return tags;
}

static void begin(struct request *r, bool one)
{
    const struct plan_header *h = r->http->plan->header;
    struct contracts *c = r->contracts = calloc(1, sizeof *c);
    bool good = c && count_tags(r);
    for (int i = 0; good && i < TIMES; i++) {
        json_init(c->causes + i, BODY_MAX);
        c->missing[i] = calloc(h->feeds.count + 1, sizeof *c->missing[i]);
        good = c->missing[i];
    }
    if (!good) {
        request_problem(r, 503, "Busy", "Out of memory; try again in a moment.");
        return;
    }
    c->one = one;
    ask_causes(r);
}

void contracts_begin(struct request *r)
{
    begin(r, false);
}

void contract_begin(struct request *r)
{
    const struct plan *p = r->http->plan;
    for (uint32_t i = 0; !r->feed && i < p->header->feeds.count; i++) {
        r->feed = *r->rest && !strcmp(text_of(r, p->feeds[i].name), r->rest) ? p->feeds + i : NULL;
    }
    if (r->feed) {
        begin(r, true);
    } else {
        request_problem(r, 404, "No such contract", "See /api/v1/contracts for those there are.");
    }
}

/* ---- What devices were asked ---- */

static void row_trial(void *context, const void *row, size_t size)
{
    struct request *r = context;
    const struct answer_trial *t = row;
    const struct plan *p = r->http->plan;
    if (size < sizeof *t || t->device >= p->header->devices.count) {
        return;
    }
    struct json *j = &r->body;
    json_open(j, '{');
    json_pair_text(j, "device", text_of(r, p->devices[t->device].name));
    json_pair_time(j, "day", (int64_t)t->day * 86400 * NS_PER_S);
    json_pair_uint(j, "requests", t->requests);
    json_pair_uint(j, "failures", t->failures);
    json_pair_uint(j, "reconnects", t->reconnects);
    json_pair_uint(j, "seconds", t->seconds);
    json_pair_uint(j, "mean_us", t->mean_us);
    json_pair_uint(j, "worst_us", t->worst_us);
    json_key(j, "first");
    if (t->first_s) {
        json_time(j, t->first_s * NS_PER_S);
    } else {
        json_nil(j);
    }
    json_pair_uint(j, "before_seconds", t->before_s);
    json_pair_uint(j, "before_us", t->before_us);
    json_close(j, '}');
    request_grown(r);
}

void trial_begin(struct request *r)
{
    ask_rows(r, ASK_TRIAL, "days", row_trial);
}
