/* SPDX-License-Identifier: Apache-2.0 */
/* Stored values, commands and events: what a north box has to say to the engine.
 *
 * When the engine restarts, the answers to what it had already made durable may be lost. So stores and fetches under
 * way are kept and sent again, in their order; storing twice does no harm, and an older store is never sent after a
 * newer one of the same key is durable (the newer one's answer ends both). A command is never sent again: it ends
 * unknown, and its caller may ask with the same id. */
#include "box/north.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

int north_engine_init(struct service_host *host)
{
    const struct seat *s = host->seat;
    int err = ring_producer_init(&host->up, s->up, s->up_capacity, s->up_tail, s->to_engine_write);
    if (!err) {
        err = ring_consumer_init(&host->down, s->down, s->down_capacity, s->down_tail);
    }
    /* our predecessor's requests may still be answered: begin far from its numbers */
    host->store_count = (uint32_t)atomic_load(&s->panel->epoch) << 16;
    host->engine_epoch = atomic_load(&host->g->engine->panel.epoch);
    return err;
}

static int send_store(struct service_host *host, const struct north_store *s)
{
    uint8_t payload[sizeof(struct record_store) + STORE_VALUE_MAX];
    struct record_store head = {.size = (uint32_t)s->size};
    memcpy(head.key, s->key, sizeof head.key);
    memcpy(payload, &head, sizeof head);
    memcpy(payload + sizeof head, s->value, s->size);
    struct slot slot = {.time = clock_utc_ns(),
                        .tag = record_tag(s->fetch ? RECORD_FETCH : RECORD_STORE),
                        .status = s->request};
    return ring_put_record(&host->up, &slot, payload, sizeof head + s->size);
}

static struct north_store *free_store(struct service_host *host)
{
    for (uint32_t i = 0; i < NORTH_STORES_MAX; i++) {
        if (!host->stores[i].request) {
            return host->stores + i;
        }
    }
    return NULL;
}

static int begin_store(struct service_host *host, bool fetch, const char *key, const void *value,
                       size_t size, service_store_done *done, void *context)
{
    struct north_store *s = free_store(host);
    size_t length = strlen(key);
    if (!length || length >= STORE_KEY_MAX || size > STORE_VALUE_MAX) {
        return ERR_TOO_LONG;
    }
    if (!s) {
        return ERR_FULL;
    }
    host->store_count = host->store_count == UINT32_MAX ? 1 : host->store_count + 1;
    *s = (struct north_store){.request = host->store_count,
                              .fetch = fetch,
                              .size = size,
                              .done = done,
                              .context = context};
    memcpy(s->key, key, length);
    if (size) {
        memcpy(s->value, value, size);
    }
    int err = host->resend ? ERR_OK : send_store(host, s); /* else it goes with the others */
    if (err) {
        s->request = 0;
    }
    return err;
}

int service_store(struct service_host *host, const char *key, const void *value, size_t size,
                  service_store_done *done, void *context)
{
    return begin_store(host, false, key, value, size, done, context);
}

int service_fetch(struct service_host *host, const char *key, service_store_done *done,
                  void *context)
{
    return begin_store(host, true, key, NULL, 0, done, context);
}

static int send_command(struct service_host *host, enum record_kind kind, const void *payload,
                        size_t size, const struct north_command *what)
{
    struct north_command *c = NULL;
    for (uint32_t i = 0; i < NORTH_COMMANDS_MAX && !c; i++) {
        c = host->commands[i].used ? NULL : host->commands + i;
    }
    if (!c) {
        return ERR_FULL;
    }
    struct slot slot = {.time = clock_utc_ns(), .tag = record_tag(kind)};
    int err = ring_put_record(&host->up, &slot, payload, size);
    if (!err) {
        *c = *what;
    }
    return err;
}

int service_command(struct service_host *host, const struct record_command *command,
                    service_command_done *done, void *context)
{
    const struct north_command what = {
        .used = true, .command = *command, .done = done, .context = context};
    return send_command(host, RECORD_COMMAND, command, sizeof *command, &what);
}

int service_batch(struct service_host *host, const struct record_commands *batch,
                  const struct record_part *parts, service_command_done *done, void *context)
{
    uint8_t payload[sizeof *batch + BATCH_MAX * sizeof *parts];
    struct north_command what = {
        .used = true, .command.act = batch->act, .done = done, .context = context};
    if (!batch->count || batch->count > BATCH_MAX) {
        return ERR_RANGE;
    }
    memcpy(what.command.id, batch->id, sizeof what.command.id);
    memcpy(payload, batch, sizeof *batch);
    memcpy(payload + sizeof *batch, parts, batch->count * sizeof *parts);
    return send_command(host, RECORD_COMMANDS, payload,
                        sizeof *batch + batch->count * sizeof *parts, &what);
}

void service_event(struct service_host *host, enum event_kind kind, const char *text)
{
    struct record_event event = {.box = host->box, .device = UINT32_MAX};
    size_t length = strnlen(text, sizeof event.text);
    memcpy(event.text, text, length);
    struct slot slot = {.time = clock_utc_ns(), .tag = record_tag(RECORD_EVENT), .status = kind};
    if (ring_put_record(&host->up, &slot, &event, sizeof event)) {
        service_log(host, "no room to report: %s: %s", event_name(kind), text);
    }
}

static void end_store(struct north_store *s, int error, const void *value, size_t size)
{
    service_store_done *done = s->done;
    s->request = 0; /* free: the call-back may store again */
    if (done) {
        done(s->context, error, value, size);
    }
}

/* Requests count up; a difference over half the range means that the count has wrapped. */
static bool is_older(uint32_t a, uint32_t b)
{
    return a - b > UINT32_MAX / 2;
}

static void on_stored(struct service_host *host, uint32_t request, const uint8_t *payload,
                      size_t size)
{
    struct record_store head;
    if (!request || size < sizeof head) {
        return;
    }
    memcpy(&head, payload, sizeof head);
    struct north_store *found = NULL;
    for (uint32_t i = 0; i < NORTH_STORES_MAX; i++) {
        struct north_store *s = host->stores + i;
        found = s->request == request ? s : found;
    }
    if (!found) {
        return;
    }
    size_t length = size - sizeof head < head.size ? size - sizeof head : head.size;
    int error = head.error > INT32_MAX ? ERR_MALFORMED : -(int)head.error;
    for (uint32_t i = 0; i < NORTH_STORES_MAX && !found->fetch && !error; i++) {
        struct north_store *s = host->stores + i;
        if (s->request && !s->fetch && is_older(s->request, request) &&
            !memcmp(s->key, found->key, sizeof s->key)) {
            end_store(s, 0, NULL, 0);
        }
    }
    if (found->request == request) {
        end_store(found, error, payload + sizeof head, length);
    }
}

/* Whether the caller has what it waits for: an end, a wait for somebody else, or an answer to what it asked of a command. */
static bool is_answer(const struct north_command *c, const struct record_receipt *r)
{
    return c->command.act != COMMAND_WRITE
               ? r->act == c->command.act
               : command_has_ended(r->state) || r->state == COMMAND_WAITING;
}

static void on_receipt(struct service_host *host, const uint8_t *payload, size_t size)
{
    struct record_receipt receipt;
    if (size < sizeof receipt) {
        return;
    }
    memcpy(&receipt, payload, sizeof receipt);
    receipt.reason[sizeof receipt.reason - 1] = '\0';
    receipt.who[sizeof receipt.who - 1] = '\0';
    receipt.approver[sizeof receipt.approver - 1] = '\0';
    for (uint32_t i = 0; i < NORTH_COMMANDS_MAX; i++) {
        struct north_command *c = host->commands + i;
        if (c->used && !memcmp(c->command.id, receipt.id, sizeof receipt.id) &&
            is_answer(c, &receipt)) {
            c->used = false;
            c->done(c->context, &receipt);
        }
    }
}

static void on_word(struct service_host *host, const struct slot *s, size_t count)
{
    (void)count;
    if (s->tag == record_tag(RECORD_STORED)) {
        on_stored(host, s->status, slot_payload(s), (size_t)s->value.u64);
    } else if (s->tag == record_tag(RECORD_RECEIPT)) {
        on_receipt(host, slot_payload(s), (size_t)s->value.u64);
    } else if (s->tag == record_tag(RECORD_ITEM) || s->tag == record_tag(RECORD_BROWSED)) {
        north_browse_word(host, s);
    } else if (s->tag == record_tag(RECORD_SIGNED)) {
        north_sign_word(host, s);
    } else if (s->tag == record_tag(RECORD_VOUCH)) {
        north_vouch_word(host, s);
    }
}

int north_engine_take(struct service_host *host)
{
    return north_take(host, &host->down, on_word);
}

static void end_commands(struct service_host *host)
{
    for (uint32_t i = 0; i < NORTH_COMMANDS_MAX; i++) {
        struct north_command *c = host->commands + i;
        if (c->used) {
            struct record_receipt receipt = {.tag = c->command.tag,
                                             .type = c->command.type,
                                             .value = c->command.value,
                                             .act = c->command.act,
                                             .state = COMMAND_UNKNOWN,
                                             .reason = "the engine has restarted: ask again for "
                                                       "the receipt of this id"};
            memcpy(receipt.id, c->command.id, sizeof receipt.id);
            c->used = false;
            c->done(c->context, &receipt);
        }
    }
}

/* The oldest store that is younger than `request`, or NULL. */
static struct north_store *next_store(struct service_host *host, const struct north_store *after)
{
    struct north_store *next = NULL;
    for (uint32_t i = 0; i < NORTH_STORES_MAX; i++) {
        struct north_store *s = host->stores + i;
        if (s->request && (!after || is_older(after->request, s->request)) &&
            (!next || is_older(s->request, next->request))) {
            next = s;
        }
    }
    return next;
}

void north_engine_watch(struct service_host *host)
{
    struct panel *panel = &host->g->engine->panel;
    uint64_t epoch = atomic_load_explicit(&panel->epoch, memory_order_acquire);
    if (epoch != host->engine_epoch) {
        host->engine_epoch = epoch;
        host->resend = true;
        end_commands(host);
        north_browse_watch(host, "the engine has restarted");
        north_sign_watch(host, true);
    }
    if (!host->resend || !atomic_load_explicit(&panel->ready, memory_order_acquire)) {
        return;
    }
    size_t need = 0;
    for (struct north_store *s = NULL; (s = next_store(host, s));) {
        need += slot_count_for(sizeof(struct record_store) + s->size);
    }
    if (ring_room(&host->up) < need) {
        return; /* all in their order, or later */
    }
    host->resend = false;
    for (struct north_store *s = NULL; (s = next_store(host, s));) {
        if (send_store(host, s)) {
            break; /* can't be: room was counted */
        }
    }
}
