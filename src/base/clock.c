/* SPDX-License-Identifier: Apache-2.0 */
/* Civil-date arithmetic is done here, not by gmtime/timegm: those want a struct tm, a time zone and errno, and are
 * ten times slower on a path that prints every sample. */
#include "base/clock.h"
#include "base/err.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t clock_utc_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_mono_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int64_t real_utc_ns(void *context)
{
    (void)context;
    return clock_utc_ns();
}

static int64_t real_mono_ns(void *context)
{
    (void)context;
    return clock_mono_ns();
}

const struct clock clock_real = {.utc_ns = real_utc_ns, .mono_ns = real_mono_ns};

/* Days since 1970-01-01 of a civil date, proleptic Gregorian. */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static void civil_of(int64_t days, int64_t *y, int64_t *m, int64_t *d)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = yoe + era * 400 + (*m <= 2);
}

static char *digits(char *p, int64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        p[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return p + width;
}

char *clock_text(int64_t utc_ns, char out[CLOCK_TEXT_SIZE])
{
    int64_t seconds = utc_ns / NS_PER_S;
    int64_t ns = utc_ns % NS_PER_S;
    if (ns < 0) {
        ns += NS_PER_S;
        seconds--;
    }
    int64_t days = seconds / 86400;
    int64_t rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    int64_t y, m, d;
    civil_of(days, &y, &m, &d);
    if (y < 0 || y > 9999) {
        return strcpy(out, "out-of-range");
    }
    char *p = digits(out, y, 4);
    *p++ = '-';
    p = digits(p, m, 2);
    *p++ = '-';
    p = digits(p, d, 2);
    *p++ = 'T';
    p = digits(p, rest / 3600, 2);
    *p++ = ':';
    p = digits(p, rest / 60 % 60, 2);
    *p++ = ':';
    p = digits(p, rest % 60, 2);
    *p++ = '.';
    p = digits(p, ns, 9);
    *p++ = 'Z';
    *p = 0;
    return out;
}

/* Takes exactly `width` digits from *p; -1 if there are not. */
static int64_t take(const char **p, const char *end, int width)
{
    int64_t v = 0;
    for (int i = 0; i < width; i++, (*p)++) {
        if (*p >= end || **p < '0' || **p > '9') {
            return -1;
        }
        v = v * 10 + (**p - '0');
    }
    return v;
}

static int64_t take_after(const char **p, const char *end, char mark, int width)
{
    if (*p >= end || **p != mark) {
        return -1;
    }
    (*p)++;
    return take(p, end, width);
}

static int take_fraction(const char **p, const char *end, int64_t *ns)
{
    int64_t unit = NS_PER_S;
    *ns = 0;
    if (*p < end && **p == '.') {
        (*p)++;
        const char *first = *p;
        for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
            unit /= 10;
            *ns += (**p - '0') * unit;
        }
        if (*p == first || *p - first > 9) {
            return ERR_MALFORMED;
        }
    }
    return ERR_OK;
}

static int take_offset(const char **p, const char *end, int64_t *seconds)
{
    *seconds = 0;
    if (*p < end && (**p == 'Z' || **p == 'z')) {
        (*p)++;
        return ERR_OK;
    }
    if (*p >= end || (**p != '+' && **p != '-')) {
        return ERR_MALFORMED;
    }
    int sign = *(*p)++ == '-' ? -1 : 1;
    int64_t h = take(p, end, 2);
    int64_t m = take_after(p, end, ':', 2);
    if (h < 0 || m < 0 || h > 23 || m > 59) {
        return ERR_MALFORMED;
    }
    *seconds = sign * (h * 3600 + m * 60);
    return ERR_OK;
}

int clock_parse(const char *text, size_t size, int64_t *utc_ns)
{
    static const int64_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const char *p = text, *end = text + size;
    int64_t y = take(&p, end, 4), mo = take_after(&p, end, '-', 2), d = take_after(&p, end, '-', 2);
    if (p >= end || (*p != 'T' && *p != 't' && *p != ' ')) {
        return ERR_MALFORMED;
    }
    p++;
    int64_t h = take(&p, end, 2), mi = take_after(&p, end, ':', 2), s = take_after(&p, end, ':', 2);
    int64_t ns, offset;
    if (y < 0 || mo < 1 || mo > 12 || d < 1 || h < 0 || h > 23 || mi < 0 || mi > 59 || s < 0 ||
        s > 60) {
        return ERR_MALFORMED;
    }
    int leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (d > month_days[mo - 1] + (mo == 2 && leap)) {
        return ERR_MALFORMED;
    }
    if (take_fraction(&p, end, &ns) || take_offset(&p, end, &offset) || p != end) {
        return ERR_MALFORMED;
    }
    int64_t seconds = days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + s - offset;
    if (seconds < INT64_MIN / NS_PER_S + 1 || seconds > INT64_MAX / NS_PER_S - 1) {
        return ERR_RANGE;
    }
    *utc_ns = seconds * NS_PER_S + ns;
    return ERR_OK;
}
