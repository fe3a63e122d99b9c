/* SPDX-License-Identifier: Apache-2.0 */
/* The segment is read several times, front to back: first to learn what is in it, then for its notes, then for the samples of
 * as many tags as fit into memory. Reading is cheap (it is checked at several GB/s), memory at the edge is not. */
#include "history/seal.h"

#include <stdlib.h>
#include <string.h>

#include "tag/record.h"
#include "tag/status.h"

struct contents { /* of the raw segment */
    const struct seal *seal;
    uint64_t number, from_epoch, from_sequence;
    uint8_t *types;  /* owned, by id: enum value_type as the catalogue has it, 0: not in it */
    uint64_t *used;  /* owned, a bit per id: has samples … */
    uint64_t *texts; /* owned … of which some are texts or bytes */
    uint32_t columns;
    struct sealed_header about;
    bool any; /* a data frame */
};

#define IDS (SLOT_ID_MAX + 1u)

static int walk_open(const struct contents *c, struct raw_walk *w, bool catalogue)
{
    int err = raw_walk_init(w, c->seal->disk, c->seal->dir, &c->number, 1, NULL, c->from_epoch,
                            c->from_sequence);
    w->catalogue = catalogue;
    if (!err && c->seal->beat) {
        c->seal->beat(c->seal->context);
    }
    return err;
}

/* `got`: how its last step ended. */
static int walk_close(struct raw_walk *w, int got)
{
    int err = got < 0 ? got : w->unreadable ? w->error : ERR_OK;
    raw_walk_fini(w);
    return err;
}

/* Each catalogue entry of a proven frame; what does not fit in it ends it. */
static void each_tag(const struct slot *slots, size_t count,
                     void (*take)(void *to, const struct frame_tag *tag), void *to)
{
    const uint8_t *p = (const uint8_t *)slots, *end = p + count * sizeof *slots;
    while ((size_t)(end - p) >= sizeof(struct frame_tag)) {
        struct frame_tag tag;
        memcpy(&tag, p, sizeof tag);
        size_t texts = (size_t)tag.path + tag.unit + tag.device_name + tag.description;
        if (!tag.id || tag.id > SLOT_ID_MAX || tag.size % 8 || tag.size > end - p ||
            texts + sizeof tag > tag.size) {
            break;
        }
        take(to, (const struct frame_tag *)p);
        p += tag.size;
    }
}

static void note_type(void *to, const struct frame_tag *tag)
{
    struct contents *c = to;
    if (tag->type && tag->type < VALUE_TYPE_END) {
        c->types[tag->id] = tag->type;
    }
}

static void note_used(struct contents *c, const struct slot *s)
{
    uint32_t id = slot_id(s);
    if (!(c->used[id / 64] >> (id % 64) & 1)) {
        c->used[id / 64] |= UINT64_C(1) << (id % 64);
        c->columns++;
    }
    if (slot_is_long(s)) {
        c->texts[id / 64] |= UINT64_C(1) << (id % 64);
    }
}

static void note_frame(struct contents *c, const struct raw_walk *w, const struct frame_header *h,
                       const struct slot *slots)
{
    struct sealed_header *a = &c->about;
    if (!c->any) {
        a->first_sequence = h->first_sequence;
        a->noted_from_ns = h->now_ns;
    }
    c->any = true;
    a->end_sequence = w->next;
    a->noted_to_ns = h->now_ns;
    for (size_t at = 0; at < h->slot_count;) {
        const struct slot *s = slots + at;
        at += slot_is_long(s) ? slot_record_length(s) : 1;
        if (!slot_is_control(s)) {
            note_used(c, s);
        }
    }
}

/* First reading. */
static int learn(struct contents *c)
{
    struct raw_walk w;
    struct frame_header h;
    const struct slot *slots;
    int err = walk_open(c, &w, true), got = 0;
    if (err) {
        return err;
    }
    while ((got = raw_walk_next(&w, &h, &slots)) > 0) {
        if (h.kind == FRAME_TAGS) {
            each_tag(slots, h.slot_count, note_type, c);
        } else {
            note_frame(c, &w, &h, slots);
        }
    }
    c->about.epoch = w.segment.epoch;
    c->about.lost = w.lost;
    if (!c->any) {
        c->about.first_sequence = c->about.end_sequence =
            w.segment.first_sequence > c->from_sequence ? w.segment.first_sequence
                                                        : c->from_sequence;
        c->about.noted_from_ns = c->about.noted_to_ns = w.segment.created_ns;
    }
    return walk_close(&w, got);
}

/* Second reading: gaps, events, and where the clocks of devices changed. Tallies and stored values live on in the journal's
 * opening state. */
static int copy_notes(struct contents *c, struct sealed_writer *out)
{
    struct raw_walk w;
    struct frame_header h;
    const struct slot *slots;
    int got = walk_open(c, &w, false);
    while (!got && (got = raw_walk_next(&w, &h, &slots)) > 0) {
        uint64_t sequence = h.first_sequence;
        for (size_t at = 0; at < h.slot_count;) {
            const struct slot *s = slots + at;
            size_t length = slot_is_long(s) ? slot_record_length(s) : 1;
            if (slot_is_control(s) && record_has_sequence(s)) {
                struct sealed_note note = {sequence, w.segment.epoch, h.now_ns, h.box,
                                           (uint32_t)length};
                sealed_add_note(out, &note, s);
            }
            sequence += record_has_sequence(s);
            at += length;
        }
        got = 0;
    }
    return walk_close(&w, got);
}

struct tags_to {
    struct contents *c;
    struct sealed_writer *out;
};

static void copy_tag(void *to, const struct frame_tag *tag)
{
    struct tags_to *t = to;
    if (t->c->used[tag->id / 64] >> (tag->id % 64) & 1) {
        sealed_add_tag(t->out, tag);
    }
}

static int copy_catalogue(struct contents *c, struct sealed_writer *out)
{
    struct raw_walk w;
    struct frame_header h;
    const struct slot *slots;
    struct tags_to to = {c, out};
    int got = walk_open(c, &w, true);
    while (!got && (got = raw_walk_next(&w, &h, &slots)) > 0 && h.kind == FRAME_TAGS) {
        each_tag(slots, h.slot_count, copy_tag, &to);
        got = 0;
    }
    return walk_close(&w, got);
}

static enum value_type type_of(const struct contents *c, uint32_t id)
{
    bool is_long = c->texts[id / 64] >> (id % 64) & 1;
    enum value_type type = (enum value_type)c->types[id];
    const struct plan_tag *tag = type || !c->seal->plan ? NULL : plan_find_tag(c->seal->plan, id);
    type = tag ? (enum value_type)tag->type : type;
    return type && value_is_long(type) == is_long ? type : is_long ? VALUE_BYTES : VALUE_FLOAT64;
}

/* The engine lets nothing through that is of the wrong kind; a forged segment may hold it: then it is an empty, bad one. */
static void write_sample(struct sealed_writer *out, enum value_type type, const struct gather *g,
                         const struct slot *in)
{
    struct slot sample;
    const uint8_t *text = gather_text(g, in, &sample);
    if (value_is_long(type) != (text != NULL)) {
        sample.value.u64 = 0;
        sample.status = sample.status >> 30 ? sample.status : (uint32_t)STATUS_BAD_TYPE_MISMATCH;
        text = value_is_long(type) ? (const uint8_t *)"" : NULL;
    }
    sealed_add(out, &sample, text);
}

static void write_columns(const struct contents *c, const struct gather *g,
                          struct sealed_writer *out)
{
    for (size_t at = 0; at < g->count;) {
        uint32_t id = slot_id(g->slots + at);
        enum value_type type = type_of(c, id);
        sealed_begin(out, id, type);
        for (; at < g->count && slot_id(g->slots + at) == id; at++) {
            write_sample(out, type, g, g->slots + at);
        }
        sealed_end(out);
    }
}

/* The readings that remain: range of ids by range of ids. */
static int copy_columns(struct contents *c, struct sealed_writer *out)
{
    int err = ERR_OK;
    for (uint32_t from = 1; !err && from < IDS;) {
        struct raw_walk w;
        struct gather g;
        struct frame_header h;
        const struct slot *slots;
        gather_init(&g, from, IDS);
        g.limit = SEAL_SAMPLES;
        err = walk_open(c, &w, false);
        for (int got = 1; !err && got > 0;) {
            got = raw_walk_next(&w, &h, &slots);
            err = got > 0 ? gather_take(&g, slots, h.slot_count) : got;
        }
        err = walk_close(&w, err);
        err = err ? err : gather_sort(&g);
        if (!err) {
            write_columns(c, &g, out);
        }
        from = g.to_id;
        gather_fini(&g);
    }
    return err;
}

int seal_segment(const struct seal *s, uint64_t number, uint64_t from_epoch, uint64_t from_sequence,
                 struct sealed_header *out)
{
    struct contents c = {
        .seal = s, .number = number, .from_epoch = from_epoch, .from_sequence = from_sequence};
    struct sealed_writer *w = NULL;
    c.types = calloc(IDS, 1); /* only the pages of ids that occur become memory */
    c.texts = calloc(IDS / 64, sizeof *c.texts);
    c.used = calloc(IDS / 64, sizeof *c.used);
    int err = c.types && c.texts && c.used ? learn(&c) : ERR_NOMEM;
    if (!err) {
        c.about.first_segment = c.about.last_segment = number;
        c.about.created_ns = s->created_ns;
        err = sealed_create(&w, s->disk, s->dir, &c.about, c.columns);
    }
    if (!err) {
        err = copy_notes(&c, w);
        err = err ? err : copy_catalogue(&c, w);
        err = err ? err : copy_columns(&c, w);
        *out = *sealed_about(w);
        if (err) {
            sealed_abandon(w);
        } else {
            err = sealed_finish(w);
        }
    }
    free(c.types);
    free(c.texts);
    free(c.used);
    return err;
}
