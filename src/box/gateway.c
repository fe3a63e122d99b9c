/* SPDX-License-Identifier: Apache-2.0 */
/* All segments are laid out once, from the plan alone; every pointer in struct gateway is made then and stays valid in
 * every process: a process that may only read a segment maps it again, read-only, at the same address. The seal against
 * future writable mappings is set after the keeper's own mapping, which all others inherit by fork. A read-only mapping
 * of a sealed segment cannot be made writable by mprotect, nor by opening the descriptor anew through /proc. */
#include "box/segment.h"
#include "base/apart.h"
#include "base/clock.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

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
    if (index == SEAT_READER) {
        g->reader = carve(open, sizeof *g->reader);
        seat->panel = (struct panel *)g->reader; /* its first member */
    } else if (index == SEAT_SEALER) {
        g->sealer = carve(s, sizeof *g->sealer);
        seat->panel = (struct panel *)g->sealer;
    } else if (index == SEAT_IDENTITY) {
        g->identity = carve(s, sizeof *g->identity);
        seat->panel = (struct panel *)g->identity;
    } else {
        seat->panel = carve(s, sizeof *seat->panel);
    }
    seat->up_capacity = south ? b->ring_capacity : READER_RING_SLOTS;
    seat->up = carve(s, ring_bytes(seat->up_capacity));
    seat->down_tail = carve(s, sizeof *seat->down_tail);
    seat->up_tail = carve(e, sizeof *seat->up_tail);
    seat->down_capacity = DOWN_RING_SLOTS;
    seat->down = carve(e, ring_bytes(seat->down_capacity));
    seat->verdict = carve(e, sizeof *seat->verdict);
    seat->memory = carve(e, sizeof *seat->memory);
    if (index == SEAT_READER) {
        g->board = carve(e, sizeof *g->board);
        g->traffic =
            carve(e, (size_t)p->header->boxes.count * p->header->zones.count * sizeof *g->traffic);
    }
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

/* What each box may know of the plan, one behind the other; made apart, for none of it may be left in the others' memory. */
static int write_parts(void *context, int fd)
{
    const struct gateway *g = context;
    for (int i = SEAT_BOX; i < (int)g->seat_count; i++) {
        void *image;
        size_t size;
        int err = plan_part(&g->plan, (uint32_t)(i - SEAT_BOX), clock_utc_ns(), &image, &size);
        if (!err) {
            err = apart_write(fd, image, size);
        }
        if (err) {
            return err;
        }
    }
    return ERR_OK;
}

/* Each part begins with its plan_header, which says its size. */
static size_t part_size(const uint8_t *part)
{
    struct plan_header header;
    memcpy(&header, part, sizeof header);
    return (size_t)header.size;
}

static int make_all(struct gateway *g, const uint8_t *parts)
{
    for (size_t i = 0; i < g->memory->count; i++) {
        int err = make_segment(g->memory->segments + i, "isthmus");
        if (err) {
            return err;
        }
    }
    lay_out_all(g);
    for (int i = SEAT_BOX; i < (int)g->seat_count; i++) {
        memcpy(seat_segment(g, i, 3)->base, parts, part_size(parts));
        parts += part_size(parts);
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
    static const char *const middle[SEAT_BOX] = {"engine", "reader", "sealer", "identity"};
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
        s->name = i < SEAT_BOX ? middle[i] : plan_text(&g->plan, g->plan.boxes[i - SEAT_BOX].name);
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
    void *parts = NULL;
    size_t parts_size = 0;
    if (!err) {
        err = apart_run(write_parts, g, &parts, &parts_size);
    }
    if (!err) {
        const uint8_t *part = parts;
        for (int i = SEAT_BOX; i < (int)g->seat_count; i++) {
            carve(seat_segment(g, i, 3), part_size(part));
            part += part_size(part);
        }
        lay_out_all(g); /* counts; the pointers are made in the second pass */
        set_rights(g);
        err = make_all(g, parts);
    }
    if (!err) {
        err = make_pipes(g);
    }
    if (parts) {
        munmap(parts, parts_size);
    }
    if (err) {
        g->plan.image = NULL; /* on failure the caller keeps the image */
        gateway_free(g);
        return err;
    }
    start_epochs(g);
    *out = g;
    return ERR_OK;
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

bool gateway_is_sealed(const struct gateway *g)
{
    return !g->memory->unsealed;
}
