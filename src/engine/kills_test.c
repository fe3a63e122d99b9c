/* SPDX-License-Identifier: Apache-2.0 */
/* Commands under random kills of the engine, in simulation: callers, approver and devices are played here and keep their own
 * account; of the audit a kill loses what was not written yet, and may tear the last write. Each command ends once, nothing is
 * sent twice or unasked, and device, receipts and audit agree. ISTHMUS_SIM_KILLS says how many kills; CI plays 1,000. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/test_bed.h"
#include "guard/audit_verify.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WISHES_MAX      400u
#define KILLS_PER_WORLD 25u
#define KINDS           48u

/* One tag is played with at a time: what goes to the device is told apart by its value, which is another for each command. */
enum { PLAIN = 1, TWO = 2, LENT = 4 };

struct wish {
    uint8_t id[16];
    double value;
    unsigned sent, done;  /* times that the device got it, that it took it */
    unsigned told[KINDS]; /* by the audit; [0]: refused after it had been let through */
};

struct world {
    struct bed *b;
    uint64_t seed, dice;
    uint32_t tag;
    struct wish wishes[WISHES_MAX];
    size_t count;
    double device;             /* what it holds */
    struct record_write under; /* a write that it has not answered; number 0: none */
    struct wish *whose;        /* NULL: a revert */
    unsigned reverts;
};

static uint64_t roll(struct world *w, uint64_t below)
{
    w->dice ^= w->dice << 13;
    w->dice ^= w->dice >> 7;
    w->dice ^= w->dice << 17;
    return w->dice % below;
}

static uint32_t type_of(uint32_t tag)
{
    return tag == PLAIN ? VALUE_INT32 : tag == TWO ? VALUE_FLOAT64 : VALUE_UINT16;
}

static int box_of(uint32_t tag)
{
    return tag == LENT ? BED_OTHER : BED_FIELD;
}

static union slot_value value_of(uint32_t tag, double v)
{
    return tag == TWO     ? (union slot_value){.f64 = v}
           : tag == PLAIN ? (union slot_value){.i64 = (int64_t)v}
                          : (union slot_value){.u64 = (uint64_t)v};
}

/* ---- Who asks ---- */

static void say(struct world *w, int box, enum command_act act, const struct wish *wish)
{
    struct record_command c = {
        .act = act, .tag = w->tag, .type = type_of(w->tag), .value = value_of(w->tag, wish->value)};
    memcpy(c.id, wish->id, sizeof c.id);
    bed_record(w->b, box, RECORD_COMMAND, 0, &c, sizeof c);
}

static void wish_something(struct world *w)
{
    if (w->count == WISHES_MAX) {
        return;
    }
    struct wish *wish = w->wishes + w->count++;
    uint64_t words[2] = {w->count, w->seed};
    memcpy(wish->id, words, sizeof words);
    wish->value = w->tag == TWO     ? -9 + (double)(w->count % 19) + 0.001 * (double)w->count
                  : w->tag == PLAIN ? (double)(w->count % 100)
                                    : 10 + (double)w->count;
    say(w, BED_CLOUD, COMMAND_WRITE, wish);
}

static void repeat_something(struct world *w)
{
    if (w->count) {
        say(w, BED_CLOUD, COMMAND_WRITE, w->wishes + roll(w, w->count));
    }
}

static void approve_something(struct world *w)
{
    for (size_t i = w->count; w->tag == TWO && i-- > 0 && i + 4 > w->count;) {
        say(w, BED_BRIDGE, COMMAND_APPROVE, w->wishes + i);
    }
}

/* ---- The device ---- */

/* The wish with this value that came last: values come round only after a long time. */
static struct wish *wish_of(struct world *w, double value)
{
    for (size_t i = w->count; i-- > 0;) {
        if (w->wishes[i].value == value) {
            return w->wishes + i;
        }
    }
    return NULL;
}

static void take_writes(struct world *w)
{
    struct record_write write;
    while (!w->under.number &&
           bed_take(w->b, box_of(w->tag), &write, sizeof write) == RECORD_WRITE) {
        if (write.tag != w->tag) {
            continue; /* the heartbeat */
        }
        double value = value_as_double((enum value_type)write.type, write.value);
        w->under = write;
        w->whose = w->tag == LENT && value == 5 ? NULL : wish_of(w, value);
        if (w->whose) {
            assert_int_equal(++w->whose->sent, 1); /* nothing twice, nothing unasked */
        } else {
            assert_true(w->tag == LENT && value == 5);
            w->reverts++;
        }
    }
}

static void answer_write(struct world *w, enum written_end end)
{
    struct record_written r = {.number = w->under.number, .tag = w->tag, .end = end};
    if (!w->under.number) {
        return;
    }
    if (end == WRITTEN_DONE) {
        w->device = value_as_double((enum value_type)w->under.type, w->under.value);
        if (w->whose) {
            w->whose->done++;
        }
    }
    bed_record(w->b, box_of(w->tag), RECORD_WRITTEN, 0, &r, sizeof r);
    w->under.number = 0;
}

static void poll_device(struct world *w)
{
    struct slot s = {.time = w->b->utc_ns, .tag = w->tag};
    s.value = value_of(w->tag, w->device);
    bed_put(w->b, box_of(w->tag), &s, 1);
}

/* ---- The life ---- */

static void drain(struct world *w)
{
    struct record_receipt r;
    for (int box = BED_CLOUD; box <= BED_BRIDGE; box++) {
        while (bed_take(w->b, box, &r, sizeof r)) {
        }
    }
    struct record_write other;
    for (int box = BED_FIELD; w->tag == LENT && box < BED_OTHER; box++) { /* heartbeats of tag 1 */
        while (bed_take(w->b, box, &other, sizeof other)) {
        }
    }
}

static void act_once(struct world *w)
{
    switch (roll(w, 9)) {
    case 0:
    case 1:
        wish_something(w);
        break;
    case 2:
        repeat_something(w);
        break;
    case 3:
        approve_something(w);
        break;
    case 4:
    case 5:
        answer_write(w, roll(w, 5) ? WRITTEN_DONE : WRITTEN_FAILED);
        break;
    case 6:
        w->b->audit_stalls = roll(w, 2);
        break;
    default:
        poll_device(w);
    }
    bed_run(w->b, 1 + (int64_t)roll(w, roll(w, 4) ? 40 : 12000));
    take_writes(w);
    drain(w);
}

static void note(void *context, const struct audit_entry *e)
{
    struct world *w = context;
    for (size_t i = 0; e->kind < KINDS && i < w->count; i++) {
        if (!memcmp(w->wishes[i].id, e->id, sizeof e->id)) {
            unsigned *told = w->wishes[i].told;
            told[e->kind]++;
            told[0] += e->kind == AUDIT_COMMAND_REFUSED && told[AUDIT_COMMAND_REQUESTED];
        }
    }
}

static void read_audit(struct world *w)
{
    char dir[64];
    struct audit_findings f;
    snprintf(dir, sizeof dir, "%s-audit", w->b->dir);
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    struct audit_read read = {.disk = &disk_files, .dir = fd, .entry = note, .context = w};
    assert_int_equal(audit_verify(&read, &f), 0);
    assert_string_equal(f.reason, "");
    close(fd);
}

static uint32_t look(struct world *w, const struct wish *wish, struct record_receipt *r)
{
    uint32_t state = UINT32_MAX;
    say(w, BED_CLOUD, COMMAND_LOOK, wish);
    bed_run(w->b, 1);
    while (bed_take(w->b, BED_CLOUD, r, sizeof *r) == RECORD_RECEIPT) {
        state = r->state;
    }
    return state;
}

static void check(struct world *w, const struct wish *wish)
{
    static const uint32_t kinds[COMMAND_STATE_END] = {[COMMAND_CONFIRMED] = AUDIT_COMMAND_CONFIRMED,
                                                      [COMMAND_REFUSED] = AUDIT_COMMAND_REFUSED,
                                                      [COMMAND_EXPIRED] = AUDIT_COMMAND_EXPIRED,
                                                      [COMMAND_FAILED] = AUDIT_COMMAND_FAILED,
                                                      [COMMAND_UNKNOWN] = AUDIT_COMMAND_UNKNOWN};
    struct record_receipt r;
    uint32_t state = look(w, wish, &r);
    const unsigned *told = wish->told;
    unsigned ends = told[AUDIT_COMMAND_CONFIRMED] + told[AUDIT_COMMAND_EXPIRED] +
                    told[AUDIT_COMMAND_FAILED] + told[AUDIT_COMMAND_UNKNOWN];
    if (told[AUDIT_COMMAND_REQUESTED]) { /* the guard let it through */
        assert_int_equal(told[AUDIT_COMMAND_REQUESTED], 1);
        assert_true(told[AUDIT_COMMAND_SENT] <= 1);
        assert_int_equal(ends + told[0], 1); /* it ended once */
        assert_true(state < COMMAND_STATE_END && kinds[state] && told[kinds[state]]);
    } else { /* never let through, or the intent was lost with the engine */
        assert_int_equal(wish->sent, 0);
        assert_true(state == COMMAND_NEVER_HEARD || state == COMMAND_REFUSED);
    }
    assert_true(!told[AUDIT_COMMAND_SENT] || wish->sent);
    assert_true(state != COMMAND_EXPIRED || !wish->sent);
    /* what another left there within the tolerance proves a command that was killed over, too: the device does hold it */
    assert_true(state != COMMAND_CONFIRMED || wish->sent || w->tag == TWO);
    assert_true(!wish->done || (state != COMMAND_REFUSED && state != COMMAND_EXPIRED));
}

static void live(uint64_t seed, unsigned kills)
{
    static struct world w;
    static const uint32_t tags[] = {PLAIN, TWO, LENT};
    w = (struct world){.b = bed_new(0), .seed = seed, .dice = seed * 2654435761u + 1};
    w.tag = tags[seed % 3];
    bed_run(w.b, 1);
    for (unsigned k = 0; k < kills; k++) {
        for (uint64_t acts = 1 + roll(&w, 14); acts > 0; acts--) {
            act_once(&w);
        }
        bed_kill_engine(w.b, roll(&w, 3) ? 0 : (int64_t)roll(&w, 1600));
    }
    w.b->audit_stalls = false;
    for (int i = 0; i < 90; i++) { /* everything comes to its end */
        bed_run(w.b, 1000);
        take_writes(&w);
        answer_write(&w, WRITTEN_DONE);
        poll_device(&w);
        drain(&w);
    }
    read_audit(&w);
    for (size_t i = 0; i < w.count; i++) {
        check(&w, w.wishes + i);
    }
    bed_free(w.b);
}

static void each_command_ends_once_whatever_is_killed(void **state)
{
    (void)state;
    const char *wanted = getenv("ISTHMUS_SIM_KILLS"), *only = getenv("ISTHMUS_SIM_SEED");
    unsigned kills = wanted ? (unsigned)atoi(wanted) : 1000;
    for (uint64_t seed = 1; seed * KILLS_PER_WORLD <= kills && !only; seed++) {
        print_message("world %u\n", (unsigned)seed);
        live(seed, KILLS_PER_WORLD);
    }
    if (only) {
        live((uint64_t)atoi(only), KILLS_PER_WORLD);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_command_ends_once_whatever_is_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
