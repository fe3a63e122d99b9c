/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/map.h"

#include "base/err.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

enum kind { FLOAT_BIG, FLOAT_SWAPPED, TENTHS, HUNDREDTHS, COUNT, BIT };

struct point {
    const char *name, *unit;
    enum kind kind;
    uint8_t plc;      /* 1, 2 */
    uint8_t offset;   /* register within the line's block; bit: number of the bit in register 0 */
    double low, high; /* range; equal: none */
    double noise;
    double (*value)(const struct works_line *l, int pump);
    int pump;
    const char *description;
};

#define GET(name, expression)                                                                      \
    static double name(const struct works_line *l, int pump)                                       \
    {                                                                                              \
        (void)pump;                                                                                \
        return expression;                                                                         \
    }
GET(pump_speed, l->pumps[pump].speed * 100)
GET(pump_flow, l->pumps[pump].flow)
GET(pump_head, l->pumps[pump].head)
GET(pump_power, l->pumps[pump].power)
GET(pump_temperature, l->pumps[pump].temperature)
GET(pump_vibration, l->pumps[pump].vibration)
GET(pump_wear, l->pumps[pump].wear * 100)
GET(pump_hours, l->pumps[pump].hours)
GET(pump_current, l->pumps[pump].power * 1.72)
GET(pump_running, l->pumps[pump].running)
GET(line_intake, l->intake_level)
GET(line_storage, l->storage_level)
GET(line_inflow, l->inflow)
GET(line_demand, l->demand)
GET(line_valve, l->valve * 100)
GET(line_pressure, l->pressure)
GET(line_temperature, l->water_temperature)
GET(line_set_point, l->set_point)
GET(line_volume, l->volume)
GET(line_low, l->storage_level < 1)
GET(line_high, l->storage_level > 5.5)

#define PUMP_POINTS(n, at)                                                                         \
    {"pump" #n "/speed", "%",   FLOAT_BIG,           1, at + 0, 0, 100, 0.05,                      \
     pump_speed,         n - 1, "speed of the drive"},                                             \
        {"pump" #n "/flow", "m3/h", FLOAT_BIG, 1, at + 2, 0, 400, 0.6, pump_flow, n - 1, "flow"},  \
        {"pump" #n "/head", "m", FLOAT_BIG, 1, at + 4, 0, 80, 0.05, pump_head, n - 1, "head"},     \
        {"pump" #n "/power", "kW",  FLOAT_BIG,       1, at + 6, 0, 90, 0.1,                        \
         pump_power,         n - 1, "electric power"},                                             \
        {"pump" #n "/current", "A",   FLOAT_BIG, 1, at + 8, 0, 160, 0.2,                           \
         pump_current,         n - 1, "current"},                                                  \
        {"pump" #n "/bearing", "Cel", TENTHS,   1, at + 10, -20, 150, 0.1,                         \
         pump_temperature,     n - 1, "bearing"},                                                  \
        {"pump" #n "/vibration", "mm/s", HUNDREDTHS, 1, at + 11, 0, 20, 0.04,                      \
         pump_vibration,         n - 1,  "vibration"},                                             \
        {"pump" #n "/wear", "%",   HUNDREDTHS,      1, at + 12, 0, 100, 0,                         \
         pump_wear,         n - 1, "estimated wear"},                                              \
        {"pump" #n "/hours", "h", FLOAT_BIG, 1, at + 13, 0, 0, 0, pump_hours, n - 1, "run time"},  \
    {                                                                                              \
        "pump" #n "/running", "", BIT, 1, n - 1, 0, 0, 0, pump_running, n - 1, "the pump runs"     \
    }

static const struct point points[] = {
    PUMP_POINTS(1, 2),
    PUMP_POINTS(2, 18),
    {"intake/level", "m", FLOAT_SWAPPED, 2, 2, 0, 6, 0.004, line_intake, 0,
     "level of the intake tank"},
    {"intake/inflow", "m3/h", FLOAT_SWAPPED, 2, 4, 0, 400, 0.8, line_inflow, 0, "raw water"},
    {"storage/level", "m", FLOAT_SWAPPED, 2, 6, 0, 6, 0.004, line_storage, 0,
     "level of the storage tank"},
    {"storage/demand", "m3/h", FLOAT_SWAPPED, 2, 8, 0, 400, 0.8, line_demand, 0,
     "what the town draws"},
    {"storage/set-point", "m", HUNDREDTHS, 2, 10, 0, 6, 0, line_set_point, 0,
     "level that the controller holds"},
    {"valve/position", "%", TENTHS, 2, 11, 0, 100, 0.05, line_valve, 0, "opening of the valve"},
    {"pressure", "bar", HUNDREDTHS, 2, 12, 0, 16, 0.01, line_pressure, 0,
     "pressure behind the pumps"},
    {"temperature", "Cel", TENTHS, 2, 13, -5, 40, 0.05, line_temperature, 0,
     "temperature of the water"},
    {"volume", "m3", COUNT, 2, 14, 0, 0, 0, line_volume, 0, "pumped in all"},
    {"storage/high", "", BIT, 2, 1, 0, 0, 0, line_high, 0, "the storage tank is nearly full"},
};
_Static_assert(sizeof points / sizeof *points == TAGS_PER_LINE, "the number of tags per line");

static void put_float(uint16_t *r, double v, bool swapped)
{
    float f = (float)v;
    uint32_t bits;
    memcpy(&bits, &f, 4);
    r[swapped] = (uint16_t)(bits >> 16);
    r[!swapped] = (uint16_t)bits;
}

static void put_count(uint16_t *r, double v)
{
    uint64_t n = (uint64_t)v;
    for (int i = 0; i < 4; i++) { /* words in swapped order: the lowest first */
        r[i] = (uint16_t)(n >> (16 * i));
    }
}

static void put_scaled(uint16_t *r, double v, double factor)
{
    double n = nearbyint(v * factor);
    n = n < -32768 ? -32768 : n > 32767 ? 32767 : n;
    *r = (uint16_t)(int16_t)n;
}

static void fill_point(struct works *w, const struct point *p, const struct works_line *l,
                       uint16_t *block)
{
    double v = p->value(l, p->pump) + (p->noise > 0 ? works_noise(w, p->noise) : 0);
    switch (p->kind) {
    case FLOAT_BIG:
    case FLOAT_SWAPPED:
        put_float(block + p->offset, v, p->kind == FLOAT_SWAPPED);
        break;
    case TENTHS:
        put_scaled(block + p->offset, v, 10);
        break;
    case HUNDREDTHS:
        put_scaled(block + p->offset, v, 100);
        break;
    case COUNT:
        put_count(block + p->offset, v);
        break;
    case BIT:
        block[0] = (uint16_t)((block[0] & ~(1u << p->offset)) | (v > 0.5 ? 1u << p->offset : 0));
        break;
    }
}

void map_fill(struct works *w, struct plc *plc1, struct plc *plc2)
{
    for (uint32_t i = 0; i < w->line_count; i++) {
        for (size_t k = 0; k < TAGS_PER_LINE; k++) {
            struct plc *plc = points[k].plc == 1 ? plc1 : plc2;
            fill_point(w, points + k, w->lines + i, plc->holding + i * LINE_REGISTERS);
        }
        struct works_line *l = w->lines + i;
        plc2->holding[i * LINE_REGISTERS] =
            (uint16_t)((plc2->holding[i * LINE_REGISTERS] & ~1u) | (line_low(l, 0) > 0.5));
    }
}

static void write_tag(FILE *f, const struct point *p, uint32_t line)
{
    static const char *const types[] = {"float32", "float32:cdab", "int16",
                                        "int16",   "uint64:cdab",  "bool"};
    uint32_t at = line * LINE_REGISTERS + (p->kind == BIT ? 0 : p->offset);
    fprintf(f, "waterworks/line%u/%s,plc%u,holding:%u", line + 1, p->name, p->plc, at);
    if (p->kind == BIT) {
        fprintf(f, ".%u", p->offset);
    }
    fprintf(f, ":%s,%s,", types[p->kind], p->unit);
    if (p->high > p->low) {
        fprintf(f, "%g,%g", p->low, p->high);
    } else {
        fputs(",", f);
    }
    fprintf(f, ",%s,%s\n",
            p->kind == TENTHS       ? "0.1"
            : p->kind == HUNDREDTHS ? "0.01"
                                    : "",
            p->description);
}

static FILE *create(const char *dir, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return fopen(path, "we");
}

int map_write_config(const char *dir, uint32_t lines, int port1, int port2)
{
    if (mkdir(dir, 0755) && errno != EEXIST) {
        return err_from_errno(errno);
    }
    FILE *f = create(dir, "isthmus.yaml");
    if (!f) {
        return err_from_errno(errno);
    }
    fprintf(f,
            "# SPDX-License-Identifier: Apache-2.0\n"
            "# The simulated waterworks: isthmus sim waterworks --ports %d,%d\n"
            "gateway: {name: waterworks, description: The simulated waterworks}\n\n"
            "devices:\n"
            "  - {name: plc1, driver: modbus, address: \"127.0.0.1:%d\", period: 500ms, "
            "description: Pumps}\n"
            "  - {name: plc2, driver: modbus, address: \"127.0.0.1:%d\", period: 1s, description: "
            "Tanks and valves}\n\n"
            "services:\n"
            "  - {name: console, module: http, listen: \"127.0.0.1:8480\"}\n"
            "  - {name: cloud, module: sparkplug, address: \"127.0.0.1:11883\", group: waterworks, "
            "node: gateway}\n\n"
            "contracts:\n"
            "  - name: pumps-and-tanks\n"
            "    service: cloud\n"
            "    tags: [\"waterworks/**\"]\n"
            "    purpose: show the plant in the cloud\n"
            "    owner: operations\n"
            "    custodian: data team\n"
            "    freshness: 5s\n",
            port1, port2, port1, port2);
    int bad = ferror(f);
    bad |= fclose(f);
    f = create(dir, "tags.csv");
    if (!f) {
        return err_from_errno(errno);
    }
    fputs("path,device,address,unit,low,high,scale,description\n", f);
    for (uint32_t i = 0; i < lines; i++) {
        for (size_t k = 0; k < TAGS_PER_LINE; k++) {
            write_tag(f, points + k, i);
        }
    }
    bad |= ferror(f);
    bad |= fclose(f);
    return bad ? ERR_IO : ERR_OK;
}
