/* SPDX-License-Identifier: Apache-2.0 */
/* Times in queries: as text (2026-11-23T10:00:00Z and shorter forms of it, with any offset, UTC without one) or as integer
 * nanoseconds since 1970; and durations such as 90s, 1.5h, 1d12h. */
#ifndef ISTHMUS_READER_SQL_TIME_H
#define ISTHMUS_READER_SQL_TIME_H

#include <sqlite3.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 0, or ERR_MALFORMED, ERR_RANGE. */
int time_parse(const char *text, size_t size, int64_t *ns);
/* ns, us, ms, s, min or m, h, d, w. Greater than 0; 0, or ERR_MALFORMED, ERR_RANGE. */
int duration_parse(const char *text, size_t size, int64_t *ns);

enum time_given { TIME_GIVEN, TIME_NONE /* NULL */, TIME_WRONG };
/* `up`: a fraction of a nanosecond counts as a whole one. */
enum time_given time_read(sqlite3_value *value, bool up, int64_t *ns);

/* ts(x): a time as the tables write it; ns(x): as integer; now(), ago('1h'): as the tables write it. */
int time_register(sqlite3 *db, const int64_t *now_ns);

#endif
