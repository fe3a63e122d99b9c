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
static void note_lost(struct journal *j, uint64_t bytes, uint64_t first, int64_t now_ns)
{
    uint64_t next = j->state.next_sequence;
    if (bytes || first > next) {
        state_note_lost(&j->found_lost,
                        &(struct state_lost){.bytes = bytes,
                                             .count = first > next ? first - next : 0,
                                             .from = next,
                                             .to = first,
                                             .from_ns = j->state.last_ns,
                                             .to_ns = now_ns});
    }
}

/* Writes what we see of a segment into a new file, which takes its place when it is durable. */
static int copy_segment(struct journal *j, int fd, uint64_t number, uint64_t size)
{
    const struct disk *d = j->disk;
    char name[SEGMENT_NAME_SIZE], copy[SEGMENT_NAME_SIZE + 8];
    segment_name(number, name);
    snprintf(copy, sizeof copy, "%s.copy", name);
    int to = d->open(d->context, j->dir, copy, O_RDWR | O_CREAT | O_TRUNC);
    int err = to < 0 ? to : ERR_OK;
    for (uint64_t at = 0; !err && at < size;) {
        size_t n = size - at < STATE_SCRATCH ? (size_t)(size - at) : STATE_SCRATCH;
        err = disk_read_all(d, fd, j->scratch, n, at);
        if (!err) {
            err = disk_write_all(d, to, j->scratch, n, at);
        }
        at += n;
    }
    if (!err) {
        err = d->flush(d->context, to);
    }
    if (to >= 0) {
        d->close(d->context, to);
    }
    if (!err) {
        err = d->rename(d->context, j->dir, copy, name);
    } else if (to >= 0) {
        int ignored = d->remove(d->context, j->dir, copy);
        (void)ignored;
    }
    return err;
}

/* From where on the last segment may not be durable, as the engine's memory tells, which outlives it; without that (the gateway
 * itself was started) what we see came from the disk. */
static uint64_t not_durable_from(const struct journal *j, uint64_t number, uint64_t size)
{
    struct journal_position p = {0};
    if (journal_marks_read(j->marks, &p)) {
        return 0; /* killed while it changed them */
    }
    return p.durable_segment == number && p.durable_offset < size ? p.durable_offset : size;
}

/* Writes [from, size) again, as we see it: an engine that was killed may have heard that a flush failed, and told nobody. Then
 * these pages count as clean, and the next flush would do nothing for them. */
static int write_again(struct journal *j, int fd, uint64_t from, uint64_t size)
{
    int err = ERR_OK;
    for (uint64_t at = from; !err && at < size;) {
        size_t n = size - at < STATE_SCRATCH ? (size_t)(size - at) : STATE_SCRATCH;
        err = disk_read_all(j->disk, fd, j->scratch, n, at);
        if (!err) {
            err = disk_write_all(j->disk, fd, j->scratch, n, at);
        }
        at += n;
    }
    return err;
}

/* What the last segment holds counts as durable from now on. If it can't be flushed, nobody knows what the disk has
 * (invariant 9): then a copy is made, and read anew. 0; ERR_BUSY: begin again with the copy; ERR_IO: it is not durable and can't
 * be made so. */
static int make_durable(struct journal *j, int fd, uint64_t number, int64_t size)
{
    if (j->plan->header->sync == SYNC_OS) {
        return ERR_OK;
    }
    uint64_t from = not_durable_from(j, number, (uint64_t)size);
    if (!write_again(j, fd, from, (uint64_t)size) && !j->disk->flush(j->disk->context, fd)) {
        return ERR_OK;
    }
    return copy_segment(j, fd, number, (uint64_t)size) ? ERR_IO : ERR_BUSY;
}

/* Takes in all frames of a segment that end before `limit`, where the next one begins; UINT64_MAX: it is the last, and what
 * nothing sound follows is cut. */
static int replay(struct journal *j, int fd, uint64_t number, int64_t *size, uint64_t limit,
                  struct journal_recovered *out)
{
    struct scan scan;
    int err = scan_init(&scan, j->disk);
    scan_start(&scan, fd, sizeof(struct segment_header), (uint64_t)*size);
    uint64_t sound = scan.offset, damaged = j->found_lost.bytes;
    bool last = limit == UINT64_MAX;
    for (int got = 1; !err && got > 0;) {
        struct frame_header h;
        const struct slot *slots;
        uint64_t skipped;
        got = scan_next(&scan, &h, &slots, &skipped);
        if (got > 0 && h.first_sequence + h.sequences <= limit) {
            sound = scan.offset;
            out->frames++;
            note_lost(j, skipped, h.first_sequence, h.now_ns);
            err = state_apply(&j->state, &h, slots);
        }
        err = got < 0 ? got : err;
    }
    scan_fini(&scan);
    uint64_t rest = (uint64_t)*size - sound;
    if (!err && last && rest) {
        out->cut_bytes = rest;
        err = j->disk->truncate(j->disk->context, fd, sound);
        *size = (int64_t)sound;
        snprintf(out->text, sizeof out->text,
                 "journal segment %016llu: %llu bytes of an unfinished write were cut off",
                 (unsigned long long)number, (unsigned long long)rest);
    }
    damaged = j->found_lost.bytes - damaged;
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

/* Opens a segment whose header is sound; else deals with the file, drops it from the list, and says why (negative). */
static int admit(struct journal *j, struct found *f, size_t i, struct segment_header *h,
                 int64_t *size, struct journal_recovered *out)
{
    int fd = open_segment(j, f->numbers[i], h, size);
    if (fd >= 0) {
        return fd;
    }
    if (fd == ERR_SHORT && i + 1 == f->count) {
        char name[SEGMENT_NAME_SIZE];
        segment_name(f->numbers[i], name);
        int ignored = j->disk->remove(j->disk->context, j->dir, name);
        (void)ignored;
        out->cut_bytes += (uint64_t)*size;
        snprintf(out->text, sizeof out->text,
                 "journal segment %016llu was only begun and was removed",
                 (unsigned long long)f->numbers[i]);
    } else if (fd == ERR_SHORT || fd == ERR_MALFORMED || fd == ERR_CHECKSUM || fd == ERR_IO) {
        set_aside(j, f->numbers[i], out);
    } else {
        snprintf(out->text, sizeof out->text, "journal segment %016llu was left alone: %s",
                 (unsigned long long)f->numbers[i], err_text(fd));
    }
    memmove(f->numbers + i, f->numbers + i + 1, (--f->count - i) * sizeof *f->numbers);
    return fd;
}

/* The segments before [from]: only whether they can be read. */
static void survey(struct journal *j, struct found *f, size_t from, struct journal_recovered *out)
{
    while (from > 0) {
        struct segment_header h;
        int64_t size = 0;
        int fd = admit(j, f, --from, &h, &size, out);
        if (fd >= 0) {
            j->disk->close(j->disk->context, fd);
        }
    }
}

/* The first segment from which on all must be read: the newest that tells what everything before it adds up to. */
static size_t find_start(struct journal *j, struct found *f, struct journal_recovered *out)
{
    size_t from = f->count;
    for (bool opened = false; from > 0 && !opened;) {
        struct segment_header h;
        int64_t size = 0;
        int fd = admit(j, f, --from, &h, &size, out);
        if (fd >= 0) {
            j->epoch = h.epoch > j->epoch ? h.epoch : j->epoch;
            opened = is_opened(j, fd, size);
            j->disk->close(j->disk->context, fd);
        }
    }
    return from;
}

/* The sequence number at which the segment behind this one begins; UINT64_MAX: this is the last. */
static uint64_t end_of(struct journal *j, const struct found *f, size_t i)
{
    while (++i < f->count) {
        struct segment_header h;
        int64_t size;
        int fd = open_segment(j, f->numbers[i], &h, &size);
        if (fd >= 0) {
            j->disk->close(j->disk->context, fd);
            return h.first_sequence;
        }
    }
    return UINT64_MAX;
}

static void report(const struct journal *j, struct journal_recovered *out)
{
    const struct state_lost *lost = &j->state.lost;
    out->damaged_bytes = lost->bytes;
    out->lost = lost->count;
    out->lost_from = lost->from;
    out->lost_to = lost->to;
    out->lost_from_ns = lost->from_ns;
    out->lost_to_ns = lost->to_ns;
    out->untold_ns = j->state.losing_ns;
    if (out->unsafe) {
        snprintf(
            out->text, sizeof out->text,
            "journal segment %016llu can't be flushed: what it holds may not survive a loss of "
            "power",
            (unsigned long long)j->segment.number);
    } else if ((out->lost || out->damaged_bytes) && !out->text[0]) {
        snprintf(out->text, sizeof out->text, "a start before this one found records missing");
    }
    out->clean = j->state.closed;
    out->last_ns = j->state.last_ns;
}

static int read_journal(struct journal *j, struct journal_recovered *out)
{
    *out = (struct journal_recovered){0};
    j->found_lost = (struct state_lost){0};
    struct found f = {0};
    int err = list(j, &f);
    size_t from = err ? 0 : find_start(j, &f, out);
    for (size_t i = from; !err && i < f.count; i++) {
        struct segment_header h;
        int64_t size = 0;
        int fd = open_segment(j, f.numbers[i], &h, &size);
        if (fd < 0) {
            continue;
        }
        if (i > from) {
            note_lost(j, 0, h.first_sequence, h.created_ns);
        }
        if (h.first_sequence > j->state.next_sequence) {
            j->state.next_sequence = h.first_sequence;
        }
        err = replay(j, fd, f.numbers[i], &size, end_of(j, &f, i), out);
        if (!err && i + 1 == f.count) {
            err = make_durable(j, fd, f.numbers[i], size);
            out->unsafe = err == ERR_IO;
            err = out->unsafe ? ERR_OK : err;
        }
        j->disk->close(j->disk->context, fd);
        j->segment.number = f.numbers[i];
        j->segment.offset = j->segment.durable_offset = (uint64_t)size;
    }
    if (!err) {
        survey(j, &f, from, out);
    }
    struct folder_sum sum = {0};
    err = err ? err : folder_sum_up(j->disk, j->dir, &sum);
    j->closed_bytes = sum.bytes;
    out->segments = f.count;
    if (j->found_lost.bytes || j->found_lost.count) {
        state_note_lost(&j->state.lost, &j->found_lost);
    }
    report(j, out);
    j->epoch++;
    j->last_number = sum.highest;
    j->first_segment = f.count ? f.numbers[0] : 0;
    free(f.numbers);
    return err;
}

int recover(struct journal *j, struct journal_recovered *out)
{
    int err = read_journal(j, out);
    for (int tries = 0; err == ERR_BUSY && tries < 3; tries++) {
        state_clear(&j->state);
        j->epoch = 0;
        err = read_journal(j, out);
    }
    return err;
}
