/* SPDX-License-Identifier: Apache-2.0 */
#include "history/backup_copy.h"

#include "base/crc32c.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define BUFFER_SIZE ((size_t)1 << 20)
#define PART        "copy.part"

int copier_init(struct copier *c, struct backup *b)
{
    *c = (struct copier){.b = b, .buffer = malloc(BUFFER_SIZE), .fd = -1};
    return c->buffer ? ERR_OK : ERR_NOMEM;
}

void copier_fini(struct copier *c)
{
    free(c->buffer);
    c->buffer = NULL;
}

int copier_trouble(struct copier *c, const char *what, const char *name, int err)
{
    snprintf(c->b->trouble, sizeof c->b->trouble, "can't %s%s%s: %s", what, *name ? " " : "", name,
             err_text(err));
    return err;
}

void copier_found(struct copier *c, enum verify_kind kind, const char *file, const char *reason)
{
    c->b->sum.findings++;
    c->b->found(c->b->context,
                &(struct verify_finding){.kind = kind, .file = file, .reason = reason});
}

int copier_manifest(struct copier *c, struct manifest *m)
{
    const struct backup_place *store = &c->b->store;
    int err = manifest_read(m, store->disk, store->dir);
    if (err == ERR_NOT_FOUND) {
        snprintf(c->b->trouble, sizeof c->b->trouble, "there is no backup: it has no %s",
                 MANIFEST_NAME);
        return err;
    }
    if (err) {
        return copier_trouble(c, "read", MANIFEST_NAME, err);
    }
    for (size_t i = 0; i < m->count; i++) {
        c->total += m->files[i].size;
    }
    c->b->sum.files = m->count;
    c->b->sum.bytes = c->total;
    c->b->made_ns = m->created_ns;
    snprintf(c->b->of, sizeof c->b->of, "%s", m->gateway);
    return ERR_OK;
}

static void beat(struct copier *c, uint64_t bytes)
{
    c->done += bytes;
    if (c->b->beat) {
        c->b->beat(c->b->context, c->done, c->total);
    }
}

/* Reads the file->size bytes, and writes them to the copy under way if `write`. */
static int go_through(struct copier *c, const struct disk *disk, int fd, struct manifest_file *file,
                      bool write)
{
    int err = ERR_OK;
    file->crc = 0;
    for (uint64_t at = 0; !err && at < file->size;) {
        size_t size = file->size - at < BUFFER_SIZE ? (size_t)(file->size - at) : BUFFER_SIZE;
        err = disk_read_all(disk, fd, c->buffer, size, at);
        if (err) {
            c->unreadable = err == ERR_IO || err == ERR_SHORT;
            return write ? copier_trouble(c, "read", file->name, err) : err;
        }
        file->crc = crc32c(file->crc, c->buffer, size);
        if (write) {
            err = disk_write_all(c->to.disk, c->fd, c->buffer, size, at);
            err = err ? copier_trouble(c, "write a copy of", file->name, err) : ERR_OK;
        }
        at += size;
        beat(c, size);
    }
    return err;
}

int copier_sum(struct copier *c, const struct disk *disk, int fd, struct manifest_file *file)
{
    uint64_t done = c->done; /* it will be copied as well */
    int err = go_through(c, disk, fd, file, false);
    c->done = done;
    return err;
}

int copier_prove(struct copier *c, const struct backup_place *from, const char *name,
                 const struct manifest_file *file)
{
    const struct disk *d = from->disk;
    struct manifest_file there = *file;
    int fd = d->open(d->context, from->dir, name, O_RDONLY);
    if (fd < 0) {
        return fd;
    }
    int64_t size = d->size(d->context, fd);
    int err = size < 0                       ? (int)size
              : (uint64_t)size != file->size ? ERR_SHORT
                                             : go_through(c, d, fd, &there, false);
    d->close(d->context, fd);
    return err ? err : there.crc == file->crc ? ERR_OK : ERR_CHECKSUM;
}

int copier_begin(struct copier *c, const struct backup_place *to)
{
    c->to = *to;
    c->unreadable = false;
    c->fd = to->disk->open(to->disk->context, to->dir, PART, O_RDWR | O_CREAT | O_TRUNC);
    return c->fd < 0 ? copier_trouble(c, "write", PART, c->fd) : ERR_OK;
}

int copier_take(struct copier *c, const struct disk *from_disk, int from,
                struct manifest_file *file)
{
    return go_through(c, from_disk, from, file, true);
}

int copier_end(struct copier *c, const char *name, int err)
{
    const struct disk *d = c->to.disk;
    if (c->fd < 0) {
        return err;
    }
    if (!err && (err = d->flush(d->context, c->fd)) != ERR_OK) {
        copier_trouble(c, "write", name, err);
    }
    d->close(d->context, c->fd);
    c->fd = -1;
    if (!err && (err = d->rename(d->context, c->to.dir, PART, name)) != ERR_OK) {
        copier_trouble(c, "write", name, err);
    }
    if (err) {
        int ignored = d->remove(d->context, c->to.dir, PART);
        (void)ignored;
    }
    return err;
}
