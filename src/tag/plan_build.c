/* SPDX-License-Identifier: Apache-2.0 */
/* Texts are interned through a hash table, so that a unit used by 10,000 tags is stored once. */
#include "tag/plan_build.h"

#include <stdlib.h>
#include <string.h>

struct list {
    uint8_t *data;
    size_t entry, count, capacity;
};

enum {
    ZONES,
    CONDUITS,
    BOXES,
    DEVICES,
    TAGS,
    FEEDS,
    FEED_TAGS,
    WRITES,
    WRITE_TAGS,
    OPTIONS,
    CODE,
    STRINGS,
    LISTS
};

struct plan_build {
    struct plan_header header;
    struct list lists[LISTS];
    plan_str *buckets; /* 0: empty */
    size_t bucket_count, text_count;
    bool bad;
};

static const size_t entry_sizes[LISTS] = {sizeof(struct plan_zone),
                                          sizeof(struct plan_conduit),
                                          sizeof(struct plan_box),
                                          sizeof(struct plan_device),
                                          sizeof(struct plan_tag),
                                          sizeof(struct plan_feed),
                                          sizeof(uint32_t),
                                          sizeof(struct plan_write),
                                          sizeof(uint32_t),
                                          sizeof(struct plan_option),
                                          1,
                                          1};

static uint32_t list_add(struct plan_build *b, int which, const void *entries, size_t count)
{
    struct list *l = b->lists + which;
    if (l->capacity - l->count < count) {
        size_t wanted = l->capacity ? l->capacity : 64;
        while (wanted - l->count < count) {
            wanted *= 2;
        }
        uint8_t *data = wanted > UINT32_MAX ? NULL : realloc(l->data, wanted * l->entry);
        if (!data) {
            b->bad = true;
            return 0;
        }
        l->data = data;
        l->capacity = wanted;
    }
    if (count) {
        memcpy(l->data + l->count * l->entry, entries, count * l->entry);
    }
    l->count += count;
    return (uint32_t)(l->count - count);
}

struct plan_build *plan_build_new(void)
{
    struct plan_build *b = calloc(1, sizeof *b);
    if (!b) {
        return NULL;
    }
    for (int i = 0; i < LISTS; i++) {
        b->lists[i].entry = entry_sizes[i];
    }
    b->header = (struct plan_header){.magic = PLAN_MAGIC,
                                     .version = PLAN_VERSION,
                                     .generation = 1,
                                     .sync = SYNC_PERIOD,
                                     .sync_ms = 10,
                                     .journal_limit = UINT64_C(2) << 30,
                                     .when_full = FULL_DROP_OLDEST,
                                     .segment_size = UINT64_C(16) << 20};
    list_add(b, STRINGS, "", 1);
    return b;
}

void plan_build_free(struct plan_build *b)
{
    if (!b) {
        return;
    }
    for (int i = 0; i < LISTS; i++) {
        free(b->lists[i].data);
    }
    free(b->buckets);
    free(b);
}

struct plan_header *plan_build_header(struct plan_build *b)
{
    return &b->header;
}

static uint64_t hash(const char *text)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (; *text; text++) {
        h = (h ^ (uint8_t)*text) * UINT64_C(1099511628211);
    }
    return h;
}

static const char *text_at(const struct plan_build *b, plan_str s)
{
    return (const char *)b->lists[STRINGS].data + s;
}

const char *plan_build_peek(const struct plan_build *b, plan_str s)
{
    return b->bad ? "" : text_at(b, s);
}

static plan_str *find_bucket(struct plan_build *b, const char *text)
{
    size_t i = (size_t)hash(text) & (b->bucket_count - 1);
    while (b->buckets[i] && strcmp(text_at(b, b->buckets[i]), text) != 0) {
        i = (i + 1) & (b->bucket_count - 1);
    }
    return b->buckets + i;
}

static bool grow_buckets(struct plan_build *b)
{
    size_t old_count = b->bucket_count;
    plan_str *old = b->buckets;
    size_t count = old_count ? old_count * 2 : 1024;
    plan_str *buckets = calloc(count, sizeof *buckets);
    if (!buckets) {
        b->bad = true;
        return false;
    }
    b->buckets = buckets;
    b->bucket_count = count;
    for (size_t i = 0; i < old_count; i++) {
        if (old[i]) {
            *find_bucket(b, text_at(b, old[i])) = old[i];
        }
    }
    free(old);
    return true;
}

plan_str plan_build_text(struct plan_build *b, const char *text)
{
    if (!text || !*text || b->bad) {
        return 0;
    }
    if (b->text_count * 2 >= b->bucket_count && !grow_buckets(b)) {
        return 0;
    }
    plan_str *bucket = find_bucket(b, text);
    if (!*bucket) {
        *bucket = list_add(b, STRINGS, text, strlen(text) + 1);
        b->text_count++;
    }
    return *bucket;
}

uint32_t plan_build_zone(struct plan_build *b, const struct plan_zone *zone)
{
    return list_add(b, ZONES, zone, 1);
}
uint32_t plan_build_conduit(struct plan_build *b, const struct plan_conduit *conduit)
{
    return list_add(b, CONDUITS, conduit, 1);
}
uint32_t plan_build_box(struct plan_build *b, const struct plan_box *box)
{
    return list_add(b, BOXES, box, 1);
}
uint32_t plan_build_device(struct plan_build *b, const struct plan_device *device)
{
    return list_add(b, DEVICES, device, 1);
}
uint32_t plan_build_tag(struct plan_build *b, const struct plan_tag *tag)
{
    return list_add(b, TAGS, tag, 1);
}
uint32_t plan_build_feed(struct plan_build *b, const struct plan_feed *feed)
{
    return list_add(b, FEEDS, feed, 1);
}
uint32_t plan_build_feed_tag(struct plan_build *b, uint32_t tag_id)
{
    return list_add(b, FEED_TAGS, &tag_id, 1);
}
uint32_t plan_build_write(struct plan_build *b, const struct plan_write *write)
{
    return list_add(b, WRITES, write, 1);
}
uint32_t plan_build_write_tag(struct plan_build *b, uint32_t tag_id)
{
    return list_add(b, WRITE_TAGS, &tag_id, 1);
}
uint32_t plan_build_code(struct plan_build *b, const void *code, size_t size)
{
    static const uint8_t zeros[8] = {0};
    list_add(b, CODE, zeros, -b->lists[CODE].count % 8);
    return list_add(b, CODE, code, size);
}
uint32_t plan_build_option(struct plan_build *b, const char *key, const char *value)
{
    struct plan_option o = {plan_build_text(b, key), plan_build_text(b, value)};
    return list_add(b, OPTIONS, &o, 1);
}

static int by_id(const void *a, const void *b)
{
    const struct plan_tag *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Slots for about four full polls of everything the box has, so that an engine that is restarted finds all. */
static uint32_t ring_capacity_for(uint32_t tags)
{
    uint32_t capacity = 8192;
    while (capacity < tags * UINT64_C(8) && capacity < UINT32_C(1) << 22) {
        capacity *= 2;
    }
    return capacity;
}

static void sort_ids(struct list *l, uint32_t first, uint32_t count)
{
    if (count) {
        qsort((uint32_t *)(void *)l->data + first, count, sizeof(uint32_t), by_number);
    }
}

static void compute(struct plan_build *b)
{
    struct plan_zone *zones = (void *)b->lists[ZONES].data;
    struct plan_box *boxes = (void *)b->lists[BOXES].data;
    struct plan_tag *tags = (void *)b->lists[TAGS].data;
    struct plan_device *devices = (void *)b->lists[DEVICES].data;
    for (size_t i = 0; i < b->lists[ZONES].count; i++) {
        zones[i].tag_count = 0;
        zones[i].text_size = 0;
    }
    for (size_t i = 0; i < b->lists[BOXES].count; i++) {
        boxes[i].tag_count = 0;
    }
    for (size_t i = 0; i < b->lists[DEVICES].count; i++) {
        devices[i].tag_count = 0;
    }
    for (size_t i = 0; i < b->lists[TAGS].count; i++) {
        struct plan_tag *t = tags + i;
        t->zone_index = zones[t->zone].tag_count++;
        if (value_is_long((enum value_type)t->type)) {
            t->text_offset = (uint32_t)zones[t->zone].text_size;
            zones[t->zone].text_size += (t->max_length + 7u) / 8u * 8u;
        }
        if (t->box != PLAN_NONE) {
            boxes[t->box].tag_count++;
        }
        if (t->device != PLAN_NONE) {
            devices[t->device].tag_count++;
        }
    }
    for (size_t i = 0; i < b->lists[BOXES].count; i++) {
        if (!boxes[i].ring_capacity) {
            boxes[i].ring_capacity = ring_capacity_for(boxes[i].tag_count);
        }
    }
    struct plan_feed *feeds = (void *)b->lists[FEEDS].data;
    for (size_t i = 0; i < b->lists[FEEDS].count; i++) {
        sort_ids(b->lists + FEED_TAGS, feeds[i].first_tag, feeds[i].tag_count);
        sort_ids(b->lists + FEED_TAGS, feeds[i].first_held, feeds[i].held_count);
    }
    struct plan_write *writes = (void *)b->lists[WRITES].data;
    for (size_t i = 0; i < b->lists[WRITES].count; i++) {
        sort_ids(b->lists + WRITE_TAGS, writes[i].first_tag, writes[i].tag_count);
    }
}

int plan_build_finish(struct plan_build *b, void **image, size_t *size)
{
    if (b->bad) {
        return ERR_NOMEM;
    }
    if (b->lists[TAGS].count) {
        qsort(b->lists[TAGS].data, b->lists[TAGS].count, sizeof(struct plan_tag), by_id);
    }
    compute(b);
    struct plan_table *tables[LISTS] = {
        &b->header.zones,      &b->header.conduits, &b->header.boxes,     &b->header.devices,
        &b->header.tags,       &b->header.feeds,    &b->header.feed_tags, &b->header.writes,
        &b->header.write_tags, &b->header.options,  &b->header.code,      &b->header.strings};
    size_t at = sizeof b->header;
    for (int i = 0; i < LISTS; i++) {
        at = (at + 7) / 8 * 8;
        *tables[i] = (struct plan_table){(uint32_t)at, (uint32_t)b->lists[i].count};
        at += b->lists[i].count * b->lists[i].entry;
    }
    uint8_t *out = at > UINT32_MAX ? NULL : calloc(1, at);
    if (!out) {
        return ERR_NOMEM;
    }
    b->header.size = at;
    memcpy(out, &b->header, sizeof b->header);
    for (int i = 0; i < LISTS; i++) {
        if (b->lists[i].count) {
            memcpy(out + tables[i]->offset, b->lists[i].data,
                   b->lists[i].count * b->lists[i].entry);
        }
    }
    *image = out;
    *size = at;
    return ERR_OK;
}
