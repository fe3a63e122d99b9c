/* SPDX-License-Identifier: Apache-2.0 */
/* `isthmus check DIR`: every mistake of a folder, as compilers tell theirs. */
#include "cli/cli.h"

#include "base/json.h"
#include "config/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: isthmus check DIR [--json]\n"
    "       isthmus check --schema\n\n"
    "Finds every mistake in the configuration folder DIR, each with file, line and column\n"
    "and what to do about it. Writes nothing.\n\n"
    "  --json    one JSON document instead of texts\n"
    "  --schema  print the JSON Schema of the folder's YAML files, with all options of all\n"
    "            drivers and services, for editors\n\n"
    "exit status: 0 no mistakes, 1 mistakes or not readable, 2 wrong usage\n";

/* The offending line with a mark below the column. */
static void print_line(FILE *out, const char *dir, const struct config_problem *p)
{
    char path[4096], *line = NULL;
    size_t capacity = 0;
    ssize_t n = -1;
    snprintf(path, sizeof path, "%s/%s", dir, p->file);
    FILE *f = fopen(path, "re");
    for (int i = 0; f && i < p->line && (n = getline(&line, &capacity, f)) >= 0; i++) {
    }
    if (n > 0 && n < 200) {
        fprintf(out, "    %.*s\n    ", (int)strcspn(line, "\r\n"), line);
        for (int i = 1; i < p->column && i < n; i++) {
            fputc(line[i - 1] == '\t' ? '\t' : ' ', out);
        }
        fputs("^\n", out);
    }
    free(line);
    if (f) {
        fclose(f);
    }
}

void cli_print_problems(FILE *out, const char *dir, const struct config_result *r)
{
    bool colour = isatty(fileno(out)) && !getenv("NO_COLOR");
    for (size_t i = 0; i < r->problem_count; i++) {
        const struct config_problem *p = r->problems + i;
        fprintf(out, "%s%s", colour ? "\033[1m" : "", p->file);
        if (p->line) {
            fprintf(out, ":%d:%d", p->line, p->column);
        }
        fprintf(out, "%s: %s%s%s: %s\n", colour ? "\033[0m" : "", colour ? "\033[31m" : "",
                p->warning ? "warning" : "error", colour ? "\033[0m" : "", p->text);
        if (p->line) {
            print_line(out, dir, p);
        }
        if (*p->proposal) {
            fprintf(out, "    %s\n", p->proposal);
        }
    }
    if (r->error_count > r->problem_count) {
        fprintf(out, "… and %zu more\n", r->error_count - r->problem_count);
    }
}

void cli_print_unreadable(const char *command, const char *dir, int err)
{
    if (err == ERR_TYPE) {
        fprintf(stderr, "isthmus %s: %s is a file; name the folder that holds it\n", command, dir);
    } else {
        fprintf(stderr, "isthmus %s: can't read the folder %s: %s\n", command, dir, err_text(err));
    }
}

void cli_print_check(const struct config_result *r)
{
    struct json j;
    json_init(&j, 0);
    json_open(&j, '{');
    json_pair_bool(&j, "ok", r->error_count == 0);
    json_pair_uint(&j, "errors", r->error_count);
    json_pair_uint(&j, "devices", r->devices);
    json_pair_uint(&j, "tags", r->tags);
    json_pair_uint(&j, "services", r->services);
    json_pair_uint(&j, "contracts", r->contracts);
    json_key(&j, "problems");
    json_open(&j, '[');
    for (size_t i = 0; i < r->problem_count; i++) {
        const struct config_problem *p = r->problems + i;
        json_open(&j, '{');
        json_pair_text(&j, "file", p->file);
        json_pair_int(&j, "line", p->line);
        json_pair_int(&j, "column", p->column);
        json_pair_text(&j, "severity", p->warning ? "warning" : "error");
        json_pair_text(&j, "text", p->text);
        json_pair_text(&j, "proposal", p->proposal);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_close(&j, '}');
    json_newline(&j);
    fwrite(j.text, 1, j.size, stdout);
    fflush(stdout);
    json_fini(&j);
}

static int print_schema(void)
{
    struct json j;
    json_init(&j, 0);
    config_schema(&j);
    int status = j.bad || fwrite(j.text, 1, j.size, stdout) != j.size ? CLI_FAILED : CLI_OK;
    json_fini(&j);
    return status;
}

int cli_check(int argc, char **argv)
{
    bool json = false;
    const char *dir = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(usage, stdout);
            return CLI_OK;
        }
        if (!strcmp(argv[i], "--schema") && argc == 2) {
            return print_schema();
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
    struct config_result r;
    int err = config_load(dir, 0, &r);
    if (err) {
        cli_print_unreadable("check", dir, err);
        return CLI_FAILED;
    }
    if (json) {
        cli_print_check(&r);
    } else {
        cli_print_problems(stdout, dir, &r);
        printf("%s: %zu devices, %zu tags, %zu services, %zu contracts: %zu errors\n", dir,
               r.devices, r.tags, r.services, r.contracts, r.error_count);
    }
    int status = r.error_count ? CLI_FAILED : CLI_OK;
    config_free(&r);
    return status;
}
