/* SPDX-License-Identifier: Apache-2.0 */
/* Batches: all of them or none. Of the bed's tags 1 and 2 are of one device; 2 needs a second person. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/batch.h"
#include "engine/test_bed.h"

#include <stdio.h>
#include <string.h>

struct wish {
    struct record_commands head;
    struct record_part parts[BATCH_MAX];
};

static struct wish wish_for(uint8_t id, int64_t first, double second)
{
    struct wish w = {.head = {.id = {id}, .act = COMMAND_WRITE, .count = 2, .reason = "recipe 7"}};
    w.parts[0] = (struct record_part){.tag = 1, .type = VALUE_INT32, .value.i64 = first};
    w.parts[1] = (struct record_part){.tag = 2, .type = VALUE_FLOAT64, .value.f64 = second};
    return w;
}

static void say(struct bed *b, const struct wish *w)
{
    bed_record(b, BED_CLOUD, RECORD_COMMANDS, 0, w,
               sizeof w->head + w->head.count * sizeof *w->parts);
    bed_run(b, 1);
}

static void act(struct bed *b, int box, enum command_act act, uint8_t id)
{
    struct record_command c = {.id = {id}, .act = act};
    bed_record(b, box, RECORD_COMMAND, 0, &c, sizeof c);
    bed_run(b, 1);
}

static void put_float(struct bed *b, double value)
{
    struct slot s = bed_sample(2, 1);
    s.value.f64 = value;
    bed_put(b, BED_FIELD, &s, 1);
    bed_run(b, 1);
}

/* Both tags are known: 5 and 1.5. */
static struct bed *begin(void)
{
    struct bed *b = bed_new(10);
    bed_run(b, 1);
    bed_value(b, BED_FIELD, 1, 5);
    put_float(b, 1.5);
    return b;
}

struct together {
    struct record_writes head;
    struct record_part parts[BATCH_MAX];
};

/* What the field's box gets next: a write (kind RECORD_WRITE), several in one, or 0: nothing. */
static uint32_t next(struct bed *b, struct record_write *one, struct together *all)
{
    union {
        struct record_write one;
        struct together all;
    } got = {.all.head.count = 0};
    uint32_t kind = bed_take(b, BED_FIELD, &got, sizeof got);
    *one = got.one;
    *all = got.all;
    return kind;
}

static struct record_write expect_write(struct bed *b, uint32_t tag)
{
    struct record_write w;
    struct together all;
    assert_int_equal(next(b, &w, &all), RECORD_WRITE);
    assert_int_equal(w.tag, tag);
    return w;
}

static void expect_nothing(struct bed *b)
{
    struct record_write w;
    struct together all;
    assert_int_equal(next(b, &w, &all), 0);
}

/* The batch is approved, and the box got all parts in one; as a write whose tag is 0. */
static struct record_write until_it_is_sent(struct bed *b, const struct wish *w)
{
    struct record_write one;
    struct record_receipt r;
    struct together all;
    say(b, w);
    expect_nothing(b);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_WAITING);
    assert_true(r.id[0] == w->head.id[0] && !r.tag && r.until_ns);
    act(b, BED_BRIDGE, COMMAND_APPROVE, w->head.id[0]);
    bed_run(b, 2);
    assert_int_equal(next(b, &one, &all), RECORD_WRITES);
    assert_int_equal(all.head.count, 2);
    assert_true(all.parts[0].tag == 1 && all.parts[1].tag == 2 &&
                all.parts[0].value.i64 == w->parts[0].value.i64);
    return (struct record_write){.number = all.head.number};
}

static size_t count_kind(struct bed *b, uint32_t kind)
{
    struct bed_audit a = bed_audited(b);
    size_t n = 0;
    for (size_t i = 0; i < a.count; i++) {
        n += a.kinds[i] == kind;
    }
    return n;
}

static void one_transaction_takes_all(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    struct wish w = wish_for(1, 7, 3);
    struct record_write sent = until_it_is_sent(b, &w);
    bed_heard(b, BED_CLOUD, &r);
    bed_written(b, BED_FIELD, &sent, WRITTEN_DONE, "");
    bed_value(b, BED_FIELD, 1, 7);
    put_float(b, 3);
    bed_run(b, 2);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_CONFIRMED);
    assert_non_null(strstr(r.reason, "all 2 parts were read back; they were written in one"));
    expect_nothing(b);
    say(b, &w); /* the same id again: the same receipt, and nothing is sent */
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_CONFIRMED);
    w.parts[0].value.i64 = 8; /* … but not for another wish */
    say(b, &w);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_REFUSED);
    assert_non_null(strstr(r.reason, "another command's"));
    uint8_t part[16];
    command_part_id(part, (uint8_t[16]){1}, 1);
    struct record_command look = {.act = COMMAND_LOOK};
    memcpy(look.id, part, sizeof part);
    bed_record(b, BED_CLOUD, RECORD_COMMAND, 0, &look, sizeof look);
    bed_run(b, 1);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_CONFIRMED);
    assert_true(r.tag == 2 && r.after.f64 == 3 && !strcmp(r.approver, "service:bridge"));
    expect_nothing(b);
    assert_int_equal(count_kind(b, AUDIT_BATCH_REQUESTED), 1);
    assert_int_equal(count_kind(b, AUDIT_COMMAND_SENT), 2);
    assert_int_equal(count_kind(b, AUDIT_COMMAND_CONFIRMED), 2);
    assert_int_equal(count_kind(b, AUDIT_BATCH_ENDED), 1);
    bed_free(b);
}

/* The device has no means for it: the parts go one after another. The second one's write, when the first is confirmed. */
static struct record_write until_the_second(struct bed *b)
{
    struct wish w = wish_for(1, 7, 3);
    struct record_write sent = until_it_is_sent(b, &w);
    bed_written(b, BED_FIELD, &sent, WRITTEN_APART, "");
    struct record_write first = expect_write(b, 1);
    expect_nothing(b);
    bed_written(b, BED_FIELD, &first, WRITTEN_DONE, "");
    bed_run(b, 1);
    struct record_write second = expect_write(b, 2);
    bed_value(b, BED_FIELD, 1, 7);
    return second;
}

static void else_one_after_another(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    struct record_write second = until_the_second(b);
    bed_written(b, BED_FIELD, &second, WRITTEN_DONE, "");
    put_float(b, 3);
    bed_run(b, 2);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_CONFIRMED);
    assert_non_null(strstr(r.reason, "one after another"));
    expect_nothing(b);
    bed_free(b);
}

static void what_was_written_is_put_back(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    struct record_write second = until_the_second(b);
    bed_written(b, BED_FIELD, &second, WRITTEN_FAILED, "illegal data value");
    bed_run(b, 2);
    struct record_write back = expect_write(b, 1);
    assert_int_equal(back.value.i64, 5);
    bed_written(b, BED_FIELD, &back, WRITTEN_DONE, "");
    bed_value(b, BED_FIELD, 1, 5);
    bed_run(b, 2);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_FAILED);
    assert_true(r.id[0] == 1 && !r.tag);
    assert_non_null(
        strstr(r.reason, "1 of 1 that were written before are put back; part 2 of 2: illegal"));
    expect_nothing(b);
    bed_free(b);
}

static void the_operators_hand_is_not_put_back(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    struct record_write second = until_the_second(b);
    bed_value(b, BED_FIELD, 1, 42);
    bed_written(b, BED_FIELD, &second, WRITTEN_FAILED, "illegal data value");
    bed_run(b, 2);
    expect_nothing(b);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_FAILED);
    assert_non_null(strstr(r.reason, "0 of 1"));
    bed_free(b);
}

static void one_that_is_refused_refuses_all(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    struct wish bad[] = {wish_for(1, 7, 3), wish_for(2, 101, 3), wish_for(3, 7, 3),
                         wish_for(4, 7, 3)};
    static const char *const why[] = {"read-only", "range", "stands twice", "lease"};
    bad[0].parts[1].tag = 3;
    bad[2].parts[1] = bad[2].parts[0];
    bad[3].parts[1] = (struct record_part){.tag = 4, .type = VALUE_UINT16, .value.u64 = 50};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        say(b, bad + i);
        assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_REFUSED);
        assert_true(r.id[0] == i + 1 && !r.tag);
        assert_non_null(strstr(r.reason, why[i]));
    }
    bed_run(b, 50);
    expect_nothing(b);
    assert_int_equal(count_kind(b, AUDIT_COMMAND_REFUSED), 4);
    assert_int_equal(count_kind(b, AUDIT_COMMAND_REQUESTED), 0);
    struct wish try = wish_for(5, 7, 3);
    try.head.act = COMMAND_TRY;
    say(b, &try);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_CHECKED);
    assert_non_null(strstr(r.reason, "all 2 parts"));
    expect_nothing(b);
    bed_free(b);
}

static void a_no_or_silence_ends_all(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    struct wish w = wish_for(1, 7, 3);
    say(b, &w);
    act(b, BED_CLOUD, COMMAND_APPROVE, 1);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_WAITING);
    assert_true(r.denied && strstr(r.reason, "second person"));
    act(b, BED_BRIDGE, COMMAND_REJECT, 1);
    bed_run(b, 2);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_REFUSED);
    assert_non_null(strstr(r.reason, "rejected by service:bridge"));
    w = wish_for(2, 7, 3);
    say(b, &w);
    bed_run(b, 61000);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_EXPIRED);
    act(b, BED_BRIDGE, COMMAND_APPROVE, 2);
    assert_int_equal(bed_heard(b, BED_BRIDGE, &r), COMMAND_EXPIRED);
    expect_nothing(b);
    bed_free(b);
}

static void nothing_goes_before_all_is_durable(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    struct wish w = wish_for(1, 7, 3);
    w.head.count = 1;
    b->audit_stalls = true;
    say(b, &w);
    bed_run(b, 5);
    expect_nothing(b);
    b->audit_stalls = false;
    bed_run(b, 2);
    struct record_write one = expect_write(b, 1);
    bed_written(b, BED_FIELD, &one, WRITTEN_DONE, "");
    bed_value(b, BED_FIELD, 1, 7);
    bed_run(b, 2);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_CONFIRMED);
    bed_free(b);
}

/* The permissive, an inhibit, a conduit may change while somebody thinks about an approval. */
static void all_are_checked_again_before_any_is_sent(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    struct wish w = wish_for(1, 7, 3);
    say(b, &w);
    b->e->commands.inhibit.file = true;
    act(b, BED_BRIDGE, COMMAND_APPROVE, 1);
    bed_run(b, 5);
    expect_nothing(b);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_REFUSED);
    assert_non_null(strstr(r.reason, "inhibit"));
    bed_free(b);
}

static void after_a_crash_nothing_more_is_sent(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    until_the_second(b);
    bed_restart_engine(b, BED_KEEP);
    bed_run(b, 5000);
    act(b, BED_CLOUD, COMMAND_LOOK, 1);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_UNKNOWN);
    assert_non_null(strstr(r.reason, "its parts tell"));
    struct wish w = wish_for(1, 7, 3);
    say(b, &w);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_UNKNOWN);
    expect_nothing(b);
    bed_restart_engine(b, BED_KEEP);
    bed_run(b, 10);
    act(b, BED_CLOUD, COMMAND_LOOK, 1);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_UNKNOWN);
    bed_free(b);
}

static void how_it_ended_outlives_the_engine(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    struct wish w = wish_for(1, 7, 3);
    struct record_write sent = until_it_is_sent(b, &w);
    bed_written(b, BED_FIELD, &sent, WRITTEN_DONE, "");
    bed_value(b, BED_FIELD, 1, 7);
    put_float(b, 3);
    bed_run(b, 20);
    bed_restart_engine(b, BED_KEEP);
    bed_run(b, 10);
    act(b, BED_CLOUD, COMMAND_LOOK, 1);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_CONFIRMED);
    assert_non_null(strstr(r.reason, "in one transaction"));
    bed_free(b);
}

static void what_is_malformed_condemns_the_box(void **state)
{
    (void)state;
    static const uint32_t counts[] = {0, 3, BATCH_MAX + 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct bed *b = begin();
        struct wish w = wish_for(1, 7, 3);
        w.head.count = counts[i];
        bed_record(b, BED_CLOUD, RECORD_COMMANDS, 0, &w, sizeof w.head + 2 * sizeof *w.parts);
        bed_run(b, 1);
        assert_non_null(bed_verdict(b, BED_CLOUD));
        expect_nothing(b);
        bed_free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_transaction_takes_all),
        cmocka_unit_test(else_one_after_another),
        cmocka_unit_test(what_was_written_is_put_back),
        cmocka_unit_test(the_operators_hand_is_not_put_back),
        cmocka_unit_test(one_that_is_refused_refuses_all),
        cmocka_unit_test(a_no_or_silence_ends_all),
        cmocka_unit_test(nothing_goes_before_all_is_durable),
        cmocka_unit_test(all_are_checked_again_before_any_is_sent),
        cmocka_unit_test(after_a_crash_nothing_more_is_sent),
        cmocka_unit_test(how_it_ended_outlives_the_engine),
        cmocka_unit_test(what_is_malformed_condemns_the_box),
    };
    return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
