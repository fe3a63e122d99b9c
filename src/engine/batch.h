/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of commands: all of them or none, as far as the device has the means.
 *
 *   all parts are checked → all intents are durable, all approvals there → all are checked again → sent → confirmed
 *
 * Until they are sent any part that is refused ends them all, and nothing was written. They are sent in one transaction of the device,
 * which takes or refuses it as a whole, if all parts are of one device and its driver has such a means; else one after another in their
 * order, each when the device has accepted the one before. When one of these fails, the rest is not sent, and what was confirmed is put
 * back: by commands of their own to the value before, which the guard judges like all others, and only where the device still holds
 * ours. After a restart of the engine nothing more is sent. Memory: about 330 kB. */
#ifndef ISTHMUS_ENGINE_BATCH_H
#define ISTHMUS_ENGINE_BATCH_H

#include "engine/command.h"

#define BATCHES_OPEN  8u
#define BATCHES_ASKED 4u /* taken from the rings in one step */

struct batch {
    uint32_t count;                /* of its parts; 0: the place is free */
    struct record_receipt receipt; /* the batch's own; value: a hash of the parts */
    struct guard_caller caller;
    uint32_t box;
    bool sends, undoes;      /* where it is; neither: not all parts may be sent yet */
    bool apart;              /* the device has no means to take the parts in one transaction */
    bool together;           /* it was sent so */
    char why[200];           /* the first part that ended badly */
    uint32_t put_back, left; /* of what was written before that: by now */
    struct record_receipt parts[BATCH_MAX]; /* as they ended; state COMMAND_NEVER_HEARD: open */
};

struct asked_batch { /* by a north box, not looked at yet */
    struct inlet *in;
    struct record_commands head;
    struct record_part parts[BATCH_MAX];
};

struct batches {
    struct batch open[BATCHES_OPEN];
    struct asked_batch asked[BATCHES_ASKED];
    uint32_t asked_count;
    struct command checked[BATCH_MAX]; /* the parts of the one that is looked at */
};

/* While a ring is being taken: only noted. NULL, or why the box is at fault. */
const char *batch_ask(struct engine *e, struct inlet *in, const struct slot *s);
/* Once a step: what was asked; what goes on. */
void batches_take(struct engine *e);
void batches_turn(struct engine *e);
/* An act on an open batch as a whole; false: no batch has this id. */
bool batch_act(struct engine *e, struct inlet *in, const struct record_command *w);
/* The command is a part of a batch, or undoes one, and has ended. */
void batch_part_ended(struct engine *e, const struct command *c);
/* The device has no means to take the parts in one transaction: nothing was sent. */
void batch_goes_apart(struct engine *e, struct command *c);
/* The id of the batch that the command is a part of; zeros: of none. */
void batch_id(const struct engine *e, const struct command *c, uint8_t out[16]);
/* batch.c, for batch_ask.c: the open one with this id; its open part, or (undoes) what puts that back; NULL: there is none. */
struct batch *batch_find(struct engine *e, const uint8_t id[16]);
struct command *batch_part(struct engine *e, const struct batch *b, uint32_t part, bool undoes);
void batch_set(struct engine *e, struct batch *b, enum command_state state, const char *reason);
/* From the audit. */
void batch_recall(struct commands *k, const struct audit_entry *a);

#endif
