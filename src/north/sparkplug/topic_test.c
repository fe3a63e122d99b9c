/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "north/sparkplug/topic.h"

#include <stdlib.h>
#include <string.h>

static void levels_hold_no_wildcards(void **state)
{
    (void)state;
    char out[TOPIC_MAX];
    topic_level(out, "a/b+c#d\x01 é");
    assert_string_equal(out, "a_b_c_d_ é");
    char longer[2 * TOPIC_MAX];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    memcpy(longer + TOPIC_MAX - 2, "é", 2);
    topic_level(out, longer);
    assert_int_equal(strlen(out), TOPIC_MAX - 2);
}

static void topics_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *topic;
        enum topic_kind kind;
    } cases[] = {
        {"spBv1.0/plant/NCMD/edge", TOPIC_NCMD},      {"spBv1.0/plant/NCMD/edge2", TOPIC_OTHER},
        {"spBv1.0/plant/NCMD/edg", TOPIC_OTHER},      {"spBv1.0/plant/NCMD/edge/x", TOPIC_OTHER},
        {"spBv1.0/plant2/NCMD/edge", TOPIC_OTHER},    {"spBv1.0/plant/DCMD/edge/plc", TOPIC_DCMD},
        {"spBv1.0/plant/DCMD/edge/", TOPIC_OTHER},    {"spBv1.0/plant/DCMD/edge", TOPIC_OTHER},
        {"spBv1.0/plant/DCMD/edge/a/b", TOPIC_OTHER}, {"spBv1.0/plant/NDATA/edge", TOPIC_OTHER},
        {"spBv1.0/STATE/host", TOPIC_STATE},          {"", TOPIC_OTHER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *device = NULL;
        assert_int_equal(topic_parse(cases[i].topic, "plant", "edge", &device), cases[i].kind);
        if (cases[i].kind == TOPIC_DCMD) {
            assert_string_equal(device, "plc");
        }
    }
}

static void states_are_read_strictly(void **state)
{
    (void)state;
    static const char good[] = "{\"online\": true, \"timestamp\": 1700000000000}";
    bool online = false;
    int64_t time = 0;
    assert_int_equal(state_parse(good, sizeof good - 1, &online, &time), 0);
    assert_true(online);
    assert_int_equal(time, 1700000000000);
    for (size_t n = 0; n < sizeof good - 1; n++) {
        assert_int_equal(state_parse(good, n, &online, &time), ERR_MALFORMED);
    }
    for (size_t n = 0; n < sizeof good - 1; n++) {
        for (unsigned b = 0; b < 256; b++) {
            char copy[sizeof good];
            memcpy(copy, good, sizeof good);
            copy[n] = (char)b;
            int err = state_parse(copy, sizeof good - 1, &online, &time);
            assert_true(err == 0 || err == ERR_MALFORMED);
        }
    }
    static const char *const bad[] = {"ONLINE", "[]", "{\"online\":1,\"timestamp\":1}",
                                      "{\"online\":true}", "{\"online\":true,\"timestamp\":1.5}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(state_parse(bad[i], strlen(bad[i]), &online, &time), ERR_MALFORMED);
    }
    static char nested[STATE_SIZE_MAX + 1];
    memset(nested, '[', sizeof nested);
    assert_int_equal(state_parse(nested, sizeof nested, &online, &time), ERR_MALFORMED);
    assert_int_equal(state_parse(nested, sizeof nested - 1, &online, &time), ERR_MALFORMED);
}

static void templates_are_filled_in(void **state)
{
    (void)state;
    char out[TOPIC_MAX], why[96];
    struct topic_names names = {
        .gateway = "gw", .device = "plc+1", .path = "site/p1/flow", .id = 7};
    assert_int_equal(template_expand("{gateway}/{path}", &names, out), 0);
    assert_string_equal(out, "gw/site/p1/flow");
    assert_int_equal(template_expand("x/{device}/{id}{feed}", &names, out), 0);
    assert_string_equal(out, "x/plc_1/7");
    static const char *const bad[] = {"", "{", "a/{path", "{nope}", "a/+/b", "#", "a}b", "{}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(template_check(bad[i], why, sizeof why), ERR_MALFORMED);
        assert_true(strlen(why) > 0);
    }
    assert_int_equal(template_check("{gateway}/{path}", why, sizeof why), 0);
    char path[TOPIC_MAX];
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    names.path = path;
    assert_int_equal(template_expand("{path}", &names, out), 0);
    assert_int_equal(template_expand("{path}x", &names, out), ERR_TOO_LONG);
}

/* Whatever a template says: it is refused with a reason, or gives a topic that may be published. */
static void assert_template_is_safe(const char *template)
{
    char out[TOPIC_MAX], why[96] = "";
    const struct topic_names names = {"g#", "p", "n+", "\n", "a/b+", "f", 7};
    int checked = template_check(template, why, sizeof why);
    int err = template_expand(template, &names, out);
    assert_true(checked == 0 || (checked == ERR_MALFORMED && *why));
    assert_true(err == 0 || err == ERR_MALFORMED || err == ERR_TOO_LONG);
    if (err == 0) {
        assert_null(strpbrk(out, "+#\n"));
    } else if (err == ERR_MALFORMED) {
        assert_int_equal(checked, ERR_MALFORMED);
    }
}

static void every_damage_to_a_template_is_refused_or_harmless(void **state)
{
    (void)state;
    static const char good[] = "it/{gateway}/{group}/{node}/{device}/{path}/{feed}/{id}";
    char copy[sizeof good];
    for (size_t n = 0; n < sizeof good - 1; n++) {
        memcpy(copy, good, sizeof good);
        copy[n] = '\0';
        assert_template_is_safe(copy);
        for (unsigned b = 1; b < 256; b++) {
            memcpy(copy, good, sizeof good);
            copy[n] = (char)b;
            assert_template_is_safe(copy);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_hold_no_wildcards),
        cmocka_unit_test(topics_are_told_apart),
        cmocka_unit_test(states_are_read_strictly),
        cmocka_unit_test(templates_are_filled_in),
        cmocka_unit_test(every_damage_to_a_template_is_refused_or_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
