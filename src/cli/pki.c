/* SPDX-License-Identifier: Apache-2.0 */
/* isthmus pki: the command line. Passphrases and tokens come from the terminal, unseen, from files or stdin: never as
 * arguments, which other users of the machine could read. */
#include "cli/pki.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

static const char usage[] =
    "usage: isthmus pki VERB … [--json]\n\n"
    "Certificates of the plant's own authority. The root lies in the folder ROOT, offline; what "
    "is\n"
    "signed travels as files. FOLDER is the holder's: a gateway's is STATE/pki.\n\n"
    "beside the root:\n"
    "  init ROOT --name TEXT [--days N]      make a root; its key is encrypted with a passphrase\n"
    "  sign ROOT REQUEST ANSWER [--days N]   sign what enrol or renew asks for, into the file "
    "ANSWER\n"
    "  gateway|service|user ROOT NAME --to FOLDER [--names A,B] [--days N]\n"
    "                                        make key and certificate for who can't ask himself\n"
    "  revoke ROOT NAME|SERIAL               trust its certificates no more; makes a new list\n"
    "  crl ROOT [--days N]                   a new list of revoked certificates: ROOT/root.crl\n"
    "beside the gateway, the service, the person:\n"
    "  enrol FOLDER gateway|service|user NAME [--names A,B]   make a key, a request and its token\n"
    "  renew FOLDER [NAME] [--same-key]      make a new key and a request that the old one proves\n"
    "  accept FOLDER ANSWER [NAME]           take up what the root has signed\n"
    "  accept FOLDER root.crl                take up a new list of revoked certificates\n"
    "either:\n"
    "  list ROOT|FOLDER                      certificates, and when they end\n\n"
    "  --name TEXT   the root's name\n"
    "  --names A,B   host names and addresses that a server is called by\n"
    "  --days N      how long it is good: a root 7300, others 397, a list 400\n"
    "  --same-key    the old key goes on: a machine's account is bound to it (isthmus token)\n"
    "  --to FOLDER   where key and certificate go\n"
    "  --passphrase-file FILE   instead of the terminal or stdin\n"
    "  --json        what was done as one JSON document\n\n"
    "exit status: 0 done, 1 it did not work out, 2 wrong usage\n";

static const struct {
    const char *name;
    int (*run)(const struct pki *p);
    int least, most;
} verbs[] = {
    {"init", pki_init, 1, 1},     {"gateway", pki_issue, 2, 2}, {"service", pki_issue, 2, 2},
    {"user", pki_issue, 2, 2},    {"sign", pki_sign, 3, 3},     {"revoke", pki_revoke, 2, 2},
    {"crl", pki_crl, 1, 1},       {"enrol", pki_enrol, 3, 3},   {"renew", pki_renew, 1, 2},
    {"accept", pki_accept, 2, 3}, {"list", pki_list, 1, 1},
};

const char *pki_stem(enum holder_kind kind, const char *name)
{
    return kind == HOLDER_GATEWAY ? "gateway" : name;
}

int pki_tell(const struct pki *p, const char *line, const char *const *pairs)
{
    if (!p->json) {
        puts(line);
        return CLI_OK;
    }
    struct json j;
    json_init(&j, 0);
    json_open(&j, '{');
    for (; *pairs; pairs += 2) {
        json_pair_text(&j, pairs[0], pairs[1]);
    }
    json_close(&j, '}');
    json_newline(&j);
    fwrite(j.text, 1, j.size, stdout);
    json_fini(&j);
    return CLI_OK;
}

static bool parse_days(const char *text, int *days)
{
    char *end;
    long v = strtol(text, &end, 10);
    *days = (int)v;
    return *text >= '1' && *text <= '9' && !*end && v <= 36500;
}

static bool parse(struct pki *p, int argc, char **argv)
{
    const struct {
        const char *name, **to;
    } texts[] = {{"--name", &p->name},
                 {"--names", &p->names},
                 {"--to", &p->to},
                 {"--passphrase-file", &p->passphrase_file}};
    for (int i = 1; i < argc; i++) {
        bool taken = false;
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
            if (!strcmp(argv[i], texts[k].name) && i + 1 < argc) {
                *texts[k].to = argv[++i];
                taken = true;
                break;
            }
        }
        if (taken) {
            continue;
        }
        if (!strcmp(argv[i], "--same-key")) {
            p->same_key = true;
        } else if (!strcmp(argv[i], "--json")) {
            p->json = true;
        } else if (!strcmp(argv[i], "--days") && i + 1 < argc) {
            if (!parse_days(argv[++i], &p->days)) {
                return false;
            }
        } else if (argv[i][0] == '-' || p->argument_count == 4) {
            return false;
        } else if (!p->verb) {
            p->verb = argv[i];
        } else {
            p->arguments[p->argument_count++] = argv[i];
        }
    }
    return p->verb != NULL;
}

int cli_pki(int argc, char **argv)
{
    struct pki p = {.now_ns = clock_utc_ns()};
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(usage, stdout);
            return CLI_OK;
        }
    }
    if (parse(&p, argc, argv)) {
        for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
            if (!strcmp(p.verb, verbs[i].name) && p.argument_count >= verbs[i].least &&
                p.argument_count <= verbs[i].most) {
                return verbs[i].run(&p);
            }
        }
    }
    fputs(usage, stderr);
    return CLI_USAGE;
}
