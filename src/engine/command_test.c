/* SPDX-License-Identifier: Apache-2.0 */
/* The life of commands: what goes to the device's box and when, what callers hear, and what stands in the audit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/test_bed.h"
#include "guard/audit_verify.h"
#include "tag/status.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct bed *begin(void)
{
    struct bed *b = bed_new(10);
    bed_run(b, 1);
    return b;
}

static void ask(struct bed *b, int box, enum command_act act, uint8_t id, uint32_t tag,
                uint32_t type, union slot_value value)
{
    struct record_command c = {
        .id = {id}, .act = act, .tag = tag, .type = type, .value = value, .reason = "why not"};
    bed_record(b, box, RECORD_COMMAND, 0, &c, sizeof c);
    bed_run(b, 1);
}

static void ask_plain(struct bed *b, uint8_t id, int64_t value)
{
    ask(b, BED_CLOUD, COMMAND_WRITE, id, 1, VALUE_INT32, (union slot_value){.i64 = value});
}

static void ask_lent(struct bed *b, uint8_t id, uint64_t value)
{
    ask(b, BED_CLOUD, COMMAND_WRITE, id, 4, VALUE_UINT16, (union slot_value){.u64 = value});
}

static void act(struct bed *b, int box, enum command_act act, uint8_t id)
{
    ask(b, box, act, id, 0, 0, (union slot_value){.u64 = 0});
}

static struct record_write sent(struct bed *b, int box)
{
    struct record_write w = {0};
    if (bed_take(b, box, &w, sizeof w) != RECORD_WRITE) {
        w.number = 0;
    }
    return w;
}

static void expect_audit(struct bed *b, size_t count, const uint32_t *kinds)
{
    struct bed_audit k = bed_audited(b);
    for (size_t i = 0; i < k.count || i < count; i++) {
        if (i >= k.count || i >= count || k.kinds[i] != kinds[i]) {
            fail_msg("entry %zu is %u", i, i < k.count ? k.kinds[i] : 0);
        }
    }
}
#define EXPECT_AUDIT(b, ...)                                                                       \
    expect_audit(b, sizeof((uint32_t[]){__VA_ARGS__}) / 4, (uint32_t[]){__VA_ARGS__})

static void a_command_goes_all_the_way(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    bed_value(b, BED_FIELD, 1, 5);
    b->audit_stalls = true;
    ask_plain(b, 1, 7);
    bed_run(b, 5);
    assert_int_equal(sent(b, BED_FIELD).number, 0); /* not before the intent is durable */
    b->audit_stalls = false;
    bed_run(b, 1);
    struct record_write w = sent(b, BED_FIELD);
    assert_true(w.number && w.tag == 1 && w.type == VALUE_INT32 && w.value.i64 == 7);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), UINT32_MAX); /* the caller waits for an end */
    bed_written(b, BED_FIELD, &w, WRITTEN_DONE, "");
    bed_value(b, BED_FIELD, 1, 5); /* a poll that was on its way already */
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), UINT32_MAX);
    bed_value(b, BED_FIELD, 1, 7);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_CONFIRMED);
    assert_true(r.id[0] == 1 && r.has_before && r.before.i64 == 5 && r.has_after &&
                r.after.i64 == 7);
    assert_string_equal(r.who, "service:cloud");
    EXPECT_AUDIT(b, AUDIT_COMMAND_REQUESTED, AUDIT_COMMAND_SENT, AUDIT_COMMAND_ACCEPTED,
                 AUDIT_COMMAND_CONFIRMED);
    bed_free(b);
}

static void what_no_contract_allows_is_refused(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    ask(b, BED_CLOUD, COMMAND_WRITE, 1, 3, VALUE_TEXT, (union slot_value){.u64 = 0});
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_REFUSED);
    assert_non_null(strstr(r.reason, "read-only"));
    ask(b, BED_CLOUD, COMMAND_WRITE, 2, 999, VALUE_INT32, (union slot_value){.u64 = 0});
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_REFUSED);
    bed_value(b, BED_FIELD, 1, 5);
    ask_plain(b, 3, 101);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_REFUSED);
    assert_non_null(strstr(r.reason, "range"));
    assert_true(!r.has_before && !r.before.u64); /* a refusal tells nothing of the plant */
    ask(b, BED_BRIDGE, COMMAND_WRITE, 4, 1, VALUE_INT32, (union slot_value){.i64 = 1});
    assert_int_equal(bed_heard(b, BED_BRIDGE, &r), COMMAND_REFUSED);
    assert_non_null(strstr(r.reason, "service:bridge"));
    ask(b, BED_CLOUD, COMMAND_WRITE, 5, 1, VALUE_FLOAT64, (union slot_value){.f64 = 1});
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_REFUSED);
    struct record_command c = {
        .id = {6}, .session = {1}, .act = COMMAND_WRITE, .tag = 1, .type = VALUE_INT32};
    bed_record(b, BED_CLOUD, RECORD_COMMAND, 0, &c, sizeof c); /* a session that nobody gave */
    bed_run(b, 1);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_REFUSED);
    assert_true(r.denied && strstr(r.reason, "session"));
    assert_int_equal(sent(b, BED_FIELD).number, 0);
    EXPECT_AUDIT(b, AUDIT_COMMAND_REFUSED, AUDIT_COMMAND_REFUSED, AUDIT_COMMAND_REFUSED,
                 AUDIT_COMMAND_REFUSED, AUDIT_COMMAND_REFUSED, AUDIT_COMMAND_DENIED);
    bed_free(b);
}

static void a_dry_run_sends_nothing(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    ask(b, BED_CLOUD, COMMAND_TRY, 1, 1, VALUE_INT32, (union slot_value){.i64 = 7});
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_CHECKED);
    ask(b, BED_CLOUD, COMMAND_TRY, 2, 1, VALUE_INT32, (union slot_value){.i64 = -7});
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_REFUSED);
    bed_run(b, 100);
    assert_int_equal(sent(b, BED_FIELD).number, 0);
    bed_free(b);
}

static void the_same_id_gives_the_same_receipt(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    ask_plain(b, 1, 7);
    struct record_write w = sent(b, BED_FIELD);
    ask_plain(b, 1, 7); /* while it is under way */
    assert_int_equal(sent(b, BED_FIELD).number, 0);
    bed_written(b, BED_FIELD, &w, WRITTEN_FAILED, "illegal data value");
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_FAILED);
    assert_string_equal(r.reason, "illegal data value");
    ask_plain(b, 1, 7);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_FAILED);
    act(b, BED_CLOUD, COMMAND_LOOK, 1);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_FAILED);
    ask(b, BED_BRIDGE, COMMAND_WRITE, 1, 1, VALUE_INT32, (union slot_value){.i64 = 7});
    assert_int_equal(bed_heard(b, BED_BRIDGE, &r), COMMAND_REFUSED);
    assert_true(r.denied && r.id[0] == 1 && strstr(r.reason, "another command's"));
    act(b, BED_CLOUD, COMMAND_LOOK, 9);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_NEVER_HEARD);
    assert_int_equal(sent(b, BED_FIELD).number, 0);
    bed_free(b);
}

/* An id is known longer than its receipt. */
static void an_old_id_is_not_used_again(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    ask_lent(b, 1, 7);
    struct record_write w = sent(b, BED_OTHER);
    bed_written(b, BED_OTHER, &w, WRITTEN_FAILED, "no");
    for (uint32_t i = 0; i < COMMANDS_PAST; i++) {
        struct record_command c = {.act = COMMAND_WRITE, .tag = 4, .type = VALUE_UINT16};
        c.id[0] = 2;
        memcpy(c.id + 4, &i, sizeof i);
        bed_record(b, BED_CLOUD, RECORD_COMMAND, 0, &c, sizeof c);
        bed_run(b, 1);
        w = sent(b, BED_OTHER);
        assert_true(w.number != 0);
        bed_written(b, BED_OTHER, &w, WRITTEN_FAILED, "no");
        bed_heard(b, BED_CLOUD, &r);
    }
    ask_lent(b, 1, 7);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_REFUSED);
    assert_true(r.denied && !sent(b, BED_OTHER).number);
    bed_restart_engine(b, BED_KEEP); /* the audit tells of it */
    bed_run(b, 1);
    ask_lent(b, 1, 7);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_REFUSED);
    assert_true(!sent(b, BED_OTHER).number);
    bed_free(b);
}

static void a_rate_is_kept(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    for (uint8_t i = 1; i <= 3; i++) {
        ask_plain(b, i, i);
        struct record_write w = sent(b, BED_FIELD);
        assert_true(w.number != 0);
        bed_written(b, BED_FIELD, &w, WRITTEN_FAILED, "no");
    }
    bed_heard(b, BED_CLOUD, &r);
    ask_plain(b, 4, 4);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_REFUSED);
    bed_restart_engine(b, BED_KEEP); /* it goes on over a restart */
    bed_run(b, 1);
    ask_plain(b, 5, 4);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_REFUSED);
    assert_non_null(strstr(r.reason, "rate"));
    bed_run(b, 60000);
    ask_plain(b, 6, 4);
    assert_true(sent(b, BED_FIELD).number != 0);
    bed_free(b);
}

static void a_second_person_approves(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    ask(b, BED_CLOUD, COMMAND_WRITE, 1, 2, VALUE_FLOAT64, (union slot_value){.f64 = 3});
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_WAITING);
    act(b, BED_CLOUD, COMMAND_APPROVE, 1);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_WAITING);
    assert_true(r.denied && strstr(r.reason, "second person"));
    assert_int_equal(sent(b, BED_FIELD).number, 0);
    b->audit_stalls = true;
    act(b, BED_BRIDGE, COMMAND_APPROVE, 1);
    bed_run(b, 5);
    assert_int_equal(sent(b, BED_FIELD).number, 0); /* the approval is durable first */
    b->audit_stalls = false;
    bed_run(b, 1);
    struct record_write w = sent(b, BED_FIELD);
    assert_true(w.value.f64 == 3);
    bed_written(b, BED_FIELD, &w, WRITTEN_DONE, "");
    struct slot s = bed_sample(2, 1);
    s.value.f64 = 3.4; /* within the tolerance */
    bed_put(b, BED_FIELD, &s, 1);
    bed_run(b, 1);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_CONFIRMED);
    assert_string_equal(r.approver, "service:bridge");
    EXPECT_AUDIT(b, AUDIT_COMMAND_REQUESTED, AUDIT_COMMAND_DENIED, AUDIT_COMMAND_APPROVED,
                 AUDIT_COMMAND_SENT, AUDIT_COMMAND_ACCEPTED, AUDIT_COMMAND_CONFIRMED);
    bed_free(b);
}

static void an_approval_comes_in_time_or_never(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    ask(b, BED_CLOUD, COMMAND_WRITE, 1, 2, VALUE_FLOAT64, (union slot_value){.f64 = 3});
    bed_run(b, 59000);
    bed_heard(b, BED_CLOUD, &r);
    bed_run(b, 1100);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_EXPIRED);
    act(b, BED_BRIDGE, COMMAND_APPROVE, 1);
    assert_int_equal(bed_heard(b, BED_BRIDGE, &r), COMMAND_EXPIRED);
    assert_true(r.denied);
    ask(b, BED_CLOUD, COMMAND_WRITE, 2, 2, VALUE_FLOAT64, (union slot_value){.f64 = 3});
    act(b, BED_BRIDGE, COMMAND_REJECT, 2);
    assert_int_equal(bed_heard(b, BED_BRIDGE, &r), COMMAND_REFUSED);
    assert_false(r.denied);
    bed_run(b, 100);
    assert_int_equal(sent(b, BED_FIELD).number, 0);
    bed_free(b);
}

/* Confirms a command of tag 4 with this value. */
static void lend(struct bed *b, uint8_t id, uint64_t value)
{
    struct record_receipt r;
    ask_lent(b, id, value);
    struct record_write w = sent(b, BED_OTHER);
    assert_int_equal(w.value.u64, value);
    bed_written(b, BED_OTHER, &w, WRITTEN_DONE, "");
    bed_value(b, BED_OTHER, 4, value);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_CONFIRMED);
    assert_int_equal(r.lease, LEASE_HELD);
}

static void a_lease_reverts(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    lend(b, 1, 50);
    bed_run(b, 9000);
    act(b, BED_BRIDGE, COMMAND_RENEW, 1);
    assert_true(bed_heard(b, BED_BRIDGE, &r) == COMMAND_CONFIRMED && r.denied);
    act(b, BED_CLOUD, COMMAND_RENEW, 1);
    assert_true(bed_heard(b, BED_CLOUD, &r) == COMMAND_CONFIRMED && !r.denied);
    bed_run(b, 9000);
    assert_int_equal(sent(b, BED_OTHER).number, 0);
    bed_run(b, 1100);
    struct record_write w = sent(b, BED_OTHER);
    assert_true(w.tag == 4 && w.value.u64 == 5);
    bed_written(b, BED_OTHER, &w, WRITTEN_DONE, "");
    act(b, BED_CLOUD, COMMAND_LOOK, 1);
    bed_heard(b, BED_CLOUD, &r);
    assert_int_equal(r.lease, LEASE_REVERTED);
    EXPECT_AUDIT(b, AUDIT_COMMAND_REQUESTED, AUDIT_COMMAND_SENT, AUDIT_COMMAND_ACCEPTED,
                 AUDIT_COMMAND_CONFIRMED, AUDIT_COMMAND_DENIED, AUDIT_LEASE_RENEWED,
                 AUDIT_LEASE_REVERTED);
    bed_free(b);
}

static void a_lease_beats(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    lend(b, 1, 50);
    for (int64_t i = 1; i <= 5; i++) {
        struct record_write w = sent(b, BED_FIELD);
        assert_true(w.tag == 1 && w.value.i64 == i);
        bed_run(b, 900);
        assert_int_equal(sent(b, BED_FIELD).number, 0);
        bed_run(b, 100);
    }
    b->e->commands.inhibit.file = true; /* stops everything, heartbeats too */
    while (sent(b, BED_FIELD).number) {
    }
    bed_run(b, 2000);
    assert_int_equal(sent(b, BED_FIELD).number, 0);
    b->e->commands.inhibit.file = false;
    bed_run(b, 1000);
    assert_true(sent(b, BED_FIELD).number != 0);
    bed_run(b, 5000);
    struct record_write w = sent(b, BED_OTHER);
    bed_written(b, BED_OTHER, &w, WRITTEN_DONE, "");
    while (sent(b, BED_FIELD).number) {
    }
    bed_run(b, 2000); /* with the lease it ends */
    assert_int_equal(sent(b, BED_FIELD).number, 0);
    bed_heard(b, BED_CLOUD, &r);
    bed_free(b);
}

static void the_operators_hand_wins(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    lend(b, 1, 50);
    bed_value(b, BED_OTHER, 4, 60); /* somebody turned the knob */
    bed_run(b, 11000);
    assert_int_equal(sent(b, BED_OTHER).number, 0);
    act(b, BED_CLOUD, COMMAND_LOOK, 1);
    bed_heard(b, BED_CLOUD, &r);
    assert_int_equal(r.lease, LEASE_LEFT);
    bed_free(b);
}

static void a_lease_outlives_the_engine(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    lend(b, 1, 50);
    bed_run(b, 4000);
    bed_restart_engine(b, BED_KEEP);
    bed_run(b, 1);
    bed_value(b, BED_OTHER, 4, 50);
    bed_run(b, 4000);
    assert_int_equal(sent(b, BED_OTHER).number, 0);
    bed_run(b, 2100); /* ten seconds in all */
    struct record_write w = sent(b, BED_OTHER);
    assert_int_equal(w.value.u64, 5);
    bed_written(b, BED_OTHER, &w, WRITTEN_DONE, "");
    act(b, BED_CLOUD, COMMAND_LOOK, 1);
    bed_heard(b, BED_CLOUD, &r);
    assert_int_equal(r.lease, LEASE_REVERTED);
    bed_free(b);
}

/* Nothing is sent again; what is read back proves. */
static void after_a_crash(bool proven, enum command_state end)
{
    struct bed *b = begin();
    struct record_receipt r;
    ask_plain(b, 1, 7);
    assert_true(sent(b, BED_FIELD).number != 0);
    bed_restart_engine(b, BED_KEEP);
    bed_run(b, 1);
    if (proven) {
        bed_value(b, BED_FIELD, 1, 7);
    }
    bed_run(b, 2100);
    ask_plain(b, 1, 7);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), end);
    assert_int_equal(sent(b, BED_FIELD).number, 0);
    bed_free(b);
}

static void a_crash_ends_unknown_or_proven(void **state)
{
    (void)state;
    after_a_crash(false, COMMAND_UNKNOWN);
    after_a_crash(true, COMMAND_CONFIRMED);
}

static void what_waits_in_the_ring_over_a_crash_is_dropped(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_command c = {.id = {1}, .act = COMMAND_WRITE, .tag = 1, .type = VALUE_INT32};
    struct record_receipt r;
    bed_record(b, BED_CLOUD, RECORD_COMMAND, 0, &c, sizeof c);
    bed_restart_engine(b, BED_KEEP); /* its caller was told so */
    bed_run(b, 100);
    assert_int_equal(sent(b, BED_FIELD).number, 0);
    ask_plain(b, 2, 7);
    assert_true(sent(b, BED_FIELD).number != 0);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), UINT32_MAX);
    bed_free(b);
}

static void a_box_that_dies_leaves_it_unknown(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    ask_plain(b, 1, 7);
    struct record_write w = sent(b, BED_FIELD);
    bed_restart_box(b, BED_FIELD, false);
    bed_run(b, 200);
    bed_written(b, BED_FIELD, &w, WRITTEN_DONE, ""); /* of the life before: too late */
    bed_run(b, 2100);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_UNKNOWN);
    bed_free(b);
}

static void another_value_than_wished_is_a_failure(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    ask_plain(b, 1, 7);
    struct record_write w = sent(b, BED_FIELD);
    bed_written(b, BED_FIELD, &w, WRITTEN_DONE, "");
    bed_value(b, BED_FIELD, 1, 6);
    bed_run(b, 2100);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_FAILED);
    assert_true(r.has_after && r.after.i64 == 6 && strstr(r.reason, "holds 6"));
    ask_plain(b, 2, 8);
    w = sent(b, BED_FIELD);
    bed_written(b, BED_FIELD, &w, WRITTEN_DONE, "");
    bed_run(b, 2100); /* and no sample at all */
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_UNKNOWN);
    bed_free(b);
}

static void without_an_audit_nothing_is_written(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    b->e->audit = NULL;
    ask_plain(b, 1, 7);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_REFUSED);
    assert_non_null(strstr(r.reason, "audit"));
    assert_int_equal(sent(b, BED_FIELD).number, 0);
    bed_free(b);
}

struct seen_flood {
    uint64_t refusals, more;
};

static void note_refusal(void *context, const struct audit_entry *e)
{
    struct seen_flood *f = context;
    f->refusals += e->kind == AUDIT_COMMAND_REFUSED;
    f->more += e->kind == AUDIT_COMMAND_DENIED ? e->detail : 0;
}

static void count_refusals(struct bed *b, struct seen_flood *f)
{
    struct audit_findings findings;
    char dir[64];
    snprintf(dir, sizeof dir, "%s-audit", b->dir);
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    struct audit_read read = {.disk = &disk_files, .dir = fd, .entry = note_refusal, .context = f};
    assert_int_equal(audit_verify(&read, &findings), 0);
    close(fd);
}

static void a_flood_is_refused_and_harms_nobody(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    for (uint8_t i = 0; i < 200; i++) {
        struct record_command c = {
            .id = {1, i}, .act = COMMAND_WRITE, .tag = 1, .type = VALUE_INT32};
        bed_record(b, BED_CLOUD, RECORD_COMMAND, 0, &c, sizeof c);
    }
    bed_run(b, 1);
    size_t refused = 0;
    while (bed_take(b, BED_CLOUD, &r, sizeof r) == RECORD_RECEIPT) {
        refused += r.state == COMMAND_REFUSED;
    }
    assert_true(refused >= 30); /* a box that asks without end loses receipts, nothing else */
    assert_null(bed_verdict(b, BED_CLOUD));
    for (int i = 0; i < 3; i++) { /* the rate let three through */
        assert_true(sent(b, BED_FIELD).number != 0);
    }
    bed_run(b, 1100);
    struct bed_audit k = bed_audited(
        b); /* three intents, as many sent, 100 refusals, and how many more there were */
    assert_int_equal(k.count, 64);
    struct seen_flood f = {.refusals = 0};
    count_refusals(b, &f);
    assert_true(f.refusals == 100 && f.more >= 20);
    assert_int_equal(sent(b, BED_FIELD).number, 0);
    bed_free(b);
}

/* ---- Sessions, and the inhibit. ---- */

static struct record_command as(struct bed *b, int box, enum session_kind kind, const char *name,
                                enum role role, uint8_t id, enum command_act act)
{
    struct session s = {.kind = kind, .role = role, .box = (uint32_t)box, .end_mono_ns = INT64_MAX};
    struct record_command c = {
        .id = {id}, .act = act, .tag = 1, .type = VALUE_INT32, .value.i64 = 7};
    snprintf(s.name, sizeof s.name, "%s", name);
    assert_int_equal(session_add(&b->g->identity->sessions, &s, c.session), 0);
    return c;
}

static uint32_t answered(struct bed *b, int box, const struct record_command *c,
                         struct record_receipt *r)
{
    bed_record(b, box, RECORD_COMMAND, 0, c, sizeof *c);
    bed_run(b, 1);
    return bed_heard(b, box, r);
}

static void a_session_says_who_asks(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    struct record_command c =
        as(b, BED_CLOUD, SESSION_PERSON, "anna", ROLE_OPERATOR, 1, COMMAND_WRITE);
    assert_int_equal(answered(b, BED_CLOUD, &c, &r), COMMAND_REFUSED);
    assert_non_null(strstr(r.reason, "neither user:anna nor role:operator"));
    c.id[0] = 2;
    assert_int_equal(answered(b, BED_BRIDGE, &c, &r), COMMAND_REFUSED); /* another box's */
    assert_non_null(strstr(r.reason, "session"));
    c = as(b, BED_CLOUD, SESSION_VOUCHED, "sso/anna", ROLE_OPERATOR, 4, COMMAND_WRITE);
    assert_int_equal(answered(b, BED_CLOUD, &c, &r), COMMAND_REFUSED); /* another anna */
    assert_non_null(strstr(r.reason, "neither user:sso/anna nor role:operator"));
    c = as(b, BED_CLOUD, SESSION_PERSON, "vera", ROLE_VIEWER, 3, COMMAND_WRITE);
    assert_int_equal(answered(b, BED_CLOUD, &c, &r), COMMAND_REFUSED);
    assert_non_null(strstr(r.reason, "viewer may not"));
    assert_int_equal(sent(b, BED_FIELD).number, 0);
    bed_free(b);
}

static void the_inhibit_stops_all_and_is_lifted_only_here(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    lend(b, 1, 50);
    struct record_command set =
        as(b, BED_CLOUD, SESSION_PERSON, "anna", ROLE_OPERATOR, 2, COMMAND_INHIBIT);
    assert_int_equal(answered(b, BED_CLOUD, &set, &r), COMMAND_CONFIRMED);
    assert_true(r.after.u64 == 1 && !r.denied && strstr(r.reason, "user:anna"));
    ask_plain(b, 3, 7);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_REFUSED);
    assert_non_null(strstr(r.reason, "inhibited by user:anna"));
    bed_restart_engine(b, BED_KEEP); /* it stays */
    bed_run(b, 1);
    ask_plain(b, 4, 7);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_REFUSED);
    bed_value(b, BED_OTHER, 4, 50);
    bed_run(b, 11000); /* the lease ends, and may not revert */
    act(b, BED_CLOUD, COMMAND_LOOK, 1);
    bed_heard(b, BED_CLOUD, &r);
    assert_int_equal(r.lease, LEASE_STUCK);
    set.act = COMMAND_ALLOW;
    assert_int_equal(answered(b, BED_CLOUD, &set, &r), COMMAND_CONFIRMED);
    assert_true(r.denied && r.after.u64 == 1);
    struct record_command lift =
        as(b, BED_CLOUD, SESSION_LOCAL, "local:0", ROLE_ADMINISTRATOR, 5, COMMAND_ALLOW);
    assert_int_equal(answered(b, BED_CLOUD, &lift, &r), COMMAND_CONFIRMED);
    assert_true(!r.denied);
    ask_plain(b, 6, 7);
    assert_true(sent(b, BED_FIELD).number != 0);
    assert_int_equal(sent(b, BED_OTHER).number, 0);
    b->e->commands.inhibit.file = true;
    ask_plain(b, 7, 8);
    assert_int_equal(bed_heard(b, BED_CLOUD, &r), COMMAND_REFUSED);
    assert_non_null(strstr(r.reason, "the file 'inhibit'"));
    bed_free(b);
}

/* A key switch of the plan: tag 4, whose device is asked every 100 ms. */
static void fit_key(struct bed *b)
{
    ((struct plan_header *)(uintptr_t)b->g->plan.header)->inhibit_tag = 4;
}

static const char *inhibited_by(struct bed *b, char *why)
{
    return inhibit_lets(b->e, why) ? "nothing" : why;
}

static void a_key_switch_inhibits_unless_it_is_known_to_be_off(void **state)
{
    (void)state;
    struct bed *b = begin();
    char why[GUARD_REASON_SIZE];
    fit_key(b);
    assert_non_null(strstr(inhibited_by(b, why), "w/4 (not known)")); /* no value yet */
    bed_value(b, BED_OTHER, 4, 1);
    assert_non_null(strstr(inhibited_by(b, why), "w/4 (on)"));
    bed_value(b, BED_OTHER, 4, 0);
    assert_string_equal(inhibited_by(b, why), "nothing");
    struct slot bad = bed_sample(4, 0);
    bad.status = STATUS_BAD;
    bed_put(b, BED_OTHER, &bad, 1);
    bed_run(b, 1);
    assert_non_null(strstr(inhibited_by(b, why), "(not known)"));
    bed_value(b, BED_OTHER, 4, 0);
    assert_string_equal(inhibited_by(b, why), "nothing");
    bed_run(b, 60000); /* silence */
    assert_non_null(strstr(inhibited_by(b, why), "(not known)"));
    bed_free(b);
}

struct told_of {
    size_t count;
    char text[AUDIT_TEXT_SIZE];
};

static void note_certificate(void *context, const struct audit_entry *e)
{
    struct told_of *t = context;
    if (e->kind == AUDIT_CERTIFICATE) {
        t->count++;
        memcpy(t->text, e->text, sizeof t->text);
    }
}

/* A box that says another one each moment fills no disk. */
static void the_audit_has_the_certificates(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct told_of t = {0};
    struct audit_findings f;
    char dir[64];
    _Atomic int64_t *ends = &bed_seat(b, BED_CLOUD)->panel->certificate_ends_ns;
    for (int i = 1; i <= 200; i++) {
        atomic_store(ends, INT64_C(1800000000000000000) + i * INT64_C(86400000000000));
        bed_run(b, 1000);
    }
    snprintf(dir, sizeof dir, "%s-audit", b->dir);
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    struct audit_read read = {
        .disk = &disk_files, .dir = fd, .entry = note_certificate, .context = &t};
    assert_int_equal(audit_verify(&read, &f), 0);
    close(fd);
    assert_true(t.count >= 3 && t.count <= 5);
    assert_non_null(strstr(t.text, "the first of its certificates ends 2027-"));
    assert_non_null(strstr(t.text, "; before: 2027-"));
    bed_free(b);
}

static void lifting_says_what_still_inhibits(void **state)
{
    (void)state;
    struct bed *b = begin();
    struct record_receipt r;
    struct record_command on =
        as(b, BED_CLOUD, SESSION_PERSON, "anna", ROLE_OPERATOR, 1, COMMAND_INHIBIT);
    struct record_command off =
        as(b, BED_CLOUD, SESSION_LOCAL, "local:0", ROLE_ADMINISTRATOR, 2, COMMAND_ALLOW);
    assert_int_equal(answered(b, BED_CLOUD, &on, &r), COMMAND_CONFIRMED);
    b->e->commands.inhibit.file = true;
    assert_int_equal(answered(b, BED_CLOUD, &off, &r), COMMAND_CONFIRMED);
    assert_int_equal(r.after.u64, 1);
    assert_non_null(strstr(r.reason, "the file 'inhibit'"));
    b->e->commands.inhibit.file = false;
    fit_key(b);
    assert_int_equal(answered(b, BED_CLOUD, &on, &r), COMMAND_CONFIRMED);
    assert_int_equal(answered(b, BED_CLOUD, &off, &r), COMMAND_CONFIRMED);
    assert_int_equal(r.after.u64, 1);
    assert_non_null(strstr(r.reason, "key switch w/4"));
    bed_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_goes_all_the_way),
        cmocka_unit_test(what_no_contract_allows_is_refused),
        cmocka_unit_test(a_dry_run_sends_nothing),
        cmocka_unit_test(the_same_id_gives_the_same_receipt),
        cmocka_unit_test(an_old_id_is_not_used_again),
        cmocka_unit_test(a_rate_is_kept),
        cmocka_unit_test(a_second_person_approves),
        cmocka_unit_test(an_approval_comes_in_time_or_never),
        cmocka_unit_test(a_lease_reverts),
        cmocka_unit_test(a_lease_beats),
        cmocka_unit_test(the_operators_hand_wins),
        cmocka_unit_test(a_lease_outlives_the_engine),
        cmocka_unit_test(a_crash_ends_unknown_or_proven),
        cmocka_unit_test(what_waits_in_the_ring_over_a_crash_is_dropped),
        cmocka_unit_test(a_box_that_dies_leaves_it_unknown),
        cmocka_unit_test(another_value_than_wished_is_a_failure),
        cmocka_unit_test(without_an_audit_nothing_is_written),
        cmocka_unit_test(a_flood_is_refused_and_harms_nobody),
        cmocka_unit_test(a_session_says_who_asks),
        cmocka_unit_test(the_inhibit_stops_all_and_is_lifted_only_here),
        cmocka_unit_test(a_key_switch_inhibits_unless_it_is_known_to_be_off),
        cmocka_unit_test(the_audit_has_the_certificates),
        cmocka_unit_test(lifting_says_what_still_inhibits),
    };
    return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
