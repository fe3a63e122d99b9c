/* SPDX-License-Identifier: Apache-2.0 */
/* Every byte of a sealed file is either under a checksum that is proven here, or proven to be zero. */
#include "history/verify.h"

#include "history/sealed_format.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct look {
    struct verify *v;
    const char *name;
    struct sealed file;
    uint64_t seen; /* bytes told to the caller */
};

__attribute__((format(printf, 4, 5))) static void tell(struct look *l, uint64_t offset,
                                                       uint32_t tag, const char *format, ...)
{
    char text[160];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    verify_found(l->v, (struct verify_finding){.kind = VERIFY_DAMAGED,
                                               .sealed = true,
                                               .file = l->name,
                                               .offset = offset,
                                               .tag = tag,
                                               .reason = text});
}

static void beat(struct look *l, uint64_t bytes)
{
    l->seen += bytes;
    if (l->v->beat) {
        l->v->beat(l->v->context, bytes);
    }
}

/* ---- The blocks of a column. ---- */

/* What an addition makes of infinities is a NaN, of which kind depends on the processor. */
static bool same_double(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static bool same_summary(const struct block_summary *a, const struct block_summary *b)
{
    return a->count == b->count && a->good == b->good && a->bad == b->bad &&
           a->first_status == b->first_status && a->last_status == b->last_status &&
           a->first_ns == b->first_ns && a->last_ns == b->last_ns && a->first == b->first &&
           a->last == b->last && a->min_ns == b->min_ns && a->max_ns == b->max_ns &&
           a->good_ns == b->good_ns && same_double(a->min, b->min) && same_double(a->max, b->max) &&
           same_double(a->sum, b->sum) && same_double(a->integral, b->integral);
}

static int look_at_block(struct look *l, const struct sealed_column *c, const struct block_entry *e)
{
    struct block_summary again;
    if (!e->size) {
        if (!c->thinned) {
            tell(l, e->offset, c->id, "a block is gone, though the column was never thinned out");
        }
        return ERR_OK;
    }
    int err = sealed_walk_block(&l->v->walk, e, BLOCK_ALL, l->v->block);
    if (err == ERR_NOMEM) {
        return err;
    }
    if (err) {
        tell(l, e->offset, c->id, "block of %u samples: %s", e->summary.count, err_text(err));
        return ERR_OK;
    }
    block_summarise(l->v->block, &again);
    if (!same_summary(&again, &e->summary)) {
        tell(l, e->offset, c->id, "block of %u samples: they are not what its summary says",
             e->summary.count);
    }
    beat(l, e->size);
    return ERR_OK;
}

struct column_sum {
    uint64_t blocks, samples;
    int64_t first_ns, last_ns;
};

static void tell_column(struct look *l, const struct sealed_column *c, const struct column_sum *sum)
{
    if (sum->blocks != c->blocks || sum->samples != c->samples || sum->first_ns != c->first_ns ||
        sum->last_ns != c->last_ns) {
        tell(l, c->table, c->id, "the index tells of %u blocks and other times than there are",
             c->blocks);
    }
}

static int look_at_column(struct look *l, const struct sealed_column *c)
{
    struct sealed_walk *w = &l->v->walk;
    struct column_sum sum = {.first_ns = INT64_MAX, .last_ns = INT64_MIN};
    const struct block_entry *e;
    bool whole = true;
    int got, err = sealed_walk_open(w, &l->file, l->v->scratch, c, INT64_MIN);
    while (!err && (got = sealed_walk_next(w, &e)) != 0) {
        if (got < 0) {
            bool first = w->group == 1 && w->column.groups < c->groups;
            tell(l, w->groups[w->group - 1], c->id, "table of blocks%s: %s",
                 first ? ", and with it those before" : "", err_text(got));
            whole = false;
            err = got == ERR_NOMEM ? got : ERR_OK;
            continue;
        }
        if (e->summary.first_ns < sum.last_ns) {
            tell(l, e->offset, c->id, "a block begins before the one before it ends");
        }
        sum.blocks++;
        sum.samples += e->summary.count;
        sum.first_ns = e->summary.first_ns < sum.first_ns ? e->summary.first_ns : sum.first_ns;
        sum.last_ns = e->summary.last_ns > sum.last_ns ? e->summary.last_ns : sum.last_ns;
        err = look_at_block(l, c, e);
    }
    if (!err && whole) {
        tell_column(l, c, &sum);
    }
    l->v->sum.blocks += sum.blocks;
    l->v->sum.samples += sum.samples;
    return err;
}

static int look_at_columns(struct look *l)
{
    const struct sealed_header *h = &l->file.header;
    uint64_t samples = 0, bytes = 0;
    uint32_t last = 0, damaged = 0;
    int err = ERR_OK;
    for (uint32_t i = 0; !err && i < h->columns; i++) {
        struct sealed_column c;
        int got = sealed_column_at(&l->file, i, &c);
        if (got) {
            tell(l, h->columns_offset + (uint64_t)i * sizeof c, 0, "entry of the index: %s",
                 err_text(got));
            damaged++;
            continue;
        }
        if (c.id <= last) {
            tell(l, h->columns_offset + (uint64_t)i * sizeof c, c.id,
                 "the index is not in the order of tags");
        }
        last = c.id;
        samples += c.samples;
        bytes += c.bytes;
        if (!(h->flags & SEALED_IMPORTED)) {
            err = verify_count(l->v, c.id, c.samples);
        }
        l->v->incomplete |= c.thinned;
        err = err ? err : look_at_column(l, &c);
    }
    if (!err && !damaged && (samples != h->samples || bytes != h->size - h->blocks_offset)) {
        tell(l, h->blocks_offset, 0, "the columns don't fill the file");
    }
    return err;
}

/* ---- Notes and catalogue. ---- */

/* A list ends at the first chunk that can't be read. */
static void tell_list(struct look *l, const struct sealed_list *list, int got, uint64_t end,
                      const char *what)
{
    if (got < 0) {
        tell(l, list->offset < end ? list->offset : end, 0, "%s: %s", what, err_text(got));
    } else if (list->offset != end) {
        tell(l, list->offset, 0, "%s end before their place does", what);
    }
}

static int look_at_notes(struct look *l)
{
    const struct sealed_header *h = &l->file.header;
    struct sealed_list list;
    struct sealed_note note;
    const struct slot *slots;
    uint64_t notes = 0;
    int got, err = sealed_list_notes(&list, &l->file);
    if (err) {
        return err;
    }
    while ((got = sealed_next_note(&list, &note, &slots)) > 0) {
        verify_note(l->v, slots);
        notes++;
    }
    tell_list(l, &list, got, h->catalogue_offset, "gaps and events");
    if (!got && notes != h->notes) {
        tell(l, h->notes_offset, 0, "other than %u gaps and events, as the header says", h->notes);
    }
    sealed_list_fini(&list);
    return ERR_OK;
}

static int look_at_catalogue(struct look *l)
{
    const struct sealed_header *h = &l->file.header;
    struct sealed_list list;
    struct frame_tag tag;
    const char *texts[4];
    int got, err = sealed_list_tags(&list, &l->file);
    if (err) {
        return err;
    }
    while ((got = sealed_next_tag(&list, &tag, texts)) > 0) {
        struct sealed_column c;
        if (sealed_find(&l->file, tag.id, &c) == ERR_OK && c.type != tag.type) {
            tell(l, h->catalogue_offset, tag.id, "its column is of another type than the tag");
        }
    }
    tell_list(l, &list, got, h->blocks_offset, "catalogue of tags");
    sealed_list_fini(&list);
    return ERR_OK;
}

/* ---- The whole. ---- */

/* What is between the index and the notes was kept for columns that did not come. */
static void look_at_rest(struct look *l)
{
    const struct sealed_header *h = &l->file.header;
    uint64_t at = h->columns_offset + (uint64_t)h->columns * sizeof(struct sealed_column);
    while (at < h->notes_offset) {
        uint8_t bytes[4096] = {0};
        size_t size = h->notes_offset - at < sizeof bytes ? h->notes_offset - at : sizeof bytes;
        int err = disk_read_all(l->file.disk, l->file.fd, bytes, size, at);
        for (size_t i = 0; !err && i < size; i++) {
            err = bytes[i] ? ERR_MALFORMED : ERR_OK;
        }
        if (err) {
            tell(l, at, 0, "what the index left free: %s", err_text(err));
            return;
        }
        at += size;
    }
}

int verify_sealed(struct verify *v, const char *name, int fd)
{
    struct look l = {.v = v, .name = name};
    char own[SEALED_NAME_SIZE];
    int err = sealed_read_header(&l.file, v->disk, fd);
    v->sum.files++;
    if (err) {
        tell(&l, 0, 0, "header: %s", err_text(err));
        return err == ERR_NOMEM ? err : ERR_OK;
    }
    sealed_name(&l.file.header, own);
    if (strcmp(own, name) != 0) {
        tell(&l, 0, 0, "the header says that it is %s", own);
    }
    v->sum.bytes += l.file.header.size;
    v->incomplete |= l.file.header.lost || l.file.header.revision;
    look_at_rest(&l);
    err = look_at_notes(&l);
    err = err ? err : look_at_catalogue(&l);
    err = err ? err : look_at_columns(&l);
    beat(&l, l.file.header.size > l.seen ? l.file.header.size - l.seen : 0);
    return err;
}
