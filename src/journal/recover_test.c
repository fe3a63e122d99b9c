/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "journal/test_plant.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t journaled(const struct plant *p)
{
    uint64_t n = 0;
    for (uint32_t id = 1; id <= PLANT_TAGS; id++) {
        const struct journal_account *a = journal_tag_account(p->journal, id);
        assert_int_equal(a->produced, a->journaled + a->suppressed + a->rejected + a->gaps);
        n += a->journaled;
    }
    return n;
}

/* Reads all that is written; every sample must follow the one before. Returns how many there were. */
static uint64_t read_all(struct plant *p, uint64_t first_value)
{
    struct follow *f;
    struct follow_frame frame;
    uint64_t n = 0;
    int got;
    assert_int_equal(follow_open(&f, p->dir_fd, &p->marks, 0), 0);
    while ((got = follow_next(f, &frame)) > 0) {
        assert_int_equal(frame.lost_before, 0);
        for (size_t i = 0; i < frame.slot_count; i += slot_record_length(frame.slots + i)) {
            if (!slot_is_control(frame.slots + i)) {
                assert_int_equal(frame.slots[i].value.u64, first_value + n);
                n++;
            }
        }
    }
    assert_int_equal(got, 0);
    follow_close(f);
    return n;
}

static void what_is_put_is_there_after_a_restart(void **state)
{
    (void)state;
    static const enum journal_sync modes[] = {SYNC_PERIOD, SYNC_ALWAYS, SYNC_OS};
    for (size_t m = 0; m < 3; m++) {
        struct plant p;
        plant_init(&p, modes[m], 64u << 20, 0);
        plant_open(&p);
        assert_int_equal(p.recovered.last_ns, 0);
        uint64_t n = 0;
        for (int i = 0; i < 50; i++, n += 100) {
            assert_true(plant_put(&p, 100, n));
        }
        plant_store(&p, "cursor", "hello", 5);
        plant_settle(&p);
        assert_int_equal(read_all(&p, 0), n);
        plant_close(&p);
        plant_open(&p);
        assert_int_equal(p.recovered.clean, 1);
        assert_string_equal(p.recovered.text, "");
        assert_int_equal(p.marks.epoch, 2);
        assert_int_equal(journal_next_sequence(p.journal), n);
        assert_int_equal(journaled(&p), n);
        uint64_t epoch, position;
        assert_true(journal_ring_position(p.journal, 0, &epoch, &position));
        assert_int_equal(epoch, 1);
        assert_int_equal(position, n);
        assert_int_equal(journal_durable_ring(p.journal, 0),
                         0); /* it may be of another ring by now */
        char value[STORE_VALUE_MAX];
        assert_int_equal(journal_stored(p.journal, 1, "cursor", value, sizeof value), 5);
        assert_memory_equal(value, "hello", 5);
        assert_int_equal(journal_stored(p.journal, 0, "cursor", value, sizeof value),
                         ERR_NOT_FOUND);
        assert_int_equal(read_all(&p, 0), n);
        plant_fini(&p);
    }
}

static void segments_roll_and_open_with_the_whole_state(void **state)
{
    (void)state;
    struct plant p;
    char name[64];
    plant_init(&p, SYNC_PERIOD, 64u << 10, 0);
    plant_open(&p);
    plant_store(&p, "k", "v1", 2);
    plant_store(&p, "k", "v2", 2);
    uint64_t n = 0;
    for (int i = 0; i < 200; i++, n += 100) {
        while (!plant_put(&p, 100, n)) {
            plant_settle(&p);
        }
    }
    plant_settle(&p);
    assert_true(plant_files(&p, ".seg", name) > 5);
    assert_int_equal(read_all(&p, 0), n);
    plant_close(&p);
    plant_open(&p);
    char value[8];
    assert_int_equal(journal_stored(p.journal, 1, "k", value, sizeof value), 2);
    assert_memory_equal(value, "v2", 2);
    assert_int_equal(journaled(&p), n);
    assert_true(p.recovered.frames < 100); /* only the last segment was read */
    plant_fini(&p);
}

/* With many tags the opening alone is longer than a segment's size: that must not roll to the next one at once. */
static void a_long_opening_leaves_room_for_data(void **state)
{
    (void)state;
    struct plant p;
    char name[64];
    uint8_t value[STORE_VALUE_MAX] = {1};
    plant_init(&p, SYNC_PERIOD, 4u << 10, 0);
    plant_open(&p);
    for (char key[] = "a"; *key <= 'd'; ++*key) {
        plant_store(&p, key, value, sizeof value);
    }
    plant_settle(&p);
    for (uint64_t n = 0; n < 100; n += 10) {
        assert_true(plant_put(&p, 10, n));
        plant_settle(&p);
    }
    assert_true(plant_files(&p, ".seg", name) <= 4); /* 8 KiB of values, 3 KiB of samples */
    assert_int_equal(read_all(&p, 0), 100);
    plant_fini(&p);
}

/* A frame that the disk got only in part: cut, reported, and the journal goes on. */
static void a_torn_tail_is_cut(void **state)
{
    (void)state;
    struct plant p;
    char name[64];
    plant_init(&p, SYNC_PERIOD, 64u << 20, 0);
    plant_open(&p);
    assert_true(plant_put(&p, 100, 0));
    plant_settle(&p);
    plant_close(&p);
    assert_int_equal(plant_files(&p, ".seg", name), 1);
    int fd = openat(p.dir_fd, name, O_RDWR);
    struct stat info;
    assert_int_equal(fstat(fd, &info), 0);
    /* Without its closing frame and the last ten bytes of the frame of data. */
    assert_int_equal(ftruncate(fd, info.st_size - 96 - 10), 0);
    close(fd);
    plant_open(&p);
    assert_int_equal(p.recovered.clean, 0);
    assert_int_equal(p.recovered.cut_bytes, 96 + 2400 - 10);
    assert_non_null(strstr(p.recovered.text, "cut off"));
    assert_int_equal(journaled(&p), 0);
    p.position = 0;
    assert_true(plant_put(&p, 100, 0));
    plant_settle(&p);
    assert_int_equal(read_all(&p, 0), 100);
    plant_fini(&p);
}

static void a_segment_without_a_header_is_set_aside(void **state)
{
    (void)state;
    struct plant p;
    char name[64];
    plant_init(&p, SYNC_PERIOD, 64u << 20, 0);
    for (uint64_t i = 0; i < 2; i++) { /* two segments */
        plant_open(&p);
        assert_true(plant_put(&p, 100, i * 100));
        plant_settle(&p);
        plant_close(&p);
    }
    plant_files(&p, ".seg", name);
    int fd = openat(p.dir_fd, name, O_RDWR);
    assert_int_equal(pwrite(fd, "?", 1, 40), 1);
    close(fd);
    plant_open(&p);
    assert_int_equal(p.recovered.set_aside, 1);
    assert_int_equal(plant_files(&p, ".damaged", name), 1);
    assert_int_equal(journaled(&p), 100); /* what the older one adds up to */
    assert_true(plant_put(&p, 10, 100));
    plant_settle(&p);
    assert_int_equal(read_all(&p, 0), 110);
    plant_fini(&p);
}

static void damage_in_the_middle_is_stepped_over(void **state)
{
    (void)state;
    struct plant p;
    char name[64];
    plant_init(&p, SYNC_PERIOD, 64u << 20, 0);
    plant_open(&p);
    for (uint64_t i = 0; i < 3; i++) {
        assert_true(plant_put(&p, 100, i * 100));
    }
    plant_settle(&p);
    plant_close(&p);
    plant_files(&p, ".seg", name);
    int fd = openat(p.dir_fd, name, O_RDWR);
    struct stat info;
    fstat(fd, &info);
    assert_int_equal(pwrite(fd, "?", 1, info.st_size - 96 - 2496 - 1000), 1);
    close(fd);
    plant_open(&p);
    assert_int_equal(p.recovered.cut_bytes, 0);
    assert_non_null(strstr(p.recovered.text, "stepped over"));
    assert_int_equal(p.recovered.damaged_bytes, 96 + 2400);
    assert_int_equal(p.recovered.lost, 100);
    assert_int_equal(p.recovered.lost_from, 100);
    assert_int_equal(p.recovered.lost_to, 200);
    assert_int_equal(p.recovered.lost_from_ns, 100);
    assert_int_equal(p.recovered.lost_to_ns, 300);
    assert_int_equal(journal_next_sequence(p.journal), 300);
    struct follow *f;
    struct follow_frame frame;
    assert_int_equal(follow_open(&f, p.dir_fd, &p.marks, 0), 0);
    assert_int_equal(follow_next(f, &frame), 1);
    assert_int_equal(frame.first_sequence, 0);
    assert_int_equal(follow_next(f, &frame), 1);
    assert_int_equal(frame.first_sequence, 200);
    assert_int_equal(frame.lost_before, 100);
    assert_int_equal(follow_next(f, &frame), 0);
    follow_close(f);
    plant_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_there_after_a_restart),
        cmocka_unit_test(segments_roll_and_open_with_the_whole_state),
        cmocka_unit_test(a_long_opening_leaves_room_for_data),
        cmocka_unit_test(a_torn_tail_is_cut),
        cmocka_unit_test(a_segment_without_a_header_is_set_aside),
        cmocka_unit_test(damage_in_the_middle_is_stepped_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
