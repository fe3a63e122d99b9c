/* SPDX-License-Identifier: Apache-2.0 */
/* `isthmus verify FOLDER`: looks at every byte of a gateway's history and says what is wrong with it, whether it runs or not. */
#include "cli/findings.h"
#include "cli/history.h"
#include "history/backup.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define MEGA 1000000u

static const char usage[] =
    "usage: isthmus verify FOLDER [--json]\n\n"
    "Reads all of the history in FOLDER and says what is wrong with it: checksums, the index and\n"
    "the summaries against the samples, missing files, the ledger. FOLDER is a gateway's\n"
    "configuration folder, or the journal's folder itself, or a backup; the gateway may be\n"
    "running. Nothing is changed.\n\n"
    "  --json  what was found as one JSON document\n\n"
    "exit status: 0 all is sound, 1 something is wrong or could not be read, 2 wrong usage\n";

struct run {
    struct cli_history gateway;
    struct cli_findings findings;
    struct cli_progress progress;
    struct snapshot snapshot;
    struct verify verify;
    uint64_t total, done; /* bytes */
    bool is_journal;      /* the folder is the journal's itself */
    bool is_backup;
    bool is_new; /* there is no history yet */
};

static void beat(void *context, uint64_t bytes)
{
    struct run *r = context;
    r->done += bytes;
    cli_progress_show(&r->progress, "verify", r->total ? (double)r->done / (double)r->total : 1,
                      r->done / MEGA, "MB");
}

static void found(void *context, const struct verify_finding *finding)
{
    struct run *r = context;
    cli_findings_add(&r->findings, finding);
}

static void see(void *is_journal, const char *name)
{
    struct snapshot_file file;
    *(bool *)is_journal |= snapshot_name_parse(name, &file);
}

/* Opens the journal's folder, which FOLDER is or tells. */
static int open_folder(struct run *r, const char *folder)
{
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r->is_backup = dir >= 0 && faccessat(dir, MANIFEST_NAME, F_OK, 0) == 0;
    if (r->is_backup) {
        r->gateway = (struct cli_history){.command = "verify", .dir = dir};
        snprintf(r->gateway.journal, sizeof r->gateway.journal, "%s", folder);
        return CLI_OK;
    }
    if (dir >= 0 && disk_files.list(disk_files.context, dir, see, &r->is_journal) == ERR_OK &&
        r->is_journal) {
        r->gateway = (struct cli_history){.command = "verify", .dir = dir};
        snprintf(r->gateway.journal, sizeof r->gateway.journal, "%s", folder);
        return CLI_OK;
    }
    if (dir >= 0) {
        close(dir);
    }
    int status = cli_history_open(&r->gateway, "verify", folder, false);
    if (status) {
        return status;
    }
    r->findings.plan = &r->gateway.plan;
    snprintf(r->gateway.journal, sizeof r->gateway.journal, "%s/journal",
             plan_text(&r->gateway.plan, r->gateway.plan.header->state_dir));
    r->is_new = access(r->gateway.journal, F_OK) != 0;
    return r->is_new ? CLI_OK : cli_history_open_journal(&r->gateway, false);
}

static void beat_backup(void *context, uint64_t done, uint64_t total)
{
    struct run *r = context;
    r->total = total;
    r->done = 0;
    beat(r, done);
}

static int look_at_backup(struct run *r)
{
    struct backup b = {
        .store = {&disk_files, r->gateway.dir}, .found = found, .beat = beat_backup, .context = r};
    int err = backup_verify(&b, &r->verify.sum);
    cli_progress_clear(&r->progress);
    if (err) {
        fprintf(stderr, "isthmus verify: %s: %s\n", r->gateway.journal,
                b.trouble[0] ? b.trouble : err_text(err));
    }
    return err ? CLI_FAILED : CLI_OK;
}

static int look(struct run *r)
{
    r->verify = (struct verify){.disk = &disk_files, .found = found, .beat = beat, .context = r};
    int err = r->is_new ? ERR_OK : snapshot_take(&r->snapshot, &disk_files, r->gateway.dir);
    for (size_t i = 0; i < r->snapshot.count; i++) {
        r->total += r->snapshot.files[i].size;
    }
    err = err ? err : verify_init(&r->verify);
    err = err ? err : verify_all(&r->verify, &r->snapshot);
    verify_fini(&r->verify);
    cli_progress_clear(&r->progress);
    if (err) {
        fprintf(stderr, "isthmus verify: can't read %s: %s\n", r->gateway.journal, err_text(err));
    }
    return err ? CLI_FAILED : CLI_OK;
}

static void say_json(const struct run *r)
{
    const struct verify_sum *s = &r->verify.sum;
    struct json j;
    json_init(&j, 0);
    json_open(&j, '{');
    json_pair_text(&j, "folder", r->gateway.journal);
    json_pair_bool(&j, "sound", !s->findings);
    json_pair_uint(&j, "files", s->files);
    json_pair_uint(&j, "bytes", s->bytes);
    json_pair_uint(&j, "samples", s->samples);
    json_pair_uint(&j, "blocks", s->blocks);
    json_pair_uint(&j, "frames", s->frames);
    json_pair_uint(&j, "unfinished_bytes", s->unfinished);
    cli_findings_json(&r->findings, &j, "findings");
    if (s->has_ledger) {
        json_key(&j, "ledger");
        json_open(&j, '{');
        json_pair_uint(&j, "tags", s->tags);
        json_pair_uint(&j, "produced", s->ledger.produced);
        json_pair_uint(&j, "journaled", s->ledger.journaled);
        json_pair_uint(&j, "suppressed", s->ledger.suppressed);
        json_pair_uint(&j, "rejected", s->ledger.rejected);
        json_pair_uint(&j, "gaps", s->ledger.gaps);
        json_pair_bool(&j, "compared_with_history", s->compared);
        json_close(&j, '}');
    }
    json_close(&j, '}');
    json_newline(&j);
    fwrite(j.text, 1, j.size, stdout);
    json_fini(&j);
}

static void say(const struct run *r)
{
    const struct verify_sum *s = &r->verify.sum;
    const struct journal_account *l = &s->ledger;
    cli_findings_print(&r->findings, stdout);
    printf("%s%s: %" PRIu64 " files, %" PRIu64 " bytes, %" PRIu64 " samples: ",
           s->findings ? "\n" : "", r->gateway.journal, s->files, s->bytes, s->samples);
    if (s->findings) {
        printf("%" PRIu64 " findings\n", s->findings);
    } else {
        puts("all is sound");
    }
    if (s->has_ledger) {
        printf("ledger of %" PRIu64 " tags: %" PRIu64 " produced = %" PRIu64 " journaled + %" PRIu64
               " suppressed + %" PRIu64 " rejected + %" PRIu64 " gaps%s\n",
               s->tags, l->produced, l->journaled, l->suppressed, l->rejected, l->gaps,
               s->compared ? "; every journaled sample is there" : "");
    }
}

int cli_verify(int argc, char **argv)
{
    static struct run r;
    const char *folder = NULL;
    bool as_json = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(usage, stdout);
            return CLI_OK;
        }
        if (!strcmp(argv[i], "--json")) {
            as_json = true;
        } else if (argv[i][0] == '-' || folder) {
            fprintf(stderr, "isthmus verify: %s '%s'\n",
                    argv[i][0] == '-' ? "unknown option" : "one folder, not also", argv[i]);
            return CLI_USAGE;
        } else {
            folder = argv[i];
        }
    }
    if (!folder) {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    cli_progress_init(&r.progress);
    cli_history_allow_files();
    int status = open_folder(&r, folder);
    status = status ? status : r.is_backup ? look_at_backup(&r) : look(&r);
    if (!status && as_json) {
        say_json(&r);
    } else if (!status) {
        say(&r);
    }
    status = status || !r.verify.sum.findings ? status : CLI_FAILED;
    snapshot_free(&r.snapshot);
    cli_findings_fini(&r.findings);
    cli_history_close(&r.gateway);
    return status;
}
