/* SPDX-License-Identifier: Apache-2.0 */
/* The order of a backup: hold the journal's files open; copy what is missing, each under a temporary name until it is whole and
 * durable; make the names durable; then put the manifest there, and make that durable; then take away what it does not name. */
#include "history/backup.h"

#include "history/backup_copy.h"
#include "journal/scan.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANIFEST_PART "manifest.part"

struct make {
    struct backup *b;
    struct copier copier;
    struct snapshot snapshot;
    struct manifest
        stored; /* files that lie in the store, whatever put them there; their sizes are not known */
    struct manifest manifest; /* the new one */
    struct verify verify;
};

/* ---- What is there already. ---- */

struct listing {
    struct manifest *stored;
    int err;
};

static void see(void *to, const char *name)
{
    struct listing *l = to;
    struct manifest_file file;
    if (!l->err && manifest_stored_parse(name, &file)) {
        l->err = manifest_add(l->stored, &file);
    }
}

static int list_stored(struct make *m)
{
    const struct backup_place *store = &m->b->store;
    struct listing l = {&m->stored, ERR_OK};
    int err = store->disk->list(store->disk->context, store->dir, see, &l);
    err = err ? err : l.err;
    return err ? copier_trouble(&m->copier, "list the backup's folder", "", err) : ERR_OK;
}

/* Whether it may be written to. */
static int look_at_former(struct make *m)
{
    struct manifest former;
    int err = manifest_read(&former, m->b->store.disk, m->b->store.dir);
    if (err == ERR_NOT_FOUND) {
        return ERR_OK;
    }
    if (err == ERR_CHECKSUM || err == ERR_MALFORMED || err == ERR_SHORT) {
        copier_found(&m->copier, VERIFY_BACKUP, MANIFEST_NAME, "the former manifest is damaged");
        return ERR_OK;
    }
    if (err) {
        return copier_trouble(&m->copier, "read", MANIFEST_NAME, err);
    }
    bool ours = !strcmp(former.gateway, m->b->gateway);
    if (!ours) {
        snprintf(m->b->trouble, sizeof m->b->trouble, "it holds the backup of gateway '%s'",
                 former.gateway);
    }
    manifest_fini(&former);
    return ours ? ERR_OK : ERR_REFUSED;
}

/* ---- One file. ---- */

static int keep(struct make *m, const struct manifest_file *file)
{
    m->b->sum.files++;
    m->b->sum.bytes += file->size;
    return manifest_add(&m->manifest, file);
}

/* A file with this name and this checksum in the store: 1 if it is whole, 0 if not (told), negative errors. */
static int is_whole(struct make *m, const struct manifest_file *file)
{
    char stored[STORED_NAME_SIZE];
    manifest_stored_name(file, stored);
    int err = copier_prove(&m->copier, &m->b->store, stored, file);
    if (err == ERR_CHECKSUM || err == ERR_SHORT || err == ERR_IO) {
        copier_found(&m->copier, VERIFY_BACKUP, stored,
                     "damaged since it was backed up; copied anew");
        return 0;
    }
    return err == ERR_NOT_FOUND ? 0 : err ? copier_trouble(&m->copier, "read", stored, err) : 1;
}

/* 1: it is in the store; 0: it can't be read, which was told. */
static int copy(struct make *m, struct manifest_file *file, const struct disk *disk, int from)
{
    char stored[STORED_NAME_SIZE];
    int err = copier_begin(&m->copier, &m->b->store);
    err = err ? err : copier_take(&m->copier, disk, from, file);
    manifest_stored_name(file, stored);
    err = copier_end(&m->copier, stored, err);
    if (err && m->copier.unreadable) {
        copier_found(&m->copier, VERIFY_DAMAGED, file->name, "it can't be read; not in the backup");
        return 0;
    }
    if (err) {
        return err;
    }
    m->b->sum.copied_files++;
    m->b->sum.copied_bytes += file->size;
    err = keep(m, file);
    return err ? err : 1;
}

/* A sealed file never changes, so its header tells whether the one in the store is the same. */
static bool is_same_file(struct make *m, const char *stored, int from)
{
    struct sealed_header own, other;
    const struct backup_place *store = &m->b->store;
    int fd = store->disk->open(store->disk->context, store->dir, stored, O_RDONLY);
    bool same = fd >= 0 && !disk_read_all(store->disk, fd, &other, sizeof other, 0) &&
                !disk_read_all(m->b->journal.disk, from, &own, sizeof own, 0) &&
                !memcmp(&own, &other, sizeof own);
    if (fd >= 0) {
        store->disk->close(store->disk->context, fd);
    }
    return same;
}

/* A whole file of this name in the store, if `like` isn't -1 one with the same header: 1 and it is kept; 0; negative errors. */
static int keep_stored(struct make *m, const struct snapshot_file *f, int like)
{
    int kept = 0;
    for (size_t i = 0; !kept && i < m->stored.count; i++) {
        struct manifest_file there = m->stored.files[i];
        char stored[STORED_NAME_SIZE];
        manifest_stored_name(&there, stored);
        if (strcmp(there.name, f->name) != 0 || (like >= 0 && !is_same_file(m, stored, like))) {
            continue;
        }
        there.size = f->size;
        kept = is_whole(m, &there);
        if (kept > 0) {
            int err = keep(m, &there);
            kept = err ? err : 1;
        }
    }
    return kept;
}

static int back_up_sealed(struct make *m, const struct snapshot_file *f)
{
    struct manifest_file file = {.size = f->size};
    strcpy(file.name, f->name);
    int kept = keep_stored(m, f, f->fd);
    if (kept) {
        return kept < 0 ? kept : ERR_OK;
    }
    uint64_t before = m->verify.sum.findings;
    int err = verify_sealed(&m->verify, f->name, f->fd);
    if (!err && m->verify.sum.findings > before) {
        kept = keep_stored(m, f, -1); /* rather what was whole when it was backed up */
    }
    err = err || kept ? err : copy(m, &file, m->b->journal.disk, f->fd);
    return err < 0 ? err : kept < 0 ? kept : ERR_OK;
}

/* The end of the last frame that is whole: what is behind it is being written, or was torn. */
static int sound_size(const struct disk *disk, const struct snapshot_file *f, uint64_t *size)
{
    struct scan scan;
    struct frame_header h;
    const struct slot *slots;
    uint64_t skipped;
    int got = 0, err = scan_init(&scan, disk);
    *size = f->size;
    if (err || f->size <= sizeof(struct segment_header)) {
        scan_fini(&scan);
        return err;
    }
    scan_start(&scan, f->fd, sizeof(struct segment_header), f->size);
    while ((got = scan_next(&scan, &h, &slots, &skipped)) > 0) {
    }
    *size = scan.offset;
    scan_fini(&scan);
    return got;
}

/* A raw segment, or ids.txt: they grow, so their content decides. */
static int back_up_growing(struct make *m, const char *name, const struct disk *disk, int fd,
                           uint64_t size)
{
    struct manifest_file file = {.size = size};
    snprintf(file.name, sizeof file.name, "%s", name);
    int err = copier_sum(&m->copier, disk, fd, &file);
    int whole = err ? 0 : is_whole(m, &file); /* what can't be read is told when it is copied */
    err = whole < 0 ? whole : whole ? keep(m, &file) : copy(m, &file, disk, fd);
    return err < 0 ? err : ERR_OK;
}

static int back_up_raw(struct make *m, const struct snapshot_file *f, bool newest)
{
    uint64_t size = f->size;
    int err = newest ? sound_size(m->b->journal.disk, f, &size) : ERR_OK;
    if (err) {
        return copier_trouble(&m->copier, "read", f->name, err);
    }
    return back_up_growing(m, f->name, m->b->journal.disk, f->fd, size);
}

static int back_up_ids(struct make *m)
{
    const struct backup_place *state = &m->b->state;
    int fd = state->disk->open(state->disk->context, state->dir, MANIFEST_IDS, O_RDONLY);
    if (fd == ERR_NOT_FOUND) {
        return ERR_OK; /* a gateway that never ran */
    }
    int64_t size = fd < 0 ? fd : state->disk->size(state->disk->context, fd);
    int err = size < 0 ? copier_trouble(&m->copier, "read", MANIFEST_IDS, (int)size)
                       : back_up_growing(m, MANIFEST_IDS, state->disk, fd, (uint64_t)size);
    if (fd >= 0) {
        state->disk->close(state->disk->context, fd);
    }
    return err;
}

static int back_up_all(struct make *m)
{
    const struct snapshot *s = &m->snapshot;
    int err = ERR_OK;
    for (size_t i = 0; !err && i < s->count; i++) {
        const struct snapshot_file *f = s->files + i;
        bool newest = i + 1 == s->count || s->files[i + 1].kind != SNAPSHOT_RAW;
        err = f->kind == SNAPSHOT_SEALED ? back_up_sealed(m, f)
              : f->kind == SNAPSHOT_RAW  ? back_up_raw(m, f, newest)
                                         : ERR_OK;
        if (f->kind == SNAPSHOT_ASIDE) {
            copier_found(&m->copier, VERIFY_SET_ASIDE, f->name,
                         "damaged; the gateway set it aside; not in the backup");
        }
    }
    return err ? err : back_up_ids(m);
}

/* ---- The end. ---- */

static int write_manifest(struct make *m)
{
    const struct backup_place *store = &m->b->store;
    const struct disk *d = store->disk;
    char *text = NULL;
    size_t size = 0;
    snprintf(m->manifest.gateway, sizeof m->manifest.gateway, "%s", m->b->gateway);
    m->manifest.created_ns = m->b->now_ns;
    int err = manifest_encode(&m->manifest, &text, &size);
    err = err ? err : d->flush_dir(d->context, store->dir);
    int fd = err ? err : d->open(d->context, store->dir, MANIFEST_PART, O_RDWR | O_CREAT | O_TRUNC);
    err = fd < 0 ? fd : disk_write_all(d, fd, text, size, 0);
    err = err ? err : d->flush(d->context, fd);
    if (fd >= 0) {
        d->close(d->context, fd);
    }
    err = err ? err : d->rename(d->context, store->dir, MANIFEST_PART, MANIFEST_NAME);
    err = err ? err : d->flush_dir(d->context, store->dir);
    free(text);
    if (err) {
        int ignored = d->remove(d->context, store->dir, MANIFEST_PART);
        (void)ignored;
        return copier_trouble(&m->copier, "write", MANIFEST_NAME, err);
    }
    return ERR_OK;
}

static bool is_named(const struct manifest *m, const struct manifest_file *file)
{
    bool named = false;
    for (size_t i = 0; i < m->count && !named; i++) {
        named = m->files[i].crc == file->crc && !strcmp(m->files[i].name, file->name);
    }
    return named;
}

/* What can't be removed is waste, and is tried again the next time. */
static void take_away_rest(struct make *m)
{
    const struct backup_place *store = &m->b->store;
    for (size_t i = 0; i < m->stored.count; i++) {
        char stored[STORED_NAME_SIZE];
        manifest_stored_name(m->stored.files + i, stored);
        if (!is_named(&m->manifest, m->stored.files + i) &&
            store->disk->remove(store->disk->context, store->dir, stored) == ERR_OK) {
            m->b->sum.removed_files++;
        }
    }
}

static int hold(struct make *m)
{
    struct backup *b = m->b;
    int err = snapshot_take(&m->snapshot, b->journal.disk, b->journal.dir);
    if (err) {
        return copier_trouble(&m->copier, "read the journal's folder", "", err);
    }
    for (size_t i = 0; i < m->snapshot.count; i++) {
        m->copier.total += m->snapshot.files[i].size;
    }
    return ERR_OK;
}

int backup_make(struct backup *b)
{
    struct make m = {.b = b,
                     .verify = {.disk = b->journal.disk, .found = b->found, .context = b->context}};
    b->sum = (struct backup_sum){0};
    int err = copier_init(&m.copier, b);
    err = err ? err : verify_init(&m.verify);
    err = err ? err : look_at_former(&m);
    err = err ? err : list_stored(&m);
    err = err ? err : hold(&m);
    err = err ? err : back_up_all(&m);
    err = err ? err : write_manifest(&m);
    if (!err) {
        take_away_rest(&m);
    }
    b->sum.findings += m.verify.sum.findings;
    verify_fini(&m.verify);
    snapshot_free(&m.snapshot);
    manifest_fini(&m.stored);
    manifest_fini(&m.manifest);
    copier_fini(&m.copier);
    return err;
}
