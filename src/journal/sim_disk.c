/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/sim_disk.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define FDS       1024
#define FD_FIRST  100000 /* no descriptor of the real kernel */
#define SECTOR    512u
#define NAME_SIZE 64u
#define MTIME_NS  (4 * NS_PER_MS) /* as coarse as the kernel's */

struct bytes { /* grows; beyond `size` all is zero */
    uint8_t *data;
    size_t size, room;
};

struct change { /* of a file, not flushed */
    bool truncate;
    uint64_t offset;
    size_t size, at; /* `at` in the file's `pending` */
};

struct inode {
    struct bytes view, disk;
    struct bytes pending; /* what the changes wrote */
    struct change *changes;
    size_t change_count, change_room;
    uint64_t allocated;
    unsigned links; /* names and descriptors that lead to it */
};

struct entry {
    char name[NAME_SIZE];
    struct inode *inode;
};

struct folder {
    struct entry *entries;
    size_t count, room;
};

struct
    name_change { /* not flushed: `to` now means inode (NULL: nothing), and `from` nothing any more */
    char from[NAME_SIZE], to[NAME_SIZE];
    struct inode *inode;
};

struct plan_of_failure {
    uint64_t after, times;
    int error;
};

struct sim {
    struct disk disk;
    struct clock clock;
    uint64_t dice;
    _Atomic int64_t utc_ns, mono_ns;
    int64_t changed_ns;
    struct folder view, stable;
    struct name_change *renames;
    size_t rename_count, rename_room;
    struct inode *fds[FDS];
    struct plan_of_failure fails[SIM_CALLS];
    bool short_writes, dead;
    uint64_t space, cut_after, failures;
    int64_t flush_ns;
    void (*during)(void *context);
    void *during_context;
    FILE *trace;
};

uint64_t sim_random(struct sim *s, uint64_t below)
{
    uint64_t z = s->dice += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

static void *must_have(void *p)
{
    if (!p) {
        abort(); /* a test without memory */
    }
    return p;
}

/* ---- Files. ---- */

static void put_bytes(struct bytes *b, uint64_t offset, const void *data, size_t size)
{
    size_t end = (size_t)offset + size;
    if (end > b->room) {
        size_t room = end * 2;
        b->data = must_have(realloc(b->data, room));
        memset(b->data + b->room, 0, room - b->room);
        b->room = room;
    }
    if (size) {
        memcpy(b->data + offset, data, size);
    }
    b->size = end > b->size ? end : b->size;
}

static void cut_bytes(struct bytes *b, uint64_t size)
{
    if (size < b->size) {
        memset(b->data + size, 0, b->size - (size_t)size);
        b->size = (size_t)size;
    } else {
        put_bytes(b, size, NULL, 0);
    }
}

static void drop_link(struct inode *i)
{
    if (i && !--i->links) {
        free(i->view.data);
        free(i->disk.data);
        free(i->pending.data);
        free(i->changes);
        free(i);
    }
}

static void note_change(struct inode *i, bool truncate, uint64_t offset, const void *data,
                        size_t size)
{
    if (i->change_count == i->change_room) {
        i->change_room = i->change_room ? 2 * i->change_room : 16;
        i->changes = must_have(realloc(i->changes, i->change_room * sizeof *i->changes));
    }
    i->changes[i->change_count++] = (struct change){truncate, offset, size, i->pending.size};
    if (size) {
        put_bytes(&i->pending, i->pending.size, data, size);
    }
}

static void apply(struct inode *i, const struct change *c)
{
    if (c->truncate) {
        cut_bytes(&i->disk, c->offset);
    } else {
        put_bytes(&i->disk, c->offset, i->pending.data + c->at, c->size);
    }
}

/* Only some sectors of a write reach the disk: those before a certain one, or any. */
static void tear(struct sim *s, struct inode *i, const struct change *c)
{
    bool prefix = sim_random(s, 2) == 0;
    uint64_t stop = c->offset + sim_random(s, c->size + 1);
    for (uint64_t at = c->offset; at < c->offset + c->size;) {
        uint64_t next = (at / SECTOR + 1) * SECTOR, end = c->offset + c->size;
        next = next < end ? next : end;
        if (prefix ? next <= stop : sim_random(s, 2) == 0) {
            put_bytes(&i->disk, at, i->pending.data + c->at + (at - c->offset),
                      (size_t)(next - at));
        }
        at = next;
    }
}

static void forget_changes(struct inode *i)
{
    i->change_count = 0;
    i->pending.size = 0;
}

static void reach_disk(struct inode *i)
{
    for (size_t n = 0; n < i->change_count; n++) {
        apply(i, i->changes + n);
    }
    forget_changes(i);
}

enum fate { FATE_DROP, FATE_KEEP, FATE_PREFIX, FATE_ANY, FATES };

/* What reaches the disk of that which was not flushed. */
static void survive(struct sim *s, struct inode *i)
{
    enum fate fate = (enum fate)sim_random(s, FATES);
    size_t stop = i->change_count ? sim_random(s, i->change_count) : 0;
    for (size_t n = 0; n < i->change_count; n++) {
        const struct change *c = i->changes + n;
        bool torn = (fate == FATE_PREFIX && n == stop) || (fate == FATE_ANY && !sim_random(s, 3));
        bool kept = fate == FATE_KEEP || (fate == FATE_PREFIX && n < stop) ||
                    (fate == FATE_ANY && sim_random(s, 2));
        if (torn && !c->truncate) {
            tear(s, i, c);
        } else if (kept) {
            apply(i, c);
        }
    }
}

/* ---- Names. ---- */

static struct inode **slot_of(struct folder *f, const char *name)
{
    for (size_t n = 0; n < f->count; n++) {
        if (!strcmp(f->entries[n].name, name)) {
            return &f->entries[n].inode;
        }
    }
    return NULL;
}

static struct inode *lookup(const struct folder *f, const char *name)
{
    struct inode **at = slot_of((struct folder *)f, name);
    return at ? *at : NULL;
}

static void set_name(struct folder *f, const char *name, struct inode *i)
{
    struct inode **at = slot_of(f, name);
    if (i) {
        i->links++;
    }
    if (at && i) {
        drop_link(*at);
        *at = i;
    } else if (at) {
        drop_link(*at);
        *(struct entry *)((char *)at - offsetof(struct entry, inode)) = f->entries[--f->count];
    } else if (i) {
        if (f->count == f->room) {
            f->room = f->room ? 2 * f->room : 32;
            f->entries = must_have(realloc(f->entries, f->room * sizeof *f->entries));
        }
        struct entry *e = f->entries + f->count++;
        size_t length = strlen(name);
        assert(length < NAME_SIZE);
        memcpy(e->name, name, length + 1);
        e->inode = i;
    }
}

static void rename_in(struct folder *f, const struct name_change *c)
{
    set_name(f, c->to, c->inode);
    if (c->from[0]) {
        set_name(f, c->from, NULL);
    }
}

static void change_name(struct sim *s, const char *from, const char *to, struct inode *i)
{
    if (s->rename_count == s->rename_room) {
        s->rename_room = s->rename_room ? 2 * s->rename_room : 16;
        s->renames = must_have(realloc(s->renames, s->rename_room * sizeof *s->renames));
    }
    struct name_change *c = s->renames + s->rename_count++;
    *c = (struct name_change){.inode = i};
    strncpy(c->from, from, NAME_SIZE - 1);
    strncpy(c->to, to, NAME_SIZE - 1);
    if (i) {
        i->links++; /* the list's own */
    }
    rename_in(&s->view, c);
    s->changed_ns = s->utc_ns / MTIME_NS * MTIME_NS;
}

/* The names that reach the disk: all, or at a loss of power what fate says. */
static void settle_names(struct sim *s, enum fate fate)
{
    size_t stop = s->rename_count ? sim_random(s, s->rename_count) : 0;
    for (size_t n = 0; n < s->rename_count; n++) {
        struct name_change *c = s->renames + n;
        if (fate == FATE_KEEP || (fate == FATE_PREFIX && n < stop) ||
            (fate == FATE_ANY && sim_random(s, 2))) {
            rename_in(&s->stable, c);
        }
        drop_link(c->inode);
    }
    s->rename_count = 0;
}

static void empty_folder(struct folder *f)
{
    while (f->count) {
        drop_link(f->entries[--f->count].inode);
    }
}

/* ---- Faults. ---- */

static int fails(struct sim *s, enum sim_call call)
{
    struct plan_of_failure *p = s->fails + call;
    if (s->dead) {
        return ERR_IO;
    }
    if (!p->times || --p->after) {
        return ERR_OK;
    }
    p->after = 1;
    p->times--;
    s->failures++;
    return p->error;
}

/* A call that changes something: the power may go in it. */
static int changes(struct sim *s, enum sim_call call, const char *name, uint64_t offset,
                   uint64_t size)
{
    static const char *const names[SIM_CALLS] = {
        "open", "read", "write", "flush", "flush_dir", "allocate", "truncate", "rename", "remove"};
    bool alive = !s->dead;
    if (!s->dead && s->cut_after && !--s->cut_after) {
        s->dead = true;
    }
    int err = fails(s, call);
    if (s->trace && alive) {
        fprintf(s->trace, "    %s %s offset %llu size %llu: %s\n", names[call], name,
                (unsigned long long)offset, (unsigned long long)size,
                s->dead ? "the power goes"
                : err   ? err_text(err)
                        : "ok");
    }
    return err;
}

/* What a file is called, for the trace. */
static const char *name_of(const struct sim *s, const struct inode *i)
{
    for (size_t n = 0; s->trace && n < s->view.count; n++) {
        if (s->view.entries[n].inode == i) {
            return s->view.entries[n].name;
        }
    }
    return "";
}

static struct inode *file(struct sim *s, int fd)
{
    assert(fd >= FD_FIRST && fd < FD_FIRST + FDS && s->fds[fd - FD_FIRST]);
    return s->fds[fd - FD_FIRST];
}

uint64_t sim_used(const struct sim *s)
{
    uint64_t used = 0;
    for (size_t n = 0; n < s->view.count; n++) {
        const struct inode *i = s->view.entries[n].inode;
        used += i->view.size > i->allocated ? i->view.size : i->allocated;
    }
    return used;
}

/* How far a file may grow. */
static uint64_t room_for(const struct sim *s, const struct inode *i)
{
    uint64_t own = i->view.size > i->allocated ? i->view.size : i->allocated;
    if (s->space == UINT64_MAX) {
        return UINT64_MAX;
    }
    uint64_t used = sim_used(s);
    return own + (s->space > used ? s->space - used : 0);
}

/* ---- The seam. ---- */

static int sim_open(void *context, int dir, const char *name, int flags)
{
    struct sim *s = context;
    (void)dir;
    int err = flags & O_CREAT ? changes(s, SIM_OPEN, name, 0, 0) : s->dead ? ERR_IO : ERR_OK;
    struct inode *i = lookup(&s->view, name);
    if (err || (i && (flags & O_CREAT) && (flags & O_EXCL))) {
        return err ? err : ERR_EXISTS;
    }
    if (!i && !(flags & O_CREAT)) {
        return ERR_NOT_FOUND;
    }
    int fd = 0;
    while (fd < FDS && s->fds[fd]) {
        fd++;
    }
    assert(fd < FDS); /* descriptors leak */
    if (!i) {
        i = must_have(calloc(1, sizeof *i));
        change_name(s, "", name, i);
    } else if (flags & O_TRUNC) {
        cut_bytes(&i->view, 0);
        note_change(i, true, 0, NULL, 0);
    }
    i->links++;
    s->fds[fd] = i;
    return FD_FIRST + fd;
}

static void sim_close(void *context, int fd)
{
    struct sim *s = context;
    struct inode *i = file(s, fd);
    s->fds[fd - FD_FIRST] = NULL;
    drop_link(i);
}

static int64_t sim_size(void *context, int fd)
{
    struct sim *s = context;
    return s->dead ? ERR_IO : (int64_t)file(s, fd)->view.size;
}

static int64_t sim_read(void *context, int fd, void *data, size_t size, uint64_t offset)
{
    struct sim *s = context;
    const struct inode *i = file(s, fd);
    int err = fails(s, SIM_READ);
    if (err || offset >= i->view.size) {
        return err;
    }
    size = size < i->view.size - offset ? size : (size_t)(i->view.size - offset);
    memcpy(data, i->view.data + offset, size);
    return (int64_t)size;
}

static int64_t sim_write(void *context, int fd, const void *data, size_t size, uint64_t offset)
{
    struct sim *s = context;
    struct inode *i = file(s, fd);
    bool alive = !s->dead;
    int err = changes(s, SIM_WRITE, name_of(s, i), offset, size);
    uint64_t end = room_for(s, i);
    size_t n = offset >= end ? 0 : size < end - offset ? size : (size_t)(end - offset);
    if (!err && !n && size) {
        s->failures++;
        return ERR_FULL;
    }
    if (s->short_writes && n > 1) {
        n = 1 + (size_t)sim_random(s, n);
    }
    if (err) {
        n = alive ? (size_t)sim_random(s, n + 1) : 0;
    }
    if (n) {
        put_bytes(&i->view, offset, data, n);
        note_change(i, false, offset, data, n);
    }
    return err ? err : (int64_t)n;
}

/* The pages are clean now, but not all of them are on the disk; whether one still sees them is the cache's affair. */
static void flush_badly(struct sim *s, struct inode *i)
{
    bool visible = sim_random(s, 2) == 0;
    survive(s, i);
    for (size_t n = 0; !visible && n < i->change_count; n++) {
        const struct change *c = i->changes + n;
        for (uint64_t at = c->offset; at < c->offset + c->size && at < i->view.size; at++) {
            i->view.data[at] = at < i->disk.size ? i->disk.data[at] : 0;
        }
    }
    forget_changes(i);
}

static int sim_flush(void *context, int fd)
{
    struct sim *s = context;
    struct inode *i = file(s, fd);
    sim_pass(s, s->flush_ns);
    if (s->during && !s->dead) {
        s->during(s->during_context);
    }
    int err = changes(s, SIM_FLUSH, name_of(s, i), 0, 0);
    if (!err) {
        reach_disk(i);
    } else if (!s->dead) {
        flush_badly(s, i);
    }
    return err;
}

static int sim_flush_dir(void *context, int dir)
{
    struct sim *s = context;
    (void)dir;
    int err = changes(s, SIM_FLUSH_DIR, "", 0, 0);
    if (!err) {
        settle_names(s, FATE_KEEP);
    }
    return err;
}

static int sim_allocate(void *context, int fd, uint64_t size)
{
    struct sim *s = context;
    struct inode *i = file(s, fd);
    int err = changes(s, SIM_ALLOCATE, name_of(s, i), 0, size);
    if (!err && size > room_for(s, i)) {
        s->failures++;
        err = ERR_FULL;
    }
    if (!err && size > i->allocated) {
        i->allocated = size;
    }
    return err;
}

static void sim_forget(void *context, int fd, uint64_t from, uint64_t size)
{
    (void)context;
    (void)fd;
    (void)from;
    (void)size;
}

static int sim_truncate(void *context, int fd, uint64_t size)
{
    struct sim *s = context;
    struct inode *i = file(s, fd);
    int err = changes(s, SIM_TRUNCATE, name_of(s, i), 0, size);
    if (!err) {
        cut_bytes(&i->view, size);
        note_change(i, true, size, NULL, 0);
        i->allocated = 0;
    }
    return err;
}

static int sim_rename(void *context, int dir, const char *from, const char *to)
{
    struct sim *s = context;
    (void)dir;
    int err = changes(s, SIM_RENAME, from, 0, 0);
    struct inode *i = lookup(&s->view, from);
    if (err || !i) {
        return err ? err : ERR_NOT_FOUND;
    }
    change_name(s, from, to, i);
    return ERR_OK;
}

static int sim_remove(void *context, int dir, const char *name)
{
    struct sim *s = context;
    (void)dir;
    int err = changes(s, SIM_REMOVE, name, 0, 0);
    if (err || !lookup(&s->view, name)) {
        return err ? err : ERR_NOT_FOUND;
    }
    change_name(s, "", name, NULL);
    return ERR_OK;
}

static int sim_list(void *context, int dir, void (*each)(void *to, const char *name), void *to)
{
    struct sim *s = context;
    (void)dir;
    if (s->dead) {
        return ERR_IO;
    }
    for (size_t n = s->view.count; n > 1; n--) { /* in any order */
        size_t other = sim_random(s, n);
        struct entry e = s->view.entries[n - 1];
        s->view.entries[n - 1] = s->view.entries[other];
        s->view.entries[other] = e;
    }
    for (size_t n = 0; n < s->view.count; n++) {
        each(to, s->view.entries[n].name);
    }
    return ERR_OK;
}

static int64_t sim_changed_ns(void *context, int dir)
{
    const struct sim *s = context;
    (void)dir;
    return s->dead ? ERR_IO : s->changed_ns;
}

static int64_t sim_room(void *context, int dir)
{
    const struct sim *s = context;
    uint64_t used = sim_used(s);
    (void)dir;
    return s->dead ? ERR_IO : s->space > used ? (int64_t)((s->space - used) & INT64_MAX) : 0;
}

static int64_t sim_utc_ns(void *context)
{
    const struct sim *s = context;
    return s->utc_ns;
}

static int64_t sim_mono_ns(void *context)
{
    const struct sim *s = context;
    return s->mono_ns;
}

/* ---- The simulation's own side. ---- */

struct sim *sim_new(uint64_t seed)
{
    struct sim *s = must_have(calloc(1, sizeof *s));
    s->dice = seed;
    s->space = UINT64_MAX;
    s->utc_ns = INT64_C(1700000000) * NS_PER_S;
    s->mono_ns = NS_PER_S;
    s->clock = (struct clock){.context = s, .utc_ns = sim_utc_ns, .mono_ns = sim_mono_ns};
    s->disk = (struct disk){.context = s,
                            .open = sim_open,
                            .close = sim_close,
                            .size = sim_size,
                            .read = sim_read,
                            .write = sim_write,
                            .flush = sim_flush,
                            .flush_dir = sim_flush_dir,
                            .allocate = sim_allocate,
                            .forget = sim_forget,
                            .truncate = sim_truncate,
                            .rename = sim_rename,
                            .remove = sim_remove,
                            .list = sim_list,
                            .changed_ns = sim_changed_ns,
                            .room = sim_room};
    return s;
}

void sim_free(struct sim *s)
{
    for (int fd = 0; fd < FDS; fd++) {
        drop_link(s->fds[fd]);
    }
    settle_names(s, FATE_DROP);
    empty_folder(&s->view);
    empty_folder(&s->stable);
    free(s->view.entries);
    free(s->stable.entries);
    free(s->renames);
    free(s);
}

const struct disk *sim_disk(struct sim *s)
{
    return &s->disk;
}

const struct clock *sim_clock(struct sim *s)
{
    return &s->clock;
}

void sim_pass(struct sim *s, int64_t ns)
{
    s->utc_ns += ns;
    s->mono_ns += ns;
}

void sim_jump(struct sim *s, int64_t ns)
{
    s->utc_ns += ns;
}

void sim_fail(struct sim *s, enum sim_call call, uint64_t nth, uint64_t times, int error)
{
    s->fails[call] = (struct plan_of_failure){nth, times, error};
}

void sim_short_writes(struct sim *s, bool on)
{
    s->short_writes = on;
}

void sim_space(struct sim *s, uint64_t bytes)
{
    s->space = bytes;
}

void sim_slow_flush(struct sim *s, int64_t ns, void (*during)(void *context), void *context)
{
    s->flush_ns = ns;
    s->during = during;
    s->during_context = context;
}

void sim_heal(struct sim *s)
{
    memset(s->fails, 0, sizeof s->fails);
    s->short_writes = false;
    s->space = UINT64_MAX;
}

void sim_trace(struct sim *s, FILE *to)
{
    s->trace = to;
}

uint64_t sim_failures(const struct sim *s)
{
    return s->failures;
}

void sim_cut_power(struct sim *s, uint64_t nth)
{
    s->cut_after = nth;
}

bool sim_is_dead(const struct sim *s)
{
    return s->dead;
}

void sim_kill(struct sim *s)
{
    s->dead = true;
}

static void forget_descriptors(struct sim *s)
{
    for (int fd = 0; fd < FDS; fd++) {
        drop_link(s->fds[fd]);
        s->fds[fd] = NULL;
    }
}

void sim_revive(struct sim *s)
{
    s->dead = false;
    s->cut_after = 0;
}

static void survive_all(struct sim *s, struct folder *f)
{
    for (size_t n = 0; n < f->count; n++) {
        struct inode *i = f->entries[n].inode;
        survive(s, i);
        forget_changes(i);
        cut_bytes(&i->view, 0);
        put_bytes(&i->view, 0, i->disk.data, i->disk.size);
        i->allocated = 0;
    }
}

void sim_power_on(struct sim *s)
{
    forget_descriptors(s);
    settle_names(s, (enum fate)sim_random(s, FATES));
    empty_folder(&s->view);
    for (size_t n = 0; n < s->stable.count; n++) {
        set_name(&s->view, s->stable.entries[n].name, s->stable.entries[n].inode);
    }
    survive_all(s, &s->view);
    sim_revive(s);
}

const uint8_t *sim_bytes(const struct sim *s, const char *name, size_t *size)
{
    const struct inode *i = lookup(&s->view, name);
    *size = i ? i->view.size : 0;
    return !i ? NULL : i->view.data ? i->view.data : (const uint8_t *)"";
}

void sim_flip(struct sim *s, const char *name, size_t offset, unsigned bit)
{
    struct inode *i = lookup(&s->view, name);
    assert(i && offset < i->view.size);
    i->view.data[offset] ^= (uint8_t)(1u << bit);
    reach_disk(i);
    put_bytes(&i->disk, offset, i->view.data + offset, 1);
}

void sim_shorten(struct sim *s, const char *name, size_t size)
{
    struct inode *i = lookup(&s->view, name);
    assert(i);
    reach_disk(i);
    cut_bytes(&i->view, size);
    cut_bytes(&i->disk, size);
}

void sim_lose(struct sim *s, const char *name)
{
    set_name(&s->view, name, NULL);
    settle_names(s, FATE_KEEP);
    set_name(&s->stable, name, NULL);
}
