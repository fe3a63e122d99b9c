/* SPDX-License-Identifier: Apache-2.0 */
/* plan_open is the only place that distrusts an image: it proves every offset, index, order and string, so that the
 * accessors stay free of checks. The image comes from config/ or from a sealed segment; proving costs about 20 ns a
 * tag, once per process. */
#include "tag/plan.h"

#include <string.h>

static bool table_fits(const struct plan_header *h, size_t size, struct plan_table t, size_t entry)
{
    return t.offset % 8 == 0 && t.offset >= sizeof *h && t.offset <= size &&
           t.count <= (size - t.offset) / entry;
}

static bool range_in(uint32_t first, uint32_t count, uint32_t total)
{
    return first <= total && count <= total - first;
}

static bool index_or_none(uint32_t index, uint32_t total)
{
    return index == PLAN_NONE || index < total;
}

static bool header_is_sound(const struct plan_header *h, size_t size)
{
    return table_fits(h, size, h->zones, sizeof(struct plan_zone)) &&
           table_fits(h, size, h->conduits, sizeof(struct plan_conduit)) &&
           table_fits(h, size, h->boxes, sizeof(struct plan_box)) &&
           table_fits(h, size, h->devices, sizeof(struct plan_device)) &&
           table_fits(h, size, h->tags, sizeof(struct plan_tag)) &&
           table_fits(h, size, h->feeds, sizeof(struct plan_feed)) &&
           table_fits(h, size, h->feed_tags, sizeof(uint32_t)) &&
           table_fits(h, size, h->writes, sizeof(struct plan_write)) &&
           table_fits(h, size, h->write_tags, sizeof(uint32_t)) &&
           table_fits(h, size, h->code, 1) &&
           table_fits(h, size, h->options, sizeof(struct plan_option)) &&
           table_fits(h, size, h->strings, 1) && h->strings.count > 0 && h->sync >= SYNC_PERIOD &&
           h->sync <= SYNC_OS && h->when_full >= FULL_DROP_OLDEST && h->when_full <= FULL_STOP &&
           h->retention_count <= RETENTIONS_MAX && h->name < h->strings.count &&
           h->description < h->strings.count && h->state_dir < h->strings.count;
}

static bool boxes_are_sound(const struct plan *p)
{
    const struct plan_header *h = p->header;
    for (uint32_t i = 0; i < h->boxes.count; i++) {
        const struct plan_box *b = p->boxes + i;
        bool ring = b->ring_capacity && !(b->ring_capacity & (b->ring_capacity - 1));
        if (b->name >= h->strings.count || b->module >= h->strings.count ||
            b->place >= h->strings.count || b->kind > BOX_NORTH ||
            !range_in(b->first_option, b->option_count, h->options.count) ||
            !range_in(b->first_address, b->address_count, h->options.count) || !ring ||
            (b->zone && !index_or_none(b->zone, h->zones.count))) {
            return false;
        }
    }
    for (uint32_t i = 0; i < h->zones.count; i++) {
        if (p->zones[i].name >= h->strings.count || p->zones[i].text_size % 8) {
            return false;
        }
    }
    return true;
}

static bool conduits_are_sound(const struct plan *p)
{
    const struct plan_header *h = p->header;
    for (uint32_t i = 0; i < h->conduits.count; i++) {
        const struct plan_conduit *c = p->conduits + i;
        if (c->name >= h->strings.count || c->place >= h->strings.count ||
            c->from >= h->zones.count || c->to >= h->zones.count ||
            !range_in(c->first_glob, c->glob_count, h->options.count)) {
            return false;
        }
    }
    return true;
}

static bool devices_are_sound(const struct plan *p)
{
    const struct plan_header *h = p->header;
    for (uint32_t i = 0; i < h->devices.count; i++) {
        const struct plan_device *d = p->devices + i;
        if (d->name >= h->strings.count || d->description >= h->strings.count ||
            d->box >= h->boxes.count || d->zone >= h->zones.count ||
            !range_in(d->first_option, d->option_count, h->options.count)) {
            return false;
        }
    }
    return true;
}

static bool tag_is_sound(const struct plan *p, const struct plan_tag *t)
{
    const struct plan_header *h = p->header;
    uint32_t strings = h->strings.count;
    if (!t->id || t->id > SLOT_ID_MAX || t->path >= strings || t->unit >= strings ||
        t->description >= strings || t->address >= strings || t->asset_type >= strings ||
        !index_or_none(t->device, h->devices.count) || !index_or_none(t->box, h->boxes.count) ||
        t->zone >= h->zones.count || !t->type || t->type >= VALUE_TYPE_END || !t->raw_type ||
        t->raw_type >= VALUE_TYPE_END || t->deadband_kind > DEADBAND_PERCENT ||
        t->retention > h->retention_count) {
        return false;
    }
    const struct plan_zone *z = p->zones + t->zone;
    return t->zone_index < z->tag_count &&
           (!value_is_long((enum value_type)t->type) ||
            (t->max_length && t->max_length <= SLOT_BYTES_MAX && t->text_offset % 8 == 0 &&
             t->text_offset + (uint64_t)((t->max_length + 7u) / 8u) * 8u <= z->text_size)) &&
           value_is_long((enum value_type)t->type) == value_is_long((enum value_type)t->raw_type);
}

static bool feed_texts_are_sound(const struct plan_feed *f, uint32_t strings)
{
    const plan_str texts[] = {f->name,
                              f->purpose,
                              f->owner,
                              f->custodian,
                              f->classification,
                              f->retention,
                              f->returns,
                              f->missing,
                              f->signatures[FEED_OWNER].by,
                              f->signatures[FEED_OWNER].key,
                              f->signatures[FEED_CUSTODIAN].by,
                              f->signatures[FEED_CUSTODIAN].key};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (texts[i] >= strings) {
            return false;
        }
    }
    return true;
}

static bool tags_are_sound(const struct plan *p)
{
    const struct plan_header *h = p->header;
    for (uint32_t i = 0; i < h->tags.count; i++) {
        if (!tag_is_sound(p, p->tags + i) || (i && p->tags[i].id <= p->tags[i - 1].id)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < h->feeds.count; i++) {
        const struct plan_feed *f = p->feeds + i;
        if (!feed_texts_are_sound(f, h->strings.count) || f->box >= h->boxes.count ||
            f->effect > FEED_UNSIGNED ||
            !range_in(f->first_tag, f->tag_count, h->feed_tags.count) ||
            !range_in(f->first_held, f->held_count, h->feed_tags.count)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < h->options.count; i++) {
        if (p->options[i].key >= h->strings.count || p->options[i].value >= h->strings.count) {
            return false;
        }
    }
    return true;
}

static bool hours_are_sound(const struct plan_write *w)
{
    for (uint32_t i = 0; i < w->hour_count; i++) {
        if (w->hours[i].from_minute >= 1440 || w->hours[i].to_minute > 1440 ||
            w->hours[i].days >> 7) {
            return false;
        }
    }
    return true;
}

/* The permissive's code proves itself when it is opened (rule/expr.h). */
static bool writes_are_sound(const struct plan *p)
{
    const struct plan_header *h = p->header;
    for (uint32_t i = 0; i < h->writes.count; i++) {
        const struct plan_write *w = p->writes + i;
        if (w->name >= h->strings.count || w->owner >= h->strings.count ||
            w->place >= h->strings.count || w->permissive >= h->strings.count ||
            !range_in(w->code, w->code_size, h->code.count) || w->code % 8 ||
            !range_in(w->first_tag, w->tag_count, h->write_tags.count) ||
            !range_in(w->first_caller, w->caller_count, h->options.count) ||
            w->hour_count > PLAN_HOURS_MAX || !hours_are_sound(w)) {
            return false;
        }
    }
    return true;
}

int plan_open(struct plan *plan, const void *image, size_t size)
{
    const struct plan_header *h = image;
    if (size < sizeof *h || h->size > size) {
        return ERR_SHORT;
    }
    if (h->magic != PLAN_MAGIC) {
        return ERR_MALFORMED;
    }
    if (h->version != PLAN_VERSION) {
        return ERR_VERSION;
    }
    size = (size_t)h->size;
    if (!header_is_sound(h, size)) {
        return ERR_MALFORMED;
    }
    const uint8_t *base = image;
    struct plan p = {
        .image = base,
        .header = h,
        .zones = (const void *)(base + h->zones.offset),
        .conduits = (const void *)(base + h->conduits.offset),
        .boxes = (const void *)(base + h->boxes.offset),
        .devices = (const void *)(base + h->devices.offset),
        .tags = (const void *)(base + h->tags.offset),
        .feeds = (const void *)(base + h->feeds.offset),
        .feed_tags = (const void *)(base + h->feed_tags.offset),
        .writes = (const void *)(base + h->writes.offset),
        .write_tags = (const void *)(base + h->write_tags.offset),
        .options = (const void *)(base + h->options.offset),
        .code = base + h->code.offset,
        .strings = (const char *)(base + h->strings.offset),
    };
    if (p.strings[0] || p.strings[h->strings.count - 1] || !conduits_are_sound(&p) ||
        !boxes_are_sound(&p) || !devices_are_sound(&p) || !tags_are_sound(&p) ||
        !writes_are_sound(&p)) {
        return ERR_MALFORMED;
    }
    *plan = p;
    return ERR_OK;
}

const struct plan_tag *plan_find_tag(const struct plan *plan, uint32_t id)
{
    uint32_t low = 0, high = plan->header->tags.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (plan->tags[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < plan->header->tags.count && plan->tags[low].id == id ? plan->tags + low : NULL;
}

const struct plan_tag *plan_find_path(const struct plan *plan, const char *path)
{
    for (uint32_t i = 0; i < plan->header->tags.count; i++) {
        if (!strcmp(plan_text(plan, plan->tags[i].path), path)) {
            return plan->tags + i;
        }
    }
    return NULL;
}

const struct plan_write *plan_find_write(const struct plan *plan, uint32_t tag)
{
    for (uint32_t i = 0; i < plan->header->writes.count; i++) {
        const struct plan_write *w = plan->writes + i;
        const uint32_t *ids = plan->write_tags + w->first_tag;
        uint32_t low = 0, high = w->tag_count;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            if (ids[middle] < tag) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if (low < w->tag_count && ids[low] == tag) {
            return w;
        }
    }
    return NULL;
}

uint32_t plan_find_box(const struct plan *plan, const char *name)
{
    for (uint32_t i = 0; i < plan->header->boxes.count; i++) {
        if (!strcmp(plan_text(plan, plan->boxes[i].name), name)) {
            return i;
        }
    }
    return PLAN_NONE;
}

uint32_t plan_find_device(const struct plan *plan, const char *name)
{
    for (uint32_t i = 0; i < plan->header->devices.count; i++) {
        if (!strcmp(plan_text(plan, plan->devices[i].name), name)) {
            return i;
        }
    }
    return PLAN_NONE;
}

const char *plan_option(const struct plan *plan, uint32_t first, uint32_t count, const char *key)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct plan_option *o = plan->options + first + i;
        if (!strcmp(plan_text(plan, o->key), key)) {
            return plan_text(plan, o->value);
        }
    }
    return NULL;
}
