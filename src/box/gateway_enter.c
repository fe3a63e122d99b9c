/* SPDX-License-Identifier: Apache-2.0 */
/* A freshly forked process takes its seat: of all that it inherited it keeps what is its own, maps read-only what it may
 * read, and drops the rest, memory as well as descriptors. */
#include "box/segment.h"
#include "base/clock.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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
            g->sealer = i == SEAT_SEALER ? NULL : g->sealer;
            g->identity = i == SEAT_IDENTITY ? NULL : g->identity;
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

static void end_naps(struct gateway *g, int seat)
{
    for (int i = SEAT_READER; i < (int)g->seat_count; i++) {
        struct seat *s = g->seats + i;
        if (seat == SEAT_ENGINE) {
            ring_end_nap(s->up_tail);
        }
        if (seat == SEAT_READER) {
            ring_end_nap(s->ask_tail);
        }
        if (seat == i) {
            ring_end_nap(s->down_tail);
            ring_end_nap(s->answer_tail);
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

void gateway_hide_from_children(struct gateway *g)
{
    for (size_t i = 0; i < g->memory->count; i++) {
        const struct segment *s = g->memory->segments + i;
        bool shown = i == ENGINE_SEGMENT ||
                     (i >= FIRST_ZONE && i < FIRST_ZONE + g->plan.header->zones.count);
        if (s->base && (!shown || s->writer == g->seat) &&
            madvise(s->base, s->size, MADV_DONTFORK)) {
            abort(); /* never with a whole mapping of ours */
        }
    }
}
