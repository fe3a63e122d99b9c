/* SPDX-License-Identifier: Apache-2.0 */
/* The driver against scripted servers on the same loop: a correct one, and ones that lose, mix up, refuse, drip, or
 * send garbage. A fake host keeps the account that the real one would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include <isthmus/driver.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "south/modbus/pdu.h"
#include "tag/status.h"

#define TAGS_MAX    64u
#define DEADLINE_NS (10 * NS_PER_S)

enum manner {
    CORRECT,
    ONE_AT_A_TIME, /* of requests that come together only the first is answered */
    BACKWARDS,     /* of requests that come together the last is answered first */
    DRIP,          /* one byte per write */
    GARBAGE,
    WRONG_TRANSACTION,
    ENDLESS,
    SILENT,
    HALF_FRAME, /* then closes */
    MANNERS
};

struct world {
    uv_loop_t loop;
    uv_tcp_t listener, peer;
    bool connected;
    enum manner manner;
    uint8_t dead_unit;
    uint16_t illegal_from, illegal_to; /* registers that the server refuses */
    uint16_t registers[1000];
    uint8_t coils[125];
    char address[32];
    uint64_t served, accepted, writes;

    struct isthmus_host host;
    const struct isthmus_driver *driver;
    void *device;
    bool closed;
    uint32_t state;
    char reason[96];
    uint64_t good[TAGS_MAX], bad[TAGS_MAX], gaps[TAGS_MAX];
    struct isthmus_sample last[TAGS_MAX];
    char text[TAGS_MAX][64];
    uint64_t device_gaps, ended, items, told;
    uint32_t job_status;
    struct isthmus_figures figures;
    struct isthmus_tag tags[TAGS_MAX];
    struct isthmus_setting settings[16];
    struct isthmus_device_config config;
};

/* ---- the server ---- */

static void send_all(struct world *w, const uint8_t *data, size_t size)
{
    size_t step = w->manner == DRIP ? 1 : size;
    for (size_t at = 0; at < size; at += step) {
        uv_buf_t buf = uv_buf_init((char *)data + at, (unsigned)step);
        int n = uv_try_write((uv_stream_t *)&w->peer, &buf, 1);
        (void)n; /* a peer that went away is the driver's affair */
    }
}

static void serve_one(struct world *w, const uint8_t *q, size_t size)
{
    uint8_t memory[MODBUS_FRAME_MAX];
    struct writer out = writer_of(memory, sizeof memory);
    struct reader in = reader_of(q, size);
    uint16_t transaction = read_u16be(&in);
    read_u32be(&in);
    uint8_t unit = read_u8(&in), function = read_u8(&in);
    uint16_t start = read_u16be(&in), count = read_u16be(&in);
    w->served++;
    w->writes += function == MODBUS_WRITE_REGISTERS || function == MODBUS_WRITE_REGISTER;
    if (unit == w->dead_unit && unit) {
        return;
    }
    if (w->manner == WRONG_TRANSACTION) {
        transaction ^= 0x5555;
    }
    write_u16be(&out, transaction);
    write_u16be(&out, 0);
    if (function >= 3 && function <= 4 && start < w->illegal_to &&
        start + count > w->illegal_from) {
        write_u16be(&out, 3);
        write_u8(&out, unit);
        write_u8(&out, function | 0x80);
        write_u8(&out, 2);
    } else if (function <= 2) {
        size_t bytes = (count + 7u) / 8;
        write_u16be(&out, (uint16_t)(3 + bytes));
        write_u8(&out, unit);
        write_u8(&out, function);
        write_u8(&out, (uint8_t)bytes);
        for (size_t i = 0; i < bytes; i++) {
            uint8_t b = 0;
            for (size_t k = 0; k < 8 && i * 8 + k < count; k++) {
                size_t bit = start + i * 8 + k;
                b = (uint8_t)(b | (w->coils[bit / 8] >> (bit % 8) & 1) << k);
            }
            write_u8(&out, b);
        }
    } else if (function <= 4) {
        write_u16be(&out, (uint16_t)(3 + count * 2));
        write_u8(&out, unit);
        write_u8(&out, function);
        write_u8(&out, (uint8_t)(count * 2));
        for (size_t i = 0; i < count; i++) {
            write_u16be(&out, w->registers[(start + i) % 1000]);
        }
    } else if (function == MODBUS_WRITE_REGISTER || function == MODBUS_WRITE_COIL) {
        w->registers[start % 1000] = count;
        write_bytes(&out, q + 4, 8);
    } else if (function == MODBUS_MASK_WRITE) {
        uint16_t or_mask = read_u16be(&in), *r = w->registers + start % 1000;
        *r = (uint16_t)((*r & count) | (or_mask & ~count));
        write_bytes(&out, q + 4, 10);
    } else if (function == MODBUS_WRITE_REGISTERS) {
        read_u8(&in);
        for (size_t i = 0; i < count; i++) {
            w->registers[(start + i) % 1000] = read_u16be(&in);
        }
        write_u16be(&out, 6);
        write_bytes(&out, q + 6, 6);
    } else if (function == MODBUS_IDENTIFY) {
        static const uint8_t identity[] = {14, 1, 1, 0, 0, 2, 0, 3, 'a', 'b', 'c', 1, 1, 'x'};
        write_u16be(&out, 2 + sizeof identity);
        write_u8(&out, unit);
        write_u8(&out, function);
        write_bytes(&out, identity, sizeof identity);
    }
    size_t length = w->manner == HALF_FRAME ? 9 : writer_used(&out);
    send_all(w, memory, length);
}

static void on_peer_closed(uv_handle_t *handle)
{
    struct world *w = handle->data;
    w->connected = false;
}

static void drop_peer(struct world *w)
{
    if (w->connected && !uv_is_closing((uv_handle_t *)&w->peer)) {
        uv_close((uv_handle_t *)&w->peer, on_peer_closed);
    }
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char memory[65536];
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(memory, sizeof memory);
}

static void on_requests(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct world *w = stream->data;
    static uint8_t garbage[4096];
    if (n < 0) {
        drop_peer(w);
        return;
    }
    if (w->manner == SILENT) {
        return;
    }
    if (w->manner == GARBAGE || w->manner == ENDLESS) {
        for (size_t i = 0; i < sizeof garbage; i++) {
            garbage[i] = w->manner == GARBAGE ? (uint8_t)rand() : (uint8_t)(i % 12 == 5 ? 6 : 0);
        }
        send_all(w, garbage, sizeof garbage);
        return;
    }
    const uint8_t *q = (const uint8_t *)buf->base;
    size_t starts[64], count = 0;
    for (size_t at = 0; at + 6 <= (size_t)n && count < 63;) {
        starts[count++] = at;
        at += 6u + (size_t)(q[at + 4] << 8 | q[at + 5]);
        starts[count] = at;
    }
    size_t answer = w->manner == ONE_AT_A_TIME && count > 1 ? 1 : count;
    for (size_t i = 0; i < answer; i++) {
        size_t k = w->manner == BACKWARDS ? count - 1 - i : i;
        size_t end = k + 1 < count ? starts[k + 1] : (size_t)n;
        serve_one(w, q + starts[k], end - starts[k]);
    }
    if (w->manner == HALF_FRAME) {
        drop_peer(w);
    }
}

static void on_client(uv_stream_t *listener, int status)
{
    struct world *w = listener->data;
    (void)status;
    if (w->connected) { /* the old one goes first; the client tries again */
        uv_tcp_t *extra = malloc(sizeof *extra);
        uv_tcp_init(&w->loop, extra);
        if (!uv_accept(listener, (uv_stream_t *)extra)) {
            uv_close((uv_handle_t *)extra, (uv_close_cb)free);
        }
        return;
    }
    uv_tcp_init(&w->loop, &w->peer);
    w->peer.data = w;
    w->connected = true;
    w->accepted++;
    if (uv_accept(listener, (uv_stream_t *)&w->peer) ||
        uv_read_start((uv_stream_t *)&w->peer, on_room, on_requests)) {
        drop_peer(w);
    }
}

/* ---- the host ---- */

static size_t index_of(const struct isthmus_tag *tags, size_t count, uint32_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (tags[i].id == id) {
            return i;
        }
    }
    fail_msg("tag %u is not the device's", id);
    return 0;
}

static int64_t host_utc(void *c)
{
    (void)c;
    return clock_utc_ns();
}
static int64_t host_mono(void *c)
{
    (void)c;
    return clock_mono_ns();
}

static void host_publish(void *c, const struct isthmus_batch *b)
{
    struct world *w = c;
    assert_int_equal(b->device, 7);
    assert_true(b->count > 0);
    for (size_t i = 0; i < b->count; i++) {
        const struct isthmus_sample *s = b->samples + i;
        size_t k = index_of(w->tags, w->config.tag_count, s->tag);
        w->last[k] = *s;
        assert_true(s->time_ns > 0);
        if (s->status) {
            w->bad[k]++;
        } else {
            w->good[k]++;
        }
        if (s->bytes && s->value.u64 < sizeof w->text[k]) {
            memcpy(w->text[k], s->bytes, s->value.u64);
            w->text[k][s->value.u64] = 0;
        }
    }
}

static void host_missed(void *c, uint32_t device, uint32_t tag, enum isthmus_missed why,
                        int64_t from, int64_t to, uint64_t count)
{
    struct world *w = c;
    assert_int_equal(device, 7);
    assert_true(why >= ISTHMUS_MISSED_DOWN && why <= ISTHMUS_MISSED_LATE);
    w->told += why == ISTHMUS_MISSED_DOWN;
    assert_true(from <= to && count > 0);
    if (tag) {
        w->gaps[index_of(w->tags, w->config.tag_count, tag)] += count;
    } else {
        w->device_gaps += count;
    }
}

static void host_state(void *c, uint32_t device, enum isthmus_state state, const char *reason)
{
    struct world *w = c;
    (void)device;
    w->state = state;
    snprintf(w->reason, sizeof w->reason, "%s", reason);
}

static void host_figures(void *c, uint32_t device, const struct isthmus_figures *f)
{
    struct world *w = c;
    (void)device;
    w->figures = *f;
}

static void host_done(void *c, uint64_t job, uint32_t status, const char *text)
{
    struct world *w = c;
    (void)job;
    (void)text;
    w->ended++;
    w->job_status = status;
}

static void host_item(void *c, uint64_t job, const struct isthmus_item *item)
{
    struct world *w = c;
    (void)job;
    w->items += item->description && *item->description;
}

static void host_closed(void *c, uint32_t device)
{
    struct world *w = c;
    (void)device;
    assert_false(w->closed);
    w->closed = true;
}

static void host_log(void *c, const char *text)
{
    (void)c;
    print_message("%s\n", text);
}

/* ---- the stage ---- */

static void set(struct world *w, const char *name, const char *text, double number)
{
    struct isthmus_setting *s = w->settings;
    while (s->name && strcmp(s->name, name)) {
        s++;
    }
    if (!s->name) {
        w->config.setting_count++;
    }
    *s = (struct isthmus_setting){.name = name, .text = text, .number = number};
}

static struct world *begin(enum manner manner)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->manner = manner;
    uv_loop_init(&w->loop);
    uv_tcp_init(&w->loop, &w->listener);
    w->listener.data = w;
    struct sockaddr_in any;
    uv_ip4_addr("127.0.0.1", 0, &any);
    assert_int_equal(uv_tcp_bind(&w->listener, (struct sockaddr *)&any, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&w->listener, 8, on_client), 0);
    int size = sizeof any;
    uv_tcp_getsockname(&w->listener, (struct sockaddr *)&any, &size);
    snprintf(w->address, sizeof w->address, "127.0.0.1:%u", ntohs(any.sin_port));
    w->host = (struct isthmus_host){.abi = ISTHMUS_DRIVER_ABI,
                                    .size = sizeof w->host,
                                    .context = w,
                                    .loop = &w->loop,
                                    .now_utc = host_utc,
                                    .now_mono = host_mono,
                                    .publish = host_publish,
                                    .missed = host_missed,
                                    .state = host_state,
                                    .figures = host_figures,
                                    .job_done = host_done,
                                    .item = host_item,
                                    .closed = host_closed,
                                    .log = host_log};
    w->driver = isthmus_driver();
    w->config = (struct isthmus_device_config){
        .index = 7, .name = "plc", .settings = w->settings, .tags = w->tags};
    set(w, "address", w->address, 0);
    set(w, "unit", "1", 1);
    set(w, "period", "20ms", 20);
    set(w, "timeout", "100ms", 100);
    set(w, "retries", "1", 1);
    set(w, "backoff_max", "300ms", 300);
    set(w, "max_gap", "8", 8);
    set(w, "max_length", "125", 125);
    set(w, "in_flight", "0", 0);
    set(w, "order", "abcd", 0);
    for (size_t i = 0; i < 1000; i++) {
        w->registers[i] = (uint16_t)i;
    }
    return w;
}

static size_t add(struct world *w, const char *address)
{
    size_t i = w->config.tag_count++;
    enum isthmus_type type = 0;
    char why[128];
    assert_int_equal(w->driver->check_address(address, 0, 0, &type, why, sizeof why), 0);
    w->tags[i] = (struct isthmus_tag){.id = 100 + (uint32_t)i,
                                      .type = type,
                                      .max_length = 64,
                                      .address = address,
                                      .path = address};
    return i;
}

static void open_device(struct world *w)
{
    w->device = w->driver->open(&w->host, &w->config);
    assert_non_null(w->device);
}

static void on_alarm(uv_timer_t *t)
{
    (void)t;
}

/* Turns the loop until the condition holds; fails at the deadline. */
#define UNTIL(w, condition)                                                                        \
    do {                                                                                           \
        uv_timer_t tick;                                                                           \
        uv_timer_init(&(w)->loop, &tick);                                                          \
        uv_timer_start(&tick, on_alarm, 5, 5);                                                     \
        int64_t end = clock_mono_ns() + DEADLINE_NS;                                               \
        while (!(condition) && clock_mono_ns() < end) {                                            \
            uv_run(&(w)->loop, UV_RUN_ONCE);                                                       \
        }                                                                                          \
        uv_close((uv_handle_t *)&tick, NULL);                                                      \
        uv_run(&(w)->loop, UV_RUN_NOWAIT);                                                         \
        assert_true(condition);                                                                    \
    } while (0)

static void end(struct world *w)
{
    w->driver->close(w->device);
    UNTIL(w, w->closed);
    drop_peer(w);
    uv_close((uv_handle_t *)&w->listener, NULL);
    while (uv_run(&w->loop, UV_RUN_DEFAULT)) {
    }
    assert_int_equal(uv_loop_close(&w->loop), 0);
    free(w);
}

/* ---- tests ---- */

static void values_of_every_kind_arrive(void **state)
{
    (void)state;
    struct world *w = begin(CORRECT);
    size_t word = add(w, "h100"), wide = add(w, "h101:uint32"),
           swapped = add(w, "h101:uint32:cdab"), bit = add(w, "h100.2"), coil = add(w, "c9"),
           text = add(w, "h200:text6"), real = add(w, "i300:float32"),
           far = add(w, "holding:900:int64:dcba"), other = add(w, "3/h5");
    w->coils[1] = 2;
    w->registers[200] = 'h' << 8 | 'e';
    w->registers[201] = 'y' << 8;
    w->registers[300] = 0x4048;
    w->registers[301] = 0xf5c3;
    open_device(w);
    UNTIL(w, w->good[other] >= 20 && w->state == ISTHMUS_UP);
    assert_int_equal(w->last[word].value.u64, 100);
    assert_int_equal(w->last[wide].value.u64, 101 << 16 | 102);
    assert_int_equal(w->last[swapped].value.u64, 102 << 16 | 101);
    assert_int_equal(w->last[bit].value.u64, 1);
    assert_int_equal(w->last[coil].value.u64, 1);
    assert_string_equal(w->text[text], "hey");
    assert_true(w->last[real].value.f64 == (double)3.14f);
    assert_true(w->last[far].value.u64 != 0);
    assert_true(w->good[word] - w->good[other] <= 1);
    for (size_t i = 0; i < w->config.tag_count; i++) {
        assert_int_equal(w->bad[i], 0);
    }
    end(w);
}

static void many(struct world *w)
{
    static char addresses[40][16];
    for (unsigned i = 0; i < 40; i++) {
        snprintf(addresses[i], sizeof addresses[i], "h%u", i * 20);
        add(w, addresses[i]);
    }
}

static void what_a_device_takes_at_once_is_learnt(void **state)
{
    (void)state;
    struct world *w = begin(CORRECT);
    many(w);
    open_device(w);
    UNTIL(w, w->figures.in_flight == 16);
    assert_int_equal(w->figures.transactions, 40);
    assert_int_equal(w->figures.timeouts, 0);
    end(w);
}

static void a_device_that_takes_one_at_a_time_gets_one(void **state)
{
    (void)state;
    struct world *w = begin(ONE_AT_A_TIME);
    many(w);
    open_device(w);
    UNTIL(w, w->figures.timeouts > 0 && w->figures.in_flight == 1 && w->good[39] > 5);
    uint64_t timeouts = w->figures.timeouts, polls = w->good[39];
    UNTIL(w, w->good[39] >= polls + 30);
    assert_int_equal(w->figures.timeouts, timeouts);
    assert_int_equal(w->figures.reconnects, 0);
    end(w);
}

static void answers_in_any_order_are_right(void **state)
{
    (void)state;
    struct world *w = begin(BACKWARDS);
    many(w);
    open_device(w);
    UNTIL(w, w->good[39] >= 40);
    for (size_t i = 0; i < 40; i++) {
        assert_int_equal(w->last[i].value.u64, i * 20);
        assert_int_equal(w->bad[i], 0);
    }
    end(w);
}

static void a_dripping_device_works(void **state)
{
    (void)state;
    struct world *w = begin(DRIP);
    size_t t = add(w, "h1:text60");
    w->registers[1] = 'a' << 8 | 'b';
    open_device(w);
    UNTIL(w, w->good[t] >= 10);
    end(w);
}

static void a_dead_unit_costs_the_others_nothing(void **state)
{
    (void)state;
    struct world *w = begin(CORRECT);
    size_t alive = add(w, "1/h1"), dead = add(w, "2/h1"), also = add(w, "3/h1");
    w->dead_unit = 2;
    open_device(w);
    UNTIL(w, w->bad[dead] == 1 && w->state == ISTHMUS_DEGRADED);
    uint64_t before = w->good[also];
    UNTIL(w, w->good[also] >= before + 50);
    assert_int_equal(w->bad[dead], 1);
    assert_int_equal(w->bad[alive] + w->bad[also], 0);
    w->dead_unit = 0;
    UNTIL(w, w->good[dead] >= 3 && w->state == ISTHMUS_UP);
    assert_true(w->gaps[dead] > 0);
    end(w);
}

static void one_illegal_register_spoils_no_other(void **state)
{
    (void)state;
    struct world *w = begin(CORRECT);
    static char addresses[20][16];
    for (unsigned i = 0; i < 20; i++) {
        snprintf(addresses[i], sizeof addresses[i], "h%u", i);
        add(w, addresses[i]);
    }
    w->illegal_from = 13;
    w->illegal_to = 14;
    open_device(w);
    UNTIL(w, w->good[0] >= 10);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(w->bad[i], i == 13);
        assert_true(i == 13 || w->good[i] >= 9);
    }
    assert_int_equal(w->last[13].status, (uint32_t)STATUS_BAD_NODE_UNKNOWN);
    UNTIL(w, w->state == ISTHMUS_DEGRADED);
    assert_non_null(strstr(w->reason, "illegal data address"));
    end(w);
}

static void a_device_that_goes_and_returns_leaves_a_gap(void **state)
{
    (void)state;
    struct world *w = begin(CORRECT);
    size_t t = add(w, "h1");
    open_device(w);
    UNTIL(w, w->good[t] >= 5);
    uint64_t before = w->device_gaps;
    w->manner = SILENT;
    UNTIL(w, w->state == ISTHMUS_DOWN && w->bad[t] == 1);
    assert_int_equal(w->last[t].status, (uint32_t)STATUS_BAD_NO_COMMUNICATION);
    UNTIL(w, w->accepted >= 3);
    assert_int_equal(w->bad[t], 1);
    UNTIL(w, w->told >= 2); /* in parts, while it lasts */
    w->manner = CORRECT;
    uint64_t good = w->good[t];
    UNTIL(w, w->good[t] > good + 5 && w->state == ISTHMUS_UP);
    assert_true(w->device_gaps > before);
    end(w);
}

static void hostile_devices_are_left_and_tried_again(void **state)
{
    (void)state;
    static const enum manner manners[] = {GARBAGE, WRONG_TRANSACTION, ENDLESS, HALF_FRAME};
    for (size_t i = 0; i < sizeof manners / sizeof *manners; i++) {
        struct world *w = begin(manners[i]);
        size_t t = add(w, "h1");
        open_device(w);
        UNTIL(w, w->accepted >= 3);
        assert_int_equal(w->good[t], 0);
        assert_int_equal(w->bad[t], 1);
        w->manner = CORRECT;
        UNTIL(w, w->good[t] >= 3);
        end(w);
    }
}

static void writes_reach_the_device_once(void **state)
{
    (void)state;
    struct world *w = begin(CORRECT);
    size_t word = add(w, "h10"), wide = add(w, "h20:float32:cdab"), bit = add(w, "h30.4"),
           input = add(w, "i5");
    open_device(w);
    UNTIL(w, w->good[word] >= 2);
    struct isthmus_write job = {.job = 1, .tag = w->tags[word].id, .value.u64 = 4711};
    w->driver->write(w->device, &job);
    UNTIL(w, w->ended == 1);
    assert_int_equal(w->job_status, 0);
    assert_int_equal(w->registers[10], 4711);
    job = (struct isthmus_write){.job = 2, .tag = w->tags[wide].id, .value.f64 = 1.5};
    w->driver->write(w->device, &job);
    UNTIL(w, w->ended == 2);
    assert_int_equal(w->registers[21], 0x3fc0);
    job = (struct isthmus_write){.job = 3, .tag = w->tags[bit].id, .value.u64 = 0};
    w->driver->write(w->device, &job);
    UNTIL(w, w->ended == 3);
    assert_int_equal(w->registers[30], 30 & ~16);
    job = (struct isthmus_write){.job = 4, .tag = w->tags[input].id, .value.u64 = 0};
    w->driver->write(w->device, &job);
    assert_int_equal(w->ended, 4);
    assert_int_not_equal(w->job_status, 0);
    w->driver->browse(w->device, 5);
    UNTIL(w, w->ended == 5);
    assert_int_equal(w->items, 2);
    w->manner = SILENT;
    job = (struct isthmus_write){.job = 6, .tag = w->tags[word].id, .value.u64 = 1};
    w->driver->write(w->device, &job);
    UNTIL(w, w->ended == 6);
    assert_int_equal(w->job_status, (uint32_t)STATUS_BAD_TIMEOUT);
    end(w);
}

static void writes_side_by_side_go_as_one(void **state)
{
    (void)state;
    struct world *w = begin(CORRECT);
    size_t tags[] = {add(w, "h21:float32:cdab"),
                     add(w, "h20"),
                     add(w, "h23"),
                     add(w, "h25"),
                     add(w, "h23.4"),
                     add(w, "c7"),
                     add(w, "h22")};
    open_device(w);
    UNTIL(w, w->good[tags[0]] >= 2);
    struct isthmus_write jobs[3];
    for (size_t i = 0; i < 3; i++) {
        jobs[i] = (struct isthmus_write){.job = 1, .tag = w->tags[tags[i]].id, .value.u64 = 7};
    }
    jobs[0].value.f64 = 1.5;
    uint64_t asked = w->writes;
    assert_int_equal(w->driver->write_together(w->device, jobs, 3), 0);
    UNTIL(w, w->ended == 1);
    assert_int_equal(w->job_status, 0);
    assert_int_equal(w->writes, asked + 1); /* one request */
    assert_true(w->registers[20] == 7 && w->registers[22] == 0x3fc0 && w->registers[23] == 7);
    static const size_t apart[] = {3, 4, 5, 6}; /* a hole, a bit, a coil, a register twice */
    for (size_t i = 0; i < sizeof apart / sizeof *apart; i++) {
        jobs[2].tag = w->tags[tags[apart[i]]].id;
        assert_int_equal(w->driver->write_together(w->device, jobs, 3), -1);
    }
    jobs[2].tag = 4711;
    assert_int_equal(w->driver->write_together(w->device, jobs, 3), -1);
    assert_true(w->ended == 1 && w->writes == asked + 1);
    end(w);
}

static void closing_ends_jobs_in_every_state(void **state)
{
    (void)state;
    for (int turns = 0; turns < 12; turns++) {
        struct world *w = begin(turns % 2 ? CORRECT : SILENT);
        add(w, "h10");
        open_device(w);
        for (int i = 0; i < turns; i++) {
            uv_run(&w->loop, UV_RUN_NOWAIT);
        }
        struct isthmus_write job = {.job = 1, .tag = w->tags[0].id, .value.u64 = 1};
        w->driver->write(w->device, &job);
        w->driver->browse(w->device, 2);
        w->driver->close(w->device);
        UNTIL(w, w->closed);
        assert_int_equal(w->ended, 2);
        drop_peer(w);
        uv_close((uv_handle_t *)&w->listener, NULL);
        while (uv_run(&w->loop, UV_RUN_DEFAULT)) {
        }
        assert_int_equal(uv_loop_close(&w->loop), 0);
        free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_kind_arrive),
        cmocka_unit_test(what_a_device_takes_at_once_is_learnt),
        cmocka_unit_test(a_device_that_takes_one_at_a_time_gets_one),
        cmocka_unit_test(answers_in_any_order_are_right),
        cmocka_unit_test(a_dripping_device_works),
        cmocka_unit_test(a_dead_unit_costs_the_others_nothing),
        cmocka_unit_test(one_illegal_register_spoils_no_other),
        cmocka_unit_test(a_device_that_goes_and_returns_leaves_a_gap),
        cmocka_unit_test(hostile_devices_are_left_and_tried_again),
        cmocka_unit_test(writes_reach_the_device_once),
        cmocka_unit_test(writes_side_by_side_go_as_one),
        cmocka_unit_test(closing_ends_jobs_in_every_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
