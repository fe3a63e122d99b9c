/* SPDX-License-Identifier: Apache-2.0 */
/* Sign-ins on their way through the engine, and what the audit hears of them. The identity is played by the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/test_bed.h"
#include "guard/audit_verify.h"
#include "guard/vouch.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct identity {
    struct ring_producer up;
    struct ring_consumer down;
    struct slot slots[SLOT_RECORD_MAX];
};

static void attach(struct bed *b, struct identity *d)
{
    struct seat *s = b->g->seats + SEAT_IDENTITY;
    assert_int_equal(ring_producer_init(&d->up, s->up, s->up_capacity, s->up_tail, -1), 0);
    assert_int_equal(ring_consumer_init(&d->down, s->down, s->down_capacity, s->down_tail), 0);
}

static bool take(struct identity *d, struct sign_request *out)
{
    int n = ring_take(&d->down, d->slots, SLOT_RECORD_MAX);
    if (n <= 0) {
        return false;
    }
    size_t length = slot_record_length(d->slots);
    assert_int_equal(d->slots[0].tag, record_tag(RECORD_SIGN));
    memcpy(out, slot_payload(d->slots), (size_t)d->slots[0].value.u64);
    assert_int_equal(d->slots[0].value.u64, sign_request_size(out->kind));
    ring_step_back(&d->down, (size_t)n - length);
    ring_release(&d->down, d->down.next);
    return true;
}

static void say(struct bed *b, struct identity *d, const struct sign_answer *answer)
{
    struct slot head = {.tag = record_tag(RECORD_SIGNED)};
    assert_int_equal(ring_put_record(&d->up, &head, answer, sizeof *answer), 0);
    ring_publish(&d->up);
    bed_run(b, 1);
}

static void ask(struct bed *b, int box, enum sign_kind kind)
{
    struct sign_request request = {.id = {7}, .asker = 999, .kind = kind, .name = "ada"};
    bed_record(b, box, RECORD_SIGN, 0, &request, sign_request_size(kind));
    bed_run(b, 1);
}

static bool is_condemned(struct bed *b, int box)
{
    return atomic_load(&bed_seat(b, box)->verdict->raised) > 0;
}

static void a_sign_in_goes_there_and_back(void **state)
{
    (void)state;
    struct bed *b = bed_new(10);
    struct identity d;
    struct sign_request request;
    struct sign_answer answer = {.id = {7}, .asker = BED_CLOUD, .kind = SIGN_IN, .role = 3}, got;
    attach(b, &d);
    bed_run(b, 1);
    ask(b, BED_CLOUD, SIGN_IN);
    assert_true(take(&d, &request));
    assert_int_equal(request.asker, BED_CLOUD); /* whatever it said itself */
    assert_string_equal(request.name, "ada");
    assert_false(take(&d, &request));
    say(b, &d, &answer);
    assert_int_equal(bed_take(b, BED_BRIDGE, &got, sizeof got), 0);
    assert_int_equal(bed_take(b, BED_CLOUD, &got, sizeof got), RECORD_SIGNED);
    assert_memory_equal(&got, &answer, sizeof got);
    bed_free(b);
}

static void a_flood_is_told_to_be_busy(void **state)
{
    (void)state;
    struct bed *b = bed_new(10);
    struct identity d;
    struct sign_request request;
    struct sign_answer got;
    uint32_t passed = 0, busy = 0;
    attach(b, &d);
    bed_run(b, 1);
    for (int i = 0; i < 40; i++) {
        ask(b, BED_CLOUD, SIGN_IN);
        while (bed_take(b, BED_CLOUD, &got, sizeof got)) {
            assert_int_equal(got.status, SIGN_BUSY);
            assert_int_equal(got.id[0], 7);
            busy++;
        }
    }
    while (take(&d, &request)) {
        passed++;
    }
    assert_int_equal(passed + busy, 40);
    assert_true(passed >= 20 && busy > 0);
    bed_free(b);
}

/* The identity needs not wait for a box that is not there, or is none of a provider. */
static void a_provider_that_is_not_there_is_told(void **state)
{
    (void)state;
    struct bed *b = bed_new(10);
    struct identity d;
    struct vouch_answer got;
    attach(b, &d);
    bed_run(b, 1);
    for (uint32_t i = 0; i < 2; i++) {
        struct vouch_request request = {
            .id = {5}, .provider = i ? 999 : BED_CLOUD, .act = VOUCH_BEGIN};
        struct slot head = {.tag = record_tag(RECORD_VOUCH)};
        assert_int_equal(ring_put_record(&d.up, &head, &request, sizeof request), 0);
        ring_publish(&d.up);
        bed_run(b, 1);
        int n = ring_take(&d.down, d.slots, SLOT_RECORD_MAX);
        assert_true(n > 0);
        assert_int_equal(d.slots[0].tag, record_tag(RECORD_VOUCHED));
        assert_int_equal(d.slots[0].value.u64, sizeof got);
        memcpy(&got, slot_payload(d.slots), sizeof got);
        assert_int_equal(got.id[0], 5);
        assert_int_equal(got.act, VOUCH_BEGIN);
        assert_int_equal(got.status, VOUCH_FAR);
        ring_release(&d.down, d.down.next);
    }
    bed_free(b);
}

static void garbage_condemns_whoever_wrote_it(void **state)
{
    (void)state;
    static const struct {
        int box;
        enum record_kind kind;
        size_t size;
    } wrong[] = {
        {BED_FIELD, RECORD_SIGN, sizeof(struct sign_request)}, /* no north box */
        {BED_CLOUD, RECORD_SIGN, sizeof(struct sign_request) - 1},
        {BED_CLOUD, RECORD_SIGN, sizeof(struct sign_request)}, /* only SIGN_FINISH is so long */
        {BED_CLOUD, RECORD_VOUCH, sizeof(struct vouch_request)},
        {BED_CLOUD, RECORD_VOUCHED, sizeof(struct vouch_answer)}, /* it vouches for nobody */
        {BED_CLOUD, RECORD_SIGN, 0},
        {BED_CLOUD, RECORD_SIGNED, sizeof(struct sign_answer)}, /* not the identity */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        static const uint8_t zeros[sizeof(struct sign_request) + sizeof(struct sign_answer)];
        struct bed *b = bed_new(10);
        struct identity d;
        struct sign_request request;
        attach(b, &d);
        bed_run(b, 1);
        bed_record(b, wrong[i].box, wrong[i].kind, 0, zeros, wrong[i].size);
        bed_run(b, 1);
        assert_true(is_condemned(b, wrong[i].box));
        assert_false(take(&d, &request));
        bed_free(b);
    }
    struct bed *b = bed_new(10);
    struct identity d;
    attach(b, &d);
    bed_run(b, 1);
    say(b, &d, &(struct sign_answer){.asker = BED_FIELD}); /* who can't have asked */
    assert_true(atomic_load(&b->g->seats[SEAT_IDENTITY].verdict->raised) > 0);
    bed_free(b);
}

struct heard {
    struct audit_entry entries[64];
    size_t count;
};

static void note(void *context, const struct audit_entry *e)
{
    struct heard *h = context;
    if (e->kind >= AUDIT_SIGN_IN && h->count < 64) {
        h->entries[h->count++] = *e;
    }
}

static void hear(struct bed *b, struct heard *h)
{
    char dir[64];
    struct audit_findings f;
    *h = (struct heard){.count = 0};
    snprintf(dir, sizeof dir, "%s-audit", b->dir);
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    struct audit_read read = {.disk = &disk_files, .dir = fd, .entry = note, .context = h};
    assert_int_equal(audit_verify(&read, &f), 0);
    close(fd);
}

static void the_audit_hears_of_it(void **state)
{
    (void)state;
    struct bed *b = bed_new(10);
    struct identity d;
    struct heard h;
    struct sign_answer answer = {.asker = BED_CLOUD,
                                 .kind = SIGN_IN,
                                 .name = "ada",
                                 .session_kind = SESSION_PERSON,
                                 .subject = "ada",
                                 .address = {[10] = 0xff, 0xff, 10, 0, 0, 7}};
    attach(b, &d);
    bed_run(b, 1);
    say(b, &d, &answer);
    answer.kind = SIGN_ACCOUNT_REMOVE;
    strcpy(answer.subject, "bob");
    say(b, &d, &answer);
    answer.kind = SIGN_WHO;
    say(b, &d, &answer);
    answer.status = SIGN_WRONG;
    answer.kind = SIGN_IN;
    for (int i = 0; i < 30; i++) { /* in the same second */
        say(b, &d, &answer);
    }
    bed_run(b, 1000);
    say(b, &d, &answer);
    bed_run(b, 1);
    hear(b, &h);
    assert_int_equal(h.count, 2 + 10 + 1);
    assert_int_equal(h.entries[0].kind, AUDIT_SIGN_IN);
    assert_string_equal(h.entries[0].who, "user:ada");
    assert_string_equal(h.entries[0].where, "cloud");
    assert_non_null(strstr(h.entries[0].text, "from 10.0.0.7"));
    assert_int_equal(h.entries[1].kind, AUDIT_ACCOUNT_CHANGED);
    assert_string_equal(h.entries[1].subject, "bob");
    assert_string_equal(h.entries[2].who, "");
    assert_int_equal(h.entries[2].kind, AUDIT_SIGN_IN_FAILED);
    assert_int_equal(h.entries[12].detail, 20); /* those that were only counted */
    bed_free(b);
}

static void without_an_audit_nobody_is_made_and_all_may_sign_in(void **state)
{
    (void)state;
    struct bed *b = bed_new(10);
    struct identity d;
    struct sign_request request;
    struct sign_answer got;
    attach(b, &d);
    bed_run(b, 1);
    b->e->audit = NULL;
    ask(b, BED_CLOUD, SIGN_ACCOUNT_ADD);
    assert_false(take(&d, &request));
    assert_int_equal(bed_take(b, BED_CLOUD, &got, sizeof got), RECORD_SIGNED);
    assert_int_equal(got.status, SIGN_BROKEN);
    ask(b, BED_CLOUD, SIGN_IN);
    assert_true(take(&d, &request));
    say(b, &d, &(struct sign_answer){.asker = BED_CLOUD, .kind = SIGN_IN});
    assert_int_equal(bed_take(b, BED_CLOUD, &got, sizeof got), RECORD_SIGNED);
    bed_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sign_in_goes_there_and_back),
        cmocka_unit_test(a_flood_is_told_to_be_busy),
        cmocka_unit_test(a_provider_that_is_not_there_is_told),
        cmocka_unit_test(garbage_condemns_whoever_wrote_it),
        cmocka_unit_test(the_audit_hears_of_it),
        cmocka_unit_test(without_an_audit_nobody_is_made_and_all_may_sign_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
