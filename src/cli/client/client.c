/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client/client.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name, *arguments, *help;
    int (*run)(const struct client *c);
} commands[] = {
    {"status", "", "Shows the gateway, its journal and its processes.", client_status},
    {"devices", "", "Shows the devices: state, latency, errors.", client_devices},
    {"browse", " DEVICE", "Asks a device what it is and what it offers.", client_browse},
    {"get", " TAG…", "Shows current values. A TAG may hold * (within a level) and ** (any levels).",
     client_get_tags},
    {"watch", " TAG…", "Shows values as they come, until Ctrl-C. A TAG may hold * and **.",
     client_watch},
    {"ledger", " [TAG] [--feed NAME]",
     "Shows where every sample went, whether the account balances, and why samples are missing:\n"
     "of all tags together; with a TAG (it may hold * and **) or --feed NAME of each tag.",
     client_ledger},
    {"sql", " STATEMENT [--csv] [--limit ROWS]",
     "Runs one SELECT over history, current values and the plant's description: docs/sql.md. With "
     "-\n"
     "the statement is read from stdin. --csv gives all rows as they come.",
     client_sql},
    {"set", " TAG VALUE [TAG VALUE ...] [--reason TEXT] [--dry-run] [--id ID]",
     "Asks the guard to write a value to a device, and waits until it is read back, refused or "
     "waits\n"
     "for a second person. --dry-run only asks whether it would be let through. The same id again\n"
     "gives the same receipt: nothing is sent twice. Several tags are a batch: all of them are\n"
     "written, or none, as far as the device has the means; the receipt says how.",
     client_set},
    {"command", " [ID [approve|reject|renew|release] [--reason TEXT]]",
     "Lists the commands that are open and the last that ended; shows what became of one; or "
     "approves or rejects one that waits, renews its lease, or\n"
     "ends the lease now, so that the value reverts.",
     client_command},
    {"inhibit", " [on|off] [--reason TEXT]",
     "Shows whether writes are inhibited; stops all writes at once, reverts too; or lets them\n"
     "through again, which only works at the gateway itself.",
     client_inhibit},
    {"island", " [on|off] [--reason TEXT]",
     "Shows whether the gateway is an island; ends every service that reaches beyond this machine "
     "at\n"
     "once, and returns when none does any more; or starts them again, which only works at the\n"
     "gateway itself. Collection, history and what listens on loopback go on.",
     client_island},
    {"zones", "",
     "Shows the zones, the conduits between them, and what really flowed in the last 24 hours:\n"
     "values read, queries, commands, and what was refused.",
     client_zones},
    {"contract", " report [NAME]",
     "Shows what contracts promise and what was delivered, over a day and a week; with a NAME "
     "also\n"
     "what was missing and why.",
     client_contract},
    {"trial-report", " [--markdown | --html]",
     "Shows what the gateway has asked of each device since it came, how long they took to answer\n"
     "before and since, what was missing and why, and what was promised and delivered.\n\n"
     "  --markdown     as Markdown, in one piece\n"
     "  --html         as an HTML page, in one piece",
     client_trial},
    {"trust-report", " [--markdown|--html]",
     "Shows what the gateway's trust rests on: what stops writes and connections, what flowed\n"
     "between zones, who may write what and last did, what contracts promised, certificates,\n"
     "failed sign-ins, the audit's proof, and the evidence for IEC 62443-4-2.\n\n"
     "  --markdown     Markdown instead of tables\n"
     "  --html         one file of HTML that needs nothing else",
     client_trust},
    {"user", " list | enrol | add NAME --role ROLE | password NAME | remove NAME",
     "Who may sign in: lists accounts, makes, changes and removes them. The password comes from "
     "the\n"
     "terminal, or is the first line of stdin. `enrol` gives the link by which the first\n"
     "administrator makes his account himself.\n\n"
     "  --role ROLE    viewer, operator, engineer, custodian, security, administrator, vendor\n"
     "  --zones A,B    only things in these zones (default: all; a vendor needs some)\n"
     "  --until TIME   RFC 3339; then it is closed (default: never; a vendor needs one)\n"
     "  --totp         with a code of an authenticator app as second factor",
     client_user},
    {"token", " list | add NAME --role ROLE --until TIME | revoke NAME",
     "Tokens of machines, which show them as `Authorization: Bearer TOKEN`: lists, makes and\n"
     "revokes them. A token is shown once, when it is made. With --cert the machine shows its\n"
     "certificate instead, where a service asks for one.\n\n"
     "  --role ROLE    viewer, operator, engineer, custodian, security, administrator, vendor\n"
     "  --until TIME   RFC 3339; then it is void\n"
     "  --zones A,B    only things in these zones (default: all; a vendor needs some)\n"
     "  --from NET     only from this network: 10.1.0.0/16 (default: from anywhere)\n"
     "  --cert FILE    the machine's certificate; its key is what counts, so it may be renewed",
     client_token},
};

static bool is_report(int (*run)(const struct client *c))
{
    return run == client_trial || run == client_trust;
}

/* How many arguments each takes, beside those of which any number may come. */
static bool arguments_fit(const struct client *c, int (*run)(const struct client *c), bool any)
{
    if (run == client_set) {
        return c->argument_count >= 2 && c->argument_count % 2 == 0;
    }
    if (run == client_command) {
        return c->argument_count <= 2;
    }
    if (run == client_user || run == client_token) {
        return c->argument_count == 1 || c->argument_count == 2;
    }
    if (run == client_contract) {
        return c->argument_count && c->argument_count <= 2 && !strcmp(c->arguments[0], "report");
    }
    if (is_report(run)) {
        return c->argument_count == 0 && !(c->json && c->form);
    }
    if (run == client_ledger || run == client_inhibit || run == client_island) {
        return c->argument_count <= 1;
    }
    if (run == client_sql) {
        return c->argument_count == 1 && !(c->csv && c->json);
    }
    return (c->argument_count > 0) == any;
}

static void print_usage(FILE *out, size_t i)
{
    fprintf(
        out,
        "usage: isthmus %s%s [--json] [--socket PATH]\n\n%s\n\n"
        "  --json         JSON instead of a table\n"
        "  --socket PATH  the gateway's socket (default: $ISTHMUS_SOCKET, else isthmus.sock in\n"
        "                 $ISTHMUS_STATE, else in .state here)\n\n"
        "exit status: 0 done, 1 %s, 2 wrong usage, 3 no gateway answers\n",
        commands[i].name, commands[i].arguments, commands[i].help,
        commands[i].run == client_ledger ? "it does not balance, or not found"
                                         : "not found or refused");
}

static const char *default_socket(char *path, size_t size)
{
    const char *given = getenv("ISTHMUS_SOCKET"), *state = getenv("ISTHMUS_STATE");
    if (given && *given) {
        return given;
    }
    snprintf(path, size, "%s/isthmus.sock", state && *state ? state : ".state");
    return path;
}

static bool is_negative(const char *text)
{
    return text[0] == '-' && (text[1] == '.' || (text[1] >= '0' && text[1] <= '9'));
}

/* An option of user or token: steps over its value. */
static bool take_account_option(struct client *c, int (*run)(const struct client *c), char **argv,
                                int argc, int *k)
{
    const struct {
        const char *name, **to;
        bool for_users;
    } options[] = {{"--role", &c->role, true},
                   {"--zones", &c->zones, true},
                   {"--until", &c->until, true},
                   {"--from", &c->from, false},
                   {"--cert", &c->cert, false}};
    if (run == client_user && !strcmp(argv[*k], "--totp")) {
        c->totp = true;
        return true;
    }
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (!strcmp(argv[*k], options[i].name) && *k + 1 < argc &&
            (run == client_token || (run == client_user && options[i].for_users))) {
            *options[i].to = argv[++*k];
            return true;
        }
    }
    return false;
}

__attribute__((visibility("default"))) int isthmus_client(int argc, char **argv);

int isthmus_client(int argc, char **argv)
{
    char path[4096];
    size_t i = 0;
    while (strcmp(commands[i].name, argv[0]) != 0) {
        i++;
    }
    struct client c = {.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR"),
                       .arguments = argv + 1};
    for (int k = 1; k < argc; k++) {
        if (!strcmp(argv[k], "--help") || !strcmp(argv[k], "-h")) {
            print_usage(stdout, i);
            return CLI_OK;
        }
        if (take_account_option(&c, commands[i].run, argv, argc, &k)) {
            continue;
        }
        if (!strcmp(argv[k], "--json")) {
            c.json = true;
        } else if (!strcmp(argv[k], "--html") && is_report(commands[i].run)) {
            c.form = FORM_HTML;
        } else if (!strcmp(argv[k], "--markdown") && is_report(commands[i].run)) {
            c.form = FORM_MARKDOWN;
        } else if (!strcmp(argv[k], "--feed") && k + 1 < argc && commands[i].run == client_ledger) {
            c.feed = argv[++k];
        } else if (!strcmp(argv[k], "--reason") && k + 1 < argc &&
                   (commands[i].run == client_set || commands[i].run == client_command ||
                    commands[i].run == client_inhibit || commands[i].run == client_island)) {
            c.reason = argv[++k];
        } else if (!strcmp(argv[k], "--id") && k + 1 < argc && commands[i].run == client_set) {
            c.id = argv[++k];
        } else if (!strcmp(argv[k], "--dry-run") && commands[i].run == client_set) {
            c.dry_run = true;
        } else if (!strcmp(argv[k], "--csv") && commands[i].run == client_sql) {
            c.csv = true;
        } else if (!strcmp(argv[k], "--limit") && k + 1 < argc && commands[i].run == client_sql &&
                   argv[k + 1][0] && !argv[k + 1][strspn(argv[k + 1], "0123456789")]) {
            c.limit = argv[++k];
        } else if (!strcmp(argv[k], "--socket") && k + 1 < argc) {
            c.socket = argv[++k];
        } else if (argv[k][0] == '-' && !is_negative(argv[k]) &&
                   !(argv[k][1] == 0 && commands[i].run == client_sql)) {
            print_usage(stderr, i);
            return CLI_USAGE;
        } else {
            c.arguments[c.argument_count++] = argv[k];
        }
    }
    bool account = commands[i].run == client_user || commands[i].run == client_token;
    if (!arguments_fit(&c, commands[i].run, *commands[i].arguments != 0)) {
        print_usage(stderr, i);
        return CLI_USAGE;
    }
    if (!c.socket) {
        c.socket = default_socket(path, sizeof path);
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int status = commands[i].run(&c);
    curl_global_cleanup();
    if (status == CLI_USAGE && account) {
        print_usage(stderr, i);
    }
    return status;
}
