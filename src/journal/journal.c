/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's side. Beginning a frame gives room in the buffer itself, committing it is one store and, if the journal's
 * thread sleeps, one wake: no copy, no lock, no allocation. CRC and range of times are computed by the other thread.
 * Dropped: a plain ring with a gap at its end (a frame of 300 KB wasted as much each round); the double mapping costs
 * nothing. When the buffer is empty it starts anew at its beginning, so that a quiet gateway touches little memory. */
#include "journal/internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_MAX  ((uint64_t)16 << 20)
#define BUFFER_MIN  ((uint64_t)1 << 20)
#define SEGMENT_MIN ((uint64_t)4 << 10)
#define RESERVE_MIN ((uint64_t)256 << 10)
#define RESERVE_MAX ((uint64_t)8 << 20)
#define STALL_NS    NS_PER_S
#define SMALL                                                                                      \
    4096u /* bytes of an engine's own frame that may always use the buffer's last quarter */

static int map_buffer(struct journal *j)
{
    int fd = memfd_create("journal", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)j->capacity) < 0) {
        int err = err_from_errno(errno);
        if (fd >= 0) {
            close(fd);
        }
        return err;
    }
    uint8_t *p = mmap(NULL, 2 * j->capacity, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int err = p == MAP_FAILED ? ERR_NOMEM : ERR_OK;
    for (int i = 0; !err && i < 2; i++) {
        void *half = mmap(p + (uint64_t)i * j->capacity, j->capacity, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_FIXED, fd, 0);
        err = half == MAP_FAILED ? ERR_NOMEM : ERR_OK;
    }
    close(fd);
    j->buffer = p == MAP_FAILED ? NULL : p;
    return err;
}

static int open_dir(const char *path)
{
    if (mkdir(path, 0750) < 0 && errno != EEXIST) {
        return err_from_errno(errno);
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_from_errno(errno) : fd;
}

static uint64_t within(uint64_t value, uint64_t low, uint64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* A small limit still holds a few segments, with a buffer's worth and the reserve each. */
static void choose_sizes(struct journal *j, const struct journal_options *o)
{
    const struct plan_header *h = o->plan->header;
    uint64_t wanted = h->segment_size;
    if (h->journal_limit && wanted > h->journal_limit / 8) {
        wanted = h->journal_limit / 8;
    }
    j->segment_size = within(wanted, SEGMENT_MIN, UINT64_MAX);
    uint64_t buffer =
        within(o->buffer_bytes ? o->buffer_bytes : wanted / 2, BUFFER_MIN, BUFFER_MAX);
    for (j->capacity = BUFFER_MIN; j->capacity * 2 <= buffer;) {
        j->capacity *= 2;
    }
    j->reserve = within(j->segment_size / 8, RESERVE_MIN, RESERVE_MAX);
}

static int prepare(struct journal *j, const struct journal_options *o)
{
    const struct plan_header *h = o->plan->header;
    choose_sizes(j, o);
    j->box_count = h->boxes.count;
    j->boxes = calloc(j->box_count + 3, sizeof *j->boxes);
    j->losses = calloc(h->tags.count + 1, sizeof *j->losses);
    j->scratch = malloc(STATE_SCRATCH);
    uint32_t id_limit = h->tags.count ? o->plan->tags[h->tags.count - 1].id + 1 : 1;
    if (!j->boxes || !j->losses || !j->scratch || state_init(&j->state, id_limit)) {
        return ERR_NOMEM;
    }
    int err = map_buffer(j);
    if (!err) {
        j->dir = open_dir(o->dir);
        err = j->dir < 0 ? j->dir : ERR_OK;
    }
    return err;
}

static void destroy(struct journal *j)
{
    if (j->buffer) {
        munmap(j->buffer, 2 * j->capacity);
    }
    if (j->dir >= 0) {
        close(j->dir);
    }
    state_fini(&j->state);
    free(j->scratch);
    free(j->losses);
    free(j->boxes);
    pthread_mutex_destroy(&j->state_lock);
    free(j);
}

static void start_counting(struct journal *j)
{
    j->next_sequence = j->written_sequence = j->state.next_sequence;
    atomic_store(&j->durable_sequence, j->next_sequence);
}

int journal_open(struct journal **journal, const struct journal_options *options,
                 struct journal_recovered *recovered)
{
    struct journal *j = aligned_alloc(64, (sizeof *j + 63) / 64 * 64);
    if (!j) {
        return ERR_NOMEM;
    }
    memset(j, 0, sizeof *j);
    j->plan = options->plan;
    j->marks = options->marks;
    j->on_written = options->on_written;
    j->on_durable = options->on_durable;
    j->context = options->context;
    j->disk = options->disk ? options->disk : &disk_files;
    j->clock = options->clock ? options->clock : &clock_real;
    j->dir = j->segment.fd = -1;
    pthread_mutex_init(&j->state_lock, NULL);
    int err = prepare(j, options);
    if (!err) {
        err = recover(j, recovered);
    }
    if (!err) {
        start_counting(j);
        int first = segment_next(j);
        if (first) { /* nothing in the plant waits for a disk: start, and try again every second */
            atomic_store(&j->trouble, first == ERR_FULL ? TROUBLE_FULL : TROUBLE_FAILED);
            j->retry_ns = journal_now(j) + NS_PER_S;
        }
        marks_publish(j);
        j->threaded = !options->stepped;
        err = j->threaded && pthread_create(&j->thread, NULL, writer_main, j) ? ERR_NOMEM : ERR_OK;
    }
    if (err) {
        segment_close(j);
        destroy(j);
        return err;
    }
    *journal = j;
    return ERR_OK;
}

int64_t journal_step(struct journal *j)
{
    uint64_t head;
    int64_t wait;
    assert(!j->threaded);
    bool goes_on = writer_step(j, &head, &wait);
    return goes_on ? wait : -1;
}

/* What is still counted as lost goes out with the last frames. */
static void note_losses(struct journal *j)
{
    struct record_gap gaps[64];
    j->next_round_ns = 0;
    for (size_t n = 1; n && j->lost;) {
        n = journal_take_losses(j, gaps, sizeof gaps / sizeof *gaps);
        j->next_round_ns = j->sweep ? j->next_round_ns : INT64_MAX;
        for (size_t i = 0; i < n; i++) {
            struct journal_frame f = {.box = PLAN_NONE, .now_ns = j->now_ns};
            struct slot *out = journal_begin(j, &f, 4);
            if (!out) {
                return;
            }
            memset(out, 0, 4 * sizeof *out);
            *out = (struct slot){
                .time = j->now_ns, .value.u64 = sizeof gaps[i], .tag = record_tag(RECORD_GAP)};
            memcpy(out + 1, gaps + i, sizeof gaps[i]);
            journal_commit(j, slot_count_for(sizeof gaps[i]), 1);
        }
    }
}

void journal_close(struct journal *j)
{
    if (!j) {
        return;
    }
    note_losses(j);
    atomic_store(&j->closing, 1);
    if (j->threaded) {
        journal_wake(j);
        pthread_join(j->thread, NULL);
    } else {
        uint64_t head;
        int64_t wait;
        while (writer_step(j, &head, &wait)) {
        }
    }
    destroy(j);
}

const struct journal_account *journal_tag_account(const struct journal *j, uint32_t id)
{
    return state_find_account(&j->state, id);
}

bool journal_ring_position(const struct journal *j, uint32_t box, uint64_t *box_epoch,
                           uint64_t *position)
{
    const struct frame_ring *r = state_find_ring(&j->state, box);
    if (r) {
        *box_epoch = r->epoch;
        *position = r->position;
    }
    return r != NULL;
}

int journal_stored(const struct journal *journal, uint32_t box, const char *key, void *value,
                   size_t capacity)
{
    struct journal *j = (struct journal *)journal; /* only for its lock */
    pthread_mutex_lock(&j->state_lock);
    const struct state_stored *e = state_find_stored(&j->state, box, key);
    int result = !e ? ERR_NOT_FOUND : e->size > capacity ? ERR_TOO_LONG : (int)e->size;
    if (result > 0) {
        memcpy(value, e->value, e->size);
    }
    pthread_mutex_unlock(&j->state_lock);
    return result;
}

/* Whether a frame of `need` bytes may be built now; sets `shedding`. The last quarter of the buffer is for frames that
 * lose their samples, and for the engine's own. A full buffer is first taken for a slow flush: the ring waits. */
static bool admit(struct journal *j, uint64_t need, uint64_t room, bool own)
{
    j->shedding = atomic_load_explicit(&j->trouble, memory_order_relaxed) != TROUBLE_NONE;
    if (!j->shedding && need + j->capacity / 4 > room && !(own && need <= SMALL)) {
        int64_t now = journal_now(j);
        if (!j->stalled_since) {
            j->stalled_since = now;
        }
        j->stalled = j->shedding = now - j->stalled_since >= STALL_NS;
        return j->stalled && need <= room;
    }
    if (!own || need > SMALL) {
        j->stalled_since = 0;
        j->stalled = false;
    }
    return need <= room;
}

static struct slot *begin(struct journal *j, const struct journal_frame *frame, size_t slots)
{
    assert(!j->frame && slots <= FRAME_SLOTS_MAX);
    uint64_t head = atomic_load_explicit(&j->head, memory_order_relaxed);
    uint64_t need = sizeof(struct frame_header) + slots * sizeof(struct slot);
    uint64_t durable = atomic_load_explicit(&j->durable, memory_order_acquire);
    if (durable == head) { /* nobody looks at the buffer now: start at its beginning */
        atomic_store_explicit(&j->shift, head, memory_order_relaxed);
    }
    if (!admit(j, need, j->capacity - (head - durable), frame->box == PLAN_NONE)) {
        return NULL;
    }
    j->frame = journal_at(j, head);
    j->frame_room = slots;
    j->now_ns = frame->now_ns;
    *j->frame = (struct frame_header){.kind = FRAME_DATA,
                                      .box = frame->box,
                                      .box_epoch = frame->box_epoch,
                                      .ring_from = frame->ring_from,
                                      .ring_to = frame->ring_to,
                                      .generation = j->plan->header->generation,
                                      .now_ns = frame->now_ns};
    return (struct slot *)(j->frame + 1);
}

struct slot *journal_begin(struct journal *j, const struct journal_frame *frame, size_t slots)
{
    struct slot *s = begin(j, frame, slots);
    if (s && j->shedding && !j->losing && frame->box != PLAN_NONE) {
        j->frame = NULL; /* not this one yet */
        s = loss_note(j, true) ? begin(j, frame, slots) : NULL;
    }
    return s;
}

uint64_t journal_commit(struct journal *j, size_t used, uint64_t sequences)
{
    struct frame_header *h = j->frame;
    assert(h && used <= j->frame_room); /* invariant 1 */
    uint64_t first = j->next_sequence;
    struct box_track *box = journal_box(j, h->box);
    j->frame = NULL;
    if (j->shedding && used) {
        used = loss_shed(j, (struct slot *)(h + 1), used, &sequences);
        if (!used) {
            if (box) {
                box->lost_to = h->ring_to;
            }
            return first;
        }
    }
    if (!used && h->ring_from == h->ring_to) {
        return first;
    }
    h->slot_count = (uint32_t)used;
    h->length = (uint32_t)(sizeof *h + used * sizeof(struct slot));
    h->first_sequence = first;
    h->sequences = sequences;
    j->next_sequence = first + sequences;
    uint64_t head = atomic_load_explicit(&j->head, memory_order_relaxed) + h->length;
    if (box) {
        box->last_end = head;
    }
    atomic_store(&j->head, head);
    journal_wake(j);
    return first;
}

uint64_t journal_next_sequence(const struct journal *j)
{
    return j->next_sequence;
}

void journal_flush(struct journal *j)
{
    atomic_store(&j->flush_asked, 1);
    journal_wake(j);
}

/* What was shed is released once all before it is durable; a ring of the plant does not even wait for that while the
 * disk is bad, because now and rules must go on. If the engine is killed at that very time, the next one finds the ring's
 * tail beyond the journal's position, and knows that this much is missing. */
uint64_t journal_durable_ring(struct journal *j, uint32_t box)
{
    struct box_track *b = journal_box(j, box);
    if (!b) {
        return 0;
    }
    uint64_t durable = atomic_load_explicit(&j->durable, memory_order_acquire);
    uint64_t to = atomic_load_explicit(&b->durable_to, memory_order_relaxed);
    bool bad = atomic_load(&j->trouble) == TROUBLE_FAILED || j->stalled;
    bool plant = box < j->box_count && j->plan->boxes[box].kind == BOX_SOUTH;
    bool released = durable >= b->last_end || (bad && plant);
    return released && b->lost_to > to ? b->lost_to : to;
}

uint64_t journal_durable_sequence(const struct journal *j)
{
    return atomic_load_explicit(&j->durable_sequence, memory_order_acquire);
}
