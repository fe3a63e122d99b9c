/* SPDX-License-Identifier: Apache-2.0 */
/* One position, one open file, one buffer. Segments are probed by number between the marks' first and written one, so
 * no directory is ever listed; a number that is missing was set aside or removed. Sequence numbers decide what is new:
 * a frame that a suspect segment held already is stepped over when the next segment brings it again.
 *
 * Places passed in the current segment are remembered every 64 KiB, so that stepping back within it is cheap. */
#include "journal/follow.h"
#include "journal/folder.h"
#include "journal/scan.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_MAX  1024u
#define PLACE_BYTES (64u << 10)

struct place {
    uint64_t offset, sequence;
};

struct follow {
    int dir;
    const struct journal_marks *marks;
    struct scan scan;
    int fd;                        /* -1: no segment open */
    struct segment_header segment; /* the one open */
    uint64_t number;               /* the segment to read, open or not yet */
    bool limited;                  /* `limit` is known */
    struct segment_limit limit;
    uint64_t next;   /* sequence number expected */
    uint64_t wanted; /* frames that end before are stepped over */
    int64_t from_ns; /* after a seek by time: frames that end before are stepped over */
    bool seeking_time;
    uint64_t lost;
    struct place places[PLACES_MAX];
    size_t place_count;
    uint64_t place_gap; /* bytes between places; doubles when there are too many */
    follow_opening *on_opening;
    void *context;
};

static void leave(struct follow *f)
{
    if (f->fd >= 0) {
        f->scan.disk->close(f->scan.disk->context, f->fd);
    }
    f->fd = -1;
    f->limited = false;
    f->place_count = 0;
    f->place_gap = PLACE_BYTES;
}

static int probe(const struct follow *f, uint64_t number, struct segment_header *h)
{
    return segment_open(f->scan.disk, f->dir, number, O_RDONLY, h);
}

static int enter(struct follow *f, uint64_t number)
{
    leave(f);
    f->number = number;
    int fd = probe(f, number, &f->segment);
    if (fd < 0) {
        return fd;
    }
    f->fd = fd;
    scan_start(&f->scan, fd, sizeof f->segment, sizeof f->segment);
    return ERR_OK;
}

int follow_open_on(struct follow **follow, const struct disk *disk, int dir_fd,
                   const struct journal_marks *marks, uint64_t sequence)
{
    struct follow *f = calloc(1, sizeof *f);
    if (!f) {
        return ERR_NOMEM;
    }
    f->dir = dir_fd;
    f->marks = marks;
    f->fd = -1;
    int err = scan_init(&f->scan, disk);
    if (!err) {
        err = follow_seek(f, sequence);
    }
    if (err) {
        follow_close(f);
        return err;
    }
    *follow = f;
    return ERR_OK;
}

int follow_open(struct follow **follow, int dir_fd, const struct journal_marks *marks,
                uint64_t sequence)
{
    return follow_open_on(follow, &disk_files, dir_fd, marks, sequence);
}

void follow_close(struct follow *f)
{
    if (f) {
        leave(f);
        scan_fini(&f->scan);
        free(f);
    }
}

/* The last segment in [first, last] that begins at or before what is sought, or the first that can be read. */
static uint64_t choose(const struct follow *f, const struct journal_position *p, uint64_t sequence,
                       int64_t from_ns, bool by_time)
{
    uint64_t low = p->first_segment, high = p->written_segment;
    if (by_time) { /* the clock may have been set back: from the newest, not by halves */
        for (uint64_t n = high; n > low; n--) {
            struct segment_header h;
            int fd = probe(f, n, &h);
            if (fd >= 0) {
                f->scan.disk->close(f->scan.disk->context, fd);
                if (h.created_ns <= from_ns) {
                    return n;
                }
            }
        }
        return low;
    }
    while (low < high) {
        uint64_t middle = high - (high - low) / 2, at = middle;
        struct segment_header h = {0};
        int fd = ERR_NOT_FOUND;
        while (at <= high && (fd = probe(f, at, &h)) < 0) {
            at++;
        }
        if (fd >= 0) {
            f->scan.disk->close(f->scan.disk->context, fd);
        }
        /* A suspect segment's successor begins with the same number: then the older one is right. */
        if (fd >= 0 && h.first_sequence <= sequence) {
            low = at;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

static int start_at(struct follow *f, uint64_t number)
{
    leave(f);
    f->number = number;
    f->lost = 0;
    return ERR_OK;
}

int follow_seek(struct follow *f, uint64_t sequence)
{
    struct journal_position p;
    int err = journal_marks_read(f->marks, &p);
    if (err) {
        return err;
    }
    f->seeking_time = false;
    f->wanted = f->next = sequence;
    if (f->fd >= 0 && sequence >= f->segment.first_sequence && f->place_count &&
        f->places[0].sequence <= sequence && f->number == p.written_segment) {
        size_t i = f->place_count;
        while (f->places[i - 1].sequence > sequence) {
            i--;
        }
        f->scan.offset = f->places[i - 1].offset;
        f->lost = 0;
        return ERR_OK;
    }
    return start_at(f, choose(f, &p, sequence, 0, false));
}

int follow_seek_time(struct follow *f, int64_t from_ns)
{
    struct journal_position p;
    int err = journal_marks_read(f->marks, &p);
    if (err) {
        return err;
    }
    f->wanted = f->next = 0;
    f->seeking_time = true;
    f->from_ns = from_ns;
    return start_at(f, choose(f, &p, 0, from_ns, true));
}

uint64_t follow_sequence(const struct follow *f)
{
    return f->next;
}

static void remember(struct follow *f, uint64_t offset, uint64_t sequence)
{
    if (f->place_count && offset < f->places[f->place_count - 1].offset + f->place_gap) {
        return;
    }
    if (f->place_count == PLACES_MAX) { /* every other one will do */
        for (size_t i = 0; i < PLACES_MAX / 2; i++) {
            f->places[i] = f->places[2 * i];
        }
        f->place_count = PLACES_MAX / 2;
        f->place_gap *= 2;
    }
    f->places[f->place_count++] = (struct place){offset, sequence};
}

/* Makes sure that a segment is open; 0: none to read yet. */
static int have_segment(struct follow *f, const struct journal_position *p)
{
    if (f->number < p->first_segment) {
        leave(f);
        f->number = p->first_segment;
    }
    while (f->fd < 0) {
        if (f->number > p->written_segment || !f->number) {
            return 0;
        }
        int err = enter(f, f->number);
        if (err && f->number == p->written_segment) {
            return 0; /* just being made, or the disk fails: later */
        }
        if (err) {
            f->number++;
        }
    }
    return 1;
}

/* Whether the caller gets this frame. */
static bool take(struct follow *f, const struct frame_header *h, uint64_t offset)
{
    uint64_t end = h->first_sequence + h->sequences;
    if (h->kind != FRAME_DATA || (f->limited && end > f->limit.sequence)) {
        return false;
    }
    remember(f, offset, h->first_sequence);
    if (f->seeking_time) {
        if (h->max_ns < f->from_ns && !(h->min_ns > h->max_ns && h->now_ns >= f->from_ns)) {
            return false;
        }
        f->seeking_time = false;
        f->wanted = f->next = h->first_sequence;
    }
    if (end <= f->wanted && (h->sequences || h->first_sequence < f->wanted)) {
        return false; /* before what was sought, or brought again after a failed flush */
    }
    if (h->first_sequence > f->next) {
        f->lost += f->next ? h->first_sequence - f->next : 0;
    }
    f->wanted = f->next = end;
    return true;
}

void follow_on_opening(struct follow *f, follow_opening *take_opening, void *context)
{
    f->on_opening = take_opening;
    f->context = context;
}

int follow_next(struct follow *f, struct follow_frame *frame)
{
    for (;;) {
        struct journal_position p;
        if (journal_marks_read(f->marks, &p) || have_segment(f, &p) == 0) {
            return 0;
        }
        bool last = f->number >= p.written_segment;
        if (!last && !f->limited) {
            int err =
                segment_limit_find(f->scan.disk, f->dir, f->number, p.written_segment, &f->limit);
            if (err) {
                return err;
            }
            f->limited = true;
        }
        const struct disk *d = f->scan.disk;
        int64_t size = last ? (int64_t)p.written_offset : d->size(d->context, f->fd);
        if (size < 0) {
            return ERR_IO;
        }
        scan_extend(&f->scan,
                    !last && f->limit.offset < (uint64_t)size ? f->limit.offset : (uint64_t)size);
        struct frame_header h;
        const struct slot *slots;
        uint64_t skipped;
        uint64_t before = f->scan.offset;
        int got = scan_next(&f->scan, &h, &slots, &skipped);
        if (got < 0) {
            return ERR_IO;
        }
        if (!got && last) {
            return 0;
        }
        if (!got) {
            leave(f);
            f->number++;
            continue;
        }
        if (h.kind != FRAME_DATA && f->on_opening) {
            f->on_opening(f->context, f->number, &h, slots, skipped > 0);
        }
        if (take(f, &h, before + skipped)) {
            *frame = (struct follow_frame){.epoch = f->segment.epoch,
                                           .first_sequence = h.first_sequence,
                                           .end_sequence = f->next,
                                           .generation = h.generation,
                                           .box = h.box,
                                           .now_ns = h.now_ns,
                                           .min_ns = h.min_ns,
                                           .max_ns = h.max_ns,
                                           .slots = slots,
                                           .slot_count = h.slot_count,
                                           .lost_before = f->lost};
            f->lost = 0;
            return 1;
        }
    }
}
