/* SPDX-License-Identifier: Apache-2.0 */
/* Frames lie at multiples of 24 from the file's start, so behind damage every such place is tried for a magic number
 * and then proven in full: a sound frame is found again wherever it is, at no risk of taking data for a header. */
#include "journal/scan.h"

#include <stdlib.h>
#include <string.h>

#define FRAME_BYTES_MAX (sizeof(struct frame_header) + FRAME_SLOTS_MAX * sizeof(struct slot))
#define BUFFER_BYTES    (FRAME_BYTES_MAX + (256u << 10))
#define STEP            sizeof(struct slot)

int scan_init(struct scan *s, const struct disk *disk)
{
    *s = (struct scan){.disk = disk, .fd = -1, .buffer = malloc(BUFFER_BYTES)};
    return s->buffer ? ERR_OK : ERR_NOMEM;
}

void scan_fini(struct scan *s)
{
    free(s->buffer);
    s->buffer = NULL;
}

void scan_start(struct scan *s, int fd, uint64_t offset, uint64_t end)
{
    s->fd = fd;
    s->offset = s->base = offset;
    s->end = end;
    s->filled = 0;
}

void scan_extend(struct scan *s, uint64_t end)
{
    if (end != s->end) {
        s->end = end;
    }
}

/* Bytes at s->offset that are in the buffer, at least `want` unless the end or the file's end comes first. */
static int64_t provide(struct scan *s, uint64_t at, size_t want)
{
    uint64_t have = at >= s->base && at <= s->base + s->filled ? s->base + s->filled - at : 0;
    uint64_t left = s->end > at ? s->end - at : 0;
    want = want < left ? want : (size_t)left;
    if (have >= want) {
        return (int64_t)(have < left ? have : left);
    }
    memmove(s->buffer, s->buffer + (have ? at - s->base : 0), have);
    s->base = at;
    s->filled = (size_t)have;
    uint64_t room = BUFFER_BYTES - have;
    uint64_t rest = left - have;
    size_t ask = (size_t)(want - have);
    ask = ask < (256u << 10) ? 256u << 10 : ask; /* read ahead, within what may be read */
    ask = ask < rest ? ask : (size_t)rest;
    ask = ask < room ? ask : (size_t)room;
    while (ask) {
        int64_t n =
            s->disk->read(s->disk->context, s->fd, s->buffer + s->filled, ask, s->base + s->filled);
        if (n == ERR_INTERRUPTED) {
            continue;
        }
        if (n < 0) {
            return n;
        }
        if (!n) {
            break;
        }
        s->filled += (size_t)n;
        ask -= (size_t)n;
    }
    return (int64_t)s->filled;
}

/* The length of the sound frame at `at`, 0: there is none, negative: ERR_IO. */
static int64_t prove_at(struct scan *s, uint64_t at, struct frame_header *h)
{
    int64_t have = provide(s, at, sizeof *h);
    if (have < (int64_t)sizeof *h) {
        return have < 0 ? have : 0;
    }
    memcpy(h, s->buffer + (at - s->base), sizeof *h);
    if (h->magic != FRAME_MAGIC || h->length > FRAME_BYTES_MAX || h->length < sizeof *h) {
        return 0;
    }
    have = provide(s, at, h->length);
    if (have < (int64_t)h->length) {
        return have < 0 ? have : 0;
    }
    int length = frame_prove(s->buffer + (at - s->base), (size_t)have, h);
    return length < 0 ? 0 : length;
}

int scan_next(struct scan *s, struct frame_header *h, const struct slot **slots, uint64_t *skipped)
{
    for (uint64_t at = s->offset; at + sizeof *h <= s->end; at += STEP) {
        int64_t length = prove_at(s, at, h);
        if (length < 0) {
            return (int)length;
        }
        if (length) {
            *skipped = at - s->offset;
            *slots = (const struct slot *)(s->buffer + (at - s->base) + sizeof *h);
            s->offset = at + (uint64_t)length;
            return 1;
        }
        if (at >= s->base + s->filled) {
            break; /* the file ends before `end` */
        }
    }
    return 0;
}
