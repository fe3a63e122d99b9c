/* SPDX-License-Identifier: Apache-2.0 */
/* All segments are laid out once, from the plan alone; every pointer in struct gateway is made then and stays valid in
 * every process: a process that may only read a segment maps it again, read-only, at the same address. The seal against
 * future writable mappings is set after the keeper's own mapping, which all others inherit by fork. A read-only mapping
 * of a sealed segment cannot be made writable by mprotect, nor by opening the descriptor anew through /proc. */
#include "box/gateway.h"
#include "base/clock.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define NOBODY  (-1)
#define WATCHER (-2) /* the supervisor */

struct segment {
    int fd, writer; /* seat, NOBODY, WATCHER */
    int only;       /* the one seat that may read it beside the middle, or NOBODY */
    bool engine_reads, reader_reads, all_read;
    size_t size, used;
    uint8_t *base;
};

struct gateway_memory {
    struct segment *segments;
    size_t count;
    bool unsealed; /* the kernel lacks F_SEAL_FUTURE_WRITE */
};

static size_t line(size_t size)
{
    return (size + 63) / 64 * 64;
}

/* Hands out the next `size` bytes of a segment: first for counting (base NULL), then for real. */
static void *carve(struct segment *s, size_t size)
{
    uint8_t *p = s->base ? s->base + s->used : NULL;
    s->used += line(size);
    return p;
}

static int make_segment(struct segment *s, const char *name)
{
    s->size = (s->used + 4095) / 4096 * 4096;
    s->used = 0;
    if (!s->size) {
        return ERR_OK; /* what this seat has no use for */
    }
    s->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (s->fd < 0 || ftruncate(s->fd, (off_t)s->size)) {
        return ERR_NOMEM;
    }
    void *base = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    if (base == MAP_FAILED) {
        return ERR_NOMEM;
    }
    s->base = base;
    return ERR_OK;
}

static int seal(struct gateway_memory *m, struct segment *s)
{
    int seals = F_SEAL_SHRINK | F_SEAL_GROW;
    if (!s->base) {
        return ERR_OK;
    }
    if (fcntl(s->fd, F_ADD_SEALS, seals | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0) {
        return ERR_OK;
    }
    m->unsealed = true; /* before 5.1 */
    return fcntl(s->fd, F_ADD_SEALS, seals | F_SEAL_SEAL) ? ERR_UNSUPPORTED : ERR_OK;
}

/* segments: [engine, health, the reader's panel, zones…, per seat from the reader on: own, engine→seat, reader→box, plan part] */
enum { ENGINE_SEGMENT, HEALTH_SEGMENT, READER_SEGMENT, FIRST_ZONE };

/* The pieces of one seat within its own segment (s), the engine's (e) and the reader's (r) for it. */
static void lay_out(struct gateway *g, int index, struct segment *s, struct segment *e,
                    struct segment *r)
{
    struct seat *seat = g->seats + index;
    const struct plan *p = &g->plan;
    bool box = index >= SEAT_BOX;
    const struct plan_box *b = box ? p->boxes + (index - SEAT_BOX) : NULL;
    bool north = b && b->kind == BOX_NORTH, south = b && b->kind == BOX_SOUTH;
    struct segment *open = g->memory->segments + READER_SEGMENT;
    seat->panel = carve(box ? s : open, sizeof *seat->panel);
    seat->up_capacity = south ? b->ring_capacity : READER_RING_SLOTS;
    seat->up = carve(s, ring_bytes(seat->up_capacity));
    seat->down_tail = carve(s, sizeof *seat->down_tail);
    seat->up_tail = carve(e, sizeof *seat->up_tail);
    seat->down_capacity = DOWN_RING_SLOTS;
    seat->down = carve(e, ring_bytes(seat->down_capacity));
    seat->verdict = carve(e, sizeof *seat->verdict);
    seat->memory = carve(e, sizeof *seat->memory);
    if (south) {
        seat->devices = carve(s, p->header->devices.count * sizeof *seat->devices);
        seat->drops = carve(s, b->tag_count * sizeof *seat->drops);
        seat->drops_seen = carve(e, b->tag_count * sizeof *seat->drops_seen);
        seat->other_gaps = carve(e, b->tag_count * sizeof *seat->other_gaps);
    }
    if (north) {
        seat->ask_capacity = ASK_RING_SLOTS;
        seat->ask = carve(s, ring_bytes(seat->ask_capacity));
        seat->answer_tail = carve(s, sizeof *seat->answer_tail);
        seat->ask_tail = carve(r, sizeof *seat->ask_tail);
        seat->reader_verdict = carve(r, sizeof *seat->reader_verdict);
        seat->answer_capacity = ANSWER_RING_SLOTS;
        seat->answer = carve(r, ring_bytes(seat->answer_capacity));
    }
}

static struct segment *seat_segment(struct gateway *g, int seat, int which)
{
    size_t at =
        FIRST_ZONE + g->plan.header->zones.count + (size_t)(seat - SEAT_READER) * 4 + (size_t)which;
    return g->memory->segments + at;
}

static void lay_out_all(struct gateway *g)
{
    struct segment *s = g->memory->segments;
    g->engine = carve(s + ENGINE_SEGMENT, sizeof *g->engine);
    g->health =
        carve(s + HEALTH_SEGMENT, sizeof *g->health + g->seat_count * sizeof(struct health_seat));
    for (uint32_t z = 0; z < g->plan.header->zones.count; z++) {
        void *memory = carve(s + FIRST_ZONE + z, now_bytes(g->plan.zones + z));
        if (memory) {
            g->zones[z] = now_view(memory, g->plan.zones + z);
        }
    }
    g->seats[SEAT_ENGINE].panel = (struct panel *)g->engine; /* its first member */
    for (int i = SEAT_READER; i < (int)g->seat_count; i++) {
        lay_out(g, i, seat_segment(g, i, 0), seat_segment(g, i, 1), seat_segment(g, i, 2));
    }
}

static void set_rights(struct gateway *g)
{
    struct segment *s = g->memory->segments;
    s[ENGINE_SEGMENT].writer = SEAT_ENGINE;
    s[ENGINE_SEGMENT].all_read = true; /* boxes notice by its epoch that the engine was restarted */
    s[READER_SEGMENT].writer = SEAT_READER;
    s[READER_SEGMENT].all_read = true;
    s[HEALTH_SEGMENT].writer = WATCHER;
    s[HEALTH_SEGMENT].engine_reads = s[HEALTH_SEGMENT].reader_reads = true;
    for (uint32_t z = 0; z < g->plan.header->zones.count; z++) {
        s[FIRST_ZONE + z].writer = SEAT_ENGINE;
        s[FIRST_ZONE + z].reader_reads = true;
    }
    for (int i = SEAT_READER; i < (int)g->seat_count; i++) {
        struct segment *own = seat_segment(g, i, 0), *down = seat_segment(g, i, 1);
        struct segment *answer = seat_segment(g, i, 2), *part = seat_segment(g, i, 3);
        own->writer = i;
        own->engine_reads = own->reader_reads = true;
        down->writer = SEAT_ENGINE;
        down->only = i;
        answer->writer = SEAT_READER;
        answer->only = i;
        part->only = i;
    }
}

static int make_parts(struct gateway *g, void **images)
{
    for (int i = SEAT_BOX; i < (int)g->seat_count; i++) {
        size_t size;
        int err = plan_part(&g->plan, (uint32_t)(i - SEAT_BOX), images + i, &size);
        if (err) {
            return err;
        }
        carve(seat_segment(g, i, 3), size);
    }
    return ERR_OK;
}

static int make_all(struct gateway *g, void **images)
{
    for (size_t i = 0; i < g->memory->count; i++) {
        int err = make_segment(g->memory->segments + i, "isthmus");
        if (err) {
            return err;
        }
    }
    lay_out_all(g);
    for (int i = SEAT_BOX; i < (int)g->seat_count; i++) {
        struct segment *part = seat_segment(g, i, 3);
        memcpy(part->base, images[i], (size_t)((struct plan_header *)images[i])->size);
    }
    for (size_t i = 0; i < g->memory->count; i++) {
        int err = seal(g->memory, g->memory->segments + i);
        if (err) {
            return err;
        }
    }
    return ERR_OK;
}

static int make_pipe(int *read_end, int *write_end)
{
    int fds[2];
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC)) {
        return ERR_IO;
    }
    *read_end = fds[0];
    *write_end = fds[1];
    return ERR_OK;
}

static int make_pipes(struct gateway *g)
{
    int err = ERR_OK;
    for (int i = SEAT_READER; !err && i < (int)g->seat_count; i++) {
        struct seat *s = g->seats + i;
        err = make_pipe(&s->to_engine_read, &s->to_engine_write);
        err = err ? err : make_pipe(&s->from_engine_read, &s->from_engine_write);
        if (!err && s->ask) {
            err = make_pipe(&s->to_reader_read, &s->to_reader_write);
            err = err ? err : make_pipe(&s->from_reader_read, &s->from_reader_write);
        }
    }
    return err;
}

static void start_epochs(struct gateway *g)
{
    g->life = (uint64_t)clock_utc_ns() & ~UINT64_C(0xfffff);
    for (size_t i = 0; i < g->seat_count; i++) {
        atomic_store(&g->seats[i].panel->epoch, g->life);
    }
}

static int allocate(struct gateway *g)
{
    const struct plan_header *h = g->plan.header;
    g->seat_count = SEAT_BOX + h->boxes.count;
    g->seats = calloc(g->seat_count, sizeof *g->seats);
    g->zones = calloc(h->zones.count + 1, sizeof *g->zones);
    g->memory = calloc(1, sizeof *g->memory);
    if (!g->seats || !g->zones || !g->memory) {
        return ERR_NOMEM;
    }
    g->memory->count = FIRST_ZONE + h->zones.count + (g->seat_count - 1) * 4;
    g->memory->segments = calloc(g->memory->count, sizeof *g->memory->segments);
    if (!g->memory->segments) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < g->memory->count; i++) {
        g->memory->segments[i] = (struct segment){.fd = -1, .writer = NOBODY, .only = NOBODY};
    }
    for (size_t i = 0; i < g->seat_count; i++) {
        struct seat *s = g->seats + i;
        s->name = i == SEAT_ENGINE   ? "engine"
                  : i == SEAT_READER ? "reader"
                                     : plan_text(&g->plan, g->plan.boxes[i - SEAT_BOX].name);
        s->to_engine_read = s->to_engine_write = s->from_engine_read = s->from_engine_write = -1;
        s->to_reader_read = s->to_reader_write = s->from_reader_read = s->from_reader_write = -1;
    }
    return ERR_OK;
}

int gateway_new(struct gateway **out, void *plan_image, size_t plan_size)
{
    struct gateway *g = calloc(1, sizeof *g);
    if (!g) {
        return ERR_NOMEM;
    }
    g->seat = -1;
    g->supervisor_fd = -1;
    int err = plan_open(&g->plan, plan_image, plan_size);
    if (err) {
        free(g);
        return err;
    }
    g->state_dir = plan_text(&g->plan, g->plan.header->state_dir);
    err = allocate(g);
    void **images = err ? NULL : calloc(g->seat_count, sizeof *images);
    if (!err) {
        err = images ? make_parts(g, images) : ERR_NOMEM;
    }
    if (!err) {
        lay_out_all(g); /* counts; the pointers are made in the second pass */
        set_rights(g);
        err = make_all(g, images);
    }
    if (!err) {
        err = make_pipes(g);
    }
    for (size_t i = 0; images && i < g->seat_count; i++) {
        free(images[i]);
    }
    free(images);
    if (err) {
        g->plan.image = NULL; /* on failure the caller keeps the image */
        gateway_free(g);
        return err;
    }
    start_epochs(g);
    *out = g;
    return ERR_OK;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

void gateway_free(struct gateway *g)
{
    if (!g) {
        return;
    }
    for (size_t i = 0; g->memory && i < g->memory->count; i++) {
        struct segment *s = g->memory->segments + i;
        if (s->base) {
            munmap(s->base, s->size);
        }
        close_fd(&s->fd);
    }
    for (size_t i = 0; g->seats && i < g->seat_count; i++) {
        struct seat *s = g->seats + i;
        int *ends[] = {&s->to_engine_read,    &s->to_engine_write,  &s->from_engine_read,
                       &s->from_engine_write, &s->to_reader_read,   &s->to_reader_write,
                       &s->from_reader_read,  &s->from_reader_write};
        for (size_t k = 0; k < sizeof ends / sizeof *ends; k++) {
            close_fd(ends[k]);
        }
    }
    if (g->memory) {
        free(g->memory->segments);
    }
    free(g->memory);
    free(g->zones);
    free(g->seats);
    free((void *)g->plan.image);
    free(g);
}

static bool may_read(const struct segment *s, int seat)
{
    return s->all_read || s->only == seat || (seat == SEAT_ENGINE && s->engine_reads) ||
           (seat == SEAT_READER && s->reader_reads);
}

/* Keeps, maps read-only in place, or drops each segment. */
static int take_rights(struct gateway *g, int seat)
{
    for (size_t i = 0; i < g->memory->count; i++) {
        struct segment *s = g->memory->segments + i;
        if (!s->base) {
            continue;
        }
        if (s->writer != seat && may_read(s, seat)) {
            if (mmap(s->base, s->size, PROT_READ, MAP_SHARED | MAP_FIXED, s->fd, 0) == MAP_FAILED) {
                return ERR_NOMEM;
            }
        } else if (s->writer != seat) {
            munmap(s->base, s->size);
            s->base = NULL;
        }
        close_fd(&s->fd);
    }
    return ERR_OK;
}

static bool gone(const struct segment *s)
{
    return !s->base;
}

/* Pointers into what was dropped become NULL. */
static void forget(struct gateway *g)
{
    struct segment *segments = g->memory->segments;
    if (gone(segments + HEALTH_SEGMENT)) {
        g->health = NULL;
    }
    for (uint32_t z = 0; z < g->plan.header->zones.count; z++) {
        if (gone(segments + FIRST_ZONE + z)) {
            g->zones[z] = (struct now_table){0};
        }
    }
    for (int i = SEAT_READER; i < (int)g->seat_count; i++) {
        struct seat *s = g->seats + i;
        if (gone(seat_segment(g, i, 0))) {
            s->panel = i == SEAT_READER ? s->panel : NULL;
            s->up = s->ask = NULL;
            s->down_tail = s->answer_tail = NULL;
            s->devices = NULL;
            s->drops = NULL;
        }
        if (gone(seat_segment(g, i, 1))) {
            s->up_tail = NULL;
            s->down = NULL;
            s->verdict = NULL;
            s->memory = NULL;
            s->drops_seen = NULL;
            s->other_gaps = NULL;
        }
        if (gone(seat_segment(g, i, 2))) {
            s->ask_tail = NULL;
            s->reader_verdict = NULL;
            s->answer = NULL;
        }
    }
}

static void keep_ends(struct gateway *g, int seat)
{
    for (int i = SEAT_READER; i < (int)g->seat_count; i++) {
        struct seat *s = g->seats + i;
        if (seat != SEAT_ENGINE) {
            close_fd(&s->to_engine_read);
            close_fd(&s->from_engine_write);
        }
        if (seat != SEAT_READER) {
            close_fd(&s->to_reader_read);
            close_fd(&s->from_reader_write);
        }
        if (seat != i) {
            close_fd(&s->to_engine_write);
            close_fd(&s->from_engine_read);
            close_fd(&s->to_reader_write);
            close_fd(&s->from_reader_read);
        }
    }
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void close_from_to(int from, int to)
{
    if (from <= to && close_range((unsigned)from, (unsigned)to, 0)) {
        long last = sysconf(_SC_OPEN_MAX); /* before Linux 5.9 */
        for (int fd = from; fd <= to && fd < last; fd++) {
            close(fd);
        }
    }
}

/* Closes everything but the standard three and our own ends, whoever opened it. */
static int close_others(const struct gateway *g)
{
    int *keep = calloc(g->seat_count * 8 + 2, sizeof *keep);
    if (!keep) {
        return ERR_NOMEM;
    }
    size_t count = 0;
    keep[count++] = g->supervisor_fd;
    for (size_t i = 0; i < g->seat_count; i++) {
        const struct seat *s = g->seats + i;
        const int ends[] = {s->to_engine_read,    s->to_engine_write,  s->from_engine_read,
                            s->from_engine_write, s->to_reader_read,   s->to_reader_write,
                            s->from_reader_read,  s->from_reader_write};
        memcpy(keep + count, ends, sizeof ends);
        count += sizeof ends / sizeof *ends;
    }
    qsort(keep, count, sizeof *keep, by_number);
    int next = STDERR_FILENO + 1;
    for (size_t i = 0; i < count; i++) {
        if (keep[i] >= next) {
            close_from_to(next, keep[i] - 1);
            next = keep[i] + 1;
        }
    }
    close_from_to(next, INT_MAX);
    free(keep);
    return ERR_OK;
}

/* A predecessor that was killed in its sleep left the nap announced and perhaps answered: nobody would wake us. */
static void end_nap(struct ring_tail *tail)
{
    if (tail) {
        atomic_store(&tail->naps, (atomic_load(&tail->naps) | 1) + 1);
    }
}

static void end_naps(struct gateway *g, int seat)
{
    for (int i = SEAT_READER; i < (int)g->seat_count; i++) {
        struct seat *s = g->seats + i;
        if (seat == SEAT_ENGINE) {
            end_nap(s->up_tail);
        }
        if (seat == SEAT_READER) {
            end_nap(s->ask_tail);
        }
        if (seat == i) {
            end_nap(s->down_tail);
            end_nap(s->answer_tail);
        }
    }
}

/* A box may not know the whole plan: our copy of the keeper's goes, its part takes the place. */
static int take_part(struct gateway *g, int seat)
{
    const struct segment *part = seat_segment(g, seat, 3);
    size_t size = (size_t)g->plan.header->size;
    if (size < (1u << 20)) {
        explicit_bzero((void *)g->plan.image, size); /* a larger one is unmapped by free */
    }
    free((void *)g->plan.image);
    int err = plan_open(&g->plan, part->base, part->size);
    if (err) {
        return err;
    }
    g->state_dir = plan_text(&g->plan, g->plan.header->state_dir);
    for (int i = SEAT_BOX; i < (int)g->seat_count; i++) {
        g->seats[i].name = plan_text(&g->plan, g->plan.boxes[i - SEAT_BOX].name);
    }
    return ERR_OK;
}

int gateway_enter(struct gateway *g, int seat)
{
    assert(seat >= 0 && (size_t)seat < g->seat_count);
    struct panel *panel = g->seats[seat].panel;
    atomic_store(&panel->ready, 0);
    atomic_store(&panel->layers, 0);
    atomic_store(&panel->started_utc_ns, clock_utc_ns());
    atomic_store(&panel->heartbeat_ns, clock_mono_ns());
    int err = take_rights(g, seat);
    if (err) {
        return err;
    }
    forget(g);
    keep_ends(g, seat);
    end_naps(g, seat);
    g->seat = seat;
    err = close_others(g);
    if (!err && seat >= SEAT_BOX) {
        err = take_part(g, seat);
    }
    if (!err) {
        atomic_fetch_add(&panel->epoch, 1);
    }
    return err;
}

/* The consumer may have taken, and even journaled, more than its tail tells, but never more than a whole ring beyond
 * it. So both positions move on to there: the ring is empty, and no position is ever used for two slots. */
static void skip_ring(void *memory, size_t capacity, struct ring_tail *tail)
{
    struct ring_head *head = memory;
    if (head) {
        uint64_t position = atomic_load(&tail->tail) + capacity;
        atomic_store(&tail->tail,
                     position); /* first: a tail beyond its own position tells the consumer */
        atomic_store(&head->head, position);
    }
}

/* The producer's word stands, the consumer's position is made to fit it. */
static void drop_ring(const void *memory, struct ring_tail *tail)
{
    const struct ring_head *head = memory;
    if (head) {
        atomic_store(&tail->tail, atomic_load(&head->head));
        end_nap(tail);
    }
}

void gateway_reset_rings(struct gateway *g, int seat)
{
    struct seat *s = g->seats + seat;
    skip_ring(s->up, s->up_capacity, s->up_tail);
    skip_ring(s->ask, s->ask_capacity, s->ask_tail);
    drop_ring(s->down, s->down_tail);
    drop_ring(s->answer, s->answer_tail);
}

static bool whole(const void *memory, size_t capacity, const struct ring_tail *tail)
{
    const struct ring_head *head = memory;
    return !head || atomic_load(&head->head) - atomic_load(&tail->tail) <= capacity;
}

bool gateway_rings_whole(const struct gateway *g, int seat)
{
    const struct seat *s = g->seats + seat;
    return whole(s->up, s->up_capacity, s->up_tail) &&
           whole(s->down, s->down_capacity, s->down_tail) &&
           whole(s->ask, s->ask_capacity, s->ask_tail) &&
           whole(s->answer, s->answer_capacity, s->answer_tail);
}

bool gateway_is_sealed(const struct gateway *g)
{
    return !g->memory->unsealed;
}

void verdict_raise(struct verdict *v, uint64_t epoch, const char *reason)
{
    char text[97];
    snprintf(text, sizeof text, "wrote garbage: %s", reason);
    words_from_text(v->reason, 12, text);
    atomic_store(&v->epoch, epoch);
    atomic_fetch_add(&v->raised, 1);
}

void words_from_text(_Atomic uint64_t *words, size_t count, const char *text)
{
    size_t size = strnlen(text, count * 8);
    for (size_t i = 0; i < count; i++) {
        uint64_t word = 0;
        if (i * 8 < size) {
            memcpy(&word, text + i * 8, size - i * 8 < 8 ? size - i * 8 : 8);
        }
        atomic_store_explicit(words + i, word, memory_order_relaxed);
    }
}

void text_from_words(const _Atomic uint64_t *words, size_t count, char *text)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t word = atomic_load_explicit(words + i, memory_order_relaxed);
        memcpy(text + i * 8, &word, 8);
    }
    text[count * 8] = 0;
}
