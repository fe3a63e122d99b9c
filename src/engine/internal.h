/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine's own files share. One owner thread: the engine's. */
#ifndef ISTHMUS_ENGINE_INTERNAL_H
#define ISTHMUS_ENGINE_INTERNAL_H

#include "engine/command.h"
#include "engine/engine.h"
#include "engine/store.h"

#define INTAKE_SLOTS 4096u /* taken from one ring in one go */

/* Frames of the reader's and the engine's own records carry these instead of a box index. */
#define FRAME_ENGINE   PLAN_NONE
#define FRAME_READER   (PLAN_NONE - 1)
#define FRAME_SEALER   (PLAN_NONE - 2)
#define FRAME_IDENTITY (PLAN_NONE - 3)

#define BOX_INLET                                                                                  \
    (SEAT_BOX -                                                                                    \
     SEAT_READER) /* inlets: the reader's, the sealer's, the identity's, then the boxes' */

struct tag_state {
    const struct plan_tag *tag;
    struct now_table *zone;
    double last;          /* the value last journaled, for the deadband */
    uint32_t last_status; /* its status */
    uint8_t has_last;
    uint8_t awaited;               /* commands want to see its samples */
    uint32_t suppressed, rejected; /* in the frame under way */
    int64_t seen_ns;               /* monotonic: when a sample came last, suppressed ones too */
    uint32_t box_index;            /* among its box's tags in id order, as in seat.drops */
};

struct inlet { /* one seat's ring, as the engine sees it */
    struct seat *seat;
    uint32_t box; /* index in the plan; or one of FRAME_* */
    struct ring_consumer up;
    struct ring_producer down;
    uint64_t
        starts; /* of the process that fills the ring, by the supervisor's count; 0: none yet */
    uint64_t told_sequence; /* durable up to here: so is what the journal tells of these starts */
    uint64_t ring_life;     /* what frames record as the box's epoch */
    uint64_t asked_before;  /* commands below this ring position were for our predecessor */
    uint64_t journaled;     /* ring position that the journal had when we began */
    int64_t seen_heartbeat,
        alive_ns;             /* the last one, and when we saw it: our clock, not its word */
    bool condemned;           /* a verdict was raised; ignore it until it is started again */
    bool down_noted;          /* its tags are bad in now */
    int64_t seen_certificate; /* when the first of its certificates ends, as the audit has it */
    int64_t certificate_told_ns;
    uint64_t seen_dropped; /* ring_head.dropped at the last scan */
    uint32_t items_lost;   /* of the browse that this box asked for: its ring was full */
};

struct engine {
    struct gateway *g;
    struct journal *journal;
    struct audit *audit;    /* borrowed */
    struct tag_state *tags; /* in the plan's order */
    uint32_t *by_id;        /* id → position in tags + 1; 0: no such tag */
    uint32_t id_limit;
    struct inlet *inlets;
    size_t inlet_count;
    struct slot *taken; /* INTAKE_SLOTS copied from a ring */
    uint32_t *touched;  /* tags with tallies in the frame under way */
    uint32_t touched_count;
    struct store store;
    struct commands commands;
    struct known_contracts *contracts; /* owned; only while it starts */
    int64_t utc_ns, mono_ns;           /* of this step */
    int64_t next_tick_ns;
    int64_t last_ns; /* time of the journal's last frame before we began */
    bool waits_for_durable;
    struct {
        int64_t since_ns;
        uint32_t told;   /* to the audit, since then */
        uint64_t untold; /* only counted */
    } failures;          /* of sign-ins */
};

static inline struct tag_state *engine_tag(struct engine *e, uint32_t id)
{
    return id < e->id_limit && e->by_id[id] ? e->tags + e->by_id[id] - 1 : NULL;
}

static inline struct now_entry *engine_entry(struct tag_state *t)
{
    return t->zone->entries + t->tag->zone_index;
}

static inline void ledger_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* intake.c: takes what one inlet holds. 1: there may be more; 0: nothing more now. */
int intake_run(struct engine *e, struct inlet *in);

/* value.c: raw → scaled, typed, ranged; in place. false: the raw value is illegal for its type (rejected). */
bool value_refine(const struct plan_tag *tag, struct slot *sample);
/* Whether the deadband keeps it back. */
bool value_is_suppressed(const struct tag_state *t, const struct slot *sample);

/* account.c: what is missing and why. Each writes a frame of the engine's own. */
void account_event(struct engine *e, enum event_kind kind, uint32_t box, uint64_t detail,
                   const char *text);
void account_gap(struct engine *e, const struct record_gap *gap);
/* The first words of an engine: that the gateway was started, if it was, and what is missing before. */
void account_start(struct engine *e, const struct journal_recovered *recovered);
/* The inlet goes on at in->up.next although the journal has its ring only up to `from`; `cause` 0: a gap tells already. */
void account_skip(struct engine *e, struct inlet *in, uint64_t from, enum gap_cause cause);
void account_drops(struct engine *e, struct inlet *in);
/* The audit has with which certificates a service works. */
void account_certificate(struct engine *e, struct inlet *in);
/* A box that wrote garbage: what its counters of drops say now is where counting begins. */
void account_forget_drops(struct engine *e, struct inlet *in);
void account_losses(struct engine *e);

/* watch.c: who lives, who died, who lied. */
void watch_attach(struct engine *e);
void watch_seats(struct engine *e);
void watch_condemn(struct engine *e, struct inlet *in, const char *reason);

/* browse.c: requests, items and ends, passed on. NULL, or why the record's owner is at fault. */
const char *browse_pass(struct engine *e, struct inlet *in, const struct slot *s);

/* sign.c: sign-ins and their answers, passed on. NULL, or why the record's owner is at fault. */
const char *sign_pass(struct engine *e, struct inlet *in, const struct slot *s);
const char *vouch_pass(struct engine *e, struct inlet *in, const struct slot *s);

/* contracts.c: which data contracts were in effect, as the audit tells; and whether that has changed. */
struct known_contracts;
struct known_contracts *contracts_new(const struct plan *plan); /* NULL: out of memory */
void contracts_recall(struct known_contracts *k, const struct audit_entry *a);
void contracts_tell(struct engine *e, const struct known_contracts *k);
void contracts_free(struct known_contracts *k);

/* reply.c: records to a seat. False: it is condemned, or its ring is full. */
bool reply_send(struct engine *e, struct inlet *to, enum record_kind kind, const void *payload,
                size_t size);
/* The inlet of a box of that kind; NULL: there is none. */
struct inlet *reply_inlet(struct engine *e, uint32_t box, enum box_kind kind);

#endif
