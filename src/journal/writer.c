/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's own thread, the only one that waits for the disk. It writes what is there at once, so that the reader
 * can send it, and flushes when the period is over. A write or flush that fails makes the segment suspect: an fsync that
 * is repeated may report success for pages that are gone (PostgreSQL's "fsyncgate"), so it is never repeated; all that
 * was not durable is written again into a new segment. No room is different: the segment is fine, only short. */
#include "journal/internal.h"

#include <assert.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define RUN_MAX   (4u << 20) /* bytes of one write */
#define RETRY_MIN NS_PER_S
#define RETRY_MAX (30 * NS_PER_S)
#define GATHER_NS (NS_PER_MS / 2) /* a wake-up across cores costs a tenth of that */

/* The page cache keeps the end of the segment, where the reader is. What is older would only take memory from others and
 * fresh pages for every write. */
#define CACHE_KEEP (4u << 20)
#define CACHE_STEP (1u << 20)

static void count(_Atomic uint64_t *word, uint64_t n)
{
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static void set_trouble(struct journal *j, enum trouble t)
{
    if (atomic_load(&j->trouble) != t) {
        atomic_store(&j->trouble, t);
        marks_publish(j);
    }
}

static void fail(struct journal *j, int64_t now)
{
    count(&j->marks->failures, 1);
    segment_abandon(j);
    j->written = atomic_load(&j->durable);
    j->written_sequence = atomic_load(&j->durable_sequence);
    if (++j->failures_in_a_row > 1) { /* the first time a new segment is tried at once */
        set_trouble(j, TROUBLE_FAILED);
        j->retry_wait_ns = j->retry_wait_ns * 2 < RETRY_MIN   ? RETRY_MIN
                           : j->retry_wait_ns * 2 > RETRY_MAX ? RETRY_MAX
                                                              : j->retry_wait_ns * 2;
        j->retry_ns = now + j->retry_wait_ns;
    }
    marks_publish(j);
}

static void no_room(struct journal *j, int64_t now)
{
    set_trouble(j, TROUBLE_FULL);
    j->retry_ns = now + RETRY_MIN;
}

static void forget_old(struct journal *j)
{
    struct segment *s = &j->segment;
    if (s->durable_offset >= s->forgotten + CACHE_KEEP + CACHE_STEP) {
        uint64_t to = (s->durable_offset - CACHE_KEEP) & ~UINT64_C(0xffff); /* whole pages */
        j->disk->forget(j->disk->context, s->fd, s->forgotten, to - s->forgotten);
        s->forgotten = to;
    }
}

/* What became durable enters the state, frees the buffer and lets rings go on. */
static void settle(struct journal *j)
{
    uint64_t at = atomic_load_explicit(&j->durable, memory_order_relaxed);
    assert(at <= j->written && j->written <= atomic_load(&j->head)); /* invariant 2 */
    pthread_mutex_lock(&j->state_lock);
    while (at < j->written) {
        const struct frame_header *h = journal_at(j, at);
        int err = state_apply(&j->state, h, (const struct slot *)(h + 1));
        (void)err; /* no memory for a new key: the engine has it, the next opening lacks it */
        struct box_track *box = journal_box(j, h->box);
        if (box) {
            atomic_store_explicit(&box->durable_to, h->ring_to, memory_order_relaxed);
        }
        at += h->length;
    }
    pthread_mutex_unlock(&j->state_lock);
    j->segment.durable_offset = j->segment.offset;
    forget_old(j);
    atomic_store_explicit(&j->durable_sequence, j->written_sequence, memory_order_relaxed);
    atomic_store_explicit(&j->durable, at, memory_order_release);
    marks_publish(j);
}

static bool flush(struct journal *j, int64_t now, bool closing)
{
    bool os = j->plan->header->sync == SYNC_OS && !closing;
    if (!os) {
        int64_t start = journal_now(j);
        int err = j->disk->flush(j->disk->context, j->segment.fd);
        count(&j->marks->flush_ns, (uint64_t)(journal_now(j) - start));
        count(&j->marks->flushes, 1);
        if (err) {
            fail(j, now);
            return false;
        }
    }
    j->failures_in_a_row = 0;
    j->retry_wait_ns = 0;
    if (atomic_load(&j->trouble) == TROUBLE_FAILED) {
        set_trouble(j, TROUBLE_NONE);
    }
    settle(j);
    if (j->on_durable) {
        j->on_durable(j->context);
    }
    return true;
}

/* The next run of frames that goes out in one write. */
static uint64_t gather(struct journal *j, uint64_t head, uint64_t *sequence, uint64_t *frames)
{
    uint64_t end = j->written;
    uint64_t room = j->segment.opening + j->segment_size;
    bool full = atomic_load(&j->trouble) == TROUBLE_FULL;
    *frames = 0;
    while (end < head) {
        struct frame_header *h = journal_at(j, end);
        uint64_t length = sizeof *h + h->slot_count * sizeof(struct slot);
        uint64_t size = end - j->written + length;
        if (end > j->written && (size > RUN_MAX || (!full && j->segment.offset + size > room))) {
            break;
        }
        frame_seal(h);
        assert(h->first_sequence == *sequence); /* invariant 3 */
        *sequence = h->first_sequence + h->sequences;
        end += length;
        ++*frames;
    }
    return end - j->written;
}

/* Sees to it that there is a segment with room. false: none now. */
static bool have_segment(struct journal *j, int64_t now)
{
    bool over = j->segment.offset >= j->segment.opening + j->segment_size;
    enum trouble trouble = atomic_load(&j->trouble);
    if (j->segment.fd >= 0 && !over && trouble != TROUBLE_FULL) {
        return true;
    }
    if (trouble == TROUBLE_NONE || now >= j->retry_ns) {
        if (j->segment.fd >= 0 && j->written != atomic_load(&j->durable) && !flush(j, now, false)) {
            return false;
        }
        int err = segment_next(j);
        if (!err) {
            if (atomic_load(&j->trouble) == TROUBLE_FULL &&
                j->segment.allocated > j->segment.opening + j->segment_size) {
                set_trouble(j, TROUBLE_NONE);
            }
            marks_publish(j);
        } else if (err == ERR_FULL) {
            no_room(j, now);
        } else {
            fail(j, now);
        }
    }
    return j->segment.fd >= 0 &&
           (j->segment.offset < j->segment.allocated || atomic_load(&j->trouble) != TROUBLE_FULL);
}

static bool write_out(struct journal *j, uint64_t head, int64_t now)
{
    while (j->written < head) {
        if (!have_segment(j, now)) {
            return false;
        }
        uint64_t sequence = j->written_sequence, frames;
        uint64_t size = gather(j, head, &sequence, &frames);
        int err = disk_write_all(j->disk, j->segment.fd, journal_at(j, j->written), size,
                                 j->segment.offset);
        if (err == ERR_FULL) {
            no_room(j, now); /* what was written of it is written over later */
            return false;
        }
        if (err) {
            fail(j, now);
            return false;
        }
        if (j->written == atomic_load_explicit(&j->durable, memory_order_relaxed)) {
            j->flush_due_ns = now + (int64_t)j->plan->header->sync_ms * NS_PER_MS;
        }
        j->segment.offset += size;
        j->written += size;
        j->written_sequence = sequence;
        count(&j->marks->bytes_written, size);
        count(&j->marks->frames, frames);
        marks_publish(j);
        if (j->on_written) {
            j->on_written(j->context);
        }
    }
    return true;
}

static void sleep_until(struct journal *j, uint64_t head, int64_t wait_ns)
{
    atomic_store(&j->sleeping, 1);
    bool nothing_new =
        atomic_load(&j->head) == head && !atomic_load(&j->flush_asked) && !atomic_load(&j->closing);
    if (nothing_new) {
        struct timespec ts = {.tv_sec = wait_ns / NS_PER_S, .tv_nsec = wait_ns % NS_PER_S};
        syscall(SYS_futex, &j->sleeping, FUTEX_WAIT_PRIVATE, 1, wait_ns >= 0 ? &ts : NULL, NULL, 0);
    }
    atomic_store(&j->sleeping, 0);
}

/* A commit comes seldom alone. Waiting for its followers before the first of them is written saves a wake-up of this thread
 * and one of the reader for each. */
static void gather_commits(const struct journal *j, uint64_t head)
{
    if (j->plan->header->sync == SYNC_PERIOD && atomic_load(&j->head) != head &&
        !atomic_load(&j->closing)) {
        nanosleep(&(struct timespec){.tv_nsec = GATHER_NS}, NULL);
    }
}

void journal_wake(struct journal *j)
{
    if (atomic_load(&j->sleeping) && atomic_exchange(&j->sleeping, 0)) {
        syscall(SYS_futex, &j->sleeping, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

static void close_orderly(struct journal *j)
{
    struct segment *s = &j->segment;
    if (s->fd < 0) {
        return;
    }
    struct {
        struct frame_header h;
    } last = {{.kind = FRAME_CLOSED,
               .box = PLAN_NONE,
               .first_sequence = j->written_sequence,
               .generation = j->plan->header->generation,
               .now_ns = j->clock->utc_ns(j->clock->context)}};
    frame_seal(&last.h);
    if (!disk_write_all(j->disk, s->fd, &last, sizeof last, s->offset) &&
        !j->disk->flush(j->disk->context, s->fd)) {
        s->offset += sizeof last;
        s->durable_offset = s->offset;
    }
    segment_close(j);
}

/* How long nothing needs to be done unless the engine says so; -1: for ever. */
static int64_t patience(const struct journal *j, uint64_t head, int64_t now)
{
    bool waits = j->segment.fd >= 0 && j->written != atomic_load(&j->durable);
    int64_t until = waits ? j->flush_due_ns : INT64_MAX;
    if (atomic_load(&j->trouble) != TROUBLE_NONE || j->written < head) {
        until = j->retry_ns < until ? j->retry_ns : until;
    }
    return until == INT64_MAX ? -1 : until > now ? until - now : 0;
}

bool writer_step(struct journal *j, uint64_t *head, int64_t *wait)
{
    bool closing = atomic_load(&j->closing) != 0;
    int64_t now = journal_now(j);
    bool asked = atomic_exchange(&j->flush_asked, 0) != 0;
    *head = atomic_load_explicit(&j->head, memory_order_acquire);
    if (atomic_load(&j->trouble) == TROUBLE_FULL && now >= j->retry_ns) {
        bool ignored = have_segment(j, now);
        (void)ignored;
    }
    bool wrote = write_out(j, *head, now);
    uint32_t sync = j->plan->header->sync;
    if (j->segment.fd >= 0 && j->written != atomic_load(&j->durable) &&
        (sync != SYNC_PERIOD || asked || closing || journal_now(j) >= j->flush_due_ns)) {
        wrote = flush(j, now, closing) && wrote;
    }
    if (closing && (atomic_load(&j->durable) == *head ||
                    (!wrote && atomic_load(&j->trouble) != TROUBLE_NONE))) {
        close_orderly(j);
        marks_publish(j);
        return false;
    }
    *wait = closing ? 0 : patience(j, *head, journal_now(j));
    return true;
}

void *writer_main(void *journal)
{
    struct journal *j = journal;
    uint64_t head;
    int64_t wait;
    while (writer_step(j, &head, &wait)) {
        if (wait) {
            sleep_until(j, head, wait);
            gather_commits(j, head);
        }
    }
    return NULL;
}
