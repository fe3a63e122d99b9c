/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "history/test_folder.h"
#include "sealer/core.h"
#include "tag/plan_build.h"

/* A disk that stands still for good at the n-th change, as when the process is killed. */
static struct {
    struct disk disk;
    long left;
    bool dead;
} mortal;

static bool dies(void)
{
    mortal.dead |= mortal.left-- <= 0;
    return mortal.dead;
}

static int64_t m_write(void *c, int fd, const void *data, size_t size, uint64_t offset)
{
    return dies() ? ERR_IO : disk_files.write(c, fd, data, size, offset);
}
static int m_open(void *c, int dir, const char *name, int flags)
{
    return flags && dies() ? ERR_IO : disk_files.open(c, dir, name, flags);
}
static int m_flush(void *c, int fd)
{
    return dies() ? ERR_IO : disk_files.flush(c, fd);
}
static int m_rename(void *c, int dir, const char *from, const char *to)
{
    return dies() ? ERR_IO : disk_files.rename(c, dir, from, to);
}
static int m_remove(void *c, int dir, const char *name)
{
    return dies() ? ERR_IO : disk_files.remove(c, dir, name);
}

static void mortal_disk(long steps)
{
    mortal.disk = disk_files;
    mortal.disk.write = m_write;
    mortal.disk.open = m_open;
    mortal.disk.flush = m_flush;
    mortal.disk.rename = m_rename;
    mortal.disk.remove = m_remove;
    mortal.left = steps;
    mortal.dead = false;
}

/* All segments but the last one are closed. */
static struct sealer sealer_of(struct folder *f, const struct disk *disk)
{
    struct sealer s = {.disk = disk, .dir = f->dir, .merge_limit = UINT64_MAX};
    s.journal = (struct journal_position){.epoch = 1, .durable_segment = f->next_segment - 1};
    assert_int_equal(sealer_open(&s), 0);
    return s;
}

static int work(struct sealer *s, const struct folder *f)
{
    int done;
    while ((done = sealer_step(s, f->now_ns)) > 0) {
    }
    return done;
}

static void refresh(struct folder *f)
{
    assert_int_equal(history_refresh(&f->history, 0), 0);
}

static void everything_is_sealed_but_what_recovery_needs(void **state)
{
    struct folder f;
    _Atomic uint64_t needed = 0;
    (void)state;
    folder_init(&f, 3);
    for (int i = 0; i < 20; i++) {
        folder_segment(&f, 50);
    }
    struct sealer s = sealer_of(&f, &disk_files);
    s.needed = &needed;
    assert_int_equal(work(&s, &f), 0);
    refresh(&f);
    assert_int_equal(f.history.shelf->raw_count, 1);
    assert_int_equal(f.history.shelf->covered_count, 19); /* nobody knows yet what feeds need */
    assert_int_equal(f.history.shelf->file_count, 2 + 3); /* 8, 8, and three single ones */
    folder_check(&f);
    needed = 400; /* a feed is somewhere in the second segment */
    assert_int_equal(work(&s, &f), 0);
    refresh(&f);
    assert_int_equal(f.history.shelf->covered_count, 18);
    needed = UINT64_MAX;
    assert_int_equal(work(&s, &f), 0);
    refresh(&f);
    assert_int_equal(f.history.shelf->covered_count, 1); /* the newest closed one */
    folder_check(&f);
    sealer_close(&s);
    folder_fini(&f);
}

/* Killed at any step, and started again: nothing is lost, nothing is there twice, nothing is left lying about. */
static void it_may_be_killed_anywhere(void **state)
{
    (void)state;
    bool survived = false;
    for (long steps = 0; !survived; steps += 1 + steps / 60) {
        struct folder f;
        folder_init(&f, 9);
        for (int i = 0; i < 10; i++) {
            folder_segment(&f, 20);
        }
        mortal_disk(steps);
        struct sealer s = sealer_of(&f, &mortal.disk);
        survived = work(&s, &f) == 0;
        sealer_close(&s);
        refresh(&f);
        folder_check(&f);
        s = sealer_of(&f, &disk_files);
        assert_int_equal(work(&s, &f), 0);
        sealer_close(&s);
        refresh(&f);
        folder_check(&f);
        assert_int_equal(f.history.shelf->file_count, 2);
        struct folder_sum sum;
        assert_int_equal(folder_sum_up(&disk_files, f.dir, &sum), 0);
        assert_int_equal(sum.sealed, 2);
        folder_fini(&f);
        assert_true(steps < 100000);
    }
}

static void *plan_of(struct plan *plan, const struct plan_header *settings)
{
    struct plan_build *b = plan_build_new();
    void *image;
    size_t size;
    struct plan_header *h = plan_build_header(b);
    h->journal_limit = settings->journal_limit;
    h->when_full = settings->when_full ? settings->when_full : FULL_DROP_OLDEST;
    h->segment_size = 1 << 16;
    h->retention_count = settings->retention_count;
    memcpy(h->retentions, settings->retentions, sizeof h->retentions);
    h->state_dir = plan_build_text(b, "/tmp");
    plan_build_zone(b, &(struct plan_zone){.name = plan_build_text(b, "plant")});
    for (uint32_t id = 1; id <= FOLDER_TAGS; id++) {
        char path[8] = {'t', (char)('0' + id)};
        plan_build_tag(b, &(struct plan_tag){
                              .id = id,
                              .path = plan_build_text(b, path),
                              .device = PLAN_NONE,
                              .box = PLAN_NONE,
                              .type = (uint8_t)folder_type(id),
                              .raw_type = (uint8_t)folder_type(id),
                              .max_length = FOLDER_TEXT_MAX,
                              .retention = (uint8_t)(id <= settings->retention_count ? id : 0)});
    }
    assert_int_equal(plan_build_finish(b, &image, &size), 0);
    assert_int_equal(plan_open(plan, image, size), 0);
    plan_build_free(b);
    return image;
}

/* Columns of a tag in all files, and how many of them are thinned. */
static uint32_t columns(const struct folder *f, uint32_t id, uint32_t *thinned)
{
    uint32_t count = 0;
    *thinned = 0;
    for (uint32_t i = 0; i < f->history.shelf->file_count; i++) {
        struct sealed_column c;
        if (!sealed_find(&f->history.shelf->files[i]->sealed, id, &c)) {
            count++;
            *thinned += c.thinned;
        }
    }
    return count;
}

static void old_samples_are_thinned_out_and_dropped(void **state)
{
    struct folder f;
    struct plan plan;
    struct plan_header h = {
        .retention_count = 2,
        .retentions = {{.raw_s = 3600, .summaries_s = 86400}, {.raw_s = 86400}}};
    uint32_t thinned;
    (void)state;
    folder_init(&f, 4);
    void *image = plan_of(&plan, &h);
    for (int i = 0; i < 4; i++) {
        folder_segment(&f, 30);
    }
    struct sealer s = sealer_of(&f, &disk_files);
    s.plan = &plan;
    assert_int_equal(work(&s, &f), 0);
    refresh(&f);
    assert_int_equal(columns(&f, 1, &thinned), 3);
    assert_int_equal(thinned, 0);
    folder_check(&f);
    f.now_ns += INT64_C(2) * 3600 * NS_PER_S;
    assert_int_equal(work(&s, &f), 0);
    refresh(&f);
    assert_int_equal(columns(&f, 1, &thinned), 3);
    assert_int_equal(thinned, 3);
    assert_int_equal(columns(&f, 2, &thinned), 3);
    assert_int_equal(thinned, 0);
    f.now_ns += INT64_C(90000) * NS_PER_S;
    assert_int_equal(work(&s, &f), 0);
    refresh(&f);
    assert_int_equal(columns(&f, 1, &thinned), 0);
    assert_int_equal(columns(&f, 2, &thinned), 0);
    assert_int_equal(columns(&f, 3, &thinned), 3); /* of no class */
    sealer_close(&s);
    free(image);
    folder_fini(&f);
}

static void the_limit_is_kept(void **state)
{
    static const uint32_t policies[] = {FULL_DROP_OLDEST, FULL_THIN, FULL_STOP};
    (void)state;
    for (size_t p = 0; p < 3; p++) {
        struct folder f;
        struct plan plan;
        struct folder_sum before, after;
        struct plan_header h = {.when_full = policies[p], .journal_limit = 100000};
        folder_init(&f, 4);
        void *image = plan_of(&plan, &h);
        for (int i = 0; i < 12; i++) {
            folder_segment(&f, 300);
        }
        struct sealer s = sealer_of(&f, &disk_files);
        s.merge_limit = 0;
        assert_int_equal(work(&s, &f), 0);
        assert_int_equal(folder_sum_up(&disk_files, f.dir, &before), 0);
        s.plan = &plan;
        assert_int_equal(work(&s, &f), 0);
        assert_int_equal(folder_sum_up(&disk_files, f.dir, &after), 0);
        refresh(&f);
        if (policies[p] == FULL_STOP) {
            assert_int_equal(after.bytes, before.bytes);
        } else {
            assert_true(after.bytes < before.bytes);
        }
        if (policies[p] == FULL_DROP_OLDEST) {
            assert_true(after.sealed < before.sealed);
        }
        sealer_close(&s);
        free(image);
        folder_fini(&f);
    }
}

/* Promise J4: what can't be read is set aside and named; the rest is sealed, merged and read as ever. */
static void damage_is_set_aside(void **state)
{
    struct folder f;
    char name[SEALED_NAME_SIZE];
    (void)state;
    folder_init(&f, 6);
    for (int i = 0; i < 5; i++) {
        folder_segment(&f, 30);
    }
    struct sealer s = sealer_of(&f, &disk_files);
    assert_int_equal(work(&s, &f), 0);
    refresh(&f);
    strcpy(name, f.history.shelf->files[1]->name);
    int fd = disk_files.open(NULL, f.dir, name, 2);
    assert_int_equal(disk_write_all(&disk_files, fd, "XXXX", 4, 20), 0);
    disk_files.close(NULL, fd);
    sealer_close(&s);
    s = sealer_of(&f, &disk_files);
    assert_int_equal(s.history.shelf->damaged, 1);
    assert_int_equal(work(&s, &f), 0);
    struct folder_sum sum;
    assert_int_equal(folder_sum_up(&disk_files, f.dir, &sum), 0);
    assert_int_equal(sum.set_aside, 1);
    refresh(&f);
    assert_int_equal(f.history.shelf->damaged, 0);
    assert_int_equal(f.history.shelf->file_count, 3);
    sealer_close(&s);
    folder_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_sealed_but_what_recovery_needs),
        cmocka_unit_test(it_may_be_killed_anywhere),
        cmocka_unit_test(old_samples_are_thinned_out_and_dropped),
        cmocka_unit_test(the_limit_is_kept),
        cmocka_unit_test(damage_is_set_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
