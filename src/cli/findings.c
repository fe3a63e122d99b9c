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

#define PUT_BACK "isthmus restore DIR BACKUP --repair"

/* What to do. */
static const char *remedy(const struct cli_finding *f)
{
    switch (f->kind) {
    case VERIFY_DAMAGED:
        return f->sealed ? "put the file back from a backup (" PUT_BACK "); all else in it is read "
                           "as before"
                         : "nothing: the gateway steps over it and records a gap; all else is kept";
    case VERIFY_SET_ASIDE:
        return f->sealed ? "put the file back from a backup: " PUT_BACK
                         : "a gap tells what is missing; remove the file when nobody wants to look "
                           "at it any more";
    case VERIFY_MISSING:
        return "put it back from a backup: " PUT_BACK;
    case VERIFY_UNBALANCED:
        return "this is a defect of Isthmus, or somebody changed the files: keep a copy of the "
               "folder and report it";
    case VERIFY_BACKUP:
        return "make the backup again as long as the gateway has the file (isthmus backup DIR "
               "BACKUP); else bring back the rest: isthmus restore DIR BACKUP --skip-damaged";
    }
    return "";
}

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
    const char *text = remedy(f->list + at);
    size_t i = 0;
    while (i < at && remedy(f->list + i) != text) {
        i++;
    }
    return i == at;
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
            fprintf(out, "  %s: %s\n", kinds[f->list[i].kind], remedy(f->list + i));
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
        json_pair_text(j, "do", remedy(one));
        json_close(j, '}');
    }
    json_close(j, ']');
}
