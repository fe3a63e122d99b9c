/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/audit_verify.h"

#include "guard/digest.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_ENTRIES 128u

struct walk {
    const struct audit_read *read;
    struct audit_findings *out;
    struct audit_files files;
    uint64_t done, all; /* bytes */
    uint8_t hash[32];   /* of the entry before */
    bool begun;
    bool lost; /* the entry before can't be told: its hash is not known */
};

static void find(struct walk *w, uint64_t file, uint64_t number, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Only the first finding counts: what lies behind is read on, but unproven. */
static void find(struct walk *w, uint64_t file, uint64_t number, const char *format, ...)
{
    va_list args;
    if (w->out->reason[0]) {
        return;
    }
    va_start(args, format);
    vsnprintf(w->out->reason, sizeof w->out->reason, format, args);
    va_end(args);
    w->out->damaged = number;
    audit_name(w->out->file, file);
}

/* What is wrong with an entry in its place; NULL: nothing. */
static const char *wrong(const struct walk *w, const struct audit_entry *e, uint64_t number)
{
    static const struct audit_entry nothing;
    if (!memcmp(e, &nothing, sizeof nothing)) {
        return "it is missing: its place is empty";
    }
    if (e->number != number) {
        return e->number < number ? "an earlier entry stands in its place: doubled or reordered"
                                  : "a later entry stands in its place: removed or reordered";
    }
    if (!audit_entry_is_sound(e, number)) {
        return "it was changed: its checksum does not match";
    }
    return !w->lost && memcmp(e->previous, w->hash, sizeof w->hash) != 0
               ? "the one before it was changed: its hash is another one"
               : NULL;
}

static void take_entry(struct walk *w, uint64_t file, const struct audit_entry *e, uint64_t number)
{
    struct audit_findings *out = w->out;
    const char *reason = wrong(w, e, number);
    if (reason) {
        find(w, file, number, "%s", reason);
        w->lost = !audit_entry_is_sound(e, number);
        if (w->lost) {
            return;
        }
    }
    if (e->kind == AUDIT_CHECKPOINT) {
        const uint8_t *key = w->read->public_key ? w->read->public_key : out->public_key;
        if (!audit_signature_holds(e, key)) {
            find(w, file, number, "its signature does not hold");
        }
        out->checkpoints++;
        out->proven = out->reason[0] ? out->proven : number;
    }
    w->lost = false;
    audit_hash(e, w->hash);
    out->first = out->entries++ ? out->first : number;
    out->last = number;
    if (w->read->entry) {
        w->read->entry(w->read->context, e);
    }
}

static void take_header(struct walk *w, const struct audit_header *h, uint64_t first)
{
    struct audit_findings *out = w->out;
    bool sound = audit_header_is_sound(h) && h->first == first;
    if (!sound) {
        find(w, first, first, "the file's header is damaged");
    } else if (w->begun && !w->lost && memcmp(h->previous, w->hash, sizeof w->hash) != 0) {
        find(w, first, first, "the file does not follow from the one before");
    } else if (!w->begun) { /* what came before may have been archived */
        memcpy(out->public_key, h->public_key, sizeof out->public_key);
    } else if (memcmp(out->public_key, h->public_key, sizeof out->public_key) != 0) {
        find(w, first, first, "the file is of another key");
    }
    if (w->read->public_key && !digest_equal(w->read->public_key, h->public_key, 32)) {
        find(w, first, first, "the file is of another key than the one given");
    }
    if (sound) {
        memcpy(w->hash, h->previous, sizeof w->hash);
    }
    w->lost = !sound;
    w->begun = w->begun || sound;
}

/* `next`: first entry of the file behind; UINT64_MAX: there is none. */
static int take_file(struct walk *w, uint64_t first, uint64_t next)
{
    const struct disk *d = w->read->disk;
    struct audit_findings *out = w->out;
    struct audit_header h;
    struct audit_entry entries[READ_ENTRIES];
    char name[AUDIT_NAME_SIZE];
    audit_name(name, first);
    int fd = d->open(d->context, w->read->dir, name, O_RDONLY | O_CLOEXEC);
    int64_t size = fd < 0 ? fd : d->size(d->context, fd);
    if (size < 0) {
        if (fd >= 0) {
            d->close(d->context, fd);
        }
        return (int)size;
    }
    uint64_t whole = size >= 512 ? (uint64_t)size / 512 - 1 : 0;
    int err = size < 512 ? ERR_SHORT : disk_read_all(d, fd, &h, sizeof h, 0);
    if (!err) {
        take_header(w, &h, first);
    }
    for (uint64_t i = 0; !err && i < whole; i += READ_ENTRIES) {
        uint64_t n = whole - i < READ_ENTRIES ? whole - i : READ_ENTRIES;
        err = disk_read_all(d, fd, entries, n * sizeof *entries, 512 * (i + 1));
        for (uint64_t k = 0; !err && k < n; k++) {
            if (first + i + k < next) {
                take_entry(w, first, entries + k, first + i + k);
            } else {
                out->void_entries++;
            }
        }
        w->done += n * 512;
        if (w->read->progress) {
            w->read->progress(w->read->context, w->done, w->all);
        }
    }
    d->close(d->context, fd);
    if (err == ERR_SHORT) {
        find(w, first, first, "the file is cut off");
        err = ERR_OK;
    }
    if (!err && next != UINT64_MAX && first + whole < next) {
        find(w, first, first + whole, "entries up to %" PRIu64 " are missing", next - 1);
    }
    out->files++;
    return err;
}

static int sum_sizes(struct walk *w)
{
    const struct disk *d = w->read->disk;
    for (size_t i = 0; i < w->files.count; i++) {
        char name[AUDIT_NAME_SIZE];
        audit_name(name, w->files.firsts[i]);
        int fd = d->open(d->context, w->read->dir, name, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            return fd;
        }
        int64_t size = d->size(d->context, fd);
        w->all += size > 0 ? (uint64_t)size : 0;
        d->close(d->context, fd);
    }
    return ERR_OK;
}

int audit_verify(const struct audit_read *read, struct audit_findings *out)
{
    struct walk w = {.read = read, .out = out};
    *out = (struct audit_findings){0};
    int err = audit_files_list(&w.files, read->disk, read->dir);
    if (!err && !w.files.count) {
        err = ERR_NOT_FOUND;
    }
    if (!err) {
        err = sum_sizes(&w);
    }
    for (size_t i = 0; !err && i < w.files.count; i++) {
        err = take_file(&w, w.files.firsts[i],
                        i + 1 < w.files.count ? w.files.firsts[i + 1] : UINT64_MAX);
    }
    audit_files_free(&w.files);
    return err;
}
