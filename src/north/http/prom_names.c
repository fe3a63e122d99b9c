/* SPDX-License-Identifier: Apache-2.0 */
/* Which labels, values, series and metrics there are: all from the plan, whatever the time. */
#include "north/http/prom.h"

struct order {
    const struct plan *plan;
    enum prom_label label;
};

static int by_label(const void *a, const void *b, void *context)
{
    const struct order *o = context;
    const uint32_t *x = a, *y = b;
    int order = label_compare(o->plan, o->plan->tags + *x, o->plan->tags + *y, o->label);
    return order ? order : (*x > *y) - (*x < *y);
}

/* The tags that are meant, by the text of a label. Owned; NULL: the answer is made. */
static uint32_t *meant(struct request *r, enum prom_label label, uint32_t *count)
{
    const struct plan *plan = r->http->plan;
    uint32_t n = 0, most = plan->header->tags.count, *tags = malloc((most + 1u) * sizeof *tags);
    if (!tags) {
        prom_error(r, 503, "unavailable", "out of memory");
        return NULL;
    }
    for (uint32_t i = 0; i < most; i++) {
        if (prom_means(r, plan->tags + i)) {
            tags[n++] = i;
        }
    }
    if (prom_exhausted(r)) {
        free(tags);
        return NULL;
    }
    qsort_r(tags, n, sizeof *tags, by_label, &(struct order){plan, label});
    *count = n;
    return tags;
}

static bool begin(struct request *r, uint64_t *limit)
{
    return prom_open(r) && prom_limit(r, limit) && prom_matches(r);
}

void prom_labels_begin(struct request *r)
{
    const struct plan *plan = r->http->plan;
    char text[LABEL_TEXT_MAX];
    uint32_t there = 0, count;
    uint64_t limit;
    uint32_t *tags = begin(r, &limit) ? meant(r, LABEL_TAG, &count) : NULL;
    if (!tags) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        for (enum prom_label l = 0; l < LABELS; l++) {
            there |= (uint32_t)(label_text(plan, plan->tags + tags[i], l, text) > 0) << l;
        }
    }
    free(tags);
    prom_success(r);
    json_open(&r->body, '[');
    for (enum prom_label l = 0; l < LABELS; l++) {
        if (there >> l & 1 && limit) {
            json_text(&r->body, prom_label_names[l]);
            limit--;
        }
    }
    json_close(&r->body, ']');
    prom_done(r);
}

/* The label in …/label/NAME/values; LABELS: one that no series has. */
static enum prom_label label_of(const char *rest, size_t size)
{
    enum prom_label l = 0;
    while (l < LABELS &&
           (strlen(prom_label_names[l]) != size || strncmp(prom_label_names[l], rest, size) != 0)) {
        l++;
    }
    return l;
}

void prom_values_begin(struct request *r)
{
    const struct plan *plan = r->http->plan;
    const char *slash = strchr(r->rest, '/');
    char text[LABEL_TEXT_MAX];
    uint64_t limit;
    if (!slash || slash == r->rest || strcmp(slash, "/values") != 0) {
        request_problem(r, 404, "Not found", "See /openapi.yaml for what there is.");
        return;
    }
    enum prom_label label = label_of(r->rest, (size_t)(slash - r->rest));
    uint32_t count, *tags = begin(r, &limit) ? meant(r, label < LABELS ? label : 0, &count) : NULL;
    if (!tags) {
        return;
    }
    prom_success(r);
    json_open(&r->body, '[');
    for (uint32_t i = 0; i < count && label < LABELS && limit; i++) {
        const struct plan_tag *tag = plan->tags + tags[i];
        size_t n = label_text(plan, tag, label, text);
        if (n && (i == 0 || label_compare(plan, plan->tags + tags[i - 1], tag, label) != 0)) {
            json_text_n(&r->body, text, n);
            limit--;
        }
    }
    json_close(&r->body, ']');
    free(tags);
    prom_done(r);
}

void prom_series_begin(struct request *r)
{
    const struct plan *plan = r->http->plan;
    uint64_t limit;
    uint32_t count;
    if (!begin(r, &limit)) {
        return;
    }
    if (!r->prom->match_count) {
        prom_error(r, 400, "bad_data", "no match[] parameter provided");
        return;
    }
    uint32_t *tags = meant(r, LABEL_TAG, &count);
    if (!tags) {
        return;
    }
    prom_success(r);
    json_open(&r->body, '[');
    for (uint32_t i = 0; i < count && i < limit; i++) {
        labels_render(&r->body, plan, (struct labels){plan->tags + tags[i], LABELS_ALL});
    }
    json_close(&r->body, ']');
    free(tags);
    prom_done(r);
}

/* A metric's help is the first description among its tags; its unit the one of that tag. */
void prom_metadata_begin(struct request *r)
{
    const struct plan *plan = r->http->plan;
    uint64_t limit;
    uint32_t count, *tags = begin(r, &limit) ? meant(r, LABEL_NAME, &count) : NULL;
    if (!tags) {
        return;
    }
    const char *metric = prom_argument(r, "metric", 0);
    prom_success(r);
    json_open(&r->body, '{');
    for (uint32_t i = 0; i < count && limit; i++) {
        const struct plan_tag *tag = plan->tags + tags[i];
        char name[LABEL_TEXT_MAX + 1];
        name[label_text(plan, tag, LABEL_NAME, name)] = 0;
        if ((i && !label_compare(plan, plan->tags + tags[i - 1], tag, LABEL_NAME)) ||
            (metric && strcmp(metric, name) != 0)) {
            continue;
        }
        json_key(&r->body, name);
        json_open(&r->body, '[');
        json_open(&r->body, '{');
        json_pair_text(&r->body, "type", "gauge");
        json_pair_text(&r->body, "help", plan_text(plan, tag->description));
        json_pair_text(&r->body, "unit", plan_text(plan, tag->unit));
        json_close(&r->body, '}');
        json_close(&r->body, ']');
        limit--;
    }
    json_close(&r->body, '}');
    free(tags);
    prom_done(r);
}
