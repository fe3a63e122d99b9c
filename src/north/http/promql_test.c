/* SPDX-License-Identifier: Apache-2.0 */
/* PromQL without a server: what expressions mean, what is refused; regular expressions; functions over ranges against the
 * plain definition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "north/http/pattern.h"
#include "north/http/prom_window.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Expressions. ---- */

static const char *const good[] = {
    "plant_flow",
    "{__name__=\"plant_flow\",tag=~'a|b',}",
    "plant_flow{asset!=`x\\y`, unit!~\"\\x41\\n\"} offset 5m @ end()",
    "plant_flow @ 1.5e9 offset -1h30m",
    "plant_flow[1d]",
    "rate(plant_flow[5m] offset 1w @ start())",
    "quantile_over_time(1 - 0.1, {device=\"d\"}[90s])",
    "sum without (tag,) (max_over_time(plant_flow[2h])) # why",
    "avg by (asset, unit) (plant_flow) > bool 5 ^ 2 ^ 0.5",
    "-(count(min(plant_flow) by (device)) * 2 + 0x1F)",
    "NaN != bool +Inf",
    "sum",
};

static const char *const bad[] = {
    "",
    "(",
    ")",
    "1 +",
    "plant_flow[",
    "plant_flow[5m",
    "plant_flow[5m:1m]",
    "plant_flow{",
    "plant_flow{tag}",
    "plant_flow{tag=x}",
    "plant_flow{tag='x'",
    "plant_flow{tag='\\q'}",
    "plant_flow{tag=~'('}",
    "plant_flow offset",
    "plant_flow @",
    "plant_flow @ 1e300",
    "plant_flow + plant_flow",
    "plant_flow or 1",
    "rate(plant_flow)",
    "rate(1)",
    "sum(1)",
    "sum(plant_flow[5m])",
    "quantile_over_time(plant_flow, plant_flow[5m])",
    "unknown(plant_flow)",
    "1 == 1",
    "5m",
    "1x",
    "'text'",
    "plant_flow[99999999999999999999y]",
    "{}",
    "{tag=~'.*'}",
    "a b",
    "$",
};

static int parse(const char *text, size_t size, struct promql **q)
{
    char why[256] = "";
    char *copy = malloc(size + 1); /* exactly so long: a sanitizer sees what is read behind it */
    assert_non_null(copy);
    memcpy(copy, text, size);
    int err = promql_parse(q, copy, size, why, sizeof why);
    free(copy);
    assert_true((err == 0) == (*q != NULL) && (err == 0) == (*why == 0));
    return err;
}

static void expressions_are_taken_or_refused(void **state)
{
    (void)state;
    struct promql *q;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (parse(good[i], strlen(good[i]), &q)) {
            fail_msg("refused: %s", good[i]);
        }
        promql_free(q);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (!parse(bad[i], strlen(bad[i]), &q)) {
            fail_msg("taken: %s", bad[i]);
        }
    }
}

static void every_truncation_and_corruption_is_survived(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char text[128];
        size_t size = strlen(good[i]);
        struct promql *q;
        for (size_t n = 0; n < size; n++) {
            (void)parse(good[i], n, &q);
            promql_free(q);
            memcpy(text, good[i], size);
            for (int b = 0; b < 256; b++) {
                text[n] = (char)b;
                (void)parse(text, size, &q);
                promql_free(q);
            }
        }
    }
}

static void an_expression_becomes_a_line_of_stages(void **state)
{
    (void)state;
    struct promql *q;
    const char *text =
        "100 - sum by (asset, nothing) (quantile_over_time(-2 ^ 2, x{unit='A'}[1h5m] "
        "offset 2s @ 9)) > 1 + 2 * 3";
    assert_int_equal(parse(text, strlen(text), &q), 0);
    assert_int_equal(q->type, PROMQL_VECTOR);
    assert_int_equal(q->function, OVER_QUANTILE);
    assert_true(q->parameter == -4);
    assert_int_equal(q->selector.matcher_count, 2);
    assert_int_equal(q->selector.range_ns, INT64_C(3900000000000));
    assert_int_equal(q->selector.offset_ns, INT64_C(2000000000));
    assert_int_equal(q->selector.at, AT_TIME);
    assert_int_equal(q->selector.at_ns, INT64_C(9000000000));
    assert_int_equal(q->stage_count, 3);
    assert_int_equal(q->stages[0].aggregate, GROUP_SUM);
    assert_int_equal(q->stages[0].labels, 1 << LABEL_ASSET);
    assert_int_equal(q->stages[1].op, OP_SUB);
    assert_true(q->stages[1].number_left && q->stages[1].number == 100);
    assert_int_equal(q->stages[2].op, OP_GT);
    assert_true(!q->stages[2].number_left && !q->stages[2].as_bool && q->stages[2].number == 7);
    promql_free(q);
}

static void what_is_too_much_is_refused(void **state)
{
    (void)state;
    static char text[20000];
    struct promql *q;
    memset(text, '(', sizeof text);
    assert_int_equal(parse(text, sizeof text, &q), ERR_MALFORMED);
    memset(text, '-', sizeof text);
    assert_int_equal(parse(text, sizeof text, &q), ERR_MALFORMED);
    size_t n = (size_t)snprintf(text, sizeof text, "x");
    for (int i = 0; i < 40; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "+1");
    }
    assert_int_equal(parse(text, n, &q), ERR_MALFORMED);
    n = (size_t)snprintf(text, sizeof text, "x{");
    for (int i = 0; i < 40; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "tag='a',");
    }
    assert_int_equal(parse(text, n, &q), ERR_MALFORMED);
}

static void durations_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns; /* 0: refused */
    } cases[] = {
        {"5m", INT64_C(300000000000)},
        {"1h30m", INT64_C(5400000000000)},
        {"15", INT64_C(15000000000)},
        {"0.25", 250000000},
        {"1ms", 1000000},
        {"0", 0},
        {"-1", 0},
        {"0s", 0},
        {"41y", 0},
        {"1e10", 0},
        {"5", INT64_C(5000000000)},
        {" 5", 0},
        {"5m ", 0},
        {"m", 0},
        {"", 0},
        {"NaN", 0},
        {"5 m", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ns = 0;
        int err = promql_duration(cases[i].text, strlen(cases[i].text), &ns);
        if ((err == 0) != (cases[i].ns > 0) || (!err && ns != cases[i].ns)) {
            fail_msg("%s: %d, %lld", cases[i].text, err, (long long)ns);
        }
    }
}

/* ---- Regular expressions. ---- */

static int match(const char *pattern, const char *text)
{
    struct pattern *p;
    uint64_t budget = 1000000;
    int err = pattern_new(&p, pattern, strlen(pattern));
    if (err) {
        return err;
    }
    bool is = pattern_matches(p, text, strlen(text), &budget);
    pattern_free(p);
    return is;
}

static void patterns_match_as_re2_has_it(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        int is; /* 1, 0, or an error */
    } cases[] = {
        {"", "", 1},
        {"", "a", 0},
        {"abc", "abc", 1},
        {"abc", "abcd", 0},
        {"bc", "abc", 0},
        {"a|b|cd|", "cd", 1},
        {"a|b|cd|", "", 1},
        {"a|b|cd", "bcd", 0},
        {"(a|b)*c", "abbac", 1},
        {"(?:ab)+", "abab", 1},
        {"(?:ab)+", "aba", 0},
        {"(?P<name>x)y", "xy", 1},
        {"(a*)*", "aaaa", 1},
        {"(a*)*b", "aaaa", 0},
        {"(a|)+b", "aab", 1},
        {"a?b??c", "ac", 1},
        {"a{2}", "aa", 1},
        {"a{2}", "aaa", 0},
        {"a{2,}", "aaaaa", 1},
        {"a{2,}", "a", 0},
        {"a{1,3}b", "aaab", 1},
        {"a{1,3}b", "aaaab", 0},
        {"(ab){0}c", "c", 1},
        {"a{0,1}", "", 1},
        {"a{x}", "a{x}", 1},
        {"a{,3}", "a{,3}", 1},
        {"(a{2}){2}", "aaaa", 1},
        {".", "\xc3\xa4", 1},
        {"..", "\xc3\xa4", 0},
        {".*", "any\nthing", 1},
        {"[a-c]+", "abcab", 1},
        {"[^a-c]", "d", 1},
        {"[^a-c]", "b", 0},
        {"[]a]+", "a]", 1},
        {"[a-]+", "a-", 1},
        {"[\\d_]+", "1_2", 1},
        {"[^\\d]", "1", 0},
        {"[\\x41-\\x{43}]", "B", 1},
        {"\\d+\\.\\w\\s\\S", "12.a b", 1},
        {"\\D\\W", "a-", 1},
        {"\\D", "\xc3\xa4", 1},
        {"\\\\\\(\\[", "\\([", 1},
        {"\\t\\n", "\t\n", 1},
        {"^a$", "a", 1},
        {"a^b", "ab", 0},
        {"(^a|b)c$", "bc", 1},
        {"(?i)aBc[x-z]", "AbCY", 1},
        {"(?i:a)b", "AB", 0},
        {"a(?i)b|c", "aB", 1},
        {"(?s).", "\n", 1},
        {"w/line[12]/.+", "w/line1/pump", 1},
        {"(", "", ERR_MALFORMED},
        {")", "", ERR_MALFORMED},
        {"a)", "", ERR_MALFORMED},
        {"*a", "", ERR_MALFORMED},
        {"a**", "", ERR_MALFORMED},
        {"[a", "", ERR_MALFORMED},
        {"[c-a]", "", ERR_MALFORMED},
        {"a\\", "", ERR_MALFORMED},
        {"\xff", "", ERR_MALFORMED},
        {"a{2,1}", "", ERR_MALFORMED},
        {"a{1001}", "", ERR_MALFORMED},
        {"\\x4", "", ERR_MALFORMED},
        {"\\pL", "", ERR_UNSUPPORTED},
        {"\\bx", "", ERR_UNSUPPORTED},
        {"[[:alpha:]]", "", ERR_UNSUPPORTED},
        {"(?m)a", "", ERR_UNSUPPORTED},
        {"(a{1000}){1000}", "", ERR_TOO_LONG},
        {"(((){1000}){1000}){1000}", "", ERR_TOO_LONG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int is = match(cases[i].pattern, cases[i].text);
        if (is != cases[i].is) {
            fail_msg("%s on %s: %d", cases[i].pattern, cases[i].text, is);
        }
    }
}

static void a_hostile_pattern_ends_with_its_budget(void **state)
{
    (void)state;
    struct pattern *p;
    uint64_t budget = 100000;
    static char text[100000];
    memset(text, 'a', sizeof text);
    assert_int_equal(pattern_new(&p, "(a?){900}(a*)*b", 15), 0);
    assert_false(pattern_matches(p, text, sizeof text, &budget));
    assert_int_equal(budget, 0);
    pattern_free(p);
}

/* ---- Functions over ranges. ---- */

#define SAMPLES 400u
#define STEPS   150u

struct sample {
    int64_t ns;
    double value;
    bool bad;
};

static uint32_t roll(uint64_t *seed, uint32_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33) % below;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The plain definition, range by range. */
static double expected(const struct sample *s, const struct promql *q, int64_t range, int64_t end)
{
    double in[SAMPLES], all = 0, least = INFINITY, most = -INFINITY;
    uint32_t n = 0;
    bool ended = false;
    for (uint32_t i = 0; i < SAMPLES; i++) {
        if (s[i].ns > end - range && s[i].ns <= end) {
            ended = s[i].bad;
            if (!s[i].bad) {
                in[n++] = s[i].value;
                all += s[i].value;
                least = fmin(least, s[i].value);
                most = fmax(most, s[i].value);
            }
        }
    }
    if (!n || (q->function == OVER_INSTANT && ended)) {
        return point_none();
    }
    double last = in[n - 1], rank = q->parameter * (n - 1);
    switch (q->function) {
    case OVER_AVG:
        return all / n;
    case OVER_MIN:
        return least;
    case OVER_MAX:
        return most;
    case OVER_SUM:
        return all;
    case OVER_COUNT:
        return n;
    case OVER_QUANTILE:
        qsort(in, n, sizeof *in, by_value);
        return in[(uint32_t)rank] +
               (rank - floor(rank)) * (in[(uint32_t)ceil(rank)] - in[(uint32_t)rank]);
    default:
        return last;
    }
}

static void windows_are_what_their_definition_says(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (uint32_t round = 0; round < 400; round++) {
        struct promql q = {.function = round % (OVER_QUANTILE + 1),
                           .parameter = roll(&seed, 101) / 100.0};
        struct steps steps = {
            .first_ns = roll(&seed, 500), .step_ns = 1 + roll(&seed, 40), .count = STEPS};
        int64_t range = 1 + roll(&seed, 200), ns = 0;
        struct sample samples[SAMPLES];
        double points[STEPS];
        uint64_t budget = 100000000;
        struct window w;
        window_init(&w, &q, range, steps, points, &budget);
        for (uint32_t i = 0; i < SAMPLES; i++) {
            ns += roll(&seed, 5) ? roll(&seed, 12) : roll(&seed, 300);
            samples[i] = (struct sample){ns, roll(&seed, 2000) / 8.0 - 100, roll(&seed, 10) == 0};
            assert_int_equal(window_put(&w, ns, samples[i].value, samples[i].bad), 0);
        }
        window_close(&w, STEPS);
        for (uint32_t i = 0; i < STEPS; i++) {
            double want = expected(samples, &q, range, steps.first_ns + i * steps.step_ns);
            if (point_is_none(want) != point_is_none(points[i]) ||
                (!point_is_none(want) && fabs(want - points[i]) > 1e-9)) {
                fail_msg("round %u, step %u: %g instead of %g", round, i, points[i], want);
            }
        }
        window_fini(&w);
    }
}

static double rate_of(enum prom_function f, const double *values, uint32_t n)
{
    struct promql q = {.function = f};
    double point;
    uint64_t budget = 1000;
    struct window w;
    struct steps steps = {.first_ns = INT64_C(100000000000), .count = 1};
    window_init(&w, &q, INT64_C(50000000000), steps, &point, &budget);
    for (uint32_t i = 0; i < n; i++) { /* every 10 s from 55 s on */
        assert_int_equal(
            window_put(&w, INT64_C(55000000000) + i * INT64_C(10000000000), values[i], false), 0);
    }
    window_close(&w, 1);
    window_fini(&w);
    return point;
}

static void rates_are_extrapolated_and_know_resets(void **state)
{
    (void)state;
    assert_float_equal(rate_of(OVER_INCREASE, (double[]){100, 110, 120, 130, 140}, 5), 50, 1e-9);
    assert_float_equal(rate_of(OVER_RATE, (double[]){100, 110, 120, 130, 140}, 5), 1, 1e-9);
    assert_float_equal(rate_of(OVER_INCREASE, (double[]){100, 110, 5, 15, 25}, 5), 43.75, 1e-9);
    assert_float_equal(rate_of(OVER_DELTA, (double[]){100, 110, 5, 15, 25}, 5), -93.75, 1e-9);
    assert_float_equal(rate_of(OVER_INCREASE, (double[]){2, 12, 22, 32, 42}, 5), 47, 1e-9);
    assert_float_equal(rate_of(OVER_INCREASE, (double[]){100, 110}, 2), 20, 1e-9);
    assert_true(point_is_none(rate_of(OVER_RATE, (double[]){100}, 1)));
}

static void a_window_is_bounded(void **state)
{
    (void)state;
    struct promql q = {.function = OVER_SUM};
    double point;
    uint64_t budget = 1000;
    struct window w;
    window_init(&w, &q, INT64_MAX / 4, (struct steps){.first_ns = 1 << 30, .count = 1}, &point,
                &budget);
    for (uint32_t i = 0; i < WINDOW_SAMPLES_MAX; i++) {
        assert_int_equal(window_put(&w, i, 1, false), 0);
    }
    assert_int_equal(window_put(&w, WINDOW_SAMPLES_MAX, 1, false), ERR_TOO_LONG);
    window_close(&w, 1);
    assert_true(point_is_none(point) && budget == 0);
    window_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_are_taken_or_refused),
        cmocka_unit_test(every_truncation_and_corruption_is_survived),
        cmocka_unit_test(an_expression_becomes_a_line_of_stages),
        cmocka_unit_test(what_is_too_much_is_refused),
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(patterns_match_as_re2_has_it),
        cmocka_unit_test(a_hostile_pattern_ends_with_its_budget),
        cmocka_unit_test(windows_are_what_their_definition_says),
        cmocka_unit_test(rates_are_extrapolated_and_know_resets),
        cmocka_unit_test(a_window_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
