/* SPDX-License-Identifier: Apache-2.0 */
/* `isthmus replay DIR`: the gateway of a folder, with its own history in the place of its devices. The source is only read; what is
 * played becomes the journal of a state folder of its own, with the same permanent ids. */
#include "cli/cli.h"
#include "cli/history.h"

#include "base/clock.h"
#include "base/json.h"
#include "box/box.h"
#include "engine/engine.h"
#include "identity/identity.h"
#include "reader/reader.h"
#include "sealer/sealer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <isthmus/driver.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "usage: isthmus replay DIR --from TIME --to TIME [--speed N|max] [--state FOLDER] [OPTION…]\n\n"
    "Runs the gateway that the folder DIR describes, with its history in the place of its\n"
    "devices: between the two times every tag says again what it said, in the same order, with "
    "the\n"
    "same source times. The history is only read; what is played is journaled in a state folder\n"
    "of its own. Ends when all is played.\n\n"
    "  --from TIME     first source time, RFC 3339, as 2026-11-22T10:00:00Z\n"
    "  --to TIME       last source time\n"
    "  --speed N       times faster than it was (default 1), or max: as fast as it can be taken\n"
    "  --state FOLDER  where to journal (default DIR/.replay); must not hold a journal yet\n"
    "  --source FOLDER the state folder that is played (default: that of the configuration)\n"
    "  --listen ADDR   consoles listen there, as 127.0.0.1:8481, since the gateway itself may run\n"
    "  --north         start services that deliver to others, too\n"
    "  --json          say what was played as one JSON document\n\n"
    "exit status: 0 all was played, 1 something failed, 2 wrong usage\n";

struct options {
    const char *dir, *state, *source, *speed;
    struct config_replay replay;
    bool json;
};

static struct {
    struct cli_progress progress;
    int64_t from_ns, to_ns;
    uint64_t samples;
    bool done;
    char why[97];
} played;

/* ---- Options ---- */

static bool is_time(const char *text, int64_t *ns)
{
    return text && clock_parse(text, strlen(text), ns) == 0;
}

static bool read_options(int argc, char **argv, struct options *o)
{
    *o = (struct options){.speed = "1"};
    for (int i = 1; i < argc; i++) {
        const struct {
            const char *name, **value;
        } texts[] = {{"--from", &o->replay.from}, {"--to", &o->replay.to},
                     {"--speed", &o->speed},      {"--state", &o->state},
                     {"--source", &o->source},    {"--listen", &o->replay.listen}};
        size_t k = 0;
        while (k < sizeof texts / sizeof *texts && strcmp(argv[i], texts[k].name) != 0) {
            k++;
        }
        if (k < sizeof texts / sizeof *texts && i + 1 < argc) {
            *texts[k].value = argv[++i];
        } else if (!strcmp(argv[i], "--north")) {
            o->replay.north = 1;
        } else if (!strcmp(argv[i], "--json")) {
            o->json = true;
        } else if (argv[i][0] != '-' && !o->dir) {
            o->dir = argv[i];
        } else {
            return false;
        }
    }
    char *end;
    double speed = strcmp(o->speed, "max") ? strtod(o->speed, &end) : 1;
    bool fast = !strcmp(o->speed, "max");
    o->replay.speed = fast ? "0" : o->speed;
    return o->dir && (fast || (*end == 0 && speed > 0 && speed <= 1e6)) &&
           is_time(o->replay.from, &played.from_ns) && is_time(o->replay.to, &played.to_ns) &&
           played.from_ns <= played.to_ns;
}

/* ---- Folders ---- */

static int complain(const char *what, const char *path)
{
    fprintf(stderr, "isthmus replay: %s %s: %s\n", what, path, strerror(errno));
    return CLI_FAILED;
}

/* The ids of the source, so that its samples are found. */
static int copy_ids(const char *source, const char *state)
{
    char from[4200], to[4200], bytes[65536];
    snprintf(from, sizeof from, "%s/ids.txt", source);
    snprintf(to, sizeof to, "%s/ids.txt", state);
    FILE *in = fopen(from, "rb");
    if (!in) {
        return complain("there is no history: can't read", from);
    }
    FILE *out = fopen(to, "wb");
    size_t n;
    bool well = out != NULL;
    while (well && (n = fread(bytes, 1, sizeof bytes, in)) > 0) {
        well = fwrite(bytes, 1, n, out) == n;
    }
    well = well && !ferror(in);
    fclose(in);
    well = (!out || fclose(out) == 0) && well;
    return well ? CLI_OK : complain("can't write", to);
}

static int prepare_state(const char *state)
{
    char journal[4200];
    snprintf(journal, sizeof journal, "%s/journal", state);
    if (mkdir(state, 0700) && errno != EEXIST) {
        return complain("can't make", state);
    }
    if (access(journal, F_OK) == 0) {
        fprintf(
            stderr,
            "isthmus replay: %s holds a journal already; remove the folder, or name another with "
            "--state\n",
            state);
        return CLI_FAILED;
    }
    return CLI_OK;
}

/* ---- While it runs ---- */

/* Looks at the devices of the one south box: what they played, and whether they are through. */
static bool look(struct gateway *g)
{
    uint64_t samples = 0, reached_ms = 0;
    uint32_t over = 0, devices = g->plan.header->devices.count;
    for (uint32_t i = 0; i < devices; i++) {
        const struct device_panel *p = g->seats[SEAT_BOX + g->plan.devices[i].box].devices + i;
        uint64_t at = atomic_load(&p->figures[5]); /* bytes_in: ms of source time */
        samples += atomic_load(&p->figures[1]);
        reached_ms = at > reached_ms ? at : reached_ms;
        if (atomic_load(&p->state) == ISTHMUS_DOWN) {
            over++;
            for (size_t k = 0; k < sizeof p->reason / sizeof *p->reason; k++) {
                uint64_t word = atomic_load(&p->reason[k]);
                memcpy(played.why + 8 * k, &word, 8);
            }
        }
    }
    double length = (double)(played.to_ns - played.from_ns) / 1e6 + 1;
    cli_progress_show(&played.progress, "replaying", (double)reached_ms / length, samples,
                      "samples");
    played.samples = samples;
    played.done = over == devices;
    return played.done;
}

static bool read_folder(const void *context, struct config_result *result)
{
    const struct options *o = context;
    int err = config_load_replay(o->dir, &o->replay, result);
    if (err || !result->image) {
        cli_print_problems(stderr, o->dir, result);
        fprintf(stderr, "isthmus replay: not started: the configuration in %s has errors\n",
                o->dir);
    }
    return !err && result->image;
}

static int run(const struct options *o, const char *state)
{
    struct gateway *g = NULL;
    size_t size;
    void *image = cli_read_apart(read_folder, o, &size);
    if (!image) {
        return CLI_FAILED;
    }
    int err = gateway_new(&g, image, size);
    if (err) {
        fprintf(stderr, "isthmus replay: can't make the gateway's shared memory: %s\n",
                err_text(err));
        free(image);
        return CLI_FAILED;
    }
    cli_progress_init(&played.progress);
    int status = keeper_run(g, &(struct middle){.main = {[SEAT_ENGINE] = engine_main,
                                                         [SEAT_READER] = reader_main,
                                                         [SEAT_SEALER] = sealer_main,
                                                         [SEAT_IDENTITY] = identity_main},
                                                .is_done = look});
    gateway_free(g);
    cli_progress_clear(&played.progress);
    bool well = !status && played.done && !strcmp(played.why, "replayed");
    if (o->json) {
        struct json j;
        json_init(&j, 0);
        json_open(&j, '{');
        json_pair_uint(&j, "samples", played.samples);
        json_pair_bool(&j, "complete", well);
        json_pair_text(&j, "state", state);
        json_close(&j, '}');
        printf("%.*s\n", (int)j.size, j.text ? j.text : "");
        json_fini(&j);
    } else {
        printf("%" PRIu64 " samples played%s; journaled in %s\n", played.samples,
               well ? "" : " before it was ended", state);
    }
    if (played.done && !well) {
        fprintf(stderr, "isthmus replay: %s\n", played.why);
    }
    return well ? CLI_OK : CLI_FAILED;
}

int cli_replay(int argc, char **argv)
{
    struct options o;
    struct cli_history own;
    char source[4096], state[4096], journal[4200];
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(usage, stdout);
            return CLI_OK;
        }
    }
    if (!read_options(argc, argv, &o)) {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    int status = cli_history_open(&own, "replay", o.dir, false);
    if (!status) {
        const char *there = o.source ? o.source : plan_text(&own.plan, own.plan.header->state_dir);
        if (!realpath(there, source)) {
            status = complain("there is no history: can't open", there);
        }
    }
    cli_history_close(&own);
    snprintf(state, sizeof state, "%s", o.state ? o.state : "");
    if (!o.state) {
        snprintf(state, sizeof state, "%s/.replay", o.dir);
    }
    status = status ? status : prepare_state(state);
    status = status ? status : copy_ids(source, state);
    if (status) {
        return status;
    }
    snprintf(journal, sizeof journal, "%s/journal", source);
    o.replay.source = journal;
    if (setenv("ISTHMUS_STATE", state, 1)) {
        return complain("can't set", "ISTHMUS_STATE");
    }
    return run(&o, state);
}
