/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a backup: every file is proven by its checksum before what it says is believed. */
#include "history/backup.h"

#include "history/backup_copy.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Tells damage; other errors come back. */
static int judge(struct copier *c, const char *stored, int err)
{
    if (err == ERR_NOT_FOUND || err == ERR_CHECKSUM || err == ERR_SHORT || err == ERR_IO) {
        char reason[96];
        snprintf(reason, sizeof reason, "%s",
                 err == ERR_NOT_FOUND ? "it is missing"
                 : err == ERR_SHORT   ? "it has another size than when it was backed up"
                                      : err_text(err));
        copier_found(c, VERIFY_BACKUP, stored, reason);
        return ERR_OK;
    }
    return err ? copier_trouble(c, "read", stored, err) : ERR_OK;
}

/* ---- Looking at it. ---- */

static int open_stored(struct copier *c, const struct manifest *m, struct snapshot *s)
{
    const struct backup_place *store = &c->b->store;
    int err = ERR_OK;
    for (size_t i = 0; !err && i < m->count; i++) {
        const struct manifest_file *file = m->files + i;
        struct snapshot_file f;
        char stored[STORED_NAME_SIZE];
        manifest_stored_name(file, stored);
        uint64_t before = c->b->sum.findings;
        err = judge(c, stored, copier_prove(c, store, stored, file));
        if (!err && before == c->b->sum.findings && snapshot_name_parse(file->name, &f)) {
            f.size = file->size;
            f.fd = store->disk->open(store->disk->context, store->dir, stored, O_RDONLY);
            err = f.fd < 0 ? copier_trouble(c, "read", stored, f.fd) : snapshot_add(s, &f);
        }
    }
    snapshot_sort(s);
    return err;
}

int backup_verify(struct backup *b, struct verify_sum *sum)
{
    struct copier c;
    struct manifest m = {0};
    struct snapshot s = {.disk = b->store.disk};
    struct verify v = {.disk = b->store.disk, .found = b->found, .context = b->context};
    b->sum = (struct backup_sum){0};
    int err = copier_init(&c, b);
    err = err ? err : copier_manifest(&c, &m);
    err = err ? err : open_stored(&c, &m, &s);
    err = err ? err : verify_init(&v);
    err = err ? err : verify_all(&v, &s);
    *sum = v.sum;
    sum->findings += b->sum.findings;
    verify_fini(&v);
    snapshot_free(&s);
    manifest_fini(&m);
    copier_fini(&c);
    return err;
}

/* ---- Unpacking it. ---- */

static int unpack_file(struct copier *c, const struct manifest_file *file)
{
    const struct backup *b = c->b;
    const struct disk *d = b->store.disk;
    struct manifest_file copied = *file;
    char stored[STORED_NAME_SIZE];
    manifest_stored_name(file, stored);
    int fd = d->open(d->context, b->store.dir, stored, O_RDONLY);
    int64_t size = fd < 0 ? fd : d->size(d->context, fd);
    int damage = size < 0 ? (int)size : (uint64_t)size != file->size ? ERR_SHORT : ERR_OK;
    int err = ERR_OK;
    if (!damage) {
        err = copier_begin(c, &b->journal);
        err = err ? err : copier_take(c, d, fd, &copied);
        damage = c->unreadable ? err : !err && copied.crc != file->crc ? ERR_CHECKSUM : ERR_OK;
        err = copier_end(c, file->name, damage ? damage : err);
    }
    if (fd >= 0) {
        d->close(d->context, fd);
    }
    if (damage) {
        return judge(c, stored, damage);
    }
    c->b->sum.copied_files += !err;
    c->b->sum.copied_bytes += err ? 0 : file->size;
    return err;
}

int backup_unpack(struct backup *b)
{
    struct copier c;
    struct manifest m = {0};
    b->sum = (struct backup_sum){0};
    int err = copier_init(&c, b);
    err = err ? err : copier_manifest(&c, &m);
    for (size_t i = 0; !err && i < m.count; i++) {
        err = unpack_file(&c, m.files + i);
    }
    if (!err) {
        err = b->journal.disk->flush_dir(b->journal.disk->context, b->journal.dir);
        err = err ? copier_trouble(&c, "write", "the folder", err) : ERR_OK;
    }
    manifest_fini(&m);
    copier_fini(&c);
    return err;
}
