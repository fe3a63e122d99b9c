/* SPDX-License-Identifier: Apache-2.0 */
/* Every piece of work ends with a rename that makes it true, and only then takes away what it replaced. So it may be killed
 * anywhere: what is left is either an unfinished `.part` or something that another file stands for; both are found by name. */
#include "sealer/core.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal/frame.h"

#define LOOK_BACK 64u /* segments */

static void add(_Atomic uint64_t *word, uint64_t n)
{
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static void set(_Atomic uint64_t *word, uint64_t n)
{
    atomic_store_explicit(word, n, memory_order_relaxed);
}

int sealer_trouble(struct sealer *s, const char *what, const char *name, int err)
{
    s->clean = false;
    snprintf(s->trouble, sizeof s->trouble, "can't %s %s: %s", what, name, err_text(err));
    if (s->panel) {
        add(&s->panel->failures, 1);
    }
    return err;
}

int sealer_open(struct sealer *s)
{
    return history_open(&s->history, s->disk, s->dir);
}

void sealer_close(struct sealer *s)
{
    history_close(&s->history);
    free(s->facts);
    s->facts = NULL;
}

static void tell_figures(struct sealer *s)
{
    const struct shelf *shelf = s->history.shelf;
    uint64_t bytes = 0, samples = 0;
    for (uint32_t i = 0; i < shelf->file_count; i++) {
        bytes += shelf->files[i]->sealed.header.size;
        samples += shelf->files[i]->sealed.header.samples;
    }
    if (s->panel) {
        set(&s->panel->files, shelf->file_count);
        set(&s->panel->bytes, bytes);
        set(&s->panel->samples, samples);
        set(&s->panel->waiting_segments, shelf->raw_count);
        set(&s->panel->held_segments, shelf->covered_count);
    }
}

static int remove_file(struct sealer *s, const char *name)
{
    int err = s->disk->remove(s->disk->context, s->dir, name);
    return err && err != ERR_NOT_FOUND ? sealer_trouble(s, "remove", name, err) : ERR_OK;
}

/* ---- What a predecessor left. ---- */

struct leftovers {
    struct sealer *s;
    int err;
};

static bool stands_for_another(const struct shelf *shelf, const char *name)
{
    struct sealed_place p;
    if (!sealed_name_parse(name, &p)) {
        return false;
    }
    for (uint32_t i = 0; i < shelf->file_count; i++) {
        const struct history_file *f = shelf->files[i];
        const struct sealed_header *h = &f->sealed.header;
        if (!strcmp(f->name, name)) {
            return false;
        }
        if (f->imported == p.imported && p.first >= h->first_segment && p.last <= h->last_segment) {
            return true;
        }
    }
    return false;
}

static void take_leftover(void *to, const char *name)
{
    struct leftovers *l = to;
    size_t length = strlen(name);
    bool part = length > 9 && !strcmp(name + length - 9, ".col.part");
    if (part || stands_for_another(l->s->history.shelf, name)) {
        int err = remove_file(l->s, name);
        l->err = l->err ? l->err : err;
    }
}

static int clean_up(struct sealer *s)
{
    struct leftovers l = {s, ERR_OK};
    int err = s->disk->flush_dir(s->disk->context, s->dir);
    if (err) { /* invariant 14: a name that is not durable yet stands for nothing */
        return sealer_trouble(s, "flush", "the journal's folder", err);
    }
    err = s->disk->list(s->disk->context, s->dir, take_leftover, &l);
    s->clean = !err && !l.err;
    return err ? err : l.err ? l.err : 1;
}

/* ---- Damage. ---- */

/* Promise J4: what can't be read is set aside under its name, told, and counted; all else goes on. */
static int set_aside(struct sealer *s, const char *name, const char *why, int64_t from_ns,
                     int64_t to_ns)
{
    char damaged[SEALED_NAME_SIZE + 16], text[96];
    snprintf(damaged, sizeof damaged, "%s.damaged", name);
    int err = s->disk->rename(s->disk->context, s->dir, name, damaged);
    if (err) {
        return sealer_trouble(s, "set aside", name, err);
    }
    snprintf(text, sizeof text, "%.60s set aside: %s", name, why);
    snprintf(s->trouble, sizeof s->trouble, "%s", text);
    tell_event(s, EVENT_HISTORY_FAULT, 0, text);
    tell_gap(s, GAP_SEGMENT_LOST, 0, from_ns, to_ns, 0);
    if (s->panel) {
        add(&s->panel->damaged, 1);
    }
    return 1;
}

/* A sector may be readable again next time: only what fails time after time counts as damaged. */
static bool fails_again(struct sealer *s, const char *name)
{
    if (strcmp(s->unreadable, name) != 0) {
        snprintf(s->unreadable, sizeof s->unreadable, "%s", name);
        s->unreadable_times = 0;
    }
    return ++s->unreadable_times >= READS_MAX;
}

/* Whether it is the raw segment that fails, and not the disk on which we write. */
static bool is_readable(const struct sealer *s, uint64_t number)
{
    struct raw_walk w;
    struct frame_header h;
    const struct slot *slots;
    int got = raw_walk_init(&w, s->disk, s->dir, &number, 1, NULL, 0, 0);
    while (!got && (got = raw_walk_next(&w, &h, &slots)) > 0) {
        got = 0;
    }
    raw_walk_fini(&w);
    return got != ERR_IO;
}

/* Between which times of the journal a file that can't be read must have been noted: its neighbours tell. */
static void neighbours(const struct shelf *shelf, uint64_t first, int64_t *from_ns, int64_t *to_ns)
{
    *from_ns = 0;
    *to_ns = INT64_MAX;
    for (uint32_t i = 0; i < shelf->file_count; i++) {
        const struct sealed_header *h = &shelf->files[i]->sealed.header;
        if (!shelf->files[i]->imported && h->last_segment < first) {
            *from_ns = h->noted_to_ns;
        }
        if (!shelf->files[i]->imported && h->first_segment > first && *to_ns == INT64_MAX) {
            *to_ns = h->noted_from_ns;
        }
    }
}

static int set_aside_damaged(struct sealer *s)
{
    const struct shelf *shelf = s->history.shelf;
    struct sealed_place p = {0};
    char name[SEALED_NAME_SIZE];
    strcpy(name, shelf->damaged_name);
    if (shelf->damaged_error == ERR_IO && !fails_again(s, name)) {
        s->history.changed_ns = 0; /* look at it again */
        return sealer_trouble(s, "read", name, ERR_IO);
    }
    int64_t from_ns, to_ns;
    bool parsed = sealed_name_parse(name, &p);
    neighbours(shelf, parsed ? p.first : 0, &from_ns, &to_ns);
    to_ns = to_ns == INT64_MAX ? s->utc_ns : to_ns;
    return set_aside(s, name,
                     shelf->damaged_error == ERR_IO ? "it can't be read" : "its header is damaged",
                     from_ns, to_ns);
}

/* ---- Sealing. ---- */

struct seal sealer_tools(const struct sealer *s)
{
    return (struct seal){.disk = s->disk,
                         .dir = s->dir,
                         .plan = s->plan,
                         .created_ns = s->utc_ns,
                         .beat = s->beat,
                         .context = s->context};
}

static void work_done(struct sealer *s, _Atomic uint64_t *what, uint64_t read,
                      const struct sealed_header *out)
{
    s->unreadable_times = 0;
    if (s->panel) {
        add(what, 1);
        add(&s->panel->bytes_read, read);
        add(&s->panel->bytes_written, out->size);
    }
}

static uint64_t raw_size(const struct sealer *s, const char *name)
{
    int fd = s->disk->open(s->disk->context, s->dir, name, O_RDONLY);
    int64_t size = fd < 0 ? 0 : s->disk->size(s->disk->context, fd);
    if (fd >= 0) {
        s->disk->close(s->disk->context, fd);
    }
    return size > 0 ? (uint64_t)size : 0;
}

/* A segment is closed for good when the journal has a durable one behind it. */
static int seal_oldest(struct sealer *s)
{
    const struct shelf *shelf = s->history.shelf;
    struct seal seal = sealer_tools(s);
    struct sealed_header out;
    char name[SEGMENT_NAME_SIZE];
    if (!shelf->raw_count || shelf->raw[0] >= s->journal.durable_segment) {
        return 0;
    }
    segment_name(shelf->raw[0], name);
    int err = seal_segment(&seal, shelf->raw[0], shelf->end_epoch, shelf->end_sequence, &out);
    if (err == ERR_CHECKSUM || err == ERR_MALFORMED || err == ERR_SHORT || err == ERR_VERSION ||
        (err == ERR_IO && !is_readable(s, shelf->raw[0]) && fails_again(s, name))) {
        int64_t from_ns, to_ns;
        neighbours(shelf, shelf->raw[0], &from_ns, &to_ns);
        return set_aside(s, name, err == ERR_IO ? "it can't be read" : "its header is damaged",
                         from_ns, to_ns == INT64_MAX ? s->utc_ns : to_ns);
    }
    if (err) {
        return sealer_trouble(s, "seal", name, err);
    }
    if (out.lost) {
        char text[96];
        snprintf(text, sizeof text, "%s: %llu records in damaged stretches", name,
                 (unsigned long long)out.lost);
        tell_event(s, EVENT_HISTORY_FAULT, out.lost, text);
        tell_gap(s, GAP_SEGMENT_LOST, 0, out.noted_from_ns, out.noted_to_ns, out.lost);
    }
    work_done(s, s->panel ? &s->panel->segments_sealed : NULL, raw_size(s, name), &out);
    return 1;
}

/* What is kept for feeds is more than its owner allows: the oldest goes, and the feed's account says what it lost. */
static bool holds_too_much(const struct sealer *s)
{
    const struct plan_header *h = s->plan ? s->plan->header : NULL;
    uint64_t most = !h ? 0 : h->hold_bytes ? h->hold_bytes : h->journal_limit / 2, bytes = 0;
    for (uint32_t i = 0; most && i < s->history.shelf->covered_count; i++) {
        char name[SEGMENT_NAME_SIZE];
        segment_name(s->history.shelf->covered[i], name);
        bytes += raw_size(s, name);
    }
    return most && bytes > most;
}

static int let_go(struct sealer *s, const char *name, uint64_t from, uint64_t next)
{
    char text[96];
    snprintf(text, sizeof text, "%.24s was still needed: more is held for services than allowed",
             name);
    tell_event(s, EVENT_HISTORY_RETIRED, next > from ? next - from : 0, text);
    int err = remove_file(s, name);
    return err ? err : 1;
}

/* The second newest raw segment with a sound header: recovery needs one, and the newest may be damaged before it does. 0: there are
 * less than two. */
static uint64_t kept_for_recovery(const struct sealer *s)
{
    uint64_t newest = s->journal.durable_segment;
    uint32_t sound = 0;
    for (uint64_t k = newest; k > 0 && newest - k < LOOK_BACK; k--) {
        struct segment_header h;
        int fd = segment_open(s->disk, s->dir, k, O_RDONLY, &h);
        if (fd >= 0) {
            s->disk->close(s->disk->context, fd);
            if (++sound == 2) {
                return k;
            }
        }
    }
    return 0;
}

/* Takes away raw segments that a sealed file stands for and no feed needs. Recovery may need the two newest. */
static int take_away_raw(struct sealer *s)
{
    const struct shelf *shelf = s->history.shelf;
    uint64_t needed =
        s->needed ? atomic_load_explicit(s->needed, memory_order_acquire) : UINT64_MAX;
    uint64_t kept = kept_for_recovery(s);
    bool any = false;
    for (uint32_t i = 0; i < shelf->covered_count; i++) {
        uint64_t number = shelf->covered[i];
        struct segment_limit end;
        char name[SEGMENT_NAME_SIZE];
        if (number >= kept) {
            break;
        }
        int err = segment_limit_find(s->disk, s->dir, number, s->journal.durable_segment, &end);
        if (err || end.sequence == UINT64_MAX) {
            return err && !any ? sealer_trouble(s, "look at", "the journal's folder", err) : any;
        }
        segment_name(number, name);
        if (end.sequence >
            needed) { /* a feed has still to get something out of it; 0: not known yet */
            return any || !needed || !holds_too_much(s) ? any
                                                        : let_go(s, name, needed, end.sequence);
        }
        err = remove_file(s, name);
        if (err) {
            return err;
        }
        any = true;
    }
    return any;
}

/* ---- Merging. ---- */

static uint64_t newest_segment(const struct shelf *shelf)
{
    uint64_t newest = 0;
    for (uint32_t i = 0; i < shelf->file_count; i++) {
        const struct history_file *f = shelf->files[i];
        newest = f->imported ? newest : f->sealed.header.last_segment;
    }
    return newest;
}

/* Whether the files from there on are of one level and small enough together. */
static bool is_run(const struct sealer *s, uint32_t first)
{
    const struct shelf *shelf = s->history.shelf;
    uint64_t bytes = 0;
    for (uint32_t i = first; i < first + MERGE_COUNT; i++) {
        const struct history_file *f = shelf->files[i];
        if (f->imported || f->sealed.header.level != shelf->files[first]->sealed.header.level) {
            return false;
        }
        bytes += f->sealed.header.size;
    }
    return bytes <= s->merge_limit;
}

/* The newest run of MERGE_COUNT neighbours of one level that can be merged. */
static bool find_run(struct sealer *s, uint32_t *first)
{
    const struct shelf *shelf = s->history.shelf;
    uint64_t newest = newest_segment(shelf);
    if (s->apart_newest != newest) {
        s->apart_newest = newest;
        s->apart_from = UINT64_MAX;
    }
    for (uint32_t i = shelf->file_count; i-- > 0;) {
        if (i + MERGE_COUNT <= shelf->file_count && is_run(s, i) &&
            shelf->files[i]->sealed.header.first_segment < s->apart_from) {
            *first = i;
            return true;
        }
    }
    return false;
}

static int take_away_files(struct sealer *s, struct history_file **files, uint32_t count)
{
    int err = ERR_OK;
    for (uint32_t i = 0; !err && i < count; i++) {
        err = remove_file(s, files[i]->name);
    }
    return err;
}

static int merge(struct sealer *s)
{
    uint32_t first;
    if (!find_run(s, &first)) {
        return 0;
    }
    struct history_file **files = s->history.shelf->files + first;
    if (s->unreadable_times >= READS_MAX && !strcmp(s->unreadable, files[0]->name)) {
        return 0; /* stay as they are, readable where they are */
    }
    struct shelf *shelf = shelf_hold(s->history.shelf);
    struct seal seal = sealer_tools(s);
    struct sealed_header out;
    uint64_t read = 0, damage = 0;
    int err = seal_merge(&seal, files, MERGE_COUNT, NULL, NULL, &out);
    if (err == ERR_UNSUPPORTED) {
        s->apart_from = files[0]->sealed.header.first_segment;
        shelf_release(shelf);
        return 1;
    }
    for (uint32_t i = 0; i < MERGE_COUNT; i++) {
        read += files[i]->sealed.header.size;
        damage += files[i]->damage;
    }
    if (err) {
        bool ignored = err == ERR_IO && fails_again(s, files[0]->name);
        (void)ignored;
        sealer_trouble(s, "merge from", files[0]->name, err);
    } else {
        work_done(s, s->panel ? &s->panel->merges : NULL, read, &out);
        err = take_away_files(s, files, MERGE_COUNT);
    }
    if (!err && damage) {
        char text[96];
        snprintf(text, sizeof text, "%.40s…: %llu damaged blocks left out", files[0]->name,
                 (unsigned long long)damage);
        tell_event(s, EVENT_HISTORY_FAULT, damage, text);
        tell_gap(s, GAP_SEGMENT_LOST, 0, files[0]->sealed.header.noted_from_ns,
                 files[MERGE_COUNT - 1]->sealed.header.noted_to_ns, 0);
    }
    shelf_release(shelf);
    return err ? err : 1;
}

int sealer_step(struct sealer *s, int64_t utc_ns)
{
    s->utc_ns = utc_ns;
    int done = s->marks ? journal_marks_read(s->marks, &s->journal) : ERR_OK;
    if (done || !s->journal.epoch) {
        return 0; /* the journal is not open yet */
    }
    done = history_refresh(&s->history, utc_ns);
    if (done) {
        return sealer_trouble(s, "look at", "the journal's folder", done);
    }
    tell_figures(s);
    if (!s->clean) {
        return clean_up(s);
    }
    if (s->history.shelf->damaged) {
        return set_aside_damaged(s);
    }
    done = seal_oldest(s);
    done = done ? done : take_away_raw(s);
    done = done ? done : merge(s);
    return done || !s->plan ? done : sealer_retain(s);
}
