/* SPDX-License-Identifier: Apache-2.0 */
/* `isthmus audit`: proves the audit of a gateway offline, and shows what stands in it, whether the gateway runs or not. */
#include "cli/history.h"

#include "base/clock.h"
#include "base/json.h"
#include "guard/audit_verify.h"
#include "tag/glob.h"
#include "tag/value.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: isthmus audit verify FOLDER [--key HEX] [--json]\n"
    "       isthmus audit list FOLDER [FILTERS] [--json]\n"
    "       isthmus audit export FOLDER [FILTERS]\n\n"
    "Proves that no entry of the audit was changed, removed, reordered or doubled, and up to "
    "where\n"
    "a signature says so; or shows its entries, as a table, JSON or CSV. FOLDER is a gateway's\n"
    "configuration folder, or the audit's folder itself; the gateway may be running.\n\n"
    "  --key HEX     the gateway's public key, kept elsewhere: 64 hex digits, as verify prints "
    "it;\n"
    "                without it the audit proves only that it is one piece\n"
    "  --since TIME  only entries from that time on, for example 2026-11-22T10:00:00Z\n"
    "  --until TIME  … or before it\n"
    "  --who NAME    … of this caller, for example user:anna\n"
    "  --tag TAG     … about tags that match; * and ** are allowed\n"
    "  --kind KIND   … of this kind, for example 'command refused'\n"
    "  --id ID       … of this command\n"
    "  --json        one JSON document\n\n"
    "exit status: 0 all is sound, 1 something is wrong or could not be read, 2 wrong usage\n";

struct run {
    const char *verb, *folder;
    bool json, has_key, has_id;
    uint8_t key[32], id[16];
    int64_t since_ns, until_ns;
    const char *who, *tag, *kind;
    struct cli_history gateway;
    char path[4200]; /* of the audit's folder */
    int dir;
    struct cli_progress progress;
    struct json out;
    uint64_t shown;
};

static bool parse_hex(const char *text, uint8_t *out, size_t size)
{
    size_t used = 0;
    for (; *text; text++) {
        const char *digits = "0123456789abcdef", *at = strchr(digits, *text | 0x20);
        if (*text == '-' && size == 16) {
            continue;
        }
        if (!at || used == 2 * size) {
            return false;
        }
        out[used / 2] = (uint8_t)(out[used / 2] << 4 | (at - digits));
        used++;
    }
    return used == 2 * size;
}

static bool parse_option(struct run *r, const char *name, const char *value)
{
    if (!strcmp(name, "--key")) {
        return r->has_key = parse_hex(value, r->key, sizeof r->key);
    }
    if (!strcmp(name, "--id")) {
        return r->has_id = parse_hex(value, r->id, sizeof r->id);
    }
    if (!strcmp(name, "--since")) {
        return clock_parse(value, strlen(value), &r->since_ns) == ERR_OK;
    }
    if (!strcmp(name, "--until")) {
        return clock_parse(value, strlen(value), &r->until_ns) == ERR_OK;
    }
    const char **text = !strcmp(name, "--who")    ? &r->who
                        : !strcmp(name, "--tag")  ? &r->tag
                        : !strcmp(name, "--kind") ? &r->kind
                                                  : NULL;
    if (text) {
        *text = value;
    }
    return text != NULL;
}

static int parse(struct run *r, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--json")) {
            r->json = true;
        } else if (argv[i][0] == '-') {
            if (i + 1 == argc || !parse_option(r, argv[i], argv[i + 1])) {
                fprintf(stderr, "isthmus audit: %s is unknown, or its value is wrong\n", argv[i]);
                return CLI_USAGE;
            }
            i++;
        } else if (!r->verb) {
            r->verb = argv[i];
        } else if (!r->folder) {
            r->folder = argv[i];
        } else {
            return CLI_USAGE;
        }
    }
    bool known = r->verb && (!strcmp(r->verb, "verify") || !strcmp(r->verb, "list") ||
                             !strcmp(r->verb, "export"));
    return known && r->folder ? CLI_OK : CLI_USAGE;
}

static void see(void *is_audit, const char *name)
{
    uint64_t first;
    *(bool *)is_audit |= audit_name_parse(name, &first);
}

static int open_folder(struct run *r)
{
    bool is_audit = false;
    r->dir = open(r->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->dir >= 0 && disk_files.list(disk_files.context, r->dir, see, &is_audit) == ERR_OK &&
        is_audit) {
        snprintf(r->path, sizeof r->path, "%s", r->folder);
        return CLI_OK;
    }
    if (r->dir >= 0) {
        close(r->dir);
        r->dir = -1;
    }
    int status = cli_history_open(&r->gateway, "audit", r->folder, false);
    if (status) {
        return status;
    }
    snprintf(r->path, sizeof r->path, "%s/audit",
             plan_text(&r->gateway.plan, r->gateway.plan.header->state_dir));
    r->dir = open(r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->dir < 0) {
        fprintf(stderr, "isthmus audit: can't open %s: %s\n", r->path, strerror(errno));
        return CLI_FAILED;
    }
    return CLI_OK;
}

static void beat(void *context, uint64_t done, uint64_t all)
{
    struct run *r = context;
    cli_progress_show(&r->progress, "audit", all ? (double)done / (double)all : 1, done / 512,
                      "entries");
}

/* ---- verify ---- */

static void hex(char *out, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        sprintf(out + 2 * i, "%02x", bytes[i]);
    }
}

static void verify_json(const struct run *r, const struct audit_findings *f)
{
    struct json j;
    char key[65];
    hex(key, f->public_key, sizeof f->public_key);
    json_init(&j, 0);
    json_open(&j, '{');
    json_pair_text(&j, "folder", r->path);
    json_pair_bool(&j, "sound", !f->reason[0]);
    json_pair_uint(&j, "files", f->files);
    json_pair_uint(&j, "entries", f->entries);
    json_pair_uint(&j, "first", f->first);
    json_pair_uint(&j, "last", f->last);
    json_pair_uint(&j, "proven", f->proven);
    json_pair_uint(&j, "void_entries", f->void_entries);
    json_pair_text(&j, "key", key);
    json_pair_bool(&j, "key_given", r->has_key);
    if (f->reason[0]) {
        json_pair_uint(&j, "damaged", f->damaged);
        json_pair_text(&j, "file", f->file);
        json_pair_text(&j, "reason", f->reason);
    }
    json_close(&j, '}');
    json_newline(&j);
    fwrite(j.text, 1, j.size, stdout);
    json_fini(&j);
}

static void verify_text(const struct run *r, const struct audit_findings *f)
{
    char key[65];
    hex(key, f->public_key, sizeof f->public_key);
    printf("%s: %" PRIu64 " entries in %" PRIu64 " files, from %" PRIu64 " to %" PRIu64 "\n",
           r->path, f->entries, f->files, f->first, f->last);
    if (f->void_entries) {
        printf("%" PRIu64 " entries count for nothing: a write had failed or the power had gone, "
               "and entries tell of it\n",
               f->void_entries);
    }
    if (f->reason[0]) {
        printf("entry %" PRIu64 " in %s: %s\n", f->damaged, f->file, f->reason);
    }
    if (f->proven) {
        printf("signed up to entry %" PRIu64 " by the key %s%s\n", f->proven, key,
               r->has_key ? "" : " (that it names itself)");
    } else {
        printf("no signature covers anything yet\n");
    }
    printf("%s\n", f->reason[0] ? "The audit is NOT whole." : "The audit is whole.");
}

/* ---- list, export ---- */

static bool is_wanted(const struct run *r, const struct audit_entry *e)
{
    char name[32];
    return (!r->since_ns || e->utc_ns >= r->since_ns) &&
           (!r->until_ns || e->utc_ns < r->until_ns) &&
           (!r->who || !strncmp(r->who, e->who, sizeof e->who)) &&
           (!r->kind || !strcmp(r->kind, audit_kind_name(e->kind, name))) &&
           (!r->has_id || !memcmp(r->id, e->id, sizeof e->id)) &&
           (!r->tag || (e->tag && glob_matches(r->tag, e->subject)));
}

static const char *value_of(const struct audit_entry *e, bool has, union slot_value v, char *out)
{
    out[0] = '\0';
    if (has && e->type && e->type < VALUE_TYPE_END && !value_is_long((enum value_type)e->type)) {
        out[value_json((enum value_type)e->type, v, out)] = '\0';
    }
    return out;
}

struct cells { /* an entry as texts */
    char number[24], time[CLOCK_TEXT_SIZE], kind[32], who[AUDIT_WHO_SIZE + 1],
        where[AUDIT_WHERE_SIZE + 1], subject[AUDIT_SUBJECT_SIZE + 1], before[VALUE_TEXT_SIZE],
        after[VALUE_TEXT_SIZE], text[AUDIT_TEXT_SIZE + 1], id[33];
};

static void fill(struct cells *c, const struct audit_entry *e)
{
    static const uint8_t none[16];
    char name[32];
    snprintf(c->number, sizeof c->number, "%" PRIu64, e->number);
    clock_text(e->utc_ns, c->time);
    snprintf(c->kind, sizeof c->kind, "%s", audit_kind_name(e->kind, name));
    snprintf(c->who, sizeof c->who, "%.*s", (int)sizeof e->who, e->who);
    snprintf(c->where, sizeof c->where, "%.*s", (int)sizeof e->where, e->where);
    snprintf(c->subject, sizeof c->subject, "%.*s", (int)sizeof e->subject, e->subject);
    value_of(e, e->has_before, e->before, c->before);
    value_of(e, e->has_after, e->after, c->after);
    snprintf(c->text, sizeof c->text, "%.*s", (int)sizeof e->text,
             e->kind == AUDIT_CHECKPOINT ? "" : e->text);
    c->id[0] = '\0';
    if (memcmp(e->id, none, sizeof none) != 0) {
        hex(c->id, e->id, sizeof e->id);
    }
}

static void csv_cell(const char *text, char end)
{
    /* a cell that a spreadsheet would take for a formula is none (OWASP, CSV injection) */
    bool formula =
        *text && strchr("=+-@\t", *text) && !(*text == '-' && text[1] >= '0' && text[1] <= '9');
    bool quoted = formula || strpbrk(text, ",\"\r\n");
    fputs(quoted ? "\"" : "", stdout);
    fputs(formula ? "'" : "", stdout);
    for (; *text; text++) {
        fputs(*text == '"' ? "\"\"" : (char[]){*text, 0}, stdout);
    }
    fputs(quoted ? "\"" : "", stdout);
    putchar(end);
}

static void show_csv(void *context, const struct audit_entry *e)
{
    struct run *r = context;
    struct cells c;
    if (!is_wanted(r, e)) {
        return;
    }
    if (!r->shown++) {
        puts("number,time,kind,who,where,subject,before,after,text,id");
    }
    fill(&c, e);
    const char *const all[] = {c.number,  c.time,   c.kind,  c.who,  c.where,
                               c.subject, c.before, c.after, c.text, c.id};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        csv_cell(all[i], i + 1 < sizeof all / sizeof *all ? ',' : '\n');
    }
}

static void show_json(void *context, const struct audit_entry *e)
{
    struct run *r = context;
    struct cells c;
    if (!is_wanted(r, e)) {
        return;
    }
    fill(&c, e);
    json_open(&r->out, '{');
    json_pair_uint(&r->out, "number", e->number);
    json_pair_text(&r->out, "time", c.time);
    json_pair_text(&r->out, "kind", c.kind);
    const struct {
        const char *key, *value;
    } pairs[] = {{"who", c.who},       {"where", c.where}, {"subject", c.subject},
                 {"before", c.before}, {"after", c.after}, {"text", c.text},
                 {"id", c.id}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (*pairs[i].value) {
            json_pair_text(&r->out, pairs[i].key, pairs[i].value);
        }
    }
    json_close(&r->out, '}');
    r->shown++;
}

/* Whatever came from outside is printed without what a terminal would obey. */
static const char *plain(char *text)
{
    for (char *c = text; *c; c++) {
        *c = (unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c;
    }
    return text;
}

static void show_line(void *context, const struct audit_entry *e)
{
    struct run *r = context;
    struct cells c;
    if (!is_wanted(r, e)) {
        return;
    }
    if (!r->shown++) {
        printf("%8s  %-23s  %-17s  %-20s  %s\n", "NUMBER", "TIME", "WHAT", "WHO", "ABOUT");
    }
    fill(&c, e);
    printf("%8s  %.22sZ  %-17s  %-20s  %s%s%s%s%s%s%s\n", c.number, c.time, c.kind, plain(c.who),
           plain(c.subject), *c.before ? " " : "", c.before, *c.after ? " → " : "", c.after,
           *c.text ? ": " : "", plain(c.text));
}

static int run(struct run *r)
{
    bool verify = !strcmp(r->verb, "verify"), csv = !strcmp(r->verb, "export");
    struct audit_findings f;
    struct audit_read read = {.disk = &disk_files,
                              .dir = r->dir,
                              .public_key = r->has_key ? r->key : NULL,
                              .progress = verify ? beat : NULL,
                              .entry = verify    ? NULL
                                       : csv     ? show_csv
                                       : r->json ? show_json
                                                 : show_line,
                              .context = r};
    json_init(&r->out, 0);
    json_open(&r->out, '[');
    int err = audit_verify(&read, &f);
    cli_progress_clear(&r->progress);
    json_close(&r->out, ']');
    json_newline(&r->out);
    if (err) {
        fprintf(stderr, "isthmus audit: %s: %s\n", r->path,
                err == ERR_NOT_FOUND ? "no audit lies there yet" : err_text(err));
    } else if (verify && r->json) {
        verify_json(r, &f);
    } else if (verify) {
        verify_text(r, &f);
    } else {
        if (r->json && !csv) {
            fwrite(r->out.text, 1, r->out.size, stdout);
        }
        if (f.reason[0]) {
            fprintf(stderr, "isthmus audit: not proven from entry %" PRIu64 " on, in %s: %s\n",
                    f.damaged, f.file, f.reason);
        }
    }
    json_fini(&r->out);
    return err || f.reason[0] ? CLI_FAILED : CLI_OK;
}

int cli_audit(int argc, char **argv)
{
    struct run r = {.dir = -1, .gateway.dir = -1};
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(usage, stdout);
            return CLI_OK;
        }
    }
    int status = parse(&r, argc, argv);
    if (status) {
        fputs(usage, stderr);
        return status;
    }
    cli_progress_init(&r.progress);
    status = open_folder(&r);
    status = status ? status : run(&r);
    if (r.dir >= 0) {
        close(r.dir);
    }
    cli_history_close(&r.gateway);
    return status;
}
