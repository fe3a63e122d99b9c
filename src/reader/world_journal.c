/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of the reader's tests: segments as docs/journal-format.md has them, in memory, behind a disk that can only read.
 * A new segment begins when the journal's epoch has changed. */
#include "reader/world.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENTS_MAX 64

static struct world_segment {
    uint64_t epoch;
    uint8_t *bytes;
    size_t size;
} segments[SEGMENTS_MAX]; /* number = index + 1 */
static uint64_t segment_count;

static int memory_open(void *context, int dir, const char *name, int flags)
{
    uint64_t number;
    bool damaged;
    (void)context;
    (void)dir;
    bool there = segment_number(name, &number, &damaged) && number >= 1 && number <= segment_count;
    return there && !(flags & O_ACCMODE) ? (int)number : ERR_NOT_FOUND;
}

static void memory_close(void *context, int fd)
{
    (void)context;
    (void)fd;
}

static int64_t memory_size(void *context, int fd)
{
    (void)context;
    return (int64_t)segments[fd - 1].size;
}

static int64_t memory_read(void *context, int fd, void *data, size_t size, uint64_t offset)
{
    const struct world_segment *s = segments + fd - 1;
    (void)context;
    size_t left = offset < s->size ? s->size - (size_t)offset : 0;
    size = size < left ? size : left;
    memcpy(data, s->bytes + offset, size);
    return (int64_t)size;
}

static int memory_list(void *context, int dir, void (*each)(void *to, const char *name), void *to)
{
    (void)context;
    (void)dir;
    for (uint64_t i = 1; i <= segment_count; i++) {
        char name[SEGMENT_NAME_SIZE];
        segment_name(i, name);
        each(to, name);
    }
    return ERR_OK;
}

static int64_t memory_changed(void *context, int dir)
{
    (void)context;
    (void)dir;
    return 0; /* always listed anew */
}

static int64_t memory_room(void *context, int dir)
{
    (void)context;
    (void)dir;
    return INT64_C(1) << 30;
}

const struct disk world_disk = {.open = memory_open,
                                .close = memory_close,
                                .size = memory_size,
                                .read = memory_read,
                                .list = memory_list,
                                .changed_ns = memory_changed,
                                .room = memory_room};

void world_forget(void)
{
    while (segment_count) {
        struct world_segment *s = segments + --segment_count;
        free(s->bytes);
        *s = (struct world_segment){0};
    }
}

static void append(const void *data, size_t size)
{
    struct world_segment *s = segments + segment_count - 1;
    s->bytes = realloc(s->bytes, s->size + size);
    assert(s->bytes);
    memcpy(s->bytes + s->size, data, size);
    s->size += size;
}

static void begin_segment(uint64_t epoch, uint64_t first_sequence, int64_t now_ns)
{
    assert(segment_count < SEGMENTS_MAX);
    struct segment_header h = {.number = segment_count + 1,
                               .epoch = epoch,
                               .first_sequence = first_sequence,
                               .created_ns = now_ns};
    segment_seal(&h);
    segments[segment_count++] = (struct world_segment){.epoch = epoch};
    append(&h, sizeof h);
}

uint64_t world_journal(struct world *w, const struct slot *slots, size_t count)
{
    struct journal_marks *m = &w->engine.marks;
    uint64_t epoch = atomic_load(&m->epoch), first = atomic_load(&m->written_sequence),
             sequences = 0;
    if (!segment_count || segments[segment_count - 1].epoch != epoch) {
        begin_segment(epoch, first, w->now_ns);
    }
    for (size_t i = 0; i < count; i += slot_record_length(slots + i)) {
        sequences += record_has_sequence(slots + i);
    }
    struct frame_header *h = malloc(sizeof *h + count * sizeof *slots);
    assert(h);
    *h = (struct frame_header){.kind = FRAME_DATA,
                               .slot_count = (uint32_t)count,
                               .first_sequence = first,
                               .sequences = sequences,
                               .now_ns = w->now_ns};
    memcpy(h + 1, slots, count * sizeof *slots);
    frame_seal(h);
    append(h, h->length);
    free(h);
    atomic_store(&m->first_segment, 1);
    atomic_store(&m->written_segment, segment_count);
    atomic_store(&m->written_offset, segments[segment_count - 1].size);
    atomic_store(&m->written_sequence, first + sequences);
    return first;
}

uint64_t world_samples(struct world *w, uint32_t tag, size_t count)
{
    struct slot slots[512] = {0};
    uint64_t first = atomic_load(&w->engine.marks.written_sequence);
    const size_t batch = slot_count_for(sizeof(struct record_batch));
    assert(count + batch < 512);
    slots[0] = (struct slot){.time = w->now_ns,
                             .value.u64 = sizeof(struct record_batch),
                             .tag = record_tag(RECORD_BATCH)};
    for (size_t i = 0; i < count; i++) {
        slots[batch + i] = (struct slot){
            .time = w->now_ns + (int64_t)i + 1, .value.f64 = (double)(first + i), .tag = tag};
    }
    return world_journal(w, slots, batch + count);
}

void world_durable(struct world *w, uint64_t sequence)
{
    atomic_store(&w->engine.marks.durable_sequence, sequence);
}
