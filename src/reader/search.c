/* SPDX-License-Identifier: Apache-2.0 */
/* Searches in the audit (guard/audit.h), newest first, a few hundred entries a step; and its proof, by a child of its own, for
 * that takes as long as the audit is. Only the engine writes there; what it is writing at this moment is not seen yet. Entries about
 * tags go to whoever may read these tags, and to the gateway's own socket. */
#include "reader/core.h"

#include "guard/audit_verify.h"
#include "tag/glob.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define STEP_ENTRIES 1024u
#define SCAN_MAX                                                                                   \
    UINT64_C(200000) /* entries looked at for one answer; the asker goes on from there */
#define PROOF_NS      (60 * NS_PER_S) /* so long one proof is good enough */
#define PROOF_LIFE_NS (600 * NS_PER_S)

/* ---- The files ---- */

/* The audit's folder; below 0: there is none. */
static int dir_of(const struct reader_core *core)
{
    return core->trail ? core->trail->dir : -1;
}

static void shut(struct reader_core *core)
{
    struct search *t = &core->search;
    if (t->file >= 0) {
        core->history.disk->close(core->history.disk->context, t->file);
        t->file = -1;
    }
}

static int list(struct reader_core *core)
{
    struct search *t = &core->search;
    shut(core);
    t->block_count = 0;
    return audit_files_list(&t->files, core->history.disk, dir_of(core));
}

/* Opens the file in which entry `number` must lie. False: there is none. */
static bool stand_in_file(struct reader_core *core, uint64_t number)
{
    const struct disk *d = core->history.disk;
    struct search *t = &core->search;
    size_t i = t->files.count;
    while (i && t->files.firsts[i - 1] > number) {
        i--;
    }
    if (!i) {
        return false;
    }
    if (t->file < 0 || t->first != t->files.firsts[i - 1]) {
        char name[AUDIT_NAME_SIZE];
        shut(core);
        t->first = t->files.firsts[i - 1];
        audit_name(name, t->first);
        t->file = d->open(d->context, dir_of(core), name, O_RDONLY | O_CLOEXEC);
        t->block_count = 0;
    }
    if (t->file >= 0) {
        int64_t size = d->size(d->context, t->file);
        t->entries = size < (int64_t)sizeof(struct audit_entry)
                         ? 0
                         : (uint64_t)size / sizeof(struct audit_entry) - 1; /* but the header */
    }
    return t->file >= 0;
}

/* The entry, borrowed until the next call; NULL with *number where to go on below it, if it is not whole or not there. */
static const struct audit_entry *entry_at(struct reader_core *core, uint64_t *number)
{
    struct search *t = &core->search;
    uint64_t from = *number - t->first;
    if (t->block_count && *number >= t->block && *number < t->block + t->block_count) {
        return t->entry + (*number - t->block);
    }
    if (!stand_in_file(core, *number)) {
        *number = t->files.count && *number > t->files.firsts[0] ? t->first : 1;
        return NULL;
    }
    from = *number - t->first;
    if (from >= t->entries) {
        *number = t->first + t->entries;
        return NULL;
    }
    uint64_t begin = from >= SEARCH_BLOCK ? from - (SEARCH_BLOCK - 1) : 0;
    size_t count = (size_t)(from - begin) + 1;
    if (disk_read_all(core->history.disk, t->file, t->entry, count * sizeof *t->entry,
                      (begin + 1) * sizeof *t->entry)) {
        t->block_count = 0;
        return NULL;
    }
    t->block = t->first + begin;
    t->block_count = (uint32_t)count;
    return t->entry + (count - 1);
}

/* ---- The search ---- */

bool search_take_ask(struct request *r, const uint8_t *payload, size_t size)
{
    if (size != sizeof r->search) {
        return false;
    }
    memcpy(&r->search, payload, size);
    r->search.kind[sizeof r->search.kind - 1] = r->search.who[sizeof r->search.who - 1] = 0;
    r->search.about[sizeof r->search.about - 1] = r->search.text[sizeof r->search.text - 1] = 0;
    return true;
}

static bool holds(const char *field, size_t size, const char *wanted)
{
    char text[AUDIT_TEXT_SIZE + 1] = "";
    memcpy(text, field, size);
    return !*wanted || strcasestr(text, wanted);
}

static bool is_about(const struct audit_entry *e, const char *wanted)
{
    char subject[AUDIT_SUBJECT_SIZE + 1] = "";
    memcpy(subject, e->subject, sizeof e->subject);
    return !*wanted || (glob_is_pattern(wanted) ? glob_matches(wanted, subject)
                                                : strstr(subject, wanted) != NULL);
}

static bool is_wanted(const struct request *r, const struct audit_entry *e)
{
    const struct ask_search *w = &r->search;
    char name[32];
    const char *text = e->kind == AUDIT_CHECKPOINT ? "" : e->text; /* a signature is no text */
    return (!r->ask.from_ns || e->utc_ns >= r->ask.from_ns) &&
           (!r->ask.to_ns || e->utc_ns < r->ask.to_ns) &&
           !strncmp(audit_kind_name(e->kind, name), w->kind, strlen(w->kind)) &&
           holds(e->who, sizeof e->who, w->who) && is_about(e, w->about) &&
           (!*w->text || (*text && holds(text, sizeof e->text, w->text)));
}

static bool may_see(const struct link *link, const struct request *r, const struct audit_entry *e)
{
    bool here = link->core->plan->boxes[link->box].zone == PLAN_NONE && !r->narrow;
    return here || (e->tag ? filter_has_tag(&r->scope->filter, e->tag) : !r->narrow);
}

static void end(struct reader_core *core, struct link *link, struct request *r, int error)
{
    bool more =
        !error && r->at > 1 && core->search.files.count && r->at > core->search.files.firsts[0];
    link_end(link, core, r, error, (struct cursor_range){.from = r->at}, more);
}

void answer_search(struct reader_core *core, struct link *link, struct request *r)
{
    struct search *t = &core->search;
    if (!r->begun) {
        int err = dir_of(core) < 0 ? ERR_NOT_FOUND : list(core);
        if (err || !t->files.count) {
            end(core, link, r, err);
            return;
        }
        r->begun = true;
        r->at = r->ask.from_sequence ? r->ask.from_sequence : UINT64_MAX; /* entries below */
        if (r->at == UINT64_MAX && stand_in_file(core, t->files.firsts[t->files.count - 1])) {
            r->at = t->first + t->entries;
        }
    }
    for (uint32_t step = 0; r->at > 1 && r->begin < SCAN_MAX; step++) {
        if (r->ask.max_records && r->records >= r->ask.max_records) {
            break;
        }
        if (step == STEP_ENTRIES) {
            core->more = true;
            return;
        }
        uint64_t number = r->at - 1;
        const struct audit_entry *e = entry_at(core, &number);
        r->begin++;
        if (e && audit_entry_is_sound(e, number) && is_wanted(r, e) && may_see(link, r, e)) {
            if (!link_row(link, core, r, e, sizeof *e)) {
                return;
            }
            r->records++;
        }
        r->at = number < r->at ? number : r->at - 1;
    }
    end(core, link, r, ERR_OK);
}

/* ---- The proof ---- */

/* In the child. */
static _Noreturn void prove(struct reader_core *core, int out)
{
    const struct child_limits limits = {.memory_bytes = 64u << 20, .cpu_s = 300};
    struct answer_proof said = {0};
    struct audit_findings f;
    const struct audit_read read = {.disk = core->history.disk, .dir = dir_of(core)};
    int err = child_lock_in(dir_of(core), out, &limits);
    err = err ? err : audit_verify(&read, &f);
    if (!err) {
        said = (struct answer_proof){.entries = f.entries,
                                     .first = f.first,
                                     .last = f.last,
                                     .proven = f.proven,
                                     .damaged = f.damaged,
                                     .void_entries = f.void_entries,
                                     .sound = !f.reason[0]};
        memcpy(said.key, f.public_key, sizeof said.key);
        memcpy(said.file, f.file, sizeof said.file);
        memcpy(said.reason, f.reason, sizeof said.reason);
    }
    said.error = (uint32_t)-err;
    _exit(write(out, &said, sizeof said) == (ssize_t)sizeof said ? 0 : 1);
}

static void begin_proof(struct reader_core *core)
{
    struct search *t = &core->search;
    int out = -1;
    int forked = dir_of(core) < 0 ? ERR_NOT_FOUND : child_fork(&t->child, &out);
    if (forked == 0) {
        prove(core, out);
    }
    t->proving = forked > 0;
    t->begun_ns = core->mono_ns;
    t->proof.error = forked < 0 ? (uint32_t)-forked : t->proof.error;
}

/* What it wrote is whole in the pipe before it ends. */
void search_step(struct reader_core *core)
{
    struct search *t = &core->search;
    struct child_end how;
    struct answer_proof said;
    if (!t->proving) {
        return;
    }
    if (core->mono_ns - t->begun_ns > PROOF_LIFE_NS) {
        child_kill(&t->child);
    }
    if (child_reap(&t->child, &how)) {
        bool whole = read(t->child.out, &said, sizeof said) == (ssize_t)sizeof said;
        close(t->child.out);
        t->child.out = -1;
        t->proving = false;
        if (whole) {
            t->proof = said;
            t->proof.checked_ns = core->utc_ns;
        } else {
            t->proof.error = -ERR_TIMEOUT;
        }
    }
}

void answer_proof(struct reader_core *core, struct link *link, struct request *r)
{
    struct search *t = &core->search;
    if (!t->proving && (!t->begun_ns || core->mono_ns - t->begun_ns > PROOF_NS)) {
        begin_proof(core);
    }
    struct answer_proof row = t->proof;
    row.checking = t->proving;
    if (link_row(link, core, r, &row, sizeof row)) {
        link_end(link, core, r, ERR_OK, (struct cursor_range){0}, false);
    }
}

void search_fini(struct reader_core *core)
{
    struct search *t = &core->search;
    if (t->proving) {
        child_kill(&t->child);
        child_await(&t->child);
        close(t->child.out);
    }
    shut(core);
    audit_files_free(&t->files);
}
