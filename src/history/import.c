/* SPDX-License-Identifier: Apache-2.0 */
/* Samples gather in memory, are sorted by tag and time, and go out as one sealed file; then the next. Files may overlap in
 * time as they like: a series reads them as one. */
#include "history/import.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "history/gather.h"
#include "journal/catalogue.h"

#define TEXTS_MAX ((size_t)64 << 20) /* of one file */

struct import {
    struct import_options o;
    struct gather gather;
    struct import_sum sum;
    uint64_t first_number;       /* of the first file; the others follow */
    const struct plan_tag *last; /* that was asked for */
};

int import_open(struct import **out, const struct import_options *options)
{
    struct import *i = calloc(1, sizeof *i);
    *out = i;
    if (!i) {
        return ERR_NOMEM;
    }
    i->o = *options;
    i->first_number = (uint64_t)(options->now_ns / NS_PER_US);
    gather_init(&i->gather, 1, SLOT_ID_MAX + 1);
    return ERR_OK;
}

static const struct plan_tag *find_tag(struct import *i, uint32_t id)
{
    if (!i->last || i->last->id != id) {
        i->last = plan_find_tag(i->o.plan, id);
    }
    return i->last;
}

static struct sealed_header about(const struct import *i)
{
    uint64_t number = i->first_number + i->sum.files;
    return (struct sealed_header){.flags = SEALED_IMPORTED,
                                  .first_segment = number,
                                  .last_segment = number,
                                  .created_ns = i->o.now_ns,
                                  .noted_from_ns = i->o.now_ns,
                                  .noted_to_ns = i->o.now_ns};
}

/* Calls `each` with every tag that has samples: they lie together, ascending by id. */
static uint32_t each_tag(struct import *i, struct sealed_writer *w,
                         void (*each)(struct import *i, struct sealed_writer *w, size_t from,
                                      size_t to))
{
    const struct gather *g = &i->gather;
    uint32_t tags = 0;
    for (size_t from = 0, to; from < g->count; from = to, tags++) {
        uint32_t id = slot_id(g->slots + from);
        for (to = from; to < g->count && slot_id(g->slots + to) == id; to++) {
        }
        if (each) {
            each(i, w, from, to);
        }
    }
    return tags;
}

static void add_tag(struct import *i, struct sealed_writer *w, size_t from, size_t to)
{
    union catalogue_entry e;
    (void)to;
    catalogue_entry(i->o.plan, find_tag(i, slot_id(i->gather.slots + from)), &e);
    sealed_add_tag(w, &e.tag);
}

static void add_column(struct import *i, struct sealed_writer *w, size_t from, size_t to)
{
    uint32_t id = slot_id(i->gather.slots + from);
    sealed_begin(w, id, (enum value_type)find_tag(i, id)->type);
    for (; from < to; from++) {
        struct slot sample;
        const uint8_t *text = gather_text(&i->gather, i->gather.slots + from, &sample);
        sealed_add(w, &sample, text);
    }
    sealed_end(w);
}

static int write_file(struct import *i)
{
    struct sealed_header header = about(i);
    struct sealed_writer *w;
    int err = gather_sort(&i->gather);
    err = err ? err : sealed_create(&w, i->o.disk, i->o.dir, &header, each_tag(i, NULL, NULL));
    if (err) {
        return err;
    }
    each_tag(i, w, add_tag);
    each_tag(i, w, add_column);
    uint64_t samples = i->gather.count;
    i->gather.count = i->gather.text_size = 0;
    err = sealed_finish(w);
    i->sum.files++; /* its name may be there even so */
    if (!err) {
        struct sealed s;
        char name[SEALED_NAME_SIZE];
        sealed_name(&header, name);
        err = sealed_open(&s, i->o.disk, i->o.dir, name);
        i->sum.samples += samples;
        i->sum.bytes += err ? 0 : s.header.size;
        if (!err) {
            sealed_close(&s);
        }
    }
    return err ? err : i->sum.bytes > i->o.room ? ERR_FULL : ERR_OK;
}

int import_add(struct import *i, const struct slot *sample, const uint8_t *text)
{
    struct slot record[1 + (SLOT_BYTES_MAX + sizeof(struct slot) - 1) / sizeof(struct slot)];
    const struct plan_tag *tag = find_tag(i, sample->tag);
    if (!tag) {
        return ERR_NOT_FOUND;
    }
    if (value_is_long((enum value_type)tag->type) != (text != NULL) ||
        (text && sample->value.u64 > SLOT_BYTES_MAX)) {
        return ERR_TYPE;
    }
    int err = i->gather.count == IMPORT_SAMPLES || i->gather.text_size > TEXTS_MAX ? write_file(i)
                                                                                   : ERR_OK;
    if (err) {
        return err;
    }
    record[0] = *sample;
    if (text) {
        record[0].tag |= SLOT_LONG;
        memcpy(record + 1, text, (size_t)sample->value.u64);
    }
    return gather_take(&i->gather, record, text ? slot_record_length(record) : 1);
}

int import_finish(struct import *i, struct import_sum *sum)
{
    int err = i->gather.count ? write_file(i) : ERR_OK;
    *sum = i->sum;
    if (err) {
        import_abandon(i);
        return err;
    }
    gather_fini(&i->gather);
    free(i);
    return ERR_OK;
}

void import_abandon(struct import *i)
{
    if (!i) {
        return;
    }
    while (i->sum.files) {
        i->sum.files--;
        struct sealed_header header = about(i);
        char name[SEALED_NAME_SIZE];
        sealed_name(&header, name);
        int ignored = i->o.disk->remove(i->o.disk->context, i->o.dir, name);
        (void)
            ignored; /* what can't be removed now is whole, and says of itself that it was imported */
    }
    gather_fini(&i->gather);
    free(i);
}
