/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts and tokens, the file that keeps them: every truncation, every corruption, the power cut at every step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "guard/accounts_file.h"
#include "journal/sim_disk.h"

static struct accounts *sample(void)
{
    struct accounts *a = calloc(1, sizeof *a);
    assert_non_null(a);
    struct account ada = {.name = "ada", .role = ROLE_ADMINISTRATOR, .hash = "$argon2id$x"};
    struct account guest = {.name = "guest@oem.example",
                            .role = ROLE_VENDOR,
                            .zones = "line-1,line-2",
                            .hash = "$argon2id$y",
                            .has_totp = 1,
                            .totp = {1, 2, 3},
                            .disabled = 1,
                            .expires_ns = 99};
    struct token robot = {
        .name = "robot", .maker = "ada", .role = ROLE_OPERATOR, .digest = {7}, .expires_ns = 1000};
    assert_true(net_parse("10.0.0.0/8", &robot.net));
    assert_int_equal(accounts_add(a, &ada), ERR_OK);
    assert_int_equal(accounts_add(a, &guest), ERR_OK);
    assert_int_equal(tokens_add(a, &robot), ERR_OK);
    return a;
}

static void what_may_not_be_is_not_added(void **state)
{
    (void)state;
    struct accounts *a = sample();
    struct account c = {.name = "bob", .role = ROLE_VIEWER, .hash = "h"};
    assert_int_equal(accounts_add(a, &c), ERR_OK);
    assert_int_equal(accounts_add(a, &c), ERR_EXISTS);
    static const char *const bad[] = {"", "a b", "a\n", "ä", "a/b", "a,b", "<x>"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct account wrong = {.role = ROLE_VIEWER, .hash = "h"};
        strcpy(wrong.name, bad[i]);
        assert_int_equal(accounts_add(a, &wrong), ERR_MALFORMED);
    }
    memset(c.name, 'x', sizeof c.name); /* no end */
    assert_int_equal(accounts_add(a, &c), ERR_MALFORMED);
    c = (struct account){.name = "eve", .role = ROLE_END, .hash = "h"};
    assert_int_equal(accounts_add(a, &c), ERR_MALFORMED);
    c = (struct account){.name = "eve", .role = ROLE_VIEWER};
    assert_int_equal(accounts_add(a, &c), ERR_MALFORMED); /* without a password */
    c = (struct account){.name = "oem", .role = ROLE_VENDOR, .hash = "h", .zones = "z"};
    assert_int_equal(accounts_add(a, &c), ERR_MALFORMED); /* a guest without an end … */
    c.expires_ns = 5;
    c.zones[0] = 0;
    assert_int_equal(accounts_add(a, &c), ERR_MALFORMED); /* … or without bounds */
    c.zones[0] = 'z';
    assert_int_equal(accounts_add(a, &c), ERR_OK);
    struct token t = {.name = "t", .role = ROLE_VIEWER, .digest = {9}};
    assert_int_equal(tokens_add(a, &t), ERR_MALFORMED); /* for ever */
    t.expires_ns = 1;
    t.digest[0] = 7;
    assert_int_equal(tokens_add(a, &t), ERR_EXISTS); /* another's secret */
    free(a);
}

static void a_full_table_takes_no_more(void **state)
{
    (void)state;
    struct accounts *a = calloc(1, sizeof *a);
    struct account c = {.role = ROLE_VIEWER, .hash = "h"};
    struct token t = {.role = ROLE_VIEWER, .expires_ns = 1};
    for (uint32_t i = 0; i <= ACCOUNTS_MAX; i++) {
        snprintf(c.name, sizeof c.name, "a%u", i);
        assert_int_equal(accounts_add(a, &c), i < ACCOUNTS_MAX ? ERR_OK : ERR_FULL);
        snprintf(t.name, sizeof t.name, "t%u", i);
        memcpy(t.digest, &i, sizeof i);
        assert_int_equal(tokens_add(a, &t), i < TOKENS_MAX ? ERR_OK : ERR_FULL);
    }
    for (uint32_t i = 0; i < ACCOUNTS_MAX; i++) { /* as long as entries can be */
        memset(a->list[i].zones, 'z', 60);
        memset(a->list[i].hash, 'h', sizeof a->list[i].hash - 1);
        a->list[i].has_totp = 1;
        memset(a->tokens[i].maker, 'm', sizeof a->tokens[i].maker - 1);
    }
    uint8_t *data = malloc(ACCOUNTS_FILE_SIZE);
    struct accounts *b = malloc(sizeof *b);
    assert_int_equal(accounts_decode(b, data, accounts_encode(a, data)), ERR_OK);
    assert_memory_equal(a, b, sizeof *a);
    accounts_remove(a, accounts_find(a, "a3"));
    assert_null(accounts_find(a, "a3"));
    assert_non_null(accounts_find(a, "a255"));
    tokens_remove(a, tokens_find(a, "t255"));
    assert_null(tokens_find(a, "t255"));
    free(a);
    free(b);
    free(data);
}

static void who_can_sign_in(void **state)
{
    (void)state;
    struct accounts *a = sample();
    assert_int_equal(accounts_administrators(a, 5), 1);
    struct account *ada = accounts_find(a, "ada");
    uint64_t before = ada->revision;
    ada->expires_ns = 10;
    accounts_changed(a, ada);
    assert_true(ada->revision > before && account_is_open(ada, 9));
    assert_false(account_is_open(ada, 10));
    assert_int_equal(accounts_administrators(a, 10), 0);
    assert_false(account_is_open(accounts_find(a, "guest@oem.example"), 5)); /* disabled */
    free(a);
}

static void every_truncation_and_corruption_of_the_file_is_found(void **state)
{
    (void)state;
    struct accounts *a = sample(), *b = malloc(sizeof *b);
    uint8_t *data = calloc(1, ACCOUNTS_FILE_SIZE);
    size_t size = accounts_encode(a, data);
    assert_int_equal(accounts_decode(b, data, size), ERR_OK);
    assert_memory_equal(a, b, sizeof *a);
    for (size_t n = 0; n < size; n++) {
        assert_int_not_equal(accounts_decode(b, data, n), ERR_OK);
        for (int bit = 0; bit < 8; bit++) {
            data[n] ^= (uint8_t)(1 << bit);
            assert_int_not_equal(accounts_decode(b, data, size), ERR_OK);
            data[n] ^= (uint8_t)(1 << bit);
        }
    }
    assert_int_not_equal(accounts_decode(b, data, size + 1), ERR_OK);
    /* with a checksum that fits: what is in it is judged, and what is taken is written the same */
    uint8_t *again = malloc(ACCOUNTS_FILE_SIZE);
    for (size_t n = 20; n < size; n++) {
        uint8_t was = data[n];
        for (int byte = 0; byte < 256; byte++) {
            data[n] = (uint8_t)byte;
            uint32_t sum = crc32c(0, data + 16, size - 16);
            memcpy(data + 12, &sum, 4);
            if (accounts_decode(b, data, size) == ERR_OK) {
                assert_int_equal(accounts_encode(b, again), size);
                assert_memory_equal(again, data, size);
            }
        }
        data[n] = was;
    }
    free(again);
    free(data);
    free(a);
    free(b);
}

/* Whatever step the power or the process ends in, the file is the old one or the new one. */
static void the_power_may_go_at_any_step(void **state)
{
    (void)state;
    struct accounts *before = sample(), *after = sample(), *found = malloc(sizeof *found);
    struct account bob = {.name = "bob", .role = ROLE_VIEWER, .hash = "h"};
    assert_int_equal(accounts_add(after, &bob), ERR_OK);
    int old = 0, new = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        for (uint64_t step = 1; step < 12; step++) {
            struct sim *s = sim_new(seed);
            assert_int_equal(accounts_load(found, sim_disk(s), 0), ERR_OK);
            assert_int_equal(found->count, 0);
            assert_int_equal(accounts_save(before, sim_disk(s), 0), ERR_OK);
            sim_cut_power(s, step);
            bool saved = accounts_save(after, sim_disk(s), 0) == ERR_OK;
            bool dead = sim_is_dead(s);
            sim_power_on(s);
            assert_int_equal(accounts_load(found, sim_disk(s), 0), ERR_OK);
            bool is_new = !memcmp(found, after, sizeof *found);
            assert_true(is_new || !memcmp(found, before, sizeof *found));
            assert_true(is_new || !saved);
            assert_true(dead || saved);
            old += !is_new;
            new += is_new;
            sim_free(s);
        }
    }
    assert_true(old > 100 && new > 100);
    free(before);
    free(after);
    free(found);
}

static void a_save_that_fails_says_so_and_a_damaged_file_stays(void **state)
{
    (void)state;
    struct accounts *a = sample(), *found = malloc(sizeof *found);
    static const enum sim_call calls[] = {SIM_OPEN, SIM_WRITE, SIM_FLUSH, SIM_RENAME,
                                          SIM_FLUSH_DIR};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct sim *s = sim_new(i);
        assert_int_equal(accounts_save(a, sim_disk(s), 0), ERR_OK);
        sim_fail(s, calls[i], 1, 1, ERR_IO);
        assert_int_equal(accounts_save(a, sim_disk(s), 0), ERR_IO);
        assert_int_equal(accounts_load(found, sim_disk(s), 0), ERR_OK);
        sim_flip(s, ACCOUNTS_FILE, 60, 3);
        assert_int_equal(accounts_load(found, sim_disk(s), 0), ERR_CHECKSUM);
        sim_shorten(s, ACCOUNTS_FILE, 0);
        assert_int_equal(accounts_load(found, sim_disk(s), 0), ERR_SHORT);
        sim_free(s);
    }
    free(a);
    free(found);
}

static void nets(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown, *address;
        bool has;
    } cases[] = {
        {"10.0.0.0/8", "10.0.0.0/8", "::ffff:10.9.8.7", true},
        {"10.0.0.0/8", "10.0.0.0/8", "::ffff:11.0.0.1", false},
        {"10.0.0.0/8", "10.0.0.0/8", "::1", false},
        {"192.168.7.128/25", "192.168.7.128/25", "::ffff:192.168.7.200", true},
        {"192.168.7.128/25", "192.168.7.128/25", "::ffff:192.168.7.100", false},
        {"127.0.0.1", "127.0.0.1/32", "::ffff:127.0.0.1", true},
        {"127.0.0.1", "127.0.0.1/32", "::ffff:127.0.0.2", false},
        {"2001:db8::/33", "2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8::/33", "2001:db8:8000::1", false},
        {"", "", "::1", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct net net, one;
        char text[NET_TEXT];
        assert_true(net_parse(cases[i].text, &net) && net_parse(cases[i].address, &one));
        net_text(&net, text);
        assert_string_equal(text, cases[i].shown);
        assert_int_equal(net_has(&net, one.address), cases[i].has);
    }
    struct net net;
    static const char *const bad[] = {"x",          "10.0.0.0/33", "10.0.0/8",
                                      "::/129",     "10.0.0.0/",   "/8",
                                      "1.2.3.4/ 8", "10.0.0.0/8x", "1.2.3.4.5.6.7.8.9.10.11.12.13"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(net_parse(bad[i], &net));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_not_be_is_not_added),
        cmocka_unit_test(a_full_table_takes_no_more),
        cmocka_unit_test(who_can_sign_in),
        cmocka_unit_test(every_truncation_and_corruption_of_the_file_is_found),
        cmocka_unit_test(the_power_may_go_at_any_step),
        cmocka_unit_test(a_save_that_fails_says_so_and_a_damaged_file_stays),
        cmocka_unit_test(nets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
