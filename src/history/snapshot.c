/* SPDX-License-Identifier: Apache-2.0 */
/* The sealer gives a file its name before it takes away what that stands for; but a folder is not listed in one moment, so a
 * listing may have neither. A listing counts when, with everything in it open, the next one is the same. */
#include "history/snapshot.h"

#include "journal/frame.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_MAX 1000

bool snapshot_name_parse(const char *name, struct snapshot_file *out)
{
    static const char suffix[] = ".damaged";
    size_t length = strlen(name);
    uint64_t number;
    bool damaged = false;
    *out = (struct snapshot_file){.fd = -1};
    if (length >= sizeof out->name) {
        return false;
    }
    memcpy(out->name, name, length + 1);
    if (sealed_name_parse(name, &out->place)) {
        out->kind = SNAPSHOT_SEALED;
        return true;
    }
    if (segment_number(name, &number, &damaged)) {
        out->kind = damaged ? SNAPSHOT_ASIDE : SNAPSHOT_RAW;
        out->place = (struct sealed_place){.first = number, .last = number};
        return true;
    }
    char whole[SNAPSHOT_NAME_SIZE];
    if (length > strlen(suffix) && !strcmp(name + length - strlen(suffix), suffix)) {
        memcpy(whole, name, length - strlen(suffix));
        whole[length - strlen(suffix)] = 0;
        out->kind = SNAPSHOT_ASIDE;
        return sealed_name_parse(whole, &out->place);
    }
    return false;
}

int snapshot_add(struct snapshot *s, const struct snapshot_file *file)
{
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 64;
        struct snapshot_file *grown = realloc(s->files, room * sizeof *grown);
        if (!grown) {
            return ERR_NOMEM;
        }
        s->files = grown;
        s->room = room;
    }
    s->files[s->count++] = *file;
    return ERR_OK;
}

/* Among files for the same segments the widest and newest comes first. */
static int by_place(const void *a, const void *b)
{
    const struct snapshot_file *x = a, *y = b;
    const struct sealed_place *p = &x->place, *q = &y->place;
    return x->kind != y->kind           ? (x->kind < y->kind ? -1 : 1)
           : p->imported != q->imported ? (p->imported ? -1 : 1)
           : p->first != q->first       ? (p->first < q->first ? -1 : 1)
           : p->last != q->last         ? (p->last > q->last ? -1 : 1)
           : p->revision != q->revision ? (p->revision > q->revision ? -1 : 1)
                                        : strcmp(x->name, y->name);
}

void snapshot_sort(struct snapshot *s)
{
    size_t kept = 0;
    if (s->count) {
        qsort(s->files, s->count, sizeof *s->files, by_place);
    }
    for (size_t i = 0; i < s->count; i++) {
        const struct snapshot_file *f = s->files + i, *last = kept ? s->files + kept - 1 : NULL;
        bool waste = f->kind == SNAPSHOT_SEALED && last && last->kind == SNAPSHOT_SEALED &&
                     last->place.imported == f->place.imported && f->place.last <= last->place.last;
        if (!waste) {
            s->files[kept++] = *f;
        }
    }
    s->count = kept;
}

bool snapshot_is_covered(const struct snapshot *s, const struct snapshot_file *raw)
{
    bool covered = false;
    for (size_t i = 0; i < s->count && !covered; i++) {
        const struct snapshot_file *f = s->files + i;
        covered = f->kind == SNAPSHOT_SEALED && !f->place.imported &&
                  raw->place.first >= f->place.first && raw->place.last <= f->place.last;
    }
    return covered;
}

struct listing {
    struct snapshot *s;
    int err;
};

static void see(void *to, const char *name)
{
    struct listing *l = to;
    struct snapshot_file f;
    if (!l->err && snapshot_name_parse(name, &f)) {
        l->err = snapshot_add(l->s, &f);
    }
}

static int list(struct snapshot *s, const struct disk *disk, int dir)
{
    struct listing l = {s, ERR_OK};
    *s = (struct snapshot){.disk = disk};
    int err = disk->list(disk->context, dir, see, &l);
    err = err ? err : l.err;
    snapshot_sort(s);
    return err;
}

static int open_all(struct snapshot *s, int dir)
{
    const struct disk *d = s->disk;
    for (size_t i = 0; i < s->count; i++) {
        struct snapshot_file *f = s->files + i;
        if (f->kind == SNAPSHOT_ASIDE) {
            continue;
        }
        f->fd = d->open(d->context, dir, f->name, O_RDONLY);
        int64_t size = f->fd < 0 ? f->fd : d->size(d->context, f->fd);
        if (size < 0) {
            return (int)size;
        }
        f->size = (uint64_t)size;
    }
    return ERR_OK;
}

/* But for raw segments that were begun meanwhile. */
static bool is_same(const struct snapshot *before, const struct snapshot *now)
{
    uint64_t newest = UINT64_MAX;
    size_t k = 0;
    for (size_t i = 0; i < before->count; i++) {
        const struct snapshot_file *f = before->files + i;
        newest = f->kind == SNAPSHOT_RAW ? f->place.first : newest;
    }
    for (size_t i = 0; i < now->count; i++) {
        const struct snapshot_file *f = now->files + i;
        if (k < before->count && !strcmp(f->name, before->files[k].name)) {
            k++;
        } else if (f->kind != SNAPSHOT_RAW || f->place.first < newest) {
            return false;
        }
    }
    return k == before->count;
}

int snapshot_take(struct snapshot *s, const struct disk *disk, int dir)
{
    int err = ERR_BUSY;
    for (int tries = 0; err == ERR_BUSY && tries < TRIES_MAX; tries++) {
        struct snapshot again = {0};
        err = list(s, disk, dir);
        err = err ? err : open_all(s, dir);
        err = err ? err : list(&again, disk, dir);
        if (err == ERR_NOT_FOUND || (!err && !is_same(s, &again))) {
            err = ERR_BUSY;
        }
        snapshot_free(&again);
        if (err) {
            snapshot_free(s);
        }
    }
    return err;
}

void snapshot_free(struct snapshot *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->files[i].fd >= 0) {
            s->disk->close(s->disk->context, s->files[i].fd);
        }
    }
    free(s->files);
    *s = (struct snapshot){0};
}
