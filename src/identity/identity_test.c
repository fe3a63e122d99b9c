/* SPDX-License-Identifier: Apache-2.0 */
/* What the identity answers, request by request, on a simulated disk. */
#include "identity/test_house.h"

static void the_first_administrator_enrols_once(void **state)
{
    (void)state;
    struct house *h = house_new();
    char secret[SECRET_TEXT], second[SECRET_TEXT];
    struct sign_request r = {.kind = SIGN_ENROL, .asker = OPEN, .name = "ada", .fresh = WORD};
    assert_int_equal(ask(h, r)->status, SIGN_WRONG); /* there is no link */
    assert_true(identity_make_link(h->d, secret));
    strcpy(r.secret, secret);
    r.secret[3] ^= 1;
    assert_int_equal(ask(h, r)->status, SIGN_WRONG);
    r.secret[3] ^= 1;
    pass(h, 3599);
    strcpy(r.fresh, "short");
    assert_int_equal(ask(h, r)->status, SIGN_BAD); /* and the link is good still */
    pass(h, 1);
    strcpy(r.fresh, WORD);
    assert_int_equal(ask(h, r)->status, SIGN_WRONG); /* an hour is over */
    assert_true(identity_make_link(h->d, second));
    assert_int_equal(ask(h, r)->status, SIGN_WRONG); /* the link before */
    strcpy(r.secret, second);
    const struct sign_answer *a = ask(h, r);
    assert_int_equal(a->status, SIGN_OK);
    assert_int_equal(a->role, ROLE_ADMINISTRATOR);
    assert_int_equal(ask(h, r)->status, SIGN_WRONG); /* once */
    assert_false(identity_make_link(h->d, secret));
    restart(h);
    assert_false(identity_make_link(h->d, secret));
    struct id id;
    assert_int_equal(try_in(h, "ada", WORD, 1, &id), SIGN_OK);
    assert_int_equal(ask(h, as(local(h), LOCAL, SIGN_LINK))->status, SIGN_BAD);
    house_free(h);
}

static void a_wrong_name_is_answered_like_a_wrong_password(void **state)
{
    (void)state;
    struct house *h = house_new();
    struct sign_answer answers[3];
    add(h, "ada", ROLE_OPERATOR, "", 0, 0);
    add(h, "old", ROLE_OPERATOR, "", h->d->utc_ns + 5, 0);
    pass(h, 1);
    static const char *const names[] = {"ada", "bob", "old"};
    for (int i = 0; i < 3; i++) {
        struct sign_request r = {.kind = SIGN_IN, .asker = OPEN};
        strcpy(r.name, names[i]);
        strcpy(r.secret, i == 2 ? WORD : "correct horse batterz");
        answers[i] = *ask(h, r);
        assert_int_equal(answers[i].status, SIGN_WRONG);
        memset(answers[i].subject, 0, sizeof answers[i].subject);
        assert_memory_equal(answers + i, answers, sizeof *answers);
    }
    house_free(h);
}

static void guessing_is_slowed_and_does_not_stop_others(void **state)
{
    (void)state;
    struct house *h = house_new();
    struct id id;
    add(h, "ada", ROLE_OPERATOR, "", 0, 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(try_in(h, "ada", "wrong", 1, &id), SIGN_WRONG);
    }
    assert_int_equal(try_in(h, "ada", WORD, 1, &id), SIGN_SLOW); /* though it is right */
    assert_in_range(h->x.answer.retry_ms, 1, 1001);
    assert_int_equal(try_in(h, "ada", WORD, 2, &id), SIGN_OK);
    pass(h, 2);
    assert_int_equal(try_in(h, "ada", WORD, 1, &id), SIGN_OK);
    house_free(h);
}

static void a_second_factor_counts(void **state)
{
    (void)state;
    struct house *h = house_new();
    add(h, "ada", ROLE_OPERATOR, "", 0, SIGN_TOTP);
    assert_int_equal(strlen(h->x.answer.text), 32);
    struct account *a = accounts_find(&h->d->accounts, "ada");
    struct sign_request r = {.kind = SIGN_IN, .asker = OPEN, .name = "ada", .secret = WORD};
    assert_int_equal(ask(h, r)->status, SIGN_WRONG);
    uint64_t step = (uint64_t)(h->d->utc_ns / TOTP_STEP_NS);
    snprintf(r.code, sizeof r.code, "%06u", totp_code(a->totp, step));
    assert_int_equal(ask(h, r)->status, SIGN_OK);
    assert_int_equal(ask(h, r)->status, SIGN_WRONG); /* the same code again */
    restart(h);
    assert_int_equal(ask(h, r)->status, SIGN_WRONG); /* and after a restart */
    pass(h, 60);
    a = accounts_find(&h->d->accounts, "ada");
    snprintf(r.code, sizeof r.code, "%06u", totp_code(a->totp, step + 2));
    assert_int_equal(ask(h, r)->status, SIGN_OK);
    house_free(h);
}

static void sessions_end(void **state)
{
    (void)state;
    struct house *h = house_new();
    struct id id, other;
    add(h, "ada", ROLE_OPERATOR, "", 0, 0);
    assert_int_equal(try_in(h, "ada", WORD, 1, &id), SIGN_OK);
    assert_int_equal(try_in(h, "ada", WORD, 1, &other), SIGN_OK);
    assert_memory_not_equal(&id, &other, sizeof id);
    assert_int_equal(who(h, id, LOCAL, false), SIGN_ENDED); /* another box's */
    assert_int_equal(who(h, id, OPEN, false), SIGN_OK);
    assert_int_equal(ask(h, as(id, OPEN, SIGN_OUT))->status, SIGN_OK);
    assert_int_equal(who(h, id, OPEN, true), SIGN_ENDED);
    pass(h, 29 * 60);
    assert_int_equal(who(h, other, OPEN, false), SIGN_OK); /* looked at, not used */
    pass(h, 60);
    assert_int_equal(who(h, other, OPEN, true), SIGN_ENDED);
    assert_int_equal(try_in(h, "ada", WORD, 1, &id), SIGN_OK);
    for (int minutes = 0; minutes < 12 * 60; minutes += 20) {
        assert_int_equal(who(h, id, OPEN, true), SIGN_OK);
        pass(h, 20 * 60);
    }
    assert_int_equal(who(h, id, OPEN, true), SIGN_ENDED); /* after twelve hours in any case */
    assert_int_equal(try_in(h, "ada", WORD, 1, &id), SIGN_OK);
    restart(h);
    assert_int_equal(who(h, id, OPEN, false), SIGN_OK); /* the identity was killed */
    struct sign_request r = as(local(h), LOCAL, SIGN_ACCOUNT_REMOVE);
    strcpy(r.name, "ada");
    assert_int_equal(ask(h, r)->status, SIGN_OK);
    assert_int_equal(who(h, id, OPEN, false), SIGN_ENDED);
    assert_int_equal(ask(h, r)->status, SIGN_NONE);
    house_free(h);
}

static void a_changed_password_ends_the_other_sessions(void **state)
{
    (void)state;
    struct house *h = house_new();
    struct id id, other;
    add(h, "ada", ROLE_VIEWER, "", 0, 0);
    assert_int_equal(try_in(h, "ada", WORD, 1, &id), SIGN_OK);
    assert_int_equal(try_in(h, "ada", WORD, 1, &other), SIGN_OK);
    struct sign_request r = as(id, OPEN, SIGN_PASSWORD);
    strcpy(r.fresh, "another horse battery");
    strcpy(r.secret, "wrong");
    assert_int_equal(ask(h, r)->status, SIGN_WRONG);
    strcpy(r.secret, WORD);
    const struct sign_answer *a = ask(h, r);
    assert_int_equal(a->status, SIGN_OK);
    struct id fresh;
    memcpy(fresh.bytes, a->session, sizeof fresh.bytes);
    assert_int_equal(who(h, id, OPEN, false), SIGN_ENDED);
    assert_int_equal(who(h, other, OPEN, false), SIGN_ENDED);
    assert_int_equal(who(h, fresh, OPEN, false), SIGN_OK);
    assert_int_equal(try_in(h, "ada", WORD, 1, &id), SIGN_WRONG);
    assert_int_equal(try_in(h, "ada", "another horse battery", 1, &id), SIGN_OK);
    r = as(local(h), LOCAL, SIGN_ACCOUNT_SET);
    strcpy(r.name, "ada");
    strcpy(r.fresh, WORD);
    assert_int_equal(ask(h, r)->status, SIGN_OK);
    assert_int_equal(who(h, id, OPEN, false), SIGN_ENDED);
    house_free(h);
}

static void only_administrators_administer(void **state)
{
    (void)state;
    struct house *h = house_new();
    static const enum sign_kind kinds[] = {SIGN_LINK,        SIGN_ACCOUNTS,       SIGN_ACCOUNT_ADD,
                                           SIGN_ACCOUNT_SET, SIGN_ACCOUNT_REMOVE, SIGN_TOKENS,
                                           SIGN_TOKEN_ADD,   SIGN_TOKEN_REMOVE};
    for (uint32_t role = ROLE_VIEWER; role < ROLE_END; role++) {
        struct id id;
        add(h, role_name(role), role, "line-1", h->d->utc_ns + 3600 * SECOND, 0);
        assert_int_equal(try_in(h, role_name(role), WORD, 1, &id), SIGN_OK);
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
            const struct sign_answer *a = ask(h, as(id, OPEN, kinds[i]));
            assert_int_equal(a->status == SIGN_FORBIDDEN, role != ROLE_ADMINISTRATOR);
            assert_int_equal(ask(h, (struct sign_request){.kind = kinds[i], .asker = OPEN})->status,
                             SIGN_ENDED);
        }
    }
    assert_int_equal(h->d->accounts.count, ROLE_END - 1);
    house_free(h);
}

static void only_the_box_that_no_network_reaches_says_who_is_local(void **state)
{
    (void)state;
    struct house *h = house_new();
    static const uint32_t boxes[] = {FIELD, OPEN, MACHINES, DEAF, DEAF + 1, PLAN_NONE};
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++) {
        struct sign_request r = {.kind = SIGN_LOCAL, .asker = boxes[i]};
        assert_int_equal(ask(h, r)->status, SIGN_FORBIDDEN);
    }
    house_free(h);
}

static struct id with_token(struct house *h, const char *text, uint8_t from, enum sign_status want)
{
    struct id id;
    struct sign_request r = {
        .kind = SIGN_TOKEN, .asker = OPEN, .address = {[10] = 0xff, 0xff, 10, 0, 0, from}};
    snprintf(r.secret, sizeof r.secret, "%.255s", text);
    const struct sign_answer *a = ask(h, r);
    assert_int_equal(a->status, want);
    memcpy(id.bytes, a->session, sizeof id.bytes);
    return id;
}

static void a_token_is_bound(void **state)
{
    (void)state;
    struct house *h = house_new();
    struct sign_request r = as(local(h), LOCAL, SIGN_TOKEN_ADD);
    char token[SIGN_TEXT];
    strcpy(r.name, "robot");
    strcpy(r.net, "10.0.0.0/30");
    strcpy(r.zones, "line-2");
    r.role = ROLE_OPERATOR;
    assert_int_equal(ask(h, r)->status, SIGN_BAD); /* for ever */
    r.expires_ns = h->d->utc_ns + 60 * SECOND;
    const struct sign_answer *a = ask(h, r);
    assert_int_equal(a->status, SIGN_OK);
    snprintf(token, sizeof token, "%s", a->text);
    assert_int_equal(strncmp(token, TOKEN_PREFIX, strlen(TOKEN_PREFIX)), 0);
    struct id id = with_token(h, token, 1, SIGN_OK);
    assert_string_equal(h->x.answer.name, "robot");
    assert_int_equal(h->x.answer.zone_limit, 1);
    assert_int_equal(h->x.answer.zone_count, 1);
    assert_int_equal(h->x.answer.zones[0], 1);
    assert_int_equal(h->x.answer.role, ROLE_OPERATOR);
    with_token(h, token, 4, SIGN_WRONG); /* from elsewhere */
    token[20] = token[20] == '0' ? '1' : '0';
    with_token(h, token, 1, SIGN_WRONG);
    with_token(h, "", 1, SIGN_WRONG);
    token[20] = 0;
    with_token(h, token, 1, SIGN_WRONG);
    pass(h, 60);
    assert_int_equal(who(h, id, OPEN, false), SIGN_ENDED);
    r.expires_ns = h->d->utc_ns + 60 * SECOND;
    strcpy(r.name, "robot-2");
    memcpy(r.session, local(h).bytes, sizeof r.session);
    snprintf(token, sizeof token, "%s", ask(h, r)->text);
    id = with_token(h, token, 1, SIGN_OK);
    struct sign_request revoke = as(local(h), LOCAL, SIGN_TOKEN_REMOVE);
    strcpy(revoke.name, "robot-2");
    assert_int_equal(ask(h, revoke)->status, SIGN_OK);
    assert_int_equal(who(h, id, OPEN, false), SIGN_ENDED);
    with_token(h, token, 1, SIGN_WRONG);
    house_free(h);
}

#define KEY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* A key signs in where certificates are asked for, and its hash is no token. */
static void a_key_is_known_where_it_can_be_proven(void **state)
{
    (void)state;
    struct house *h = house_new();
    struct sign_request r = as(local(h), LOCAL, SIGN_TOKEN_ADD);
    struct sign_request in = {
        .kind = SIGN_KEY, .asker = MACHINES, .address = {[10] = 0xff, 0xff, 10, 0, 0, 1}};
    strcpy(r.name, "mes");
    strcpy(r.net, "10.0.0.0/30");
    strcpy(in.secret, KEY);
    r.role = ROLE_OPERATOR;
    r.flags = SIGN_BY_KEY;
    r.expires_ns = h->d->utc_ns + 60 * SECOND;
    strcpy(r.secret, "no key");
    assert_int_equal(ask(h, r)->status, SIGN_BAD);
    assert_int_equal(ask(h, in)->status, SIGN_WRONG);
    strcpy(r.secret, KEY);
    assert_int_equal(ask(h, r)->status, SIGN_OK);
    assert_string_equal(h->x.answer.text, "");
    assert_int_equal(ask(h, in)->status, SIGN_OK);
    assert_string_equal(h->x.answer.name, "mes");
    assert_int_equal(h->x.answer.role, ROLE_OPERATOR);
    static const uint32_t others[] = {FIELD, OPEN, LOCAL, PLAN_NONE};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        in.asker = others[i];
        assert_int_equal(ask(h, in)->status, SIGN_FORBIDDEN);
    }
    in.asker = MACHINES;
    in.address[15] = 4;
    assert_int_equal(ask(h, in)->status, SIGN_WRONG); /* from elsewhere */
    in.address[15] = 1;
    in.secret[0] = '1';
    assert_int_equal(ask(h, in)->status, SIGN_WRONG);
    in.secret[0] = 0;
    assert_int_equal(ask(h, in)->status, SIGN_WRONG);
    with_token(h, TOKEN_PREFIX KEY, 1, SIGN_WRONG);
    strcpy(in.secret, KEY);
    pass(h, 60);
    assert_int_equal(ask(h, in)->status, SIGN_WRONG);
    house_free(h);
}

static void what_can_not_be_is_told(void **state)
{
    (void)state;
    struct house *h = house_new();
    static const struct {
        const char *name, *zones, *word;
        uint32_t role;
        int64_t expires_s;
    } wrong[] = {
        {"", "", WORD, ROLE_VIEWER, 0},
        {"a b", "", WORD, ROLE_VIEWER, 0},
        {"ada", "line-3", WORD, ROLE_VIEWER, 0},
        {"ada", "line-1,,", WORD, ROLE_VIEWER, 0},
        {"ada", "", "short", ROLE_VIEWER, 0},
        {"ada", "", "i am ada, hello", ROLE_VIEWER, 0},
        {"ada", "", WORD, 0, 0},
        {"ada", "", WORD, ROLE_END, 0},
        {"ada", "", WORD, ROLE_VIEWER, -5},
        {"oem", "line-1", WORD, ROLE_VENDOR, 0},
        {"oem", "", WORD, ROLE_VENDOR, 60},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct sign_request r = as(local(h), LOCAL, SIGN_ACCOUNT_ADD);
        strcpy(r.name, wrong[i].name);
        strcpy(r.zones, wrong[i].zones);
        strcpy(r.fresh, wrong[i].word);
        r.role = wrong[i].role;
        r.expires_ns = wrong[i].expires_s ? h->d->utc_ns + wrong[i].expires_s * SECOND : 0;
        const struct sign_answer *a = ask(h, r);
        assert_int_equal(a->status, SIGN_BAD);
        assert_true(strlen(a->text) > 10);
    }
    assert_int_equal(h->d->accounts.count, 0);
    house_free(h);
}

static void lists_go_on(void **state)
{
    (void)state;
    struct house *h = house_new();
    for (int i = 0; i < 6; i++) {
        char name[16];
        snprintf(name, sizeof name, "u%d", i);
        add(h, name, ROLE_VIEWER, "", 0, 0);
    }
    struct sign_request r = as(local(h), LOCAL, SIGN_ACCOUNTS);
    const struct sign_answer *a = ask(h, r);
    assert_int_equal(a->count, SIGN_ROWS_MAX);
    assert_string_equal(h->x.rows[1].name, "u1");
    r.from = a->next;
    a = ask(h, r);
    assert_int_equal(a->count, 2);
    r.from = a->next;
    a = ask(h, r);
    assert_int_equal(a->count, 2);
    assert_string_equal(h->x.rows[1].name, "u5");
    r.from = a->next; /* behind the accounts is who has come by a provider: nobody */
    a = ask(h, r);
    assert_int_equal(a->count, 0);
    assert_int_equal(a->next, 0);
    r.from = UINT32_MAX;
    assert_int_equal(ask(h, r)->count, 0);
    r.kind = SIGN_TOKENS;
    assert_int_equal(ask(h, r)->count, 0);
    house_free(h);
}

/* A damaged file: nobody signs in, no link is made, nothing is written over it; a disk that fails changes nothing. */
static void a_damaged_file_is_never_taken_for_an_empty_one(void **state)
{
    (void)state;
    struct house *h = house_new();
    struct id id;
    char secret[SECRET_TEXT];
    size_t size, after;
    add(h, "ada", ROLE_ADMINISTRATOR, "", 0, 0);
    sim_fail(h->sim, SIM_FLUSH, 1, 1, ERR_IO);
    struct sign_request r = as(local(h), LOCAL, SIGN_ACCOUNT_REMOVE);
    strcpy(r.name, "ada");
    assert_int_equal(ask(h, r)->status, SIGN_BROKEN);
    assert_int_equal(try_in(h, "ada", WORD, 1, &id), SIGN_OK);
    assert_non_null(sim_bytes(h->sim, ACCOUNTS_FILE, &size));
    sim_flip(h->sim, ACCOUNTS_FILE, size / 2, 1);
    restart(h);
    assert_true(h->d->broken == ERR_CHECKSUM);
    assert_int_equal(try_in(h, "ada", WORD, 1, &id), SIGN_BROKEN);
    assert_false(identity_make_link(h->d, secret));
    r = as(local(h), LOCAL, SIGN_ACCOUNT_ADD);
    strcpy(r.name, "eve");
    strcpy(r.fresh, WORD);
    r.role = ROLE_ADMINISTRATOR;
    assert_int_equal(ask(h, r)->status, SIGN_BROKEN);
    assert_int_equal(ask(h, as(local(h), LOCAL, SIGN_LINK))->status, SIGN_BROKEN);
    assert_non_null(sim_bytes(h->sim, ACCOUNTS_FILE, &after));
    assert_int_equal(after, size);
    sim_flip(h->sim, ACCOUNTS_FILE, size / 2, 1);
    restart(h);
    assert_int_equal(try_in(h, "ada", WORD, 1, &id), SIGN_OK);
    house_free(h);
}

/* One name can't fill the table. */
static void the_oldest_session_of_a_name_makes_room(void **state)
{
    (void)state;
    struct house *h = house_new();
    struct id first = local(h), last;
    for (int i = 0; i < 16; i++) {
        pass(h, 1);
        last = local(h);
    }
    assert_int_equal(who(h, first, LOCAL, false), SIGN_ENDED);
    assert_int_equal(who(h, last, LOCAL, false), SIGN_OK);
    house_free(h);
}

/* No bytes that a box can send do more than be refused. */
static void any_bytes_are_answered(void **state)
{
    (void)state;
    struct house *h = house_new();
    struct sign_request r;
    for (int i = 0; i < 200; i++) {
        for (size_t k = 0; k < sizeof r; k++) {
            ((uint8_t *)&r)[k] = (uint8_t)(i ? rand() : 0xff);
        }
        r.kind = (uint32_t)i % (SIGN_KIND_END + 1);
        const struct sign_answer *a = ask(h, r);
        assert_true(a->status != SIGN_OK && a->status < SIGN_STATUS_END);
    }
    assert_int_equal(h->d->accounts.count, 0);
    house_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_administrator_enrols_once),
        cmocka_unit_test(a_wrong_name_is_answered_like_a_wrong_password),
        cmocka_unit_test(guessing_is_slowed_and_does_not_stop_others),
        cmocka_unit_test(a_second_factor_counts),
        cmocka_unit_test(sessions_end),
        cmocka_unit_test(a_changed_password_ends_the_other_sessions),
        cmocka_unit_test(only_administrators_administer),
        cmocka_unit_test(only_the_box_that_no_network_reaches_says_who_is_local),
        cmocka_unit_test(a_token_is_bound),
        cmocka_unit_test(a_key_is_known_where_it_can_be_proven),
        cmocka_unit_test(what_can_not_be_is_told),
        cmocka_unit_test(lists_go_on),
        cmocka_unit_test(a_damaged_file_is_never_taken_for_an_empty_one),
        cmocka_unit_test(the_oldest_session_of_a_name_makes_room),
        cmocka_unit_test(any_bytes_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
