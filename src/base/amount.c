/* SPDX-License-Identifier: Apache-2.0 */
#include "base/amount.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

bool text_number(const char *text, double *out)
{
    char *end;
    errno = 0;
    *out = strtod(text, &end);
    return end != text && !*end && !errno && isfinite(*out);
}

static bool with_unit(const char *text, const char *const *units, const double *factors,
                      size_t count, double *out)
{
    char *end;
    errno = 0;
    *out = strtod(text, &end);
    if (end == text || errno || !isfinite(*out) || *out < 0) {
        return false;
    }
    while (*end == ' ') {
        end++;
    }
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(end, units[i])) {
            *out *= factors[i];
            return true;
        }
    }
    return false;
}

bool text_duration(const char *text, double *ms)
{
    static const char *const units[] = {"us", "ms", "s", "min", "h", "d", "y"};
    static const double factors[] = {1e-3, 1, 1e3, 6e4, 36e5, 864e5, 365 * 864e5};
    return with_unit(text, units, factors, 7, ms);
}

bool text_bytes(const char *text, uint64_t *bytes)
{
    static const char *const units[] = {"",    "B",  "kB",  "KiB", "MB",
                                        "MiB", "GB", "GiB", "TB",  "TiB"};
    static const double factors[] = {1,       1,   1e3,        1024, 1e6,
                                     1048576, 1e9, 1073741824, 1e12, 1099511627776};
    double n;
    if (!with_unit(text, units, factors, 10, &n) || n >= 9e18) {
        return false;
    }
    *bytes = (uint64_t)n;
    return true;
}
