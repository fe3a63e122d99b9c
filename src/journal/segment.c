/* SPDX-License-Identifier: Apache-2.0 */
/* Life of the segment being written. A segment's space is allocated when it is made: its opening (with a million tags, far
 * more than a segment), its size, one whole buffer (what was admitted before we knew that there is no next one) and the
 * reserve for gap records. */
#include "journal/folder.h"
#include "journal/internal.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>

static void set(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

static void add(_Atomic uint64_t *word, uint64_t value)
{
    set(word, atomic_load_explicit(word, memory_order_relaxed) + value);
}

static uint64_t bytes_used(const struct journal *j)
{
    return j->closed_bytes + (j->segment.fd < 0 ? 0 : j->segment.offset);
}

void marks_publish(struct journal *j)
{
    struct journal_marks *m = j->marks;
    uint64_t version = atomic_load_explicit(&m->version, memory_order_relaxed);
    version |= 1; /* a predecessor that was killed in the middle left it odd */
    set(&m->version, version);
    atomic_thread_fence(memory_order_release);
    set(&m->epoch, j->epoch);
    set(&m->first_segment, j->first_segment);
    set(&m->written_segment, j->segment.number);
    set(&m->written_offset, j->segment.offset);
    set(&m->written_sequence, j->written_sequence);
    set(&m->durable_segment, j->segment.number);
    set(&m->durable_offset, j->segment.durable_offset);
    set(&m->durable_sequence, atomic_load_explicit(&j->durable_sequence, memory_order_relaxed));
    set(&m->disk_bytes, bytes_used(j));
    atomic_store_explicit(&m->full, atomic_load(&j->trouble) == TROUBLE_FULL, memory_order_relaxed);
    atomic_store_explicit(&m->version, version + 1, memory_order_release);
}

int journal_marks_read(const struct journal_marks *m, struct journal_position *out)
{
    for (int tries = 0; tries < 10000; tries++) {
        uint64_t before = atomic_load_explicit(&m->version, memory_order_acquire);
        out->epoch = atomic_load_explicit(&m->epoch, memory_order_relaxed);
        out->first_segment = atomic_load_explicit(&m->first_segment, memory_order_relaxed);
        out->written_segment = atomic_load_explicit(&m->written_segment, memory_order_relaxed);
        out->written_offset = atomic_load_explicit(&m->written_offset, memory_order_relaxed);
        out->written_sequence = atomic_load_explicit(&m->written_sequence, memory_order_relaxed);
        out->durable_segment = atomic_load_explicit(&m->durable_segment, memory_order_relaxed);
        out->durable_offset = atomic_load_explicit(&m->durable_offset, memory_order_relaxed);
        out->durable_sequence = atomic_load_explicit(&m->durable_sequence, memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        if (!(before & 1) && atomic_load_explicit(&m->version, memory_order_relaxed) == before) {
            return ERR_OK;
        }
    }
    return ERR_BUSY;
}

/* The sealer and the owner take files away, and the sealer adds some: counts again what is there. */
static void recount(struct journal *j)
{
    struct folder_sum sum;
    if (folder_sum_up(j->disk, j->dir, &sum) == ERR_OK) {
        uint64_t own = j->segment.fd >= 0 ? j->segment.offset : 0;
        j->closed_bytes = sum.bytes > own ? sum.bytes - own : 0;
        j->first_segment = sum.first_raw ? sum.first_raw : j->segment.number;
    }
}

static int fill(struct journal *j, struct segment *s)
{
    struct segment_header h = {.number = s->number,
                               .epoch = j->epoch,
                               .first_sequence = j->state.next_sequence,
                               .created_ns = j->clock->utc_ns(j->clock->context),
                               .generation = j->plan->header->generation,
                               .before = j->segment.number,
                               .before_end = j->segment.durable_offset};
    segment_seal(&h);
    int err = disk_write_all(j->disk, s->fd, &h, sizeof h, 0);
    s->offset = sizeof h;
    if (!err) {
        err = state_write(&j->state, j->plan, j->disk, s->fd, &s->offset, j->scratch);
    }
    add(&j->marks->bytes_written, s->offset);
    if (!err && j->plan->header->sync != SYNC_OS) {
        err = j->disk->flush(j->disk->context, s->fd);
        if (!err) {
            err = j->disk->flush_dir(j->disk->context, j->dir);
        }
    }
    s->opening = s->durable_offset = s->offset;
    return err;
}

/* Takes back a segment that could not be made. When the journal goes on in the one before, its name must not come back with
 * the power: it would count as the newest. */
static int discard(struct journal *j, int fd, const char *name)
{
    const struct disk *d = j->disk;
    d->close(d->context, fd);
    int err = d->remove(d->context, j->dir, name);
    return err || j->plan->header->sync == SYNC_OS ? err : d->flush_dir(d->context, j->dir);
}

int segment_next(struct journal *j)
{
    const struct disk *d = j->disk;
    uint64_t limit = j->plan->header->journal_limit;
    uint64_t wanted = j->segment_size + j->capacity + j->reserve;
    uint64_t used = bytes_used(j) + j->segment.opening; /* the next one's */
    bool first = !j->segment.opening;
    assert(j->written == atomic_load(&j->durable)); /* invariant 4 */
    if (!first) {
        recount(j);
        used = bytes_used(j) + j->segment.opening;
    }
    if (limit && used + wanted > limit) {
        if (!first && j->segment.fd >= 0) {
            return ERR_FULL;
        }
        if (used > limit + limit / 8) {
            return ERR_FULL; /* even repeated starts at the limit come to an end */
        }
        wanted = j->reserve; /* a start at the limit: room for gaps and events only */
    }
    struct segment s = {.number = j->last_number + 1};
    char name[SEGMENT_NAME_SIZE];
    segment_name(s.number, name);
    s.fd = d->open(d->context, j->dir, name, O_RDWR | O_CREAT | O_EXCL);
    if (s.fd < 0) {
        j->last_number += s.fd == ERR_EXISTS;
        return s.fd;
    }
    /* First, so that a full disk costs no opening each time; then again, for it may have grown. */
    int err = d->allocate(d->context, s.fd, j->segment.opening + wanted);
    if (!err) {
        err = fill(j, &s);
    }
    if (!err) {
        s.allocated = s.opening + wanted;
        err = d->allocate(d->context, s.fd, s.allocated);
    }
    if (err) {
        int failed = discard(j, s.fd, name);
        return failed ? ERR_IO : err;
    }
    segment_close(j);
    j->last_number = s.number;
    j->segment = s;
    if (!j->first_segment) {
        j->first_segment = s.number;
    }
    if (wanted == j->reserve) {
        atomic_store(&j->trouble, TROUBLE_FULL);
    }
    return ERR_OK;
}

void segment_close(struct journal *j)
{
    struct segment *s = &j->segment;
    if (s->fd >= 0) {
        int ignored = j->disk->truncate(j->disk->context, s->fd, s->offset);
        (void)ignored; /* the allocation stays; recovery gives it back */
        j->disk->close(j->disk->context, s->fd);
        j->closed_bytes += s->offset;
    }
    s->fd = -1;
}

void segment_abandon(struct journal *j)
{
    if (j->segment.fd >= 0) {
        j->segment.offset = j->segment.durable_offset;
        segment_close(j);
    }
}
