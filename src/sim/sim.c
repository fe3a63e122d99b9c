/* SPDX-License-Identifier: Apache-2.0 */
/* `isthmus sim waterworks`: steps the works ten times a second (times the chosen speed) behind two Modbus TCP servers. */
#include "sim/sim.h"

#include "base/err.h"
#include "sim/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_MS 100

static const char usage[] =
    "usage: isthmus sim waterworks [OPTION…]\n\n"
    "Simulates a waterworks (tanks, pumps, valves, a controller) behind two Modbus TCP PLCs\n"
    "on loopback, until Ctrl-C. Prints their ports as one line of JSON.\n\n"
    "  --ports A,B         ports of the PLCs (default 0,0: free ones)\n"
    "  --seed N            the same seed gives the same course (default 1)\n"
    "  --speed X           times faster than real time, 0.1 to 1000 (default 1)\n"
    "  --tags N            about so many tags, 30 to 32760 (default 300)\n"
    "  --leak FLOW         each storage tank loses FLOW m3/h\n"
    "  --write-config DIR  write the gateway's configuration for it and end\n\n"
    "exit status: 0 stopped, 1 something failed, 2 wrong usage\n";

struct sim {
    struct works works;
    struct plc *plcs[2];
    struct server *servers[2];
    double speed;
};

struct choices {
    int ports[2];
    uint64_t seed;
    double speed, leak;
    uint32_t lines;
    const char *config_dir;
};

static void on_step(uv_timer_t *timer)
{
    struct sim *s = timer->data;
    double left = STEP_MS / 1000.0 * s->speed;
    for (; left > 0; left -= 1) {
        works_step(&s->works, left < 1 ? left : 1);
    }
    map_fill(&s->works, s->plcs[0], s->plcs[1]);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    uv_stop(handle->loop);
}

static bool number_in(const char *text, double low, double high, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && !*end && *out >= low && *out <= high;
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
    if (!strcmp(name, "--speed") && number_in(value, 0.1, 1000, &c->speed)) {
        return true;
    }
    if (!strcmp(name, "--leak") && number_in(value, 0, 1000, &c->leak)) {
        return true;
    }
    if (!strcmp(name, "--tags") &&
        number_in(value, TAGS_PER_LINE, (double)LINES_MAX * TAGS_PER_LINE, &n)) {
        c->lines = (uint32_t)n / TAGS_PER_LINE;
        return true;
    }
    if (!strcmp(name, "--write-config")) {
        c->config_dir = value;
        return true;
    }
    return false;
}

static int run(struct sim *s, const struct choices *c)
{
    uv_loop_t loop;
    uv_timer_t timer;
    uv_signal_t term, interrupt;
    int ports[2] = {c->ports[0], c->ports[1]};
    signal(SIGPIPE, SIG_IGN); /* a client that left must not end the plant */
    if (uv_loop_init(&loop)) {
        return 1;
    }
    for (int i = 0; i < 2; i++) {
        int err = server_open(&s->servers[i], &loop, s->plcs[i], &ports[i]);
        if (err) {
            fprintf(stderr,
                    "isthmus sim: can't listen on 127.0.0.1:%d: %s; choose others with --ports\n",
                    c->ports[i], err_text(err));
            return 1;
        }
    }
    printf("{\"plc1\":%d,\"plc2\":%d}\n", ports[0], ports[1]);
    fflush(stdout);
    uv_timer_init(&loop, &timer);
    timer.data = s;
    uv_timer_start(&timer, on_step, 0, STEP_MS);
    uv_signal_init(&loop, &term);
    uv_signal_init(&loop, &interrupt);
    uv_signal_start(&term, on_signal, SIGTERM);
    uv_signal_start(&interrupt, on_signal, SIGINT);
    uv_run(&loop, UV_RUN_DEFAULT);
    return 0; /* the process's end closes what is open */
}

int sim_main(int argc, char **argv)
{
    struct choices c = {.seed = 1, .speed = 1, .lines = 10};
    if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc < 2 || strcmp(argv[1], "waterworks") != 0) {
        fprintf(stderr, "isthmus sim: there is one plant to simulate: waterworks\n\n%s", usage);
        return 2;
    }
    for (int i = 2; i < argc; i += 2) {
        if (!strcmp(argv[i], "--help")) {
            fputs(usage, stdout);
            return 0;
        }
        if (i + 1 == argc || !take_option(&c, argv[i], argv[i + 1])) {
            fprintf(stderr, "isthmus sim: '%s %s' is no option or out of range\n\n%s", argv[i],
                    i + 1 < argc ? argv[i + 1] : "", usage);
            return 2;
        }
    }
    if (c.config_dir) {
        int err = map_write_config(c.config_dir, c.lines, c.ports[0] ? c.ports[0] : 15020,
                                   c.ports[1] ? c.ports[1] : 15021);
        if (err) {
            fprintf(stderr, "isthmus sim: can't write to %s: %s\n", c.config_dir, err_text(err));
        }
        return err ? 1 : 0;
    }
    struct sim s = {.speed = c.speed};
    s.plcs[0] = calloc(1, sizeof *s.plcs[0]);
    s.plcs[1] = calloc(1, sizeof *s.plcs[1]);
    int status = 1;
    if (s.plcs[0] && s.plcs[1] && !works_init(&s.works, c.lines, c.seed)) {
        s.works.leak_flow = c.leak;
        status = run(&s, &c);
    }
    works_fini(&s.works);
    free(s.plcs[0]);
    free(s.plcs[1]);
    return status;
}
