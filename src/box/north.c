/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a north box: load the module, check its options, open it, lock the process in, run its loop until
 * SIGTERM.
 *
 * Rings and loop: before the loop sleeps, what was put is published (one wake for a whole turn) and both rings nap;
 * when it wakes, naps end and both rings are taken. A ring that got something meanwhile, or holds more than one turn
 * takes, keeps the loop from sleeping through an idle handle. */
#include "box/north.h"
#include "box/sandbox.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "box/sandbox.h"

#define HEARTBEAT_MS 200u
#define TURN_SLOTS   16384u /* taken per turn of the loop: sockets and timers get theirs */

struct uv_loop_s *service_loop(struct service_host *host)
{
    return &host->loop;
}

const struct plan *service_plan(const struct service_host *host)
{
    return &host->g->plan;
}

uint32_t service_box(const struct service_host *host)
{
    return host->box;
}

static const struct isthmus_setting *find_setting(const struct service_host *host, const char *name)
{
    for (size_t i = 0; i < host->setting_count; i++) {
        if (!strcmp(host->settings[i].name, name)) {
            return host->settings + i;
        }
    }
    return NULL;
}

const char *service_option_text(const struct service_host *host, const char *name)
{
    const struct isthmus_setting *s = find_setting(host, name);
    return s ? s->text : NULL;
}

double service_option_number(const struct service_host *host, const char *name)
{
    const struct isthmus_setting *s = find_setting(host, name);
    return s ? s->number : 0;
}

void service_log(struct service_host *host, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "isthmus: %s: %s\n", host->seat->name, text);
}

void service_certificate(struct service_host *host, int64_t ends_ns)
{
    atomic_store_explicit(&host->seat->panel->certificate_ends_ns, ends_ns, memory_order_relaxed);
}

void service_stopped(struct service_host *host)
{
    host->stopped = true;
    uv_stop(&host->loop);
}

/* Shared memory that contradicts itself cannot be worked with: end, the supervisor restarts us. */
static void give_up(struct service_host *host)
{
    if (!host->broken) {
        service_log(host, "a ring of the gateway holds garbage");
        host->broken = true;
        uv_stop(&host->loop);
    }
}

static void beat(struct service_host *host)
{
    atomic_store_explicit(&host->seat->panel->heartbeat_ns, clock_mono_ns(), memory_order_relaxed);
}

/* Handles the whole records of `taken`; returns how many slots of a cut one are left at the end, or garbage. */
static int dispatch(struct service_host *host, size_t count, north_word *word)
{
    size_t at = 0;
    while (at < count) {
        const struct slot *s = host->taken + at;
        size_t length = slot_record_length(s);
        if (!length) {
            return ERR_GARBAGE;
        }
        if (at + length > count) {
            break;
        }
        word(host, s, length);
        at += length;
    }
    return (int)(count - at);
}

int north_take(struct service_host *host, struct ring_consumer *ring, north_word *word)
{
    for (uint32_t turn = 0; turn < TURN_SLOTS;) {
        int count = ring_take(ring, host->taken, NORTH_TAKE_SLOTS);
        if (count <= 0) {
            return count;
        }
        int cut = dispatch(host, (size_t)count, word);
        if (cut < 0 || cut == count) {
            return ERR_GARBAGE; /* the longest record fits: this one never ends */
        }
        ring_step_back(ring, (size_t)cut);
        ring_release(ring, ring->next);
        turn += (uint32_t)(count - cut);
    }
    return ring_waiting(ring) > 0;
}

static void on_heartbeat(uv_timer_t *timer)
{
    beat(timer->data);
    north_browse_watch(timer->data, NULL);
    north_sign_watch(timer->data, false);
}

static void on_wake(uv_poll_t *poll, int status, int events)
{
    struct service_host *host = poll->data;
    (void)status;
    (void)events;
    int fd =
        poll == &host->from_engine ? host->seat->from_engine_read : host->seat->from_reader_read;
    char bytes[64];
    while (read(fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes) {
    }
}

static void on_term(uv_signal_t *signal, int number)
{
    struct service_host *host = signal->data;
    (void)number;
    if (!host->stopping) {
        host->stopping = true;
        host->service->stop(host->state);
    }
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* it is there so that the loop does not sleep */
}

static void stay_awake(struct service_host *host)
{
    uv_idle_start(&host->busy, on_idle);
}

static void on_before_sleep(uv_prepare_t *prepare)
{
    struct service_host *host = prepare->data;
    ring_publish(&host->up);
    ring_publish(&host->ask);
    bool sleep = ring_nap(&host->down);
    if (!ring_nap(&host->answer) || !sleep) {
        stay_awake(host);
    }
}

static void on_after_sleep(uv_check_t *check)
{
    struct service_host *host = check->data;
    ring_awake(&host->down);
    ring_awake(&host->answer);
    uv_idle_stop(&host->busy);
    north_engine_watch(host);
    north_link_watch(host);
    int more_down = north_engine_take(host);
    int more_answers = north_link_take(host);
    if (more_down < 0 || more_answers < 0) {
        give_up(host);
    } else if (more_down || more_answers) {
        stay_awake(host);
    }
}

static int start_handles(struct service_host *host)
{
    uv_loop_t *loop = &host->loop;
    int bad = uv_poll_init(loop, &host->from_engine, host->seat->from_engine_read) ||
              uv_poll_init(loop, &host->from_reader, host->seat->from_reader_read) ||
              uv_timer_init(loop, &host->heartbeat) || uv_signal_init(loop, &host->term) ||
              uv_prepare_init(loop, &host->before_sleep) ||
              uv_check_init(loop, &host->after_sleep) || uv_idle_init(loop, &host->busy);
    host->from_engine.data = host->from_reader.data = host->heartbeat.data = host->term.data =
        host->before_sleep.data = host->after_sleep.data = host->busy.data = host;
    bad = bad || uv_poll_start(&host->from_engine, UV_READABLE, on_wake) ||
          uv_poll_start(&host->from_reader, UV_READABLE, on_wake) ||
          uv_timer_start(&host->heartbeat, on_heartbeat, HEARTBEAT_MS, HEARTBEAT_MS) ||
          uv_signal_start(&host->term, on_term, SIGTERM) ||
          uv_prepare_start(&host->before_sleep, on_before_sleep) ||
          uv_check_start(&host->after_sleep, on_after_sleep);
    return bad ? ERR_IO : ERR_OK;
}

static void close_handles(struct service_host *host)
{
    uv_handle_t *handles[] = {
        (uv_handle_t *)&host->from_engine,  (uv_handle_t *)&host->from_reader,
        (uv_handle_t *)&host->heartbeat,    (uv_handle_t *)&host->term,
        (uv_handle_t *)&host->before_sleep, (uv_handle_t *)&host->after_sleep,
        (uv_handle_t *)&host->busy,
    };
    for (size_t i = 0; i < sizeof handles / sizeof *handles; i++) {
        if (handles[i]->type && !uv_is_closing(handles[i])) {
            uv_close(handles[i], NULL);
        }
    }
    uv_run(&host->loop, UV_RUN_NOWAIT);
    uv_loop_close(&host->loop);
}

static int read_options(struct service_host *host, char *why, size_t why_size)
{
    const struct plan *plan = &host->g->plan;
    const struct plan_box *box = plan->boxes + host->box;
    struct option_pair *pairs = calloc(box->option_count + 1, sizeof *pairs);
    if (!pairs) {
        snprintf(why, why_size, "out of memory");
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < box->option_count; i++) {
        const struct plan_option *o = plan->options + box->first_option + i;
        pairs[i] = (struct option_pair){plan_text(plan, o->key), plan_text(plan, o->value)};
    }
    size_t bad;
    int err = options_parse(host->service->options, pairs, box->option_count, &host->settings,
                            &host->setting_count, &bad, why, why_size);
    free(pairs);
    return err;
}

/* Everything up to the point where the service may begin. */
static int prepare(struct service_host *host, char *why, size_t why_size)
{
    const struct plan *plan = &host->g->plan;
    host->service = module_service(plan_text(plan, plan->boxes[host->box].module), why, why_size);
    if (!host->service) {
        return ERR_NOT_FOUND;
    }
    int err = read_options(host, why, why_size);
    if (err) {
        return err;
    }
    host->state = host->service->open(host, why, why_size);
    if (!host->state) {
        return ERR_CONFIG;
    }
    return sandbox_enter(host->g, &(struct sandbox_profile){.sockets = true});
}

static int run(struct service_host *host)
{
    char why[512] = ""; /* the log has it whole, the health what fits */
    int err = prepare(host, why, sizeof why);
    if (!err) {
        err = host->service->start(host->state);
    }
    if (err) {
        if (!why[0]) {
            snprintf(why, sizeof why, "%s", err_text(err));
        }
        service_log(host, "cannot start: %s", why);
        sandbox_give_up(host->g, why);
        return EXIT_FAILURE;
    }
    atomic_store_explicit(&host->seat->panel->ready, 1, memory_order_release);
    uv_run(&host->loop, UV_RUN_DEFAULT);
    ring_publish(&host->up);
    ring_publish(&host->ask);
    return host->stopped && !host->broken ? EXIT_SUCCESS : EXIT_FAILURE;
}

int box_north_main(struct gateway *g, uint32_t box)
{
    struct service_host *host = calloc(1, sizeof *host);
    if (!host) {
        return EXIT_FAILURE;
    }
    host->g = g;
    host->box = box;
    host->seat = g->seats + SEAT_BOX + box;
    beat(host);
    int status = EXIT_FAILURE;
    if (uv_loop_init(&host->loop) == 0) {
        if (!north_engine_init(host) && !north_link_init(host) && !start_handles(host)) {
            status = run(host);
        } else {
            service_log(host, "cannot attach to the gateway");
        }
        if (host->state) {
            host->service->free(host->state);
        }
        close_handles(host);
    }
    free(host->settings);
    free(host);
    return status;
}
