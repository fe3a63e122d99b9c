/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/points.h"

#include <math.h>
#include <string.h>

#define OF(field) offsetof(struct works_line, field)

/* clang-format off */
#define PUMP(n, pump, at, bit)                                                                                              \
    {pump "/speed", "%", 1, PLC_HOLDING, at + 0, FLOAT_BIG, false, OF(pumps[n].speed), 100, 0, 100, 0.05,                     \
     "speed of the drive"},                                                                                                 \
    {pump "/flow", "m3/h", 1, PLC_HOLDING, at + 2, FLOAT_BIG, false, OF(pumps[n].flow), 1, 0, 400, 0.6, "flow"},              \
    {pump "/head", "m", 1, PLC_HOLDING, at + 4, FLOAT_BIG, false, OF(pumps[n].head), 1, 0, 80, 0.05, "head"},                 \
    {pump "/power", "kW", 1, PLC_HOLDING, at + 6, FLOAT_BIG, false, OF(pumps[n].power), 1, 0, 90, 0.1, "electric power"},     \
    {pump "/current", "A", 1, PLC_HOLDING, at + 8, FLOAT_BIG, false, OF(pumps[n].power), 1.72, 0, 160, 0.2, "current"},       \
    {pump "/hours", "h", 1, PLC_HOLDING, at + 10, FLOAT_BIG, false, OF(pumps[n].hours), 1, 0, 0, 0, "run time"},              \
    {pump "/bearing", "Cel", 1, PLC_HOLDING, at + 12, TENTHS, false, OF(pumps[n].temperature), 1, -20, 150, 0.1, "bearing"},  \
    {pump "/vibration", "mm/s", 1, PLC_HOLDING, at + 13, HUNDREDTHS, false, OF(pumps[n].vibration), 1, 0, 20, 0.04,           \
     "vibration"},                                                                                                          \
    {pump "/wear", "%", 1, PLC_HOLDING, at + 14, HUNDREDTHS, false, OF(pumps[n].wear), 100, 0, 100, 0, "estimated wear"},     \
    {pump "/running", "", 1, PLC_DISCRETE, bit, BIT, false, OF(pumps[n].running), 1, 0, 0, 0, "the pump runs"},               \
    {pump "/start", "", 1, PLC_COIL, bit, BIT, true, OF(pumps[n].start), 1, 0, 0, 0, "command: the pump shall run"}

const struct point points[TAGS_PER_LINE] = {
    PUMP(0, "pump1", 0, 0),
    PUMP(1, "pump2", 15, 1),
    {"controller/automatic", "", 1, PLC_COIL, 2, BIT, true, OF(automatic), 1, 0, 0, 0,
     "command: the controller sets the pumps' speed"},
    {"controller/manual-speed", "%", 1, PLC_HOLDING, 30, FLOAT_BIG, true, OF(manual_speed), 100, 0, 100, 0,
     "set point: the pumps' speed by hand"},
    {"intake/level", "m", 2, PLC_INPUT, 0, FLOAT_SWAPPED, false, OF(intake_level), 1, 0, 6, 0.004, "level of the intake tank"},
    {"intake/inflow", "m3/h", 2, PLC_INPUT, 2, FLOAT_SWAPPED, false, OF(inflow), 1, 0, 400, 0.8, "raw water"},
    {"storage/level", "m", 2, PLC_INPUT, 4, FLOAT_SWAPPED, false, OF(storage_level), 1, 0, 6, 0.004,
     "level of the storage tank"},
    {"storage/demand", "m3/h", 2, PLC_INPUT, 6, FLOAT_SWAPPED, false, OF(demand), 1, 0, 400, 0.8, "what the town draws"},
    {"storage/set-point", "m", 2, PLC_HOLDING, 0, HUNDREDTHS, true, OF(set_point), 1, 0, 6, 0,
     "set point: level that the controller holds"},
    {"storage/low", "", 2, PLC_DISCRETE, 0, BIT, false, OF(storage_low), 1, 0, 0, 0, "the storage tank is nearly empty"},
    {"storage/high", "", 2, PLC_DISCRETE, 1, BIT, false, OF(storage_high), 1, 0, 0, 0, "the storage tank is nearly full"},
    {"storage/leaking", "", 2, PLC_COIL, 0, BIT, true, OF(leaking), 1, 0, 0, 0, "simulated fault: the storage tank leaks"},
    {"valve/position", "%", 2, PLC_INPUT, 8, TENTHS, false, OF(valve), 100, 0, 100, 0.05, "opening of the valve"},
    {"valve/target", "%", 2, PLC_HOLDING, 1, TENTHS, true, OF(valve_target), 100, 0, 100, 0, "set point: opening of the valve"},
    {"pressure", "bar", 2, PLC_INPUT, 9, HUNDREDTHS, false, OF(pressure), 1, 0, 16, 0.01, "pressure behind the pumps"},
    {"temperature", "Cel", 2, PLC_INPUT, 10, TENTHS, false, OF(water_temperature), 1, -5, 40, 0.05,
     "temperature of the water"},
    {"volume", "m3", 2, PLC_INPUT, 11, COUNT, false, OF(volume), 1, 0, 0, 0, "pumped in all"},
};

const struct plate plates[TAGS_PER_UNIT] = {
    {"name-plate", 1, PLC_HOLDING, 65000, 32, "Pump station, unit %u", "what this PLC controls"},
    {"firmware", 1, PLC_HOLDING, 65016, 16, ISTHMUS_VERSION, "version of the program in the PLC"},
    {"name-plate", 2, PLC_INPUT, 65000, 32, "Tanks and valves, unit %u", "what this PLC controls"},
    {"firmware", 2, PLC_INPUT, 65016, 16, ISTHMUS_VERSION, "version of the program in the PLC"},
};
/* clang-format on */

uint32_t point_stride(unsigned plc, enum plc_table table)
{
    static const uint32_t strides[2][4] = {
        {[PLC_HOLDING] = 32, [PLC_INPUT] = 0, [PLC_COIL] = 3, [PLC_DISCRETE] = 2},
        {[PLC_HOLDING] = 2, [PLC_INPUT] = 16, [PLC_COIL] = 1, [PLC_DISCRETE] = 2},
    };
    return strides[plc - 1][table];
}

uint32_t point_words(enum point_kind kind)
{
    return kind == COUNT ? 4 : kind == FLOAT_BIG || kind == FLOAT_SWAPPED ? 2 : 1;
}

static uint16_t scaled(double v, double factor)
{
    double n = nearbyint(v * factor);
    return (uint16_t)(int16_t)(n < -32768 ? -32768 : n > 32767 ? 32767 : n);
}

void point_encode(const struct point *p, double value, uint16_t words[POINT_WORDS])
{
    float f = (float)value;
    uint32_t bits;
    switch (p->kind) {
    case FLOAT_BIG:
    case FLOAT_SWAPPED:
        memcpy(&bits, &f, 4);
        words[p->kind == FLOAT_SWAPPED] = (uint16_t)(bits >> 16);
        words[p->kind == FLOAT_BIG] = (uint16_t)bits;
        break;
    case TENTHS:
        words[0] = scaled(value, 10);
        break;
    case HUNDREDTHS:
        words[0] = scaled(value, 100);
        break;
    case COUNT: /* words in swapped order: the lowest first */
        for (int i = 0; i < 4; i++) {
            words[i] = (uint16_t)((uint64_t)value >> (16 * i));
        }
        break;
    case BIT:
        words[0] = value != 0;
        break;
    }
}

double point_decode(const struct point *p, const uint16_t words[POINT_WORDS])
{
    float f;
    uint32_t bits = 0;
    switch (p->kind) {
    case FLOAT_BIG:
    case FLOAT_SWAPPED:
        bits = (uint32_t)words[p->kind == FLOAT_SWAPPED] << 16 | words[p->kind == FLOAT_BIG];
        memcpy(&f, &bits, 4);
        return (double)f;
    case TENTHS:
        return (int16_t)words[0] / 10.0;
    case HUNDREDTHS:
        return (int16_t)words[0] / 100.0;
    case COUNT:
        return (double)((uint64_t)words[3] << 48 | (uint64_t)words[2] << 32 |
                        (uint64_t)words[1] << 16 | words[0]);
    case BIT:
        break;
    }
    return words[0];
}
