/* SPDX-License-Identifier: Apache-2.0 */
/* The table of subcommands. */
#include "base/json.h"
#include "cli/cli.h"
#include "sim/sim.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static int cli_version(int argc, char **argv);
static int cli_help(int argc, char **argv);

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *arguments, *summary;
} commands[] = {
    {"run", cli_run, "DIR", "run the gateway that a folder describes"},
    {"check", cli_check, "DIR", "find every mistake in a folder"},
    {"sim", sim_main, "waterworks", "simulate a plant, with real Modbus TCP servers"},
    {"status", cli_client, "", "the gateway's processes and their health"},
    {"devices", cli_client, "", "the devices: state, latency, errors"},
    {"browse", cli_client, "DEVICE", "what a device is and offers"},
    {"get", cli_client, "TAG…", "current values"},
    {"watch", cli_client, "TAG…", "values as they come"},
    {"ledger", cli_client, "[TAG]", "where every sample went, and why some are missing"},
    {"sql", cli_client, "STATEMENT", "a SELECT over history and current values"},
    {"set", cli_client, "TAG VALUE", "write to a device, if the guard lets you"},
    {"command", cli_client, "[ID [ACT]]",
     "commands: open ones, what became of one; approve it, end its lease"},
    {"inhibit", cli_client, "[on|off]", "stop all writes to devices, or let them through again"},
    {"island", cli_client, "[on|off]", "cut every connection to the north, or open them again"},
    {"zones", cli_client, "", "zones, conduits, and what really flowed"},
    {"user", cli_client, "VERB", "accounts: who may sign in"},
    {"token", cli_client, "VERB", "tokens of machines"},
    {"trial-report", cli_client, "", "what the gateway asked of the devices, and what came of it"},
    {"trust-report", cli_client, "", "what the trust in the gateway rests on, as one file"},
    {"export", cli_export, "DIR FILE", "history of tags as CSV or Parquet"},
    {"import", cli_import, "DIR FILE", "CSV or Parquet as history"},
    {"verify", cli_verify, "FOLDER", "whether history is whole and sound"},
    {"audit", cli_audit, "VERB FOLDER", "prove and read the account of who did what"},
    {"access", cli_access, "WHO TAG", "why somebody may read or write a tag, or may not"},
    {"contract", cli_contract, "VERB", "keys, signatures and terms of data contracts"},
    {"pki", cli_pki, "VERB", "certificates of the plant's own authority"},
    {"backup", cli_backup, "DIR BACKUP", "copy history, of a gateway that runs too"},
    {"restore", cli_restore, "DIR BACKUP", "bring history back"},
    {"replay", cli_replay, "DIR", "play history as live devices"},
    {"version", cli_version, "", "the program's version"},
    {"help", cli_help, "[COMMAND]", "this, or a command's own help"},
};

#define COMMANDS (sizeof commands / sizeof *commands)

static int find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (!strcmp(commands[i].name, name)) {
            return (int)i;
        }
    }
    return -1;
}

static void print_help(FILE *out)
{
    fputs("Isthmus joins a plant's machines with IT, and keeps their networks apart.\n\n"
          "usage: isthmus COMMAND …\n\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++) {
        fprintf(out, "  %-12s %-11s %s\n", commands[i].name, commands[i].arguments,
                commands[i].summary);
    }
    fputs("\n`isthmus COMMAND --help` tells more; `man isthmus` has it all. With --json this list\n"
          "is JSON, and so is what every other command says.\n\n"
          "exit status: 0 done, 1 it did not work out, 2 wrong usage, 3 no gateway answers\n",
          out);
}

static int cli_version(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--json")) {
        puts("{\"version\":\"" ISTHMUS_VERSION "\"}");
        return CLI_OK;
    }
    if (argc == 2 && !strcmp(argv[1], "--help")) {
        puts("usage: isthmus version [--json]\n\nexit status: 0 done, 2 wrong usage");
        return CLI_OK;
    }
    if (argc > 1) {
        fprintf(stderr, "isthmus version: takes no argument '%s'\n", argv[1]);
        return CLI_USAGE;
    }
    puts("isthmus " ISTHMUS_VERSION);
    return CLI_OK;
}

static int unknown(const char *name)
{
    fprintf(stderr, "isthmus: no command '%s'; `isthmus help` lists them\n", name);
    return CLI_USAGE;
}

static void print_commands(void)
{
    struct json j;
    json_init(&j, 0);
    json_open(&j, '[');
    for (size_t i = 0; i < COMMANDS; i++) {
        json_open(&j, '{');
        json_pair_text(&j, "name", commands[i].name);
        json_pair_text(&j, "arguments", commands[i].arguments);
        json_pair_text(&j, "summary", commands[i].summary);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_newline(&j);
    fwrite(j.text, 1, j.size, stdout);
    json_fini(&j);
}

static int cli_help(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--json")) {
        print_commands();
        return CLI_OK;
    }
    if (argc < 2 || argv[1][0] == '-') {
        print_help(stdout);
        return CLI_OK;
    }
    int i = find(argv[1]);
    char option[] = "--help";
    char *help[] = {argv[1], option, NULL};
    return i < 0 ? unknown(argv[1]) : commands[i].run(2, help);
}

int main(int argc, char **argv)
{
    const struct rlimit no_core = {0,
                                   0}; /* what a process knows must not be left behind in a file */
    (void)setrlimit(RLIMIT_CORE, &no_core);
    if (argc < 2) {
        print_help(stderr);
        return CLI_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        return cli_help(1, argv);
    }
    int i = find(!strcmp(argv[1], "--version") ? "version" : argv[1]);
    return i < 0 ? unknown(argv[1]) : commands[i].run(argc - 1, argv + 1);
}
