/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/test_bed.h"
#include "tag/status.h"

#include <string.h>

static void ask(struct bed *b, int box, uint32_t device)
{
    struct record_browse request = {.id = {7}, .device = device, .asker = 999};
    bed_record(b, box, RECORD_BROWSE, 0, &request, sizeof request);
    bed_run(b, 1);
}

/* A box that delivers feeds has no business with what else a device holds. */
static void a_box_of_feeds_browses_nothing(void **state)
{
    (void)state;
    struct bed *b = bed_new(10);
    struct record_browse request;
    struct record_browsed ended;
    bed_run(b, 1);
    ask(b, BED_BRIDGE, 0);
    assert_int_equal(bed_take(b, BED_BRIDGE, &ended, sizeof ended), RECORD_BROWSED);
    assert_int_equal(ended.status, (uint32_t)STATUS_BAD_NODE_UNKNOWN);
    assert_int_equal(bed_take(b, BED_FIELD, &request, sizeof request), 0);
    bed_free(b);
}

static bool is_condemned(struct bed *b, int box)
{
    return atomic_load(&bed_seat(b, box)->verdict->raised) > 0;
}

static void a_browse_goes_there_and_back(void **state)
{
    (void)state;
    struct bed *b = bed_new(10);
    struct record_browse request;
    struct record_item item = {.id = {7}, .asker = BED_CLOUD, .type = VALUE_TEXT}, got;
    struct record_browsed end = {.id = {7}, .asker = BED_CLOUD, .lost = 2, .text = "done"}, ended;
    bed_run(b, 1);
    ask(b, BED_CLOUD, 0);
    assert_int_equal(bed_take(b, BED_FIELD, &request, sizeof request), RECORD_BROWSE);
    assert_int_equal(request.asker, BED_CLOUD); /* whatever it said itself */
    assert_int_equal(bed_take(b, BED_OTHER, &request, sizeof request), 0);
    bed_record(b, BED_FIELD, RECORD_ITEM, 0, &item, sizeof item);
    bed_record(b, BED_FIELD, RECORD_BROWSED, 0, &end, sizeof end);
    bed_run(b, 1);
    assert_int_equal(bed_take(b, BED_CLOUD, &got, sizeof got), RECORD_ITEM);
    assert_int_equal(got.id[0], 7);
    assert_int_equal(bed_take(b, BED_CLOUD, &ended, sizeof ended), RECORD_BROWSED);
    assert_int_equal(ended.lost, 2);
    assert_string_equal(ended.text, "done");
    bed_free(b);
}

static void an_unknown_device_is_said_so(void **state)
{
    (void)state;
    struct bed *b = bed_new(10);
    struct record_browsed ended;
    bed_run(b, 1);
    ask(b, BED_CLOUD, 99);
    assert_int_equal(bed_take(b, BED_CLOUD, &ended, sizeof ended), RECORD_BROWSED);
    assert_int_equal(ended.status, (uint32_t)STATUS_BAD_NODE_UNKNOWN);
    bed_free(b);
}

static void what_the_asker_has_no_room_for_is_counted(void **state)
{
    (void)state;
    struct bed *b = bed_new(10);
    struct record_item item = {.id = {7}, .asker = BED_CLOUD};
    struct record_browsed end = {.id = {7}, .asker = BED_CLOUD}, ended;
    uint32_t sent = 0, taken = 0, kind;
    bed_run(b, 1);
    ask(b, BED_CLOUD, 0);
    for (; sent < DOWN_RING_SLOTS; sent++) { /* each takes more than one slot */
        bed_record(b, BED_FIELD, RECORD_ITEM, 0, &item, sizeof item);
        bed_run(b, 1);
        bed_settle(b);
    }
    while ((kind = bed_take(b, BED_CLOUD, &item, sizeof item)) == RECORD_ITEM) {
        taken++;
    }
    assert_int_equal(kind, 0);
    bed_record(b, BED_FIELD, RECORD_BROWSED, 0, &end, sizeof end);
    bed_run(b, 1);
    assert_int_equal(bed_take(b, BED_CLOUD, &ended, sizeof ended), RECORD_BROWSED);
    assert_true(taken > 0 && ended.lost > 0);
    assert_int_equal(taken + ended.lost, sent);
    assert_false(is_condemned(b, BED_FIELD));
    bed_free(b);
}

static void who_speaks_out_of_turn_is_condemned(void **state)
{
    (void)state;
    struct record_browse request = {.id = {7}};
    struct record_item item = {.id = {7}, .asker = BED_OTHER};
    struct record_browsed end = {.id = {7}, .asker = 12345};
    const struct {
        int box;
        enum record_kind kind;
        const void *payload;
        size_t size;
    } rows[] = {
        {BED_FIELD, RECORD_BROWSE, &request, sizeof request}, /* only north boxes ask */
        {BED_CLOUD, RECORD_BROWSE, &request, sizeof request - 1},
        {BED_FIELD, RECORD_ITEM, &item, sizeof item}, /* to a box that can't have asked */
        {BED_FIELD, RECORD_ITEM, &item, sizeof item - 1},
        {BED_CLOUD, RECORD_ITEM, &item, sizeof item},
        {BED_FIELD, RECORD_BROWSED, &end, sizeof end},
        {BED_FIELD, RECORD_BROWSED, &end, sizeof end - 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bed *b = bed_new(10);
        bed_run(b, 1);
        bed_record(b, rows[i].box, rows[i].kind, 0, rows[i].payload, rows[i].size);
        bed_run(b, 1);
        assert_true(is_condemned(b, rows[i].box));
        bed_free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_box_of_feeds_browses_nothing),
        cmocka_unit_test(a_browse_goes_there_and_back),
        cmocka_unit_test(an_unknown_device_is_said_so),
        cmocka_unit_test(what_the_asker_has_no_room_for_is_counted),
        cmocka_unit_test(who_speaks_out_of_turn_is_condemned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
