/* SPDX-License-Identifier: Apache-2.0 */
/* Asks and answers. A request's number is (count << 9 | place in the table), so that an answer finds its handler at
 * once and a late answer to a former request finds nothing. Place SERVICE_ASKS_MAX means: no answer is expected.
 *
 * A reader that died may leave a run without its last records; the next answer head then ends it, for a run never
 * holds RECORD_ANSWER. The reader publishes whole records only. */
#include "box/north.h"

#include <string.h>

#include "base/clock.h"

#define PLACE_BITS 9u
#define PLACE_MASK ((1u << PLACE_BITS) - 1)

int north_link_init(struct service_host *host)
{
    const struct seat *s = host->seat;
    int err =
        ring_producer_init(&host->ask, s->ask, s->ask_capacity, s->ask_tail, s->to_reader_write);
    if (!err) {
        err = ring_consumer_init(&host->answer, s->answer, s->answer_capacity, s->answer_tail);
    }
    /* our predecessor's requests may still be answered: begin far from its numbers */
    host->ask_count = (uint32_t)atomic_load(&s->panel->epoch) << 14;
    host->reader_epoch = atomic_load(&host->g->seats[SEAT_READER].panel->epoch);
    return err;
}

static uint32_t free_place(const struct service_host *host)
{
    for (uint32_t i = 0; i < SERVICE_ASKS_MAX; i++) {
        if (!host->asks[i].request) {
            return i;
        }
    }
    return SERVICE_ASKS_MAX;
}

static int put_ask(struct service_host *host, const void *ask, size_t size)
{
    const struct slot head = {.time = clock_utc_ns(), .tag = record_tag(RECORD_ASK)};
    return ring_put_record(&host->ask, &head, ask, size);
}

/* Gives the ask its number and a place. */
static int number_ask(struct service_host *host, struct ask *ask, uint32_t *place)
{
    bool answered = ask->kind != ASK_FEED_CONFIRM;
    *place = answered ? free_place(host) : SERVICE_ASKS_MAX;
    if (answered && *place == SERVICE_ASKS_MAX) {
        return ERR_FULL;
    }
    uint32_t count = (host->ask_count + 1) & (UINT32_MAX >> (PLACE_BITS + 1));
    count += !count;
    ask->request = count << PLACE_BITS | *place;
    return ERR_OK;
}

static int keep_ask(struct service_host *host, const struct ask *ask, uint32_t place,
                    const struct answer_handler *handler)
{
    host->ask_count = ask->request >> PLACE_BITS;
    if (place < SERVICE_ASKS_MAX) {
        host->asks[place] = (struct north_ask){
            .request = ask->request, .query = ask->kind == ASK_SQL || ask->kind == ASK_HISTORY};
        if (handler) {
            host->asks[place].handler = *handler;
        }
    }
    return (int)ask->request;
}

int service_ask(struct service_host *host, struct ask *ask, const struct answer_handler *handler)
{
    uint32_t place;
    int err = number_ask(host, ask, &place);
    err = err ? err : put_ask(host, ask, sizeof *ask);
    return err ? err : keep_ask(host, ask, place, handler);
}

int service_ask_sql(struct service_host *host, struct ask *ask, const struct ask_sql *sql,
                    const char *text, size_t size, const struct answer_handler *handler)
{
    uint8_t payload[SLOT_PAYLOAD_MAX];
    struct ask_sql head = *sql;
    uint32_t place;
    if (size > SQL_TEXT_MAX) {
        return ERR_TOO_LONG;
    }
    ask->kind = ASK_SQL;
    int err = number_ask(host, ask, &place);
    if (err || ring_room(&host->ask) < (size / ASK_TEXT_MAX + 1) * SLOT_RECORD_MAX) {
        return ERR_FULL;
    }
    head.text_size = (uint32_t)size;
    memcpy(payload, ask, sizeof *ask);
    memcpy(payload + sizeof *ask, &head, sizeof head);
    size_t before = sizeof *ask + sizeof head;
    struct ask more = {.kind = ASK_TEXT, .request = ask->request};
    for (size_t at = 0; !err && (at < size || before != sizeof more);) {
        size_t n = size - at < ASK_TEXT_MAX ? size - at : ASK_TEXT_MAX;
        memcpy(payload + before, text + at, n);
        err = put_ask(host, payload, before + n);
        at += n;
        memcpy(payload, &more, sizeof more);
        before = sizeof more;
    }
    return err ? err : keep_ask(host, ask, place, handler);
}

int service_ask_search(struct service_host *host, struct ask *ask, const struct ask_search *search,
                       const struct answer_handler *handler)
{
    uint8_t payload[sizeof *ask + sizeof *search];
    uint32_t place;
    ask->kind = ASK_SEARCH;
    int err = number_ask(host, ask, &place);
    memcpy(payload, ask, sizeof *ask);
    memcpy(payload + sizeof *ask, search, sizeof *search);
    err = err ? err : put_ask(host, payload, sizeof payload);
    return err ? err : keep_ask(host, ask, place, handler);
}

static struct north_ask *find(struct service_host *host, uint32_t request)
{
    uint32_t place = request & PLACE_MASK;
    return request && place < SERVICE_ASKS_MAX && host->asks[place].request == request
               ? host->asks + place
               : NULL;
}

/* What the reader is to be told of a request, as soon as there is room to do so. */
static void tell(struct service_host *host, struct north_ask *a)
{
    struct ask more = {.request = a->request};
    if (a->cancel) {
        more.kind = ASK_CANCEL;
        a->cancel = put_ask(host, &more, sizeof more) != 0;
    } else if (a->take) {
        more.kind = ASK_TAKE;
        more.max_records = a->take;
        a->take = put_ask(host, &more, sizeof more) ? a->take : 0;
    }
}

void service_forget(struct service_host *host, uint32_t request)
{
    struct north_ask *a = find(host, request);
    if (a) {
        a->forgotten = true;
        a->cancel = a->query;
        tell(host, a);
    }
}

void service_take(struct service_host *host, uint32_t request, uint32_t bytes)
{
    struct north_ask *a = find(host, request);
    if (a && a->query) {
        a->take += bytes;
        tell(host, a);
    }
}

static void on_end(struct service_host *host, const struct answer *end)
{
    struct north_ask *a = find(host, end->request);
    if (a) {
        struct north_ask done = *a;
        a->request = 0; /* free: the call-back may ask again */
        if (!done.forgotten && done.handler.end) {
            done.handler.end(done.handler.context, end);
        }
    }
}

static void on_answer(struct service_host *host, const uint8_t *payload, size_t size)
{
    struct answer a;
    host->run_left = 0;
    if (size < sizeof a) {
        return;
    }
    memcpy(&a, payload, sizeof a);
    if (a.kind == ANSWER_RUN) {
        host->run = a;
        host->run_left = a.count;
    } else if (a.kind == ANSWER_END) {
        on_end(host, &a);
    } else if (a.kind == ANSWER_ROW) {
        struct north_ask *ask = find(host, a.request);
        if (ask && !ask->forgotten && ask->handler.row) {
            ask->handler.row(ask->handler.context, payload + sizeof a, size - sizeof a);
        }
    }
}

static void on_record(struct service_host *host, const struct slot *slots, size_t count)
{
    if (!host->run_left) {
        return; /* the rest of a run that another reader has begun */
    }
    struct north_ask *ask = find(host, host->run.request);
    if (ask && !ask->forgotten && ask->handler.record) {
        ask->handler.record(ask->handler.context, &host->run, slots, count);
    }
    host->run.first_sequence++;
    host->run_left--;
}

static void on_word(struct service_host *host, const struct slot *s, size_t count)
{
    if (s->tag == record_tag(RECORD_ANSWER)) {
        on_answer(host, slot_payload(s), (size_t)s->value.u64);
    } else {
        on_record(host, s, count);
    }
}

int north_link_take(struct service_host *host)
{
    return north_take(host, &host->answer, on_word);
}

void north_link_watch(struct service_host *host)
{
    uint64_t epoch =
        atomic_load_explicit(&host->g->seats[SEAT_READER].panel->epoch, memory_order_acquire);
    if (epoch == host->reader_epoch) {
        for (uint32_t i = 0; i < SERVICE_ASKS_MAX; i++) {
            if (host->asks[i].request) {
                tell(host, host->asks + i);
            }
        }
        return;
    }
    host->reader_epoch = epoch;
    host->run_left = 0;
    uint32_t under_way[SERVICE_ASKS_MAX];
    for (uint32_t i = 0; i < SERVICE_ASKS_MAX; i++) {
        under_way[i] = host->asks[i].request;
    }
    for (uint32_t i = 0; i < SERVICE_ASKS_MAX; i++) {
        struct answer end = {
            .kind = ANSWER_END, .request = under_way[i], .error = (uint32_t)-ERR_CLOSED};
        on_end(host, &end); /* finds nothing for 0 */
    }
}
