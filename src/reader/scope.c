/* SPDX-License-Identifier: Apache-2.0 */
/* Who may see what: the tags of its feeds, and what concerns them; or all. */
#include "reader/core.h"

#include <stdlib.h>
#include <string.h>

static int scope_init(struct scope *s, const struct plan *plan)
{
    const struct plan_header *h = plan->header;
    uint32_t end_id = h->tags.count ? plan->tags[h->tags.count - 1].id + 1 : 0;
    s->tags = calloc(end_id / 64 + 1, sizeof *s->tags);
    s->devices = calloc(h->devices.count + 1, 1);
    s->boxes = calloc(h->boxes.count + 1, 1);
    if (!s->tags || !s->devices || !s->boxes) {
        scope_fini(s);
        return ERR_NOMEM;
    }
    s->filter = (struct filter){.tags = s->tags,
                                .end_id = end_id,
                                .devices = s->devices,
                                .boxes = s->boxes,
                                .device_count = h->devices.count,
                                .box_count = h->boxes.count};
    return ERR_OK;
}

void scope_fini(struct scope *s)
{
    free(s->tags);
    free(s->devices);
    free(s->boxes);
    *s = (struct scope){0};
}

static void add_tag(struct scope *s, const struct plan_tag *t)
{
    s->tags[t->id / 64] |= UINT64_C(1) << (t->id % 64);
    if (t->device != PLAN_NONE) {
        s->devices[t->device] = 1;
    }
    if (t->box != PLAN_NONE) {
        s->boxes[t->box] = 1;
    }
}

static void add_feed(struct scope *s, const struct plan *plan, const struct plan_feed *f)
{
    for (uint32_t i = 0; i < f->tag_count; i++) {
        const struct plan_tag *t = plan_find_tag(plan, plan->feed_tags[f->first_tag + i]);
        if (t) {
            add_tag(s, t);
        }
    }
    s->boxes[f->box] = 1;
}

int scope_of_feed(struct scope *s, const struct plan *plan, uint32_t feed)
{
    int err = scope_init(s, plan);
    if (!err) {
        add_feed(s, plan, plan->feeds + feed);
    }
    return err;
}

int scope_of_box(struct scope *s, const struct plan *plan, uint32_t box)
{
    int err = scope_init(s, plan);
    if (err) {
        return err;
    }
    const struct plan_box *b = plan->boxes + box;
    const char *scope = plan_option(plan, b->first_option, b->option_count, "scope");
    s->all = scope && !strcmp(scope, "all");
    s->boxes[box] = 1;
    for (uint32_t i = 0; s->all && i < plan->header->tags.count; i++) {
        add_tag(s, plan->tags + i);
    }
    if (s->all) {
        memset(s->devices, 1, plan->header->devices.count);
        memset(s->boxes, 1, plan->header->boxes.count);
    }
    for (uint32_t i = 0; i < plan->header->feeds.count; i++) {
        if (plan->feeds[i].box == box) {
            add_feed(s, plan, plan->feeds + i);
        }
    }
    return ERR_OK;
}
