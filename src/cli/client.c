/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that ask a running gateway live in a module of their own, so that the gateway's processes carry no HTTP
 * client. */
#include "cli/cli.h"

#include "box/box.h"

int cli_client(int argc, char **argv)
{
    char why[256] = "";
    int (*run)(int argc, char **argv) = NULL;
    *(void **)&run = module_symbol("client", "cli", "isthmus_client", why, sizeof why);
    if (!run) {
        fprintf(stderr, "isthmus %s: %s\n", argv[0], why);
        return CLI_FAILED;
    }
    return run(argc, argv);
}
