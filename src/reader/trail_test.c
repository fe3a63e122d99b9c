/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's audit, asked for: by whom, from where, and what is told of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "journal/sim_disk.h"
#include "reader/world.h"

static const uint8_t secret[32] = {1};

struct desk { /* a world with an audit in it */
    struct world *w;
    struct sim *sim;
    struct audit *audit;
    struct audit_tail tail;
    struct audit_entry rows[64];
    size_t row_count, end_count;
    struct answer end;
};

static void desk_open(struct desk *d)
{
    memset(d, 0, sizeof *d);
    d->w = world_new(false);
    d->sim = sim_new(1);
    struct audit_options o = {.dir = "/tmp", /* it is the simulation's folder in truth */
                              .disk = sim_disk(d->sim),
                              .clock = sim_clock(d->sim),
                              .secret = secret,
                              .gateway = "test",
                              .end = &d->w->engine.audit_end,
                              .stepped = true};
    assert_int_equal(audit_open(&d->audit, &o), 0);
    audit_tail_init(&d->tail, sim_disk(d->sim), 0);
    d->w->core->trail = &d->tail;
    d->w->core->links[0].audit = true; /* as the configuration says of WORLD_CLOUD */
}

static void desk_close(struct desk *d)
{
    audit_close(d->audit);
    audit_tail_fini(&d->tail);
    sim_free(d->sim);
    world_free(d->w);
}

static void act(struct desk *d, uint64_t detail)
{
    struct audit_entry e = {.kind = AUDIT_SIGN_IN, .utc_ns = 1, .detail = detail};
    uint64_t ticket;
    assert_int_equal(audit_append(d->audit, &e, false, &ticket), 0);
    audit_turn(d->audit);
}

/* What the box was answered since the last look. */
static void look(struct desk *d, uint32_t box)
{
    struct slot slots[SLOT_RECORD_MAX];
    d->row_count = d->end_count = 0;
    do {
        world_run(d->w);
        for (int count; (count = ring_take(&d->w->answer[box], slots, SLOT_RECORD_MAX)) > 0;) {
            size_t length = slot_record_length(slots);
            struct answer a;
            memcpy(&a, slot_payload(slots), sizeof a);
            if (a.kind == ANSWER_ROW) {
                assert_int_equal(slots->value.u64 - sizeof a, sizeof *d->rows);
                memcpy(d->rows + d->row_count++, slot_payload(slots) + sizeof a, sizeof *d->rows);
            } else {
                d->end = a;
                d->end_count++;
            }
            ring_step_back(&d->w->answer[box], (size_t)count - length);
            ring_release(&d->w->answer[box], d->w->answer[box].next);
        }
        world_run(d->w);
    } while (ring_waiting(&d->w->answer[box]));
}

static void ask(struct desk *d, uint32_t box, struct ask a)
{
    a.kind = ASK_AUDIT;
    a.request = 1;
    world_ask(d->w, box, &a);
    look(d, box);
}

static void it_is_told_from_any_number_on(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    for (uint64_t i = 1; i <= 10; i++) {
        act(&d, i);
    }
    ask(&d, WORLD_CLOUD, (struct ask){.from_sequence = 1, .max_records = 4});
    assert_true(d.row_count == 4 && d.end_count == 1 && d.end.error == 0);
    assert_true(d.rows[0].number == 1 && d.rows[3].number == 4);
    assert_true(d.end.covers.from == 1 && d.end.covers.to == 5);
    ask(&d, WORLD_CLOUD, (struct ask){.from_sequence = 5, .max_records = 60});
    assert_true(d.row_count == 6 && d.end.covers.to == 11);
    /* nothing there: answered when there is something … */
    ask(&d, WORLD_CLOUD, (struct ask){.from_sequence = 11, .max_records = 60, .max_ms = 60000});
    assert_int_equal(d.end_count, 0);
    act(&d, 11);
    world_pass(d.w, 100);
    look(&d, WORLD_CLOUD);
    assert_true(d.row_count == 1 && d.end_count == 1 && d.rows[0].detail == 11);
    /* … or after a time */
    ask(&d, WORLD_CLOUD, (struct ask){.from_sequence = 12, .max_records = 60, .max_ms = 2000});
    assert_int_equal(d.end_count, 0);
    world_pass(d.w, 2000);
    look(&d, WORLD_CLOUD);
    assert_true(d.row_count == 0 && d.end_count == 1 && d.end.error == 0);
    assert_true(d.end.covers.from == 12 && d.end.covers.to == 12);
    desk_close(&d);
}

static void what_is_not_on_disk_is_not_told(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    act(&d, 1);
    sim_fail(d.sim, SIM_FLUSH, 1, 1, ERR_IO);
    act(&d, 2);
    ask(&d, WORLD_CLOUD, (struct ask){.from_sequence = 1, .max_records = 60});
    assert_true(d.row_count == 1 && d.rows[0].detail == 1 && d.end.covers.to == 2);
    desk_close(&d);
}

static void another_audit_is_told_from_the_known_one(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    act(&d, 1);
    ask(&d, WORLD_CLOUD, (struct ask){.from_sequence = 500, .max_records = 60, .max_ms = 60000});
    assert_true(d.end_count == 1 && d.row_count == 0 && d.end.covers.to == 2);
    desk_close(&d);
}

static void damage_is_stepped_over(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    for (uint64_t i = 1; i <= 5; i++) {
        act(&d, i);
    }
    sim_flip(d.sim, "0000000000000001.audit", 512 * 3 + 100, 1);
    ask(&d, WORLD_CLOUD, (struct ask){.from_sequence = 1, .max_records = 60});
    assert_true(d.row_count == 4 && d.rows[2].number == 4 && d.end.covers.to == 6);
    desk_close(&d);
}

/* To see all tags is not enough: it takes the configuration's word, or a session whose role may. */
static void only_who_may_read_it_does(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    act(&d, 1);
    struct ask a = {.from_sequence = 1, .max_records = 60};
    ask(&d, WORLD_CONSOLE, a);
    assert_true(d.row_count == 0 && d.end.error == (uint32_t)-ERR_PERMISSION);
    for (uint32_t role = ROLE_VIEWER; role < ROLE_END; role++) {
        struct session s = {.role = role, .box = WORLD_CONSOLE, .end_mono_ns = INT64_MAX};
        assert_int_equal(session_add(&d.w->g.identity->sessions, &s, a.session), 0);
        ask(&d, WORLD_CONSOLE, a);
        bool may = role == ROLE_SECURITY || role == ROLE_ADMINISTRATOR;
        assert_int_equal(d.row_count, may);
        assert_true(d.end.error == (may ? 0 : (uint32_t)-ERR_PERMISSION));
    }
    desk_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_told_from_any_number_on),
        cmocka_unit_test(what_is_not_on_disk_is_not_told),
        cmocka_unit_test(another_audit_is_told_from_the_known_one),
        cmocka_unit_test(damage_is_stepped_over),
        cmocka_unit_test(only_who_may_read_it_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
