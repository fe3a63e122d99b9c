/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tag/conduit.h"
#include "tag/plan_build.h"

#include <stdlib.h>
#include <string.h>

enum { LINE1, LINE2, OFFICE, OEM, ZONES };

static void add(struct plan_build *b, struct plan_conduit c, const char *glob)
{
    if (glob) {
        c.first_glob = plan_build_option(b, "tags", glob);
        c.glob_count = 1;
    }
    plan_build_conduit(b, &c);
}

/* A tag in each line; the office reads line 1, and may command what is called recipe; the vendor reads line 2 until 1000. */
static void build(void **image, struct plan *p)
{
    static const char *const zones[] = {"line-1", "line-2", "office", "oem"};
    static const char *const paths[] = {"l1/speed", "l1/recipe", "l2/speed"};
    struct plan_build *b = plan_build_new();
    size_t size;
    for (int i = 0; i < ZONES; i++) {
        plan_build_zone(b, &(struct plan_zone){.name = plan_build_text(b, zones[i])});
    }
    for (uint32_t i = 0; i < 3; i++) {
        plan_build_tag(b, &(struct plan_tag){.id = i + 1,
                                             .path = plan_build_text(b, paths[i]),
                                             .zone = i < 2 ? LINE1 : LINE2,
                                             .device = PLAN_NONE,
                                             .box = PLAN_NONE,
                                             .type = VALUE_FLOAT64,
                                             .raw_type = VALUE_FLOAT64});
    }
    add(b, (struct plan_conduit){.from = OFFICE, .to = LINE1, .acts = CONDUIT_READ}, NULL);
    add(b, (struct plan_conduit){.from = OFFICE, .to = LINE1, .acts = CONDUIT_COMMAND}, "*/recipe");
    add(b, (struct plan_conduit){.from = OEM, .to = LINE2, .acts = CONDUIT_READ, .until_ns = 1000},
        NULL);
    struct plan_box console = {
        .name = plan_build_text(b, "console"), .kind = BOX_NORTH, .zone = OFFICE};
    console.first_option = plan_build_option(b, "scope", "all");
    console.option_count = 1;
    plan_build_box(b, &console);
    assert_int_equal(plan_build_finish(b, image, &size), 0);
    assert_int_equal(plan_open(p, *image, size), 0);
    plan_build_free(b);
}

static void test_only_conduits_lead_out_of_a_zone(void **state)
{
    (void)state;
    static const struct {
        uint32_t zone, tag, act;
        int64_t at;
        bool lets;
        int by; /* index of the conduit; -1: none */
    } rows[] = {
        {LINE1, 1, CONDUIT_READ, 0, true, -1},
        {LINE1, 1, CONDUIT_COMMAND, 0, true, -1},
        {PLAN_NONE, 3, CONDUIT_COMMAND, 0, true, -1}, /* the gateway's own socket */
        {LINE1, 3, CONDUIT_READ, 0, false, -1},
        {OFFICE, 1, CONDUIT_READ, 0, true, 0},
        {OFFICE, 1, CONDUIT_COMMAND, 0, false, -1}, /* the glob does not name it */
        {OFFICE, 2, CONDUIT_COMMAND, 0, true, 1},
        {OFFICE, 3, CONDUIT_READ, 0, false, -1},
        {OEM, 3, CONDUIT_READ, 999, true, 2},
        {OEM, 3, CONDUIT_READ, 1000, false, -1}, /* it is closed */
        {OEM, 3, CONDUIT_COMMAND, 999, false, -1},
        {LINE2, 1, CONDUIT_READ, 0, false, -1}, /* not in the other direction */
    };
    struct plan p;
    void *image;
    build(&image, &p);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct plan_conduit *by;
        enum conduit_act act = (enum conduit_act)rows[i].act;
        const struct plan_tag *tag = plan_find_tag(&p, rows[i].tag);
        assert_int_equal(conduit_lets(&p, rows[i].zone, tag, act, rows[i].at, &by), rows[i].lets);
        assert_int_equal(by ? by - p.conduits : -1, rows[i].by);
    }
    assert_true(conduit_reaches(&p, OFFICE, LINE1, CONDUIT_COMMAND, 0));
    assert_false(conduit_reaches(&p, OFFICE, LINE2, CONDUIT_READ, 0));
    assert_true(conduit_next_end(&p, 0) == 1000 && conduit_next_end(&p, 1000) == INT64_MAX);
    free(image);
}

static void test_a_box_gets_the_part_that_its_zone_may_read(void **state)
{
    (void)state;
    struct plan p, part;
    void *image, *part_image;
    size_t size;
    build(&image, &p);
    assert_int_equal(plan_part(&p, 0, 0, &part_image, &size), 0);
    assert_int_equal(plan_open(&part, part_image, size), 0);
    assert_int_equal(part.header->tags.count, 2);
    assert_null(plan_find_path(&part, "l2/speed"));
    free(part_image);
    free(image);
}

static void test_an_image_that_points_nowhere_is_refused(void **state)
{
    (void)state;
    struct plan p;
    void *image;
    build(&image, &p);
    struct plan_conduit *c = (void *)((uint8_t *)image + p.header->conduits.offset);
    uint32_t *words[] = {&c->name, &c->place, &c->from, &c->to, &c->first_glob, &c->glob_count};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        uint32_t before = *words[i];
        *words[i] = 1u << 30;
        assert_int_equal(plan_open(&p, image, (size_t)((struct plan_header *)image)->size),
                         ERR_MALFORMED);
        *words[i] = before;
    }
    free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_conduits_lead_out_of_a_zone),
        cmocka_unit_test(test_a_box_gets_the_part_that_its_zone_may_read),
        cmocka_unit_test(test_an_image_that_points_nowhere_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
