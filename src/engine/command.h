/* SPDX-License-Identifier: Apache-2.0 */
/* Commands: from the wish of a caller to the receipt (DESIGN section 5).
 *
 *   asked → checked ─────────────▶ sent → accepted → confirmed (→ lease held → reverted, or left to the operator)
 *              └▶ waiting ─(approved)─▲
 *
 * The intent is durable in the audit before the device's box hears of it; so is an approval. Right before it is sent the
 * guard is asked again. Nothing is ever sent twice: a command whose end is not known ends unknown, unless its value is read
 * back. Deadlines are of the monotonic clock. Memory: about 5 MB for the constants below. */
#ifndef ISTHMUS_ENGINE_COMMAND_H
#define ISTHMUS_ENGINE_COMMAND_H

#include "box/board.h"
#include "guard/audit.h"
#include "guard/contract.h"
#include "rule/expr.h"

struct batches;
struct engine;
struct inlet;
struct tag_state;

#define REFUSALS_TOLD  100u  /* a second, so that nobody fills the disk with them */
#define COMMANDS_ASKED 128u  /* taken from the rings in one step */
#define COMMANDS_OPEN  256u  /* not ended, or with a lease */
#define COMMANDS_PAST  4096u /* receipts that are kept for who asks again with the same id */
#define REFUSED_PAST                                                                               \
    256u /* … of commands that were refused at once: asked again they are judged again */
#define KNOWN_BUCKETS                                                                              \
    4096u /* ids that are known longer than their receipts, so that none is used twice */
#define KNOWN_WAYS 16u

struct command {
    struct record_receipt receipt; /* as it stands */
    struct guard_caller caller;
    uint8_t session[16];
    char wish[COMMAND_REASON_SIZE]; /* why the caller wants it */
    uint32_t box;                   /* that asked; PLAN_NONE: the engine before us took it */
    const struct plan_write *contract;
    struct tag_state *tag;
    struct guard_tag *memory;
    union slot_value raw;
    uint64_t intent; /* number of the audit's entry that has to be durable before it goes on */
    uint64_t write;  /* number of the RECORD_WRITE under way; 0: none */
    int64_t due_ns;  /* monotonic: of what its state waits for */
    bool answered;   /* the write has ended, as `written` says; not looked at yet */
    struct record_written written;
    int64_t beat_ns; /* monotonic: of the next heartbeat */
    uint32_t beats;
    bool reverting; /* the write under way is the lease's revert */
    uint32_t batch; /* its place + 1; 0: none */
    uint32_t part;  /* of the batch */
    bool ready;     /* it may be sent when the whole batch may */
    bool together;  /* the write under way is of several parts in one */
    bool undoes;    /* puts back what a part has written */
    uint32_t row;   /* on the board */
    uint64_t number;
    struct record_receipt shown; /* as it stands there */
    bool seen;                   /* a sample came since the device accepted, its value: */
    union slot_value seen_value;
};

struct asked { /* by a north box, not looked at yet */
    struct inlet *in;
    struct record_command command;
};

struct hand_switch { /* switch.c: the write inhibit, the island */
    bool set;        /* by a person */
    bool clearing;   /* when the entry with this ticket is durable */
    bool file;       /* a file says so, or can't be looked for */
    uint64_t ticket;
    int64_t since_ns;
    char who[COMMAND_WHO_SIZE], why[COMMAND_REASON_SIZE];
};

struct commands {
    struct hand_switch inhibit, island;
    struct command *open;           /* [COMMANDS_OPEN], open_count used, in no order */
    struct record_receipt *past;    /* [COMMANDS_PAST], a ring */
    struct record_receipt *refused; /* [REFUSED_PAST], a ring */
    struct known_id {
        uint8_t id[16];
        uint32_t place; /* of the receipt in past, if it is still this one */
        uint32_t used;  /* 0: free; else the lower, the longer ago */
    } * known;          /* [KNOWN_BUCKETS][KNOWN_WAYS] */
    uint32_t open_count, past_count, refused_count;
    bool row_taken[BOARD_COMMANDS]; /* by a command that is open */
    uint32_t row_next, row_refused;
    uint64_t shown;           /* numbers given */
    struct expr *permissives; /* [writes of the plan]; head NULL: none */
    struct guard_tag *memory; /* [memory_count], by tag id */
    uint32_t memory_count;
    struct batches *batches; /* batch.h */
    struct asked asked[COMMANDS_ASKED];
    uint32_t asked_count;
    int64_t latest_utc_ns;    /* seen so far */
    uint64_t secret;          /* nobody outside knows into which bucket an id goes */
    uint64_t writes;          /* numbers given to writes */
    int64_t refusals_from_ns; /* monotonic: the second in which they are counted */
    uint32_t refusals; /* in it; the audit has REFUSALS_TOLD of them, then how many there were */
};

MUST_USE int commands_init(struct engine *e);
void commands_fini(struct engine *e);

/* While a ring is being taken: only noted. */
void command_ask(struct engine *e, struct inlet *in, const struct record_command *command);
/* A sample of a tag that some command waits for (tag_state.awaited). */
void command_sample(struct engine *e, struct tag_state *t, const struct slot *sample);
/* The end of a write. NULL, or why the box is at fault. */
const char *command_written(struct engine *e, struct inlet *in, const struct slot *s);

/* Once a step, behind the intake: what was asked, what became durable, what is due. */
void command_turn(struct engine *e);
/* The box lost what was under way in it. */
void command_box_gone(struct engine *e, uint32_t box);

/* command.c, for the others: it has ended (its lease begins, or its place is free); its place is free; nobody knows whether it
 * took effect, what is read back tells. */
void command_end(struct engine *e, struct command *c, enum command_state state, const char *reason);
void command_close(struct engine *e, struct command *c);
void command_await_proof(struct engine *e, struct command *c, const char *reason);

void command_set(struct engine *e, struct command *c, enum command_state state, const char *reason);
struct command *command_find(struct commands *k, const uint8_t id[16]); /* an open one, or NULL */
/* Never opened: refused, told and remembered. */
void command_refuse(struct engine *e, struct command *c, const char *why);
/* Takes its place among the open ones, of which there is a free one; false: the audit takes no intent. */
MUST_USE bool command_open(struct engine *e, struct command *c);
/* The write with this number is under way. */
void command_sent(struct engine *e, struct command *c, uint64_t write, bool together);
/* Sends it, if the guard still lets it. */
void command_go(struct engine *e, struct command *c);
/* An act that was refused, answered: the command stands as `r` says. */
void command_deny(struct engine *e, struct inlet *in, const struct record_receipt *r,
                  const struct record_command *w, const struct guard_caller *caller,
                  const char *why);
/* Of a command that waits. NULL, or why not. */
const char *command_approve(struct engine *e, struct command *c, const struct record_command *w,
                            const struct guard_caller *caller);
const char *command_reject(struct engine *e, struct command *c, const struct guard_caller *caller);

/* Whether the device's value is what was wished for. */
bool command_holds(const struct command *c, union slot_value seen, union slot_value wanted);
/* Sends the raw value, or ends the command or its lease if it can't. */
void command_send(struct engine *e, struct command *c, union slot_value raw);

/* ---- receipts.c ---- */

/* Of a command that is not open any more; NULL: nobody knows the id. */
const struct record_receipt *receipt_find(const struct commands *k, const uint8_t id[16]);
void receipt_keep(struct commands *k, const struct record_receipt *receipt);
void receipt_keep_refused(struct commands *k, const struct record_receipt *receipt);

/* ---- lease.c ---- */

void lease_turn(struct engine *e, struct command *c);
void lease_revert_ended(struct engine *e, struct command *c, const struct record_written *w);
/* NULL, or why not. */
const char *lease_renew(struct engine *e, struct command *c, const struct guard_caller *caller);
const char *lease_release(struct engine *e, struct command *c, const struct guard_caller *caller);

/* command_recall.c: from the audit, when all else is ready. */
MUST_USE int commands_recall(struct engine *e);

/* ---- board.c ---- */

void board_clear(struct engine *e);
void board_begin(struct engine *e, struct command *c); /* it is open now */
void board_turn(struct engine *e);                     /* shows what has changed */
void board_end(struct engine *e, const struct command *c);
void board_refused(struct engine *e, const struct command *c);
/* What a box asked of a tag (id; 0: of none) was let through, or not. */
void board_count(struct engine *e, uint32_t box, uint32_t tag, bool refused);

/* ---- command_check.c: what the engine lays before the guard. ---- */

/* Who asks; false with the reason: the session is not alive, or not this box's; role, account or conduits do not let him do that with
 * the tag (id; 0: it is about none). */
bool command_caller(struct engine *e, struct inlet *in, const struct record_command *w,
                    uint32_t tag, struct guard_caller *caller, char *why);
/* The receipt as it begins, and what the contract is. */
void command_receipt(struct engine *e, struct command *c, const struct record_command *w);
bool command_lets(struct engine *e, struct command *c, char *why);
/* Right before it is sent: all but the rate, which it has used already. */
bool command_still_lets(struct engine *e, const struct command *c, char *why);
struct guard_tag *command_memory(struct commands *k, uint32_t tag); /* NULL: it has no contract */
/* Whether anything may be written at all. */
bool command_writes_allowed(struct engine *e, char *why);

/* A tag's value as a number, if it is good and fresh. */
bool command_known_value(struct engine *e, struct tag_state *t, double *number);

/* ---- inhibit.c ---- */

bool inhibit_lets(struct engine *e, char *why);
/* COMMAND_INHIBIT or COMMAND_ALLOW. NULL, or why not. */
const char *inhibit_act(struct engine *e, const struct record_command *w,
                        const struct guard_caller *caller);
void inhibit_tell(struct engine *e, struct record_receipt *r);
void inhibit_turn(struct engine *e);

/* ---- island.c ---- */

/* COMMAND_ISLAND or COMMAND_JOIN. NULL, or why not. */
const char *island_act(struct engine *e, const struct record_command *w,
                       const struct guard_caller *caller);
void island_tell(struct engine *e, struct record_receipt *r);
/* After the audit was recalled: what can't be known is on. */
void island_begin(struct engine *e);
void island_turn(struct engine *e);

/* ---- switch.c: a switch that people set and clear; `set` is its kind of entry in the audit, the next one its clearing. ---- */

void switch_recall(struct hand_switch *h, const struct audit_entry *a, enum audit_kind set);
void switch_turn(struct engine *e, struct hand_switch *h, enum audit_kind set);
/* NULL, or why not: switch_is_local, or another text. */
extern const char switch_is_local[];
const char *switch_act(struct engine *e, struct hand_switch *h, enum audit_kind set, bool on,
                       const char *reason, const struct guard_caller *caller);

/* ---- command_tell.c: to boxes, audit and journal. ---- */

void command_reply(struct engine *e, struct inlet *in, const struct record_receipt *receipt);
void command_answer(struct engine *e, const struct command *c); /* to the box that asked */
/* Hands the value to the device's box. The number of the write; 0: the box is down or busy, nothing was sent. */
uint64_t command_put_raw(struct engine *e, const struct plan_tag *tag, union slot_value raw);
/* The same for several commands of one device, in one transaction. */
uint64_t command_put_together(struct engine *e, struct command *const *parts, uint32_t count);
/* An entry of the audit; what it can't take is counted there. */
void command_note(struct engine *e, const struct command *c, enum audit_kind kind);
/* The same, and c->intent is its number; false: the audit takes nothing. */
bool command_note_intent(struct engine *e, struct command *c, enum audit_kind kind);
/* Of a whole batch; false: the audit takes nothing. */
bool command_note_batch(struct engine *e, const struct record_receipt *r, uint32_t detail,
                        enum audit_kind kind, const char *text);
/* An act that was refused; the command stands as it did. */
void command_note_denial(struct engine *e, const struct inlet *in, const struct record_command *w,
                         const struct guard_caller *caller, const char *why);
/* Refusals cost their asker nothing, so they may cost the disk only so much: false, it is only counted. */
bool command_may_tell_refusal(struct engine *e);
/* Tells of what was refused beyond REFUSALS_TOLD, when the second is over. */
void command_tell_refusals(struct engine *e);
/* Audit, journal and caller learn of the end. */
void command_tell_end(struct engine *e, const struct command *c);
void command_end_lease(struct engine *e, struct command *c, enum lease_state state,
                       const char *reason);

#endif
