/* SPDX-License-Identifier: Apache-2.0 */
/* `isthmus import DIR FILE`: a table becomes history. The file is read twice: first to check every row, so that nothing is
 * written of a file that has a mistake; then to import it. */
#include "cli/history.h"

#include "base/clock.h"
#include "base/json.h"
#include "cli/import_rows.h"
#include "history/import.h"
#include "journal/folder.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_SEGMENTS 4u /* what the journal needs at the least to go on */

static const char usage[] =
    "usage: isthmus import DIR FILE [--check] [--utc] [--skip-unknown] [--json]\n\n"
    "Reads FILE (.csv or .parquet) as history of the tags of the gateway in the configuration\n"
    "folder DIR, running or not. Its columns are either tag, time, value and, if there is one,\n"
    "status; or time, and one column per tag, named by its path. Source times are kept; what was\n"
    "imported is marked as such, delivered to no feed, and counted by no ledger. A file is\n"
    "imported as a whole or, if it has a mistake, not at all.\n\n"
    "  --check         only look for mistakes; write nothing\n"
    "  --utc           take times without a zone as UTC\n"
    "  --skip-unknown  leave out tags that the gateway does not have\n"
    "  --json          say what was imported as one JSON document\n\n"
    "In CSV, times are RFC 3339 with zone, a status is a number or one of OPC UA's names, bytes\n"
    "are base64. Values that do not fit a tag's type are mistakes: nothing is rounded.\n\n"
    "exit status: 0 done, 1 a mistake, or it could not be read or written, 2 wrong usage\n";

struct arguments {
    const char *dir, *file;
    bool check, utc, skip_unknown, json;
};

struct import_run {
    struct cli_history gateway;
    struct table_problem problem;
    struct import_rows rows;
    struct import_sum sum;
    struct cli_progress progress;
    uint64_t samples, skipped;
    int64_t from_ns, to_ns; /* source times of the samples */
};

static int note(struct import_run *r, int err, const char *text)
{
    return table_problem_note(&r->problem, err, "%s: %s", text, err_text(err));
}

static int open_rows(struct import_run *r, const struct arguments *a)
{
    return import_rows_open(&r->rows, &r->gateway.plan, a->file,
                            (struct import_rows_options){a->utc, a->skip_unknown}, &r->problem);
}

/* Goes through the file; with `import` NULL only checks. */
static int pass(struct import_run *r, struct import *import, const char *doing)
{
    struct import_sample s;
    int got;
    r->samples = 0;
    r->from_ns = INT64_MAX;
    r->to_ns = INT64_MIN;
    while ((got = import_rows_next(&r->rows, &s)) > 0) {
        int err = import ? import_add(import, &s.slot, s.is_long ? s.value.text : NULL) : ERR_OK;
        if (err) {
            return note(r, err, "can't write history");
        }
        r->samples++;
        r->from_ns = s.slot.time < r->from_ns ? s.slot.time : r->from_ns;
        r->to_ns = s.slot.time > r->to_ns ? s.slot.time : r->to_ns;
        if (r->samples % 4096 == 0) {
            cli_progress_show(&r->progress, doing, table_reader_progress(r->rows.reader),
                              r->samples, "samples");
        }
    }
    r->skipped = r->rows.skipped;
    return got;
}

/* Bytes that the journal's limit leaves: imported history must not make the gateway drop new samples. */
static int room_left(const struct import_run *r, uint64_t *room)
{
    const struct plan_header *h = r->gateway.plan.header;
    struct folder_sum sum;
    int err = folder_sum_up(&disk_files, r->gateway.dir, &sum);
    uint64_t taken = sum.bytes + KEEP_SEGMENTS * h->segment_size;
    *room = !err && h->journal_limit > taken ? h->journal_limit - taken : 0;
    return err;
}

static int write_history(struct import_run *r)
{
    struct import *import = NULL;
    struct import_options o = {.disk = &disk_files,
                               .dir = r->gateway.dir,
                               .plan = &r->gateway.plan,
                               .now_ns = clock_utc_ns()};
    int err = room_left(r, &o.room);
    err = err ? err : import_open(&import, &o);
    if (err) {
        return note(r, err, "can't write history");
    }
    err = pass(r, import, "import");
    if (err) {
        import_abandon(import);
    } else {
        err = import_finish(import, &r->sum);
        err = err ? note(r, err, "can't write history") : ERR_OK;
    }
    if (err == ERR_FULL) {
        snprintf(r->problem.text, sizeof r->problem.text,
                 "it would fill the journal up to its limit; raise `limit` of `journal` first");
    }
    return err;
}

static int run(struct import_run *r, const struct arguments *a)
{
    int err = open_rows(r, a);
    err = err ? err : pass(r, NULL, "check ");
    import_rows_close(&r->rows);
    if (!err && !a->check && r->samples) {
        err = open_rows(r, a);
        err = err ? err : write_history(r);
        import_rows_close(&r->rows);
    }
    cli_progress_clear(&r->progress);
    if (err) {
        fprintf(stderr, "isthmus import: %s: %s; nothing was imported\n", a->file,
                r->problem.text[0] ? r->problem.text : err_text(err));
    }
    return err ? CLI_FAILED : CLI_OK;
}

static void say_json(const struct import_run *r, const struct arguments *a)
{
    struct json j;
    json_init(&j, 0);
    json_open(&j, '{');
    json_pair_text(&j, "file", a->file);
    json_pair_bool(&j, "imported", !a->check);
    json_pair_uint(&j, "samples", r->samples);
    json_pair_uint(&j, "skipped", r->skipped);
    if (r->samples) {
        json_pair_time(&j, "from", r->from_ns);
        json_pair_time(&j, "to", r->to_ns);
    }
    json_pair_uint(&j, "files", r->sum.files);
    json_pair_uint(&j, "bytes", r->sum.bytes);
    json_close(&j, '}');
    json_newline(&j);
    fwrite(j.text, 1, j.size, stdout);
    json_fini(&j);
}

static void say(const struct import_run *r, const struct arguments *a)
{
    char from[CLOCK_TEXT_SIZE], to[CLOCK_TEXT_SIZE];
    printf("%s: %" PRIu64 " samples", a->file, r->samples);
    if (r->samples) {
        printf(" from %s to %s", clock_text(r->from_ns, from), clock_text(r->to_ns, to));
    }
    if (r->skipped) {
        printf(", %" PRIu64 " of unknown tags left out", r->skipped);
    }
    puts(a->check ? "; nothing was written" : "");
}

static int take_arguments(struct arguments *a, int argc, char **argv)
{
    const struct {
        const char *name;
        bool *flag;
    } options[] = {{"--check", &a->check},
                   {"--utc", &a->utc},
                   {"--skip-unknown", &a->skip_unknown},
                   {"--json", &a->json}};
    int words = 0;
    for (int i = 1; i < argc; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
            if (!strcmp(argv[i], options[k].name)) {
                *options[k].flag = known = true;
            }
        }
        if (!known && argv[i][0] == '-') {
            fprintf(stderr, "isthmus import: unknown option %s\n", argv[i]);
            return CLI_USAGE;
        }
        if (!known && words++ < 2) {
            *(words == 1 ? &a->dir : &a->file) = argv[i];
        }
    }
    if (words != 2) {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    return CLI_OK;
}

int cli_import(int argc, char **argv)
{
    struct arguments a = {0};
    static struct import_run r;
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        fputs(usage, stdout);
        return CLI_OK;
    }
    int status = take_arguments(&a, argc, argv);
    if (status) {
        return status;
    }
    cli_progress_init(&r.progress);
    status = cli_history_open(&r.gateway, "import", a.dir, !a.check);
    if (!status && !a.check) {
        status = cli_history_open_journal(&r.gateway, true);
        status = status ? status : cli_history_is_ours("import", r.gateway.journal, r.gateway.dir);
    }
    status = status ? status : run(&r, &a);
    if (!status && a.json) {
        say_json(&r, &a);
    } else if (!status) {
        say(&r, &a);
    }
    cli_history_close(&r.gateway);
    return status;
}
