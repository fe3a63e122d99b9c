/* SPDX-License-Identifier: Apache-2.0 */
/* `isthmus restore DIR BACKUP`: everything is unpacked and proven beside the journal's folder; then it takes its place. */
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

#define STAGING "journal.restored"

static const char usage[] =
    "usage: isthmus restore DIR BACKUP [--replace] [--skip-damaged] [--json]\n"
    "       isthmus restore DIR BACKUP --repair [--json]\n\n"
    "Brings history back from a backup to the gateway in the configuration folder DIR, which is\n"
    "stopped and has no history yet. Every file is proven first; if one is damaged or missing,\n"
    "nothing is changed.\n\n"
    "  --replace       it has history: keep that aside, as journal.replaced-TIME\n"
    "  --skip-damaged  bring back what is whole, and leave out the rest\n"
    "  --repair        only put back files for those that `isthmus verify` finds damaged, set\n"
    "                  aside or missing; the gateway may be running\n"
    "  --json          what was done as one JSON document\n\n"
    "exit status: 0 done, 1 something is damaged or could not be read or written, 2 wrong usage\n";

struct run {
    struct cli_history gateway;
    struct cli_findings findings;
    struct cli_progress progress;
    struct backup backup;
    const char *dir, *folder, *state;
    int state_dir, staging, lock;
    char kept[64]; /* name of the history that was replaced, "": there was none */
    bool replace, skip_damaged, repair, json;
};

static void found(void *context, const struct verify_finding *finding)
{
    struct run *r = context;
    cli_findings_add(&r->findings, finding);
}

static void beat(void *context, uint64_t done, uint64_t total)
{
    struct run *r = context;
    cli_progress_show(&r->progress, "restore", total ? (double)done / (double)total : 1,
                      done / 1000000, "MB");
}

/* Says what failed, with the system's reason. */
static int failed(const char *what, const char *name)
{
    fprintf(stderr, "isthmus restore: can't %s %s: %s\n", what, name, strerror(errno));
    return CLI_FAILED;
}

/* ---- The place. ---- */

static int open_folders(struct run *r)
{
    r->state = plan_text(&r->gateway.plan, r->gateway.plan.header->state_dir);
    r->backup.store.dir = open(r->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->backup.store.dir < 0) {
        return failed("open", r->folder);
    }
    if (mkdir(r->state, 0700) && errno != EEXIST) {
        return failed("make", r->state);
    }
    r->state_dir = open(r->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return r->state_dir < 0 ? failed("open", r->state)
                            : cli_history_is_ours("restore", r->state, r->state_dir);
}

/* The gateway holds the same lock as long as it runs. */
static int lock_state(struct run *r)
{
    r->lock = openat(r->state_dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (r->lock < 0) {
        return failed("open the lock in", r->state);
    }
    if (flock(r->lock, LOCK_EX | LOCK_NB)) {
        fputs("isthmus restore: the gateway runs; stop it first, or use --repair to put back only\n"
              "what is damaged or missing\n",
              stderr);
        return CLI_FAILED;
    }
    return CLI_OK;
}

static void see(void *any, const char *name)
{
    struct snapshot_file file;
    *(bool *)any |= snapshot_name_parse(name, &file);
}

/* Whether there is history that would be lost. */
static int look_at_present(struct run *r, bool *any)
{
    int dir = openat(r->state_dir, "journal", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = dir >= 0          ? disk_files.list(disk_files.context, dir, see, any)
              : errno == ENOENT ? ERR_OK
                                : err_from_errno(errno);
    if (dir >= 0) {
        close(dir);
    }
    if (err) {
        return failed("read the journal's folder in", r->state);
    }
    if (*any && !r->replace) {
        fprintf(stderr,
                "isthmus restore: %s/journal holds history already; --replace keeps it aside, "
                "--repair puts back only what is damaged or missing\n",
                r->state);
        return CLI_FAILED;
    }
    return CLI_OK;
}

/* ---- Unpacking beside it. ---- */

static void remove_name(void *dir, const char *name)
{
    if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
        unlinkat(*(int *)dir, name, 0);
    }
}

/* Of files that were never finished. */
static void remove_part(void *dir, const char *name)
{
    size_t length = strlen(name);
    if (length > 5 && !strcmp(name + length - 5, ".part")) {
        unlinkat(*(int *)dir, name, 0);
    }
}

static void empty_staging(struct run *r)
{
    int ignored = disk_files.list(disk_files.context, r->staging, remove_name, &r->staging);
    (void)ignored; /* what is left is told when it is in the way */
}

static int open_staging(struct run *r)
{
    if (mkdirat(r->state_dir, STAGING, 0700) && errno != EEXIST) {
        return failed("make " STAGING " in", r->state);
    }
    r->staging = openat(r->state_dir, STAGING, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->staging < 0) {
        return failed("open " STAGING " in", r->state);
    }
    empty_staging(r); /* one that was killed left it */
    return CLI_OK;
}

static int unpack(struct run *r)
{
    struct backup *b = &r->backup;
    b->journal = (struct backup_place){&disk_files, r->staging};
    int err = backup_unpack(b);
    cli_progress_clear(&r->progress);
    if (!err && (!b->sum.findings || r->skip_damaged)) {
        return CLI_OK;
    }
    if (err) {
        fprintf(stderr, "isthmus restore: %s: %s; nothing was changed\n", r->folder,
                b->trouble[0] ? b->trouble : err_text(err));
    } else {
        cli_findings_print(&r->findings, stdout);
        fprintf(stderr, "isthmus restore: %s is not whole; nothing was changed\n", r->folder);
    }
    empty_staging(r);
    unlinkat(r->state_dir, STAGING, AT_REMOVEDIR);
    return CLI_FAILED;
}

/* ---- Taking its place. ---- */

static int move(const struct run *r, int from_dir, const char *from, const char *to)
{
    return renameat(from_dir, from, r->state_dir, to) == 0 || errno == ENOENT
               ? CLI_OK
               : failed("put in place", to);
}

/* "20261123T101500Z" behind the name. */
static void name_kept(char *out, size_t size, const char *name)
{
    char text[CLOCK_TEXT_SIZE];
    clock_text(clock_utc_ns(), text);
    snprintf(out, size, "%s.replaced-%.4s%.2s%.2sT%.2s%.2s%.2sZ", name, text, text + 5, text + 8,
             text + 11, text + 14, text + 17);
}

static int put_in_place(struct run *r, bool any)
{
    char ids[64];
    name_kept(r->kept, sizeof r->kept, "journal");
    name_kept(ids, sizeof ids, MANIFEST_IDS);
    int status = any ? move(r, r->state_dir, "journal", r->kept) : CLI_OK;
    status = status || !any ? status : move(r, r->state_dir, MANIFEST_IDS, ids);
    if (!any) {
        r->kept[0] = 0;
        int dir = openat(r->state_dir, "journal", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir >= 0) {
            int ignored = disk_files.list(disk_files.context, dir, remove_part, &dir);
            (void)ignored;
            close(dir);
        }
    }
    status = status ? status : move(r, r->staging, MANIFEST_IDS, MANIFEST_IDS);
    if (!status && renameat(r->state_dir, STAGING, r->state_dir, "journal")) {
        status = failed("put in place", "journal");
    }
    if (!status && fsync(r->state_dir)) {
        status = failed("write", r->state);
    }
    return status;
}

static int restore(struct run *r)
{
    bool any = false;
    int status = lock_state(r);
    status = status ? status : look_at_present(r, &any);
    status = status ? status : open_staging(r);
    status = status ? status : unpack(r);
    return status ? status : put_in_place(r, any);
}

static int repair(struct run *r)
{
    struct backup *b = &r->backup;
    int status = cli_history_open_journal(&r->gateway, false);
    if (status) {
        return status;
    }
    b->journal = (struct backup_place){&disk_files, r->gateway.dir};
    r->findings.plan = &r->gateway.plan;
    int err = backup_repair(b);
    cli_progress_clear(&r->progress);
    if (err) {
        fprintf(stderr, "isthmus restore: %s: %s\n", r->folder,
                b->trouble[0] ? b->trouble : err_text(err));
    }
    return err ? CLI_FAILED : CLI_OK;
}

/* ---- The command. ---- */

static void say_json(const struct run *r)
{
    const struct backup *b = &r->backup;
    struct json j;
    json_init(&j, 0);
    json_open(&j, '{');
    json_pair_text(&j, "backup", r->folder);
    json_pair_text(&j, "gateway", b->of);
    json_pair_time(&j, "made", b->made_ns);
    json_pair_uint(&j, "restored_files", b->sum.copied_files);
    json_pair_uint(&j, "restored_bytes", b->sum.copied_bytes);
    json_pair_uint(&j, "removed_files", b->sum.removed_files);
    json_pair_text(&j, "kept_aside", r->kept);
    cli_findings_json(&r->findings, &j, "findings");
    json_close(&j, '}');
    json_newline(&j);
    fwrite(j.text, 1, j.size, stdout);
    json_fini(&j);
}

static void say(const struct run *r)
{
    const struct backup *b = &r->backup;
    char made[CLOCK_TEXT_SIZE];
    cli_findings_print(&r->findings, stdout);
    printf("%s%s, of gateway %s, made at %s: %" PRIu64 " files, %" PRIu64 " bytes brought back",
           r->findings.count ? "\n" : "", r->folder, b->of, clock_text(b->made_ns, made),
           b->sum.copied_files, b->sum.copied_bytes);
    if (r->repair) {
        printf("; %" PRIu64 " damaged ones taken away", b->sum.removed_files);
    }
    printf("%s%s\n", r->kept[0] ? "; the history before is in " : "", r->kept);
}

static int take_arguments(struct run *r, int argc, char **argv)
{
    const struct {
        const char *name;
        bool *flag;
    } options[] = {{"--replace", &r->replace},
                   {"--skip-damaged", &r->skip_damaged},
                   {"--repair", &r->repair},
                   {"--json", &r->json}};
    int words = 0;
    for (int i = 1; i < argc; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
            if (!strcmp(argv[i], options[k].name)) {
                *options[k].flag = known = true;
            }
        }
        if (!known && argv[i][0] == '-') {
            fprintf(stderr, "isthmus restore: unknown option %s\n", argv[i]);
            return CLI_USAGE;
        }
        if (!known && words++ < 2) {
            *(words == 1 ? &r->dir : &r->folder) = argv[i];
        }
    }
    if (words != 2 || (r->repair && (r->replace || r->skip_damaged))) {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    return CLI_OK;
}

static int run(struct run *r)
{
    struct backup *b = &r->backup;
    b->store.disk = &disk_files;
    b->found = found;
    b->beat = beat;
    b->context = r;
    b->now_ns = clock_utc_ns();
    int status = open_folders(r);
    status = status ? status : r->repair ? repair(r) : restore(r);
    if (!status && r->json) {
        say_json(r);
    } else if (!status) {
        say(r);
    }
    return status || !r->findings.count ? status : CLI_FAILED;
}

int cli_restore(int argc, char **argv)
{
    static struct run r = {
        .gateway.dir = -1, .backup = {.store.dir = -1}, .state_dir = -1, .staging = -1, .lock = -1};
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
    status = cli_history_open(&r.gateway, "restore", r.dir, false);
    status = status ? status : run(&r);
    const int folders[] = {r.backup.store.dir, r.state_dir, r.staging, r.lock};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (folders[i] >= 0) {
            close(folders[i]);
        }
    }
    cli_findings_fini(&r.findings);
    cli_history_close(&r.gateway);
    return status;
}
