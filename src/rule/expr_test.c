/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions: what they mean, against an evaluator that walks the text anew; what is wrong in them; code of any origin. */
#include "rule/expr_ops.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Tags a to f: numbers 1 to 4 with ranges 0..10, e and f truths; their ids are their places from 1. */
static struct expr_value values[6];

static bool find(void *context, const char *path, size_t size, struct expr_tag *out)
{
    (void)context;
    size_t place = size == 3 && path[0] == 'w' && path[1] == '/' ? (size_t)(path[2] - 'a') : 9;
    if (path[0] == '#') {
        place = (size_t)atoi(path + 1) - 1;
    }
    if (place >= 6) {
        return false;
    }
    *out =
        (struct expr_tag){.id = (uint32_t)place + 1, .boolean = place >= 4, .low = 0, .high = 10};
    return true;
}

static void read_value(void *context, uint32_t tag, struct expr_value *out)
{
    (void)context;
    *out = values[tag - 1];
}

static const struct expr_names names = {.find = find};
static const struct expr_reader reader = {.read = read_value};

static void set(size_t place, double number)
{
    values[place] = (struct expr_value){.good = true, .number = number, .age_ns = 2000000000};
}

static void set_all(void)
{
    for (size_t i = 0; i < 6; i++) {
        set(i, i < 4 ? (double)i + 1 : i == 4);
    }
}

static enum expr_truth holds(const char *text)
{
    struct expr_code code;
    struct expr_error error;
    struct expr x;
    if (expr_compile(text, &names, &code, &error)) {
        fail_msg("%s: column %u: %s", text, error.column, error.text);
    }
    assert_int_equal(expr_open(&x, code.words, code.size), 0);
    return expr_holds(&x, &reader);
}

static void conditions_mean_what_they_say(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum expr_truth truth;
    } rows[] = {
        {"true", EXPR_TRUE},
        {"not true", EXPR_FALSE},
        {"{w/e}", EXPR_TRUE},
        {"{w/e} and {w/f}", EXPR_FALSE},
        {"{w/e} or {w/f} and false", EXPR_TRUE},
        {"{w/a} + {w/b} * {w/c} == 7", EXPR_TRUE},
        {"({w/a} + {w/b}) * {w/c} = 9", EXPR_TRUE},
        {"10 - 2 - 3 == 5 and 12/3/2 == 2", EXPR_TRUE},
        {"-{w/a} < 0 and - - 1 == 1", EXPR_TRUE},
        {"abs(-3) == 3 and min(1, 2) == 1 and max(1, 2) >= 2", EXPR_TRUE},
        {"if({w/e}, {w/a}, {w/b}) == 1 and if({w/f}, true, {w/e})", EXPR_TRUE},
        {"age({w/a}) < 5s and age({w/a}) > 1.5s", EXPR_TRUE},
        {"2min == 120 and 1h == 60min and 500ms == 0.5 and 1d == 24h", EXPR_TRUE},
        {"good({w/a}) and not bad({w/a}) and not uncertain({w/a})", EXPR_TRUE},
        {"{w/e} == true and {w/e} != {w/f}", EXPR_TRUE},
        {"{w/a} != 1", EXPR_FALSE},
        {"{w/a} / 0 > 1", EXPR_UNKNOWN},
        {"{w/a} / 0 > 1 or {w/e}", EXPR_TRUE},
        {"{w/a} / 0 > 1 and {w/f}", EXPR_FALSE},
        {"not ({w/a} / 0 > 1)", EXPR_UNKNOWN},
        {"1e308 * 10 > 0", EXPR_UNKNOWN},
        {"1e3 == 1000 and 1.5e-1 == .15", EXPR_TRUE},
    };
    set_all();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (holds(rows[i].text) != rows[i].truth) {
            fail_msg("%s", rows[i].text);
        }
    }
}

static void what_is_not_good_is_not_known(void **state)
{
    (void)state;
    set_all();
    values[0] = (struct expr_value){.number = 1, .age_ns = 1};
    values[1] = (struct expr_value){.none = true};
    values[2] = (struct expr_value){.uncertain = true, .number = 3};
    assert_int_equal(holds("{w/a} > 0"), EXPR_UNKNOWN);
    assert_int_equal(holds("bad({w/a}) and bad({w/b}) and uncertain({w/c})"), EXPR_TRUE);
    assert_int_equal(holds("{w/c} > 0"), EXPR_UNKNOWN);
    assert_int_equal(holds("age({w/b}) > 1000d"), EXPR_TRUE);
    assert_int_equal(holds("{w/a} > 0 or {w/e}"), EXPR_TRUE);
    assert_int_equal(holds("min({w/a}, 1) == 1"), EXPR_UNKNOWN);
    values[4] = (struct expr_value){.none = true};
    assert_int_equal(holds("{w/e}"), EXPR_UNKNOWN);
    assert_int_equal(holds("if({w/e}, true, true)"), EXPR_UNKNOWN);
}

static void mistakes_are_told_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t column;
        const char *error;
    } rows[] = {
        {"", 1, "missing"},
        {"{w/a}", 2, "true or false"},
        {"{w/x} > 1", 2, "no such tag as 'w/x'"},
        {"{w/a > 1", 1, "no end"},
        {"w/a > 1", 1, "no function"},
        {"{w/a} > ", 9, "missing"},
        {"{w/a} > 1 {w/b} > 2", 12, "should end"},
        {"{w/a} and {w/e}", 1, "true or false"},
        {"{w/e} + 1 > 2", 2, "a number belongs"},
        {"{w/e} > 1", 2, "a number belongs"},
        {"({w/a} > 1", 11, "')' is missing"},
        {"abs({w/e}) > 1", 6, "a number belongs"},
        {"age(1) > 1", 5, "a tag in braces"},
        {"5parsec > 1", 1, "neither a number"},
        {"1.2.3 > 1", 1, "neither a number"},
        {"{w/a} $ 1", 7, "'$' means nothing"},
        {"if(1, 2, 3) > 1", 4, "true or false"},
        {"if({w/e}, 2, true) > 1", 14, "a number belongs"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct expr_code code;
        struct expr_error error;
        assert_int_equal(expr_compile(rows[i].text, &names, &code, &error), ERR_MALFORMED);
        if (error.column != rows[i].column || !strstr(error.text, rows[i].error)) {
            fail_msg("%s: %u: %s", rows[i].text, error.column, error.text);
        }
    }
    char deep[2000] = "", *at = deep;
    for (int i = 0; i < 500; i++) {
        at += sprintf(at, "((");
    }
    struct expr_code code;
    struct expr_error error;
    assert_int_equal(expr_compile(deep, &names, &code, &error), ERR_MALFORMED);
    assert_non_null(strstr(error.text, "deep"));
}

static void a_refusal_names_the_part(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"{w/e} and {w/c} < 3 and true", "{w/c} < 3 does not hold (3)"},
        {"{w/f}", "{w/f} does not hold (false)"},
        {"{w/e} and age({w/a}) < 1s", "age({w/a}) < 1s does not hold (2 s old)"},
        {"{w/d} > 1 and {w/e}", "{w/d} > 1 is not known (bad)"},
        {"{w/f} or {w/a} > 5", "{w/f} or {w/a} > 5 does not hold (false, 1)"},
        {"{w/e}", "it holds"},
    };
    set_all();
    values[3] = (struct expr_value){.number = 1};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct expr_code code;
        struct expr_error error;
        struct expr x;
        char says[120];
        assert_int_equal(expr_compile(rows[i].text, &names, &code, &error), 0);
        assert_int_equal(expr_open(&x, code.words, code.size), 0);
        expr_explain(&x, rows[i].text, &reader, says, sizeof says);
        assert_string_equal(says, rows[i].says);
        for (size_t n = 1; n < sizeof says; n++) { /* any room is enough */
            expr_explain(&x, rows[i].text, &reader, says, n);
        }
    }
}

static bool never(const char *text, char *why)
{
    struct expr_code code;
    struct expr_error error;
    struct expr x;
    assert_int_equal(expr_compile(text, &names, &code, &error), 0);
    assert_int_equal(expr_open(&x, code.words, code.size), 0);
    return expr_never(&x, text, &names, why, 120);
}

static void what_can_never_hold_is_found(void **state)
{
    (void)state;
    char why[120];
    assert_true(never("{w/e} and {w/a} > 12", why));
    assert_string_equal(why, "{w/a} > 12 can never hold");
    assert_true(never("{w/a} + {w/b} > 20", why));
    assert_true(never("{w/a} * 2 < 0 - 1", why));
    assert_true(never("false", why));
    assert_true(never("not true or abs({w/a}) < 0", why));
    assert_true(never("age({w/a}) < 0", why));
    assert_false(never("{w/a} >= 10", why));
    assert_false(never("{w/a} + {w/b} >= 20", why));
    assert_false(never("{w/a} / {w/b} > 1000", why));
    assert_false(never("{w/e} and not {w/e}", why)); /* it looks at each tag by itself */
}

/* ---- Random conditions against one that walks the text it makes. ---- */

static uint64_t dice_state = 1;

static uint32_t dice(uint32_t below)
{
    dice_state = dice_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(dice_state >> 33) % below;
}

static double make_number(char **at, int depth);

/* Writes a random truth and gives its value: 0, 1, NaN. */
static double make_truth(char **at, int depth)
{
    static const char *const signs[] = {"<", "<=", ">", ">=", "==", "!="};
    double a, b, c;
    uint32_t kind = depth ? dice(7) : 6;
    switch (kind) {
    case 0:
    case 1:
        *at += sprintf(*at, "(");
        a = make_truth(at, depth - 1);
        *at += sprintf(*at, kind ? " or " : " and ");
        b = make_truth(at, depth - 1);
        *at += sprintf(*at, ")");
        if (kind) {
            return a == 1 || b == 1 ? 1 : isnan(a) || isnan(b) ? NAN : 0;
        }
        return a == 0 || b == 0 ? 0 : isnan(a) || isnan(b) ? NAN : 1;
    case 2:
        *at += sprintf(*at, "(not ");
        a = make_truth(at, depth - 1);
        *at += sprintf(*at, ")");
        return isnan(a) ? NAN : a == 0;
    case 3:
        *at += sprintf(*at, "if(");
        a = make_truth(at, depth - 1);
        *at += sprintf(*at, ", ");
        b = make_truth(at, depth - 1);
        *at += sprintf(*at, ", ");
        c = make_truth(at, depth - 1);
        *at += sprintf(*at, ")");
        return isnan(a) ? NAN : a != 0 ? b : c;
    case 4:
    case 5: {
        uint32_t sign = dice(6);
        *at += sprintf(*at, "(");
        a = make_number(at, depth - 1);
        *at += sprintf(*at, " %s ", signs[sign]);
        b = make_number(at, depth - 1);
        *at += sprintf(*at, ")");
        if (isnan(a) || isnan(b)) {
            return NAN;
        }
        return sign == 0   ? a < b
               : sign == 1 ? a <= b
               : sign == 2 ? a > b
               : sign == 3 ? a >= b
               : sign == 4 ? a == b
                           : a != b;
    }
    default: {
        uint32_t tag = 4 + dice(2);
        *at += sprintf(*at, "{w/%c}", (int)('a' + tag));
        return values[tag].good ? values[tag].number : NAN;
    }
    }
}

static double make_number(char **at, int depth)
{
    static const char signs[] = "+-*/";
    double a, b, r;
    switch (depth ? dice(4) : 2 + dice(2)) {
    case 0: {
        uint32_t sign = dice(4);
        *at += sprintf(*at, "(");
        a = make_number(at, depth - 1);
        *at += sprintf(*at, " %c ", signs[sign]);
        b = make_number(at, depth - 1);
        *at += sprintf(*at, ")");
        r = sign == 0 ? a + b : sign == 1 ? a - b : sign == 2 ? a * b : a / b;
        return isfinite(r) ? r : NAN;
    }
    case 1: {
        bool least = dice(2);
        *at += sprintf(*at, least ? "min(" : "max(");
        a = make_number(at, depth - 1);
        *at += sprintf(*at, ", ");
        b = make_number(at, depth - 1);
        *at += sprintf(*at, ")");
        return isnan(a) || isnan(b) ? NAN : least ? fmin(a, b) : fmax(a, b);
    }
    case 2: {
        uint32_t tag = dice(4);
        *at += sprintf(*at, "{w/%c}", (int)('a' + tag));
        return values[tag].good ? values[tag].number : NAN;
    }
    default: {
        uint32_t number = dice(12);
        *at += sprintf(*at, "%u", number);
        return number;
    }
    }
}

static void random_conditions_are_as_an_obvious_evaluator_has_them(void **state)
{
    (void)state;
    size_t truths[3] = {0};
    for (int round = 0; round < 20000; round++) {
        char text[8192], *at = text;
        for (size_t i = 0; i < 6; i++) {
            set(i, i < 4 ? dice(11) : dice(2));
            values[i].good = dice(8) != 0;
        }
        double wanted = make_truth(&at, 4);
        struct expr_code code;
        struct expr_error error;
        struct expr x;
        if (strlen(text) > 3000 || expr_compile(text, &names, &code, &error)) {
            assert_true(strlen(text) > 300); /* only what is too long may be refused */
            continue;
        }
        assert_int_equal(expr_open(&x, code.words, code.size), 0);
        enum expr_truth got = expr_holds(&x, &reader);
        enum expr_truth expected = isnan(wanted) ? EXPR_UNKNOWN
                                   : wanted != 0 ? EXPR_TRUE
                                                 : EXPR_FALSE;
        if (got != expected) {
            fail_msg("%s", text);
        }
        truths[got]++;
        char why[120];
        if (expr_never(&x, text, &names, why, sizeof why)) {
            assert_int_not_equal(got, EXPR_TRUE);
        }
    }
    assert_true(truths[0] > 1000 && truths[1] > 1000 && truths[2] > 1000);
}

static void damaged_code_is_refused_or_harmless(void **state)
{
    (void)state;
    static const char text[] = "{w/e} and if({w/f}, {w/a}, min({w/b}, 3)) < 3 and age({w/c}) < 5s";
    struct expr_code code, bad;
    struct expr_error error;
    struct expr x;
    char says[64];
    set_all();
    assert_int_equal(expr_compile(text, &names, &code, &error), 0);
    for (size_t n = 0; n < code.size; n++) {
        assert_true(expr_open(&x, code.words, n) < 0);
    }
    for (size_t at = 0; at < code.size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            bad = code;
            ((uint8_t *)bad.words)[at] ^= (uint8_t)(1 << bit);
            if (!expr_open(&x, bad.words, bad.size)) {
                for (size_t i = 0; i < x.head->tag_count;
                     i++) { /* an id that was damaged names another tag */
                    ((uint32_t *)(uintptr_t)x.tags)[i] = 1;
                }
                (void)expr_holds(&x, &reader);
                expr_explain(&x, text, &reader, says, sizeof says);
                (void)expr_never(&x, text, &names, says, sizeof says);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_mean_what_they_say),
        cmocka_unit_test(what_is_not_good_is_not_known),
        cmocka_unit_test(mistakes_are_told_with_their_place),
        cmocka_unit_test(a_refusal_names_the_part),
        cmocka_unit_test(what_can_never_hold_is_found),
        cmocka_unit_test(random_conditions_are_as_an_obvious_evaluator_has_them),
        cmocka_unit_test(damaged_code_is_refused_or_harmless),
    };
    return cmocka_run_group_tests_name("expr", tests, NULL, NULL);
}
