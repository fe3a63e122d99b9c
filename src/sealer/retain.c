/* SPDX-License-Identifier: Apache-2.0 */
/* Retention: by age and by size per class of tags, and by the limit of the whole journal. A file in which a class has grown too
 * old is written anew without its samples (thinned) or without it; when nothing is left of a file it goes. What was dropped is
 * told, and that is durable, before it goes: told twice after a crash is better than not at all. */
#include "sealer/core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal/folder.h"

#define BUFFER_BYTES                                                                               \
    (UINT64_C(24) << 20) /* what the journal wants to have free besides two segments */

static uint32_t class_of(const struct sealer *s, uint32_t id)
{
    const struct plan_tag *tag = plan_find_tag(s->plan, id);
    return tag ? tag->retention : 0;
}

/* ---- What is in the files. ---- */

static int look_into(const struct sealer *s, const struct history_file *file,
                     struct sealer_facts *f)
{
    *f = (struct sealer_facts){0};
    strcpy(f->name, file->name);
    for (uint32_t i = 0; i < file->sealed.header.columns; i++) {
        struct sealed_column c;
        int err = sealed_column_at(&file->sealed, i, &c);
        if (err == ERR_IO || err == ERR_NOMEM) {
            return err;
        }
        if (!err) {
            uint32_t class = class_of(s, c.id);
            f->bytes[class] += c.bytes;
            f->any |= 1u << class;
            f->raw |= (uint32_t)!c.thinned << class;
        }
    }
    return ERR_OK;
}

/* One entry per file of the shelf, in its order. */
static int know_files(struct sealer *s)
{
    const struct shelf *shelf = s->history.shelf;
    struct sealer_facts *facts = calloc(shelf->file_count + 1, sizeof *facts);
    int err = facts ? ERR_OK : ERR_NOMEM;
    for (uint32_t i = 0; !err && i < shelf->file_count; i++) {
        bool known = false;
        for (uint32_t k = 0; !known && k < s->fact_count; k++) {
            known = !strcmp(s->facts[k].name, shelf->files[i]->name);
            facts[i] = known ? s->facts[k] : facts[i];
        }
        err = known ? ERR_OK : look_into(s, shelf->files[i], facts + i);
    }
    if (err) {
        free(facts);
        return err;
    }
    free(s->facts);
    s->facts = facts;
    s->fact_count = shelf->file_count;
    return ERR_OK;
}

/* Whether a file must stay for now: raw segments that it stands for are still there, or it is the newest; without it they would
 * be sealed again. */
static bool is_mark(const struct sealer *s, uint32_t at)
{
    const struct shelf *shelf = s->history.shelf;
    const struct history_file *f = shelf->files[at];
    bool newest = true;
    if (f->imported) {
        return false;
    }
    for (uint32_t i = at + 1; newest && i < shelf->file_count; i++) {
        newest = shelf->files[i]->imported;
    }
    return newest || (shelf->covered_count && f->sealed.header.last_segment >= shelf->covered[0]);
}

/* ---- What is to be kept of a file. ---- */

struct keeping {
    const struct sealer *s;
    enum keep of[RETENTIONS_MAX + 1]; /* by class */
};

static enum keep keep_tag(void *context, uint32_t tag, int64_t last_ns)
{
    const struct keeping *k = context;
    (void)last_ns;
    return k->of[class_of(k->s, tag)];
}

static bool older(const struct sealer *s, const struct sealed_header *h, uint64_t age_s)
{
    return age_s && age_s < (uint64_t)s->utc_ns / 1000000000 &&
           h->last_ns < s->utc_ns - (int64_t)age_s * 1000000000;
}

static enum keep by_age(const struct sealer *s, const struct sealed_header *h,
                        const struct plan_retention *r)
{
    uint64_t end_s = r->summaries_s > r->raw_s ? r->summaries_s : r->raw_s;
    return older(s, h, end_s) ? KEEP_NOTHING : older(s, h, r->raw_s) ? KEEP_SUMMARIES : KEEP_RAW;
}

/* Whether anything in the file is to go. `behind`: bytes of each class in newer files. */
static bool judge(const struct sealer *s, uint32_t at, const uint64_t *behind, struct keeping *k)
{
    const struct plan_header *h = s->plan->header;
    const struct sealer_facts *f = s->facts + at;
    bool change = false;
    *k = (struct keeping){.s = s};
    for (uint32_t class = 1; class <= h->retention_count; class ++) {
        const struct plan_retention *r = h->retentions + class - 1;
        if (!(f->any >> class & 1)) {
            continue;
        }
        k->of[class] = by_age(s, &s->history.shelf->files[at]->sealed.header, r);
        if (r->bytes && behind[class] + f->bytes[class] > r->bytes && behind[class]) {
            k->of[class] = KEEP_NOTHING;
        }
        change |= k->of[class] == KEEP_NOTHING ||
                  (k->of[class] == KEEP_SUMMARIES && (f->raw >> class & 1));
    }
    return change;
}

static bool keeps_anything(const struct sealer_facts *f, const struct keeping *k)
{
    for (uint32_t class = 0; class <= RETENTIONS_MAX; class ++) {
        if ((f->any >> class & 1) && k->of[class] != KEEP_NOTHING) {
            return true;
        }
    }
    return false;
}

/* ---- Doing it. ---- */

/* The samples that go: as one gap when all go, else tag by tag. What can't be read now is not told, so it must not go either. */
static int tell_dropped(struct sealer *s, const struct history_file *file, const struct keeping *k,
                        bool all, uint64_t *samples)
{
    const struct sealed_header *h = &file->sealed.header;
    if (all) {
        tell_gap(s, GAP_RETIRED, 0, h->first_ns, h->last_ns, h->samples);
        *samples = h->samples;
        return ERR_OK;
    }
    *samples = 0;
    for (uint32_t i = 0; i < h->columns; i++) {
        struct sealed_column c;
        int err = sealed_column_at(&file->sealed, i, &c);
        if (err == ERR_IO || err == ERR_NOMEM) {
            return err;
        }
        if (!err && keep_tag((void *)k, c.id, 0) == KEEP_NOTHING) {
            *samples += c.samples;
            if (plan_find_tag(s->plan, c.id)) {
                tell_gap(s, GAP_RETIRED, c.id, c.first_ns, c.last_ns, c.samples);
            }
        }
    }
    return ERR_OK;
}

static int drop_file(struct sealer *s, const struct history_file *file, const char *why)
{
    struct keeping none = {.s = s};
    char text[96];
    uint64_t samples;
    (void)tell_dropped(s, file, &none, true, &samples);
    snprintf(text, sizeof text, "%.48s dropped: %s", file->name, why);
    tell_event(s, EVENT_HISTORY_RETIRED, samples, text);
    int err = tell_is_durable(s) ? s->disk->remove(s->disk->context, s->dir, file->name) : ERR_BUSY;
    return err ? sealer_trouble(s, "remove", file->name, err) : 1;
}

static int rewrite(struct sealer *s, struct history_file *file, struct keeping *k, const char *why)
{
    struct seal seal = sealer_tools(s);
    struct sealed_header out;
    char text[96];
    uint64_t samples;
    int err = tell_dropped(s, file, k, false, &samples);
    if (!err) {
        snprintf(text, sizeof text, "%.48s thinned out: %s", file->name, why);
        tell_event(s, EVENT_HISTORY_RETIRED, samples, text);
        err = tell_is_durable(s) ? seal_merge(&seal, &file, 1, keep_tag, k, &out) : ERR_BUSY;
    }
    if (!err) {
        err = s->disk->remove(s->disk->context, s->dir, file->name);
    }
    return err ? sealer_trouble(s, "thin out", file->name, err) : 1;
}

static int by_classes(struct sealer *s)
{
    uint64_t behind[RETENTIONS_MAX + 1] = {0};
    struct shelf *shelf = s->history.shelf;
    for (uint32_t i = shelf->file_count; i-- > 0;) { /* from the newest */
        struct keeping k;
        if (judge(s, i, behind, &k) && (keeps_anything(s->facts + i, &k) || !is_mark(s, i))) {
            shelf = shelf_hold(shelf);
            int done = keeps_anything(s->facts + i, &k)
                           ? rewrite(s, shelf->files[i], &k, "retention")
                           : drop_file(s, shelf->files[i], "retention");
            shelf_release(shelf);
            return done;
        }
        for (uint32_t class = 0; class <= RETENTIONS_MAX; class ++) {
            behind[class] += s->facts[i].bytes[class];
        }
    }
    return 0;
}

/* The file whose samples are the oldest, among those that may go. NULL: none. */
static struct history_file *oldest(const struct sealer *s, bool raw_only)
{
    struct history_file *found = NULL;
    for (uint32_t i = 0; i < s->history.shelf->file_count; i++) {
        struct history_file *f = s->history.shelf->files[i];
        if ((raw_only ? s->facts[i].raw : !is_mark(s, i)) &&
            (!found || f->sealed.header.last_ns < found->sealed.header.last_ns)) {
            found = f;
        }
    }
    return found;
}

static int by_limit(struct sealer *s)
{
    const struct plan_header *h = s->plan->header;
    struct folder_sum sum;
    uint64_t spare = 2 * h->segment_size + BUFFER_BYTES;
    uint64_t most = h->journal_limit / 8 * 3; /* a segment and its buffer take a quarter */
    spare = spare < most ? spare : most;
    if (!h->journal_limit || h->when_full == FULL_STOP) {
        return 0;
    }
    int err = folder_sum_up(s->disk, s->dir, &sum);
    if (err) {
        return sealer_trouble(s, "look at", "the journal's folder", err);
    }
    if (sum.bytes + spare <= h->journal_limit) {
        return 0;
    }
    struct history_file *f = h->when_full == FULL_THIN ? oldest(s, true) : NULL;
    struct keeping k = {.s = s};
    struct shelf *shelf = shelf_hold(s->history.shelf);
    for (uint32_t class = 0; class <= RETENTIONS_MAX; class ++) {
        k.of[class] = KEEP_SUMMARIES;
    }
    int done = f ? rewrite(s, f, &k, "the journal is at its limit") : 0;
    if (!f && (f = oldest(s, false)) != NULL) {
        done = drop_file(s, f, "the journal is at its limit");
    }
    shelf_release(shelf);
    return done;
}

int sealer_retain(struct sealer *s)
{
    int err = know_files(s);
    if (err) {
        return sealer_trouble(s, "look into", "the history", err);
    }
    int done = by_classes(s);
    return done ? done : by_limit(s);
}
