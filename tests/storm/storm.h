/* SPDX-License-Identifier: Apache-2.0 */
/* The fault storm: one thread plays a gateway's engine, the plant behind it and a disk on which everything may go wrong, and
 * keeps its own account of all that it did. What it does next is drawn from a table of acts (acts.c); after each crash the
 * journal is opened again and all that it says is compared with that account (check.c).
 *
 * A world is one gateway's life with some dozens of crashes. The same seed gives the same world, to the byte. */
#ifndef ISTHMUS_STORM_H
#define ISTHMUS_STORM_H

#include "journal/follow.h"
#include "journal/frame.h"
#include "journal/journal.h"
#include "journal/sim_disk.h"
#include "sealer/core.h"

#include <stdlib.h>

#define STORM_TAGS 4u /* ids 1..4, of box 0 (south), the last one of texts; box 1 is north */
#define STORM_KEYS 3u /* stored by box 1 in turn */

struct told { /* a frame with sequence numbers that was handed to the journal */
    uint64_t first, sequences;
    uint64_t life, ring_to; /* ring_to 0: not from the plant's ring */
    uint32_t box, slot_count;
    size_t slots;  /* where in account.slots */
    bool excused;  /* what held it was damaged, or never promised to survive: may be missing */
    bool found;    /* a start found it there */
    bool unsealed; /* the sealed file that holds it was damaged: only raw segments may have it */
};

struct stored { /* a value of the north box: says who it is */
    uint64_t life, position;
};

struct account {
    struct told *told; /* owned; by sequence number */
    size_t count, room;
    struct slot *slots; /* owned */
    size_t slot_count, slot_room;
    uint64_t durable; /* sequence numbers below were acknowledged */

    /* The plant's ring: unit n of life l is always the same sample. Units below `released` are gone from it, those below
     * `taken` have been handed to the journal. */
    uint64_t life, taken, released;
    uint8_t *shed; /* owned; of the units of this life: let go by the journal */
    size_t shed_room;
    uint64_t lost[STORM_TAGS + 1];    /* of earlier lives: let go, and passed by what came later */
    uint64_t settled[STORM_TAGS + 1]; /* samples in gaps that tell of none of these */

    struct stored *stored; /* owned; in the order in which they were handed over */
    size_t stored_count, stored_room;
    uint64_t store_next, store_released; /* the north box's ring */
};

struct world {
    uint64_t seed, acts, crashes;
    struct sim *sim;
    void *image; /* owned */
    struct plan plan;
    struct journal_marks marks;
    struct journal *journal; /* NULL: not open */
    struct journal_recovered recovered;
    struct follow *live; /* a reader that goes on over restarts of the engine; NULL: none */
    uint64_t live_sequence;
    struct sealer sealer; /* a process of its own, as the reader */
    bool sealing;
    struct retain_ring *ring; /* owned; retain.c. NULL: nothing is taken away in this world */
    int64_t retained_ns;      /* the latest time of the plant at which the sealer was at work */
    _Atomic uint64_t needed;  /* what the reader still needs begins here */
    uint64_t sealed_end;      /* sequence numbers below are in sealed files, */
    uint64_t raw_begin;       /* … and those from here on in raw segments */
    struct account account;
    uint64_t
        closing_from; /* an orderly stop may add gaps of its own from this number on; UINT64_MAX: none */
    unsigned damages; /* times that something was damaged at rest */
    unsigned promise; /* draws only acts that put this one to the test: 1 to 3; 0: all */
    bool scripted;    /* no dice in its plan and its starts */
    bool ended;       /* nothing more is promised */
    const char *last_act;
    FILE *trace; /* NULL: silent */
};

/* The world's dice. */
static inline uint64_t dice(struct world *w, uint64_t below)
{
    return sim_random(w->sim, below);
}

static inline int64_t world_now(const struct world *w)
{
    const struct clock *c = sim_clock(w->sim);
    return c->utc_ns(c->context);
}

/* Ends the program with what is wrong and how to see it again. */
_Noreturn void storm_fail(const struct world *w, const char *file, int line, const char *what);
#define must(w, condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            storm_fail(w, __FILE__, __LINE__, #condition);                                         \
        }                                                                                          \
    } while (0)

/* account.c */
void account_fini(struct account *a);
/* Notes a frame that was handed over; its slots are copied. */
void account_tell(struct account *a, const struct told *t, const struct slot *slots);
void account_tell_stored(struct account *a, struct stored s);
void account_shed(struct account *a, uint64_t unit, bool yes);
bool account_is_shed(const struct account *a, uint64_t unit);
/* The frame that holds this number; NULL: none. */
struct told *account_find(const struct account *a, uint64_t sequence);

enum fate { JOURNALED, SUPPRESSED, REJECTED };
enum fate plant_fate(const struct world *w, uint64_t unit);
enum value_type plant_type(uint32_t tag);
uint32_t plant_tag(const struct world *w, uint64_t unit);
/* Slots of the sample, at most PLANT_SLOTS. */
#define PLANT_SLOTS 3u
size_t plant_sample(const struct world *w, uint64_t unit, struct slot *out);

/* acts.c */
void act_take(struct world *w);
void act(struct world *w); /* one of the table, by chance */
void engine_turn(struct world *w);
void put_gap(struct world *w, const struct record_gap *gap);
/* A frame of box 0 that accounts for units below `to` with nothing but a gap. */
void put_skip(struct world *w, uint64_t from, uint64_t to);
void journal_turns(struct world *w, uint64_t most);

/* A record of the sealer's in a frame of its own; false: the journal has no room. */
bool put_note(struct world *w, const struct slot *slots, size_t count);

/* retain.c */
void retain_plan(struct plan_header *h);
struct retain_ring *retain_new(struct world *w);
struct ring_producer *retain_begin(struct world *w); /* for a new sealer */
void retain_crash(struct world *w, bool power_was_cut);
void retain_take(struct world *w); /* the engine's */
void retain_wait(void *world);     /* the sealer's */
int64_t plant_now(const struct world *w);
/* Whether a sample of that tag and time may be gone, and a gap record tells of it. */
bool retain_lets_go(const struct world *w, uint32_t tag, int64_t time);
/* Whether only a summary may have it still. */
bool retain_thins(const struct world *w, uint32_t tag, int64_t time);
/* Whether the note may have gone with a whole file: a later one says that such a file went. */
bool retain_drops_note(const struct world *w, uint64_t sequence);

/* life.c */
/* `w` is zeroed but for scripted, promise and trace. */
void world_begin(struct world *w, uint64_t seed);
void world_end(struct world *w);
void world_live(struct world *w, uint64_t seed, uint64_t crashes);
/* Opens the journal again, with crashes on the way if the dice say so, checks all, and goes on as an engine does. */
void world_restart(struct world *w, bool power_was_cut);
void world_crash(struct world *w, bool power_was_cut);

/* check.c */
void check_all(struct world *w, bool power_was_cut);
void check_live(struct world *w, unsigned frames);

/* history.c: the sealer, and what history tells. */
void sealer_turn(struct world *w, unsigned steps);
void sealer_end(struct world *w);
/* Learns where raw segments begin and sealed files end. */
void look_at_history(struct world *w);
void check_history(struct world *w);

/* care.c: verify and backup. */
void check_care(struct world *w);

/* damage.c: damage at rest, with an excuse for the records that it hits. */
void damage_something(struct world *w);
void damage_header(struct world *w, const char *name);

/* promises.c */
void promise_damaged_segment(struct world *w); /* J4 */
void promise_stalled_disk(struct world *w);    /* J5 */

#endif
