/* SPDX-License-Identifier: Apache-2.0 */
/* What clients say to the HTTP service: well, cut short, and with each byte wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "north/http/http_input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD   "\r\nHost: 127.0.0.1:8480\r\n"
#define COOKIE "Cookie: x=1; isthmus-8480=00112233445566778899aabbccddeeff; y=2\r\n"
#define CSRF   "X-Isthmus-CSRF: 00000000000000000000000000000000\r\n"

static const struct {
    const char *text;
    int status;
} said[] = {
    {"GET /" HEAD "\r\n", 200},
    {"GET /" HEAD "If-None-Match: \"1\"\r\n\r\n", 304},
    {"GET /api/v1/tags?tags=w/**&limit=10&after=1" HEAD "\r\n", 200},
    {"GET /api/v1/now/w/1" HEAD "Origin: http://127.0.0.1:8480\r\n\r\n", 200},
    {"GET /api/v1/now/w/9" HEAD "\r\n", 404},
    {"GET /api/v1/samples?after=12&limit=5" HEAD "\r\n", 200},
    {"GET /api/v1/history?tag=w/1&from=2026-11-22T10:00:00Z&to=2026-11-22T11:00:00Z&points=9" HEAD
     "\r\n",
     200},
    {"GET /api/v1/stream?mode=every&tags=w/*&from=7" HEAD "\r\n", 200},
    {"GET /api/v1/browse?device=plc" HEAD "\r\n", 200},
    {"GET /api/v1/browse?device=nobody" HEAD "\r\n", 404},
    {"GET /metrics" HEAD "\r\n", 200},
    {"GET /prometheus/api/v1/query?query=sum(plant_1)%20by%20(tag)" HEAD "\r\n",
     400}, /* not decoded here */
    {"GET /prometheus/api/v1/query?query=sum(plant_1)by(tag)*2&time=9.5&timeout=5s" HEAD "\r\n",
     200},
    {"GET /prometheus/api/v1/query?query={tag=~'w/.'}[5m]&time=2026-11-22T10:00:00Z" HEAD "\r\n",
     200},
    {"GET /prometheus/api/v1/query" HEAD "\r\n", 400},
    {"POST /prometheus/api/v1/query_range" HEAD
     "\r\nquery=rate(plant_1%5B5m%5D)+%2B+1&start=0&end=600&step=1m&lookback_delta=1m",
     200},
    {"POST /prometheus/api/v1/query_range" HEAD "\r\nquery=1%2", 400},
    {"GET /prometheus/api/v1/query_range?query=plant_1&start=0&end=99999&step=9000&x=1" HEAD "\r\n",
     200},
    {"GET /prometheus/api/v1/labels?limit=2" HEAD "\r\n", 200},
    {"GET /prometheus/api/v1/label/tag/values" HEAD "\r\n", 200},
    {"GET /prometheus/api/v1/label/tag" HEAD "\r\n", 404},
    {"POST /prometheus/api/v1/series" HEAD
     "\r\nmatch%5B%5D=plant_1&match%5B%5D=%7Btag%3D%22w%2F2%22%7D",
     200},
    {"GET /prometheus/api/v1/metadata?metric=plant_1" HEAD "\r\n", 200},
    {"GET /prometheus/api/v1/status/buildinfo" HEAD "\r\n", 200},
    {"GET /prometheus/federate?match[]={tag!=''}" HEAD "\r\n", 200},
    {"POST /prometheus/federate" HEAD "\r\n", 405},
    {"POST /api/v1/commands" HEAD "\r\n{\"tag\": \"w/1\", \"value\": 5}", 403},
    {"WS /api/v1/ws" HEAD
     "\r\n{\"subscribe\": {\"tags\": [\"w/*\", \"w/1\"], \"mode\": \"every\"}}",
     101},
    {"WS /api/v1/ws" HEAD "\r\n{\"subscribe\": {\"from\": 12, \"mode\": \"latest\"}}", 101},
    {"GET /api/v1/nothing" HEAD "\r\n", 404},
    {"GET /api/v1/samples?limit=-1" HEAD "\r\n", 400},
    {"GET /api/v1/history?tag=w/1&from=yesterday" HEAD "\r\n", 400},
    {"GET /api/v1/stream?mode=loud" HEAD "\r\n", 400},
    {"POST /api/v1/commands" HEAD "\r\n{\"tag\": 5}", 400},
    {"POST /api/v1/commands" HEAD "\r\n{\"tag\": \"w/1\", \"value\": \"-7\", \"id\": "
     "\"00112233-4455-6677-8899-aabbccddeeff\"}",
     403},
    {"POST /api/v1/commands" HEAD "\r\n{\"tag\": \"w/1\", \"value\": true}", 422},
    {"POST /api/v1/commands" HEAD "Content-Length: 1x\r\n\r\n{}", 411},
    {"POST /api/v1/commands" HEAD "Transfer-Encoding: chunked\r\n\r\n{}", 411},
    {"POST /api/v1/commands" HEAD "Content-Length: 16385\r\n\r\n{}", 413},
    {"POST /api/v1/tags" HEAD "\r\n", 405},
    {"PUT /api/v1/tags" HEAD "\r\n", 405},
    {"GET /api/v1/session" HEAD COOKIE "\r\n", 200},
    {"GET /api/v1/session" HEAD "\r\n", 401},
    {"GET /api/v1/session" HEAD "Cookie: isthmus-8480=10112233445566778899aabbccddeeff\r\n\r\n",
     401},
    {"GET /api/v1/session" HEAD "Authorization: Bearer sesame\r\n\r\n", 200},
    {"GET /api/v1/session" HEAD "Authorization: Bearer other\r\n\r\n", 401},
    {"DELETE /api/v1/session" HEAD COOKIE CSRF "\r\n", 200},
    {"DELETE /api/v1/session" HEAD COOKIE "\r\n", 403},
    {"DELETE /api/v1/tags" HEAD "\r\n", 405},
    {"POST /api/v1/session" HEAD "\r\n{\"name\": \"ada\", \"password\": \"sesame\"}", 200},
    {"POST /api/v1/session" HEAD
     "\r\n{\"name\": \"ada\", \"password\": \"x\", \"totp\": \"123456\"}",
     401},
    {"POST /api/v1/session" HEAD "\r\n{\"name\": \"ada\", \"password\": 5}", 400},
    {"POST /api/v1/session" HEAD "\r\n{\"name\": \"ada\", \"password\": \"x\", \"more\": \"y\"}",
     400},
    {"POST /api/v1/enrol" HEAD "\r\n{\"link\": \"sesame\", \"name\": \"ada\", \"password\": \"p\"}",
     200},
    {"POST /api/v1/enrol" HEAD "\r\n{\"link\": \"x\", \"name\": \"ada\", \"password\": \"p\"}",
     403},
    {"GET /api/v1/accounts" HEAD COOKIE "\r\n", 200},
    {"GET /api/v1/accounts" HEAD "\r\n", 401},
    {"POST /api/v1/accounts" HEAD COOKIE CSRF
     "\r\n{\"name\": \"bob\", \"role\": \"viewer\", \"password\": \"p\", \"totp\": true, "
     "\"expires\": \"2027-01-01T00:00:00Z\"}",
     200},
    {"POST /api/v1/accounts" HEAD COOKIE CSRF
     "\r\n{\"name\": \"bob\", \"role\": \"king\", \"password\": \"p\"}",
     422},
    {"POST /api/v1/accounts" HEAD COOKIE
     "\r\n{\"name\": \"bob\", \"role\": \"viewer\", \"password\": \"p\"}",
     403},
    {"POST /api/v1/accounts/bob" HEAD COOKIE CSRF "\r\n{\"password\": \"p\"}", 200},
    {"DELETE /api/v1/accounts/bob" HEAD COOKIE CSRF "\r\n", 200},
    {"GET /api/v1/tokens" HEAD "Authorization: Bearer sesame\r\n\r\n", 200},
    {"POST /api/v1/tokens" HEAD
     "Authorization: Bearer sesame\r\n\r\n{\"name\": \"mes\", \"role\": \"viewer\", \"expires\": "
     "\"2027-01-01T00:00:00Z\", \"from\": \"10.0.0.0/8\"}",
     200},
    {"DELETE /api/v1/tokens/mes" HEAD "Authorization: Bearer sesame\r\n\r\n", 200},
    {"GET /\r\nHost: attacker.example\r\n\r\n", 403},
    {"GET /" HEAD "Origin: http://attacker.example\r\n\r\n", 403},
    {"WS /api/v1/ws" HEAD "\r\n{\"subscribe\": []}", 0},
    {"WS /api/v1/ws\r\nHost: attacker.example\r\n\r\n{\"subscribe\": {}}", 0},
};

static void each_gets_its_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        int status = http_input(said[i].text, strlen(said[i].text));
        if (status != said[i].status) {
            fail_msg("%d instead of %d: %s", status, said[i].status, said[i].text);
        }
    }
}

static void assert_an_answer(const char *text, size_t size)
{
    int status = http_input(text, size);
    assert_true(status == 0 || status == 101 || (status >= 200 && status < 600));
}

static void every_truncation_and_corruption_is_answered_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        size_t size = strlen(said[i].text);
        char *copy = malloc(size);
        assert_non_null(copy);
        for (size_t n = 0; n < size; n++) {
            memcpy(copy, said[i].text, size);
            assert_an_answer(copy, n);
            for (int b = 0; b < 256; b++) {
                copy[n] = (char)b;
                assert_an_answer(copy, size);
            }
        }
        free(copy);
    }
}

static void what_is_too_long_or_too_much_is_refused(void **state)
{
    (void)state;
    static char text[40000];
    memset(text, 'a', sizeof text);
    memcpy(text, "GET /", 5);
    memcpy(text + 600, HEAD "\r\n", sizeof HEAD "\r\n");
    assert_int_equal(http_input(text, 600 + strlen(HEAD "\r\n")), 414);
    size_t used = (size_t)snprintf(text, sizeof text, "GET /api/v1/tags?a=1");
    for (int i = 0; i < 20; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "&a%d=1", i);
    }
    used += (size_t)snprintf(text + used, sizeof text - used, HEAD "\r\n");
    assert_int_equal(http_input(text, used), 414);
    used = (size_t)snprintf(text, sizeof text, "POST /api/v1/commands" HEAD "\r\n");
    memset(text + used, '[', sizeof text - used);
    assert_int_equal(http_input(text, sizeof text), 413);  /* larger than a command may be */
    assert_int_equal(http_input(text, used + 16000), 400); /* nested too deeply */
    used =
        (size_t)snprintf(text, sizeof text, "WS /api/v1/ws" HEAD "\r\n{\"subscribe\":{\"tags\":[");
    for (int i = 0; i < 40; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s\"w/1\"", i ? "," : "");
    }
    used += (size_t)snprintf(text + used, sizeof text - used, "]}}");
    assert_int_equal(http_input(text, used), 0); /* too many globs */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_gets_its_answer),
        cmocka_unit_test(every_truncation_and_corruption_is_answered_or_refused),
        cmocka_unit_test(what_is_too_long_or_too_much_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
