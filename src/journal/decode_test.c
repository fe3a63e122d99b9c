/* SPDX-License-Identifier: Apache-2.0 */
/* What is read from files: every truncation and every single-byte corruption. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crc32c.h"
#include "journal/cursor.h"
#include "journal/test_plant.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sample_frame {
    struct frame_header h;
    struct slot slots[8];
};

/* A batch record, a number, a text, a gap. */
static size_t make_frame(struct sample_frame *f)
{
    memset(f, 0, sizeof *f);
    struct record_batch batch = {.clock_offset_ns = 5, .clock_uncertainty_ns = -1};
    struct slot *s = f->slots;
    s[0] = (struct slot){.value.u64 = sizeof batch, .tag = record_tag(RECORD_BATCH)};
    memcpy(s + 1, &batch, sizeof batch);
    s[2] = (struct slot){.time = 77, .value.f64 = 1.5, .tag = 3};
    s[3] = (struct slot){.time = 99, .value.u64 = 5, .tag = 4 | SLOT_LONG};
    memcpy(s + 4, "pumps", 5);
    s[5] = (struct slot){.value.u64 = sizeof(struct record_tally), .tag = record_tag(RECORD_TALLY)};
    f->h = (struct frame_header){.kind = FRAME_DATA,
                                 .ring_from = 1,
                                 .ring_to = 6,
                                 .first_sequence = 40,
                                 .sequences = 2,
                                 .slot_count = 7};
    frame_seal(&f->h);
    return f->h.length;
}

static void a_frame_is_sound_only_as_it_was_sealed(void **state)
{
    (void)state;
    struct sample_frame f, copy;
    struct frame_header h;
    size_t size = make_frame(&f);
    assert_int_equal(frame_prove(&f, size, &h), size);
    assert_int_equal(h.min_ns, 77);
    assert_int_equal(h.max_ns, 99);
    for (size_t n = 0; n < size; n++) {
        void *exact = malloc(n + 1);
        memcpy(exact, &f, n);
        assert_true(frame_prove(exact, n, &h) < 0);
        free(exact);
    }
    for (size_t i = 0; i < size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            copy = f;
            ((uint8_t *)&copy)[i] ^= (uint8_t)(1u << bit);
            assert_true(frame_prove(&copy, size, &h) < 0);
        }
    }
}

/* Somebody who computes the CRC anew gains nothing: records are proven, too. */
static void a_forged_checksum_does_not_help(void **state)
{
    (void)state;
    struct sample_frame f, copy;
    struct frame_header h;
    size_t size = make_frame(&f);
    for (size_t i = 8; i < size; i++) {
        for (unsigned v = 0; v < 256; v += 5) {
            copy = f;
            ((uint8_t *)&copy)[i] = (uint8_t)v;
            copy.h.crc = crc32c(0, &copy.h.length, size - 8);
            if (frame_prove(&copy, size, &h) > 0) {
                size_t at = 0;
                while (at < h.slot_count) {
                    at += slot_record_length(copy.slots + at);
                }
                assert_int_equal(at, h.slot_count);
            }
        }
    }
    copy = f;
    copy.slots[3].value.u64 = 2000; /* a text that reaches beyond the frame */
    copy.h.crc = crc32c(0, &copy.h.length, size - 8);
    assert_int_equal(frame_prove(&copy, size, &h), ERR_MALFORMED);
    copy = f;
    copy.slots[2].tag = 0;
    copy.h.crc = crc32c(0, &copy.h.length, size - 8);
    assert_int_equal(frame_prove(&copy, size, &h), ERR_MALFORMED);
}

static void a_segment_header_is_sound_only_as_it_was_sealed(void **state)
{
    (void)state;
    struct segment_header h = {.number = 3, .epoch = 2, .first_sequence = 9}, out, copy;
    segment_seal(&h);
    assert_int_equal(segment_prove(&h, sizeof h, &out), 0);
    for (size_t n = 0; n < sizeof h; n++) {
        assert_int_equal(segment_prove(&h, n, &out), ERR_SHORT);
    }
    for (size_t i = 0; i < sizeof h; i++) {
        copy = h;
        ((uint8_t *)&copy)[i] ^= 0x10;
        assert_true(segment_prove(&copy, sizeof copy, &out) < 0);
    }
    copy = h;
    segment_seal(&copy);
    copy.version = 2;
    assert_int_equal(segment_prove(&copy, sizeof copy, &out), ERR_CHECKSUM);
    uint64_t number;
    bool damaged;
    assert_true(segment_number("0000000000000012.seg", &number, &damaged));
    assert_true(number == 12 && !damaged);
    assert_true(segment_number("0000000000000013.seg.damaged", &number, &damaged) && damaged);
    assert_false(segment_number("000000000000001.seg", &number, &damaged));
    assert_false(segment_number("0000000000000012.segx", &number, &damaged));
}

/* A whole journal file, each byte changed and cut at each length: the start works, and what is read is true. */
static void any_damage_to_the_file_is_survived(void **state)
{
    (void)state;
    struct plant p;
    char name[64];
    plant_init(&p, SYNC_OS, 64u << 20, 0);
    plant_open(&p);
    assert_true(plant_put(&p, 5, 0));
    assert_true(plant_put(&p, 5, 5));
    plant_store(&p, "k", "v", 1);
    plant_settle(&p);
    plant_close(&p);
    plant_files(&p, ".seg", name);
    uint8_t good[4096], bytes[4096];
    int fd = openat(p.dir_fd, name, O_RDONLY);
    ssize_t size = read(fd, good, sizeof good);
    close(fd);
    assert_true(size > 500 && size < (ssize_t)sizeof good);
    for (ssize_t i = 0; i < 2 * size; i++) {
        size_t length = (size_t)(i < size ? size : i - size);
        memcpy(bytes, good, sizeof bytes);
        if (i < size) {
            bytes[i] ^= 0x41;
        }
        char other[64];
        while (plant_files(&p, "", other) > 2 && strcmp(other, "..") > 0) {
            unlinkat(p.dir_fd, other, 0);
        }
        fd = openat(p.dir_fd, name, O_RDWR | O_CREAT | O_TRUNC, 0600);
        assert_int_equal(write(fd, bytes, length), length);
        close(fd);
        plant_open(&p);
        if (i < size) {
            assert_true(p.recovered.text[0]); /* never in silence */
        } else {
            assert_int_equal(p.recovered.clean, 0);
        }
        uint64_t journaled = 0;
        for (uint32_t id = 1; id <= PLANT_TAGS; id++) {
            journaled += journal_tag_account(p.journal, id)->journaled;
        }
        assert_true(journaled <= 10);
        struct follow *f;
        struct follow_frame frame;
        assert_int_equal(follow_open(&f, p.dir_fd, &p.marks, 0), 0);
        while (follow_next(f, &frame) > 0) {
            for (size_t k = 0; k < frame.slot_count; k += slot_record_length(frame.slots + k)) {
                if (!slot_is_control(frame.slots + k)) {
                    assert_true(frame.slots[k].value.u64 < 10);
                }
            }
        }
        follow_close(f);
        plant_close(&p);
    }
    plant_fini(&p);
}

static void cursors_keep_their_ranges(void **state)
{
    (void)state;
    struct cursor c = {0};
    struct cursor_range hole;
    assert_int_equal(cursor_add(&c, 10, 20), 0);
    assert_int_equal(cursor_add(&c, 0, 5), 0);
    assert_int_equal(cursor_add(&c, 30, 40), 0);
    assert_int_equal(c.count, 3);
    assert_true(cursor_has(&c, 0) && cursor_has(&c, 19) && !cursor_has(&c, 20));
    assert_true(cursor_next_hole(&c, 0, 100, &hole));
    assert_true(hole.from == 5 && hole.to == 10);
    assert_true(cursor_next_hole(&c, 12, 100, &hole));
    assert_true(hole.from == 20 && hole.to == 30);
    assert_true(cursor_next_hole(&c, 35, 100, &hole));
    assert_true(hole.from == 40 && hole.to == 100);
    assert_false(cursor_next_hole(&c, 31, 40, &hole));
    assert_int_equal(cursor_count(&c), 25);
    assert_int_equal(cursor_add(&c, 5, 10), 0); /* touches both */
    assert_int_equal(c.count, 2);
    assert_int_equal(cursor_add(&c, 3, 35), 0);
    assert_int_equal(c.count, 1);
    cursor_clip(&c, 15);
    assert_true(c.count == 1 && c.ranges[0].to == 15);
    cursor_clip(&c, 0);
    assert_int_equal(c.count, 0);
    assert_int_equal(cursor_add(&c, 9, 8), ERR_RANGE);
}

/* Against a plain bitmap, from a fixed seed. */
static void cursors_equal_a_bitmap(void **state)
{
    (void)state;
    uint32_t seed = 12345;
    for (int round = 0; round < 300; round++) {
        struct cursor c = {0};
        bool in[64] = {false};
        for (int i = 0; i < 30; i++) {
            seed = seed * 1103515245 + 12345;
            unsigned from = seed >> 16 & 63, to = from + (seed >> 24 & 7);
            to = to > 64 ? 64 : to;
            assert_int_equal(cursor_add(&c, from, to), 0);
            memset(in + from, 1, to - from);
        }
        uint8_t bytes[CURSOR_BYTES_MAX];
        struct cursor back;
        size_t size = cursor_encode(&c, bytes);
        assert_int_equal(cursor_decode(&back, bytes, size), 0); /* proves the invariants, too */
        uint64_t n = 0, at = 0;
        struct cursor_range hole;
        for (unsigned i = 0; i < 64; i++) {
            assert_int_equal(cursor_has(&back, i), in[i]);
            n += in[i];
        }
        assert_int_equal(cursor_count(&c), n);
        while (cursor_next_hole(&c, at, 64, &hole)) {
            for (uint64_t i = at; i < hole.to; i++) {
                assert_int_equal(in[i], i < hole.from);
            }
            at = hole.to;
        }
        for (; at < 64; at++) {
            assert_true(in[at]);
        }
    }
}

static void a_cursor_is_bounded_and_decoded_with_care(void **state)
{
    (void)state;
    struct cursor c = {0}, out;
    for (uint64_t i = 0; i < CURSOR_RANGES; i++) {
        assert_int_equal(cursor_add(&c, i * 10, i * 10 + 5), 0);
    }
    assert_int_equal(cursor_add(&c, 9000, 9001), ERR_FULL);
    assert_int_equal(cursor_add(&c, 5, 10), 0); /* joining needs no room */
    uint8_t bytes[CURSOR_BYTES_MAX];
    size_t size = cursor_encode(&c, bytes);
    for (size_t n = 0; n < size; n++) {
        assert_true(cursor_decode(&out, bytes, n) < 0);
    }
    for (size_t i = 0; i < size; i++) {
        for (unsigned v = 0; v < 256; v++) {
            uint8_t was = bytes[i];
            bytes[i] = (uint8_t)v;
            if (cursor_decode(&out, bytes, size) == ERR_OK) {
                for (uint32_t k = 0; k < out.count; k++) {
                    assert_true(out.ranges[k].from < out.ranges[k].to);
                    assert_true(!k || out.ranges[k - 1].to < out.ranges[k].from);
                }
            }
            bytes[i] = was;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_is_sound_only_as_it_was_sealed),
        cmocka_unit_test(a_forged_checksum_does_not_help),
        cmocka_unit_test(a_segment_header_is_sound_only_as_it_was_sealed),
        cmocka_unit_test(any_damage_to_the_file_is_survived),
        cmocka_unit_test(cursors_keep_their_ranges),
        cmocka_unit_test(cursors_equal_a_bitmap),
        cmocka_unit_test(a_cursor_is_bounded_and_decoded_with_care),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
