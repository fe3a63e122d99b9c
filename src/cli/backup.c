/* SPDX-License-Identifier: Apache-2.0 */
/* `isthmus backup DIR BACKUP`. */
#include "history/backup.h"

#include "base/clock.h"
#include "cli/findings.h"
#include "cli/history.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "usage: isthmus backup DIR BACKUP [--json]\n\n"
    "Copies the history of the gateway in the configuration folder DIR, running or not, to the\n"
    "folder BACKUP: as it is at one moment, with the permanent ids of its tags. What BACKUP has\n"
    "already of this gateway is checked and kept, so that each backup after the first copies\n"
    "only what is new. Until a backup is complete the one before stays whole. The configuration\n"
    "itself belongs in git.\n\n"
    "  --json  what was done as one JSON document\n\n"
    "exit status: 0 done, 1 something is damaged or could not be read or written, 2 wrong usage\n";

struct run {
    struct cli_history gateway;
    struct cli_findings findings;
    struct cli_progress progress;
    struct backup backup;
    const char *dir, *folder;
    bool json;
};

static void found(void *context, const struct verify_finding *finding)
{
    struct run *r = context;
    cli_findings_add(&r->findings, finding);
}

static void beat(void *context, uint64_t done, uint64_t total)
{
    struct run *r = context;
    cli_progress_show(&r->progress, "backup", total ? (double)done / (double)total : 1,
                      done / 1000000, "MB");
}

/* Opens BACKUP, alone. */
static int open_store(struct run *r)
{
    struct stat store, journal;
    const char *why = NULL;
    int fd = mkdir(r->folder, 0700) == 0 || errno == EEXIST
                 ? open(r->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                 : -1;
    if (fd < 0) {
        why = strerror(errno);
    } else if (fstat(fd, &store) == 0 && fstat(r->gateway.dir, &journal) == 0 &&
               store.st_dev == journal.st_dev && store.st_ino == journal.st_ino) {
        why = "it is the journal's folder itself";
    } else if (flock(fd, LOCK_EX | LOCK_NB)) {
        why = "another backup is writing to it";
    }
    r->backup.store.dir = fd;
    if (why) {
        fprintf(stderr, "isthmus backup: can't write to %s: %s\n", r->folder, why);
    }
    return why ? CLI_FAILED : CLI_OK;
}

static int open_state(struct run *r)
{
    const char *state = plan_text(&r->gateway.plan, r->gateway.plan.header->state_dir);
    r->backup.state.dir = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->backup.state.dir < 0) {
        fprintf(stderr, "isthmus backup: can't open %s: %s\n", state, strerror(errno));
    }
    return r->backup.state.dir < 0 ? CLI_FAILED : CLI_OK;
}

static void say_json(const struct run *r)
{
    const struct backup_sum *s = &r->backup.sum;
    struct json j;
    json_init(&j, 0);
    json_open(&j, '{');
    json_pair_text(&j, "backup", r->folder);
    json_pair_time(&j, "made", r->backup.now_ns);
    json_pair_uint(&j, "files", s->files);
    json_pair_uint(&j, "bytes", s->bytes);
    json_pair_uint(&j, "copied_files", s->copied_files);
    json_pair_uint(&j, "copied_bytes", s->copied_bytes);
    json_pair_uint(&j, "removed_files", s->removed_files);
    cli_findings_json(&r->findings, &j, "findings");
    json_close(&j, '}');
    json_newline(&j);
    fwrite(j.text, 1, j.size, stdout);
    json_fini(&j);
}

static void say(const struct run *r)
{
    const struct backup_sum *s = &r->backup.sum;
    cli_findings_print(&r->findings, stdout);
    printf("%s%s: %" PRIu64 " files, %" PRIu64 " bytes; copied %" PRIu64 " files, %" PRIu64
           " bytes; removed %" PRIu64 " files\n",
           s->findings ? "\n" : "", r->folder, s->files, s->bytes, s->copied_files, s->copied_bytes,
           s->removed_files);
}

static int run(struct run *r)
{
    struct backup *b = &r->backup;
    b->journal = (struct backup_place){&disk_files, r->gateway.dir};
    b->state.disk = b->store.disk = &disk_files;
    b->gateway = plan_text(&r->gateway.plan, r->gateway.plan.header->name);
    b->now_ns = clock_utc_ns();
    b->found = found;
    b->beat = beat;
    b->context = r;
    r->findings.plan = &r->gateway.plan;
    int err = backup_make(b);
    cli_progress_clear(&r->progress);
    if (err) {
        fprintf(stderr, "isthmus backup: %s: %s; what was backed up before is as it was\n",
                r->folder, b->trouble[0] ? b->trouble : err_text(err));
        return CLI_FAILED;
    }
    if (r->json) {
        say_json(r);
    } else {
        say(r);
    }
    return b->sum.findings ? CLI_FAILED : CLI_OK;
}

static int take_arguments(struct run *r, int argc, char **argv)
{
    int words = 0;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json")) {
            r->json = true;
        } else if (argv[i][0] == '-') {
            fprintf(stderr, "isthmus backup: unknown option %s\n", argv[i]);
            return CLI_USAGE;
        } else if (words++ < 2) {
            *(words == 1 ? &r->dir : &r->folder) = argv[i];
        }
    }
    if (words != 2) {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    return CLI_OK;
}

int cli_backup(int argc, char **argv)
{
    static struct run r = {.gateway.dir = -1, .backup = {.state.dir = -1, .store.dir = -1}};
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        fputs(usage, stdout);
        return CLI_OK;
    }
    int status = take_arguments(&r, argc, argv);
    if (status) {
        return status;
    }
    cli_progress_init(&r.progress);
    cli_history_allow_files();
    status = cli_history_open(&r.gateway, "backup", r.dir, false);
    status = status ? status : cli_history_open_journal(&r.gateway, false);
    status = status ? status : open_state(&r);
    status = status ? status : open_store(&r);
    status = status ? status : run(&r);
    const int folders[] = {r.backup.state.dir, r.backup.store.dir};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (folders[i] >= 0) {
            close(folders[i]);
        }
    }
    cli_findings_fini(&r.findings);
    cli_history_close(&r.gateway);
    return status;
}
