/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tag/plan_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two south boxes with a device and tags each, a north box whose feed has one tag of each, a console that sees all. */
static void build(void **image, size_t *size)
{
    struct plan_build *b = plan_build_new();
    plan_build_header(b)->name = plan_build_text(b, "works");
    plan_build_zone(b, &(struct plan_zone){.name = plan_build_text(b, "process")});
    for (uint32_t i = 0; i < 2; i++) {
        char name[8];
        snprintf(name, sizeof name, "box%u", i);
        struct plan_box box = {.name = plan_build_text(b, name), .kind = BOX_SOUTH};
        box.first_option = plan_build_option(b, "secret", name);
        box.option_count = 1;
        plan_build_box(b, &box);
        plan_build_device(b, &(struct plan_device){.name = plan_build_text(b, name), .box = i});
        for (uint32_t k = 0; k < 3; k++) {
            char path[16];
            snprintf(path, sizeof path, "works/%u/%u", i, k);
            struct plan_tag t = {.id = 100 - i * 10 - k,
                                 .path = plan_build_text(b, path),
                                 .unit = plan_build_text(b, "m3/h"),
                                 .device = i,
                                 .box = i,
                                 .type = k == 2 ? VALUE_TEXT : VALUE_FLOAT32,
                                 .raw_type = k == 2 ? VALUE_TEXT : VALUE_INT16,
                                 .max_length = k == 2 ? 20 : 0};
            plan_build_tag(b, &t);
        }
    }
    plan_build_box(b, &(struct plan_box){.name = plan_build_text(b, "cloud"), .kind = BOX_NORTH});
    struct plan_feed f = {.name = plan_build_text(b, "feed"), .box = 2, .tag_count = 2};
    f.first_tag = plan_build_feed_tag(b, 100);
    plan_build_feed_tag(b, 90);
    plan_build_feed(b, &f);
    struct plan_box console = {.name = plan_build_text(b, "console"), .kind = BOX_NORTH};
    console.first_option = plan_build_option(b, "scope", "all");
    console.option_count = 1;
    plan_build_box(b, &console);
    assert_int_equal(plan_build_finish(b, image, size), 0);
    plan_build_free(b);
}

static void a_plan_is_found_by_id_path_and_name(void **state)
{
    (void)state;
    void *image;
    size_t size;
    struct plan p;
    build(&image, &size);
    assert_int_equal(plan_open(&p, image, size), 0);
    assert_int_equal(p.header->tags.count, 6);
    assert_string_equal(plan_text(&p, plan_find_tag(&p, 90)->path), "works/1/0");
    assert_null(plan_find_tag(&p, 97));
    assert_int_equal(plan_find_path(&p, "works/0/2")->id, 98);
    assert_int_equal(plan_find_box(&p, "cloud"), 2);
    assert_int_equal(plan_find_device(&p, "none"), PLAN_NONE);
    assert_int_equal(p.zones[0].tag_count, 6);
    assert_int_equal(p.zones[0].text_size, 48);
    assert_int_equal(p.feed_tags[p.feeds[0].first_tag], 90);
    free(image);
}

static void a_part_holds_only_what_the_box_may_know(void **state)
{
    (void)state;
    static const struct {
        uint32_t box, tags;
    } rows[] = {{0, 3}, {2, 2}, {3, 6}};
    void *image, *part;
    size_t size, part_size;
    struct plan p, q;
    build(&image, &size);
    assert_int_equal(plan_open(&p, image, size), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(plan_part(&p, rows[i].box, 0, &part, &part_size), 0);
        assert_int_equal(plan_open(&q, part, part_size), 0);
        assert_int_equal(q.header->tags.count, rows[i].tags);
        assert_int_equal(q.header->boxes.count, 4);
        assert_string_equal(plan_text(&q, q.boxes[rows[i].box].name),
                            plan_text(&p, p.boxes[rows[i].box].name));
        assert_null(memmem(part, part_size, "box1", 5) && rows[i].box == 0 ? part : NULL);
        free(part);
    }
    free(image);
}

static void a_damaged_image_never_harms(void **state)
{
    (void)state;
    void *image;
    size_t size;
    struct plan p;
    build(&image, &size);
    for (size_t n = 0; n < size; n++) {
        assert_true(plan_open(&p, image, n) < 0);
    }
    uint8_t *bytes = image;
    for (size_t i = 0; i < size; i++) {
        for (int flip = 1; flip < 256; flip += 127) {
            bytes[i] ^= (uint8_t)flip;
            if (plan_open(&p, image, size) == 0) {
                for (uint32_t t = 0; t < p.header->tags.count; t++) {
                    assert_true(strlen(plan_text(&p, p.tags[t].path)) < size);
                }
                plan_find_tag(&p, 90);
            }
            bytes[i] ^= (uint8_t)flip;
        }
    }
    free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_is_found_by_id_path_and_name),
        cmocka_unit_test(a_part_holds_only_what_the_box_may_know),
        cmocka_unit_test(a_damaged_image_never_harms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
