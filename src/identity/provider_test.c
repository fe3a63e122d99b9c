/* SPDX-License-Identifier: Apache-2.0 */
/* People who come by a provider or by a link, and accounts that are shut. */
#include "identity/test_house.h"

/* ---- People whom a provider vouches for ---- */

struct away { /* what a browser and the provider's box hold while the person is at the provider */
    struct vouch_request asked;
    struct id browser;
};

static struct away begin(struct house *h, uint8_t from)
{
    struct away w;
    struct vouch_answer v = {.provider = SSO, .act = VOUCH_BEGIN, .text = "https://login.example"};
    struct sign_request r = {
        .kind = SIGN_BEGIN, .asker = OPEN, .name = "sso", .id = {9}, .address = {[15] = from}};
    (void)ask(h, r);
    assert_true(h->x.asks);
    w.asked = h->x.vouch;
    assert_int_equal(w.asked.provider, SSO);
    assert_int_equal(strlen(w.asked.state), 32);
    assert_int_equal(strlen(w.asked.word), 43);
    assert_string_equal(w.asked.redirect, "http://127.0.0.1:8480/oidc");
    memcpy(v.id, w.asked.id, sizeof v.id);
    v.provider = OPEN; /* another box can't answer in its place */
    assert_false(identity_vouched(h->d, &v, &h->x));
    v.provider = SSO;
    assert_true(identity_vouched(h->d, &v, &h->x));
    assert_int_equal(h->x.answer.status, SIGN_OK);
    assert_int_equal(h->x.answer.id[0], 9);
    assert_string_equal(h->x.answer.text, "https://login.example");
    memcpy(w.browser.bytes, h->x.answer.session, sizeof w.browser.bytes);
    return w;
}

static struct sign_request back(const struct away *w)
{
    struct sign_request r = {.kind = SIGN_FINISH, .asker = OPEN, .id = {8}, .proof = "code"};
    for (int i = 0; i < 16; i++) {
        snprintf(r.secret + 2 * i, 3, "%02x", w->browser.bytes[i]);
    }
    strcpy(r.fresh, w->asked.state);
    return r;
}

static const struct sign_answer *vouch(struct house *h, const char *name, uint64_t groups)
{
    struct vouch_answer v = {.provider = SSO, .act = VOUCH_FINISH, .groups = groups};
    assert_true(h->x.asks);
    memcpy(v.id, h->x.vouch.id, sizeof v.id);
    strcpy(v.name, name);
    assert_true(identity_vouched(h->d, &v, &h->x));
    return &h->x.answer;
}

static void a_provider_vouches(void **state)
{
    (void)state;
    struct house *h = house_new();
    struct away w = begin(h, 1);
    (void)ask(h, back(&w));
    assert_string_equal(h->x.vouch.code, "code");
    assert_string_equal(h->x.vouch.nonce, w.asked.nonce);
    assert_int_equal(strlen(h->x.vouch.word), 43);
    assert_string_not_equal(h->x.vouch.word, w.asked.word);
    const struct sign_answer *a = vouch(h, "ada", 2);
    assert_int_equal(a->status, SIGN_OK);
    assert_int_equal(a->id[0], 8);
    assert_string_equal(a->name, "sso/ada");
    assert_int_equal(a->session_kind, SESSION_VOUCHED);
    assert_int_equal(a->role, ROLE_OPERATOR);
    assert_int_equal(a->zone_count, 2);
    struct id ada;
    memcpy(ada.bytes, a->session, sizeof ada.bytes);
    pass(h, 60);
    assert_int_equal(ask(h, as(ada, OPEN, SIGN_WHO))->status, SIGN_OK);
    assert_int_equal(ask(h, as(ada, OPEN, SIGN_ACCOUNTS))->status, SIGN_FORBIDDEN);
    pass(h, 1801);
    assert_int_equal(ask(h, as(ada, OPEN, SIGN_WHO))->status, SIGN_ENDED);
    w = begin(h, 1);
    (void)ask(h, back(&w));
    assert_int_equal(vouch(h, "bob", 3)->role, ROLE_ENGINEER); /* the first line that fits */
    assert_int_equal(h->x.answer.zone_limit, 0);
    house_free(h);
}

static void a_provider_vouches_for_nobody(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t groups;
    } wrong[] = {{"ada", 0},
                 {"ada", 4}, /* no such line */
                 {"", 1},
                 {"a/b", 1},
                 {"a b", 1},
                 {"a\nb", 1},
                 {"abcdefghijklmnopqrstuvwxyz-abcdefghij", 1}};
    struct house *h = house_new();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct away w = begin(h, 1);
        (void)ask(h, back(&w));
        const struct sign_answer *a = vouch(h, wrong[i].name, wrong[i].groups);
        assert_int_equal(a->status, SIGN_REFUSED);
        assert_true(strlen(a->text) > 20);
    }
    struct away w = begin(h, 1);
    (void)ask(h, back(&w));
    struct vouch_answer v = {.provider = SSO, .act = VOUCH_FINISH, .status = VOUCH_REFUSED};
    memcpy(v.id, h->x.vouch.id, sizeof v.id);
    memset(v.name, 'x', sizeof v.name); /* without an end */
    assert_false(identity_vouched(h->d, &v, &h->x));
    v.name[0] = 0;
    v.id[3] ^= 1;
    assert_false(identity_vouched(h->d, &v, &h->x));
    v.id[3] ^= 1;
    assert_true(identity_vouched(h->d, &v, &h->x));
    assert_int_equal(h->x.answer.status, SIGN_REFUSED);
    assert_false(identity_vouched(h->d, &v, &h->x)); /* it is answered once */
    house_free(h);
}

static void an_attempt_is_good_once_for_its_browser_and_for_ten_minutes(void **state)
{
    (void)state;
    struct house *h = house_new();
    struct away w = begin(h, 1), other = begin(h, 2);
    struct sign_request r = back(&w);
    r.asker = MACHINES; /* another box */
    assert_int_equal(ask(h, r)->status, SIGN_WRONG);
    r = back(&w);
    memcpy(r.secret, back(&other).secret, sizeof r.secret);
    assert_int_equal(ask(h, r)->status, SIGN_WRONG);
    r = back(&w);
    r.fresh[31] ^= 1;
    assert_int_equal(ask(h, r)->status, SIGN_WRONG);
    pass(h, 300);
    (void)ask(h, back(&w));
    assert_true(h->x.asks);
    assert_int_equal(ask(h, back(&w))->status, SIGN_WRONG);
    pass(h, 301);
    assert_int_equal(ask(h, back(&other))->status, SIGN_WRONG);
    house_free(h);
}

static void who_begins_often_drives_out_nobody_else(void **state)
{
    (void)state;
    struct house *h = house_new();
    struct away w = begin(h, 1);
    for (int i = 0; i < 300; i++) {
        (void)begin(h, 2);
    }
    (void)ask(h, back(&w));
    assert_true(h->x.asks);
    assert_int_equal(vouch(h, "ada", 1)->status, SIGN_OK);
    struct sign_request r = {.kind = SIGN_BEGIN, .asker = OPEN, .name = "console"};
    assert_int_equal(ask(h, r)->status, SIGN_NONE);
    assert_int_equal(ask(h, (struct sign_request){.kind = SIGN_PROVIDERS})->count, 1);
    assert_string_equal(h->x.rows[0].zones, "sso");
    house_free(h);
}

/* A link lets somebody choose the password of an account that is there. */
static struct sign_request join(const char *name, const char *link)
{
    struct sign_request r = {.kind = SIGN_ENROL, .asker = OPEN, .fresh = WORD};
    const char *secret = strrchr(link, '/');
    assert_non_null(secret);
    strcpy(r.name, name);
    strcpy(r.secret, secret + 1);
    return r;
}

static void an_invited_person_chooses_the_password(void **state)
{
    (void)state;
    struct house *h = house_new();
    struct id id;
    struct sign_request r = as(local(h), LOCAL, SIGN_ACCOUNT_ADD);
    strcpy(r.name, "ada");
    r.role = ROLE_OPERATOR;
    r.flags = SIGN_INVITE;
    char first[SIGN_TEXT], second[SIGN_TEXT];
    strcpy(first, ask(h, r)->text);
    assert_int_equal(strncmp(first, "http://127.0.0.1:8480/#join/ada/", 32), 0);
    assert_int_equal(try_in(h, "ada", "", 1, &id), SIGN_WRONG);
    r.kind = SIGN_ACCOUNT_SET;
    memcpy(r.session, local(h).bytes, sizeof r.session);
    strcpy(second, ask(h, r)->text);
    assert_int_equal(ask(h, join("ada", first))->status, SIGN_WRONG); /* the one before */
    add(h, "bob", ROLE_ADMINISTRATOR, "", 0, 0);
    assert_int_equal(ask(h, join("bob", second))->status, SIGN_WRONG); /* another's */
    struct sign_request weak = join("ada", second);
    strcpy(weak.fresh, "short");
    assert_int_equal(ask(h, weak)->status, SIGN_BAD);
    const struct sign_answer *a = ask(h, join("ada", second));
    assert_int_equal(a->status, SIGN_OK);
    assert_int_equal(a->role, ROLE_OPERATOR);
    assert_int_equal(ask(h, join("ada", second))->status, SIGN_WRONG); /* once */
    assert_int_equal(try_in(h, "ada", WORD, 1, &id), SIGN_OK);
    r = as(local(h), LOCAL, SIGN_ACCOUNT_SET);
    strcpy(r.name, "ada");
    r.flags = SIGN_INVITE;
    strcpy(first, ask(h, r)->text);
    assert_int_equal(who(h, id, OPEN, true), SIGN_ENDED); /* nobody knows the password now */
    pass(h, 3600);
    assert_int_equal(ask(h, join("ada", first))->status, SIGN_WRONG); /* an hour is over */
    r.flags = SIGN_INVITE | SIGN_TOTP;
    memcpy(r.session, local(h).bytes, sizeof r.session);
    assert_int_equal(ask(h, r)->status, SIGN_BAD);
    house_free(h);
}

static void a_disabled_account_lets_nobody_in(void **state)
{
    (void)state;
    struct house *h = house_new();
    struct id id;
    char link[SIGN_TEXT];
    add(h, "ada", ROLE_OPERATOR, "", 0, 0);
    assert_int_equal(try_in(h, "ada", WORD, 1, &id), SIGN_OK);
    struct sign_request r = as(local(h), LOCAL, SIGN_ACCOUNT_SET);
    strcpy(r.name, "ada");
    r.flags = SIGN_INVITE;
    strcpy(link, ask(h, r)->text);
    r.flags = SIGN_DISABLE;
    assert_int_equal(ask(h, r)->status, SIGN_OK);
    assert_int_equal(who(h, id, OPEN, true), SIGN_ENDED);
    assert_int_equal(try_in(h, "ada", WORD, 1, &id), SIGN_WRONG);
    assert_int_equal(ask(h, join("ada", link))->status, SIGN_WRONG); /* a change ends the link */
    r.flags = SIGN_INVITE;
    strcpy(link, ask(h, r)->text);
    assert_int_equal(ask(h, join("ada", link))->status, SIGN_BAD);
    restart(h);
    r = as(local(h), LOCAL, SIGN_ACCOUNTS);
    (void)ask(h, r);
    assert_true(h->x.rows[0].disabled && !h->x.rows[0].open);
    r = as(local(h), LOCAL, SIGN_ACCOUNT_SET);
    strcpy(r.name, "ada");
    r.flags = SIGN_ENABLE;
    assert_int_equal(ask(h, r)->status, SIGN_OK);
    strcpy(r.fresh, WORD);
    r.flags = 0;
    assert_int_equal(ask(h, r)->status, SIGN_OK);
    assert_int_equal(try_in(h, "ada", WORD, 1, &id), SIGN_OK);
    house_free(h);
}

static void who_came_by_a_provider_is_listed_and_can_be_ended(void **state)
{
    (void)state;
    struct house *h = house_new();
    add(h, "zoe", ROLE_VIEWER, "", 0, 0);
    for (int i = 0; i < 3; i++) {
        struct away w = begin(h, 1);
        (void)ask(h, back(&w));
        assert_int_equal(vouch(h, i ? "ada" : "bob", 2)->status, SIGN_OK);
    }
    struct sign_request r = as(local(h), LOCAL, SIGN_ACCOUNTS);
    char seen[256] = "";
    do {
        const struct sign_answer *a = ask(h, r);
        for (uint32_t i = 0; i < a->count; i++) {
            const struct sign_row *row = h->x.rows + i;
            snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%.40s:%u:%u:%.60s ",
                     row->name, row->vouched, row->sessions, row->zones);
        }
        r.from = a->next;
    } while (r.from);
    assert_non_null(strstr(seen, "zoe:0:0: "));
    assert_non_null(strstr(seen, "sso/bob:1:1:line-2,line-1 "));
    assert_non_null(strstr(seen, "sso/ada:1:2:line-2,line-1 "));
    assert_int_equal(strlen(seen),
                     strlen("zoe:0:0: sso/bob:1:1:line-2,line-1 sso/ada:1:2:line-2,line-1 "));
    r = as(local(h), LOCAL, SIGN_ACCOUNT_REMOVE);
    strcpy(r.name, "sso/ada");
    assert_int_equal(ask(h, r)->status, SIGN_OK);
    assert_int_equal(ask(h, r)->status, SIGN_NONE);
    house_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_provider_vouches),
        cmocka_unit_test(a_provider_vouches_for_nobody),
        cmocka_unit_test(an_attempt_is_good_once_for_its_browser_and_for_ten_minutes),
        cmocka_unit_test(who_begins_often_drives_out_nobody_else),
        cmocka_unit_test(an_invited_person_chooses_the_password),
        cmocka_unit_test(a_disabled_account_lets_nobody_in),
        cmocka_unit_test(who_came_by_a_provider_is_listed_and_can_be_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
