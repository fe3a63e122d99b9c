/* SPDX-License-Identifier: Apache-2.0 */
/* Stand-ins for journal/follow.h: frames in an array. Left out of the test that has a journal on disk. */
#include "reader/world.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES_MAX 4096
static struct world_frame {
    struct follow_frame frame;
    struct slot *slots;
} frames[FRAMES_MAX];
static size_t frame_count;

struct follow {
    size_t next;
    uint64_t sequence;
};

int follow_open(struct follow **follow, int dir_fd, const struct journal_marks *marks,
                uint64_t sequence)
{
    (void)dir_fd;
    (void)marks;
    *follow = calloc(1, sizeof **follow);
    return *follow ? follow_seek(*follow, sequence) : ERR_NOMEM;
}

void follow_close(struct follow *follow)
{
    free(follow);
}

int follow_seek(struct follow *follow, uint64_t sequence)
{
    follow->next = 0;
    follow->sequence = sequence;
    while (follow->next < frame_count && frames[follow->next].frame.end_sequence <= sequence) {
        follow->next++;
    }
    return ERR_OK;
}

int follow_seek_time(struct follow *follow, int64_t from_ns)
{
    follow->next = 0;
    while (follow->next < frame_count && frames[follow->next].frame.max_ns < from_ns) {
        follow->next++;
    }
    follow->sequence = follow->next < frame_count
                           ? frames[follow->next].frame.first_sequence
                           : (frame_count ? frames[frame_count - 1].frame.end_sequence : 0);
    return ERR_OK;
}

int follow_next(struct follow *follow, struct follow_frame *frame)
{
    if (follow->next >= frame_count) {
        return 0;
    }
    *frame = frames[follow->next++].frame;
    follow->sequence = frame->end_sequence;
    return 1;
}

void follow_on_opening(struct follow *follow, follow_opening *take, void *context)
{
    (void)follow;
    (void)take;
    (void)context;
}

uint64_t follow_sequence(const struct follow *follow)
{
    return follow->sequence;
}

int journal_marks_read(const struct journal_marks *marks, struct journal_position *out)
{
    *out = (struct journal_position){.epoch = atomic_load(&marks->epoch),
                                     .written_sequence = atomic_load(&marks->written_sequence),
                                     .durable_sequence = atomic_load(&marks->durable_sequence)};
    return ERR_OK;
}

void world_forget(void)
{
    for (size_t i = 0; i < frame_count; i++) {
        free(frames[i].slots);
    }
    frame_count = 0;
}

uint64_t world_journal(struct world *w, const struct slot *slots, size_t count)
{
    assert(frame_count < FRAMES_MAX);
    struct world_frame *f = frames + frame_count++;
    uint64_t first = atomic_load(&w->engine.marks.written_sequence), sequence = first;
    f->slots = malloc(count * sizeof *slots);
    memcpy(f->slots, slots, count * sizeof *slots);
    f->frame = (struct follow_frame){.epoch = atomic_load(&w->engine.marks.epoch),
                                     .first_sequence = first,
                                     .now_ns = w->now_ns,
                                     .min_ns = INT64_MAX,
                                     .max_ns = INT64_MIN,
                                     .slots = f->slots,
                                     .slot_count = count};
    for (size_t i = 0; i < count; i += slot_record_length(slots + i)) {
        sequence += record_has_sequence(slots + i);
        int64_t t = slots[i].time;
        f->frame.min_ns = t < f->frame.min_ns ? t : f->frame.min_ns;
        f->frame.max_ns = t > f->frame.max_ns ? t : f->frame.max_ns;
    }
    f->frame.end_sequence = sequence;
    atomic_store(&w->engine.marks.written_sequence, sequence);
    return first;
}

uint64_t world_samples(struct world *w, uint32_t tag, size_t count)
{
    struct slot slots[512];
    uint64_t first = atomic_load(&w->engine.marks.written_sequence);
    assert(count < 512);
    slots[0] = (struct slot){.time = w->now_ns, .tag = record_tag(RECORD_BATCH)};
    for (size_t i = 1; i <= count; i++) {
        slots[i] = (struct slot){
            .time = w->now_ns + (int64_t)i, .value.f64 = (double)(first + i - 1), .tag = tag};
    }
    return world_journal(w, slots, count + 1);
}

void world_durable(struct world *w, uint64_t sequence)
{
    atomic_store(&w->engine.marks.durable_sequence, sequence);
}
