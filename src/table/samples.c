/* SPDX-License-Identifier: Apache-2.0 */
#include "table/samples.h"

#include "base/utf8.h"
#include "table/csv_cell.h"
#include "tag/status.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_HEAP ((size_t)4 << 20)

const char *const samples_names[SAMPLES_COLUMNS] = {"tag", "time", "value", "status", "text"};

static enum column_type column_for(enum value_type type)
{
    return type == VALUE_BOOL     ? COLUMN_BOOL
           : type == VALUE_UINT64 ? COLUMN_UINT64
           : type == VALUE_TEXT   ? COLUMN_TEXT
           : type == VALUE_BYTES  ? COLUMN_BYTES
           : value_is_float(type) ? COLUMN_DOUBLE
                                  : COLUMN_INT64;
}

int samples_batch(struct batch **out, enum table_format format, const enum value_type *types,
                  size_t count, size_t rows)
{
    enum column_type value = count ? column_for(types[0]) : COLUMN_DOUBLE;
    bool mixed = false;
    for (size_t i = 1; i < count; i++) {
        mixed |= column_for(types[i]) != value;
    }
    mixed = mixed && format == TABLE_PARQUET;
    value = format == TABLE_CSV ? COLUMN_TEXT : mixed ? COLUMN_DOUBLE : value;
    const struct column columns[SAMPLES_COLUMNS] = {
        [SAMPLES_TAG] = {samples_names[SAMPLES_TAG], COLUMN_TEXT, false},
        [SAMPLES_TIME] = {samples_names[SAMPLES_TIME], COLUMN_TIME, false},
        [SAMPLES_VALUE] = {samples_names[SAMPLES_VALUE], value, mixed},
        [SAMPLES_STATUS] = {samples_names[SAMPLES_STATUS], COLUMN_UINT32, false},
        [SAMPLES_TEXT] = {samples_names[SAMPLES_TEXT], COLUMN_TEXT, true},
    };
    return batch_new(out, columns, mixed ? SAMPLES_COLUMNS : SAMPLES_TEXT, rows, BATCH_HEAP);
}

static int put_base64(struct batch *b, size_t column, const uint8_t *data, size_t size)
{
    char text[SLOT_BYTES_MAX / 3 * 4 + 8];
    size_t used = 0;
    for (size_t at = 0; at < size; at += BASE64_PART) {
        char part[CELL_TEXT_SIZE];
        size_t n = base64_print(data + at, size - at < BASE64_PART ? size - at : BASE64_PART, part);
        memcpy(text + used, part, n);
        used += n;
    }
    return batch_set_bytes(b, column, text, used);
}

/* Devices send what they like as text; a table's texts are UTF-8: what is none becomes U+FFFD, as in JSON. */
static int put_utf8(struct batch *b, size_t column, const uint8_t *text, size_t size)
{
    uint8_t valid[3 * SLOT_BYTES_MAX];
    size_t used = 0;
    for (size_t at = 0; at < size;) {
        size_t n = utf8_length(text + at, size - at);
        memcpy(valid + used, n ? text + at : (const uint8_t *)"\xef\xbf\xbd", n ? n : 3);
        used += n ? n : 3;
        at += n ? n : 1;
    }
    return batch_set_bytes(b, column, valid, used);
}

static int put_text(struct batch *b, size_t column, enum value_type type, union slot_value v,
                    const uint8_t *text)
{
    char number[VALUE_TEXT_SIZE];
    if (type == VALUE_BYTES) {
        return put_base64(b, column, text, (size_t)v.u64);
    }
    if (type == VALUE_TEXT) {
        return put_utf8(b, column, text, (size_t)v.u64);
    }
    size_t n = value_json(type, v, number);
    bool quoted = number[0] == '"'; /* what JSON has no number for */
    return batch_set_bytes(b, column, number + quoted, n - 2 * (size_t)quoted);
}

/* Whether a double holds the number exactly. */
static bool is_exact(enum value_type type, union slot_value v)
{
    const uint64_t limit = UINT64_C(1) << 53;
    return type == VALUE_INT64    ? v.i64 <= (int64_t)limit && v.i64 >= -(int64_t)limit
           : type == VALUE_UINT64 ? v.u64 <= limit
                                  : true;
}

/* Where tags have no type in common. */
static int put_mixed(struct batch *b, enum value_type type, union slot_value v, const uint8_t *text)
{
    if (!value_is_long(type)) {
        batch_set(b, SAMPLES_VALUE, (union cell){.f64 = value_as_double(type, v)});
    }
    return value_is_long(type) || !is_exact(type, v) ? put_text(b, SAMPLES_TEXT, type, v, text)
                                                     : ERR_OK;
}

int samples_add(struct batch *b, const char *path, enum value_type type, const struct slot *sample,
                const uint8_t *text)
{
    int err = batch_set_bytes(b, SAMPLES_TAG, path, strlen(path));
    batch_set(b, SAMPLES_TIME, (union cell){.i64 = sample->time});
    batch_set(b, SAMPLES_STATUS, (union cell){.u64 = sample->status});
    if (!err && b->column_count == SAMPLES_COLUMNS) {
        err = put_mixed(b, type, sample->value, text);
    } else if (!err && b->columns[SAMPLES_VALUE].type == COLUMN_TEXT) {
        err = put_text(b, SAMPLES_VALUE, type, sample->value, text);
    } else if (!err && type == VALUE_BYTES) {
        err = batch_set_bytes(b, SAMPLES_VALUE, text, (size_t)sample->value.u64);
    } else if (!err) {
        batch_set(b, SAMPLES_VALUE, (union cell){.u64 = sample->value.u64});
    }
    if (!err) {
        batch_end_row(b);
    }
    return err;
}

/* ---- In. ---- */

static int take_double(enum value_type type, double number, union slot_value *out)
{
    if (!value_is_float(type) && number != nearbyint(number)) {
        return isnan(number) ? ERR_RANGE : ERR_TYPE;
    }
    return value_from_double(type, number, out);
}

/* A whole number: `negative` tells how to read the bits. */
static int take_whole(enum value_type type, union cell v, bool negative, union slot_value *out)
{
    union slot_value word = {.u64 = v.u64};
    if (value_is_float(type)) {
        enum value_type from = negative ? VALUE_INT64 : VALUE_UINT64;
        return is_exact(from, word) ? value_from_double(type, value_as_double(from, word), out)
                                    : ERR_RANGE;
    }
    bool fits = value_is_signed(type) ? negative || v.u64 <= INT64_MAX : !negative;
    *out = word;
    return fits && value_is_legal(type, word) ? ERR_OK : ERR_RANGE;
}

static int take_bytes(enum value_type type, enum column_type from, const uint8_t *data, size_t size,
                      struct samples_value *out)
{
    if (type == VALUE_BYTES && from == COLUMN_TEXT) {
        char text[SLOT_BYTES_MAX / 3 * 4 + 8];
        if (size > sizeof text) {
            return ERR_TOO_LONG;
        }
        memcpy(text, data, size);
        int bytes = base64_parse(text, size);
        return bytes < 0 ? bytes
                         : take_bytes(type, COLUMN_BYTES, (uint8_t *)text, (size_t)bytes, out);
    }
    if (size > SLOT_BYTES_MAX) {
        return ERR_TOO_LONG;
    }
    if (type == VALUE_TEXT && utf8_valid(data, size) < size) {
        return ERR_MALFORMED;
    }
    memcpy(out->text, data, size);
    out->word.u64 = size;
    return ERR_OK;
}

static int take_text(enum value_type type, const char *text, size_t size, union slot_value *out)
{
    enum column_type as = column_for(type);
    union cell v = {0};
    bool negative = size && text[0] == '-';
    if (as == COLUMN_INT64 && !negative) {
        as = COLUMN_UINT64;
    }
    int err = cell_parse(as, text, size, &v);
    return err                   ? err
           : as == COLUMN_DOUBLE ? value_from_double(type, v.f64, out)
                                 : take_whole(type, v, negative && v.i64 < 0, out);
}

int samples_value(enum value_type type, const struct batch *b, size_t column, size_t row,
                  struct samples_value *out)
{
    enum column_type from = b->columns[column].type;
    union cell v = b->cells[column][row];
    if (column_is_long(from) && value_is_long(type)) {
        return take_bytes(type, from, batch_bytes(b, v), v.bytes.size, out);
    }
    if (value_is_long(type) || from == COLUMN_TIME || from == COLUMN_BYTES) {
        return ERR_TYPE;
    }
    if (from == COLUMN_TEXT) {
        return take_text(type, (const char *)batch_bytes(b, v), v.bytes.size, &out->word);
    }
    if (from == COLUMN_DOUBLE) {
        return take_double(type, v.f64, &out->word);
    }
    return take_whole(type, v, from == COLUMN_INT64 && v.i64 < 0, &out->word);
}

int samples_status(const char *text, size_t size, uint32_t *status)
{
    static const struct {
        uint32_t number;
        const char *name;
    } names[] = {
#define STATUS_ROW(name, number, text) {UINT32_C(number), text},
        STATUS_TABLE(STATUS_ROW)
#undef STATUS_ROW
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i].name) == size && !memcmp(names[i].name, text, size)) {
            *status = names[i].number;
            return ERR_OK;
        }
    }
    if (size > 2 && size <= 10 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        char copy[12] = {0}, *end;
        memcpy(copy, text, size);
        *status = (uint32_t)strtoul(copy, &end, 16);
        return end == copy + size ? ERR_OK : ERR_MALFORMED;
    }
    union cell v = {0};
    int err = cell_parse(COLUMN_UINT32, text, size, &v);
    *status = (uint32_t)v.u64;
    return err;
}
