/* SPDX-License-Identifier: Apache-2.0 */
/* A north box at the reader. Nothing it writes is believed: an ask is copied, then each field is checked where it is
 * used; a ring that contradicts itself is not touched again until the box is restarted. An answer is put whole or not
 * at all, and every request keeps its place until its end fits, so there is no queue behind the ring. */
#include "reader/core.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_SLOTS  (1u + (sizeof(struct answer) + sizeof(struct slot) - 1) / sizeof(struct slot))
#define TAKE_SLOTS    512u
#define ASKS_PER_STEP 1024u

static void attach(struct link *link)
{
    const struct seat *s = link->seat;
    link->broken = ring_consumer_init(&link->asks, s->ask, s->ask_capacity, s->ask_tail) != 0 ||
                   ring_producer_init(&link->answers, s->answer, s->answer_capacity, s->answer_tail,
                                      s->from_reader_write) != 0;
    if (link->broken) {
        verdict_raise(s->reader_verdict, link->epoch, "its rings' positions can't be true");
    }
}

int link_init(struct link *link, struct reader_core *core, uint32_t box)
{
    const struct plan_box *b = core->plan->boxes + box;
    const char *access = plan_option(core->plan, b->first_option, b->option_count, "access");
    const char *audit = plan_option(core->plan, b->first_option, b->option_count, "audit");
    link->signed_in = access && !strcmp(access, "signed_in");
    link->audit = audit && !strcmp(audit, "all");
    link->box = box;
    link->core = core;
    flows_attach(core, link);
    link->seat = core->g->seats + SEAT_BOX + box;
    link->epoch = atomic_load(&link->seat->panel->epoch);
    attach(link);
    return scope_of_box(&link->scope, core->plan, box, core->utc_ns);
}

void request_release(struct reader_core *core, struct request *r)
{
    scope_release(r->narrow);
    walk_return(core, r->walk);
    past_free(r->past);
    shelf_release(r->shelf);
    free(r->notes);
    free(r->causes);
    sql_release(r);
    r->narrow = NULL;
    r->walk = NULL;
    r->past = NULL;
    r->shelf = NULL;
    r->notes = NULL;
    r->causes = NULL;
}

static void drop_requests(struct link *link, struct reader_core *core)
{
    for (uint32_t i = 0; i < link->request_count; i++) {
        request_release(core, link->requests + i);
    }
    link->request_count = 0;
}

void link_fini(struct link *link, struct reader_core *core)
{
    drop_requests(link, core);
    for (uint32_t i = 0; i < NARROW_MAX; i++) {
        scope_fini(&link->narrow[i].scope);
    }
    scope_fini(&link->scope);
}

void link_attach(struct link *link, struct reader_core *core)
{
    uint64_t epoch = atomic_load_explicit(&link->seat->panel->epoch, memory_order_acquire);
    if (epoch == link->epoch) {
        return;
    }
    link->epoch = epoch;
    drop_requests(link, core);
    attach(link);
    for (uint32_t i = 0; i < core->feed_count; i++) {
        if (core->plan->feeds[i].box == link->box) {
            feed_down(core->feeds + i);
        }
    }
}

static void put_end(struct link *link, const struct ask *ask, int error, struct cursor_range covers,
                    bool more, uint64_t lost)
{
    struct slot head = {.tag = record_tag(RECORD_ANSWER)};
    struct answer a = {.kind = ANSWER_END,
                       .request = ask->request,
                       .covers = covers,
                       .error = (uint32_t)-error,
                       .more = more,
                       .lost = lost};
    int err = ring_put_record(&link->answers, &head, &a, sizeof a);
    (void)err; /* the caller has looked for room */
}

/* The supervisor stops and restarts who writes garbage; until then nothing of it is heard. */
static void condemn(struct link *link, struct reader_core *core, const char *reason)
{
    link->broken = true;
    core->broken = link->seat->name;
    drop_requests(link, core);
    verdict_raise(link->seat->reader_verdict, link->epoch, reason);
}

struct request *link_find(struct link *link, uint32_t request)
{
    for (uint32_t i = 0; i < link->request_count; i++) {
        if (link->requests[i].ask.request == request) {
            return link->requests + i;
        }
    }
    return NULL;
}

/* About a request under way. One that has ended meanwhile is no mistake. */
static bool take_more(struct link *link, const struct ask *ask, const uint8_t *text, size_t size)
{
    struct request *r = link_find(link, ask->request);
    if (ask->kind == ASK_TEXT) {
        return !r || sql_take_text(r, text, size);
    }
    if (r && ask->kind == ASK_TAKE) {
        r->take += ask->max_records;
    } else if (r) {
        r->cancelled = true;
    }
    return size == 0;
}

/* How the journal stands is told to anybody: it says nothing of the plant, and whether the gateway is ready. */
static bool may_ask(const struct link *link, const struct ask *ask, const struct session *session)
{
    if (ask->kind ==
        ASK_AUDIT) { /* it is no value of the plant: to see all of that is not enough */
        return link->audit || (session && role_may(session->role, RIGHT_AUDIT));
    }
    if (ask->kind == ASK_SEARCH || ask->kind == ASK_PROOF) {
        return session && role_may(session->role, RIGHT_AUDIT);
    }
    return !link->signed_in || ask->kind == ASK_JOURNAL ||
           (session && role_may(session->role, ask->kind == ASK_SQL ? RIGHT_SQL : RIGHT_READ));
}

/* A new request. 1, 0 or negative as below. */
static int begin_request(struct link *link, struct reader_core *core, const struct ask *ask,
                         const uint8_t *behind, size_t size)
{
    static const uint8_t none[SESSION_ID_SIZE];
    struct session found;
    bool known =
        memcmp(ask->session, none, sizeof none) != 0 &&
        session_find(&core->g->identity->sessions, ask->session, link->box, core->mono_ns, &found);
    int err = may_ask(link, ask, known ? &found : NULL) ? ERR_OK : ERR_PERMISSION;
    err = !err && link->request_count == REQUESTS_MAX ? ERR_FULL : err;
    struct narrow *narrow = NULL;
    const struct scope *scope =
        err ? NULL : scope_for(link, core->plan, known ? &found : NULL, &narrow);
    if (scope) {
        struct request *r = link->requests + link->request_count++;
        *r = (struct request){
            .ask = *ask, .asked_ns = core->mono_ns, .scope = scope, .narrow = narrow};
        bool good = ask->kind == ASK_SQL      ? sql_take_ask(r, behind, size)
                    : ask->kind == ASK_SEARCH ? search_take_ask(r, behind, size)
                                              : true;
        return good ? 1 : ERR_GARBAGE;
    }
    if (ring_room(&link->answers) < ANSWER_SLOTS) {
        core->crowded = true;
        return 0;
    }
    put_end(link, ask, err ? err : ERR_FULL, (struct cursor_range){0}, false, 0);
    return 1;
}

/* 1: taken; 0: it cannot be now; negative: no box that is sound says this. */
static int take_ask(struct link *link, struct reader_core *core, const struct slot *s)
{
    struct ask ask;
    if (s->tag != record_tag(RECORD_ASK) || s->value.u64 < sizeof ask) {
        return ERR_GARBAGE;
    }
    memcpy(&ask, slot_payload(s), sizeof ask);
    const uint8_t *behind = slot_payload(s) + sizeof ask;
    size_t size = (size_t)s->value.u64 - sizeof ask;
    if (ask.kind == ASK_TEXT || ask.kind == ASK_TAKE || ask.kind == ASK_CANCEL) {
        return take_more(link, &ask, behind, size) ? 1 : ERR_GARBAGE;
    }
    if (size && ask.kind != ASK_SQL && ask.kind != ASK_SEARCH) {
        return ERR_GARBAGE;
    }
    if (ask.kind == ASK_FEED_CONFIRM) {
        if (ask.feed >= core->feed_count || core->plan->feeds[ask.feed].box != link->box) {
            return ERR_GARBAGE;
        }
        feed_confirm(core->feeds + ask.feed, ask.confirm, core->utc_ns);
        return 1;
    }
    return begin_request(link, core, &ask, behind, size);
}

/* Takes the whole records of `slots`. How many slots were used, or garbage. */
static int take_asks(struct link *link, struct reader_core *core, const struct slot *slots,
                     size_t count, bool *stuck)
{
    size_t at = 0;
    while (at < count && !*stuck) {
        size_t length = slot_record_length(slots + at);
        if (!length) {
            return ERR_GARBAGE;
        }
        if (at + length > count) {
            break;
        }
        int taken = take_ask(link, core, slots + at);
        if (taken < 0) {
            return taken;
        }
        *stuck = !taken;
        at += taken ? length : 0;
    }
    return (int)at;
}

void link_take(struct link *link, struct reader_core *core)
{
    struct slot slots[TAKE_SLOTS];
    bool stuck = false;
    for (uint32_t taken = 0; !link->broken && !stuck && taken < ASKS_PER_STEP * 4;) {
        int count = ring_take(&link->asks, slots, TAKE_SLOTS);
        int used = count > 0 ? take_asks(link, core, slots, (size_t)count, &stuck) : count;
        if (used < 0 || (count > 0 && used == 0 && !stuck)) {
            condemn(link, core,
                    count < 0 ? "its ask ring's position can't be true" : "a request is malformed");
            return;
        }
        if (count == 0) {
            return;
        }
        ring_step_back(&link->asks, (size_t)(count - used));
        ring_release(&link->asks, link->asks.next);
        taken += (uint32_t)used;
    }
    core->more |= !link->broken && !stuck;
}

void link_sweep(struct link *link, struct reader_core *core)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < link->request_count; i++) {
        struct request *r = link->requests + i;
        if (r->done) {
            request_release(core, r);
        } else {
            if (kept != i) {
                link->requests[kept] = *r;
            }
            kept++;
        }
    }
    link->request_count = kept;
}

size_t link_room(struct link *link, struct reader_core *core)
{
    uint64_t room = ring_room(&link->answers);
    if (room < 2 * ANSWER_SLOTS + SLOT_RECORD_MAX) {
        core->crowded = true;
        return 0;
    }
    return (size_t)room - 2 * ANSWER_SLOTS;
}

void link_run(struct link *link, const struct request *r, const struct walk_run *run,
              uint32_t flags)
{
    struct slot head = {.tag = record_tag(RECORD_ANSWER)};
    struct answer a = {.kind = ANSWER_RUN,
                       .request = r->ask.request,
                       .flags = flags,
                       .count = run->records,
                       .epoch = run->epoch,
                       .first_sequence = run->first_sequence};
    int err = ring_put_record(&link->answers, &head, &a, sizeof a);
    if (!err) {
        err = ring_put(&link->answers, run->slots, run->slot_count);
    }
    flows_samples(link, run->slots, run->slot_count);
    (void)err; /* the caller has looked for room */
}

bool link_row(struct link *link, struct reader_core *core, const struct request *r, const void *row,
              size_t size)
{
    uint8_t payload[SLOT_PAYLOAD_MAX];
    struct answer a = {.kind = ANSWER_ROW, .request = r->ask.request};
    if (size > ANSWER_ROW_MAX || !link_room(link, core)) {
        return false;
    }
    memcpy(payload, &a, sizeof a);
    memcpy(payload + sizeof a, row, size);
    struct slot head = {.tag = record_tag(RECORD_ANSWER)};
    return ring_put_record(&link->answers, &head, payload, sizeof a + size) == 0;
}

bool link_end(struct link *link, struct reader_core *core, struct request *r, int error,
              struct cursor_range covers, bool more)
{
    if (ring_room(&link->answers) < ANSWER_SLOTS) {
        core->crowded = true;
        return false;
    }
    if (error == ERR_REFUSED && r->ask.tag) {
        flows_refused(link, r->ask.tag);
    }
    put_end(link, &r->ask, error, covers, more, r->walk ? r->walk->lost : 0);
    r->done = true;
    return true;
}
