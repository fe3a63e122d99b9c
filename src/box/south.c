/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a south box: load the driver, check the options of its devices, lock the process in, open the devices,
 * run the loop until SIGTERM, close them.
 *
 * Rings and loop: before the loop sleeps, what was put is published (one wake for a whole turn) and the engine's ring
 * naps; when it wakes, commands are taken. */
#include "box/south.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "box/sandbox.h"

#define HEARTBEAT_MS 250u
#define CLOSE_MS     1000u /* devices get this long to close */

static void beat(struct south_host *host)
{
    atomic_store_explicit(&host->seat->panel->heartbeat_ns, clock_mono_ns(), memory_order_relaxed);
}

/* Shared memory that contradicts itself cannot be worked with: end, the supervisor restarts us. */
static void give_up(struct south_host *host)
{
    if (!host->broken) {
        south_log(host, "the engine's ring holds garbage");
        host->broken = true;
        uv_stop(&host->loop);
    }
}

static void on_heartbeat(uv_timer_t *timer)
{
    beat(timer->data);
}

static void on_wake(uv_poll_t *poll, int status, int events)
{
    struct south_host *host = poll->data;
    (void)status;
    (void)events;
    char bytes[64];
    while (read(host->seat->from_engine_read, bytes, sizeof bytes) == (ssize_t)sizeof bytes) {
    }
}

void south_closed(struct south_host *host)
{
    if (host->stopping && !host->open_count) {
        uv_stop(&host->loop);
    }
}

static void on_deadline(uv_timer_t *timer)
{
    struct south_host *host = timer->data;
    south_log(host, "%zu devices did not close in time", host->open_count);
    uv_stop(&host->loop);
}

static void on_term(uv_signal_t *signal, int number)
{
    struct south_host *host = signal->data;
    (void)number;
    if (host->stopping) {
        return;
    }
    host->stopping = true;
    uv_timer_start(&host->deadline, on_deadline, CLOSE_MS, 0);
    for (size_t i = 0; i < host->device_count; i++) {
        if (host->devices[i].state) {
            host->driver->close(host->devices[i].state);
        }
    }
    south_closed(host);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* it is there so that the loop does not sleep */
}

static void on_before_sleep(uv_prepare_t *prepare)
{
    struct south_host *host = prepare->data;
    south_host_retry(host);
    ring_publish(&host->up);
    if (!ring_nap(&host->down)) {
        uv_idle_start(&host->busy, on_idle);
    }
}

static void on_after_sleep(uv_check_t *check)
{
    struct south_host *host = check->data;
    ring_awake(&host->down);
    uv_idle_stop(&host->busy);
    int more = south_command_take(host);
    if (more < 0) {
        give_up(host);
    } else if (more) {
        uv_idle_start(&host->busy, on_idle);
    }
}

static int start_handles(struct south_host *host)
{
    uv_loop_t *loop = &host->loop;
    int bad = uv_poll_init(loop, &host->from_engine, host->seat->from_engine_read) ||
              uv_timer_init(loop, &host->heartbeat) || uv_timer_init(loop, &host->deadline) ||
              uv_signal_init(loop, &host->term) || uv_prepare_init(loop, &host->before_sleep) ||
              uv_check_init(loop, &host->after_sleep) || uv_idle_init(loop, &host->busy);
    host->from_engine.data = host->heartbeat.data = host->deadline.data = host->term.data =
        host->before_sleep.data = host->after_sleep.data = host->busy.data = host;
    bad = bad || uv_poll_start(&host->from_engine, UV_READABLE, on_wake) ||
          uv_timer_start(&host->heartbeat, on_heartbeat, HEARTBEAT_MS, HEARTBEAT_MS) ||
          uv_signal_start(&host->term, on_term, SIGTERM) ||
          uv_prepare_start(&host->before_sleep, on_before_sleep) ||
          uv_check_start(&host->after_sleep, on_after_sleep);
    return bad ? ERR_IO : ERR_OK;
}

static int read_settings(struct south_host *host, struct south_device *d, char *why,
                         size_t why_size)
{
    const struct plan *plan = &host->g->plan;
    const struct plan_device *p = plan->devices + d->config.index;
    struct option_pair *pairs = calloc(p->option_count + 1, sizeof *pairs);
    if (!pairs) {
        snprintf(why, why_size, "out of memory");
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < p->option_count; i++) {
        const struct plan_option *o = plan->options + p->first_option + i;
        pairs[i] = (struct option_pair){plan_text(plan, o->key), plan_text(plan, o->value)};
    }
    size_t bad;
    int err = options_parse(host->driver->options, pairs, p->option_count, &d->settings,
                            &d->config.setting_count, &bad, why, why_size);
    d->config.settings = d->settings;
    free(pairs);
    return err;
}

static int load_driver(struct south_host *host, char *why, size_t why_size)
{
    const struct plan *plan = &host->g->plan;
    host->driver = module_driver(plan_text(plan, plan->boxes[host->box].module), why, why_size);
    if (!host->driver) {
        return ERR_NOT_FOUND;
    }
    if (host->driver->abi != ISTHMUS_DRIVER_ABI || host->driver->size < sizeof *host->driver) {
        snprintf(why, why_size, "the driver speaks another version of the ABI");
        return ERR_VERSION;
    }
    for (size_t i = 0; i < host->device_count; i++) {
        int err = read_settings(host, host->devices + i, why, why_size);
        if (err) {
            south_log(host, "device %s: %s", host->devices[i].config.name, why);
            return err;
        }
    }
    return ERR_OK;
}

/* The folder that the driver goes on reading; NULL: none. */
static const char *folder_of(const struct south_host *host)
{
    const struct isthmus_option *o = host->driver->options;
    while (o->name && o->type != ISTHMUS_OPTION_FOLDER) {
        o++;
    }
    for (size_t i = 0; o->name && host->device_count && i < host->devices->config.setting_count;
         i++) {
        if (!strcmp(host->devices->settings[i].name, o->name)) {
            return host->devices->settings[i].text;
        }
    }
    return NULL;
}

static int run(struct south_host *host)
{
    char why[96] = "";
    int err = load_driver(host, why, sizeof why);
    if (!err) {
        err = sandbox_enter(
            host->g, &(struct sandbox_profile){.sockets = true, .read_dir = folder_of(host)});
    }
    if (err) {
        south_log(host, "cannot start: %s", why[0] ? why : err_text(err));
        sandbox_give_up(host->g, why[0] ? why : err_text(err));
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < host->device_count; i++) {
        struct south_device *d = host->devices + i;
        d->state = host->driver->open(&host->calls, &d->config);
        if (!d->state) {
            south_log(host, "device %s: out of memory", d->config.name);
            return EXIT_FAILURE;
        }
        host->open_count++;
    }
    atomic_store_explicit(&host->seat->panel->ready, 1, memory_order_release);
    uv_run(&host->loop, UV_RUN_DEFAULT);
    south_host_retry(host);
    ring_publish(&host->up);
    if (host->open_count || host->broken) {
        return EXIT_FAILURE; /* what an open device still uses goes with the process */
    }
    south_host_fini(host);
    return EXIT_SUCCESS;
}

int box_south_main(struct gateway *g, uint32_t box)
{
    static struct south_host host;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* Ctrl-C goes to the whole group; the supervisor stops us in order */
    int err = south_host_init(&host, g, box);
    atomic_store(&host.seat->panel->started_utc_ns, clock_utc_ns());
    beat(&host);
    if (err || uv_loop_init(&host.loop) || start_handles(&host)) {
        south_log(&host, "cannot attach to the gateway: %s", err_text(err ? err : ERR_IO));
        return EXIT_FAILURE;
    }
    return run(&host);
}
