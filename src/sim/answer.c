/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/answer.h"

#include "base/bytes.h"

enum exception {
    ILLEGAL_FUNCTION = 1,
    ILLEGAL_ADDRESS = 2, /* or read-only */
    ILLEGAL_VALUE = 3,   /* malformed, or outside the range of the quantity */
    NO_TARGET = 11,
};

struct exchange {
    struct plc *plc;
    uint32_t unit;
    uint8_t function;
    struct reader in;
    struct writer out;
};

static const uint8_t exceptions[] = {
    [MAP_WRITTEN] = 0, [MAP_READ_ONLY] = ILLEGAL_ADDRESS, [MAP_OUT_OF_RANGE] = ILLEGAL_VALUE};

/* 0, or the exception for a stretch of addresses; the count is judged first, as the specification's diagrams do. */
static int judge(const struct exchange *e, uint32_t start, uint32_t count, uint32_t most)
{
    if (e->in.bad || count < 1 || count > most) {
        return ILLEGAL_VALUE;
    }
    return start + count <= PLC_ADDRESSES ? 0 : ILLEGAL_ADDRESS;
}

static int read_bits(struct exchange *e)
{
    uint32_t start = read_u16be(&e->in), count = read_u16be(&e->in);
    int fault = judge(e, start, count, 2000);
    if (fault) {
        return fault;
    }
    const uint8_t *bits = e->plc->units[e->unit].bits[e->function == 2];
    write_u8(&e->out, (uint8_t)((count + 7) / 8));
    for (uint32_t i = 0; i < count; i += 8) {
        uint8_t byte = 0;
        for (uint32_t k = 0; k < 8 && i + k < count; k++) {
            uint32_t at = start + i + k;
            byte = (uint8_t)(byte | (bits[at / 8] >> at % 8 & 1) << k);
        }
        write_u8(&e->out, byte);
    }
    return 0;
}

static void put_registers(struct exchange *e, uint32_t start, uint32_t count)
{
    const uint16_t *registers = e->plc->units[e->unit].registers[e->function == 4];
    write_u8(&e->out, (uint8_t)(count * 2));
    for (uint32_t i = 0; i < count; i++) {
        write_u16be(&e->out, registers[start + i]);
    }
}

static int read_registers(struct exchange *e)
{
    uint32_t start = read_u16be(&e->in), count = read_u16be(&e->in);
    int fault = judge(e, start, count, 125);
    if (!fault) {
        put_registers(e, start, count);
    }
    return fault;
}

static int write_one(struct exchange *e)
{
    uint16_t at = read_u16be(&e->in), value = read_u16be(&e->in);
    bool coil = e->function == 5, on = value == 0xff00;
    if (e->in.bad || (coil && value && !on)) {
        return ILLEGAL_VALUE;
    }
    write_u16be(&e->out, at);
    write_u16be(&e->out, value);
    return exceptions[coil ? map_write_coils(e->plc, e->unit, at, &on, 1)
                           : map_write_registers(e->plc, e->unit, at, &value, 1)];
}

static int write_coils(struct exchange *e)
{
    uint32_t start = read_u16be(&e->in), count = read_u16be(&e->in);
    uint32_t bytes = read_u8(&e->in);
    bool values[1968];
    int fault = bytes != (count + 7) / 8 || reader_left(&e->in) != bytes
                    ? ILLEGAL_VALUE
                    : judge(e, start, count, 1968);
    if (fault) {
        return fault;
    }
    for (uint32_t i = 0; i < count; i++) {
        values[i] = e->in.at[i / 8] >> i % 8 & 1;
    }
    write_u16be(&e->out, (uint16_t)start);
    write_u16be(&e->out, (uint16_t)count);
    return exceptions[map_write_coils(e->plc, e->unit, start, values, count)];
}

/* Of functions 16 and 23, which differ in how many registers they may write. */
static int take_registers(struct exchange *e, uint32_t most, uint32_t *start, uint32_t *count)
{
    *start = read_u16be(&e->in);
    *count = read_u16be(&e->in);
    uint32_t bytes = read_u8(&e->in);
    uint16_t values[125];
    int fault = bytes != *count * 2 || reader_left(&e->in) != bytes
                    ? ILLEGAL_VALUE
                    : judge(e, *start, *count, most);
    if (fault) {
        return fault;
    }
    for (uint32_t i = 0; i < *count; i++) {
        values[i] = read_u16be(&e->in);
    }
    return exceptions[map_write_registers(e->plc, e->unit, *start, values, *count)];
}

static int write_registers(struct exchange *e)
{
    uint32_t start, count;
    int fault = take_registers(e, 123, &start, &count);
    write_u16be(&e->out, (uint16_t)start);
    write_u16be(&e->out, (uint16_t)count);
    return fault;
}

static int mask_write(struct exchange *e)
{
    uint16_t at = read_u16be(&e->in), and_mask = read_u16be(&e->in), or_mask = read_u16be(&e->in);
    if (e->in.bad) {
        return ILLEGAL_VALUE;
    }
    uint16_t value = e->plc->units[e->unit].registers[PLC_HOLDING][at];
    value = (uint16_t)((value & and_mask) | (or_mask & ~and_mask));
    write_u16be(&e->out, at);
    write_u16be(&e->out, and_mask);
    write_u16be(&e->out, or_mask);
    return exceptions[map_write_registers(e->plc, e->unit, at, &value, 1)];
}

static int read_write(struct exchange *e)
{
    uint32_t start = read_u16be(&e->in), count = read_u16be(&e->in), written, write_count;
    int fault =
        judge(e, start, count, 125); /* before the write: a refused request changes nothing */
    fault = fault ? fault : take_registers(e, 121, &written, &write_count);
    if (!fault) {
        put_registers(e, start, count);
    }
    return fault;
}

/* Basic identification, as a stream or one object: vendor, product, version. */
static int identify(struct exchange *e)
{
    static const char *const texts[] = {"Isthmus", "waterworks", ISTHMUS_VERSION};
    uint8_t type = read_u8(&e->in), code = read_u8(&e->in), first = read_u8(&e->in);
    if (e->in.bad || type != 14) {
        return ILLEGAL_FUNCTION;
    }
    if (code < 1 || code > 4) {
        return ILLEGAL_VALUE;
    }
    if (code == 4 && first > 2) {
        return ILLEGAL_ADDRESS;
    }
    uint8_t from = code == 4 ? first : 0, to = code == 4 ? first : 2;
    const uint8_t head[] = {14, code, 0x81, 0, 0, (uint8_t)(to - from + 1)};
    write_bytes(&e->out, head, sizeof head);
    for (uint8_t i = from; i <= to; i++) {
        write_u8(&e->out, i);
        write_u8(&e->out, (uint8_t)strlen(texts[i]));
        write_bytes(&e->out, texts[i], strlen(texts[i]));
    }
    return 0;
}

static int serve(struct exchange *e)
{
    switch (e->function) {
    case 1:
    case 2:
        return read_bits(e);
    case 3:
    case 4:
        return read_registers(e);
    case 5:
    case 6:
        return write_one(e);
    case 15:
        return write_coils(e);
    case 16:
        return write_registers(e);
    case 22:
        return mask_write(e);
    case 23:
        return read_write(e);
    case 43:
        return identify(e);
    default:
        return ILLEGAL_FUNCTION;
    }
}

size_t answer_frame(struct plc *plc, const uint8_t *frame, size_t size,
                    uint8_t reply[MODBUS_FRAME_MAX])
{
    struct exchange e = {.plc = plc,
                         .in = reader_of(frame, size),
                         .out = writer_of(reply + 8, MODBUS_FRAME_MAX - 8)};
    uint16_t transaction = read_u16be(&e.in), protocol = read_u16be(&e.in);
    uint16_t length = read_u16be(&e.in);
    uint8_t unit = read_u8(&e.in);
    e.function = read_u8(&e.in);
    if (e.in.bad || protocol || length + 6u != size) {
        return 0;
    }
    e.unit = unit == 0 || unit == 255 ? 0 : unit - 1u;
    int fault = e.unit < plc->unit_count ? serve(&e) : NO_TARGET;
    size_t body = fault ? 1 : writer_used(&e.out);
    const uint8_t head[8] = {(uint8_t)(transaction >> 8),
                             (uint8_t)transaction,
                             0,
                             0,
                             (uint8_t)((body + 2) >> 8),
                             (uint8_t)(body + 2),
                             unit,
                             fault ? (uint8_t)(e.function | 0x80) : e.function};
    memcpy(reply, head, sizeof head);
    if (fault) {
        reply[8] = (uint8_t)fault;
    }
    return 8 + body;
}
