/* SPDX-License-Identifier: Apache-2.0 */
/* The current values in the text format 0.0.4 with their source times, for a Prometheus that scrapes. Values whose status is
 * bad, and those of no source time yet, are left out. */
#include "north/http/prom.h"

#include "base/clock.h"
#include "tag/status.h"

#include <math.h>

struct current {
    const struct plan_tag *tag;
    double value;
    int64_t ns;
};

struct federate {
    struct current *values; /* owned */
    uint32_t count;
};

void federate_free(struct federate *f)
{
    if (f) {
        free(f->values);
        free(f);
    }
}

static void put(struct request *r, const char *text, size_t size)
{
    r->body.comma = false; /* no JSON */
    json_raw(&r->body, text, size);
}

static void put_label(struct request *r, const struct plan_tag *tag, enum prom_label label)
{
    char text[LABEL_TEXT_MAX];
    size_t n = label_text(r->http->plan, tag, label, text);
    if (!n) {
        return;
    }
    const char *name = prom_label_names[label];
    put(r, r->body.text[r->body.size - 1] == '{' ? "" : ",", r->body.text[r->body.size - 1] != '{');
    put(r, name, strlen(name));
    put(r, "=\"", 2);
    for (size_t i = 0; i < n; i++) {
        bool line = text[i] == '\n', escape = line || text[i] == '"' || text[i] == '\\';
        put(r, "\\", escape);
        put(r, line ? "n" : text + i, 1);
    }
    put(r, "\"", 1);
}

static void put_value(struct request *r, const struct current *c)
{
    char text[96], number[NUMBER_TEXT_SIZE];
    if (isfinite(c->value)) {
        number_text(c->value, number);
    } else {
        snprintf(number, sizeof number, "%s",
                 isnan(c->value) ? "NaN"
                 : c->value > 0  ? "+Inf"
                                 : "-Inf");
    }
    int n = snprintf(text, sizeof text, "} %s %lld\n", number, (long long)(c->ns / NS_PER_MS));
    put(r, text, (size_t)n);
}

static int by_name(const void *a, const void *b, void *context)
{
    const struct current *x = a, *y = b;
    int order = label_compare(context, x->tag, y->tag, LABEL_NAME);
    return order ? order : (x->tag->id > y->tag->id) - (x->tag->id < y->tag->id);
}

static void render(struct request *r, const struct federate *f)
{
    const struct plan *plan = r->http->plan;
    for (uint32_t i = 0; i < f->count && !r->body.bad; i++) {
        const struct current *c = f->values + i;
        char name[LABEL_TEXT_MAX], text[LABEL_TEXT_MAX + 32];
        int n = (int)label_text(plan, c->tag, LABEL_NAME, name);
        if (i == 0 || label_compare(plan, c[-1].tag, c->tag, LABEL_NAME) != 0) {
            put(r, text, (size_t)snprintf(text, sizeof text, "# TYPE %.*s gauge\n", n, name));
        }
        put(r, name, (size_t)n);
        put(r, "{", 1);
        for (enum prom_label l = LABEL_NAME + 1; l < LABELS && !r->body.bad; l++) {
            put_label(r, c->tag, l);
        }
        put_value(r, c);
        request_grown(r);
    }
}

static void on_record(void *context, const struct answer *run, const struct slot *slots,
                      size_t count)
{
    struct request *r = context;
    struct federate *f = r->prom->federate;
    const struct plan_tag *tag = plan_find_tag(r->http->plan, slot_id(slots));
    (void)run;
    (void)count;
    if (!tag || slot_is_long(slots) || !slots->time ||
        f->count == r->http->plan->header->tags.count ||
        status_severity(slots->status) == SEVERITY_BAD || !prom_means(r, tag)) {
        return;
    }
    f->values[f->count++] = (struct current){
        tag, value_as_double((enum value_type)tag->type, slots->value), slots->time};
}

static void on_end(void *context, const struct answer *end)
{
    struct request *r = context;
    struct federate *f = r->prom->federate;
    r->ask = 0;
    if (end->error) {
        prom_error(r, 503, "unavailable", "%s", err_text((int)end->error));
    } else if (!prom_exhausted(r)) {
        qsort_r(f->values, f->count, sizeof *f->values, by_name, (void *)(uintptr_t)r->http->plan);
        render(r, f);
        request_done(r);
    }
}

void prom_federate_begin(struct request *r)
{
    struct ask ask = {
        .kind = ASK_NOW, .tag_from = 1, .tag_to = SLOT_ID_MAX, .max_records = UINT32_MAX};
    if (!prom_open(r) || !prom_matches(r)) {
        return;
    }
    struct federate *f = r->prom->federate = calloc(1, sizeof *f);
    if (f) {
        f->values = calloc(r->http->plan->header->tags.count + 1u, sizeof *f->values);
    }
    if (!f || !f->values) {
        prom_error(r, 503, "unavailable", "out of memory");
        return;
    }
    r->type = "text/plain; version=0.0.4; charset=utf-8";
    request_ask(r, &ask,
                &(struct answer_handler){.record = on_record, .end = on_end, .context = r});
}
