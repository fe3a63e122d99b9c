/* SPDX-License-Identifier: Apache-2.0 */
/* Commands live twice: as the registers that their writer reads back, and in the works, which obeys. The registers are
 * written first and then decoded, so half a float is judged together with the half that was there. */
#include "sim/map.h"

#include "base/err.h"
#include "sim/points.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t map_units(uint32_t lines)
{
    return (lines + LINES_PER_UNIT - 1) / LINES_PER_UNIT;
}

uint32_t map_tags(uint32_t lines)
{
    return lines * TAGS_PER_LINE + map_units(lines) * TAGS_PER_UNIT;
}

uint32_t map_lines(uint32_t tags)
{
    uint32_t lines = (tags + TAGS_PER_LINE / 2) / TAGS_PER_LINE;
    while (lines > 1 &&
           (map_tags(lines) > TAGS_MAX || map_tags(lines) > tags + TAGS_PER_LINE / 2)) {
        lines--;
    }
    return lines ? lines : 1;
}

static void *field(struct works *w, const struct point *p, uint32_t line)
{
    return (char *)(w->lines + line) + p->at;
}

static double get(struct works *w, const struct point *p, uint32_t line)
{
    const void *at = field(w, p, line);
    return p->kind == BIT ? (double)*(const bool *)at : *(const double *)at * p->factor;
}

static void set(struct works *w, const struct point *p, uint32_t line, double value)
{
    void *at = field(w, p, line);
    if (p->kind == BIT) {
        *(bool *)at = value != 0;
    } else {
        *(double *)at = value / p->factor;
    }
}

static void put_bit(uint8_t *bits, uint32_t at, bool on)
{
    uint8_t mask = (uint8_t)(1u << at % 8);
    bits[at / 8] = (uint8_t)(on ? bits[at / 8] | mask : bits[at / 8] & ~mask);
}

static void fill_point(struct plc *plc, const struct point *p, uint32_t line)
{
    struct plc_unit *unit = plc->units + line / LINES_PER_UNIT;
    uint32_t at = line % LINES_PER_UNIT * point_stride(p->plc, p->table) + p->offset;
    double value = get(plc->works, p, line);
    if (p->kind == BIT) {
        put_bit(unit->bits[p->table - PLC_COIL], at, value != 0);
    } else {
        value += p->noise > 0 ? works_noise(plc->works->lines + line, p->noise) : 0;
        if (p->high > p->low) { /* a transmitter gives no more than its range */
            value = value < p->low ? p->low : value > p->high ? p->high : value;
        }
        point_encode(p, value, unit->registers[p->table] + at);
    }
}

static void fill(struct plc *plc, bool commands)
{
    for (uint32_t line = 0; line < plc->works->line_count; line++) {
        for (const struct point *p = points; p < points + TAGS_PER_LINE; p++) {
            if (p->plc == plc->number && p->writable == commands) {
                fill_point(plc, p, line);
            }
        }
    }
}

void map_fill(struct plc *plc)
{
    fill(plc, false);
}

static void fill_plate(struct plc *plc, const struct plate *p, uint32_t unit)
{
    char text[64] = "";
    snprintf(text, sizeof text, p->text, unit + 1);
    for (uint32_t i = 0; i < p->bytes / 2; i++) {
        plc->units[unit].registers[p->table][p->offset + i] =
            (uint16_t)((uint8_t)text[2 * i] << 8 | (uint8_t)text[2 * i + 1]);
    }
}

int map_init(struct plc *plc, unsigned number, struct works *works)
{
    *plc =
        (struct plc){.works = works, .number = number, .unit_count = map_units(works->line_count)};
    plc->units = calloc(plc->unit_count, sizeof *plc->units);
    if (!plc->units) {
        return ERR_NOMEM;
    }
    for (uint32_t unit = 0; unit < plc->unit_count; unit++) {
        for (const struct plate *p = plates; p < plates + TAGS_PER_UNIT; p++) {
            if (p->plc == number) {
                fill_plate(plc, p, unit);
            }
        }
    }
    fill(plc, true);
    fill(plc, false);
    return ERR_OK;
}

void map_fini(struct plc *plc)
{
    free(plc->units);
    *plc = (struct plc){0};
}

/* The command at an address, and its line; NULL: nothing there may be written. */
static const struct point *command_at(const struct plc *plc, uint32_t unit, enum plc_table table,
                                      uint32_t at, uint32_t *line)
{
    uint32_t stride = point_stride(plc->number, table);
    uint32_t offset = stride ? at % stride : 0;
    *line = unit * LINES_PER_UNIT + (stride ? at / stride : 0);
    if (!stride || at / stride >= LINES_PER_UNIT || *line >= plc->works->line_count) {
        return NULL;
    }
    for (const struct point *p = points; p < points + TAGS_PER_LINE; p++) {
        if (p->writable && p->plc == plc->number && p->table == table && offset >= p->offset &&
            offset < p->offset + point_words(p->kind)) {
            return p;
        }
    }
    return NULL;
}

enum map_refusal map_write_registers(struct plc *plc, uint32_t unit, uint32_t start,
                                     const uint16_t *values, uint32_t count)
{
    uint16_t before[125];
    uint16_t *registers = plc->units[unit].registers[PLC_HOLDING];
    uint32_t stride = point_stride(plc->number, PLC_HOLDING), line;
    enum map_refusal refusal = MAP_WRITTEN;
    for (uint32_t i = 0; i < count; i++) {
        if (!command_at(plc, unit, PLC_HOLDING, start + i, &line)) {
            return MAP_READ_ONLY;
        }
    }
    memcpy(before, registers + start, count * sizeof *before);
    memcpy(registers + start, values, count * sizeof *values);
    /* first judged, then obeyed */
    for (int pass = 0; pass < 2 && refusal == MAP_WRITTEN; pass++) {
        for (uint32_t i = 0; i < count; i++) {
            const struct point *p = command_at(plc, unit, PLC_HOLDING, start + i, &line);
            uint32_t at = line % LINES_PER_UNIT * stride + p->offset;
            double value = point_decode(p, registers + at);
            if (!(value >= p->low && value <= p->high)) { /* NaN too */
                refusal = MAP_OUT_OF_RANGE;
            } else if (pass == 1) {
                set(plc->works, p, line, value);
            }
        }
    }
    if (refusal != MAP_WRITTEN) {
        memcpy(registers + start, before, count * sizeof *before);
    }
    return refusal;
}

enum map_refusal map_write_coils(struct plc *plc, uint32_t unit, uint32_t start, const bool *values,
                                 uint32_t count)
{
    uint32_t line;
    for (uint32_t i = 0; i < count; i++) {
        if (!command_at(plc, unit, PLC_COIL, start + i, &line)) {
            return MAP_READ_ONLY;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct point *p = command_at(plc, unit, PLC_COIL, start + i, &line);
        put_bit(plc->units[unit].bits[0], start + i, values[i]);
        set(plc->works, p, line, values[i]);
    }
    return MAP_WRITTEN;
}
