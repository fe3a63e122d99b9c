/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a plan that one box may know. Tables of zones, boxes, devices and feeds keep their length, so that
 * indexes mean the same everywhere; foreign entries are blanked down to what an index needs. */
#include "tag/plan_build.h"

#include <stdlib.h>
#include <string.h>

static bool sees_all(const struct plan *p, uint32_t box)
{
    const struct plan_box *b = p->boxes + box;
    const char *scope = plan_option(p, b->first_option, b->option_count, "scope");
    return b->kind == BOX_NORTH && scope && !strcmp(scope, "all");
}

static uint32_t copy_options(struct plan_build *out, const struct plan *p, uint32_t first,
                             uint32_t count)
{
    uint32_t start = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct plan_option *o = p->options + first + i;
        uint32_t at = plan_build_option(out, plan_text(p, o->key), plan_text(p, o->value));
        start = i ? start : at;
    }
    return start;
}

/* Which tags go along: one byte per tag of the plan. */
static uint8_t *choose(const struct plan *p, uint32_t box, bool all)
{
    uint8_t *chosen = calloc(p->header->tags.count + 1, 1);
    for (uint32_t i = 0; chosen && i < p->header->tags.count; i++) {
        chosen[i] = all || p->tags[i].box == box;
    }
    for (uint32_t f = 0; chosen && f < p->header->feeds.count; f++) {
        const struct plan_feed *feed = p->feeds + f;
        for (uint32_t i = 0; feed->box == box && i < feed->tag_count; i++) {
            const struct plan_tag *t = plan_find_tag(p, p->feed_tags[feed->first_tag + i]);
            if (t) {
                chosen[t - p->tags] = 1;
            }
        }
    }
    return chosen;
}

static void add_boxes(struct plan_build *out, const struct plan *p, uint32_t box, bool all)
{
    for (uint32_t i = 0; i < p->header->zones.count; i++) {
        struct plan_zone z = {.name = plan_build_text(out, plan_text(p, p->zones[i].name))};
        plan_build_zone(out, &z);
    }
    for (uint32_t i = 0; i < p->header->boxes.count; i++) {
        struct plan_box b = {.ring_capacity = p->boxes[i].ring_capacity};
        if (i == box || all) {
            b = p->boxes[i];
            b.name = plan_build_text(out, plan_text(p, b.name));
            b.module = plan_build_text(out, plan_text(p, b.module));
            uint32_t options = i == box ? b.option_count : 0; /* others' settings concern nobody */
            uint32_t addresses = i == box ? b.address_count : 0;
            b.first_option = copy_options(out, p, b.first_option, options);
            b.option_count = options;
            b.first_address = copy_options(out, p, b.first_address, addresses);
            b.address_count = addresses;
        }
        plan_build_box(out, &b);
    }
}

static void add_devices(struct plan_build *out, const struct plan *p, uint32_t box, bool all,
                        const uint8_t *chosen)
{
    uint8_t *used = calloc(p->header->devices.count + 1, 1);
    for (uint32_t i = 0; used && i < p->header->tags.count; i++) {
        if (chosen[i] && p->tags[i].device != PLAN_NONE) {
            used[p->tags[i].device] = 1;
        }
    }
    for (uint32_t i = 0; i < p->header->devices.count; i++) {
        struct plan_device d = p->devices[i];
        bool own = d.box == box;
        if (own || all || (used && used[i])) {
            d.name = plan_build_text(out, plan_text(p, d.name));
            d.description = plan_build_text(out, plan_text(p, d.description));
            d.first_option = copy_options(out, p, d.first_option, own ? d.option_count : 0);
            d.option_count = own ? d.option_count : 0;
        } else {
            d = (struct plan_device){.box = d.box, .zone = d.zone, .blanked = 1};
        }
        plan_build_device(out, &d);
    }
    free(used);
}

static void add_tags(struct plan_build *out, const struct plan *p, const uint8_t *chosen)
{
    for (uint32_t i = 0; i < p->header->tags.count; i++) {
        if (chosen[i]) {
            struct plan_tag t = p->tags[i];
            t.path = plan_build_text(out, plan_text(p, t.path));
            t.unit = plan_build_text(out, plan_text(p, t.unit));
            t.description = plan_build_text(out, plan_text(p, t.description));
            t.address = plan_build_text(out, plan_text(p, t.address));
            t.asset_type = plan_build_text(out, plan_text(p, t.asset_type));
            plan_build_tag(out, &t);
        }
    }
}

static void add_feeds(struct plan_build *out, const struct plan *p, uint32_t box, bool all)
{
    for (uint32_t i = 0; i < p->header->feeds.count; i++) {
        struct plan_feed f = p->feeds[i];
        if (f.box == box || all) {
            f.name = plan_build_text(out, plan_text(p, f.name));
            f.purpose = plan_build_text(out, plan_text(p, f.purpose));
            f.owner = plan_build_text(out, plan_text(p, f.owner));
            f.custodian = plan_build_text(out, plan_text(p, f.custodian));
            uint32_t first = 0;
            for (uint32_t k = 0; k < f.tag_count; k++) {
                uint32_t at = plan_build_feed_tag(out, p->feed_tags[f.first_tag + k]);
                first = k ? first : at;
            }
            f.first_tag = first;
        } else {
            f = (struct plan_feed){.box = f.box};
        }
        plan_build_feed(out, &f);
    }
}

int plan_part(const struct plan *plan, uint32_t box, void **image, size_t *size)
{
    bool all = sees_all(plan, box);
    struct plan_build *out = plan_build_new();
    uint8_t *chosen = choose(plan, box, all);
    int err = ERR_NOMEM;
    if (out && chosen) {
        struct plan_header *h = plan_build_header(out);
        const struct plan_header *from = plan->header;
        h->generation = from->generation;
        h->sync = from->sync;
        h->sync_ms = from->sync_ms;
        h->journal_limit = from->journal_limit;
        h->segment_size = from->segment_size;
        h->hold_bytes = from->hold_bytes;
        h->when_full = from->when_full;
        h->retention_count = from->retention_count;
        memcpy(h->retentions, from->retentions, sizeof h->retentions);
        h->name = plan_build_text(out, plan_text(plan, from->name));
        h->description = plan_build_text(out, plan_text(plan, from->description));
        h->state_dir = plan_build_text(out, plan_text(plan, from->state_dir));
        add_boxes(out, plan, box, all);
        add_devices(out, plan, box, all, chosen);
        add_tags(out, plan, chosen);
        add_feeds(out, plan, box, all);
        err = plan_build_finish(out, image, size);
    }
    free(chosen);
    plan_build_free(out);
    return err;
}
