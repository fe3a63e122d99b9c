/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "reader/core.h"

#include "tag/plan_build.h"

#include <stdlib.h>
#include <string.h>

enum { LINE1, LINE2, OFFICE };
enum { PLC1, PLC2, CONSOLE, LOCAL }; /* boxes */

/* A box, a device and two tags in each line; a console in the office, that may read line 1, and "2/b" until 1000. */
static void build(void **image, struct plan *p)
{
    static const char *const names[] = {"plc1", "plc2", "console", "local"};
    static const char *const zones[] = {"line-1", "line-2", "office"};
    struct plan_build *b = plan_build_new();
    size_t size;
    for (int i = 0; i < 3; i++) {
        plan_build_zone(b, &(struct plan_zone){.name = plan_build_text(b, zones[i])});
    }
    for (uint32_t i = PLC1; i <= LOCAL; i++) {
        struct plan_box box = {.name = plan_build_text(b, names[i]),
                               .kind = i < CONSOLE ? BOX_SOUTH : BOX_NORTH,
                               .zone = i == CONSOLE ? OFFICE : PLAN_NONE};
        if (i >= CONSOLE) {
            box.first_option = plan_build_option(b, "scope", "all");
            box.option_count = 1;
        }
        plan_build_box(b, &box);
    }
    for (uint32_t line = 0; line < 2; line++) {
        plan_build_device(b, &(struct plan_device){.name = plan_build_text(b, names[line]),
                                                   .box = line,
                                                   .zone = line});
        for (uint32_t k = 0; k < 2; k++) {
            char path[] = {(char)('1' + line), '/', (char)('a' + k), 0};
            plan_build_tag(b, &(struct plan_tag){.id = line * 2 + k + 1,
                                                 .path = plan_build_text(b, path),
                                                 .zone = line,
                                                 .device = line,
                                                 .box = line,
                                                 .type = VALUE_FLOAT64,
                                                 .raw_type = VALUE_FLOAT64});
        }
    }
    plan_build_conduit(b,
                       &(struct plan_conduit){.from = OFFICE, .to = LINE1, .acts = CONDUIT_READ});
    plan_build_conduit(b, &(struct plan_conduit){.from = OFFICE,
                                                 .to = LINE2,
                                                 .acts = CONDUIT_READ,
                                                 .first_glob = plan_build_option(b, "tags", "2/b"),
                                                 .glob_count = 1,
                                                 .until_ns = 1000});
    assert_int_equal(plan_build_finish(b, image, &size), 0);
    assert_int_equal(plan_open(p, *image, size), 0);
    plan_build_free(b);
}

/* The tags of the scope, as bits: tag 1 is 1, tag 2 is 2, … */
static unsigned tags_of(const struct scope *s)
{
    unsigned bits = 0;
    for (uint32_t id = 1; id <= 4; id++) {
        bits |= filter_has_tag(&s->filter, id) ? 1u << (id - 1) : 0;
    }
    return bits;
}

static void a_box_sees_what_conduits_let_its_zone_read(void **state)
{
    (void)state;
    struct plan p;
    struct scope s;
    void *image;
    build(&image, &p);
    assert_int_equal(scope_of_box(&s, &p, LOCAL, 0), 0);
    assert_int_equal(tags_of(&s), 15);
    scope_fini(&s);
    assert_int_equal(scope_of_box(&s, &p, CONSOLE, 999), 0);
    assert_int_equal(tags_of(&s), 1 + 2 + 8);
    scope_fini(&s);
    assert_int_equal(scope_of_box(&s, &p, CONSOLE, 1000), 0); /* the second is closed */
    assert_int_equal(tags_of(&s), 1 + 2);
    assert_true(filter_has_gap(&s.filter, GAP_DEVICE, 0));
    assert_false(filter_has_gap(&s.filter, GAP_DEVICE, 1));
    assert_false(filter_has_gap(&s.filter, GAP_BOX, PLC2));
    scope_fini(&s);
    free(image);
}

static void a_session_sees_no_more_than_its_zones(void **state)
{
    (void)state;
    struct plan p;
    void *image;
    struct link link = {.box = LOCAL};
    struct narrow *narrow, *again;
    const struct session all = {.zone_limit = 0};
    const struct session second = {.zone_limit = 1, .zone_count = 1, .zones = {LINE2}};
    const struct session nothing = {.zone_limit = 1};
    const struct session forged = {.zone_limit = 1, .zone_count = 99};
    build(&image, &p);
    assert_int_equal(scope_of_box(&link.scope, &p, LOCAL, 0), 0);
    assert_ptr_equal(scope_for(&link, &p, NULL, &narrow), &link.scope);
    assert_ptr_equal(scope_for(&link, &p, &all, &narrow), &link.scope);
    assert_null(scope_for(&link, &p, &forged, &narrow));
    const struct scope *s = scope_for(&link, &p, &second, &narrow);
    assert_int_equal(tags_of(s), 4 + 8);
    assert_false(s->all);
    assert_false(filter_has_gap(&s->filter, GAP_DEVICE, 0));
    assert_ptr_equal(scope_for(&link, &p, &second, &again), s); /* the same place */
    assert_int_equal(narrow->users, 2);
    assert_int_equal(tags_of(scope_for(&link, &p, &nothing, &again)), 0);
    for (uint32_t i = 0; i < NARROW_MAX; i++) {
        scope_fini(&link.narrow[i].scope);
    }
    scope_fini(&link.scope);
    free(image);
}

/* Places that somebody uses are not given to others; one that nobody does is made anew. */
static void places_for_sessions_are_bounded(void **state)
{
    (void)state;
    struct plan p;
    void *image;
    struct link link = {.box = LOCAL};
    struct narrow *narrow[NARROW_MAX], *more;
    struct session s = {.zone_limit = 1, .zone_count = 1};
    build(&image, &p);
    assert_int_equal(scope_of_box(&link.scope, &p, LOCAL, 0), 0);
    for (uint32_t i = 0; i < NARROW_MAX; i++) {
        s.zones[0] = i;
        assert_non_null(scope_for(&link, &p, &s, narrow + i));
    }
    s.zones[0] = NARROW_MAX;
    assert_null(scope_for(&link, &p, &s, &more));
    scope_release(narrow[3]);
    assert_non_null(scope_for(&link, &p, &s, &more));
    assert_ptr_equal(more, narrow[3]);
    for (uint32_t i = 0; i < NARROW_MAX; i++) {
        scope_fini(&link.narrow[i].scope);
    }
    scope_fini(&link.scope);
    free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_box_sees_what_conduits_let_its_zone_read),
        cmocka_unit_test(a_session_sees_no_more_than_its_zones),
        cmocka_unit_test(places_for_sessions_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
