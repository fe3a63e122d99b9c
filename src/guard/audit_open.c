/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the end of the audit. The newest file decides: its entries count as long as number and hash go on; what lies behind
 * is cut off if it is a torn tail, and kept and named if it is damage. Nothing is ever written into a file of a life
 * before. */
#include "guard/audit_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void note_name(void *to, const char *name)
{
    struct audit *a = to;
    uint64_t first;
    if (!audit_name_parse(name, &first)) {
        return;
    }
    if (a->firsts_count == a->firsts_room) {
        size_t room = a->firsts_room ? a->firsts_room * 2 : 64;
        uint64_t *more = realloc(a->firsts, room * sizeof *more);
        if (!more) {
            return;
        }
        a->firsts = more;
        a->firsts_room = room;
    }
    a->firsts[a->firsts_count++] = first;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

struct chain { /* the entries of a file as far as they count */
    uint64_t first, count;
    uint64_t whole; /* entries of 512 bytes that the file has */
    uint8_t hash[32];
    bool sound; /* the header is */
    bool
        more; /* behind them lies at least one entry that was written whole once: damage, no torn tail */
};

static int read_chain(struct audit *a, uint64_t first, struct chain *c)
{
    const struct disk *d = a->disk;
    char name[AUDIT_NAME_SIZE];
    struct audit_header h = {0};
    *c = (struct chain){.first = first};
    audit_name(name, first);
    int fd = d->open(d->context, a->dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fd;
    }
    int64_t size = d->size(d->context, fd);
    int err = size < 0 ? (int)size : ERR_OK;
    if (!err && size >= 512) {
        err = disk_read_all(d, fd, &h, sizeof h, 0);
        c->sound = !err && audit_header_is_sound(&h) && h.first == first;
        c->whole = (uint64_t)size / 512 - 1;
    }
    memcpy(c->hash, h.previous, sizeof c->hash);
    bool goes_on = c->sound;
    for (uint64_t i = 0; !err && c->sound && i < c->whole; i++) {
        struct audit_entry e;
        err = disk_read_all(d, fd, &e, sizeof e, 512 * (i + 1));
        bool sound = !err && audit_entry_is_sound(&e, first + i);
        goes_on = goes_on && sound && !memcmp(e.previous, c->hash, sizeof c->hash);
        if (goes_on) {
            c->count++;
            audit_hash(&e, c->hash);
            a->checkpoint = e.kind == AUDIT_CHECKPOINT ? e.number : a->checkpoint;
        }
        c->more |= sound && i > c->count;
    }
    d->close(d->context, fd);
    return err;
}

/* Behind a torn tail nothing is worth keeping. */
static int cut_tail(struct audit *a, const struct chain *c)
{
    const struct disk *d = a->disk;
    char name[AUDIT_NAME_SIZE];
    audit_name(name, c->first);
    int fd = d->open(d->context, a->dir, name, O_RDWR | O_CLOEXEC);
    int err = fd < 0 ? fd : d->truncate(d->context, fd, 512 * (c->count + 1));
    if (!err) {
        err = d->flush(d->context, fd);
    }
    if (fd >= 0) {
        d->close(d->context, fd);
    }
    return err;
}

static int set_aside(struct audit *a, uint64_t first)
{
    const struct disk *d = a->disk;
    char name[AUDIT_NAME_SIZE], aside[AUDIT_NAME_SIZE + 16];
    audit_name(name, first);
    snprintf(aside, sizeof aside, "%s.damaged", name);
    return d->rename(d->context, a->dir, name, aside);
}

/* The newest file, when its header is sound; one that is not was never begun, or is damaged: it is set aside. */
static int find_newest(struct audit *a, struct chain *c)
{
    while (a->firsts_count) {
        uint64_t first = a->firsts[a->firsts_count - 1];
        int err = read_chain(a, first, c);
        if (err || c->sound) {
            return err;
        }
        snprintf(a->why, sizeof a->why,
                 "the file from entry %" PRIu64 " on was no whole file: it was set aside", first);
        err = set_aside(a, first);
        if (err) {
            return err;
        }
        a->firsts_count--;
        *c = (struct chain){.first = first};
    }
    return ERR_OK;
}

int audit_recover(struct audit *a)
{
    const struct disk *d = a->disk;
    struct chain last = {.first = 1};
    int err = d->list(d->context, a->dir, note_name, a);
    if (!err && a->firsts_count) {
        qsort(a->firsts, a->firsts_count, sizeof *a->firsts, by_number);
        err = find_newest(a, &last);
    }
    if (!err && last.count < last.whole && last.more) {
        snprintf(a->why, sizeof a->why,
                 "entry %" PRIu64 " is damaged, and others behind it are there: the file is kept",
                 last.first + last.count);
    } else if (!err && last.count < last.whole) {
        snprintf(a->why, sizeof a->why, "%" PRIu64 " bytes of a torn tail were cut off",
                 512 * (last.whole - last.count));
        err = cut_tail(a, &last);
    }
    a->written = a->recalled_end = last.first + last.count;
    memcpy(a->last_hash, last.hash, sizeof a->last_hash);
    return err;
}

/* Entries of a file below `end`. */
static int recall_file(struct audit *a, uint64_t first, uint64_t end,
                       void (*each)(void *context, const struct audit_entry *e), void *context)
{
    const struct disk *d = a->disk;
    char name[AUDIT_NAME_SIZE];
    audit_name(name, first);
    int fd = d->open(d->context, a->dir, name, O_RDONLY | O_CLOEXEC), err = fd < 0 ? fd : ERR_OK;
    for (uint64_t number = first; !err && number < end; number++) {
        struct audit_entry e;
        err = disk_read_all(d, fd, &e, sizeof e, 512 * (number - first + 1));
        if (!err && audit_entry_is_sound(&e, number)) {
            each(context, &e);
        }
    }
    if (fd >= 0) {
        d->close(d->context, fd);
    }
    return err == ERR_SHORT ? ERR_OK : err; /* the file was damaged: verification tells */
}

int audit_recall(struct audit *a, void (*each)(void *context, const struct audit_entry *e),
                 void *context)
{
    size_t from = a->firsts_count;
    while (from && a->recalled_end - a->firsts[from - 1] < AUDIT_RECALLED) {
        from--;
    }
    from -= from > 0; /* whole files */
    int err = ERR_OK;
    for (size_t i = from; !err && i < a->firsts_count; i++) {
        bool last = i + 1 == a->firsts_count;
        err =
            recall_file(a, a->firsts[i], last ? a->recalled_end : a->firsts[i + 1], each, context);
    }
    return err;
}
