/* SPDX-License-Identifier: Apache-2.0 */
#include "south/modbus/address.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

#define TEXT_BYTES_MAX 250u /* 125 registers: one transaction */

static const struct {
    const char *name;
    uint8_t type, registers;
} types[] = {
    {"bool", ISTHMUS_BOOL, 1},       {"int8", ISTHMUS_INT8, 1},       {"uint8", ISTHMUS_UINT8, 1},
    {"int16", ISTHMUS_INT16, 1},     {"uint16", ISTHMUS_UINT16, 1},   {"int32", ISTHMUS_INT32, 2},
    {"uint32", ISTHMUS_UINT32, 2},   {"int64", ISTHMUS_INT64, 4},     {"uint64", ISTHMUS_UINT64, 4},
    {"float32", ISTHMUS_FLOAT32, 2}, {"float64", ISTHMUS_FLOAT64, 4}, {"text", ISTHMUS_TEXT, 0},
    {"bytes", ISTHMUS_BYTES, 0},
};
#define TYPE_COUNT (sizeof types / sizeof *types)

static const struct {
    const char *name;
    enum modbus_order order;
} orders[] = {
    {"abcd", ORDER_ABCD},     {"cdab", ORDER_CDAB},     {"badc", ORDER_BADC},
    {"dcba", ORDER_DCBA},     {"ab", ORDER_ABCD},       {"ba", ORDER_BADC},
    {"abcdefgh", ORDER_ABCD}, {"ghefcdab", ORDER_CDAB}, {"badcfehg", ORDER_BADC},
    {"hgfedcba", ORDER_DCBA},
};

static const struct {
    const char *name;
    enum modbus_table table;
} tables[] = {
    {"holding", MODBUS_HOLDING}, {"input", MODBUS_INPUT},
    {"coil", MODBUS_COIL},       {"discrete", MODBUS_DISCRETE},
    {"h", MODBUS_HOLDING},       {"i", MODBUS_INPUT},
    {"c", MODBUS_COIL},          {"d", MODBUS_DISCRETE},
};

struct parse {
    const char *at;
    char *why;
    size_t why_size;
};

__attribute__((format(printf, 2, 3))) static int fail(struct parse *p, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(p->why, p->why_size, format, arguments);
    va_end(arguments);
    return -1;
}

/* A decimal number up to `max`; -1: there is none, or it is greater. */
static long number(struct parse *p, long max)
{
    long n = -1;
    for (; *p->at >= '0' && *p->at <= '9'; p->at++) {
        n = (n < 0 ? 0 : n) * 10 + (*p->at - '0');
        if (n > max) {
            return -1;
        }
    }
    return n;
}

/* Steps over `word` if it comes next. */
static bool word(struct parse *p, const char *w)
{
    size_t n = strlen(w);
    if (strncmp(p->at, w, n)) {
        return false;
    }
    p->at += n;
    return true;
}

static int parse_table(struct parse *p, struct modbus_point *out)
{
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        if (word(p, tables[i].name)) {
            out->table = (uint8_t)tables[i].table;
            if (*p->at == ':') {
                p->at++;
            }
            return 0;
        }
    }
    return fail(p, "unknown table at \"%.20s\": use holding, input, coil, discrete or h, i, c, d",
                p->at);
}

static int parse_place(struct parse *p, struct modbus_point *out)
{
    const char *start = p->at;
    long unit = number(p, 255);
    out->unit = MODBUS_UNIT_DEFAULT;
    if (p->at != start) {
        if (unit < 0 || *p->at != '/') {
            return fail(p, "begin with a table, like h100, or with a unit 0–255, like 3/h100");
        }
        out->unit = (uint16_t)unit;
        p->at++;
    }
    if (parse_table(p, out)) {
        return -1;
    }
    long n = number(p, 65535);
    if (n < 0) {
        return fail(p, "the address behind the table is a number 0–65535");
    }
    out->start = (uint16_t)n;
    out->bit = -1;
    if (*p->at == '.') {
        p->at++;
        long bit = number(p, 15);
        if (bit < 0) {
            return fail(p, "the bit is a number 0–15, like h100.5");
        }
        if (out->table < MODBUS_INPUT) {
            return fail(p, "a coil or discrete input is one bit: leave out \".%ld\"", bit);
        }
        out->bit = (int8_t)bit;
    }
    return 0;
}

/* The longest name that comes next: its index, or TYPE_COUNT. */
static size_t find_type(const char *at)
{
    size_t best = TYPE_COUNT, length = 0;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        size_t n = strlen(types[i].name);
        if (n > length && !strncmp(at, types[i].name, n)) {
            best = i;
            length = n;
        }
    }
    return best;
}

int modbus_order_parse(const char *text)
{
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        if (!strcmp(text, orders[i].name)) {
            return orders[i].order;
        }
    }
    return -1;
}

static int parse_rest(struct parse *p, struct modbus_point *out)
{
    out->order = ORDER_DEFAULT;
    if (!*p->at) {
        return 0;
    }
    if (*p->at != ':') {
        return fail(p, "\"%.20s\" is too much: only :TYPE and :ORDER may follow", p->at);
    }
    p->at++;
    size_t t = find_type(p->at);
    if (t < TYPE_COUNT) {
        out->type = types[t].type;
        p->at += strlen(types[t].name);
        if (!types[t].registers && *p->at && *p->at != ':') {
            long bytes = number(p, TEXT_BYTES_MAX);
            if (bytes < 1) {
                return fail(p, "the length of a text is 1–%u bytes", TEXT_BYTES_MAX);
            }
            out->bytes = (uint16_t)bytes;
        }
        if (!*p->at) {
            return 0;
        }
        if (*p->at != ':') {
            return fail(p, "\"%.20s\" does not belong to the type", p->at);
        }
        p->at++;
    }
    int order = modbus_order_parse(p->at);
    if (order < 0) {
        return fail(p,
                    t < TYPE_COUNT ? "unknown order \"%.20s\": use abcd, cdab, badc or dcba"
                                   : "unknown type or order \"%.20s\"",
                    p->at);
    }
    out->order = (uint8_t)order;
    return 0;
}

static const char *type_name(uint8_t type)
{
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (types[i].type == type) {
            return types[i].name;
        }
    }
    return "?";
}

static uint16_t registers_of(const struct modbus_point *p)
{
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (types[i].type == p->type && types[i].registers) {
            return types[i].registers;
        }
    }
    return (uint16_t)((p->bytes + 1) / 2);
}

/* Makes the type and the size whole. */
static int settle(struct parse *p, struct modbus_point *out, enum isthmus_type type,
                  uint32_t max_length)
{
    bool one_bit = out->table < MODBUS_INPUT || out->bit >= 0;
    if (out->type && type && out->type != type) {
        return fail(p, "the address says %s, the tag %s", type_name(out->type),
                    type_name((uint8_t)type));
    }
    if (!out->type) {
        out->type = (uint8_t)(type ? type : one_bit ? ISTHMUS_BOOL : ISTHMUS_UINT16);
    }
    if (one_bit && out->type != ISTHMUS_BOOL) {
        return fail(p, "a single bit is a bool, not %s", type_name(out->type));
    }
    if (out->type == ISTHMUS_TEXT || out->type == ISTHMUS_BYTES) {
        uint32_t bytes = out->bytes ? out->bytes : max_length;
        if (!bytes || bytes > TEXT_BYTES_MAX || (max_length && bytes > max_length)) {
            return fail(p,
                        "a %s of %u bytes: 1–%u, and no more than the tag's max_length, can be had",
                        type_name(out->type), bytes, TEXT_BYTES_MAX);
        }
        out->bytes = (uint16_t)bytes;
    }
    out->count = one_bit ? 1 : registers_of(out);
    if ((uint32_t)out->start + out->count > 65536) {
        return fail(p, "%s at %u goes beyond address 65535", type_name(out->type), out->start);
    }
    return 0;
}

int modbus_address_parse(struct modbus_point *out, const char *text, enum isthmus_type type,
                         uint32_t max_length, char *why, size_t why_size)
{
    struct parse p = {.at = text, .why = why, .why_size = why_size};
    *out = (struct modbus_point){.bit = -1};
    if (parse_place(&p, out) || parse_rest(&p, out)) {
        return -1;
    }
    return settle(&p, out, type, max_length);
}

/* ---- values ---- */

static uint64_t gather(const struct modbus_point *p, const uint8_t *r)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < p->count; i++) {
        const uint8_t *w = r + 2 * (p->order & ORDER_CDAB ? p->count - 1u - i : i);
        v = v << 16 |
            (p->order & ORDER_BADC ? (uint64_t)w[1] << 8 | w[0] : (uint64_t)w[0] << 8 | w[1]);
    }
    return v;
}

void modbus_decode(const struct modbus_point *p, const uint8_t *registers,
                   struct isthmus_sample *out)
{
    uint64_t v = gather(p, registers);
    switch (p->type) {
    case ISTHMUS_BOOL:
        out->value.u64 = p->bit >= 0 ? v >> p->bit & 1 : v != 0;
        break;
    case ISTHMUS_INT8:
        out->value.i64 = (int8_t)v;
        break;
    case ISTHMUS_UINT8:
        out->value.u64 = (uint8_t)v;
        break;
    case ISTHMUS_INT16:
        out->value.i64 = (int16_t)v;
        break;
    case ISTHMUS_INT32:
        out->value.i64 = (int32_t)v;
        break;
    case ISTHMUS_FLOAT32: {
        uint32_t bits = (uint32_t)v;
        float f;
        memcpy(&f, &bits, sizeof f);
        out->value.f64 = (double)f;
        break;
    }
    default: /* unsigned, 64 bit and float64: the bits as they are */
        out->value.u64 = v;
    }
}

size_t modbus_decode_bytes(const struct modbus_point *p, const uint8_t *registers, uint8_t *out)
{
    unsigned swap = p->order & ORDER_BADC ? 1 : 0;
    for (unsigned i = 0; i < p->bytes; i++) {
        out[i] = registers[i ^ swap];
    }
    return p->type == ISTHMUS_TEXT ? strnlen((const char *)out, p->bytes) : p->bytes;
}

void modbus_encode_value(const struct modbus_point *p, uint64_t bits, const void *bytes,
                         uint8_t *registers)
{
    unsigned swap = p->order & ORDER_BADC ? 1 : 0;
    if (p->type == ISTHMUS_TEXT || p->type == ISTHMUS_BYTES) {
        memset(registers, 0, (size_t)p->count * 2);
        for (unsigned i = 0; bytes && i < bits && i < p->bytes; i++) {
            registers[i ^ swap] = ((const uint8_t *)bytes)[i];
        }
        return;
    }
    if (p->type == ISTHMUS_FLOAT32) {
        double d;
        memcpy(&d, &bits, sizeof d);
        float f = (float)d;
        uint32_t narrow;
        memcpy(&narrow, &f, sizeof narrow);
        bits = narrow;
    }
    for (unsigned i = 0; i < p->count; i++, bits >>= 16) {
        uint8_t *w = registers + 2 * (p->order & ORDER_CDAB ? i : p->count - 1u - i);
        w[swap] = (uint8_t)(bits >> 8);
        w[swap ^ 1] = (uint8_t)bits;
    }
}
