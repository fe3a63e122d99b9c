/* SPDX-License-Identifier: Apache-2.0 */
#include "history/test_folder.h"
#include "history/verify.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct told {
    uint64_t count;
    struct verify_finding last;
    char file[SNAPSHOT_NAME_SIZE];
};

static void found(void *context, const struct verify_finding *finding)
{
    struct told *t = context;
    t->count++;
    t->last = *finding;
    assert_true(strlen(finding->file) < sizeof t->file && strlen(finding->reason) > 0);
    strcpy(t->file, finding->file);
}

static struct told look(const struct folder *f, struct verify_sum *sum)
{
    struct told t = {0};
    struct verify v = {.disk = f->disk, .found = found, .context = &t};
    struct snapshot s;
    assert_int_equal(verify_init(&v), 0);
    assert_int_equal(snapshot_take(&s, f->disk, f->dir), 0);
    assert_int_equal(verify_all(&v, &s), 0);
    assert_int_equal(v.sum.findings, t.count);
    *sum = v.sum;
    snapshot_free(&s);
    verify_fini(&v);
    return t;
}

static uint64_t flip(const struct folder *f, const char *name, uint64_t offset, uint8_t bits)
{
    uint8_t byte;
    int fd = f->disk->open(f->disk->context, f->dir, name, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(disk_read_all(f->disk, fd, &byte, 1, offset), 0);
    byte ^= bits;
    assert_int_equal(disk_write_all(f->disk, fd, &byte, 1, offset), 0);
    int64_t size = f->disk->size(f->disk->context, fd);
    f->disk->close(f->disk->context, fd);
    return (uint64_t)size;
}

/* Whatever was sealed and merged: nothing is wrong, and every sample is counted. */
static void test_sound(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct folder f;
        struct verify_sum sum;
        folder_init(&f, seed);
        for (int i = 0; i < 20; i++) {
            uint32_t what = folder_random(&f, 4);
            if (what < 2) {
                folder_segment(&f, folder_random(&f, 300));
            } else if (what == 2) {
                folder_seal(&f);
            } else {
                folder_merge(&f);
            }
            struct told t = look(&f, &sum);
            assert_int_equal(t.count, 0);
            assert_int_equal(sum.samples, f.count);
        }
        folder_fini(&f);
    }
}

/* Every byte of a sealed file that is changed is noticed, and said to be in that file. */
static void test_every_byte_of_a_sealed_file(void **state)
{
    (void)state;
    struct folder f;
    struct told t = {0};
    struct verify v = {.disk = &disk_files, .found = found, .context = &t};
    folder_init(&f, 3);
    folder_segment(&f, 12);
    assert_true(folder_seal(&f));
    const struct history_file *file = f.history.shelf->files[0];
    assert_int_equal(verify_init(&v), 0);
    assert_int_equal(verify_sealed(&v, file->name, file->sealed.fd), 0);
    assert_int_equal(t.count, 0);
    for (uint64_t at = 0; at < file->sealed.header.size; at++) {
        uint64_t before = t.count;
        flip(&f, file->name, at, (uint8_t)(1u << at % 8));
        assert_int_equal(verify_sealed(&v, file->name, file->sealed.fd), 0);
        assert_true(t.count > before);
        assert_string_equal(t.file, file->name);
        assert_true(t.last.offset <= at);
        flip(&f, file->name, at, (uint8_t)(1u << at % 8));
    }
    for (uint64_t size = 0; size < file->sealed.header.size; size++) {
        uint64_t before = t.count;
        int fd = f.disk->open(f.disk->context, f.dir, file->name, O_RDWR);
        uint8_t *bytes = malloc(file->sealed.header.size);
        assert_int_equal(disk_read_all(f.disk, fd, bytes, file->sealed.header.size, 0), 0);
        assert_int_equal(f.disk->truncate(f.disk->context, fd, size), 0);
        assert_int_equal(verify_sealed(&v, file->name, fd), 0);
        assert_true(t.count > before);
        assert_int_equal(disk_write_all(f.disk, fd, bytes, file->sealed.header.size, 0), 0);
        free(bytes);
        f.disk->close(f.disk->context, fd);
    }
    verify_fini(&v);
    folder_fini(&f);
}

/* What has the right checksum and is wrong even so: a summary that its samples don't have, an index with something else in the
 * room that it left free. */
static void test_index_against_data(void **state)
{
    (void)state;
    struct folder f;
    struct told t = {0};
    struct verify v = {.disk = &disk_files, .found = found, .context = &t};
    struct sealed_header about = {.first_segment = 9, .last_segment = 9};
    struct block_scratch *scratch;
    folder_init(&f, 6);
    folder_segment(&f, 700);
    assert_true(folder_seal(&f));
    const struct sealed *from = &f.history.shelf->files[0]->sealed;
    assert_int_equal(block_scratch_new(&scratch), 0);
    assert_int_equal(verify_init(&v), 0);
    for (int i = 0; i < 5; i++) {
        struct sealed_walk walk = {0};
        struct sealed_column column;
        const struct block_entry *entry;
        const uint8_t *bytes;
        struct sealed_writer *w;
        struct sealed s;
        assert_int_equal(sealed_find(from, 1, &column), 0);
        assert_int_equal(sealed_walk_open(&walk, from, scratch, &column, INT64_MIN), 0);
        assert_int_equal(sealed_walk_next(&walk, &entry), 1);
        struct block_entry e = *entry;
        e.summary.sum += i == 1;
        e.summary.max_ns += i == 2;
        e.summary.last_ns += i == 3;
        assert_int_equal(sealed_walk_bytes(&walk, &e, &bytes), 0);
        assert_int_equal(sealed_create(&w, f.disk, f.dir, &about, 4), 0);
        sealed_begin(w, 1, VALUE_FLOAT64);
        assert_true(sealed_add_block(w, &e, bytes));
        sealed_end(w);
        assert_int_equal(sealed_finish(w), 0);
        assert_int_equal(sealed_open(&s, f.disk, f.dir, "0000000000000009-0000000000000009.0.col"),
                         0);
        if (i == 4) {
            flip(&f, "0000000000000009-0000000000000009.0.col", s.header.notes_offset - 1, 1);
        }
        t.count = 0;
        assert_int_equal(verify_sealed(&v, "0000000000000009-0000000000000009.0.col", s.fd), 0);
        assert_int_equal(t.count, i > 0);
        sealed_close(&s);
        sealed_walk_fini(&walk);
    }
    verify_fini(&v);
    block_scratch_free(scratch);
    folder_fini(&f);
}

/* The same of a raw segment that another one follows; the newest may end in a write that never was. */
static void test_every_byte_of_a_raw_segment(void **state)
{
    (void)state;
    struct folder f;
    struct verify_sum sum;
    char first[SEGMENT_NAME_SIZE], second[SEGMENT_NAME_SIZE];
    folder_init(&f, 4);
    folder_segment(&f, 2);
    folder_segment(&f, 2);
    segment_name(1, first);
    segment_name(2, second);
    uint64_t size = flip(&f, first, 0, 0);
    for (uint64_t at = 0; at < size; at++) {
        flip(&f, first, at, 0x10);
        struct told t = look(&f, &sum);
        assert_true(t.count > 0);
        assert_string_equal(t.file, first);
        flip(&f, first, at, 0x10);
    }
    flip(&f, second, flip(&f, second, 0, 0) - 1, 1);
    struct told t = look(&f, &sum);
    assert_int_equal(t.count, 0);
    assert_true(sum.unfinished > 0);
    folder_fini(&f);
}

/* What lies behind the byte at which the next segment begins was cut off and came back: it is neither damage nor counted. */
static void test_what_was_cut_off(void **state)
{
    (void)state;
    struct folder f;
    struct verify_sum sum;
    uint8_t rest[1000];
    struct segment_header h;
    folder_init(&f, 8);
    folder_segment(&f, 5);
    folder_segment(&f, 5);
    int first = f.disk->open(f.disk->context, f.dir, "0000000000000001.seg", O_RDWR);
    int second = f.disk->open(f.disk->context, f.dir, "0000000000000002.seg", O_RDWR);
    uint64_t end = (uint64_t)f.disk->size(f.disk->context, first);
    assert_int_equal(disk_read_all(f.disk, second, rest, sizeof rest, 400), 0); /* also a frame */
    assert_int_equal(disk_write_all(f.disk, first, rest, sizeof rest, end), 0);
    assert_true(look(&f, &sum).count > 0);
    assert_int_equal(disk_read_all(f.disk, second, &h, sizeof h, 0), 0);
    h.before = 1;
    h.before_end = end;
    segment_seal(&h);
    assert_int_equal(disk_write_all(f.disk, second, &h, sizeof h, 0), 0);
    assert_int_equal(look(&f, &sum).count, 0);
    assert_int_equal(sum.samples, f.count);
    f.disk->close(f.disk->context, first);
    f.disk->close(f.disk->context, second);
    folder_fini(&f);
}

/* A file that somebody took away leaves a hole; one that was set aside says so itself. */
static void test_missing(void **state)
{
    (void)state;
    struct folder f;
    struct verify_sum sum;
    char name[SEALED_NAME_SIZE], aside[SNAPSHOT_NAME_SIZE];
    folder_init(&f, 5);
    for (int i = 0; i < 3; i++) {
        folder_segment(&f, 20);
        assert_true(folder_seal(&f));
    }
    strcpy(name, f.history.shelf->files[1]->name);
    snprintf(aside, sizeof aside, "%s.damaged", name);
    assert_int_equal(f.disk->rename(f.disk->context, f.dir, name, aside), 0);
    struct told t = look(&f, &sum);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.last.kind, VERIFY_SET_ASIDE);
    assert_string_equal(t.file, aside);
    assert_int_equal(f.disk->remove(f.disk->context, f.dir, aside), 0);
    t = look(&f, &sum);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.last.kind, VERIFY_MISSING);
    assert_string_equal(t.file, f.history.shelf->files[2]->name);
    folder_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),
        cmocka_unit_test(test_every_byte_of_a_sealed_file),
        cmocka_unit_test(test_every_byte_of_a_raw_segment),
        cmocka_unit_test(test_index_against_data),
        cmocka_unit_test(test_what_was_cut_off),
        cmocka_unit_test(test_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
