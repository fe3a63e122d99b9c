/* SPDX-License-Identifier: Apache-2.0 */
/* What every driver is held to, whatever it speaks: driver_test NAME.so ADDRESS…, where each ADDRESS is good for a tag of
 * the driver. Its devices are opened on peers that refuse, are silent, talk garbage and hang up; the host keeps account. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "box/box.h"

#include <dlfcn.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define TAGS_MAX  16
#define JOBS      80 /* for each device: more than a driver may want to keep */
#define SECOND_NS INT64_C(1000000000)

enum peer_kind { REFUSES, SILENT, GARBAGE, HANGS_UP, PEERS };

struct client { /* of a peer; freed when it is closed */
    uv_tcp_t tcp;
    struct peer *peer;
    bool gone;
    struct client *next;
};

struct peer {
    uv_tcp_t listener;
    enum peer_kind kind;
    char address[32];
    struct client *clients;
    size_t heard; /* bytes */
};

struct device {
    struct isthmus_device_config config;
    void *inside;
    int states, closed;
    int64_t opened_ns;
    bool covered[TAGS_MAX]; /* tags whose values were told to be missing */
    bool opened, browsing[JOBS];
    int ends[JOBS];
};

static const char *path;
static char **addresses;
static size_t address_count;
static const struct isthmus_driver *driver;

static uv_loop_t loop;
static struct peer peers[PEERS];
static struct device devices[PEERS];
static struct isthmus_tag tags[TAGS_MAX];

/* ---- The host: everything that it is told must make sense. ---- */

static struct device *open_device(uint32_t index)
{
    assert_true(index < PEERS);
    assert_true(devices[index].opened && !devices[index].closed);
    return devices + index;
}

static struct device *device_of_job(uint64_t job)
{
    struct device *d = open_device((uint32_t)(job / JOBS));
    assert_int_equal(d->ends[job % JOBS], 0);
    return d;
}

static int64_t now_utc(void *context)
{
    (void)context;
    return clock_utc_ns();
}

static int64_t now_mono(void *context)
{
    (void)context;
    return clock_mono_ns();
}

static void publish(void *context, const struct isthmus_batch *b)
{
    (void)context;
    open_device(b->device);
    assert_true(b->count > 0 && b->acquired_ns > 0);
    for (size_t i = 0; i < b->count; i++) {
        assert_in_range(b->samples[i].tag, 1, address_count);
        assert_true(b->samples[i].status >> 31); /* no peer here has a value to give */
    }
}

static void missed(void *context, uint32_t device, uint32_t tag, enum isthmus_missed why,
                   int64_t from_ns, int64_t to_ns, uint64_t count)
{
    (void)context;
    struct device *d = open_device(device);
    assert_true(tag <= address_count && count > 0);
    assert_in_range(why, ISTHMUS_MISSED_DOWN, ISTHMUS_MISSED_JUMP);
    assert_true(from_ns >= d->opened_ns && from_ns <= to_ns && to_ns <= clock_utc_ns());
    for (uint32_t id = tag ? tag : 1; id <= (tag ? tag : address_count); id++) {
        d->covered[id - 1] = true;
    }
}

static void state(void *context, uint32_t device, enum isthmus_state what, const char *reason)
{
    (void)context;
    open_device(device)->states++;
    assert_in_range(what, ISTHMUS_CONNECTING, ISTHMUS_DOWN);
    assert_true(what != ISTHMUS_DOWN || (reason && *reason));
}

static void figures(void *context, uint32_t device, const struct isthmus_figures *f)
{
    (void)context;
    (void)f;
    open_device(device);
}

static void job_done(void *context, uint64_t job, uint32_t status, const char *text)
{
    (void)context;
    struct device *d = device_of_job(job);
    d->ends[job % JOBS]++;
    assert_non_null(text);
    assert_true(status == 0 || *text); /* a failure says why */
}

static void item(void *context, uint64_t job, const struct isthmus_item *found)
{
    (void)context;
    assert_true(device_of_job(job)->browsing[job % JOBS]);
    assert_true(found->address && found->name && found->unit && found->description);
}

static void closed(void *context, uint32_t device)
{
    (void)context;
    open_device(device)->closed = 1;
}

static void log_text(void *context, const char *text)
{
    (void)context;
    assert_non_null(text);
}

static const struct isthmus_host host = {.abi = ISTHMUS_DRIVER_ABI,
                                         .size = sizeof host,
                                         .loop = &loop,
                                         .now_utc = now_utc,
                                         .now_mono = now_mono,
                                         .publish = publish,
                                         .missed = missed,
                                         .state = state,
                                         .figures = figures,
                                         .job_done = job_done,
                                         .item = item,
                                         .closed = closed,
                                         .log = log_text};

/* ---- The peers. ---- */

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
    static char room[4096];
    (void)handle;
    (void)wanted;
    *buffer = uv_buf_init(room, sizeof room);
}

static void on_client_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_client_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct client *c = stream->data;
    (void)buffer;
    c->peer->heard += n > 0 ? (size_t)n : 0;
    if (n > 0 && c->peer->kind == GARBAGE) {
        char noise[300];
        uv_buf_t out = uv_buf_init(noise, sizeof noise);
        for (size_t i = 0; i < sizeof noise; i++) {
            noise[i] = (char)rand();
        }
        (void)uv_try_write(stream, &out, 1);
    } else if ((n < 0 || c->peer->kind == HANGS_UP) && !c->gone) {
        c->gone = true; /* freed by end_peer */
        uv_close((uv_handle_t *)stream, NULL);
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct peer *p = listener->data;
    struct client *c = calloc(1, sizeof *c);
    assert_true(status == 0 && c);
    c->peer = p;
    c->next = p->clients;
    p->clients = c;
    c->tcp.data = c;
    uv_tcp_init(&loop, &c->tcp);
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&c->tcp), 0);
    uv_read_start((uv_stream_t *)&c->tcp, on_room, on_client_read);
}

/* One that refuses has a port too, on which nobody listens. */
static void begin_peer(struct peer *p, enum peer_kind kind)
{
    struct sockaddr_in at;
    int size = sizeof at;
    *p = (struct peer){.kind = kind};
    p->listener.data = p;
    uv_ip4_addr("127.0.0.1", 0, &at);
    uv_tcp_init(&loop, &p->listener);
    assert_int_equal(uv_tcp_bind(&p->listener, (struct sockaddr *)&at, 0), 0);
    if (kind != REFUSES) {
        assert_int_equal(uv_listen((uv_stream_t *)&p->listener, 8, on_connection), 0);
    }
    uv_tcp_getsockname(&p->listener, (struct sockaddr *)&at, &size);
    snprintf(p->address, sizeof p->address, "127.0.0.1:%d", ntohs(at.sin_port));
}

static void end_peer(struct peer *p)
{
    uv_close((uv_handle_t *)&p->listener, NULL);
    while (p->clients) {
        struct client *c = p->clients;
        p->clients = c->next;
        if (c->gone) {
            free(c);
        } else {
            uv_close((uv_handle_t *)&c->tcp, on_client_closed);
        }
    }
}

/* ---- The driver's life. ---- */

static size_t option_count(void)
{
    size_t n = 0;
    while (driver->options[n].name) {
        n++;
    }
    return n;
}

/* All settings as the table has them, with `address` for those that are one. */
static struct isthmus_setting *settings_with(const char *address, size_t *count)
{
    struct option_pair pairs[32];
    struct isthmus_setting *settings = NULL;
    size_t n = 0, bad;
    char why[256];
    for (const struct isthmus_option *o = driver->options; o->name; o++) {
        if (o->type == ISTHMUS_OPTION_ADDRESS && n < 32) {
            pairs[n++] = (struct option_pair){o->name, address};
        }
    }
    int err = options_parse(driver->options, pairs, n, &settings, count, &bad, why, sizeof why);
    if (err) {
        fail_msg("its own defaults are refused: %s", why);
    }
    return settings;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer; /* only wakes the loop, so that conditions are looked at */
}

/* Every device says how it is, and has spoken to its peer if that listens. */
static bool all_begun(void)
{
    bool all = true;
    for (size_t i = 0; i < PEERS; i++) {
        all &= devices[i].states > 0 && (peers[i].kind == REFUSES || peers[i].heard > 0);
    }
    return all;
}

static bool all_ended(void)
{
    bool all = true;
    for (size_t i = 0; i < PEERS * JOBS; i++) {
        all &= devices[i / JOBS].ends[i % JOBS] == 1;
    }
    return all;
}

/* No peer here has a value to give: each tag is told to be missing, on close at the latest. */
static bool all_told(void)
{
    bool all = true;
    for (size_t i = 0; i < PEERS * address_count; i++) {
        all &= devices[i / address_count].covered[i % address_count];
    }
    return all;
}

static bool all_closed(void)
{
    bool all = true;
    for (size_t i = 0; i < PEERS; i++) {
        all &= devices[i].closed == 1;
    }
    return all;
}

/* Runs the loop until `done`; false at the deadline. */
static bool run_until(bool (*done)(void), double seconds)
{
    int64_t deadline = clock_mono_ns() + (int64_t)(seconds * SECOND_NS);
    while (!done() && clock_mono_ns() < deadline) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    return done();
}

static void begin_jobs(uint32_t index)
{
    struct device *d = devices + index;
    for (uint64_t k = 0; k < JOBS; k++) {
        uint64_t job = index * (uint64_t)JOBS + k;
        d->browsing[k] = k % 8 == 7;
        if (d->browsing[k] ? driver->browse != NULL : driver->write != NULL) {
            struct isthmus_write write = {
                .job = job, .tag = tags[k % address_count].id, .bytes = "", .value.u64 = 0};
            write.tag = k == 0 ? UINT32_MAX : write.tag; /* one that the device does not have */
            if (d->browsing[k]) {
                driver->browse(d->inside, job);
            } else {
                driver->write(d->inside, &write);
            }
        } else {
            d->ends[k] = 1; /* it can't, and need not */
        }
    }
}

static void open_all(void)
{
    assert_true(address_count <= TAGS_MAX);
    for (uint32_t i = 0; i < address_count; i++) {
        enum isthmus_type type = 0;
        char why[256];
        if (driver->check_address(addresses[i], 0, 64, &type, why, sizeof why)) {
            fail_msg("'%s' is refused: %s", addresses[i], why);
        }
        tags[i] = (struct isthmus_tag){
            .id = i + 1, .type = type, .max_length = 64, .address = addresses[i], .path = "a/tag"};
    }
    for (uint32_t i = 0; i < PEERS; i++) {
        struct device *d = devices + i;
        size_t count;
        begin_peer(peers + i, (enum peer_kind)i);
        *d = (struct device){.opened = true, .opened_ns = clock_utc_ns()};
        d->config =
            (struct isthmus_device_config){.index = i,
                                           .name = "device",
                                           .settings = settings_with(peers[i].address, &count),
                                           .tags = tags,
                                           .tag_count = address_count};
        d->config.setting_count = count;
        d->inside = driver->open(&host, &d->config);
        assert_non_null(d->inside);
    }
}

static void every_job_ends_once_and_every_device_closes_in_time(void **context)
{
    (void)context;
    uv_timer_t tick;
    assert_int_equal(uv_loop_init(&loop), 0);
    uv_timer_init(&loop, &tick);
    uv_timer_start(&tick, on_tick, 10, 10);
    open_all();
    assert_true(run_until(all_begun, 10));
    for (uint32_t i = 0; i < PEERS; i++) {
        begin_jobs(i);
    }
    run_until(all_ended, 1.5); /* those of the silent peer are ended by closing */
    for (size_t i = 0; i < PEERS; i++) {
        driver->close(devices[i].inside);
    }
    assert_true(run_until(all_closed, 2));
    assert_true(all_ended());
    assert_true(all_told());
    uv_close((uv_handle_t *)&tick, NULL);
    for (size_t i = 0; i < PEERS; i++) {
        end_peer(peers + i);
    }
    uv_run(&loop, UV_RUN_DEFAULT); /* goes on for ever if the driver left something open */
    assert_int_equal(uv_loop_close(&loop), 0);
    for (size_t i = 0; i < PEERS; i++) {
        free((void *)devices[i].config.settings);
    }
}

/* ---- What it says about itself. ---- */

static void it_exports_one_symbol(void **context)
{
    (void)context;
    char command[4200], line[256];
    snprintf(command, sizeof command, "nm -D --defined-only '%s'", path);
    FILE *nm = popen(command, "re");
    assert_non_null(nm);
    int count = 0;
    while (fgets(line, sizeof line, nm)) {
        assert_non_null(strstr(line, " T isthmus_driver"));
        count++;
    }
    assert_int_equal(pclose(nm), 0);
    assert_int_equal(count, 1);
}

static void its_table_is_sane(void **context)
{
    (void)context;
    const char *file = strrchr(path, '/') + 1;
    assert_int_equal(driver->abi, ISTHMUS_DRIVER_ABI);
    assert_true(driver->size >= sizeof *driver);
    assert_int_equal(strncmp(file, driver->name, strlen(driver->name)), 0);
    assert_string_equal(file + strlen(driver->name), ".so");
    assert_true(driver->summary && *driver->summary && driver->address_help);
    assert_true(driver->open && driver->close && driver->check_address);
    for (size_t i = 0; i < option_count(); i++) {
        const struct isthmus_option *o = driver->options + i;
        assert_true(strspn(o->name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(o->name));
        assert_in_range(o->type, ISTHMUS_OPTION_TEXT, ISTHMUS_OPTION_FILE);
        assert_true(o->help && *o->help && o->min <= o->max);
        assert_true((o->type == ISTHMUS_OPTION_CHOICE) == (o->choices != NULL));
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(o->name, driver->options[k].name);
        }
    }
    size_t count;
    char why[256];
    struct isthmus_setting *settings = settings_with("127.0.0.1:1", &count);
    assert_int_equal(count, option_count());
    assert_true(!driver->check_device ||
                driver->check_device(settings, count, why, sizeof why) == 0);
    free(settings);
}

static void it_judges_addresses_without_harm(void **context)
{
    (void)context;
    static char long_one[5000];
    memset(long_one, '9', sizeof long_one - 1);
    const char *const bad[] = {"", " ", "\xff\xfe", "%s%n", long_one, "-1", "\n", ";;;"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (int type = 0; type <= ISTHMUS_BYTES; type++) {
            char why[64] = "";
            enum isthmus_type natural;
            assert_int_equal(driver->check_address(bad[i], (enum isthmus_type)type, 8, &natural,
                                                   why, sizeof why),
                             -1);
            assert_true(*why && memchr(why, 0, sizeof why));
        }
    }
    for (size_t i = 0; i < address_count; i++) { /* each good one, cut short and corrupted */
        char copy[256], why[64];
        enum isthmus_type natural;
        size_t size = strlen(addresses[i]);
        assert_true(size < sizeof copy);
        for (size_t n = 0; n < size; n++) {
            for (int b = 0; b < 256; b++) {
                memcpy(copy, addresses[i], size + 1);
                copy[n] = (char)b;
                natural = 0;
                int err = driver->check_address(copy, 0, 8, &natural, why, sizeof why);
                assert_true(err == -1 ||
                            (err == 0 && natural >= ISTHMUS_BOOL && natural <= ISTHMUS_BYTES));
            }
        }
    }
}

int main(int argc, char **argv)
{
    const struct isthmus_driver *(*get)(void) = NULL;
    if (argc < 3) {
        fprintf(stderr, "usage: driver_test NAME.so ADDRESS…\n");
        return 2;
    }
    path = argv[1];
    addresses = argv + 2;
    address_count = (size_t)argc - 2;
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    *(void **)&get = handle ? dlsym(handle, "isthmus_driver") : NULL;
    driver = get ? get() : NULL;
    if (!driver) {
        fprintf(stderr, "%s is no driver: %s\n", path, dlerror());
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_exports_one_symbol),
        cmocka_unit_test(its_table_is_sane),
        cmocka_unit_test(it_judges_addresses_without_harm),
        cmocka_unit_test(every_job_ends_once_and_every_device_closes_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
