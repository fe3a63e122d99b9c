/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/findings.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct cli_finding {
    enum verify_kind kind;
    bool sealed;
    char file[SNAPSHOT_NAME_SIZE];
    uint64_t offset;
    uint32_t tag;
    char reason[200];
};

static const char *const kinds[] = {[VERIFY_DAMAGED] = "damaged",
                                    [VERIFY_SET_ASIDE] = "set aside",
                                    [VERIFY_MISSING] = "missing",
                                    [VERIFY_UNBALANCED] = "unbalanced",
                                    [VERIFY_BACKUP] = "in the backup"};

/* What to do, by kind; of raw segments and of sealed files. */
static const char *const remedies[][2] = {
    [VERIFY_DAMAGED] = {"The gateway steps over it and records a gap; all else is kept.",
                        "Put the file back from a backup: isthmus restore DIR BACKUP --repair. All "
                        "else in it is read as before."},
    [VERIFY_SET_ASIDE] =
        {"A gap tells what is missing; remove the file when nobody wants to look at "
         "it any more.",
         "Put the file back from a backup: isthmus restore DIR BACKUP --repair."},
    [VERIFY_MISSING] = {"Put it back from a backup: isthmus restore DIR BACKUP --repair.",
                        "Put it back from a backup: isthmus restore DIR BACKUP --repair."},
    [VERIFY_UNBALANCED] = {
        "This is a defect of Isthmus, or somebody changed the files: keep a copy "
        "of the folder and report it.",
        "This is a defect of Isthmus, or somebody changed the files: keep a copy "
        "of the folder and report it."}};

void cli_findings_add(struct cli_findings *f, const struct verify_finding *from)
{
    if (f->count == f->room) {
        size_t room = f->room ? 2 * f->room : 64;
        struct cli_finding *grown = realloc(f->list, room * sizeof *grown);
        if (!grown) {
            f->cut = true;
            return;
        }
        f->list = grown;
        f->room = room;
    }
    struct cli_finding *to = f->list + f->count++;
    *to = (struct cli_finding){
        .kind = from->kind, .sealed = from->sealed, .offset = from->offset, .tag = from->tag};
    snprintf(to->file, sizeof to->file, "%s", from->file);
    snprintf(to->reason, sizeof to->reason, "%s", from->reason);
}

void cli_findings_fini(struct cli_findings *f)
{
    free(f->list);
    *f = (struct cli_findings){0};
}

/* The tag's path, its number if the plan doesn't have it, or "". */
static const char *tag_text(const struct cli_findings *f, const struct cli_finding *one,
                            char number[32])
{
    const struct plan_tag *tag = f->plan && one->tag ? plan_find_tag(f->plan, one->tag) : NULL;
    number[0] = 0;
    if (one->tag) {
        snprintf(number, 32, "tag %u", one->tag);
    }
    return tag ? plan_text(f->plan, tag->path) : number;
}

static bool is_first(const struct cli_findings *f, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (remedies[f->list[i].kind][f->list[i].sealed] ==
            remedies[f->list[at].kind][f->list[at].sealed]) {
            return false;
        }
    }
    return true;
}

void cli_findings_print(const struct cli_findings *f, FILE *out)
{
    if (f->count) {
        fprintf(out, "%-41s %10s  %s\n", "FILE", "OFFSET", "WHAT IS WRONG");
    }
    for (size_t i = 0; i < f->count; i++) {
        const struct cli_finding *one = f->list + i;
        char number[32];
        const char *tag = tag_text(f, one, number);
        fprintf(out, "%-41s %10" PRIu64 "  %s: %s%s%s\n", one->file[0] ? one->file : "-",
                one->offset, kinds[one->kind], tag, *tag ? ": " : "", one->reason);
    }
    if (f->count) {
        fputs("\nWhat to do:\n", out);
    }
    for (size_t i = 0; i < f->count; i++) {
        if (is_first(f, i)) {
            fprintf(out, "  %s: %s\n", kinds[f->list[i].kind],
                    remedies[f->list[i].kind][f->list[i].sealed]);
        }
    }
    if (f->cut) {
        fputs("  (there is more, but no memory to list it)\n", out);
    }
}

void cli_findings_json(const struct cli_findings *f, struct json *j, const char *key)
{
    json_key(j, key);
    json_open(j, '[');
    for (size_t i = 0; i < f->count; i++) {
        const struct cli_finding *one = f->list + i;
        char number[32];
        const char *tag = tag_text(f, one, number);
        json_open(j, '{');
        json_pair_text(j, "kind", kinds[one->kind]);
        json_pair_text(j, "file", one->file);
        json_pair_uint(j, "offset", one->offset);
        if (*tag) {
            json_pair_text(j, "tag", tag);
        }
        json_pair_text(j, "reason", one->reason);
        json_pair_text(j, "do", remedies[one->kind][one->sealed]);
        json_close(j, '}');
    }
    json_close(j, ']');
}
