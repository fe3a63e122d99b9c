/* SPDX-License-Identifier: Apache-2.0 */
/* The folder's listing decides everything: a sealed file stands for its range of segments; one that lies within another's
 * range is what a merge has not yet taken away, and a raw segment within a range likewise. */
#include "history/history.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

#define FRESH_NS (50 * NS_PER_MS) /* a folder's time of change is no finer than a clock tick */

struct seen_file {
    char name[SEALED_NAME_SIZE];
    struct sealed_place place;
};

struct listing {
    struct seen_file *files;
    size_t file_count, file_room;
    uint64_t *raw;
    size_t raw_count, raw_room;
    int err;
};

static void *grow(struct listing *l, void *p, size_t count, size_t *room, size_t size)
{
    if (count < *room) {
        return p;
    }
    size_t more = *room ? 2 * *room : 64;
    void *grown = realloc(p, more * size);
    if (!grown) {
        l->err = ERR_NOMEM;
        return p;
    }
    *room = more;
    return grown;
}

static void see(void *to, const char *name)
{
    struct listing *l = to;
    struct seen_file f;
    uint64_t number;
    bool damaged;
    if (strlen(name) < sizeof f.name && sealed_name_parse(name, &f.place)) {
        strcpy(f.name, name);
        l->files = grow(l, l->files, l->file_count, &l->file_room, sizeof *l->files);
        if (!l->err) {
            l->files[l->file_count++] = f;
        }
    } else if (segment_number(name, &number, &damaged) && !damaged) {
        l->raw = grow(l, l->raw, l->raw_count, &l->raw_room, sizeof *l->raw);
        if (!l->err) {
            l->raw[l->raw_count++] = number;
        }
    }
}

/* Imports first; then by first segment, the widest first, the newest revision first. */
static int by_place(const void *a, const void *b)
{
    const struct sealed_place *x = &((const struct seen_file *)a)->place;
    const struct sealed_place *y = &((const struct seen_file *)b)->place;
    return x->imported != y->imported   ? (x->imported ? -1 : 1)
           : x->first != y->first       ? (x->first < y->first ? -1 : 1)
           : x->last != y->last         ? (x->last > y->last ? -1 : 1)
           : x->revision != y->revision ? (x->revision > y->revision ? -1 : 1)
                                        : 0;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void drop_file(struct history_file *f)
{
    if (--f->holders == 0) {
        sealed_close(&f->sealed);
        free(f);
    }
}

struct shelf *shelf_hold(struct shelf *s)
{
    s->holders++;
    return s;
}

void shelf_release(struct shelf *s)
{
    if (!s || --s->holders) {
        return;
    }
    for (uint32_t i = 0; i < s->file_count; i++) {
        drop_file(s->files[i]);
    }
    free(s->files);
    free(s->raw);
    free(s->covered);
    free(s);
}

/* The file as an older shelf has it open, or newly opened. */
static int take_file(struct history *h, const struct seen_file *seen, struct history_file **out)
{
    for (uint32_t i = 0; h->shelf && i < h->shelf->file_count; i++) {
        struct history_file *f = h->shelf->files[i];
        if (!strcmp(f->name, seen->name)) {
            f->holders++;
            *out = f;
            return ERR_OK;
        }
    }
    struct history_file *f = calloc(1, sizeof *f);
    int err = f ? sealed_open(&f->sealed, h->disk, h->dir, seen->name) : ERR_NOMEM;
    if (err) {
        free(f);
        return err;
    }
    strcpy(f->name, seen->name);
    f->imported = seen->place.imported;
    f->holders = 1;
    *out = f;
    return ERR_OK;
}

static int add_files(struct history *h, struct shelf *s, const struct listing *l)
{
    const struct sealed_place *last = NULL;
    for (size_t i = 0; i < l->file_count; i++) {
        const struct seen_file *f = l->files + i;
        if (last && last->imported == f->place.imported && f->place.last <= last->last) {
            continue; /* what a merge, or a newer revision, has not yet taken away */
        }
        int err = take_file(h, f, s->files + s->file_count);
        if (err == ERR_NOMEM || err == ERR_NOT_FOUND) {
            return err; /* gone while we looked: again */
        }
        last = &f->place;
        if (err) {
            s->damaged++;
            s->damaged_error = err;
            strcpy(s->damaged_name, f->name);
            continue;
        }
        s->file_count++;
    }
    return ERR_OK;
}

/* Raw segments go on where the file before them ends. Behind them there are files only if one of those before was damaged. */
static void find_end(struct shelf *s)
{
    for (uint32_t i = 0; i < s->file_count; i++) {
        const struct sealed_header *h = &s->files[i]->sealed.header;
        if (!s->files[i]->imported && (!s->raw_count || h->last_segment < s->raw[0])) {
            s->end_sequence = h->end_sequence; /* they come in the order of their segments */
            s->end_epoch = h->epoch;
        }
    }
}

static bool is_covered(const struct listing *l, uint64_t number)
{
    for (size_t i = 0; i < l->file_count; i++) {
        const struct sealed_place *p = &l->files[i].place;
        if (!p->imported && number >= p->first && number <= p->last) {
            return true;
        }
    }
    return false;
}

static int make_shelf(struct history *h, struct listing *l, struct shelf **out)
{
    struct shelf *s = calloc(1, sizeof *s);
    if (!s) {
        return ERR_NOMEM;
    }
    s->holders = 1;
    s->files = calloc(l->file_count + 1, sizeof(struct history_file *));
    s->raw = calloc(l->raw_count + 1, sizeof *s->raw);
    s->covered = calloc(l->raw_count + 1, sizeof *s->covered);
    int err = s->files && s->raw && s->covered ? ERR_OK : ERR_NOMEM;
    if (!err) {
        err = add_files(h, s, l);
    }
    for (size_t i = 0; !err && i < l->raw_count; i++) {
        if (is_covered(l, l->raw[i])) {
            s->covered[s->covered_count++] = l->raw[i];
        } else {
            s->raw[s->raw_count++] = l->raw[i];
        }
    }
    if (err) {
        shelf_release(s);
        return err;
    }
    find_end(s);
    *out = s;
    return ERR_OK;
}

static int look(struct history *h, struct shelf **out)
{
    struct listing l = {0};
    int err = h->disk->list(h->disk->context, h->dir, see, &l);
    err = err ? err : l.err;
    if (!err) {
        if (l.file_count) {
            qsort(l.files, l.file_count, sizeof *l.files, by_place);
        }
        if (l.raw_count) {
            qsort(l.raw, l.raw_count, sizeof *l.raw, by_number);
        }
        err = make_shelf(h, &l, out);
    }
    free(l.files);
    free(l.raw);
    return err;
}

int history_refresh(struct history *h, int64_t utc_ns)
{
    int64_t changed = h->disk->changed_ns(h->disk->context, h->dir);
    if (h->shelf && changed > 0 && changed == h->changed_ns) {
        return ERR_OK;
    }
    struct shelf *s = NULL;
    int err = ERR_NOT_FOUND;
    for (int tries = 0; err == ERR_NOT_FOUND && tries < 10; tries++) {
        err = look(h, &s);
    }
    if (err) {
        return err;
    }
    shelf_release(h->shelf);
    h->shelf = s;
    h->changed_ns = utc_ns - changed > FRESH_NS ? changed : 0;
    return ERR_OK;
}

int history_open(struct history *h, const struct disk *disk, int dir)
{
    *h = (struct history){.disk = disk, .dir = dir};
    return history_refresh(h, 0);
}

void history_close(struct history *h)
{
    shelf_release(h->shelf);
    *h = (struct history){0};
}

/* ---- The tail. ---- */

int tail_open(struct tail *t, struct history *h, const struct journal_position *end,
              const uint64_t *tags, uint32_t end_id, uint32_t only)
{
    *t = (struct tail){.history = h};
    int err = raw_walk_init(&t->walk, h->disk, h->dir, h->shelf->raw, h->shelf->raw_count, end,
                            h->shelf->end_epoch, h->shelf->end_sequence);
    if (err) {
        return err;
    }
    t->shelf = shelf_hold(h->shelf);
    gather_init(&t->gather, only, only ? only + 1 : SLOT_ID_MAX + 1);
    t->gather.tags = only ? NULL : tags;
    t->gather.end_id = end_id;
    return ERR_OK;
}

int tail_step(struct tail *t, size_t *budget, size_t most)
{
    while (!t->complete && *budget) {
        struct frame_header h;
        const struct slot *slots;
        int got = raw_walk_next(&t->walk, &h, &slots);
        if (got < 0) {
            return got;
        }
        int err = got ? gather_take(&t->gather, slots, h.slot_count) : gather_sort(&t->gather);
        if (err) {
            return err;
        }
        if (t->gather.count * sizeof *slots + t->gather.text_size > most) {
            return ERR_FULL;
        }
        t->complete = !got;
        size_t cost = got ? 1 + h.slot_count : 1;
        *budget -= cost < *budget ? cost : *budget;
    }
    return t->complete;
}

void tail_close(struct tail *t)
{
    if (t->shelf) {
        raw_walk_fini(&t->walk);
        gather_fini(&t->gather);
        shelf_release(t->shelf);
    }
    *t = (struct tail){0};
}
