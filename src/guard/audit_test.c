/* SPDX-License-Identifier: Apache-2.0 */
/* The audit: what is appended is there again after any loss of power, and whoever touches it is found out. */
#include "guard/audit_tail.h"
#include "guard/audit_verify.h"

#include "journal/sim_disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FILE_ENTRIES 16u

static const uint8_t secret[32] = {1, 2, 3};

static _Atomic uint64_t end_told;

static struct audit *open_on(struct sim *sim)
{
    struct audit *a;
    struct audit_options o = {.dir = "/tmp", /* it is the simulation's folder in truth */
                              .disk = sim_disk(sim),
                              .clock = sim_clock(sim),
                              .secret = secret,
                              .gateway = "test",
                              .file_entries = FILE_ENTRIES,
                              .end = &end_told,
                              .stepped = true};
    int err = audit_open(&a, &o);
    if (err && !sim_is_dead(sim)) {
        print_error("%s\n", err_text(err));
    }
    return err ? NULL : a;
}

static int append(struct audit *a, uint64_t detail, bool reserve, uint64_t *ticket)
{
    struct audit_entry e = {
        .kind = AUDIT_SIGN_IN, .utc_ns = 1, .detail = detail, .who = "user:anna"};
    return audit_append(a, &e, reserve, ticket);
}

/* Appends `count` entries with details from `from` on, and lets them be written. */
static void fill(struct audit *a, uint64_t from, uint64_t count)
{
    uint64_t ticket = 0;
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(append(a, from + i, false, &ticket), 0);
    }
    while (audit_turn(a)) {
    }
    assert_true(audit_durable(a) == ticket + 1);
}

struct seen {
    uint64_t count, next, recovered, last_detail;
};

static void see(void *context, const struct audit_entry *e)
{
    struct seen *s = context;
    s->recovered += e->kind == AUDIT_RECOVERED;
    if (e->kind == AUDIT_SIGN_IN) {
        assert_true(e->detail > s->last_detail); /* each once, in order */
        s->last_detail = e->detail;
        s->count++;
    }
}

static struct audit_findings verify(struct sim *sim, struct seen *s)
{
    struct audit_findings f;
    struct seen none = {0};
    struct audit_read read = {
        .disk = sim_disk(sim), .dir = 0, .entry = s ? see : NULL, .context = s ? s : &none};
    assert_int_equal(audit_verify(&read, &f), 0);
    return f;
}

static void expect_sound(struct sim *sim, uint64_t entries)
{
    struct seen s = {0};
    struct audit_findings f = verify(sim, &s);
    assert_string_equal(f.reason, "");
    assert_int_equal(s.count, entries);
}

static struct sim *filled(uint64_t entries)
{
    struct sim *sim = sim_new(1);
    struct audit *a = open_on(sim);
    assert_non_null(a);
    for (uint64_t i = 1; i <= entries; i += 5) {
        fill(a, i, i + 5 <= entries + 1 ? 5 : entries + 1 - i);
    }
    audit_close(a);
    return sim;
}

static void it_goes_on_over_files_and_starts(void **state)
{
    (void)state;
    struct sim *sim = filled(100);
    struct seen s = {0};
    struct audit_findings f = verify(sim, &s);
    assert_string_equal(f.reason, "");
    assert_true(s.count == 100 && s.recovered == 0 && f.files > 6);
    assert_true(f.proven == f.last); /* an orderly end is signed */
    struct audit *a = open_on(sim);
    struct seen again = {0};
    assert_int_equal(audit_recall(a, see, &again), 0);
    assert_true(again.last_detail == 100 && again.count >= FILE_ENTRIES - 2);
    fill(a, 101, 3);
    audit_close(a);
    expect_sound(sim, 103);
    sim_free(sim);
}

struct names {
    char names[64][AUDIT_NAME_SIZE];
    size_t count;
};

static void note(void *to, const char *name)
{
    struct names *n = to;
    uint64_t first;
    if (audit_name_parse(name, &first)) {
        snprintf(n->names[n->count++], AUDIT_NAME_SIZE, "%s", name);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static struct names files_of(struct sim *sim)
{
    struct names n = {.count = 0};
    const struct disk *d = sim_disk(sim);
    assert_int_equal(d->list(d->context, 0, note, &n), 0);
    qsort(n.names, n.count, sizeof n.names[0], by_name);
    return n;
}

/* One bit anywhere in an entry or a header: found, and the right one is named. */
static void every_flipped_bit_is_found(void **state)
{
    (void)state;
    struct sim *sim = filled(20);
    struct names n = files_of(sim);
    for (size_t k = 0; k < n.count; k++) {
        size_t size;
        uint64_t first;
        assert_non_null(sim_bytes(sim, n.names[k], &size));
        assert_true(audit_name_parse(n.names[k], &first));
        for (size_t at = 0; at < size; at++) {
            sim_flip(sim, n.names[k], at, (unsigned)(at % 8));
            struct audit_findings f = verify(sim, NULL);
            assert_true(f.reason[0]);
            assert_string_equal(f.file, n.names[k]);
            assert_int_equal(f.damaged, at < 512 ? first : first + at / 512 - 1);
            sim_flip(sim, n.names[k], at, (unsigned)(at % 8));
        }
    }
    expect_sound(sim, 20);
    sim_free(sim);
}

static void put(struct sim *sim, const char *name, size_t place, const struct audit_entry *e)
{
    const struct disk *d = sim_disk(sim);
    int fd = d->open(d->context, 0, name, 2);
    assert_true(fd >= 0);
    assert_int_equal(d->write(d->context, fd, e, sizeof *e, 512 * (place + 1)), sizeof *e);
    d->close(d->context, fd);
}

/* Also by somebody who can count checksums and hashes, but has no key. */
static void a_forger_is_found(void **state)
{
    (void)state;
    struct sim *sim = filled(9);
    struct names n = files_of(sim);
    size_t size;
    struct audit_entry e[FILE_ENTRIES];
    const uint8_t *bytes = sim_bytes(sim, n.names[0], &size);
    memcpy(e, bytes + 512, size - 512);
    size_t count = size / 512 - 1;
    const struct {
        size_t to, from;
        const char *reason;
    } moves[] = {{3, 4, "later"}, {4, 3, "earlier"}};
    for (size_t i = 0; i < 2; i++) { /* an entry over another */
        put(sim, n.names[0], moves[i].to, e + moves[i].from);
        struct audit_findings f = verify(sim, NULL);
        if (f.damaged != moves[i].to + 1 || !strstr(f.reason, moves[i].reason)) {
            fail_msg("entry %u: %s", (unsigned)f.damaged, f.reason);
        }
        put(sim, n.names[0], moves[i].to, e + moves[i].to);
    }
    struct audit_entry forged[FILE_ENTRIES];
    memcpy(forged, e, sizeof forged);
    forged[2].detail = 99; /* and everything behind it made to follow */
    for (size_t i = 2; i < count; i++) {
        if (i > 2) {
            audit_hash(forged + i - 1, forged[i].previous);
        }
        audit_entry_close(forged + i);
        put(sim, n.names[0], i, forged + i);
    }
    struct audit_findings f = verify(sim, NULL);
    assert_true(strstr(f.reason, "signature") && f.proven < 3);
    sim_free(sim);
}

static void a_missing_file_is_found(void **state)
{
    (void)state;
    struct sim *sim = filled(60);
    struct names n = files_of(sim);
    sim_lose(sim, n.names[1]);
    struct audit_findings f = verify(sim, NULL);
    assert_non_null(strstr(f.reason, "missing"));
    sim_free(sim);
}

/* Power cuts at every write and flush, with what was not flushed dropped, torn or reordered: what was acknowledged is
 * there, and each start goes on behind it. */
static void power_cuts_take_nothing_acknowledged(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct sim *sim = sim_new(seed);
        uint64_t next = 1, acknowledged = 0;
        for (int life = 0; life < 4; life++) {
            sim_cut_power(sim, 1 + sim_random(sim, 14));
            struct audit *a = open_on(sim);
            while (a && !sim_is_dead(sim) && next < 1000) {
                uint64_t ticket, first = next;
                for (uint64_t i = sim_random(sim, 6); i > 0; i--) {
                    next += append(a, next, false, &ticket) == 0;
                }
                audit_turn(a);
                if (!sim_is_dead(sim) && !audit_failed(a) && next > first &&
                    audit_durable(a) > ticket) {
                    acknowledged = next - 1;
                }
            }
            audit_close(a);
            sim_power_on(sim);
            a = open_on(sim);
            assert_non_null(a);
            struct seen s = {0};
            assert_int_equal(audit_recall(a, see, &s), 0);
            if (s.last_detail < acknowledged) {
                fail_msg("seed %u, life %d: %u of %u", (unsigned)seed, life,
                         (unsigned)s.last_detail, (unsigned)acknowledged);
            }
            next = s.last_detail + 1 > next ? s.last_detail + 1 : next;
            audit_close(a);
        }
        struct seen s = {0};
        struct audit_findings f = verify(sim, &s);
        if (f.reason[0]) {
            fail_msg("seed %u: entry %u: %s", (unsigned)seed, (unsigned)f.damaged, f.reason);
        }
        sim_free(sim);
    }
}

static void a_failed_flush_begins_a_new_file(void **state)
{
    (void)state;
    struct sim *sim = sim_new(1);
    struct audit *a = open_on(sim);
    fill(a, 1, 3);
    uint64_t ticket;
    assert_int_equal(append(a, 4, false, &ticket), 0);
    sim_fail(sim, SIM_FLUSH, 1, 1, ERR_IO);
    audit_turn(a);
    assert_true(audit_failed(a) && audit_durable(a) <= ticket);
    sim_pass(sim, 2 * NS_PER_S);
    while (audit_turn(a)) {
    }
    assert_true(!audit_failed(a) && audit_durable(a) > ticket);
    audit_close(a);
    struct seen s = {0};
    struct audit_findings f = verify(sim, &s);
    assert_string_equal(f.reason, "");
    assert_true(s.count == 4 && s.recovered == 1 && f.void_entries == 1);
    sim_free(sim);
}

/* A process that is killed leaves what it wrote in the page cache, some of it lost by a flush that failed; then the power
 * goes. What the next life went on from is there. */
static void kills_leave_nothing_that_power_takes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct sim *sim = sim_new(seed);
        struct audit *a = open_on(sim);
        uint64_t ticket;
        fill(a, 1, 3);
        assert_int_equal(append(a, 4, false, &ticket), 0);
        sim_fail(sim, SIM_FLUSH, 1, 1, ERR_IO);
        audit_turn(a);
        sim_kill(sim);
        audit_close(a);
        sim_revive(sim);
        sim_heal(sim);
        a = open_on(sim);
        struct seen found = {0};
        assert_non_null(a);
        assert_int_equal(audit_recall(a, see, &found), 0);
        assert_true(found.last_detail == found.count && found.count >= 3);
        fill(a, 5, 1);
        sim_cut_power(sim, 1);
        audit_close(a);
        sim_power_on(sim);
        struct seen s = {0};
        struct audit_findings f = verify(sim, &s);
        if (f.reason[0] || s.last_detail != 5 || s.count != found.count + 1) {
            fail_msg("seed %u: %u entries up to %u; entry %u: %s", (unsigned)seed,
                     (unsigned)s.count, (unsigned)s.last_detail, (unsigned)f.damaged, f.reason);
        }
        sim_free(sim);
    }
}

/* The newest file, damaged among what was acknowledged: a start tells of it, forgets nothing of what is whole, and does not
 * let it look sound again. */
static void damage_stays_to_be_found(void **state)
{
    (void)state;
    for (size_t place = 0; place <= 8; place++) { /* 0: the header */
        struct sim *sim = filled(12);
        struct names n = files_of(sim);
        sim_flip(sim, n.names[0], 512 * place + 100, 1);
        struct audit *a = open_on(sim);
        struct seen s = {0};
        assert_non_null(a);
        assert_int_equal(audit_recall(a, see, &s), 0);
        assert_int_equal(s.count, place ? 11 : 12);
        fill(a, 13, 2);
        audit_close(a);
        s = (struct seen){0};
        struct audit_findings f = verify(sim, &s);
        assert_string_equal(f.file, n.names[0]);
        assert_int_equal(f.damaged, place ? place : 1);
        assert_int_equal(f.proven, 0);
        assert_true(s.count == (place ? 13 : 14) && s.recovered == 1);
        sim_free(sim);
    }
}

/* Wherever the newest file ends: a start goes on, and all before is there. */
static void every_cut_is_recovered(void **state)
{
    (void)state;
    for (size_t size = 0; size < 512 * 9; size += 64) {
        struct sim *sim = filled(8);
        struct names n = files_of(sim);
        sim_shorten(sim, n.names[0], size);
        struct audit *a = open_on(sim);
        assert_non_null(a);
        fill(a, 100, 2);
        audit_close(a);
        expect_sound(sim, (size < 512 ? 0 : size / 512 - 1) + 2);
        sim_free(sim);
    }
}

/* A full disk takes no more of what is ordinary once the spare file is in use, but reverts and inhibits to its end. */
static void a_full_disk_takes_the_reserve(void **state)
{
    (void)state;
    struct sim *sim = sim_new(1);
    struct audit *a = open_on(sim);
    uint64_t ticket, taken = 0;
    fill(a, 1, 1);
    sim_space(sim, sim_used(sim));
    while (append(a, 2 + taken, false, &ticket) == 0) {
        taken++;
        while (audit_turn(a)) {
        }
        assert_true(taken < 2 * FILE_ENTRIES && !audit_failed(a) && audit_durable(a) > ticket);
    }
    uint64_t reserve = 0;
    while (reserve < FILE_ENTRIES - 4) {
        assert_int_equal(append(a, 2 + taken, false, &ticket), ERR_FULL);
        assert_int_equal(append(a, 2 + taken + reserve++, true, &ticket), 0);
        while (audit_turn(a)) {
        }
        assert_true(!audit_failed(a) && audit_durable(a) > ticket);
    }
    sim_heal(sim);
    assert_int_equal(append(a, 2 + taken + reserve, true, &ticket), 0);
    while (audit_turn(a)) {
    }
    fill(a, 3 + taken + reserve, 5);
    audit_close(a);
    expect_sound(sim, 2 + taken + reserve + 5);
    sim_free(sim);
}

/* The nth write, flush or making of a file fails, once or for a while: all is durable in the end, and each once. */
static void whatever_fails_once_loses_nothing(void **state)
{
    (void)state;
    const enum sim_call calls[] = {SIM_OPEN,      SIM_WRITE,    SIM_FLUSH,
                                   SIM_FLUSH_DIR, SIM_ALLOCATE, SIM_TRUNCATE};
    for (size_t c = 0; c < sizeof calls / sizeof *calls; c++) {
        for (uint64_t nth = 1; nth <= 24; nth++) {
            struct sim *sim = sim_new(nth);
            struct audit *a = open_on(sim);
            uint64_t ticket = 0, next = 1;
            sim_fail(sim, calls[c], nth, 1 + nth % 3, nth % 2 ? ERR_IO : ERR_FULL);
            for (int round = 0; round < 40; round++) {
                for (int i = 0; i < 3; i++) {
                    next += append(a, next, true, &ticket) == 0;
                }
                while (audit_turn(a)) {
                }
                sim_pass(sim, NS_PER_S);
            }
            sim_heal(sim);
            sim_pass(sim, 2 * NS_PER_S);
            while (audit_turn(a)) {
            }
            assert_true(!audit_failed(a) && audit_durable(a) == ticket + 1);
            audit_close(a);
            expect_sound(sim, next - 1);
            sim_free(sim);
        }
    }
}

/* While a flush hangs, whoever appends goes on until the buffer is full; what is of the reserve has a part of its own. */
static void a_stalled_disk_delays_no_append(void **state)
{
    (void)state;
    struct sim *sim = sim_new(1);
    struct audit *a = open_on(sim); /* nobody writes: as if the flush hung for ever */
    uint64_t ticket, ordinary = 0, reserve = 0;
    while (append(a, 1 + ordinary, false, &ticket) == 0) {
        ordinary++;
    }
    while (append(a, 1 + ordinary + reserve, true, &ticket) == 0) {
        reserve++;
    }
    assert_int_equal(ordinary + reserve, AUDIT_BUFFER_ENTRIES);
    assert_int_equal(reserve, AUDIT_BUFFER_ENTRIES / 4);
    while (audit_turn(a)) {
    }
    assert_true(audit_durable(a) == ticket + 1);
    audit_close(a);
    expect_sound(sim, ordinary + reserve);
    sim_free(sim);
}

/* Reads on up to what is on disk; adds to what was seen. Returns how many entries it stepped over. */
static uint64_t read_on(struct audit_tail *t, uint64_t *number, struct seen *s)
{
    struct audit_entry e;
    uint64_t stepped = 0, expected = *number;
    for (;;) {
        size_t budget = 3; /* a small one ends nothing */
        int found = audit_tail_read(t, number, end_told, &budget, &e);
        assert_true(found >= 0);
        if (!found && *number >= end_told) {
            return stepped + *number - expected;
        }
        if (found) {
            assert_int_equal(e.number, *number);
            stepped += *number - expected;
            see(s, &e);
            expected = ++*number;
        }
    }
}

static void whoever_follows_sees_each_entry_once(void **state)
{
    (void)state;
    struct sim *sim = sim_new(1);
    struct audit_tail t;
    struct seen s = {0};
    uint64_t number = 1, ticket;
    struct audit *a = open_on(sim);
    assert_int_equal(end_told, 1);
    audit_tail_init(&t, sim_disk(sim), 0);
    for (uint64_t i = 1; i <= 60; i += 3) { /* over files */
        fill(a, i, 3);
        assert_int_equal(read_on(&t, &number, &s), 0);
        assert_int_equal(s.count, i + 2);
    }
    assert_int_equal(append(a, 61, false, &ticket), 0);
    sim_fail(sim, SIM_FLUSH, 1, 1, ERR_IO); /* what is in the file now counts for nothing */
    audit_turn(a);
    assert_int_equal(read_on(&t, &number, &s), 0);
    assert_int_equal(s.count, 60);
    sim_pass(sim, 2 * NS_PER_S);
    fill(a, 62, 4);
    assert_int_equal(read_on(&t, &number, &s), 0);
    assert_true(s.count == 65 && s.recovered == 1);
    audit_close(a);
    assert_int_equal(read_on(&t, &number, &s), 0);
    uint64_t last = number;
    a = open_on(sim);
    fill(a, 66, 2);
    assert_int_equal(read_on(&t, &number, &s), 0);
    assert_true(s.count == 67 && number > last);
    audit_close(a);
    audit_tail_fini(&t);
    sim_free(sim);
}

static void whoever_follows_steps_over_what_is_not_there(void **state)
{
    (void)state;
    struct sim *sim = filled(60);
    struct names n = files_of(sim);
    struct audit_tail t;
    struct seen s = {0};
    uint64_t number = 1;
    sim_lose(sim, n.names[0]); /* archived */
    sim_flip(sim, n.names[2], 512 * 3 + 100, 1);
    audit_tail_init(&t, sim_disk(sim), 0);
    uint64_t second;
    assert_true(audit_name_parse(n.names[1], &second));
    assert_int_equal(read_on(&t, &number, &s), second);
    assert_int_equal(number, end_told);
    audit_tail_fini(&t);
    sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_goes_on_over_files_and_starts),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(a_forger_is_found),
        cmocka_unit_test(a_missing_file_is_found),
        cmocka_unit_test(power_cuts_take_nothing_acknowledged),
        cmocka_unit_test(a_failed_flush_begins_a_new_file),
        cmocka_unit_test(kills_leave_nothing_that_power_takes),
        cmocka_unit_test(damage_stays_to_be_found),
        cmocka_unit_test(every_cut_is_recovered),
        cmocka_unit_test(a_full_disk_takes_the_reserve),
        cmocka_unit_test(whatever_fails_once_loses_nothing),
        cmocka_unit_test(a_stalled_disk_delays_no_append),
        cmocka_unit_test(whoever_follows_sees_each_entry_once),
        cmocka_unit_test(whoever_follows_steps_over_what_is_not_there),
    };
    return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
