/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "guard/digest.h"
#include "guard/session.h"

#define SECOND INT64_C(1000000000)

static struct session_table *new_table(void)
{
    struct session_table *t = aligned_alloc(64, sizeof *t);
    assert_non_null(t);
    memset(t, 0, sizeof *t);
    return t;
}

static struct session person(uint32_t box)
{
    return (struct session){.name = "ada",
                            .kind = SESSION_PERSON,
                            .role = ROLE_OPERATOR,
                            .box = box,
                            .idle_ns = 30 * SECOND,
                            .used_mono_ns = SECOND,
                            .end_mono_ns = 100 * SECOND};
}

static void a_session_belongs_to_its_box_and_ends(void **state)
{
    (void)state;
    struct session_table *t = new_table();
    struct session s = person(3), found;
    uint8_t id[SESSION_ID_SIZE], other[SESSION_ID_SIZE] = {0};
    assert_int_equal(session_add(t, &s, id), ERR_OK);
    assert_true(session_find(t, id, 3, 2 * SECOND, &found));
    assert_string_equal(found.name, "ada");
    assert_int_equal(found.role, ROLE_OPERATOR);
    assert_false(session_find(t, id, 4, 2 * SECOND, &found));
    assert_false(session_find(t, other, 3, 2 * SECOND, &found));
    assert_true(session_find(t, id, 3, 31 * SECOND - 1, &found));
    assert_false(session_find(t, id, 3, 31 * SECOND, &found));
    session_touch(t, &s, 90 * SECOND);
    assert_true(session_find(t, id, 3, 99 * SECOND, &found));
    assert_false(session_find(t, id, 3, 100 * SECOND, &found));
    session_end(t, &s);
    assert_false(session_find(t, id, 3, 2 * SECOND, &found));
    free(t);
}

static void every_changed_bit_of_an_id_is_another_id(void **state)
{
    (void)state;
    struct session_table *t = new_table();
    struct session s = person(0), found;
    uint8_t id[SESSION_ID_SIZE];
    assert_int_equal(session_add(t, &s, id), ERR_OK);
    for (unsigned bit = 0; bit < SESSION_ID_SIZE * 8; bit++) {
        id[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(session_find(t, id, 0, 2 * SECOND, &found));
        id[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(session_find(t, id, 0, 2 * SECOND, &found));
    free(t);
}

static void the_table_does_not_hold_the_id(void **state)
{
    (void)state;
    struct session_table *t = new_table();
    struct session s = person(0);
    uint8_t id[SESSION_ID_SIZE];
    assert_int_equal(session_add(t, &s, id), ERR_OK);
    assert_null(memmem(t, sizeof *t, id, sizeof id));
    free(t);
}

static void a_full_table_says_so(void **state)
{
    (void)state;
    struct session_table *t = new_table();
    struct session s = person(0), found;
    uint8_t id[SESSION_ID_SIZE];
    int err = ERR_OK;
    uint32_t count = 0, seen = 0;
    while ((err = session_add(t, &s, id)) == ERR_OK) {
        count++;
    }
    assert_int_equal(err, ERR_FULL);
    assert_in_range(count, SESSIONS_MAX * 3 / 4, SESSIONS_MAX);
    for (uint32_t i = 0; i < SESSIONS_MAX; i++) {
        seen += session_at(t, i, &found);
    }
    assert_int_equal(seen, count);
    free(t);
}

/* The writer was killed in the middle: nobody finds a half, and its successor frees the place. */
static void a_half_written_entry_is_none(void **state)
{
    (void)state;
    struct session_table *t = new_table();
    struct session s = person(0), found;
    uint8_t id[SESSION_ID_SIZE];
    assert_int_equal(session_add(t, &s, id), ERR_OK);
    for (uint32_t i = 0; i < SESSIONS_MAX; i++) {
        if (session_at(t, i, &found)) {
            atomic_fetch_add(&t->entries[i].version, 1);
        }
    }
    assert_false(session_find(t, id, 0, 2 * SECOND, &found));
    session_recover(t);
    for (uint32_t i = 0; i < SESSIONS_MAX; i++) {
        assert_false(session_at(t, i, &found));
        assert_false(atomic_load(&t->entries[i].version) & 1);
    }
    free(t);
}

static void zones_limit(void **state)
{
    (void)state;
    struct session all = person(0), two = person(0), none = person(0);
    two.zone_limit = none.zone_limit = 1;
    two.zone_count = 2;
    two.zones[1] = 5;
    assert_true(session_in_zone(&all, 7));
    assert_true(session_in_zone(&two, 0) && session_in_zone(&two, 5));
    assert_false(session_in_zone(&two, 1));
    assert_false(session_in_zone(&none, 0));
}

static void roles_have_names_and_rights(void **state)
{
    (void)state;
    for (uint32_t r = ROLE_VIEWER; r < ROLE_END; r++) {
        const char *name = role_name(r);
        assert_int_equal(role_from_name(name, strlen(name)), r);
        assert_int_equal(role_from_name(name, strlen(name) - 1), 0);
        assert_true(role_may(r, RIGHT_READ));
        assert_int_equal(role_may(r, RIGHT_ACCOUNTS), r == ROLE_ADMINISTRATOR);
    }
    assert_false(role_may(ROLE_VIEWER, RIGHT_COMMAND) || role_may(ROLE_VENDOR, RIGHT_COMMAND) ||
                 role_may(ROLE_CUSTODIAN, RIGHT_COMMAND) || role_may(ROLE_SECURITY, RIGHT_COMMAND));
    assert_null(role_name(0));
    assert_int_equal(role_rights(0) | role_rights(ROLE_END) | role_rights(UINT32_MAX), 0);
    unsigned bits = 0;
    while (right_name(bits)) {
        bits++;
    }
    assert_int_equal((1u << bits) - 1, RIGHT_ALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_belongs_to_its_box_and_ends),
        cmocka_unit_test(every_changed_bit_of_an_id_is_another_id),
        cmocka_unit_test(the_table_does_not_hold_the_id),
        cmocka_unit_test(a_full_table_says_so),
        cmocka_unit_test(a_half_written_entry_is_none),
        cmocka_unit_test(zones_limit),
        cmocka_unit_test(roles_have_names_and_rights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
