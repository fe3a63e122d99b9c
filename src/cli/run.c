/* SPDX-License-Identifier: Apache-2.0 */
/* `isthmus run DIR`: checks the folder, then becomes the keeper of its gateway. */
#include "cli/cli.h"

#include "box/box.h"
#include "config/config.h"
#include "engine/engine.h"
#include "identity/identity.h"
#include "reader/reader.h"
#include "sealer/sealer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: isthmus run DIR [--json]\n\n"
    "Runs the gateway that the folder DIR describes, until SIGTERM or Ctrl-C.\n"
    "`isthmus check DIR` tells what is wrong with a folder without running it.\n\n"
    "  --json  first say what the folder holds, and its mistakes, as one JSON document\n\n"
    "environment:\n"
    "  ISTHMUS_STATE    where the journal and the socket live (default: what the\n"
    "                   configuration says)\n"
    "  ISTHMUS_MODULES  a folder with drivers and services of your own\n\n"
    "exit status: 0 stopped in order, 1 something failed, 2 wrong usage\n";

struct folder {
    const char *dir;
    bool json;
};

static bool read_folder(const void *context, struct config_result *result)
{
    const struct folder *f = context;
    int err = config_load(f->dir, 1, result);
    if (err) {
        cli_print_unreadable("run", f->dir, err);
        return false;
    }
    if (f->json) {
        cli_print_check(result);
    } else {
        cli_print_problems(stderr, f->dir, result);
    }
    if (!result->image) {
        fprintf(stderr, "isthmus: not started: the configuration in %s has errors\n", f->dir);
    }
    return result->image != NULL;
}

int cli_run(int argc, char **argv)
{
    bool json = false;
    const char *dir = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(usage, stdout);
            return CLI_OK;
        }
        if (!strcmp(argv[i], "--json")) {
            json = true;
        } else if (argv[i][0] != '-' && !dir) {
            dir = argv[i];
        } else {
            dir = NULL;
            break;
        }
    }
    if (!dir) {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    struct gateway *g = NULL;
    size_t size;
    void *image = cli_read_apart(read_folder, &(struct folder){dir, json}, &size);
    if (!image) {
        return CLI_FAILED;
    }
    int err = gateway_new(&g, image, size);
    if (err) {
        fprintf(stderr, "isthmus: can't make the gateway's shared memory: %s\n", err_text(err));
        free(image);
        return CLI_FAILED;
    }
    int status = keeper_run(g, &(struct middle){.main = {[SEAT_ENGINE] = engine_main,
                                                         [SEAT_READER] = reader_main,
                                                         [SEAT_SEALER] = sealer_main,
                                                         [SEAT_IDENTITY] = identity_main}});
    gateway_free(g);
    return status ? CLI_FAILED : CLI_OK;
}
