/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway: everything that outlives a process. The keeper (the process that `isthmus run` becomes) makes it once:
 * sealed shared-memory segments, each mapped writable before it is sealed against future writable mappings, and the
 * wake pipes. Processes are forked from the supervisor (itself forked from the keeper) without exec, so they inherit
 * the mappings; gateway_enter then drops every writable mapping that isn't theirs, maps what they may read
 * read-only, and closes every descriptor that isn't theirs. A restarted process finds all as its predecessor left it.
 *
 *   seat: one process. SEAT_ENGINE, SEAT_READER, SEAT_SEALER, SEAT_IDENTITY, then one per box: seat = SEAT_BOX + box index.
 *
 *   segment                       writer       readers
 *   plan (and a part per box)     nobody       all (a box: its part)
 *   box b: panel, rings           box b        engine, reader, supervisor
 *   engine: panel, marks          engine       all
 *   engine→seat s: rings          engine       seat s (the reader: the board of commands, too)
 *   now of zone z                 engine       reader
 *   reader: panel                 reader       all
 *   sealer: panel                 sealer       engine, reader, supervisor
 *   identity: panel, sessions     identity     engine, reader, supervisor
 *   reader: ring                  reader       engine, supervisor
 *   reader→box b: rings           reader       north box b
 *   health                        supervisor   engine, reader
 *
 *   rings: seat s → engine ("up"), engine → seat s ("down"); north box → reader ("ask"), reader → box ("answer"). */
#ifndef ISTHMUS_BOX_GATEWAY_H
#define ISTHMUS_BOX_GATEWAY_H

#include <sys/types.h>

#include "base/ring.h"
#include "box/board.h"
#include "guard/session.h"
#include "journal/journal.h"
#include "tag/now.h"
#include "tag/plan.h"

enum { SEAT_ENGINE, SEAT_READER, SEAT_SEALER, SEAT_IDENTITY, SEAT_BOX };

#define DOWN_RING_SLOTS   1024u
#define ASK_RING_SLOTS    4096u
#define ANSWER_RING_SLOTS 32768u
#define READER_RING_SLOTS 4096u

/* At the start of each process's own segment. */
struct panel {
    _Atomic uint64_t epoch; /* +1 with each start of the process, by itself, before anything else */
    _Atomic int64_t heartbeat_ns; /* clock_mono_ns; at least every 500 ms */
    _Atomic int64_t started_utc_ns;
    _Atomic uint32_t ready;  /* 1: serving, locked in */
    _Atomic uint32_t layers; /* enum sandbox_layer bits that are on (box/sandbox.h) */
    _Atomic int64_t
        certificate_ends_ns; /* UTC: when the first of its certificates ends; 0: it has none */
};

struct
    device_panel { /* one per device of the plan, in its box's segment; sequence lock as in now.h */
    _Atomic uint32_t version;
    _Atomic uint32_t state; /* enum isthmus_state; 0: not opened yet */
    _Atomic int64_t since_utc_ns;
    _Atomic int64_t last_reply_utc_ns;
    _Atomic uint64_t figures[12]; /* struct isthmus_figures in its order */
    _Atomic uint64_t reason[12];  /* 96 bytes of text */
};

struct
    drop_counter { /* one per tag of a south box, in id order: samples that found no room in the ring */
    _Atomic uint64_t count;
    _Atomic int64_t first_ns, last_ns; /* source times of the latest stretch of drops */
};

enum seat_state {
    SEAT_STOPPED,
    SEAT_STARTING,
    SEAT_RUNNING,
    SEAT_WAITING /* back-off */,
    SEAT_STOPPING,
    SEAT_CUT /* reaches beyond this machine, and the gateway is an island */
};

struct health_seat { /* written by the supervisor; sequence lock */
    _Atomic uint32_t version;
    _Atomic uint32_t state;
    _Atomic int64_t since_utc_ns;
    _Atomic uint32_t pid;
    _Atomic uint32_t restarts;
    _Atomic uint64_t cpu_ns, pss_bytes;
    _Atomic uint32_t layers_missing;
    _Atomic uint32_t up_ring_permille; /* fill of its ring to the engine */
    _Atomic int64_t certificate_ends_ns;
    _Atomic uint32_t outside;    /* 1: it lives, and may reach beyond this machine */
    _Atomic uint64_t reason[12]; /* why it last ended or was killed, 96 bytes of text */
    _Atomic uint64_t starts;     /* of the process; its panel's epoch is life + starts */
};
struct health {
    struct panel supervisor; /* its own heartbeat */
    _Atomic uint32_t keeper_pid, supervisor_pid, supervisor_restarts;
    _Atomic uint32_t reserved;
    _Atomic uint64_t keeper_pss, supervisor_pss, keeper_cpu_ns, supervisor_cpu_ns;
    struct health_seat seats[]; /* one per seat */
};

/* What an engine must know of a seat that its predecessor knew: lives in engine→seat segment. */
struct seat_memory {
    _Atomic uint64_t starts; /* of the process, up to which the journal durably tells of them */
    _Atomic int64_t alive_utc_ns; /* last time its heart was seen beating; 0: never */
};

/* The engine's or the reader's word to the supervisor about a box: lives in engine→seat and reader→box segments. */
struct verdict {
    _Atomic uint64_t epoch;      /* of the process that is meant */
    _Atomic uint64_t reason[12]; /* text; the supervisor kills and restarts it */
    _Atomic uint32_t raised;     /* +1 with each verdict */
};

/* The engine's word on the island (engine/island.c). Not known yet counts as on. */
#define ISLAND_FILE "island" /* in the state folder: on as long as it is there */
enum island_word { ISLAND_NOT_KNOWN, ISLAND_OFF, ISLAND_ON };

struct engine_panel {
    struct panel panel;
    _Atomic uint32_t island;         /* enum island_word */
    _Atomic uint32_t start_told;     /* the journal has been told that the gateway was started */
    _Atomic int64_t ledger_since_ns; /* when the accounts of the tags began; 0: not known */
    _Atomic uint64_t
        audit_end; /* entries of the audit with a number below are on disk; 0: there is none */
    struct journal_marks marks;
};

struct reader_panel {
    struct panel panel;
    /* Some feed still needs what the journal has from here on; 0: not known yet, UINT64_MAX: none needs anything. */
    _Atomic uint64_t needed_sequence;
};

struct sealer_panel {
    struct panel panel;
    _Atomic uint64_t files, bytes, samples;                              /* of all sealed files */
    _Atomic uint64_t segments_sealed, merges, bytes_read, bytes_written; /* since it started */
    _Atomic uint64_t waiting_segments,
        held_segments;         /* raw: to be sealed; sealed, but needed by a feed */
    _Atomic uint64_t damaged;  /* files set aside, and blocks that could not be read */
    _Atomic uint64_t failures; /* of its work; it tries again */
};

struct identity_panel {
    struct panel panel;
    struct session_table sessions;
};

/* One seat's pieces. A pointer is NULL where this process has no business; `const` ones are mapped read-only in every
 * process but the writer (the compiler's const is for the others: the writer casts through seat_own_* below). */
struct seat {
    const char *name;    /* "engine", "reader", or the box's */
    struct panel *panel; /* at the start of its own segment */
    void *up;            /* ring_head + slots, in its own segment; NULL for the engine */
    size_t up_capacity;
    struct ring_tail *up_tail; /* in engine→seat */
    void *down;                /* ring_head + slots, in engine→seat */
    size_t down_capacity;
    struct ring_tail *down_tail;    /* in its own segment */
    struct verdict *verdict;        /* in engine→seat */
    struct seat_memory *memory;     /* in engine→seat */
    struct verdict *reader_verdict; /* north boxes: in reader→box */
    void *ask;                      /* north boxes: in its own segment */
    size_t ask_capacity;
    struct ring_tail *ask_tail; /* in reader→box */
    void *answer;               /* in reader→box */
    size_t answer_capacity;
    struct ring_tail *answer_tail; /* in its own segment */
    struct device_panel *devices;  /* south: [plan device_count], own ones used */
    _Atomic uint64_t
        *drops_seen; /* south: [plan_box.tag_count], in engine→seat: drops made into gaps already */
    /* south: [plan_box.tag_count], in engine→seat: 1 + the gaps in the ledger that are no drops; 0: not known yet. So the
     * drops that are gaps already follow from the ledger, and with it from the journal. */
    _Atomic uint64_t *other_gaps;
    struct drop_counter *drops; /* south: [plan_box.tag_count], its tags in id order */
    int to_engine_read,
        to_engine_write; /* wake pipes; -1 where this process doesn't hold that end */
    int from_engine_read, from_engine_write;
    int to_reader_read, to_reader_write;
    int from_reader_read, from_reader_write;
};

struct gateway {
    struct plan plan; /* the whole, or this box's part */
    struct engine_panel *engine;
    struct reader_panel *reader;
    struct sealer_panel *sealer;
    struct identity_panel *identity;
    struct now_table *zones;     /* [plan zone count]; views */
    struct command_board *board; /* in engine→reader */
    struct traffic *traffic;     /* likewise; box * zone count + zone */
    struct health *health;
    size_t seat_count;
    struct seat *seats;
    uint64_t
        life; /* names this set of rings in the journal: gateway_new sets it to clock_utc_ns() with the low 20 bits
                    * cleared, and begins every panel's epoch there, so that epochs are never used twice */
    int seat; /* who we are, or -1: keeper, supervisor */
    const char *state_dir; /* borrowed from the plan */
    int supervisor_fd; /* our end of the talk with the supervisor while starting (sandbox.h); -1: none */
    struct gateway_memory *memory; /* private: segments, descriptors */
};

/* Makes all segments and pipes for a plan image (owned by the gateway from then on). Keeper only. */
MUST_USE int gateway_new(struct gateway **g, void *plan_image, size_t plan_size);
void gateway_free(struct gateway *g);

/* In a freshly forked process: become `seat` (rules above). Raises the panel's epoch. */
MUST_USE int gateway_enter(struct gateway *g, int seat);

/* What a child that this process forks may not have of its memory: all that is shared but what the engine and the zones' *now* show. */
void gateway_hide_from_children(struct gateway *g);

/* Supervisor, before it restarts a box that wrote garbage: what its rings hold is dropped, positions are made whole. */
void gateway_reset_rings(struct gateway *g, int seat);

/* Whether every position of the seat's rings can be true; if not, a process could not even attach. */
MUST_USE bool gateway_rings_whole(const struct gateway *g, int seat);

/* Whether the kernel seals memory against being mapped writable anew (Linux 5.1). */
MUST_USE bool gateway_is_sealed(const struct gateway *g);

/* "wrote garbage: REASON": the supervisor stops the process of that epoch, empties its rings and starts it again. */
void verdict_raise(struct verdict *v, uint64_t epoch, const char *reason);

/* Text under a sequence lock's words. */
void words_from_text(_Atomic uint64_t *words, size_t count, const char *text);
void text_from_words(const _Atomic uint64_t *words, size_t count,
                     char *text); /* count * 8 + 1 bytes */

#endif
