/* SPDX-License-Identifier: Apache-2.0 */
/* Damage at rest, and whom it excuses: the records whose own bytes it hit, and all of a file whose header it hit. */
#include "storm.h"

#include <stdio.h>
#include <string.h>

/* Excuses the frames of a file that reach into [from, to). */
static void excuse(struct world *w, const char *name, size_t from, size_t to)
{
    size_t size;
    const uint8_t *bytes = sim_bytes(w->sim, name, &size);
    bool header = from < sizeof(struct segment_header);
    for (size_t at = sizeof(struct segment_header); at + sizeof(struct frame_header) <= size;
         at += sizeof(struct slot)) { /* never by a length, which may be damaged already */
        struct frame_header h;
        memcpy(&h, bytes + at, sizeof h);
        bool hit = header || (at < to && at + h.length > from);
        if (h.magic == FRAME_MAGIC && h.kind == FRAME_DATA && h.sequences && hit) {
            struct told *t = account_find(&w->account, h.first_sequence);
            if (t) {
                t->excused = true;
            }
        }
    }
}

/* Everything that a sealed file holds. */
static void excuse_sealed(struct world *w, const char *name)
{
    size_t size;
    const uint8_t *bytes = sim_bytes(w->sim, name, &size);
    struct sealed_header h;
    if (size < sizeof h) {
        return;
    }
    memcpy(&h, bytes, sizeof h);
    for (size_t i = 0; i < w->account.count && h.magic == SEALED_MAGIC; i++) {
        struct told *t = w->account.told + i;
        t->unsealed |= t->first < h.end_sequence && t->first + t->sequences > h.first_sequence;
    }
}

struct choice {
    struct world *world;
    uint64_t seen;
    char name[SEGMENT_NAME_SIZE + 16];
};

static void maybe_this(void *to, const char *name)
{
    struct choice *c = to;
    size_t size;
    if (sim_bytes(c->world->sim, name, &size) && size && dice(c->world, ++c->seen) == 0) {
        snprintf(c->name, sizeof c->name, "%s", name);
    }
}

void damage_header(struct world *w, const char *name)
{
    w->damages++;
    excuse_sealed(w, name);
    excuse(w, name, 20, 21);
    sim_flip(w->sim, name, 20, 3);
}

void damage_something(struct world *w)
{
    const struct disk *d = sim_disk(w->sim);
    struct choice c = {.world = w};
    must(w, d->list(d->context, 0, maybe_this, &c) == 0);
    if (!c.seen) {
        return;
    }
    size_t size;
    const uint8_t *bytes = sim_bytes(w->sim, c.name, &size);
    must(w, bytes != NULL);
    size_t at = (size_t)dice(w, size);
    w->damages++;
    excuse_sealed(w, c.name);
    if (w->trace) {
        fprintf(w->trace, "-- damage in %s at %zu of %zu\n", c.name, at, size);
    }
    switch (dice(w, 6)) {
    case 0: /* the end is missing */
        excuse(w, c.name, at, size);
        sim_shorten(w->sim, c.name, at);
        break;
    case 1: /* someone removed it */
        excuse(w, c.name, 0, size);
        sim_lose(w->sim, c.name);
        break;
    case 2: /* the header */
        at %= sizeof(struct segment_header);
        excuse(w, c.name, at, at + 1);
        sim_flip(w->sim, c.name, at, 3);
        break;
    default:
        excuse(w, c.name, at, at + 1);
        sim_flip(w->sim, c.name, at, (unsigned)dice(w, 8));
    }
}
