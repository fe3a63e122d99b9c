/* SPDX-License-Identifier: Apache-2.0 */
/* The tags of this box's feeds, grouped by device, with what was last said of each. Births are made from that: they then
 * agree with the data that was sent before and will be sent behind them, and need no question to anybody. */
#include "north/sparkplug/sparkplug.h"

#include "tag/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_lost(uint32_t status)
{
    switch (status & UINT32_C(0xffff0000)) {
    case (uint32_t)STATUS_BAD_COMMUNICATION:
    case (uint32_t)STATUS_BAD_NO_COMMUNICATION:
    case (uint32_t)STATUS_BAD_NOT_CONNECTED:
    case (uint32_t)STATUS_BAD_TIMEOUT:
    case (uint32_t)STATUS_BAD_SHUTDOWN:
        return true;
    default:
        return false;
    }
}

static char *topic_of(const struct node *n, const char *verb, const char *device)
{
    char *topic = NULL;
    int size = asprintf(&topic, "spBv1.0/%s/%s/%s%s%s", n->options.group, verb, n->options.id,
                        device ? "/" : "", device ? device : "");
    return size < 0 ? NULL : topic;
}

static int set_topics(struct node *n, uint32_t place)
{
    struct node_device *d = n->devices + place;
    char level[TOPIC_MAX];
    bool own = place == n->device_count - 1;
    if (!own) {
        topic_level(level, plan_text(n->plan, n->plan->devices[place].name));
    }
    d->birth = topic_of(n, own ? "NBIRTH" : "DBIRTH", own ? NULL : level);
    d->death = topic_of(n, own ? "NDEATH" : "DDEATH", own ? NULL : level);
    d->data = topic_of(n, own ? "NDATA" : "DDATA", own ? NULL : level);
    return d->birth && d->death && d->data ? ERR_OK : ERR_NOMEM;
}

/* Two devices whose names differ only in what topics can't hold. */
static int prove_distinct(const struct node *n, char *why, size_t why_size)
{
    for (uint32_t a = 0; a < n->device_count; a++) {
        for (uint32_t b = a + 1; b < n->device_count; b++) {
            if (n->devices[a].birth && n->devices[b].birth &&
                !strcmp(n->devices[a].birth, n->devices[b].birth)) {
                snprintf(why, why_size, "two devices would be '%s': rename one",
                         n->devices[a].birth);
                return ERR_CONFIG;
            }
        }
    }
    return ERR_OK;
}

static int set_plain_topic(struct node *n, uint32_t tag, char *why, size_t why_size)
{
    const struct plan *plan = n->plan;
    const struct plan_tag *t = plan->tags + tag;
    char topic[TOPIC_MAX];
    struct topic_names names = {
        .gateway = plan_text(plan, plan->header->name),
        .group = n->options.group,
        .node = n->options.id,
        .device = t->device == PLAN_NONE ? "" : plan_text(plan, plan->devices[t->device].name),
        .path = plan_text(plan, t->path),
        .feed = n->feed_count ? n->feeds[0].name : "",
        .id = t->id,
    };
    if (template_expand(n->options.json_topic, &names, topic)) {
        snprintf(why, why_size, "option 'json_topic': too long for tag '%s'", names.path);
        return ERR_CONFIG;
    }
    n->tags[tag].topic = strdup(topic);
    return n->tags[tag].topic ? ERR_OK : ERR_NOMEM;
}

static int compare_paths(const void *a, const void *b, void *context)
{
    const struct node *n = context;
    const uint32_t *x = a, *y = b;
    return strcmp(plan_text(n->plan, n->plan->tags[*x].path),
                  plan_text(n->plan, n->plan->tags[*y].path));
}

/* Room for the longest birth. */
static size_t births_size(const struct node *n, uint32_t place)
{
    const struct node_device *d = n->devices + place;
    size_t size = 4 * METRIC_ROOM; /* the payload's own fields, bdSeq, Rebirth */
    for (uint32_t i = 0; i < d->count; i++) {
        uint32_t tag = n->order[d->first + i];
        const struct plan_tag *t = n->plan->tags + tag;
        size += METRIC_ROOM + strlen(plan_text(n->plan, t->path)) +
                strlen(plan_text(n->plan, t->unit)) + n->tags[tag].text_max;
    }
    return size;
}

static int allocate(struct node *n)
{
    size_t tags = n->tag_count + 1u, texts = 1;
    for (uint32_t i = 0; i < n->tag_count; i++) {
        const struct plan_tag *t = n->plan->tags + i;
        texts += value_is_long((enum value_type)t->type) ? t->max_length : 0;
    }
    n->tags = calloc(tags, sizeof *n->tags);
    n->order = calloc(tags, sizeof *n->order);
    n->by_name = calloc(tags, sizeof *n->by_name);
    n->devices = calloc(n->device_count, sizeof *n->devices);
    n->touched = calloc(n->device_count, sizeof *n->touched);
    n->texts = malloc(texts);
    return n->tags && n->order && n->by_name && n->devices && n->touched && n->texts ? ERR_OK
                                                                                     : ERR_NOMEM;
}

static void fill(struct node *n)
{
    uint32_t text_at = 0;
    for (uint32_t i = 0; i < n->tag_count; i++) {
        const struct plan_tag *t = n->plan->tags + i;
        struct node_tag *tag = n->tags + i;
        tag->id = t->id;
        metric_shape_init(&tag->shape, t->id, (enum value_type)t->type);
        tag->place = t->device == PLAN_NONE ? n->device_count - 1 : t->device;
        tag->text_at = text_at;
        tag->text_max = value_is_long(tag->shape.type) ? t->max_length : 0;
        text_at += tag->text_max;
        n->devices[tag->place].count++;
        n->by_name[i] = i;
    }
    qsort_r(n->by_name, n->tag_count, sizeof *n->by_name, compare_paths, n);
    uint32_t first = 0;
    for (uint32_t p = 0; p < n->device_count; p++) {
        n->devices[p].first = first;
        first += n->devices[p].count;
        n->devices[p].count = 0;
    }
    for (uint32_t i = 0; i < n->tag_count; i++) {
        struct node_device *d = n->devices + n->tags[i].place;
        n->order[d->first + d->count++] = i;
    }
}

int tags_init(struct node *n, char *why, size_t why_size)
{
    n->tag_count = n->plan->header->tags.count;
    n->device_count = n->plan->header->devices.count + 1;
    int err = allocate(n);
    if (!err) {
        fill(n);
        n->out_size = DATA_SIZE + METRIC_ROOM + SLOT_BYTES_MAX + 64;
    }
    for (uint32_t p = 0; p < n->device_count && !err; p++) {
        if (n->devices[p].count || p == n->device_count - 1) {
            err = set_topics(n, p);
            size_t size = births_size(n, p);
            n->out_size = size > n->out_size ? size : n->out_size;
        }
    }
    if (!err) {
        n->out = malloc(n->out_size);
        err = n->out ? prove_distinct(n, why, why_size) : ERR_NOMEM;
    }
    for (uint32_t i = 0; i < n->tag_count && !err && n->options.mode != MODE_SPARKPLUG; i++) {
        err = set_plain_topic(n, i, why, why_size);
    }
    if (err == ERR_NOMEM) {
        snprintf(why, why_size, "out of memory");
    }
    return err;
}

void tags_fini(struct node *n)
{
    for (uint32_t i = 0; n->tags && i < n->tag_count; i++) {
        free(n->tags[i].topic);
    }
    for (uint32_t p = 0; n->devices && p < n->device_count; p++) {
        free(n->devices[p].birth);
        free(n->devices[p].death);
        free(n->devices[p].data);
    }
    free(n->tags);
    free(n->order);
    free(n->by_name);
    free(n->devices);
    free(n->touched);
    free(n->texts);
    free(n->out);
}

/* A device's tags come in the same order each time it is polled: so each remembers who came next. */
uint32_t tags_find(struct node *n, uint32_t id)
{
    if (!n->tag_count) {
        return UINT32_MAX;
    }
    struct node_tag *before = n->tags + n->found;
    if (n->tags[before->follower].id != id) {
        const struct plan_tag *t = plan_find_tag(n->plan, id);
        if (!t) {
            return UINT32_MAX;
        }
        before->follower = (uint32_t)(t - n->plan->tags);
    }
    n->found = before->follower;
    return n->found;
}

uint32_t tags_find_path(const struct node *n, const char *name, size_t size)
{
    uint32_t from = 0, to = n->tag_count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2, tag = n->by_name[middle];
        const char *path = plan_text(n->plan, n->plan->tags[tag].path);
        int order = strncmp(path, name, size);
        order = order || !path[size] ? order : 1;
        if (order == 0) {
            return tag;
        }
        if (order < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return UINT32_MAX;
}

void tags_note(struct node *n, uint32_t tag, const struct slot *slots)
{
    struct node_tag *t = n->tags + tag;
    struct node_device *d = n->devices + t->place;
    bool lost = is_lost(slots->status);
    if (t->text_max) {
        size_t size = (size_t)slots->value.u64;
        size = slot_is_long(slots) ? (size < t->text_max ? size : t->text_max) : 0;
        t->last = slots[0];
        t->last.value.u64 = size;
        memcpy(n->texts + t->text_at, slot_payload(slots), size);
    } else {
        t->last = *slots;
    }
    t->known = true;
    d->lost = d->lost + lost - t->lost;
    t->lost = lost;
}

void tags_lose(struct node *n, uint32_t place)
{
    struct node_device *d = n->devices + place;
    for (uint32_t i = 0; i < d->count; i++) {
        struct node_tag *t = n->tags + n->order[d->first + i];
        t->lost = true;
        t->last.status = (uint32_t)STATUS_BAD_NO_COMMUNICATION;
    }
    d->lost = d->count;
}

/* A birth says what is, and is no sample: it carries no sequence. */
void tags_births(struct node *n, uint32_t place, struct writer *w, int64_t now_ns)
{
    const struct node_device *d = n->devices + place;
    for (uint32_t i = 0; i < d->count; i++) {
        uint32_t tag = n->order[d->first + i];
        const struct node_tag *t = n->tags + tag;
        const struct plan_tag *p = n->plan->tags + tag;
        uint32_t status =
            t->known || t->lost ? t->last.status : (uint32_t)STATUS_BAD_WAITING_INITIAL;
        struct metric_sample sample = {
            .time_ns = t->last.time > 0 ? t->last.time : now_ns,
            .value = t->last.value,
            .bytes = n->texts + t->text_at,
            .status = status,
            .is_null = !t->known || status_severity(status) == SEVERITY_BAD,
        };
        struct metric_birth birth = {.name = plan_text(n->plan, p->path),
                                     .unit = plan_text(n->plan, p->unit),
                                     .has_range = p->has_range,
                                     .low = p->low,
                                     .high = p->high};
        metric_encode(w, &t->shape, &sample, &birth);
    }
}
