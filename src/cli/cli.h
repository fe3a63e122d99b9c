/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands: one file each. argv[0] is the subcommand's name. Each returns the program's exit status:
 * 0 done, 1 it did not work out (not found, problems found), 2 wrong usage, 3 the gateway can't be reached. */
#ifndef ISTHMUS_CLI_CLI_H
#define ISTHMUS_CLI_CLI_H

enum { CLI_OK, CLI_FAILED, CLI_USAGE, CLI_UNREACHABLE };

int cli_run(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_devices(int argc, char **argv);
int cli_get(int argc, char **argv);
int cli_watch(int argc, char **argv);

#endif
