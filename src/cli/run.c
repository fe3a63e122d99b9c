/* SPDX-License-Identifier: Apache-2.0 */
/* `isthmus run DIR`: checks the folder, then becomes the keeper of its gateway. */
#include "cli/cli.h"

#include "box/box.h"
#include "config/config.h"
#include "engine/engine.h"
#include "reader/reader.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: isthmus run DIR\n\n"
    "Runs the gateway that the folder DIR describes, until SIGTERM or Ctrl-C.\n"
    "`isthmus check DIR` tells what is wrong with a folder without running it.\n\n"
    "environment:\n"
    "  ISTHMUS_STATE    where the journal and the socket live (default: what the\n"
    "                   configuration says)\n"
    "  ISTHMUS_MODULES  a folder with drivers and services of your own\n\n"
    "exit status: 0 stopped in order, 1 something failed, 2 wrong usage\n";

int cli_run(int argc, char **argv)
{
    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        fputs(usage, stdout);
        return CLI_OK;
    }
    if (argc != 2 || argv[1][0] == '-') {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    struct config_result result = {0};
    int err = config_load(argv[1], 1, &result);
    if (err) {
        fprintf(stderr, "isthmus: can't read the configuration in %s: %s\n", argv[1],
                err_text(err));
        return CLI_FAILED;
    }
    cli_print_problems(stderr, argv[1], &result);
    if (!result.image) {
        fprintf(stderr, "isthmus: not started: the configuration in %s has errors\n", argv[1]);
        config_free(&result);
        return CLI_FAILED;
    }
    struct gateway *g = NULL;
    err = gateway_new(&g, result.image, result.image_size);
    if (!err) {
        result.image = NULL; /* taken */
    }
    config_free(&result);
    if (err) {
        fprintf(stderr, "isthmus: can't make the gateway's shared memory: %s\n", err_text(err));
        return CLI_FAILED;
    }
    malloc_trim(0); /* every process is forked from this one: what loading left would be in all */
    int status = keeper_run(g, engine_main, reader_main);
    gateway_free(g);
    return status ? CLI_FAILED : CLI_OK;
}
