/* SPDX-License-Identifier: Apache-2.0 */
/* What an engine must know of its predecessors, from the audit: which contracts were in effect, and of commands receipts by their ids, counts of writes, leases
 * that run, and those of which nobody knows the end. Nothing is sent again. */
#include "engine/batch.h"
#include "engine/internal.h"

#include <stdio.h>
#include <string.h>

static struct command *find(struct commands *k, const uint8_t id[16])
{
    for (uint32_t i = k->open_count; i > 0; i--) {
        if (!memcmp(k->open[i - 1].receipt.id, id, 16)) {
            return k->open + i - 1;
        }
    }
    return NULL;
}

static void copy_text(char *to, size_t size, const char *from, size_t most)
{
    snprintf(to, size, "%.*s", (int)strnlen(from, most), from);
}

/* A rate counts on over a restart: by the clock that can be set, as far as it makes sense. */
static void count_write(struct engine *e, struct guard_tag *memory, const struct audit_entry *a)
{
    int64_t ago = e->utc_ns - a->utc_ns;
    guard_note(memory, ago > 0 && ago < e->mono_ns ? e->mono_ns - ago : e->mono_ns);
    memory->writes = a->detail;
}

static void begin(struct engine *e, const struct audit_entry *a)
{
    struct commands *k = &e->commands;
    struct command c = {.box = PLAN_NONE, .tag = engine_tag(e, a->tag)};
    struct record_receipt *r = &c.receipt;
    c.contract = c.tag ? plan_find_write(&e->g->plan, a->tag) : NULL;
    c.memory = command_memory(k, a->tag);
    if (!c.contract || !c.memory || k->open_count == COMMANDS_OPEN || a->type != c.tag->tag->type) {
        return; /* the configuration has changed: only the audit knows of it */
    }
    count_write(e, c.memory, a);
    memcpy(r->id, a->id, sizeof r->id);
    r->tag = a->tag;
    r->type = a->type;
    r->value = a->after;
    r->has_before = a->has_before;
    r->before = a->before;
    r->asked_ns = a->utc_ns;
    r->changed_ns = a->utc_ns;
    r->state = COMMAND_CHECKED;
    copy_text(r->who, sizeof r->who, a->who, sizeof a->who);
    copy_text(c.wish, sizeof c.wish, a->text, sizeof a->text);
    copy_text(c.caller.name, sizeof c.caller.name, a->who, sizeof a->who);
    board_begin(e, &c);
    k->open[k->open_count++] = c;
}

static void take_end(struct engine *e, struct command *c, const struct audit_entry *a)
{
    static const enum command_state states[] = {
        [AUDIT_COMMAND_CONFIRMED - AUDIT_COMMAND_CONFIRMED] = COMMAND_CONFIRMED,
        [AUDIT_COMMAND_REFUSED - AUDIT_COMMAND_CONFIRMED] = COMMAND_REFUSED,
        [AUDIT_COMMAND_EXPIRED - AUDIT_COMMAND_CONFIRMED] = COMMAND_EXPIRED,
        [AUDIT_COMMAND_FAILED - AUDIT_COMMAND_CONFIRMED] = COMMAND_FAILED,
        [AUDIT_COMMAND_UNKNOWN - AUDIT_COMMAND_CONFIRMED] = COMMAND_UNKNOWN,
    };
    c->receipt.state = states[a->kind - AUDIT_COMMAND_CONFIRMED];
    c->receipt.changed_ns = a->utc_ns;
    copy_text(c->receipt.reason, sizeof c->receipt.reason, a->text, sizeof a->text);
    if (c->receipt.state == COMMAND_CONFIRMED) {
        c->receipt.has_after = 1;
        c->receipt.after = a->after;
    }
    if (c->receipt.state == COMMAND_CONFIRMED && c->contract->lease_ms) {
        c->receipt.lease = LEASE_HELD;
        c->receipt.until_ns = a->utc_ns + c->contract->lease_ms * NS_PER_MS;
    } else {
        command_close(e, c);
    }
}

static void take_lease(struct engine *e, struct command *c, const struct audit_entry *a)
{
    if (a->kind == AUDIT_LEASE_RENEWED) {
        c->receipt.until_ns = a->utc_ns + c->contract->lease_ms * NS_PER_MS;
        return;
    }
    c->receipt.lease = a->kind == AUDIT_LEASE_REVERTED ? LEASE_REVERTED
                       : a->kind == AUDIT_LEASE_LEFT   ? LEASE_LEFT
                                                       : LEASE_STUCK;
    c->receipt.until_ns = 0;
    copy_text(c->receipt.reason, sizeof c->receipt.reason, a->text, sizeof a->text);
    command_close(e, c);
}

static void take_entry(void *context, const struct audit_entry *a)
{
    struct engine *e = context;
    struct command *c = find(&e->commands, a->id);
    contracts_recall(e->contracts, a);
    switch_recall(&e->commands.inhibit, a, AUDIT_INHIBIT_SET);
    switch_recall(&e->commands.island, a, AUDIT_ISLAND_SET);
    if (a->kind == AUDIT_BATCH_REQUESTED || a->kind == AUDIT_BATCH_ENDED) {
        batch_recall(&e->commands, a);
    } else if (a->kind == AUDIT_COMMAND_REQUESTED && !c) {
        begin(e, a);
    } else if (c && a->kind == AUDIT_COMMAND_APPROVED) {
        copy_text(c->receipt.approver, sizeof c->receipt.approver, a->who, sizeof a->who);
    } else if (c && a->kind >= AUDIT_COMMAND_CONFIRMED && a->kind <= AUDIT_COMMAND_UNKNOWN) {
        take_end(e, c, a);
    } else if (c && a->kind >= AUDIT_LEASE_RENEWED && a->kind <= AUDIT_LEASE_STUCK) {
        take_lease(e, c, a);
    }
}

/* What our predecessor left open goes on from here. */
static void go_on(struct engine *e, struct command *c)
{
    if (c->receipt.lease == LEASE_HELD) { /* never for longer than it was given */
        int64_t whole = c->contract->lease_ms * NS_PER_MS, left = c->receipt.until_ns - e->utc_ns;
        c->due_ns = e->mono_ns + (left < 0 ? 0 : left > whole ? whole : left);
    } else if (c->contract->approval_ms && !c->receipt.approver[0]) {
        command_end(e, c, COMMAND_EXPIRED,
                    "the gateway was restarted while it waited; nothing was sent");
    } else {
        command_await_proof(e, c, "the gateway was restarted; its value may tell");
    }
}

int commands_recall(struct engine *e)
{
    struct commands *k = &e->commands;
    board_clear(e);
    e->contracts = contracts_new(&e->g->plan);
    int err = !e->contracts ? ERR_NOMEM : e->audit ? audit_recall(e->audit, take_entry, e) : ERR_OK;
    if (!err) {
        contracts_tell(e, e->contracts);
    }
    contracts_free(e->contracts);
    e->contracts = NULL;
    island_begin(e);
    for (uint32_t i = 0; !err && i < k->open_count;) {
        uint32_t count = k->open_count;
        if (k->open[i].tag) {
            k->open[i].tag->awaited = 1;
        }
        go_on(e, k->open + i);
        i += k->open_count == count;
    }
    return err;
}
