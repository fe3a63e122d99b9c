/* SPDX-License-Identifier: Apache-2.0 */
#include "reader/sql/output.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES 32768u
#define HOLD_NS     (200 * NS_PER_MS)
#define EXACT_MAX   (INT64_C(1) << 53) /* integers up to here survive as JSON numbers everywhere */

void output_init(struct output *o, int fd, enum sql_format format)
{
    static const char mark = SQL_RESULT;
    *o = (struct output){.fd = fd, .format = format, .written_ns = clock_mono_ns()};
    json_init(&o->text, 0);
    json_raw(&o->text, &mark, 1);
    o->text.comma = false;
}

void output_fini(struct output *o)
{
    json_fini(&o->text);
}

/* Writes all that is there; the time that it waits is not the query's. */
static void flush(struct output *o)
{
    int64_t before = clock_mono_ns();
    size_t at = 0;
    while (!o->failed && at < o->text.size) {
        ssize_t n = write(o->fd, o->text.text + at, o->text.size - at);
        if (n < 0 && errno != EINTR) {
            o->failed = true;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    bool comma = o->text.comma;
    o->failed |= o->text.bad;
    json_clear(&o->text);
    o->text.comma = comma;
    o->begun = true;
    o->written_ns = clock_mono_ns();
    o->waited_ns += o->written_ns - before;
}

/* ---- CSV: a field needs quotes if it holds what has a meaning; an empty text has them, what is nothing has not. ---- */

static void csv_raw(struct json *j, const char *text, size_t size)
{
    j->comma = false;
    json_raw(j, text, size);
    j->comma = false;
}

static void csv_text(struct json *j, const char *text, size_t size)
{
    bool quotes = size == 0;
    for (size_t i = 0; i < size && !quotes; i++) {
        quotes = strchr(",\"\r\n", text[i]) != NULL; /* and NUL */
    }
    if (!quotes) {
        csv_raw(j, text, size);
        return;
    }
    csv_raw(j, "\"", 1);
    for (size_t i = 0, from = 0; i <= size; i++) {
        if (i == size || text[i] == '"') {
            csv_raw(j, text + from, i - from + (i < size));
            from = i; /* the quote comes again with what follows */
        }
    }
    csv_raw(j, "\"", 1);
}

static void csv_value(struct json *j, sqlite3_stmt *statement, int i)
{
    char number[NUMBER_TEXT_SIZE];
    switch (sqlite3_column_type(statement, i)) {
    case SQLITE_INTEGER:
        snprintf(number, sizeof number, "%lld", (long long)sqlite3_column_int64(statement, i));
        csv_raw(j, number, strlen(number));
        break;
    case SQLITE_FLOAT:
        csv_raw(j, number, number_text(sqlite3_column_double(statement, i), number));
        break;
    case SQLITE_TEXT:
        csv_text(j, (const char *)sqlite3_column_text(statement, i),
                 (size_t)sqlite3_column_bytes(statement, i));
        break;
    case SQLITE_BLOB: {
        struct json base64;
        json_init(&base64, 0);
        json_base64(&base64, sqlite3_column_blob(statement, i),
                    (size_t)sqlite3_column_bytes(statement, i));
        j->bad |= base64.bad;
        if (!base64.bad) {
            csv_raw(j, base64.text + 1, base64.size - 2); /* without its quotes */
        }
        json_fini(&base64);
        break;
    }
    default:
        break;
    }
}

/* ---- JSON. ---- */

static void json_value(struct json *j, sqlite3_stmt *statement, int i)
{
    int64_t v;
    char text[24];
    switch (sqlite3_column_type(statement, i)) {
    case SQLITE_INTEGER:
        v = sqlite3_column_int64(statement, i);
        if (v >= -EXACT_MAX && v <= EXACT_MAX) {
            json_int(j, v);
        } else {
            snprintf(text, sizeof text, "%lld", (long long)v);
            json_text(j, text);
        }
        break;
    case SQLITE_FLOAT:
        json_double(j, sqlite3_column_double(statement, i));
        break;
    case SQLITE_TEXT:
        json_text_n(j, (const char *)sqlite3_column_text(statement, i),
                    (size_t)sqlite3_column_bytes(statement, i));
        break;
    case SQLITE_BLOB:
        json_base64(j, sqlite3_column_blob(statement, i),
                    (size_t)sqlite3_column_bytes(statement, i));
        break;
    default:
        json_nil(j);
    }
}

/* ---- */

void output_head(struct output *o, sqlite3_stmt *statement)
{
    struct json *j = &o->text;
    int count = sqlite3_column_count(statement);
    if (o->format == SQL_CSV) {
        for (int i = 0; i < count; i++) {
            const char *name = sqlite3_column_name(statement, i);
            csv_raw(j, ",", i > 0);
            csv_text(j, name ? name : "", name ? strlen(name) : 0);
        }
        csv_raw(j, "\r\n", 2);
        return;
    }
    json_open(j, '{');
    json_key(j, "columns");
    json_open(j, '[');
    for (int i = 0; i < count; i++) {
        const char *name = sqlite3_column_name(statement, i);
        json_text(j, name ? name : "");
    }
    json_close(j, ']');
    json_key(j, "rows");
    json_open(j, '[');
}

bool output_row(struct output *o, sqlite3_stmt *statement)
{
    struct json *j = &o->text;
    int count = sqlite3_column_count(statement);
    bool csv = o->format == SQL_CSV;
    if (!csv) {
        json_open(j, '[');
    }
    for (int i = 0; i < count; i++) {
        if (csv) {
            csv_raw(j, ",", i > 0);
            csv_value(j, statement, i);
        } else {
            json_value(j, statement, i);
        }
    }
    if (csv) {
        csv_raw(j, "\r\n", 2);
    } else {
        json_close(j, ']');
    }
    if (j->size >= PIECE_BYTES || clock_mono_ns() - o->written_ns > HOLD_NS) {
        flush(o);
    }
    return !o->failed && !j->bad;
}

void output_end(struct output *o, bool more)
{
    if (o->format == SQL_JSON) {
        json_close(&o->text, ']');
        json_pair_bool(&o->text, "more", more);
        json_close(&o->text, '}');
    }
    flush(o);
}

static void pair_error(struct json *j, const char *message, int offset)
{
    json_pair_text(j, "error", message);
    if (offset >= 0) {
        json_pair_int(j, "offset", offset);
    }
}

bool output_error(struct output *o, const char *message, int offset)
{
    static const char mark = SQL_ERROR;
    struct json *j = &o->text;
    if (!o->begun) {
        json_clear(j);
        j->bad = false;
        json_raw(j, &mark, 1);
        j->comma = false;
        json_open(j, '{');
        pair_error(j, message, offset);
        json_close(j, '}');
    } else if (o->format == SQL_JSON) {
        json_close(j, ']');
        json_pair_bool(j, "more", true);
        pair_error(j, message, offset);
        json_close(j, '}');
    }
    bool whole = o->begun && o->format == SQL_JSON;
    flush(o);
    return whole && !o->failed;
}
