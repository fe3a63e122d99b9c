/* SPDX-License-Identifier: Apache-2.0 */
#include "history/test_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tag/record.h"

/* Whatever is sealed and merged in whatever order: the answers stay the same. */
static void test_any_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct folder f;
        folder_init(&f, seed);
        for (int i = 0; i < 40; i++) {
            switch (folder_random(&f, 4)) {
            case 0:
            case 1:
                folder_segment(&f, folder_random(&f, 300));
                break;
            case 2:
                folder_seal(&f);
                break;
            default:
                folder_merge(&f);
            }
            if (i % 4 == 3) {
                folder_check(&f);
            }
        }
        folder_fini(&f);
    }
}

static uint64_t count_gaps(const struct folder *f, uint32_t *tags)
{
    uint64_t gaps = 0;
    const struct shelf *s = f->history.shelf;
    for (uint32_t i = 0; i < s->file_count; i++) {
        struct sealed_list l;
        struct sealed_note note;
        struct frame_tag tag;
        const struct slot *slots;
        const char *texts[4];
        assert_int_equal(sealed_list_notes(&l, &s->files[i]->sealed), 0);
        while (sealed_next_note(&l, &note, &slots) > 0) {
            gaps += record_kind(slots) == RECORD_GAP;
        }
        sealed_list_fini(&l);
        *tags = 0;
        assert_int_equal(sealed_list_tags(&l, &s->files[i]->sealed), 0);
        while (sealed_next_tag(&l, &tag, texts) > 0) {
            (*tags)++;
            assert_int_equal(texts[0][2], '0' + (int)tag.id);
        }
        sealed_list_fini(&l);
    }
    return gaps;
}

static void test_notes_and_catalogue_stay(void **state)
{
    struct folder f;
    uint32_t tags = 0;
    (void)state;
    folder_init(&f, 77);
    for (int i = 0; i < 5; i++) {
        folder_segment(&f, 200);
    }
    while (folder_seal(&f)) {
    }
    assert_true(f.gaps > 10);
    assert_int_equal(count_gaps(&f, &tags), f.gaps);
    while (folder_merge(&f)) {
    }
    assert_int_equal(f.history.shelf->file_count, 1);
    assert_int_equal(count_gaps(&f, &tags), f.gaps);
    assert_int_equal(tags, FOLDER_TAGS);
    assert_int_equal(f.history.shelf->files[0]->sealed.header.samples, f.count);
    folder_fini(&f);
}

/* A segment that is larger than the memory allowed is sealed range of tags by range of tags. */
static enum keep thin_all(void *context, uint32_t tag, int64_t last_ns)
{
    (void)context, (void)tag, (void)last_ns;
    return KEEP_SUMMARIES;
}

/* Late samples lie within what was thinned out: as one column their blocks would not follow each other, and nobody could read it. */
static void test_what_was_thinned_and_late_samples_stay_apart(void **state)
{
    (void)state;
    struct folder f;
    struct sealed_header h;
    folder_init(&f, 3);
    for (int i = 0; i < 2; i++) {
        folder_segment(&f, 200);
        assert_true(folder_seal(&f));
    }
    struct seal seal = {.disk = f.disk, .dir = f.dir, .created_ns = f.now_ns};
    struct shelf *s = shelf_hold(f.history.shelf);
    assert_int_equal(seal_merge(&seal, s->files, 1, thin_all, NULL, &h), 0);
    assert_int_equal(f.disk->remove(f.disk->context, f.dir, s->files[0]->name), 0);
    shelf_release(s);
    assert_int_equal(history_refresh(&f.history, 0), 0);
    s = shelf_hold(f.history.shelf);
    assert_int_equal(s->file_count, 2);
    assert_int_equal(seal_merge(&seal, s->files, 2, NULL, NULL, &h), ERR_UNSUPPORTED);
    assert_int_equal(seal_merge(&seal, s->files + 1, 1, NULL, NULL, &h), 0);
    shelf_release(s);
    folder_fini(&f);
}

static void test_gather_in_ranges(void **state)
{
    struct slot slots[2000];
    size_t seen = 0;
    (void)state;
    for (uint32_t from = 1, rounds = 0; from <= SLOT_ID_MAX; rounds++) {
        struct gather g;
        gather_init(&g, from, SLOT_ID_MAX + 1);
        g.limit = 300;
        for (int frame = 0; frame < 3; frame++) {
            for (uint32_t i = 0; i < 2000; i++) {
                uint32_t id = i % 7 ? 1 + i % 100 : 500;
                slots[i] = (struct slot){.time = (int64_t)i, .value.u64 = i, .tag = id};
            }
            assert_int_equal(gather_take(&g, slots, 2000), 0);
        }
        assert_int_equal(gather_sort(&g), 0);
        for (size_t i = 0; i < g.count; i++) {
            assert_true(g.slots[i].tag >= from && g.slots[i].tag < g.to_id);
            assert_true(
                i == 0 || g.slots[i - 1].tag < g.slots[i].tag ||
                (g.slots[i - 1].tag == g.slots[i].tag && g.slots[i - 1].time <= g.slots[i].time));
        }
        seen += g.count;
        from = g.to_id;
        assert_true(rounds < 1000);
        gather_fini(&g);
    }
    assert_int_equal(seen, 6000);
}

/* Every truncation and every single-byte corruption of a sealed file: an error or the truth, never a crash. */
static void test_damage(void **state)
{
    struct folder f;
    (void)state;
    folder_init(&f, 5);
    folder_segment(&f, 30);
    folder_seal(&f);
    char name[SEALED_NAME_SIZE];
    strcpy(name, f.history.shelf->files[0]->name);
    size_t size = (size_t)f.history.shelf->files[0]->sealed.header.size;
    uint8_t *good = malloc(size);
    int fd = f.disk->open(f.disk->context, f.dir, name, O_RDWR);
    assert_int_equal(disk_read_all(f.disk, fd, good, size, 0), 0);
    for (size_t i = 0; i < size; i++) {
        uint8_t bad = good[i] ^ (uint8_t)(1u << (i % 8));
        assert_int_equal(disk_write_all(f.disk, fd, &bad, 1, i), 0);
        history_close(&f.history);
        assert_int_equal(history_open(&f.history, f.disk, f.dir), 0);
        uint32_t tags;
        count_gaps(&f, &tags);
        uint64_t damage = f.history.shelf->damaged;
        for (uint32_t id = 1; id <= FOLDER_TAGS; id++) {
            struct series *s;
            struct piece piece;
            struct slot edge;
            struct series_options o = {.tag = id,
                                       .type = folder_type(id),
                                       .from_ns = f.now_ns - 10 * NS_PER_S,
                                       .to_ns = f.now_ns,
                                       .parts = BLOCK_ALL};
            assert_int_equal(series_open(&s, &f.history, &o), 0);
            assert_true(series_before(s, &edge, NULL) >= 0 && series_after(s, &edge, NULL) >= 0);
            while (series_next(s, NULL, &piece) > 0) {
            }
            damage += series_damage(s);
            series_close(s);
        }
        (void)damage;
        assert_int_equal(disk_write_all(f.disk, fd, good + i, 1, i), 0);
    }
    for (size_t i = size; i-- > 0;) {
        struct sealed s;
        assert_int_equal(f.disk->truncate(f.disk->context, fd, i), 0);
        assert_true(sealed_open(&s, f.disk, f.dir, name) < 0);
    }
    f.disk->close(f.disk->context, fd);
    free(good);
    folder_fini(&f);
}

static void test_names(void **state)
{
    static const char *const wrong[] = {"",
                                        "1-2.0.col",
                                        "0000000000000001-0000000000000002.col",
                                        "0000000000000002-0000000000000001.0.col",
                                        "0000000000000001-0000000000000002.0.col.part",
                                        "import-1.0.col",
                                        "0000000000000001.seg",
                                        "0000000000000001-0000000000000002.99999999999.col"};
    struct sealed_header h = {.first_segment = 7, .last_segment = 12, .revision = 3};
    char name[SEALED_NAME_SIZE];
    struct sealed_place p;
    (void)state;
    sealed_name(&h, name);
    assert_string_equal(name, "0000000000000007-0000000000000012.3.col");
    assert_true(sealed_name_parse(name, &p));
    assert_true(p.first == 7 && p.last == 12 && p.revision == 3 && !p.imported);
    h.flags = SEALED_IMPORTED;
    sealed_name(&h, name);
    assert_true(sealed_name_parse(name, &p) && p.imported && p.first == 7 && p.last == 7);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(sealed_name_parse(wrong[i], &p));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_notes_and_catalogue_stay),
        cmocka_unit_test(test_what_was_thinned_and_late_samples_stay_apart),
        cmocka_unit_test(test_gather_in_ranges),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
