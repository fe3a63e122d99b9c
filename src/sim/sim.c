/* SPDX-License-Identifier: Apache-2.0 */
/* `isthmus sim waterworks`: steps the works ten times a second (times the chosen speed) behind two Modbus TCP servers. Which
 * step is due is counted from the start, so a late timer delays the course and never changes it. */
#include "sim/sim.h"

#include "base/err.h"
#include "base/json.h"
#include "sim/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_MS   100
#define STEPS_DUE 10 /* at most, in one go: a machine that is too slow falls behind */

static const char usage[] =
    "usage: isthmus sim waterworks [OPTION…]\n\n"
    "Simulates a waterworks (tanks, pumps, valves, a controller) behind two Modbus TCP PLCs\n"
    "on loopback, until Ctrl-C. Set points, commands and the leaks can be written to the PLCs.\n\n"
    "  --ports A,B         ports of the PLCs (default 0,0: free ones)\n"
    "  --seed N            the same seed and speed give the same course (default 1)\n"
    "  --speed X           times faster than real time, 0.1 to 1000 (default 1)\n"
    "  --tags N            about so many tags, 41 to 100000 (default 300)\n"
    "  --leak FLOW[@LINE]  from the start the storage tank of LINE, or of every line, leaks\n"
    "                      FLOW m3/h; leaks that are switched on later are as large (else 40)\n"
    "  --idle SECONDS      connections without a request are closed, 1 to 86400 (default 120)\n"
    "  --json              say what was started as one line of JSON\n"
    "  --write-config DIR  write the gateway's configuration for it and end\n\n"
    "exit status: 0 stopped, 1 something failed, 2 wrong usage\n";

struct choices {
    int ports[2];
    uint64_t seed;
    double speed, leak, idle_s;
    uint32_t lines, leaking; /* leaking: a line from 1, 0: every line */
    bool json;
    const char *config_dir;
};

struct sim {
    struct works works;
    struct plc plcs[2];
    struct server *servers[2];
    uv_timer_t timer;
    uv_signal_t term, interrupt;
    double speed;
    uint64_t begin_ms, steps;
};

static void step(struct sim *s)
{
    double left = STEP_MS / 1000.0 * s->speed;
    for (; left > 0; left -= 1) {
        works_step(&s->works, left < 1 ? left : 1);
    }
    map_fill(&s->plcs[0]);
    map_fill(&s->plcs[1]);
    s->steps++;
}

static void on_step(uv_timer_t *timer)
{
    struct sim *s = timer->data;
    uint64_t due = (uv_now(timer->loop) - s->begin_ms) / STEP_MS;
    if (due > s->steps + STEPS_DUE) {
        s->begin_ms += (due - s->steps - STEPS_DUE) * STEP_MS;
        due = s->steps + STEPS_DUE;
    }
    while (s->steps < due) {
        step(s);
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct sim *s = handle->data;
    (void)number;
    uv_close((uv_handle_t *)&s->timer, NULL);
    uv_close((uv_handle_t *)&s->term, NULL);
    uv_close((uv_handle_t *)&s->interrupt, NULL);
    server_close(s->servers[0]);
    server_close(s->servers[1]);
}

static bool number_in(const char *text, double low, double high, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && !*end && *out >= low && *out <= high;
}

static bool take_leak(struct choices *c, const char *value)
{
    char flow[32];
    const char *at = strchr(value, '@');
    size_t size = at ? (size_t)(at - value) : strlen(value);
    double line = 0;
    if (size >= sizeof flow || (at && !number_in(at + 1, 1, TAGS_MAX, &line))) {
        return false;
    }
    memcpy(flow, value, size);
    flow[size] = 0;
    c->leaking = (uint32_t)line;
    return number_in(flow, 0, 1000, &c->leak);
}

static bool take_option(struct choices *c, const char *name, const char *value)
{
    double n;
    if (!strcmp(name, "--ports")) {
        char extra;
        return sscanf(value, "%d,%d%c", &c->ports[0], &c->ports[1], &extra) == 2 &&
               c->ports[0] >= 0 && c->ports[0] < 65536 && c->ports[1] >= 0 && c->ports[1] < 65536;
    }
    if (!strcmp(name, "--seed") && number_in(value, 0, 9e15, &n)) {
        c->seed = (uint64_t)n;
        return true;
    }
    if (!strcmp(name, "--speed")) {
        return number_in(value, 0.1, 1000, &c->speed);
    }
    if (!strcmp(name, "--leak")) {
        return take_leak(c, value);
    }
    if (!strcmp(name, "--idle")) {
        return number_in(value, 1, 86400, &c->idle_s);
    }
    if (!strcmp(name, "--tags") && number_in(value, TAGS_MIN, TAGS_MAX, &n)) {
        c->lines = map_lines((uint32_t)n);
        return true;
    }
    if (!strcmp(name, "--write-config")) {
        c->config_dir = value;
        return true;
    }
    return false;
}

static void announce(const struct choices *c, const int ports[2])
{
    if (!c->json) {
        printf("waterworks with %u lines, %u tags: plc1 on 127.0.0.1:%d, plc2 on 127.0.0.1:%d; "
               "Ctrl-C ends it\n",
               c->lines, map_tags(c->lines), ports[0], ports[1]);
        fflush(stdout);
        return;
    }
    struct json j;
    json_init(&j, 0);
    json_open(&j, '{');
    json_pair_int(&j, "plc1", ports[0]);
    json_pair_int(&j, "plc2", ports[1]);
    json_pair_uint(&j, "units", map_units(c->lines));
    json_pair_uint(&j, "lines", c->lines);
    json_pair_uint(&j, "tags", map_tags(c->lines));
    json_pair_uint(&j, "seed", c->seed);
    json_pair_double(&j, "speed", c->speed);
    json_close(&j, '}');
    json_newline(&j);
    fwrite(j.text, 1, j.size, stdout);
    fflush(stdout);
    json_fini(&j);
}

/* Both ports, or nothing but what the loop still closes. */
static bool open_servers(struct sim *s, uv_loop_t *loop, const struct choices *c, int ports[2])
{
    for (int i = 0; i < 2; i++) {
        ports[i] = c->ports[i];
        int err =
            server_open(&s->servers[i], loop, &s->plcs[i], (uint64_t)(c->idle_s * 1000), &ports[i]);
        if (err) {
            fprintf(stderr,
                    "isthmus sim: can't listen on 127.0.0.1:%d: %s; choose others with --ports\n",
                    c->ports[i], err_text(err));
            server_close(s->servers[0]);
            return false;
        }
    }
    return true;
}

static int run(struct sim *s, const struct choices *c)
{
    uv_loop_t loop;
    int ports[2];
    signal(SIGPIPE, SIG_IGN); /* a client that left must not end the plant */
    if (uv_loop_init(&loop)) {
        return 1;
    }
    bool opened = open_servers(s, &loop, c, ports);
    if (opened) {
        announce(c, ports);
        s->timer.data = s->term.data = s->interrupt.data = s;
        s->begin_ms = uv_now(&loop);
        uv_timer_init(&loop, &s->timer);
        uv_timer_start(&s->timer, on_step, STEP_MS, STEP_MS);
        uv_signal_init(&loop, &s->term);
        uv_signal_init(&loop, &s->interrupt);
        uv_signal_start(&s->term, on_signal, SIGTERM);
        uv_signal_start(&s->interrupt, on_signal, SIGINT);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return opened ? 0 : 1;
}

static int simulate(const struct choices *c)
{
    static struct sim s;
    int status = 1;
    s.speed = c->speed;
    if (!works_init(&s.works, c->lines, c->seed)) {
        s.works.leak_flow = c->leak >= 0 ? c->leak : s.works.leak_flow;
        for (uint32_t i = 0; i < c->lines && c->leak >= 0; i++) {
            s.works.lines[i].leaking = !c->leaking || c->leaking == i + 1;
        }
        if (!map_init(&s.plcs[0], 1, &s.works) && !map_init(&s.plcs[1], 2, &s.works)) {
            status = run(&s, c);
        }
    }
    map_fini(&s.plcs[0]);
    map_fini(&s.plcs[1]);
    works_fini(&s.works);
    return status;
}

static int write_config(const struct choices *c)
{
    int err = map_write_config(c->config_dir, c->lines, c->ports[0] ? c->ports[0] : 15020,
                               c->ports[1] ? c->ports[1] : 15021);
    if (err) {
        fprintf(stderr, "isthmus sim: can't write to %s: %s\n", c->config_dir, err_text(err));
    }
    return err ? 1 : 0;
}

int sim_main(int argc, char **argv)
{
    struct choices c = {.seed = 1, .speed = 1, .leak = -1, .idle_s = 120, .lines = map_lines(300)};
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(usage, stdout);
            return 0;
        }
    }
    if (argc < 2 || strcmp(argv[1], "waterworks") != 0) {
        fprintf(stderr, "isthmus sim: there is one plant to simulate: waterworks\n\n%s", usage);
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        if (!strcmp(argv[i], "--json")) {
            c.json = true;
        } else if (i + 1 < argc && take_option(&c, argv[i], argv[i + 1])) {
            i++;
        } else {
            fprintf(stderr, "isthmus sim: '%s %s' is no option or out of range\n\n%s", argv[i],
                    i + 1 < argc ? argv[i + 1] : "", usage);
            return 2;
        }
    }
    if (c.leaking > c.lines) {
        fprintf(stderr, "isthmus sim: --leak: there are %u lines, no line %u\n", c.lines,
                c.leaking);
        return 2;
    }
    return c.config_dir ? write_config(&c) : simulate(&c);
}
