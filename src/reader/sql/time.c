/* SPDX-License-Identifier: Apache-2.0 */
#include "reader/sql/time.h"

#include "base/clock.h"
#include "base/err.h"

#include <math.h>
#include <string.h>

/* ---- Texts. ---- */

/* Completes what is left out: the clock ("2026-11-23"), seconds, the offset. clock_parse does the rest. */
int time_parse(const char *text, size_t size, int64_t *ns)
{
    char whole[64];
    size_t at = 10, fraction = 0;
    if (size < 10 || size > 40) {
        return ERR_MALFORMED;
    }
    memcpy(whole, text, 10);
    if (size == 10) {
        memcpy(whole + at, "T00:00:00Z", 10);
        return clock_parse(whole, 20, ns);
    }
    while (at < size && strchr("0123456789:.Tt ", text[at]) && text[at]) {
        fraction += text[at] == '.';
        whole[at] = text[at];
        at++;
    }
    size_t end = at;
    if (end == 16 && !fraction) { /* 2026-11-23T10:00 */
        memcpy(whole + end, ":00", 3);
        end += 3;
    }
    if (at == size) {
        whole[end++] = 'Z';
    }
    memcpy(whole + end, text + at, size - at);
    return clock_parse(whole, end + size - at, ns);
}

static const struct unit {
    const char *name;
    int64_t ns;
} units[] = {
    {"ns", 1},
    {"us", NS_PER_US},
    {"ms", NS_PER_MS},
    {"s", NS_PER_S},
    {"min", 60 * NS_PER_S},
    {"m", 60 * NS_PER_S},
    {"h", 3600 * NS_PER_S},
    {"d", 86400 * NS_PER_S},
    {"w", 7 * 86400 * NS_PER_S},
};

static const struct unit *find_unit(const char *text, size_t size)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strlen(units[i].name) == size && !memcmp(units[i].name, text, size)) {
            return units + i;
        }
    }
    return NULL;
}

/* One number with its unit; how many bytes it took, or a negative err. */
static int take_part(const char *text, size_t size, double *ns)
{
    size_t at = 0, digits = 0;
    double number = 0, weight = 1;
    bool point = false;
    for (; at < size && (text[at] == '.' || (text[at] >= '0' && text[at] <= '9')); at++) {
        if (text[at] == '.') {
            if (point) {
                return ERR_MALFORMED;
            }
            point = true;
        } else {
            digits++;
            weight /= point ? 10 : 1;
            number = point ? number + weight * (text[at] - '0') : number * 10 + (text[at] - '0');
        }
    }
    size_t start = at;
    while (at < size && text[at] >= 'a' && text[at] <= 'z') {
        at++;
    }
    const struct unit *unit = find_unit(text + start, at - start);
    if (!digits || !unit) {
        return ERR_MALFORMED;
    }
    *ns = number * (double)unit->ns;
    return (int)at;
}

int duration_parse(const char *text, size_t size, int64_t *ns)
{
    double sum = 0;
    for (size_t at = 0; at < size || !size;) {
        double part;
        int taken = take_part(text + at, size - at, &part);
        if (taken < 0) {
            return taken;
        }
        at += (size_t)taken;
        sum += part;
    }
    if (!(sum >= 1) || sum > 9.2e18) {
        return ERR_RANGE;
    }
    *ns = (int64_t)nearbyint(sum);
    return ERR_OK;
}

/* ---- Values. ---- */

static int64_t from_double(double v, bool up)
{
    v = up ? ceil(v) : floor(v);
    return v >= 9223372036854775807.0    ? INT64_MAX
           : v <= -9223372036854775808.0 ? INT64_MIN
                                         : (int64_t)v;
}

enum time_given time_read(sqlite3_value *value, bool up, int64_t *ns)
{
    switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER:
        *ns = sqlite3_value_int64(value);
        return TIME_GIVEN;
    case SQLITE_FLOAT:
        *ns = from_double(sqlite3_value_double(value), up);
        return TIME_GIVEN;
    case SQLITE_NULL:
        return TIME_NONE;
    default: {
        const char *text = (const char *)sqlite3_value_text(value);
        return text && !time_parse(text, (size_t)sqlite3_value_bytes(value), ns) ? TIME_GIVEN
                                                                                 : TIME_WRONG;
    }
    }
}

/* ---- Functions. ---- */

static void result_time(sqlite3_context *context, int64_t ns)
{
    char text[CLOCK_TEXT_SIZE];
    clock_text(ns, text);
    sqlite3_result_text(context, text, -1, SQLITE_TRANSIENT);
}

/* False: the result is made: NULL, or an error. */
static bool argument(sqlite3_context *context, sqlite3_value *value, int64_t *ns)
{
    enum time_given given = time_read(value, false, ns);
    if (given == TIME_WRONG) {
        char *why = sqlite3_mprintf("'%q' is no time: write 2026-11-23T10:00:00Z, or ns since 1970",
                                    sqlite3_value_text(value));
        sqlite3_result_error(context, why ? why : "no time", -1);
        sqlite3_free(why);
    }
    return given == TIME_GIVEN;
}

static void f_ts(sqlite3_context *context, int count, sqlite3_value **values)
{
    int64_t ns;
    (void)count;
    if (argument(context, values[0], &ns)) {
        result_time(context, ns);
    }
}

static void f_ns(sqlite3_context *context, int count, sqlite3_value **values)
{
    int64_t ns;
    (void)count;
    if (argument(context, values[0], &ns)) {
        sqlite3_result_int64(context, ns);
    }
}

static void f_now(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    (void)values;
    result_time(context, *(const int64_t *)sqlite3_user_data(context));
}

static void f_ago(sqlite3_context *context, int count, sqlite3_value **values)
{
    const char *text = (const char *)sqlite3_value_text(values[0]);
    int64_t now = *(const int64_t *)sqlite3_user_data(context), ns;
    (void)count;
    if (!text || duration_parse(text, (size_t)sqlite3_value_bytes(values[0]), &ns)) {
        sqlite3_result_error(context, "ago() wants a duration: '90s', '15min', '1h', '7d'", -1);
    } else {
        result_time(context, now < INT64_MIN + ns ? INT64_MIN : now - ns);
    }
}

int time_register(sqlite3 *db, const int64_t *now_ns)
{
    const int pure = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
    void *now = (void *)now_ns;
    int err = sqlite3_create_function(db, "ts", 1, pure, NULL, f_ts, NULL, NULL);
    err = err ? err : sqlite3_create_function(db, "ns", 1, pure, NULL, f_ns, NULL, NULL);
    err = err ? err : sqlite3_create_function(db, "now", 0, pure, now, f_now, NULL, NULL);
    return err ? err : sqlite3_create_function(db, "ago", 1, pure, now, f_ago, NULL, NULL);
}
