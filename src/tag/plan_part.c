/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a plan that one box may know. Tables of zones, boxes, devices and feeds keep their length, so that
 * indexes mean the same everywhere; foreign entries are blanked down to what an index needs. */
#include "tag/conduit.h"
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

struct part { /* what goes along */
    uint32_t box;
    bool all;
    int64_t utc_ns;
    uint8_t *tags, *devices; /* owned: a byte per tag, per device of the plan */
};

static bool may_read(const struct plan *p, const struct part *part, const struct plan_tag *t)
{
    return conduit_lets(p, p->boxes[part->box].zone, t, CONDUIT_READ, part->utc_ns, NULL);
}

static void choose_tags(const struct plan *p, struct part *part)
{
    for (uint32_t i = 0; i < p->header->tags.count; i++) {
        const struct plan_tag *t = p->tags + i;
        part->tags[i] = t->box == part->box || (part->all && may_read(p, part, t));
    }
    for (uint32_t f = 0; f < p->header->feeds.count; f++) {
        const struct plan_feed *feed = p->feeds + f;
        for (uint32_t i = 0; feed->box == part->box && i < feed->tag_count; i++) {
            const struct plan_tag *t = plan_find_tag(p, p->feed_tags[feed->first_tag + i]);
            if (t && may_read(p, part, t)) {
                part->tags[t - p->tags] = 1;
            }
        }
    }
}

static void choose_devices(const struct plan *p, struct part *part)
{
    for (uint32_t i = 0; i < p->header->devices.count; i++) {
        const struct plan_device *d = p->devices + i;
        part->devices[i] = d->box == part->box ||
                           (part->all && conduit_reaches(p, p->boxes[part->box].zone, d->zone,
                                                         CONDUIT_READ, part->utc_ns));
    }
    for (uint32_t i = 0; i < p->header->tags.count; i++) {
        if (part->tags[i] && p->tags[i].device != PLAN_NONE) {
            part->devices[p->tags[i].device] = 1;
        }
    }
}

/* Its own, other services, and those of devices that go along. */
static bool shows_box(const struct plan *p, const struct part *part, uint32_t box)
{
    bool shown = box == part->box || (part->all && p->boxes[box].kind == BOX_NORTH);
    for (uint32_t i = 0; !shown && part->all && i < p->header->devices.count; i++) {
        shown = part->devices[i] && p->devices[i].box == box;
    }
    return shown;
}

static void add_boxes(struct plan_build *out, const struct plan *p, const struct part *part)
{
    for (uint32_t i = 0; i < p->header->zones.count; i++) {
        struct plan_zone z = {.name = plan_build_text(out, plan_text(p, p->zones[i].name))};
        plan_build_zone(out, &z);
    }
    for (uint32_t i = 0; i < p->header->boxes.count; i++) {
        struct plan_box b = {.ring_capacity = p->boxes[i].ring_capacity};
        if (shows_box(p, part, i)) {
            b = p->boxes[i];
            b.name = plan_build_text(out, plan_text(p, b.name));
            b.module = plan_build_text(out, plan_text(p, b.module));
            b.place = plan_build_text(out, plan_text(p, b.place));
            uint32_t options =
                i == part->box ? b.option_count : 0; /* others' settings concern nobody */
            uint32_t addresses = i == part->box ? b.address_count : 0;
            b.first_option = copy_options(out, p, b.first_option, options);
            b.option_count = options;
            b.first_address = copy_options(out, p, b.first_address, addresses);
            b.address_count = addresses;
        }
        plan_build_box(out, &b);
    }
}

/* Whence and where to is no secret among services that show all; the tags are those of the box's own zone only: a glob that no
 * path matches stands for others. */
static void add_conduits(struct plan_build *out, const struct plan *p, const struct part *part)
{
    uint32_t zone = p->boxes[part->box].zone;
    for (uint32_t i = 0; part->all && i < p->header->conduits.count; i++) {
        struct plan_conduit c = p->conduits[i];
        bool own = zone == PLAN_NONE || zone == c.from;
        c.name = plan_build_text(out, plan_text(p, c.name));
        c.place = plan_build_text(out, plan_text(p, c.place));
        if (own) {
            c.first_glob = copy_options(out, p, c.first_glob, c.glob_count);
        } else if (c.glob_count) {
            c.first_glob = plan_build_option(out, "tags", "");
            c.glob_count = 1;
        }
        plan_build_conduit(out, &c);
    }
}

static void add_devices(struct plan_build *out, const struct plan *p, const struct part *part)
{
    for (uint32_t i = 0; i < p->header->devices.count; i++) {
        struct plan_device d = p->devices[i];
        bool own = d.box == part->box;
        if (part->devices[i]) {
            d.name = plan_build_text(out, plan_text(p, d.name));
            d.description = plan_build_text(out, plan_text(p, d.description));
            d.first_option = copy_options(out, p, d.first_option, own ? d.option_count : 0);
            d.option_count = own ? d.option_count : 0;
        } else {
            d = (struct plan_device){.box = d.box, .zone = d.zone, .blanked = 1};
        }
        plan_build_device(out, &d);
    }
}

static void add_tags(struct plan_build *out, const struct plan *p, const struct part *part)
{
    for (uint32_t i = 0; i < p->header->tags.count; i++) {
        if (part->tags[i]) {
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

static uint32_t copy_feed_tags(struct plan_build *out, const struct plan *p,
                               const struct part *part, uint32_t from, uint32_t *count)
{
    uint32_t first = 0, chosen = 0;
    for (uint32_t k = 0; k < *count; k++) {
        const struct plan_tag *t = plan_find_tag(p, p->feed_tags[from + k]);
        if (t && part->tags[t - p->tags]) {
            uint32_t at = plan_build_feed_tag(out, t->id);
            first = chosen++ ? first : at;
        }
    }
    *count = chosen;
    return first;
}

static void copy_feed_texts(struct plan_build *out, const struct plan *p, struct plan_feed *f)
{
    plan_str *texts[] = {&f->name,           &f->purpose,   &f->owner,   &f->custodian,
                         &f->classification, &f->retention, &f->returns, &f->missing};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        *texts[i] = plan_build_text(out, plan_text(p, *texts[i]));
    }
    for (int i = 0; i < FEED_SIDES; i++) {
        struct plan_signature *s = f->signatures + i;
        s->by = plan_build_text(out, plan_text(p, s->by));
        s->key = plan_build_text(out, plan_text(p, s->key));
    }
}

/* What a feed holds back is not in the part of the box that delivers it. */
static void add_feeds(struct plan_build *out, const struct plan *p, const struct part *part)
{
    for (uint32_t i = 0; i < p->header->feeds.count; i++) {
        struct plan_feed f = p->feeds[i];
        if (f.box == part->box || part->all) {
            copy_feed_texts(out, p, &f);
            f.first_tag = copy_feed_tags(out, p, part, f.first_tag, &f.tag_count);
            f.held_count = part->all ? f.held_count : 0;
            f.first_held = copy_feed_tags(out, p, part, f.first_held, &f.held_count);
        } else {
            f = (struct plan_feed){.box = f.box};
        }
        plan_build_feed(out, &f);
    }
}

/* Write contracts, for who shows them: of those tags that go along, without the code of permissives, which only the engine runs. */
static void add_writes(struct plan_build *out, const struct plan *p, const struct part *part)
{
    for (uint32_t i = 0; part->all && i < p->header->writes.count; i++) {
        struct plan_write w = p->writes[i];
        uint32_t first = 0, count = 0;
        for (uint32_t k = 0; k < w.tag_count; k++) {
            const struct plan_tag *t = plan_find_tag(p, p->write_tags[w.first_tag + k]);
            if (t && part->tags[t - p->tags]) {
                uint32_t at = plan_build_write_tag(out, t->id);
                first = count++ ? first : at;
            }
        }
        w.first_tag = first;
        w.tag_count = count;
        w.code = w.code_size = 0;
        w.name = plan_build_text(out, plan_text(p, w.name));
        w.owner = plan_build_text(out, plan_text(p, w.owner));
        w.place = plan_build_text(out, plan_text(p, w.place));
        w.permissive = plan_build_text(out, plan_text(p, w.permissive));
        w.first_caller = copy_options(out, p, w.first_caller, w.caller_count);
        if (count) {
            plan_build_write(out, &w);
        }
    }
}

int plan_part(const struct plan *plan, uint32_t box, int64_t utc_ns, void **image, size_t *size)
{
    struct part part = {.box = box,
                        .all = sees_all(plan, box),
                        .utc_ns = utc_ns,
                        .tags = calloc(plan->header->tags.count + 1, 1),
                        .devices = calloc(plan->header->devices.count + 1, 1)};
    struct plan_build *out = plan_build_new();
    int err = ERR_NOMEM;
    if (out && part.tags && part.devices) {
        choose_tags(plan, &part);
        choose_devices(plan, &part);
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
        add_boxes(out, plan, &part);
        add_conduits(out, plan, &part);
        add_devices(out, plan, &part);
        add_tags(out, plan, &part);
        add_feeds(out, plan, &part);
        add_writes(out, plan, &part);
        err = plan_build_finish(out, image, size);
    }
    free(part.tags);
    free(part.devices);
    plan_build_free(out);
    return err;
}
