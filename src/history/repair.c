/* SPDX-License-Identifier: Apache-2.0 */
/* A sealed file that lies in the journal's folder under its name counts, so putting one back is one rename, and a gateway that
 * runs finds it as it finds the sealer's own. It stands for a range of segments: it must hold all that a sound file within
 * its range holds, and nothing that another sound file holds; else samples would be there twice. */
#include "history/backup.h"

#include "history/backup_copy.h"
#include "history/sealed_format.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct need { /* what is wrong, and where */
    struct sealed_place place;
    char file[SNAPSHOT_NAME_SIZE]; /* to be taken away when others stand for all of it; "": none */
};

struct repair {
    struct backup *b;
    struct copier copier;
    struct manifest manifest;
    struct snapshot snapshot;
    struct need *needs; /* owned */
    size_t count, room;
    bool *chosen; /* owned; of the manifest's files */
    int err;
};

/* ---- What is needed. ---- */

static void note_need(void *context, const struct verify_finding *f)
{
    struct repair *r = context;
    struct snapshot_file file;
    bool in_folder = f->kind != VERIFY_MISSING && snapshot_name_parse(f->file, &file);
    bool known = f->kind == VERIFY_MISSING ? f->place.last != 0 : in_folder;
    if (f->kind == VERIFY_UNBALANCED || !known || r->err ||
        (r->count && in_folder && !strcmp(r->needs[r->count - 1].file, f->file))) {
        return;
    }
    if (r->count == r->room) {
        size_t room = r->room ? 2 * r->room : 16;
        struct need *grown = realloc(r->needs, room * sizeof *grown);
        if (!grown) {
            r->err = ERR_NOMEM;
            return;
        }
        r->needs = grown;
        r->room = room;
    }
    struct need *need = r->needs + r->count++;
    *need = (struct need){.place = f->place};
    if (in_folder && (f->sealed || file.kind == SNAPSHOT_ASIDE)) {
        strcpy(need->file,
               f->file); /* a raw segment that is damaged goes when the sealer says so */
    }
}

static int look(struct repair *r, void (*found)(void *, const struct verify_finding *),
                void *context)
{
    struct backup *b = r->b;
    struct verify v = {.disk = b->journal.disk, .found = found, .context = context};
    snapshot_free(&r->snapshot);
    int err = snapshot_take(&r->snapshot, b->journal.disk, b->journal.dir);
    err = err ? err : verify_init(&v);
    err = err ? err : verify_all(&v, &r->snapshot);
    b->sum.findings = v.sum.findings;
    verify_fini(&v);
    return err ? err : r->err;
}

/* ---- What the backup has for it. ---- */

static bool meets(const struct sealed_place *a, const struct sealed_place *b)
{
    return a->imported == b->imported && a->first <= b->last && b->first <= a->last;
}

static bool within(const struct sealed_place *a, const struct sealed_place *b)
{
    return a->imported == b->imported && a->first >= b->first && a->last <= b->last;
}

static bool is_damaged(const struct repair *r, const char *name)
{
    bool damaged = false;
    for (size_t i = 0; i < r->count && !damaged; i++) {
        damaged = !strcmp(r->needs[i].file, name);
    }
    return damaged;
}

static bool fits(const struct repair *r, const struct sealed_place *place)
{
    bool needed = false, clear = true;
    for (size_t i = 0; i < r->count && !needed; i++) {
        needed = meets(place, &r->needs[i].place);
    }
    for (size_t i = 0; needed && i < r->snapshot.count && clear; i++) {
        const struct snapshot_file *f = r->snapshot.files + i;
        clear = f->kind != SNAPSHOT_SEALED || !meets(place, &f->place) || is_damaged(r, f->name) ||
                (within(&f->place, place) && !within(place, &f->place));
    }
    return needed && clear;
}

/* Whether what was chosen stands for all of the place. */
static bool is_covered(const struct repair *r, const struct sealed_place *place)
{
    uint64_t next = place->first;
    bool moved = true;
    while (moved && next <= place->last) {
        moved = false;
        for (size_t i = 0; i < r->manifest.count && !moved; i++) {
            struct snapshot_file f;
            if (r->chosen[i] && snapshot_name_parse(r->manifest.files[i].name, &f) &&
                f.place.imported == place->imported && f.place.first <= next &&
                f.place.last >= next) {
                next = f.place.last + 1;
                moved = true;
            }
        }
    }
    return next > place->last;
}

/* A part of what a damaged file holds is of no use: as long as that is there it hides the part. */
static void choose(struct repair *r)
{
    for (size_t i = 0; i < r->manifest.count; i++) {
        struct snapshot_file f;
        r->chosen[i] = snapshot_name_parse(r->manifest.files[i].name, &f) &&
                       f.kind == SNAPSHOT_SEALED && fits(r, &f.place);
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t n = 0; n < r->count; n++) {
            const struct need *need = r->needs + n;
            if (!need->file[0] || is_covered(r, &need->place)) {
                continue;
            }
            for (size_t i = 0; i < r->manifest.count; i++) {
                struct snapshot_file f;
                if (r->chosen[i] && snapshot_name_parse(r->manifest.files[i].name, &f) &&
                    meets(&f.place, &need->place)) {
                    r->chosen[i] = false;
                    changed = true;
                }
            }
        }
    }
}

/* ---- Putting it there. ---- */

/* One above that of a damaged file for the same segments: a gateway that has that one open shall see another name. */
static uint32_t revision_for(const struct repair *r, const struct sealed_header *h)
{
    uint32_t revision = h->revision;
    struct sealed_place place = {h->first_segment, h->last_segment, 0,
                                 (h->flags & SEALED_IMPORTED) != 0};
    for (size_t i = 0; i < r->snapshot.count; i++) {
        const struct snapshot_file *f = r->snapshot.files + i;
        if (f->kind == SNAPSHOT_SEALED && within(&f->place, &place) && within(&place, &f->place) &&
            f->place.revision >= revision) {
            revision = f->place.revision + 1;
        }
    }
    return revision;
}

static int put_back(struct repair *r, const struct manifest_file *file)
{
    const struct backup *b = r->b;
    const struct disk *d = b->store.disk;
    struct manifest_file copied = *file;
    struct sealed sealed;
    char stored[STORED_NAME_SIZE], name[SEALED_NAME_SIZE] = "";
    manifest_stored_name(file, stored);
    int err = copier_prove(&r->copier, &b->store, stored, file);
    int fd = err ? err : d->open(d->context, b->store.dir, stored, O_RDONLY);
    err = fd < 0 ? fd : sealed_read_header(&sealed, d, fd);
    if (!err) {
        struct sealed_header *h = &sealed.header;
        h->revision = revision_for(r, h);
        h->crc = sealed_header_crc(h);
        sealed_name(h, name);
        err = copier_begin(&r->copier, &b->journal);
        err = err ? err : copier_take(&r->copier, d, fd, &copied);
        err = err ? err : disk_write_all(b->journal.disk, r->copier.fd, h, sizeof *h, 0);
        err = copier_end(&r->copier, name, err);
    } else {
        copier_trouble(&r->copier, "read", stored, err);
    }
    if (fd >= 0) {
        d->close(d->context, fd);
    }
    r->b->sum.copied_files += !err;
    r->b->sum.copied_bytes += err ? 0 : file->size;
    return err;
}

static void take_away_damaged(struct repair *r)
{
    const struct backup_place *journal = &r->b->journal;
    for (size_t n = 0; n < r->count; n++) {
        const struct need *need = r->needs + n;
        if (need->file[0] && is_covered(r, &need->place) &&
            journal->disk->remove(journal->disk->context, journal->dir, need->file) == ERR_OK) {
            r->b->sum.removed_files++;
        }
    }
}

static int put_all_back(struct repair *r)
{
    const struct backup_place *journal = &r->b->journal;
    int err = ERR_OK;
    for (size_t i = 0; !err && i < r->manifest.count; i++) {
        err = r->chosen[i] ? put_back(r, r->manifest.files + i) : ERR_OK;
    }
    err = err || !r->b->sum.copied_files
              ? err
              : journal->disk->flush_dir(journal->disk->context, journal->dir);
    if (!err) {
        take_away_damaged(r);
    }
    return err;
}

int backup_repair(struct backup *b)
{
    struct repair r = {.b = b};
    b->sum = (struct backup_sum){0};
    int err = copier_init(&r.copier, b);
    err = err ? err : copier_manifest(&r.copier, &r.manifest);
    err = err ? err : look(&r, note_need, &r);
    r.chosen = calloc(r.manifest.count + 1, sizeof *r.chosen);
    err = err || r.chosen ? err : ERR_NOMEM;
    if (!err) {
        choose(&r);
        err = put_all_back(&r);
    }
    err = err ? err : look(&r, b->found, b->context);
    snapshot_free(&r.snapshot);
    manifest_fini(&r.manifest);
    copier_fini(&r.copier);
    free(r.needs);
    free(r.chosen);
    return err;
}
