/* SPDX-License-Identifier: Apache-2.0 */
/* Recovery reads from the newest segment whose opening state is whole to the end: normally one segment. What can't be
 * read never stops the start: a file without a header is set aside, a damaged stretch is stepped over, a torn tail is cut.
 * Torn or damaged? If a sound frame follows, it is damage; only a stretch that nothing sound follows is cut off. */
#include "journal/folder.h"
#include "journal/internal.h"
#include "journal/scan.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct found {
    uint64_t *numbers; /* ascending */
    size_t count, room;
    int err;
};

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void note_name(void *to, const char *name)
{
    struct found *f = to;
    uint64_t number;
    bool damaged;
    if (f->err || !segment_number(name, &number, &damaged)) {
        return;
    }
    if (!damaged && f->count == f->room) {
        f->room = f->room ? 2 * f->room : 64;
        uint64_t *grown = realloc(f->numbers, f->room * sizeof *grown);
        f->err = grown ? ERR_OK : ERR_NOMEM;
        f->numbers = grown ? grown : f->numbers;
    }
    if (!f->err && !damaged) {
        f->numbers[f->count++] = number;
    }
}

static int list(const struct journal *j, struct found *f)
{
    int err = j->disk->list(j->disk->context, j->dir, note_name, f);
    if (f->count) {
        qsort(f->numbers, f->count, sizeof *f->numbers, by_number);
    }
    return err ? err : f->err;
}

static void set_aside(struct journal *j, uint64_t number, struct journal_recovered *out)
{
    char name[SEGMENT_NAME_SIZE], damaged[SEGMENT_NAME_SIZE + 16];
    segment_name(number, name);
    snprintf(damaged, sizeof damaged, "%s.damaged", name);
    int ignored = j->disk->rename(j->disk->context, j->dir, name, damaged);
    (void)ignored;
    out->set_aside++;
    snprintf(out->text, sizeof out->text, "journal segment %s is damaged and was set aside as %s",
             name, damaged);
}

/* Opens a segment and proves its header. A file too short for a header was being made when the power went. */
static int open_segment(struct journal *j, uint64_t number, struct segment_header *h, int64_t *size)
{
    const struct disk *d = j->disk;
    char name[SEGMENT_NAME_SIZE];
    segment_name(number, name);
    int fd = d->open(d->context, j->dir, name, O_RDWR);
    if (fd < 0) {
        return fd;
    }
    uint8_t bytes[sizeof *h];
    *size = d->size(d->context, fd);
    int err = *size < 0 ? (int)*size : disk_read_all(d, fd, bytes, sizeof bytes, 0);
    if (!err) {
        err = segment_prove(bytes, sizeof bytes, h);
    }
    if (!err && h->number != number) {
        err = ERR_MALFORMED;
    }
    if (err) {
        d->close(d->context, fd);
        return err;
    }
    return fd;
}

/* Sequence numbers are dense: what is missing before `first` was in what could not be read. */
static void note_lost(const struct journal *j, struct journal_recovered *out, uint64_t first,
                      int64_t now_ns)
{
    if (first <= j->state.next_sequence) {
        return;
    }
    if (!out->lost) {
        out->lost_from = j->state.next_sequence;
        out->lost_from_ns = j->state.last_ns;
    }
    out->lost += first - j->state.next_sequence;
    out->lost_to = first;
    out->lost_to_ns = now_ns;
}

/* Takes in all frames of a segment. `last`: cut what nothing sound follows. */
static int replay(struct journal *j, int fd, uint64_t number, int64_t size, bool last,
                  struct journal_recovered *out)
{
    struct scan scan;
    int err = scan_init(&scan, j->disk);
    scan_start(&scan, fd, sizeof(struct segment_header), (uint64_t)size);
    uint64_t sound = scan.offset, damaged = 0;
    for (int got = 1; !err && got > 0;) {
        struct frame_header h;
        const struct slot *slots;
        uint64_t skipped;
        got = scan_next(&scan, &h, &slots, &skipped);
        if (got > 0) {
            damaged += skipped;
            sound = scan.offset;
            out->frames++;
            note_lost(j, out, h.first_sequence, h.now_ns);
            err = state_apply(&j->state, &h, slots);
        }
        err = got < 0 ? got : err;
    }
    scan_fini(&scan);
    uint64_t rest = (uint64_t)size - sound;
    if (!err && last && rest) {
        out->cut_bytes = rest;
        err = j->disk->truncate(j->disk->context, fd, sound);
        snprintf(out->text, sizeof out->text,
                 "journal segment %016llu: %llu bytes of an unfinished write were cut off",
                 (unsigned long long)number, (unsigned long long)rest);
    }
    if (!err && last && j->plan->header->sync != SYNC_OS) {
        /* Written by an engine that was killed before it could flush: from now on it counts as durable. */
        int ignored = j->disk->flush(j->disk->context, fd);
        (void)ignored;
    }
    out->damaged_bytes += damaged;
    if (damaged) {
        snprintf(out->text, sizeof out->text,
                 "journal segment %016llu: %llu damaged bytes were stepped over",
                 (unsigned long long)number, (unsigned long long)damaged);
    }
    return err == ERR_NOMEM ? err
                            : ERR_OK; /* else: unreadable from here on, go on with what there is */
}

/* Whether the opening state of a segment is complete. */
static bool is_opened(struct journal *j, int fd, int64_t size)
{
    struct scan scan;
    bool opened = false;
    int got = scan_init(&scan, j->disk) ? 0 : 1;
    scan_start(&scan, fd, sizeof(struct segment_header), (uint64_t)size);
    while (got > 0 && !opened) {
        struct frame_header h;
        const struct slot *slots;
        uint64_t skipped;
        got = scan_next(&scan, &h, &slots, &skipped);
        if (got > 0 && (skipped || h.kind == FRAME_DATA || h.kind == FRAME_CLOSED)) {
            break;
        }
        opened = got > 0 && h.kind == FRAME_OPENED;
    }
    scan_fini(&scan);
    return opened;
}

/* Looks at a segment's header; drops the file from the list when it has none. */
static int inspect(struct journal *j, struct found *f, size_t i, bool *opened,
                   struct journal_recovered *out)
{
    struct segment_header h;
    int64_t size = 0;
    int fd = open_segment(j, f->numbers[i], &h, &size);
    if (fd < 0) {
        if (fd == ERR_SHORT) {
            char name[SEGMENT_NAME_SIZE];
            segment_name(f->numbers[i], name);
            int ignored = j->disk->remove(j->disk->context, j->dir, name);
            (void)ignored;
            out->cut_bytes += (uint64_t)size;
            snprintf(out->text, sizeof out->text,
                     "journal segment %016llu was only begun and was removed",
                     (unsigned long long)f->numbers[i]);
        } else if (fd == ERR_MALFORMED || fd == ERR_CHECKSUM || fd == ERR_IO) {
            set_aside(j, f->numbers[i], out);
        } else {
            snprintf(out->text, sizeof out->text, "journal segment %016llu was left alone: %s",
                     (unsigned long long)f->numbers[i], err_text(fd));
        }
        memmove(f->numbers + i, f->numbers + i + 1, (--f->count - i) * sizeof *f->numbers);
        return fd;
    }
    j->epoch = h.epoch > j->epoch ? h.epoch : j->epoch;
    *opened = is_opened(j, fd, size);
    j->disk->close(j->disk->context, fd);
    return ERR_OK;
}

int recover(struct journal *j, struct journal_recovered *out)
{
    *out = (struct journal_recovered){0};
    struct found f = {0};
    int err = list(j, &f);
    bool opened = false;
    size_t from = f.count;
    while (!err && from > 0 && !opened) {
        from--;
        int ignored = inspect(j, &f, from, &opened, out);
        (void)ignored;
    }
    for (size_t i = from; !err && i < f.count; i++) {
        struct segment_header h;
        int64_t size = 0;
        int fd = open_segment(j, f.numbers[i], &h, &size);
        if (fd < 0) {
            continue;
        }
        if (i > from) {
            note_lost(j, out, h.first_sequence, h.created_ns);
        }
        if (h.first_sequence > j->state.next_sequence) {
            j->state.next_sequence = h.first_sequence;
        }
        err = replay(j, fd, f.numbers[i], size, i + 1 == f.count, out);
        j->disk->close(j->disk->context, fd);
    }
    struct folder_sum sum = {0};
    err = err ? err : folder_sum_up(j->disk, j->dir, &sum);
    j->closed_bytes = sum.bytes;
    out->segments = f.count;
    out->clean = j->state.closed;
    out->last_ns = j->state.last_ns;
    j->epoch++;
    j->last_number = sum.highest;
    j->first_segment = f.count ? f.numbers[0] : 0;
    free(f.numbers);
    return err;
}
