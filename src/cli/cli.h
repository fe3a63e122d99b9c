/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands: one file each. argv[0] is the subcommand's name. Each returns the program's exit status:
 * 0 done, 1 it did not work out (not found, problems found), 2 wrong usage, 3 the gateway can't be reached. */
#ifndef ISTHMUS_CLI_CLI_H
#define ISTHMUS_CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

enum { CLI_OK, CLI_FAILED, CLI_USAGE, CLI_UNREACHABLE };

struct config_result;

/* What is wrong with a folder, one problem after the other, with the offending line; colour only on a terminal. */
void cli_print_problems(FILE *out, const char *dir, const struct config_result *result);

/* The same as one JSON document to stdout. */
void cli_print_check(const struct config_result *result);

/* The plan that `read` makes (and tells of problems; true: there is one), to be freed; NULL: there is none. Of what it has read nothing
 * else stays in this process. */
typedef bool cli_read(const void *context, struct config_result *result);
void *cli_read_apart(cli_read *read, const void *context, size_t *size);

/* Why the folder could not be read at all, to stderr. */
void cli_print_unreadable(const char *command, const char *dir, int err);

int cli_run(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_export(int argc, char **argv);
int cli_import(int argc, char **argv);
int cli_verify(int argc, char **argv);
int cli_audit(int argc, char **argv);
int cli_contract(int argc, char **argv);
int cli_access(int argc, char **argv);
int cli_backup(int argc, char **argv);
int cli_restore(int argc, char **argv);
int cli_replay(int argc, char **argv);
int cli_pki(int argc, char **argv);
/* status, devices, browse, get, watch, ledger, sql, set, command, inhibit, island. */
int cli_client(int argc, char **argv);

#endif
