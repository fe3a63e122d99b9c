/* SPDX-License-Identifier: Apache-2.0 */
#include "history/raw.h"

#include <fcntl.h>

int raw_walk_init(struct raw_walk *w, const struct disk *disk, int dir, const uint64_t *numbers,
                  uint32_t count, const struct journal_position *end, uint64_t from_epoch,
                  uint64_t from_sequence)
{
    *w = (struct raw_walk){.dir = dir,
                           .numbers = numbers,
                           .count = count,
                           .end_segment = end ? end->written_segment : UINT64_MAX,
                           .end_offset = end ? end->written_offset : 0,
                           .fd = -1,
                           .epoch = from_epoch,
                           .next = from_sequence};
    return scan_init(&w->scan, disk);
}

static void leave(struct raw_walk *w)
{
    if (w->fd >= 0) {
        w->scan.disk->close(w->scan.disk->context, w->fd);
    }
    w->fd = -1;
}

void raw_walk_fini(struct raw_walk *w)
{
    leave(w);
    scan_fini(&w->scan);
}

/* Opens the segment at w->at. ERR_OK, or what is wrong with it. */
static int enter(struct raw_walk *w)
{
    const struct disk *d = w->scan.disk;
    uint64_t number = w->numbers[w->at];
    w->fd = segment_open(d, w->dir, number, O_RDONLY, &w->segment);
    if (w->fd < 0) {
        return w->fd;
    }
    int64_t size = d->size(d->context, w->fd);
    int err =
        size < 0 ? (int)size : segment_limit_find(d, w->dir, number, w->end_segment, &w->limit);
    if (err) {
        leave(w);
        return err;
    }
    bool follows = !w->at || w->numbers[w->at - 1] + 1 == number;
    if (w->segment.epoch != w->epoch || !follows) {
        w->epoch = w->segment.epoch; /* a new start of the journal brings nothing again */
        w->next = 0;
    }
    uint64_t end = number == w->end_segment ? w->end_offset : (uint64_t)size;
    scan_start(&w->scan, w->fd, sizeof w->segment, end < w->limit.offset ? end : w->limit.offset);
    return ERR_OK;
}

/* Whether it is a data frame that was not had before. */
static bool is_new(struct raw_walk *w, const struct frame_header *h)
{
    uint64_t end = h->first_sequence + h->sequences;
    if (h->kind != FRAME_DATA || end > w->limit.sequence || end < w->next ||
        (end == w->next && h->sequences)) {
        return false;
    }
    w->lost += w->next && h->first_sequence > w->next ? h->first_sequence - w->next : 0;
    w->next = end;
    return true;
}

int raw_walk_next(struct raw_walk *w, struct frame_header *h, const struct slot **slots)
{
    while (w->at < w->count && w->numbers[w->at] <= w->end_segment) {
        int err = w->fd < 0 ? enter(w) : ERR_OK;
        if (err == ERR_NOT_FOUND || err == ERR_NOMEM || err == ERR_IO) {
            return err;
        }
        uint64_t skipped;
        int got = err ? 0 : scan_next(&w->scan, h, slots, &skipped);
        if (got < 0) {
            return got;
        }
        if (got && ((w->catalogue && h->kind == FRAME_TAGS) || is_new(w, h))) {
            return 1;
        }
        if (!got) {
            w->unreadable += err != 0;
            w->error = err ? err : w->error;
            leave(w);
            w->at++;
        }
    }
    return 0;
}
