/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords, one-time codes, and the slowing of those who guess. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "guard/password.h"
#include "guard/slow.h"
#include "guard/totp.h"

#define SECOND INT64_C(1000000000)

static void a_password_is_known_by_its_hash(void **state)
{
    (void)state;
    char one[PASSWORD_HASH_SIZE], two[PASSWORD_HASH_SIZE];
    assert_int_equal(password_hash("correct horse battery", one), ERR_OK);
    assert_int_equal(password_hash("correct horse battery", two), ERR_OK);
    assert_memory_equal(one, "$argon2id$v=19$m=19456,t=2,p=1$", 31);
    assert_string_not_equal(one, two); /* salted */
    assert_true(password_is("correct horse battery", one));
    assert_false(password_is("correct horse batterx", one));
    assert_false(password_is("", one));
    one[0] = 0;
    assert_false(password_is("correct horse battery", one)); /* nobody's */
    assert_false(password_is("", one));
}

static double cpu_seconds(const char *hash)
{
    struct timespec before, after;
    double least = 1e9;
    for (int i = 0; i < 5; i++) {
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
        assert_false(password_is("not the password", hash));
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
        double spent =
            (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
        least = spent < least ? spent : least;
    }
    return least;
}

/* So the time of an answer does not tell which names there are. */
static void a_name_that_nobody_has_costs_the_same_work(void **state)
{
    (void)state;
    char hash[PASSWORD_HASH_SIZE], none[PASSWORD_HASH_SIZE] = "";
    assert_int_equal(password_hash("correct horse battery", hash), ERR_OK);
    double there = cpu_seconds(hash), nobody = cpu_seconds(none);
    assert_true(there < 2 * nobody && nobody < 2 * there);
}

/* Made with the reference program: printf password | argon2 somesaltsomesalt -id -t 2 -k 19456 -p 1 -l 32 -e. */
static void hashes_are_those_of_argon2id(void **state)
{
    (void)state;
    const char reference[PASSWORD_HASH_SIZE] =
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$K13EBUiG7JV+"
        "9ZxztmHFTdb7J0WQsnj2V8bZaqyPptE";
    assert_true(password_is("password", reference));
    assert_false(password_is("passwore", reference));
}

static void what_makes_no_password(void **state)
{
    (void)state;
    assert_non_null(password_fault("", "ada"));
    assert_non_null(password_fault("elevenchars", "ada"));
    assert_null(password_fault("twelve chars", "ada"));
    assert_non_null(password_fault("ääääääääää", "ada")); /* ten, whatever their bytes */
    assert_non_null(password_fault("aaaaaaaaaaaaaa", "bob"));
    assert_non_null(password_fault("my name is ADA!", "ada"));
    char text[300];
    memset(text, 'x', sizeof text);
    text[0] = 'y';
    text[PASSWORD_MAX + 1] = 0;
    assert_non_null(password_fault(text, "ada"));
    text[PASSWORD_MAX] = 0;
    assert_null(password_fault(text, "ada"));
}

/* RFC 6238, appendix B, SHA-1; the last six of its eight digits. */
static void codes_are_those_of_the_rfc(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        uint32_t code;
    } cases[] = {{59, 287082},       {1111111109, 81804},  {1111111111, 50471},
                 {1234567890, 5924}, {2000000000, 279037}, {20000000000, 353130}};
    uint8_t secret[TOTP_SECRET_SIZE];
    memcpy(secret, "12345678901234567890", sizeof secret);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char code[8];
        uint64_t last = 0;
        assert_int_equal(totp_code(secret, (uint64_t)cases[i].seconds / 30), cases[i].code);
        snprintf(code, sizeof code, "%06u", cases[i].code);
        assert_true(cases[i].seconds > INT64_C(9000000000) ||
                    totp_take(secret, code, cases[i].seconds * SECOND, &last));
    }
    char text[TOTP_TEXT_SIZE];
    totp_text(secret, text);
    assert_string_equal(text, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
}

static void a_code_counts_once_and_not_for_long(void **state)
{
    (void)state;
    uint8_t secret[TOTP_SECRET_SIZE];
    memcpy(secret, "12345678901234567890", sizeof secret);
    int64_t now = 1111111111 * SECOND;
    uint64_t last = 0;
    assert_true(totp_take(secret, "050471", now, &last));
    assert_false(totp_take(secret, "050471", now, &last)); /* again */
    assert_false(totp_take(secret, "081804", now, &last)); /* the one before it */
    last = 0;
    assert_true(totp_take(secret, "081804", now, &last));
    last = 0;
    assert_false(totp_take(secret, "050471", now + 61 * SECOND, &last));
    assert_false(totp_take(secret, "050471", now - 61 * SECOND, &last));
    static const char *const bad[] = {"", "05047", "0504711", "05047x", "50471", " 50471"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(totp_take(secret, bad[i], now, &last));
    }
}

static const uint8_t here[16] = {[10] = 0xff, 0xff, 10, 0, 0, 1};
static const uint8_t there[16] = {[10] = 0xff, 0xff, 10, 0, 0, 2};

static void who_guesses_waits_longer_and_longer(void **state)
{
    (void)state;
    struct slow *s = calloc(1, sizeof *s);
    int64_t now = 1000 * SECOND, before = 0;
    for (int i = 0; i < 4; i++) {
        slow_failed(s, "ada", here, now);
        assert_int_equal(slow_wait(s, "ada", here, now), 0);
    }
    for (int i = 0; i < 4; i++) {
        slow_failed(s, "ada", here, now);
        int64_t wait = slow_wait(s, "ada", here, now);
        assert_true(wait == (before ? 2 * before : SECOND));
        before = wait;
    }
    assert_int_equal(slow_wait(s, "ada", there, now), 0);
    assert_int_equal(slow_wait(s, "bob", here, now), 0);
    for (int i = 0; i < 30; i++) {
        slow_failed(s, "ada", here, now);
    }
    assert_true(slow_wait(s, "ada", here, now) == 300 * SECOND);
    assert_true(slow_wait(s, "ada", there, now) == 30 * SECOND); /* her own way in */
    assert_true(slow_wait(s, "bob", here, now) == 300 * SECOND); /* the guesser's address */
    assert_int_equal(slow_wait(s, "bob", there, now), 0);
    slow_passed(s, "ada", here);
    assert_true(slow_wait(s, "bob", here, now) == 300 * SECOND);
    assert_int_equal(slow_wait(s, "ada", here, now + 900 * SECOND), 0); /* forgotten */
    slow_failed(s, "ada", here, now + 900 * SECOND);
    assert_int_equal(slow_wait(s, "ada", here, now + 900 * SECOND), 0);
    free(s);
}

/* A network of IPv6 is one caller; a flood of names neither grows nor forgets whoever guesses on. */
static void the_table_is_bounded(void **state)
{
    (void)state;
    struct slow *s = calloc(1, sizeof *s);
    uint8_t from[16] = {0x20, 1, 0xd, 0xb8};
    int64_t now = SECOND;
    for (uint32_t i = 0; i < 5 * SLOW_ENTRIES; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%u", i);
        memcpy(from + 8, &i, sizeof i);
        now += SECOND / 100;
        slow_failed(s, name, from, now);
        assert_true(i < 20 || slow_wait(s, "new", from, now) > 0);
    }
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_password_is_known_by_its_hash),
        cmocka_unit_test(a_name_that_nobody_has_costs_the_same_work),
        cmocka_unit_test(hashes_are_those_of_argon2id),
        cmocka_unit_test(what_makes_no_password),
        cmocka_unit_test(codes_are_those_of_the_rfc),
        cmocka_unit_test(a_code_counts_once_and_not_for_long),
        cmocka_unit_test(who_guesses_waits_longer_and_longer),
        cmocka_unit_test(the_table_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
