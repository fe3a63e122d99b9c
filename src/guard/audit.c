/* SPDX-License-Identifier: Apache-2.0 */
/* The writer. The number of an entry is known only when it is written, since checkpoints come between: so audit_append
 * gives the count of entries appended as a ticket, and durable counts the same. */
#include "guard/audit_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GROUP_MAX     512u
#define RETRY_NS      NS_PER_S
#define CHECKPOINT_NS (60 * NS_PER_S)
#define ENTRY_AT(i)   (512u * ((uint64_t)(i) + 1))

static uint64_t file_bytes(const struct audit *a)
{
    return ENTRY_AT(a->file_entries);
}

static int64_t mono(const struct audit *a)
{
    return a->clock->mono_ns(a->clock->context);
}

/* A file's space by that name: open, empty. */
static int reserve_file(struct audit *a, const char *name)
{
    const struct disk *d = a->disk;
    int fd = d->open(d->context, a->dir, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC);
    if (fd >= 0) {
        int err = d->allocate(d->context, fd, file_bytes(a));
        if (err) {
            d->close(d->context, fd);
            int ignored = d->remove(d->context, a->dir, name);
            (void)ignored;
            return err;
        }
    }
    return fd;
}

static void keep_spare(struct audit *a)
{
    if (!a->spare) {
        int fd = reserve_file(a, AUDIT_SPARE);
        a->spare = fd >= 0;
        if (fd >= 0) {
            a->disk->close(a->disk->context, fd);
        }
    }
    atomic_store(&a->full, !a->spare);
}

static int begin_file(struct audit *a)
{
    const struct disk *d = a->disk;
    char name[AUDIT_NAME_SIZE];
    struct audit_header h = {
        .magic = AUDIT_MAGIC, .first = a->written, .utc_ns = a->clock->utc_ns(a->clock->context)};
    audit_name(name, a->written);
    int fd = reserve_file(a, name);
    if (fd == ERR_FULL && a->spare) {
        a->spare = false;
        int err = d->rename(d->context, a->dir, AUDIT_SPARE, name);
        fd = err ? err : d->open(d->context, a->dir, name, O_RDWR | O_CLOEXEC);
    }
    if (fd < 0) {
        return fd;
    }
    memcpy(h.public_key, a->public_key, sizeof h.public_key);
    memcpy(h.previous, a->last_hash, sizeof h.previous);
    snprintf(h.gateway, sizeof h.gateway, "%s", a->options.gateway);
    int err = audit_header_close(&h) ? disk_write_all(d, fd, &h, sizeof h, 0) : ERR_UNSUPPORTED;
    if (!err) {
        err = d->flush_dir(d->context, a->dir);
    }
    if (err) {
        d->close(d->context, fd);
        return err;
    }
    a->fd = fd;
    a->file_first = a->written;
    a->file_count = 0;
    keep_spare(a);
    return ERR_OK;
}

static void end_file(struct audit *a)
{
    if (a->fd >= 0) { /* the space that was not used is given back */
        int ignored = a->disk->truncate(a->disk->context, a->fd, ENTRY_AT(a->file_count));
        (void)ignored;
        a->disk->close(a->disk->context, a->fd);
        a->fd = -1;
    }
}

/* ---- Groups. ---- */

struct group {
    struct audit_entry entries[GROUP_MAX + 2]; /* with what the audit itself has to say */
    size_t count;
    uint64_t taken; /* of the buffer */
    uint64_t number;
    uint8_t hash[32];
};

static void add(struct audit *a, struct group *g, const struct audit_entry *entry)
{
    struct audit_entry *e = g->entries + g->count;
    *e = *entry;
    e->begins = !g->count++;
    e->number = g->number++;
    memcpy(e->previous, g->hash, sizeof e->previous);
    if (e->kind == AUDIT_CHECKPOINT && !audit_sign(e, a->secret)) {
        snprintf(e->text, sizeof e->text, "no signature could be made");
    }
    audit_entry_close(e);
    audit_hash(e, g->hash);
}

static void add_own(struct audit *a, struct group *g, enum audit_kind kind, const char *text)
{
    struct audit_entry e = {.kind = kind, .utc_ns = a->clock->utc_ns(a->clock->context)};
    snprintf(e.text, sizeof e.text, "%s", text);
    add(a, g, &e);
}

/* What is in the buffer, as far as it fits into the file; with a checkpoint behind it when one is due. */
static void gather(struct audit *a, struct group *g, uint64_t put, bool last)
{
    size_t room = a->file_entries - a->file_count;
    g->count = 0;
    g->taken = 0;
    g->number = a->written;
    memcpy(g->hash, a->last_hash, sizeof g->hash);
    if (a->why[0]) {
        add_own(a, g, AUDIT_RECOVERED, a->why);
    }
    while (g->count < GROUP_MAX && g->count + 1 < room && a->taken + g->taken < put) {
        add(a, g, a->ring + (a->taken + g->taken) % AUDIT_BUFFER_ENTRIES);
        g->taken++;
    }
    bool some = g->number > a->checkpoint + 1;
    bool due =
        g->number - a->checkpoint >= AUDIT_EVERY || mono(a) - a->checkpoint_ns >= CHECKPOINT_NS;
    bool file_ends = g->count + 1 >= room;
    if (some && (due || file_ends || last)) {
        add_own(a, g, AUDIT_CHECKPOINT, "");
    }
}

static int write_group(struct audit *a, const struct group *g)
{
    const struct disk *d = a->disk;
    int err = disk_write_all(d, a->fd, g->entries, g->count * sizeof *g->entries,
                             ENTRY_AT(a->file_count));
    return err ? err : d->flush(d->context, a->fd);
}

static void tell_end(struct audit *a)
{
    if (a->options.end) {
        atomic_store_explicit(a->options.end, a->written, memory_order_release);
    }
}

static void adopt_group(struct audit *a, const struct group *g)
{
    if (g->entries[g->count - 1].kind == AUDIT_CHECKPOINT) {
        a->checkpoint = g->number - 1;
        a->checkpoint_ns = mono(a);
    }
    a->why[0] = '\0';
    a->written = g->number;
    a->file_count += (uint32_t)g->count;
    memcpy(a->last_hash, g->hash, sizeof a->last_hash);
    tell_end(a);
    pthread_mutex_lock(&a->lock);
    a->taken += g->taken;
    pthread_mutex_unlock(&a->lock);
    atomic_store_explicit(&a->durable, a->taken, memory_order_release);
    atomic_store(&a->failed, false);
    if (g->taken && a->options.on_durable) {
        a->options.on_durable(a->options.context);
    }
    if (a->file_count + 2 >= a->file_entries) {
        end_file(a);
    }
}

static void fail(struct audit *a, int err)
{
    if (a->fd >= 0) { /* nobody knows what of the group is in it: the next file begins before it */
        a->disk->close(a->disk->context, a->fd);
        a->fd = -1;
    }
    snprintf(a->why, sizeof a->why,
             "the file before could not be written (%s); what it holds from this number on counts "
             "for nothing",
             err_text(err));
    atomic_store(&a->failed, true);
    a->retry_ns = mono(a) + RETRY_NS;
}

/* One round; `last`: with a checkpoint at the end. True: there is more. */
static bool turn(struct audit *a, struct group *g, bool last)
{
    if (atomic_load(&a->failed) && mono(a) < a->retry_ns && !last) {
        return false;
    }
    pthread_mutex_lock(&a->lock);
    uint64_t put = a->put;
    pthread_mutex_unlock(&a->lock);
    if (atomic_load(&a->full)) {
        keep_spare(a);
    }
    int err = a->fd < 0 ? begin_file(a) : ERR_OK;
    if (!err) {
        gather(a, g, put, last);
        err = g->count ? write_group(a, g) : ERR_OK;
    }
    if (err) {
        fail(a, err);
        return false;
    }
    if (g->count) {
        adopt_group(a, g);
    }
    return a->taken < put;
}

bool audit_turn(struct audit *a)
{
    struct group *g = malloc(sizeof *g);
    bool more = g && turn(a, g, false);
    free(g);
    return more;
}

static void *run(void *context)
{
    struct audit *a = context;
    struct group *g = malloc(sizeof *g);
    bool stop = !g;
    while (!stop) {
        pthread_mutex_lock(&a->lock);
        if (a->taken == a->put && !a->stop) {
            struct timespec until;
            clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_sec += 10;
            pthread_cond_timedwait(&a->more, &a->lock, &until);
        } else if (atomic_load(&a->failed) && !a->stop) { /* it is tried again when it is time */
            struct timespec until;
            clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_sec += 1;
            pthread_cond_timedwait(&a->more, &a->lock, &until);
        }
        stop = a->stop;
        pthread_mutex_unlock(&a->lock);
        while (turn(a, g, stop)) {
        }
    }
    free(g);
    return NULL;
}

/* ---- The other side. ---- */

static void fini(struct audit *a)
{
    end_file(a);
    if (a->dir >= 0) {
        close(a->dir);
    }
    pthread_cond_destroy(&a->more);
    pthread_mutex_destroy(&a->lock);
    audit_files_free(&a->files);
    free(a->ring);
    free(a);
}

int audit_open(struct audit **audit, const struct audit_options *options)
{
    pthread_condattr_t attributes;
    struct audit *a = calloc(1, sizeof *a);
    if (!a) {
        return ERR_NOMEM;
    }
    a->options = *options;
    a->disk = options->disk ? options->disk : &disk_files;
    a->clock = options->clock ? options->clock : &clock_real;
    a->file_entries = options->file_entries ? options->file_entries : AUDIT_FILE_ENTRIES;
    a->fd = -1;
    memcpy(a->secret, options->secret, sizeof a->secret);
    pthread_mutex_init(&a->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&a->more, &attributes);
    pthread_condattr_destroy(&attributes);
    a->dir = open(options->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    a->ring = calloc(AUDIT_BUFFER_ENTRIES, sizeof *a->ring);
    int err = a->dir < 0 ? ERR_IO : a->ring ? ERR_OK : ERR_NOMEM;
    if (!err && !ed25519_public(a->secret, a->public_key)) {
        err = ERR_UNSUPPORTED;
    }
    if (!err) {
        err = audit_recover(a);
    }
    if (!err) {
        tell_end(a);
        a->checkpoint_ns = mono(a);
        err = begin_file(a);
    }
    if (!err && !options->stepped) {
        a->has_thread = pthread_create(&a->thread, NULL, run, a) == 0;
        err = a->has_thread ? ERR_OK : ERR_NOMEM;
    }
    if (err) {
        fini(a);
        return err;
    }
    *audit = a;
    return ERR_OK;
}

void audit_close(struct audit *a)
{
    if (!a) {
        return;
    }
    if (a->has_thread) {
        pthread_mutex_lock(&a->lock);
        a->stop = true;
        pthread_cond_signal(&a->more);
        pthread_mutex_unlock(&a->lock);
        pthread_join(a->thread, NULL);
    } else {
        struct group *g = malloc(sizeof *g);
        while (g && turn(a, g, true)) {
        }
        free(g);
    }
    fini(a);
}

int audit_append(struct audit *a, const struct audit_entry *entry, bool reserve, uint64_t *ticket)
{
    pthread_mutex_lock(&a->lock);
    /* a quarter of the buffer is the reserve's too: a stalled disk must not shut it out */
    uint64_t most =
        reserve ? AUDIT_BUFFER_ENTRIES : AUDIT_BUFFER_ENTRIES - AUDIT_BUFFER_ENTRIES / 4;
    bool fits = a->put - a->taken < most && (reserve || !atomic_load(&a->full));
    if (fits) {
        a->ring[a->put % AUDIT_BUFFER_ENTRIES] = *entry;
        *ticket = a->put++;
        pthread_cond_signal(&a->more);
    }
    pthread_mutex_unlock(&a->lock);
    return fits ? ERR_OK : ERR_FULL;
}

uint64_t audit_durable(const struct audit *a)
{
    return atomic_load_explicit(&a->durable, memory_order_acquire);
}

bool audit_failed(const struct audit *a)
{
    return atomic_load(&a->failed);
}
