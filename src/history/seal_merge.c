/* SPDX-License-Identifier: Apache-2.0 */
/* Column by column, all files side by side in the order of ids. Blocks that are well filled go over as they are; small ones
 * become larger; where files overlap in time their samples are merged by the same code that answers queries. What can't be
 * read is stepped over and counted, so a merge also mends. */
#include "history/seal.h"
#include "history/series.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 64u

struct input {
    struct history_file *file;
    int err; /* the disk failed, or no memory: what could not be read may be there next time */
    struct sealed_column batch[BATCH]; /* of its index */
    uint32_t next, count, at; /* next entry to read; entries in the batch, and which is next */
    struct sealed_list tags;
    struct frame_tag tag;
    const char *texts[4];
    bool has_tag;
};

struct merge {
    const struct seal *seal;
    struct input *inputs; /* owned */
    uint32_t count;
    keep_policy *keep;
    void *keep_context;
    struct block_scratch *scratch;
    struct sealed_walk walk;
    struct block *block;    /* owned */
    struct history history; /* of only these files */
    struct shelf shelf;
    struct sealed_writer *out;
};

static void note_broken(struct input *in, int err)
{
    if (err == ERR_IO || err == ERR_NOMEM) {
        in->err = err;
    } else {
        in->file->damage += err < 0;
    }
}

/* The input's next column; NULL: it has no more. */
static const struct sealed_column *column_of(struct input *in)
{
    while (in->at == in->count) {
        const struct sealed *s = &in->file->sealed;
        in->at = in->count = 0;
        while (in->count < BATCH && in->next < s->header.columns) {
            int err = sealed_column_at(s, in->next++, in->batch + in->count);
            note_broken(in, err);
            in->count += !err;
        }
        if (!in->count) {
            return NULL;
        }
    }
    return in->batch + in->at;
}

static void rewind_columns(struct merge *m)
{
    for (uint32_t i = 0; i < m->count; i++) {
        m->inputs[i].next = m->inputs[i].count = m->inputs[i].at = 0;
    }
}

/* The least id that comes next in any input; 0: all are at their end. */
static uint32_t next_id(struct merge *m)
{
    uint32_t id = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        const struct sealed_column *c = column_of(m->inputs + i);
        if (c && (!id || c->id < id)) {
            id = c->id;
        }
    }
    return id;
}

static const struct sealed_column *column_with(struct input *in, uint32_t id)
{
    const struct sealed_column *c = column_of(in);
    return c && c->id == id ? c : NULL;
}

static void step_over(struct merge *m, uint32_t id)
{
    for (uint32_t i = 0; i < m->count; i++) {
        m->inputs[i].at += column_with(m->inputs + i, id) != NULL;
    }
}

static uint32_t count_columns(struct merge *m)
{
    uint32_t columns = 0;
    for (uint32_t id; (id = next_id(m)) != 0; columns++) {
        step_over(m, id);
    }
    rewind_columns(m);
    return columns;
}

/* ---- Notes and catalogue. ---- */

static int copy_notes(struct merge *m)
{
    for (uint32_t i = 0; i < m->count; i++) {
        struct sealed_list list;
        struct sealed_note note;
        const struct slot *slots;
        int got = sealed_list_notes(&list, &m->inputs[i].file->sealed);
        if (got) {
            return got;
        }
        while ((got = sealed_next_note(&list, &note, &slots)) > 0) {
            sealed_add_note(m->out, &note, slots);
        }
        note_broken(m->inputs + i, got);
        sealed_list_fini(&list);
    }
    return ERR_OK;
}

static void next_tag(struct input *in)
{
    int got = sealed_next_tag(&in->tags, &in->tag, in->texts);
    note_broken(in, got);
    in->has_tag = got > 0;
}

/* Of several entries of a tag the newest file's counts. */
static int copy_catalogue(struct merge *m)
{
    int err = ERR_OK;
    for (uint32_t i = 0; !err && i < m->count; i++) {
        err = sealed_list_tags(&m->inputs[i].tags, &m->inputs[i].file->sealed);
        if (!err) {
            next_tag(m->inputs + i);
        }
    }
    while (!err) {
        struct input *newest = NULL;
        for (uint32_t i = 0; i < m->count; i++) {
            struct input *in = m->inputs + i;
            if (in->has_tag && (!newest || in->tag.id <= newest->tag.id)) {
                newest = in;
            }
        }
        if (!newest) {
            break;
        }
        uint32_t id = newest->tag.id;
        /* The texts lie behind their entry, as they are to be written. */
        sealed_add_tag(m->out, (const struct frame_tag *)(const void *)(newest->texts[0] -
                                                                        sizeof(struct frame_tag)));
        for (uint32_t i = 0; i < m->count; i++) {
            if (m->inputs[i].has_tag && m->inputs[i].tag.id == id) {
                next_tag(m->inputs + i);
            }
        }
    }
    for (uint32_t i = 0; i < m->count; i++) {
        sealed_list_fini(&m->inputs[i].tags);
    }
    return err;
}

/* ---- Columns. ---- */

static void add_samples(struct merge *m, const struct block *b, uint32_t from, uint32_t to)
{
    bool is_long = value_is_long(b->type);
    for (uint32_t i = from; i < to; i++) {
        struct slot sample = {.time = b->time[i], .value.u64 = b->value[i], .status = b->status[i]};
        sealed_add(m->out, &sample, is_long ? b->text + b->text_at[i] : NULL);
    }
}

static int copy_block(struct merge *m, struct input *in, const struct block_entry *e, bool thin)
{
    const uint8_t *bytes = NULL;
    if (thin || !e->size) {
        sealed_add_block(m->out, e, NULL);
        return ERR_OK;
    }
    int err = sealed_walk_bytes(&m->walk, e, &bytes);
    if (!err && sealed_add_block(m->out, e, bytes)) {
        return ERR_OK;
    }
    if (!err) {
        err = sealed_walk_block(&m->walk, e, BLOCK_ALL, m->block);
    }
    if (!err) {
        add_samples(m, m->block, 0, m->block->count);
    }
    if (err == ERR_IO || err == ERR_NOMEM) {
        return err;
    }
    in->file->damage += err != 0;
    return ERR_OK;
}

static int copy_column(struct merge *m, struct input *in, const struct sealed_column *c, bool thin)
{
    const struct block_entry *e;
    int got = sealed_walk_open(&m->walk, &in->file->sealed, m->scratch, c, INT64_MIN);
    while (!got && (got = sealed_walk_next(&m->walk, &e)) != 0) {
        if (got < 0 && got != ERR_IO && got != ERR_NOMEM) {
            in->file->damage++;
            got = 0;
            continue;
        }
        got = got > 0 ? copy_block(m, in, e, thin) : got;
    }
    return got;
}

/* Where files overlap in time. */
static int copy_overlapping(struct merge *m, uint32_t id, enum value_type type)
{
    struct series *s = NULL;
    struct piece piece;
    struct series_options o = {.tag = id,
                               .type = type,
                               .from_ns = INT64_MIN,
                               .to_ns = INT64_MAX,
                               .parts = BLOCK_ALL,
                               .scratch = m->scratch};
    int got = series_open(&s, &m->history, &o);
    while (!got && (got = series_next(s, NULL, &piece)) > 0) {
        if (piece.summary) {
            sealed_add_block(m->out, &(struct block_entry){.summary = *piece.summary}, NULL);
        } else {
            add_samples(m, piece.samples, piece.from, piece.to);
        }
        got = 0;
    }
    series_close(s);
    return got;
}

struct look { /* at one tag in all inputs */
    enum value_type type;
    int64_t last_ns;
    bool overlap, thinned;
};

static struct look look_at(struct merge *m, uint32_t id)
{
    struct look l = {.last_ns = INT64_MIN};
    for (uint32_t i = 0; i < m->count; i++) {
        const struct sealed_column *c = column_with(m->inputs + i, id);
        if (!c) {
            continue;
        }
        l.overlap |= l.type && c->first_ns < l.last_ns;
        l.thinned |= c->thinned;
        l.last_ns = c->last_ns > l.last_ns ? c->last_ns : l.last_ns;
        l.type = (enum value_type)c->type; /* the newest; a tag never changes it */
    }
    return l;
}

/* Blocks of a column follow each other in time, and of a thinned one nobody knows which samples came before a late one of
 * another file. */
static bool can_be_one(struct merge *m)
{
    bool can = true;
    for (uint32_t id; can && (id = next_id(m)) != 0; step_over(m, id)) {
        struct look l = look_at(m, id);
        can = !l.overlap || !l.thinned;
    }
    rewind_columns(m);
    return can;
}

static int copy_tag_columns(struct merge *m, uint32_t id)
{
    struct look l = look_at(m, id);
    enum keep keep = m->keep ? m->keep(m->keep_context, id, l.last_ns) : KEEP_RAW;
    if (keep == KEEP_NOTHING) {
        return ERR_OK;
    }
    int err = ERR_OK;
    sealed_begin(m->out, id, l.type);
    if (l.overlap) { /* is thinned out when it is written the next time, in blocks that follow each other */
        err = copy_overlapping(m, id, l.type);
    }
    for (uint32_t i = 0; !err && !l.overlap && i < m->count; i++) {
        const struct sealed_column *c = column_with(m->inputs + i, id);
        if (c && c->type == l.type) {
            err = copy_column(m, m->inputs + i, c, keep == KEEP_SUMMARIES);
        }
    }
    sealed_end(m->out);
    return err;
}

static int copy_columns(struct merge *m)
{
    int err = ERR_OK;
    for (uint32_t id; !err && (id = next_id(m)) != 0;) {
        err = copy_tag_columns(m, id);
        step_over(m, id);
        if (m->seal->beat) {
            m->seal->beat(m->seal->context);
        }
    }
    return err;
}

/* ---- The whole. ---- */

static struct sealed_header about(const struct seal *s, struct history_file **files, uint32_t count)
{
    struct sealed_header h = files[0]->sealed.header;
    h.created_ns = s->created_ns;
    h.revision++;
    for (uint32_t i = 1; i < count; i++) {
        const struct sealed_header *f = &files[i]->sealed.header;
        h.last_segment = f->last_segment;
        h.end_sequence = f->end_sequence > h.end_sequence ? f->end_sequence : h.end_sequence;
        h.epoch = f->epoch;
        h.noted_from_ns = f->noted_from_ns < h.noted_from_ns ? f->noted_from_ns : h.noted_from_ns;
        h.noted_to_ns = f->noted_to_ns > h.noted_to_ns ? f->noted_to_ns : h.noted_to_ns;
        h.lost += f->lost;
        h.level = f->level > h.level ? f->level : h.level;
        h.flags |= f->flags;
    }
    h.flags &= (uint32_t)SEALED_IMPORTED; /* thinned: the writer finds out */
    if (count > 1) {
        h.level++;
        h.revision = 0;
    }
    return h;
}

static int merge_init(struct merge *m, struct history_file **files)
{
    m->inputs = calloc(m->count, sizeof *m->inputs);
    m->block = aligned_alloc(64, (sizeof *m->block + 63) / 64 * 64);
    uint8_t *text = malloc(BLOCK_TEXT_MAX);
    if (!m->inputs || !m->block || !text) {
        free(text);
        return ERR_NOMEM;
    }
    m->block->text = text;
    m->block->text_capacity = BLOCK_TEXT_MAX;
    for (uint32_t i = 0; i < m->count; i++) {
        m->inputs[i].file = files[i];
    }
    m->shelf = (struct shelf){.holders = 1, .files = files, .file_count = m->count};
    m->history = (struct history){.disk = m->seal->disk, .dir = m->seal->dir, .shelf = &m->shelf};
    return block_scratch_new(&m->scratch);
}

static void merge_fini(struct merge *m)
{
    sealed_walk_fini(&m->walk);
    block_scratch_free(m->scratch);
    if (m->block) {
        free(m->block->text);
    }
    free(m->block);
    free(m->inputs);
}

int seal_merge(const struct seal *s, struct history_file **files, uint32_t count, keep_policy *keep,
               void *keep_context, struct sealed_header *out)
{
    struct merge m = {.seal = s, .count = count, .keep = keep, .keep_context = keep_context};
    struct sealed_header h = about(s, files, count);
    int err = merge_init(&m, files);
    if (!err && count > 1 && !can_be_one(&m)) {
        err = ERR_UNSUPPORTED;
    }
    if (!err) {
        err = sealed_create(&m.out, s->disk, s->dir, &h, count_columns(&m));
    }
    if (!err) {
        err = copy_notes(&m);
        err = err ? err : copy_catalogue(&m);
        err = err ? err : copy_columns(&m);
        for (uint32_t i = 0; !err && i < count; i++) {
            err = m.inputs[i].err;
        }
        *out = *sealed_about(m.out);
        if (err) {
            sealed_abandon(m.out);
        } else {
            err = sealed_finish(m.out);
        }
    }
    merge_fini(&m);
    return err;
}
