/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the end of the audit. The newest file decides: its entries count as long as number and hash go on; what lies behind
 * is cut off if it is a torn tail. Damage among what was acknowledged is named and kept, and verification goes on finding it.
 * Nothing new is ever written into a file of a life before. */
#include "guard/audit_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct chain { /* the entries of a file as far as they count */
    uint64_t first, count;
    uint64_t whole; /* entries of 512 bytes that the file has */
    uint64_t group; /* place of the first of the last group among those that count */
    uint8_t hash[32];
    bool sound; /* the header is */
    /* Behind them a group begins, so all before it was acknowledged: no torn tail. The file stays as it is, and counts up
     * to its last whole entry. */
    bool damaged;
    uint64_t end; /* entries up to that one */
    uint8_t end_hash[32];
};

static void take_entry(struct chain *c, const struct audit_entry *e, uint64_t place)
{
    if (!audit_entry_is_sound(e, c->first + place)) {
        return;
    }
    bool follows = !memcmp(e->previous, c->hash, sizeof c->hash);
    audit_hash(e, c->end_hash);
    c->end = place + 1;
    if (c->sound && place == c->count && follows) {
        c->group = e->begins ? place : c->group;
        c->count++;
        memcpy(c->hash, c->end_hash, sizeof c->hash);
    } else {
        c->damaged |= e->begins && place > 0;
    }
}

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
    for (uint64_t i = 0; !err && i < c->whole; i++) {
        struct audit_entry e;
        err = disk_read_all(d, fd, &e, sizeof e, 512 * (i + 1));
        if (!err) {
            uint64_t before = c->count;
            take_entry(c, &e, i);
            a->checkpoint =
                c->count > before && e.kind == AUDIT_CHECKPOINT ? e.number : a->checkpoint;
        }
    }
    d->close(d->context, fd);
    return err;
}

/* Cuts off a torn tail, unless a whole entry is in it, and makes the rest durable. The last group is written again for
 * that: who wrote it may have been killed after its flush failed, and then its pages count as clean although the disk has
 * not got them. Those before were acknowledged. */
static int settle(struct audit *a, const struct chain *c)
{
    const struct disk *d = a->disk;
    uint8_t block[512];
    char name[AUDIT_NAME_SIZE];
    audit_name(name, c->first);
    int fd = d->open(d->context, a->dir, name, O_RDWR | O_CLOEXEC);
    int err = fd < 0 ? fd : ERR_OK;
    if (!err && c->count < c->whole && c->end == c->count) {
        err = d->truncate(d->context, fd, 512 * (c->count + 1));
    }
    /* the header was flushed with the first group */
    for (uint64_t i = c->group ? c->group + 1 : 0; !err && i <= c->count; i++) {
        err = disk_read_all(d, fd, block, sizeof block, 512 * i);
        err = err ? err : disk_write_all(d, fd, block, sizeof block, 512 * i);
    }
    err = err ? err : d->flush(d->context, fd);
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

/* The newest file that counts; one without a sound header whose first group was never acknowledged is set aside. */
static int find_newest(struct audit *a, struct chain *c)
{
    while (a->files.count) {
        uint64_t first = a->files.firsts[a->files.count - 1];
        int err = read_chain(a, first, c);
        if (err || c->sound || c->damaged) {
            return err;
        }
        snprintf(a->why, sizeof a->why,
                 "the file from entry %" PRIu64 " on was no whole file: it was set aside", first);
        err = set_aside(a, first);
        if (err) {
            return err;
        }
        a->files.count--;
        *c = (struct chain){.first = first};
    }
    return ERR_OK;
}

int audit_recover(struct audit *a)
{
    struct chain last = {.first = 1};
    int err = audit_files_list(&a->files, a->disk, a->dir);
    if (!err && a->files.count) {
        err = find_newest(a, &last);
    }
    if (!err && last.damaged) {
        snprintf(a->why, sizeof a->why,
                 "%s %" PRIu64 " is damaged, and others behind it are there: the file is kept",
                 last.sound ? "entry" : "the header before entry", last.first + last.count);
        a->written = last.first + last.end;
        memcpy(a->last_hash, last.end_hash, sizeof a->last_hash);
    } else if (!err) {
        if (last.count < last.whole) {
            snprintf(a->why, sizeof a->why,
                     "%" PRIu64 " bytes of a torn tail %s from entry %" PRIu64 " on",
                     512 * (last.whole - last.count),
                     last.end > last.count ? "count for nothing" : "were cut off",
                     last.first + last.count);
        }
        err = last.sound ? settle(a, &last) : ERR_OK;
        a->written = last.first + last.count;
        memcpy(a->last_hash, last.hash, sizeof a->last_hash);
    }
    a->recalled_end = a->written;
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
    size_t from = a->files.count;
    while (from && a->recalled_end - a->files.firsts[from - 1] < AUDIT_RECALLED) {
        from--;
    }
    from -= from > 0; /* whole files */
    int err = ERR_OK;
    for (size_t i = from; !err && i < a->files.count; i++) {
        bool last = i + 1 == a->files.count;
        err = recall_file(a, a->files.firsts[i], last ? a->recalled_end : a->files.firsts[i + 1],
                          each, context);
    }
    return err;
}
