/* SPDX-License-Identifier: Apache-2.0 */
#include "history/backup.h"
#include "history/test_folder.h"
#include "journal/sim_disk.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"

/* ---- A disk on which the n-th change fails, and from then on, if it is `dead`, every one: the program was killed. ---- */

struct faulty {
    uint64_t changes, fail_at; /* counted from 1; 0: never */
    int err;
    bool dead;
};

static int fails(void *context)
{
    struct faulty *f = context;
    f->changes++;
    return f->fail_at && (f->changes == f->fail_at || (f->dead && f->changes > f->fail_at))
               ? f->err
               : ERR_OK;
}

static int try_open(void *context, int dir, const char *name, int flags)
{
    int err = flags & O_CREAT ? fails(context) : ERR_OK;
    return err ? err : disk_files.open(NULL, dir, name, flags);
}
static int64_t try_write(void *context, int fd, const void *data, size_t size, uint64_t offset)
{
    int err = fails(context);
    return err ? err : disk_files.write(NULL, fd, data, size, offset);
}
static int try_flush(void *context, int fd)
{
    (void)fd;
    return fails(context); /* nothing is flushed: what a loss of power takes is the storm's */
}
static int try_rename(void *context, int dir, const char *from, const char *to)
{
    int err = fails(context);
    return err ? err : disk_files.rename(NULL, dir, from, to);
}
static int try_remove(void *context, int dir, const char *name)
{
    int err = fails(context);
    return err ? err : disk_files.remove(NULL, dir, name);
}

/* ---- A gateway's folder, its backup, and a place to unpack it. ---- */

struct world {
    struct folder gateway;
    char store_path[64], other_path[64];
    int store, other;
    struct faulty faulty;
    struct disk disk; /* of the store and the other place */
    struct backup backup;
    uint64_t told;
    struct verify_finding last;
    char file[STORED_NAME_SIZE];
};

static void found(void *context, const struct verify_finding *finding)
{
    struct world *w = context;
    w->told++;
    w->last = *finding;
    snprintf(w->file, sizeof w->file, "%s", finding->file);
}

static int new_folder(char *path)
{
    strcpy(path, "/tmp/isthmus-backup-XXXXXX");
    assert_non_null(mkdtemp(path));
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void remove_name(void *dir, const char *name)
{
    unlinkat(*(int *)dir, name, 0);
}

static void empty_folder(int dir)
{
    assert_int_equal(disk_files.list(NULL, dir, remove_name, &dir), 0);
}

static void write_file(int dir, const char *name, const void *data, size_t size)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), size);
    close(fd);
}

static uint8_t *read_file(int dir, const char *name, size_t *size)
{
    struct stat info;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &info) == 0);
    *size = (size_t)info.st_size;
    uint8_t *data = malloc(*size + 1);
    assert_int_equal(read(fd, data, *size + 1), *size);
    close(fd);
    return data;
}

static void world_init(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    folder_init(&w->gateway, seed);
    w->store = new_folder(w->store_path);
    w->other = new_folder(w->other_path);
    w->disk = disk_files;
    w->disk.context = &w->faulty;
    w->disk.open = try_open;
    w->disk.write = try_write;
    w->disk.flush = try_flush;
    w->disk.rename = try_rename;
    w->disk.remove = try_remove;
    w->disk.flush_dir = try_flush;
    w->backup = (struct backup){.journal = {&disk_files, w->gateway.dir},
                                .state = {&disk_files, w->gateway.dir},
                                .store = {&w->disk, w->store},
                                .gateway = "plant",
                                .found = found,
                                .context = w};
    write_file(w->gateway.dir, MANIFEST_IDS, "1,float64,,a/x1,00000000\n", 25);
    for (int i = 0; i < 3; i++) {
        folder_segment(&w->gateway, 20);
        assert_true(folder_seal(&w->gateway));
    }
    folder_segment(&w->gateway, 5);
    folder_segment(&w->gateway, 5);
}

static void world_fini(struct world *w)
{
    empty_folder(w->store);
    empty_folder(w->other);
    close(w->store);
    close(w->other);
    rmdir(w->store_path);
    rmdir(w->other_path);
    folder_fini(&w->gateway);
}

static int make(struct world *w, int64_t now_ns)
{
    w->told = 0;
    w->faulty.changes = 0;
    w->backup.now_ns = now_ns;
    return backup_make(&w->backup);
}

static void count_name(void *count, const char *name)
{
    *(int *)count += name[0] != '.';
}

static int count_names(int dir)
{
    int count = 0;
    assert_int_equal(disk_files.list(NULL, dir, count_name, &count), 0);
    return count;
}

/* Everything that the manifest names is there and sound; when it was made. */
static int64_t check_store(struct world *w)
{
    struct manifest m;
    struct verify_sum sum;
    w->told = 0;
    w->faulty = (struct faulty){0};
    assert_int_equal(backup_verify(&w->backup, &sum), 0);
    assert_int_equal(w->told + sum.findings, 0);
    assert_int_equal(manifest_read(&m, &disk_files, w->store), 0);
    int64_t created_ns = m.created_ns;
    manifest_fini(&m);
    return created_ns;
}

static int unpack(struct world *w)
{
    struct backup b = w->backup;
    empty_folder(w->other);
    w->told = 0;
    b.journal = (struct backup_place){&w->disk, w->other};
    int err = backup_unpack(&b);
    w->backup.sum = b.sum;
    return err;
}

/* What was unpacked tells the same samples as the model. */
static void check_unpacked(struct world *w)
{
    struct folder copy = w->gateway;
    copy.dir = w->other;
    assert_int_equal(history_open(&copy.history, &disk_files, w->other), 0);
    folder_check(&copy);
    history_close(&copy.history);
}

/* ---- Tests. ---- */

static void test_there_and_back(void **state)
{
    (void)state;
    struct world w;
    size_t size, same;
    world_init(&w, 1);
    assert_int_equal(make(&w, 1), 0);
    assert_int_equal(w.told, 0);
    assert_int_equal(w.backup.sum.files, 6); /* three sealed, two raw, ids.txt */
    assert_int_equal(w.backup.sum.copied_files, 6);
    assert_int_equal(check_store(&w), 1);
    assert_int_equal(unpack(&w), 0);
    check_unpacked(&w);
    uint8_t *a = read_file(w.gateway.dir, MANIFEST_IDS, &size);
    uint8_t *b = read_file(w.other, MANIFEST_IDS, &same);
    assert_true(size == same && !memcmp(a, b, size));
    free(a);
    free(b);
    world_fini(&w);
}

/* The second backup copies only what is new, and takes away what is no more. */
static void test_what_is_there_is_kept(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 2);
    assert_int_equal(make(&w, 1), 0);
    folder_segment(&w.gateway, 10);
    assert_true(folder_seal(&w.gateway));
    assert_int_equal(make(&w, 2), 0);
    assert_int_equal(w.backup.sum.copied_files, 2); /* the raw one and the sealed one */
    assert_int_equal(w.backup.sum.removed_files, 1);
    while (folder_merge(&w.gateway)) {
    }
    assert_int_equal(make(&w, 3), 0);
    assert_int_equal(w.backup.sum.copied_files, 1);
    assert_int_equal(w.backup.sum.removed_files, 4);
    assert_int_equal(count_names(w.store), w.backup.sum.files + 1);
    assert_int_equal(check_store(&w), 3);
    assert_int_equal(unpack(&w), 0);
    check_unpacked(&w);
    world_fini(&w);
}

/* Killed at every step, or one step fails: the former backup is whole, or the new one is; the next try ends well. */
static void test_every_step_fails(void **state)
{
    (void)state;
    const struct faulty kinds[] = {{.err = ERR_IO, .dead = true}, {.err = ERR_FULL}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        bool done = false;
        for (uint64_t n = 1; !done; n++) {
            struct world w;
            world_init(&w, 10 + n);
            assert_int_equal(make(&w, 1), 0);
            folder_segment(&w.gateway, 10);
            assert_true(folder_seal(&w.gateway));
            assert_true(folder_merge(&w.gateway));
            w.faulty = kinds[k];
            w.faulty.fail_at = n;
            int err = make(&w, 2);
            done = w.faulty.changes < n;
            assert_true(done || n < 1000);
            assert_true(err == ERR_OK || err == kinds[k].err);
            assert_true(err == ERR_OK || strlen(w.backup.trouble) > 0);
            int64_t created = check_store(&w);
            assert_true(created == 2 || err);
            assert_int_equal(make(&w, 3), 0);
            assert_int_equal(count_names(w.store), w.backup.sum.files + 1);
            assert_int_equal(check_store(&w), 3);
            assert_int_equal(unpack(&w), 0);
            check_unpacked(&w);
            world_fini(&w);
        }
    }
}

/* ---- The sealer works meanwhile. ---- */

#define NAMES_MAX 64u

struct meanwhile {
    struct folder *gateway;
    uint64_t calls, at;
    char names[NAMES_MAX][SNAPSHOT_NAME_SIZE];
    size_t count;
};

static void work(struct meanwhile *m)
{
    if (++m->calls == m->at) {
        folder_seal(m->gateway);
        folder_merge(m->gateway);
    }
}

static int open_meanwhile(void *context, int dir, const char *name, int flags)
{
    work(context);
    return disk_files.open(NULL, dir, name, flags);
}

static void note_name(void *context, const char *name)
{
    struct meanwhile *m = context;
    assert_true(m->count < NAMES_MAX && strlen(name) < sizeof m->names[0]);
    strcpy(m->names[m->count++], name);
}

/* As file systems do it: by a hash, of another seed each time. */
static uint32_t hash_seed;

static int by_hash(const void *a, const void *b)
{
    uint32_t x = crc32c(hash_seed, a, strlen(a)) * 2654435761u,
             y = crc32c(hash_seed, b, strlen(b)) * 2654435761u;
    return x < y ? -1 : x > y;
}

/* What comes and goes while it is listed is told or not, as its place has been passed or not. */
static int list_meanwhile(void *context, int dir, void (*each)(void *to, const char *name),
                          void *to)
{
    struct meanwhile *m = context;
    char last[SNAPSHOT_NAME_SIZE] = "";
    for (bool more = true; more;) {
        m->count = 0;
        int err = disk_files.list(NULL, dir, note_name, m);
        if (err) {
            return err;
        }
        qsort(m->names, m->count, sizeof m->names[0], by_hash);
        more = false;
        for (size_t i = 0; i < m->count && !more; i++) {
            if (!*last || by_hash(m->names[i], last) > 0) {
                strcpy(last, m->names[i]);
                each(to, last);
                work(m);
                more = true;
            }
        }
    }
    return ERR_OK;
}

static void test_the_sealer_works_meanwhile(void **state)
{
    (void)state;
    for (hash_seed = 1; hash_seed <= 60; hash_seed++) {
        struct world w;
        world_init(&w, 20 + hash_seed);
        struct meanwhile m = {.gateway = &w.gateway, .at = 1 + hash_seed % 15};
        struct disk disk = disk_files;
        disk.context = &m;
        disk.open = open_meanwhile;
        disk.list = list_meanwhile;
        w.backup.journal.disk = &disk;
        assert_int_equal(make(&w, 1), 0);
        assert_int_equal(w.told, 0);
        assert_true(m.calls >= m.at);
        assert_int_equal(check_store(&w), 1);
        w.backup.journal.disk = &disk_files;
        assert_int_equal(unpack(&w), 0);
        check_unpacked(&w);
        world_fini(&w);
    }
}

/* ---- The store on a disk on which everything may go wrong. ---- */

#define STORES  120u
#define CRASHES 8u

static int64_t check_sim_store(struct world *w, const char *doing)
{
    struct manifest m;
    struct verify_sum sum;
    w->told = 0;
    int err = backup_verify(&w->backup, &sum);
    if (err || w->told || sum.findings) {
        fail_msg("%s: %s, %llu findings, the last in %s", doing, err_text(err),
                 (unsigned long long)w->told, w->file);
    }
    assert_int_equal(manifest_read(&m, w->backup.store.disk, 0), 0);
    int64_t created_ns = m.created_ns;
    manifest_fini(&m);
    return created_ns;
}

/* One thing that goes wrong during the next backup. */
static const char *arm(struct sim *s)
{
    static const int errors[] = {ERR_IO, ERR_FULL, ERR_INTERRUPTED};
    switch (sim_random(s, 4)) {
    case 0:
        sim_fail(s, (enum sim_call)sim_random(s, SIM_CALLS), 1 + sim_random(s, 12), 1,
                 errors[sim_random(s, 2)]);
        return "a call fails";
    case 1:
        sim_space(s, sim_used(s) + sim_random(s, 20000));
        return "the disk is full";
    case 2:
        sim_short_writes(s, true);
        sim_fail(s, SIM_READ, 1 + sim_random(s, 12), 1, ERR_INTERRUPTED);
        return "short writes";
    default:
        sim_cut_power(s, 1 + sim_random(s, 40));
        return "the power goes";
    }
}

/* What came back as done is durable: the power goes right behind it. */
static void cut_now(struct sim *s)
{
    const struct disk *d = sim_disk(s);
    sim_cut_power(s, 1);
    int fd = d->open(d->context, 0, "unrelated", O_RDWR | O_CREAT);
    if (fd >= 0) {
        d->close(d->context, fd);
    }
    assert_true(sim_is_dead(s));
    sim_power_on(s);
}

/* The gateway's folder is now this, now that one: there is always much to copy and to take away. */
static void storm(struct world *w, const struct world *other, struct sim *s)
{
    int64_t made = 1;
    w->backup.store = (struct backup_place){sim_disk(s), 0};
    for (uint32_t i = 0; i < CRASHES; i++) {
        const char *doing = arm(s);
        w->backup.journal.dir = i % 2 ? w->gateway.dir : other->gateway.dir;
        int err = make(w, 2 + i);
        made = err ? made : 2 + i;
        sim_heal(s);
        if (sim_is_dead(s)) {
            sim_power_on(s);
        } else if (!err) {
            cut_now(s);
        }
        int64_t now = check_sim_store(w, doing);
        assert_true(now == made || (err && now == 2 + i)); /* it may fail behind the rename */
        made = now;
    }
    w->backup.journal.dir = w->gateway.dir;
    assert_int_equal(make(w, 100), 0);
    assert_int_equal(check_sim_store(w, "the last"), 100);
}

/* Power cuts with lost and torn writes, failing calls, no room: a backup is whole, the new one or the one before, and one that
 * was made stays made. */
static void test_storm(void **state)
{
    (void)state;
    struct world w, other;
    struct sim *stores[STORES];
    world_init(&w, 7);
    world_init(&other, 8);
    for (uint32_t i = 0; i < STORES; i++) {
        stores[i] = sim_new(i + 1);
        w.backup.store = (struct backup_place){sim_disk(stores[i]), 0};
        assert_int_equal(make(&w, 1), 0);
    }
    assert_true(folder_merge(&other.gateway));
    for (uint32_t i = 0; i < STORES; i++) {
        storm(&w, &other, stores[i]);
    }
    for (uint32_t i = 0; i < STORES; i += 20) {
        w.backup.store = (struct backup_place){sim_disk(stores[i]), 0};
        assert_int_equal(unpack(&w), 0);
        check_unpacked(&w);
    }
    for (uint32_t i = 0; i < STORES; i++) {
        sim_free(stores[i]);
    }
    world_fini(&other);
    world_fini(&w);
}

/* A byte of any file changes, or it goes: verify and unpack name it; the next backup makes it whole. */
static void test_damage_in_the_store(void **state)
{
    (void)state;
    struct world w;
    struct manifest m;
    struct verify_sum sum;
    world_init(&w, 3);
    assert_int_equal(make(&w, 1), 0);
    assert_int_equal(manifest_read(&m, &disk_files, w.store), 0);
    for (size_t i = 0; i < 2 * m.count; i++) {
        char name[STORED_NAME_SIZE];
        size_t size;
        manifest_stored_name(m.files + i / 2, name);
        uint8_t *data = read_file(w.store, name, &size);
        data[size / 3] ^= 0x20;
        if (i % 2) {
            write_file(w.store, name, data, size);
        } else {
            assert_int_equal(unlinkat(w.store, name, 0), 0);
        }
        free(data);
        w.told = 0;
        assert_int_equal(backup_verify(&w.backup, &sum), 0);
        assert_true(w.told > 0 && sum.findings > 0);
        assert_int_equal(unpack(&w), 0);
        assert_int_equal(w.told, 1);
        assert_string_equal(w.file, name);
        assert_int_equal(count_names(w.other), m.count - 1);
        assert_int_equal(make(&w, 1), 0);
        assert_int_equal(w.told, i % 2);
        assert_int_equal(check_store(&w), 1);
    }
    manifest_fini(&m);
    world_fini(&w);
}

/* A sealed file that is damaged after it was backed up does not drive out the whole one. */
static void test_the_whole_one_is_kept(void **state)
{
    (void)state;
    const double places[] = {0, 0.001, 0.5, 0.9};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct world w;
        size_t size;
        world_init(&w, 4);
        assert_int_equal(make(&w, 1), 0);
        const char *name = w.gateway.history.shelf->files[1]->name;
        uint8_t *data = read_file(w.gateway.dir, name, &size);
        data[(size_t)(places[i] * (double)size)] ^= 1;
        write_file(w.gateway.dir, name, data, size);
        free(data);
        assert_int_equal(make(&w, 2), 0);
        assert_int_equal(w.backup.sum.copied_files, 0);
        assert_int_equal(check_store(&w), 2);
        assert_int_equal(unpack(&w), 0);
        check_unpacked(&w);
        world_fini(&w);
    }
}

static void test_another_gateways_backup(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 5);
    assert_int_equal(make(&w, 1), 0);
    w.backup.gateway = "other";
    assert_int_equal(make(&w, 2), ERR_REFUSED);
    assert_non_null(strstr(w.backup.trouble, "plant"));
    assert_int_equal(check_store(&w), 1);
    empty_folder(w.store);
    assert_int_equal(unpack(&w), ERR_NOT_FOUND);
    world_fini(&w);
}

/* Every truncation and every changed byte of a manifest is noticed. */
static void test_manifest(void **state)
{
    (void)state;
    struct manifest m = {.gateway = "plant", .created_ns = 1}, back;
    struct manifest_file files[] = {{"0000000000000001-0000000000000002.0.col", 5, 7},
                                    {"0000000000000003.seg", UINT64_C(1) << 60, UINT32_MAX},
                                    {"ids.txt", 0, 0},
                                    {"import-0000000000000001.0.col", 1, 2}};
    char *text;
    size_t size;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        assert_int_equal(manifest_add(&m, files + i), 0);
    }
    assert_int_equal(manifest_encode(&m, &text, &size), 0);
    assert_int_equal(manifest_decode(&back, text, size), 0);
    assert_string_equal(back.gateway, "plant");
    assert_int_equal(back.count, m.count);
    for (size_t i = 0; i < m.count; i++) {
        char stored[STORED_NAME_SIZE];
        struct manifest_file parsed;
        assert_string_equal(back.files[i].name, files[i].name);
        assert_true(back.files[i].size == files[i].size && back.files[i].crc == files[i].crc);
        manifest_stored_name(files + i, stored);
        assert_true(manifest_stored_parse(stored, &parsed));
        assert_string_equal(parsed.name, files[i].name);
        assert_int_equal(parsed.crc, files[i].crc);
    }
    manifest_fini(&back);
    for (size_t i = 0; i < size; i++) {
        assert_true(manifest_decode(&back, text, i) < 0);
        text[i] = (char)(text[i] ^ 1);
        assert_true(manifest_decode(&back, text, size) < 0);
        text[i] = (char)(text[i] ^ 1);
    }
    free(text);
    manifest_fini(&m);
    const char *const strangers[] = {"../ids.txt.00000000",
                                     "ids.txt",
                                     "ids.txt.0000000g",
                                     "x.00000000",
                                     "0000000000000003.seg.damaged.00000000",
                                     ""};
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        struct manifest_file parsed;
        assert_false(manifest_stored_parse(strangers[i], &parsed));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_what_is_there_is_kept),
        cmocka_unit_test(test_every_step_fails),
        cmocka_unit_test(test_damage_in_the_store),
        cmocka_unit_test(test_the_whole_one_is_kept),
        cmocka_unit_test(test_another_gateways_backup),
        cmocka_unit_test(test_manifest),
        cmocka_unit_test(test_the_sealer_works_meanwhile),
        cmocka_unit_test(test_storm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
