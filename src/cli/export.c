/* SPDX-License-Identifier: Apache-2.0 */
/* `isthmus export DIR FILE`: history of tags as a table. It reads the gateway's files as they lie there, tag after tag: sealed
 * files, and the raw segments that are not sealed yet, whose samples are gathered for as many tags at a time as fit into
 * memory. */
#include "cli/history.h"

#include "base/clock.h"
#include "base/json.h"
#include "history/series.h"
#include "table/samples.h"
#include "tag/glob.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL_BYTES_MAX ((size_t)128 << 20)
#define TAIL_TRIES     100
#define ROWS           65536u

static const char usage[] =
    "usage: isthmus export DIR FILE [TAG…] [--from TIME] [--to TIME] [--json]\n\n"
    "Writes the history of the gateway in the configuration folder DIR, running or not, to FILE:\n"
    "a table with the columns tag, time, value, status. FILE ends in .csv or .parquet, or is -\n"
    "for CSV to stdout. A TAG may hold * (within a level) and ** (any levels); without TAG all\n"
    "tags are written. `isthmus import` reads it back.\n\n"
    "  --from TIME  only from this source time on (RFC 3339, as 2026-11-22T10:00:00Z)\n"
    "  --to TIME    only up to this source time, inclusive\n"
    "  --json       say what was written as one JSON document\n\n"
    "Tags that have no type in common share in Parquet a column value of doubles; what is no\n"
    "number, or more than a double can hold, is in the column text.\n\n"
    "exit status: 0 done, 1 not found, or something could not be read or written, 2 wrong usage\n";

struct arguments {
    const char *dir, *file;
    char **tags;
    int tag_count;
    int64_t from_ns, to_ns;
    bool json;
};

struct export
{
    struct cli_history gateway;
    struct history history;
    const struct plan_tag **tags; /* owned */
    size_t tag_count, tags_done;
    struct batch *batch;
    struct table_writer *writer;
    int fd;
    int64_t from_ns, to_ns;
    uint64_t samples, thinned, damage;
    struct cli_progress progress;
};

/* ---- The samples of a tag. ---- */

static int add_rows(struct export *e, const struct plan_tag *tag, const struct piece *p)
{
    const struct block *b = p->samples;
    const char *path = plan_text(&e->gateway.plan, tag->path);
    int err = ERR_OK;
    for (uint32_t i = p->from; i < p->to && err == ERR_OK; i++) {
        struct slot s = {.time = b->time[i], .value.u64 = b->value[i], .status = b->status[i]};
        const uint8_t *text = b->text ? b->text + b->text_at[i] : NULL;
        err = samples_add(e->batch, path, (enum value_type)tag->type, &s, text);
        if (err == ERR_OK && batch_is_full(e->batch)) {
            err = table_writer_write(e->writer, e->batch);
            batch_clear(e->batch);
            cli_progress_show(&e->progress, "export", (double)e->tags_done / (double)e->tag_count,
                              e->samples, "samples");
        }
        e->samples++;
    }
    return err;
}

static int export_tag(struct export *e, const struct plan_tag *tag, const struct tail *tail)
{
    struct series_options o = {.tag = tag->id,
                               .type = (enum value_type)tag->type,
                               .from_ns = e->from_ns,
                               .to_ns = e->to_ns,
                               .parts = BLOCK_ALL,
                               .tail = tail};
    struct series *s = NULL;
    struct piece piece;
    int got = series_open(&s, &e->history, &o);
    while (got == 0 && (got = series_next(s, NULL, &piece)) > 0) {
        if (piece.summary) {
            e->thinned += piece.summary->count;
            got = 0;
        } else {
            got = add_rows(e, tag, &piece);
        }
    }
    e->damage += s ? series_damage(s) : 0;
    series_close(s);
    e->tags_done++;
    return got;
}

/* ---- Groups of tags. ---- */

static int gather_tail(struct export *e, struct tail *t, const uint64_t *ids, size_t from,
                       size_t to)
{
    const struct plan_tag *last = e->tags[to - 1];
    int got = tail_open(t, &e->history, NULL, ids, last->id + 1, to - from == 1 ? last->id : 0);
    while (got == 0) {
        size_t budget = SIZE_MAX;
        got = tail_step(t, &budget, TAIL_BYTES_MAX);
    }
    return got < 0 ? got : ERR_OK;
}

/* Gathers for tags [from, *to), or for fewer: then *to is less. Once more if a segment was sealed meanwhile. */
static int gather_group(struct export *e, struct tail *t, size_t from, size_t *to)
{
    int err = ERR_NOT_FOUND;
    for (int tries = 0; err == ERR_NOT_FOUND && tries < TAIL_TRIES; tries++) {
        uint64_t *ids = calloc(e->tags[*to - 1]->id / 64 + 1, sizeof *ids);
        for (size_t i = from; ids && i < *to; i++) {
            ids[e->tags[i]->id / 64] |= UINT64_C(1) << (e->tags[i]->id % 64);
        }
        err = ids ? history_refresh(&e->history, clock_utc_ns()) : ERR_NOMEM;
        err = err ? err : gather_tail(e, t, ids, from, *to);
        t->gather.tags = NULL; /* what was gathered needs it no more */
        free(ids);
        if (err) {
            tail_close(t);
        }
        if (err == ERR_FULL && *to - from > 1) {
            *to = from + (*to - from) / 2;
            err = ERR_NOT_FOUND;
            tries--;
        }
    }
    return err;
}

static int export_all(struct export *e)
{
    int err = ERR_OK;
    for (size_t from = 0, to; from < e->tag_count && err == ERR_OK; from = to) {
        struct tail tail = {0};
        to = e->tag_count;
        err = gather_group(e, &tail, from, &to);
        for (size_t i = from; i < to && err == ERR_OK; i++) {
            err = export_tag(e, e->tags[i], &tail);
        }
        tail_close(&tail);
    }
    err = err ? err : table_writer_write(e->writer, e->batch);
    return err ? err : table_writer_finish(e->writer);
}

/* ---- The command. ---- */

static bool is_wanted(const struct arguments *a, const char *path)
{
    bool wanted = a->tag_count == 0;
    for (int i = 0; i < a->tag_count && !wanted; i++) {
        wanted = glob_matches(a->tags[i], path);
    }
    return wanted;
}

static int choose_tags(struct export *e, const struct arguments *a)
{
    const struct plan *plan = &e->gateway.plan;
    e->tags = calloc(plan->header->tags.count + 1, sizeof(struct plan_tag *));
    for (uint32_t i = 0; e->tags && i < plan->header->tags.count; i++) {
        if (is_wanted(a, plan_text(plan, plan->tags[i].path))) {
            e->tags[e->tag_count++] = &plan->tags[i];
        }
    }
    if (!e->tag_count) {
        fprintf(stderr, "isthmus export: no tag matches%s%s\n", a->tag_count ? " " : "",
                a->tag_count ? a->tags[0] : "");
    }
    return e->tag_count ? CLI_OK : CLI_FAILED;
}

static int begin_table(struct export *e, enum table_format format)
{
    enum value_type *types = calloc(e->tag_count, sizeof *types);
    for (size_t i = 0; types && i < e->tag_count; i++) {
        types[i] = (enum value_type)e->tags[i]->type;
    }
    int err = types ? samples_batch(&e->batch, format, types, e->tag_count, ROWS) : ERR_NOMEM;
    free(types);
    return err ? err
               : table_writer_new(&e->writer, format, e->batch,
                                  (struct table_sink){table_sink_fd, &e->fd});
}

static void say(const struct export *e, const struct arguments *a)
{
    if (a->json) {
        struct json j;
        json_init(&j, 0);
        json_open(&j, '{');
        json_pair_text(&j, "file", a->file);
        json_pair_uint(&j, "tags", e->tag_count);
        json_pair_uint(&j, "samples", e->samples);
        json_pair_uint(&j, "thinned", e->thinned);
        json_pair_uint(&j, "damaged", e->damage);
        json_close(&j, '}');
        json_newline(&j);
        fwrite(j.text, 1, j.size, stdout);
        json_fini(&j);
    } else {
        printf("%s: %" PRIu64 " samples of %zu tags\n", a->file, e->samples, e->tag_count);
    }
    if (e->thinned) {
        fprintf(stderr, "isthmus export: of %" PRIu64 " older samples only summaries are left\n",
                e->thinned);
    }
    if (e->damage) {
        fprintf(stderr, "isthmus export: %" PRIu64 " damaged blocks or files were left out\n",
                e->damage);
    }
}

/* Writes to FILE.part, which gets its name when it is whole. */
static int export_file(struct export *e, const struct arguments *a)
{
    char part[4096];
    bool to_stdout = !strcmp(a->file, "-");
    snprintf(part, sizeof part, "%s.part", a->file);
    e->fd = to_stdout ? STDOUT_FILENO : open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (e->fd < 0) {
        fprintf(stderr, "isthmus export: can't write %s: %s\n", part, strerror(errno));
        return CLI_FAILED;
    }
    int err = begin_table(e, to_stdout ? TABLE_CSV : table_format_of(a->file));
    err = err ? err : history_open(&e->history, &disk_files, e->gateway.dir);
    err = err ? err : export_all(e);
    e->damage += e->history.shelf ? e->history.shelf->damaged : 0;
    cli_progress_clear(&e->progress);
    if (!to_stdout) {
        err = close(e->fd) && !err ? err_from_errno(errno) : err;
        err = !err && rename(part, a->file) ? err_from_errno(errno) : err;
        if (err) {
            unlink(part);
        }
    }
    if (err) {
        fprintf(stderr, "isthmus export: can't write %s: %s\n", a->file, err_text(err));
        return CLI_FAILED;
    }
    if (!to_stdout) {
        say(e, a);
    }
    return e->damage ? CLI_FAILED : CLI_OK;
}

static bool take_time(const char *option, const char *text, int64_t *ns)
{
    if (!text || clock_parse(text, strlen(text), ns)) {
        fprintf(stderr, "isthmus export: %s needs a time, as 2026-11-22T10:00:00Z\n", option);
        return false;
    }
    return true;
}

/* Each .csv in a configuration folder is a list of tags: the gateway would not start again with another one. */
static bool is_configuration(const struct arguments *a)
{
    char copy[4096];
    struct stat file, dir;
    snprintf(copy, sizeof copy, "%s", a->file);
    bool same = table_format_of(a->file) == TABLE_CSV && stat(dirname(copy), &file) == 0 &&
                stat(a->dir, &dir) == 0 && file.st_dev == dir.st_dev && file.st_ino == dir.st_ino;
    if (same) {
        fprintf(stderr,
                "isthmus export: in %s a .csv is a list of tags; write %s to another folder\n",
                a->dir, a->file);
    }
    return same;
}

/* CLI_OK; CLI_USAGE with the reason told. */
static int take_arguments(struct arguments *a, int argc, char **argv)
{
    *a = (struct arguments){.from_ns = INT64_MIN, .to_ns = INT64_MAX, .tags = argv};
    int words = 0;
    for (int i = 1; i < argc; i++) {
        bool from = !strcmp(argv[i], "--from"), to = !strcmp(argv[i], "--to");
        if (!strcmp(argv[i], "--json")) {
            a->json = true;
        } else if (from || to) {
            const char *text = i + 1 < argc ? argv[i + 1] : NULL;
            if (!take_time(argv[i], text, from ? &a->from_ns : &a->to_ns)) {
                return CLI_USAGE;
            }
            i++;
        } else if (argv[i][0] == '-' && argv[i][1]) {
            fprintf(stderr, "isthmus export: unknown option %s\n", argv[i]);
            return CLI_USAGE;
        } else if (words++ < 2) {
            *(words == 1 ? &a->dir : &a->file) = argv[i];
        } else {
            a->tags[a->tag_count++] = argv[i]; /* over what was read already */
        }
    }
    if (words < 2) {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    if (strcmp(a->file, "-") != 0 && !table_format_of(a->file)) {
        fprintf(stderr, "isthmus export: %s ends neither in .csv nor in .parquet\n", a->file);
        return CLI_USAGE;
    }
    return is_configuration(a) ? CLI_USAGE : CLI_OK;
}

int cli_export(int argc, char **argv)
{
    struct arguments a;
    struct export e = {.fd = -1};
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        fputs(usage, stdout);
        return CLI_OK;
    }
    int status = take_arguments(&a, argc, argv);
    if (status) {
        return status;
    }
    e.from_ns = a.from_ns;
    e.to_ns = a.to_ns;
    cli_progress_init(&e.progress);
    status = cli_history_open(&e.gateway, "export", a.dir, false);
    status = status ? status : cli_history_open_journal(&e.gateway, false);
    status = status ? status : choose_tags(&e, &a);
    status = status ? status : export_file(&e, &a);
    table_writer_free(e.writer);
    batch_free(e.batch);
    history_close(&e.history);
    free(e.tags);
    cli_history_close(&e.gateway);
    return status;
}
