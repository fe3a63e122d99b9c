/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "box/box.h"

#include <stdlib.h>
#include <string.h>

static const struct isthmus_option table[] = {
    {"address", ISTHMUS_OPTION_ADDRESS, NULL, .help = "where"},
    {"unit", ISTHMUS_OPTION_INT, "1", 0, 255},
    {"gain", ISTHMUS_OPTION_NUMBER, "1.5"},
    {"fast", ISTHMUS_OPTION_BOOL, "false"},
    {"period", ISTHMUS_OPTION_DURATION, "1s", 10, 60000},
    {"order", ISTHMUS_OPTION_CHOICE, "big", .choices = "big|little|mixed"},
    {"listen", ISTHMUS_OPTION_BIND, "127.0.0.1:0"},
    {"ca", ISTHMUS_OPTION_FILE, ""},
    {"note", ISTHMUS_OPTION_TEXT, ""},
    {0},
};

static int parse(const char *key, const char *value, double *number, size_t *bad, char *why)
{
    const struct option_pair pairs[] = {{"address", "plc:502"}, {key, value}};
    struct isthmus_setting *settings = NULL;
    size_t count = 0;
    int err = options_parse(table, pairs, 2, &settings, &count, bad, why, 160);
    for (size_t i = 0; !err && i < count; i++) {
        if (!strcmp(settings[i].name, key)) {
            *number = settings[i].number;
            assert_string_equal(settings[i].text, value);
        }
    }
    free(settings);
    return err;
}

static void good_texts_become_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value;
        double number;
    } rows[] = {
        {"unit", "255", 255},        {"unit", "0x10", 16},         {"gain", "-2.5e1", -25},
        {"fast", "true", 1},         {"period", "250ms", 250},     {"period", "1min", 60000},
        {"period", "0.5s", 500},     {"order", "mixed", 2},        {"listen", "0.0.0.0:80", 0},
        {"listen", "[::1]:8080", 0}, {"ca", "/etc/ssl/ca.pem", 0}, {"note", "anything: at all", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char why[160] = "";
        size_t bad;
        double number = -1;
        assert_int_equal(parse(rows[i].key, rows[i].value, &number, &bad, why), 0);
        assert_true(number == rows[i].number);
    }
}

static void bad_texts_are_refused_with_their_index(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value;
    } rows[] = {
        {"unit", "256"},
        {"unit", ""},
        {"unit", "1x"},
        {"unit", " 1"},
        {"unit", "99999999999999999999"},
        {"gain", "nan"},
        {"gain", "1,5"},
        {"fast", "yes"},
        {"period", "5"},
        {"period", "1ms"},
        {"period", "-1s"},
        {"period", "2 min"},
        {"order", "bi"},
        {"order", ""},
        {"order", "big|little"},
        {"listen", "host:80"},
        {"listen", "1.2.3.4"},
        {"listen", "::1:80"},
        {"listen", "1.2.3.4:99999"},
        {"colour", "red"},
        {"address", "b:1"},
        {"listen", "1.2.3.4:x"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char why[160] = "";
        size_t bad = 77;
        double number;
        assert_int_equal(parse(rows[i].key, rows[i].value, &number, &bad, why), ERR_CONFIG);
        assert_int_equal(bad, 1);
        assert_true(strlen(why) > 10);
    }
}

static void defaults_fill_in_and_needed_ones_are_missed(void **state)
{
    (void)state;
    struct isthmus_setting *settings = NULL;
    size_t count, bad = 77;
    char why[160];
    const struct option_pair one = {"address", "10.0.0.1:502"};
    assert_int_equal(options_parse(table, &one, 1, &settings, &count, &bad, why, sizeof why), 0);
    assert_int_equal(count, 9);
    assert_true(settings[4].number == 1000);
    assert_string_equal(settings[5].text, "big");
    free(settings);
    assert_int_equal(options_parse(table, NULL, 0, &settings, &count, &bad, why, sizeof why),
                     ERR_CONFIG);
    assert_true(bad == SIZE_MAX);
    assert_non_null(strstr(why, "address"));
    assert_int_equal(options_parse(NULL, NULL, 0, &settings, &count, &bad, why, sizeof why), 0);
    assert_int_equal(count, 0);
    free(settings);
}

static void modules_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const char *const names[] = {"", "../x", "/etc/passwd", "a.so", "there-is-none"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char why[200] = "";
        assert_null(module_driver(names[i], why, sizeof why));
        assert_true(strlen(why) > 10);
        why[0] = 0;
        assert_null(module_service(names[i], why, sizeof why));
        assert_true(strlen(why) > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_texts_become_numbers),
        cmocka_unit_test(bad_texts_are_refused_with_their_index),
        cmocka_unit_test(defaults_fill_in_and_needed_ones_are_missed),
        cmocka_unit_test(modules_are_refused_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
