/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's step alone, for its tests and fuzzers: a gateway in this process, a journal in a folder of its own, boxes and
 * supervisor played by the test, time turned by hand. Not part of the program. */
#ifndef ISTHMUS_ENGINE_TEST_BED_H
#define ISTHMUS_ENGINE_TEST_BED_H

#include "engine/internal.h"
#include "journal/frame.h"

/* Box "field" (south): device 0 with tags 1 int32, 2 float64 with a deadband of 1, 3 text of 40 bytes; box "other" (south):
 * device 1 with tag 4 uint16; box "cloud" (north) with a feed of tag 1.
 *
 * Write contracts: "plain" of tag 1 (0 to 100, 3 a minute), "two" of tag 2 (a second person within 60 s), "lent" of tag 4 (heartbeat on tag 1, a lease of
 * 10 s, back to 5). Callers are service:cloud; service:bridge, a second north box, approves; read-back within 2 s. */
enum { BED_FIELD, BED_OTHER, BED_CLOUD, BED_BRIDGE, BED_BOXES };
#define BED_TAGS  4u
#define BED_RING  4096u
#define BED_START INT64_C(1700000000000000000)

struct bed {
    char dir[32];
    struct gateway *g;
    struct journal *journal;
    struct audit *audit; /* in DIR-audit; bed_run lets it write */
    bool audit_stalls;   /* … unless this is set */
    struct disk disk;    /* the audit's */
    bool killed;         /* what it writes now is lost, but for so many bytes: */
    int64_t torn;
    struct journal_recovered recovered;
    struct engine *e;
    int64_t utc_ns, mono_ns;
    struct clock clock; /* these two, for the audit */
    char marked[300];   /* file of the journal */
    int64_t marked_size;
    struct ring_producer up[BED_BOXES];
    struct ring_consumer down[BED_BOXES];
};

/* Everything is ready for the first step; the boxes have been started once. `sync_ms` 0: the disk is not waited for. */
struct bed *bed_new(uint32_t sync_ms);
void bed_free(struct bed *b);
struct seat *bed_seat(struct bed *b, int box);

/* The engine dies and is started anew. What came after bed_mark was not on disk yet, or its first frame is damaged. */
enum { BED_KEEP, BED_LOSE, BED_DAMAGE };
void bed_mark(struct bed *b);
void bed_restart_engine(struct bed *b, int how);
/* The same; what the audit had not written yet is lost, and of the next write only `torn` bytes arrive. */
void bed_kill_engine(struct bed *b, int64_t torn);
/* The supervisor starts a box again; `reset`: it empties its rings before. */
void bed_restart_box(struct bed *b, int box, bool reset);

void bed_put(struct bed *b, int box, const struct slot *slots, size_t count); /* and publish */
void bed_record(struct bed *b, int box, enum record_kind kind, uint32_t status, const void *payload,
                size_t size);
/* The next record that a box gets, of whose payload as much as there is goes to `out`; its kind, 0: none. */
uint32_t bed_take(struct bed *b, int box, void *out, size_t size);
/* Beats all hearts, lets `ms` pass and steps until there is nothing more. */
void bed_run(struct bed *b, int64_t ms);
/* Waits until all is durable, then steps once more. */
void bed_settle(struct bed *b);

/* The last receipt that a box got; its state, UINT32_MAX: none. */
uint32_t bed_heard(struct bed *b, int box, struct record_receipt *r);
/* A device's box tells the end of a write. */
void bed_written(struct bed *b, int box, const struct record_write *w, enum written_end end,
                 const char *reason);
/* A sample (bed_sample), and a step. */
void bed_value(struct bed *b, int box, uint32_t tag, uint64_t value);
/* What the audit tells of commands and after, which must be whole. */
struct bed_audit {
    uint32_t kinds[64];
    size_t count;
};
struct bed_audit bed_audited(struct bed *b);

/* Of tag 1, 3 or 4, at a time that rises with its value. */
struct slot bed_sample(uint32_t tag, uint64_t value);
/* Every kind of record, as an honest "field" box would write them; at most 128 slots. */
size_t bed_honest(struct slot *slots);
struct now_entry *bed_entry(struct bed *b, uint32_t id);
/* What the supervisor is told of a box; NULL: nothing bad. */
const char *bed_verdict(struct bed *b, int box);
/* Whether every tag's account holds. */
bool bed_balances(struct bed *b);

/* All data frames in the journal's files, once it is closed (it is by this). */
struct bed_frames {
    uint8_t *bytes; /* owned: frames one behind the other */
    size_t size;
};
void bed_read(struct bed *b, struct bed_frames *frames);
/* The next record of `kind` (0: a sample) of any frame from *at on; NULL: none. */
const struct slot *bed_next(const struct bed_frames *frames, size_t *at, uint32_t kind);
size_t bed_count(const struct bed_frames *frames, uint32_t kind);
/* The next gap; its scope is 0 when there is none. */
struct record_gap bed_gap_at(const struct bed_frames *frames, size_t *at);
/* Gaps with this cause; their produced samples are added up. */
size_t bed_gaps(const struct bed_frames *frames, uint32_t cause, uint64_t *produced);

#endif
