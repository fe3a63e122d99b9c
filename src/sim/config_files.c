/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's configuration for the simulated plant: examples/waterworks is made by this. */
#include "sim/points.h"

#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

static const char *const tables[] = {"holding", "input", "coil", "discrete"};

static void write_address(FILE *f, unsigned plc, uint32_t unit, enum plc_table table, uint32_t at)
{
    fprintf(f, "plc%u,", plc);
    if (unit) {
        fprintf(f, "%u/", unit + 1);
    }
    fprintf(f, "%s:%u", tables[table], at);
}

static void write_point(FILE *f, const struct point *p, uint32_t line)
{
    static const char *const types[] = {":float32", ":float32:cdab", ":int16",
                                        ":int16",   ":uint64:cdab",  ""};
    uint32_t at = line % LINES_PER_UNIT * point_stride(p->plc, p->table) + p->offset;
    fprintf(f, "waterworks/line%u/%s,", line + 1, p->name);
    write_address(f, p->plc, line / LINES_PER_UNIT, p->table, at);
    fprintf(f, "%s,%s,", types[p->kind], p->unit);
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

static void write_plate(FILE *f, const struct plate *p, uint32_t unit)
{
    fprintf(f, "waterworks/plc%u/unit%u/%s,", p->plc, unit + 1, p->name);
    write_address(f, p->plc, unit, p->table, p->offset);
    fprintf(f, ":text%u,,,,,%s\n", p->bytes, p->description);
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
    fprintf(
        f,
        "# SPDX-License-Identifier: Apache-2.0\n"
        "# The simulated waterworks: isthmus sim waterworks --ports %d,%d\n"
        "gateway: {name: waterworks, description: The simulated waterworks}\n\n"
        "# Between zones all is denied but what a conduit lets through: isthmus access WHO TAG.\n"
        "zones:\n"
        "  - {name: plant, description: PLCs and the control room}\n"
        "  - {name: office, description: The office network and the cloud}\n"
        "conduits:\n"
        "  - {name: office-reads, from: office, to: plant, read: true}\n\n"
        "devices:\n"
        "  - {name: plc1, driver: modbus, address: \"127.0.0.1:%d\", period: 500ms, "
        "description: Pumps}\n"
        "  - {name: plc2, driver: modbus, address: \"127.0.0.1:%d\", period: 1s, description: "
        "Tanks and valves}\n\n"
        "services:\n"
        "  - {name: console, module: http, listen: \"127.0.0.1:8480\", zone: plant}\n"
        "  - {name: cloud, module: sparkplug, address: \"127.0.0.1:11883\", group: waterworks, "
        "node: gateway, zone: office}\n\n"
        "contracts:\n"
        "  - name: pumps-and-tanks\n"
        "    service: cloud\n"
        "    tags: [\"waterworks/**\"]\n"
        "    purpose: show the plant in the cloud\n"
        "    owner: operations\n"
        "    custodian: data team\n"
        "    freshness: 5s\n\n"
        "# What may be written at all: without such a contract every tag is read-only.\n"
        "writes:\n"
        "  - name: storage-levels\n"
        "    tags: [\"waterworks/*/storage/set-point\"]\n"
        "    owner: operations\n"
        "    callers: [local, role:operator]\n"
        "    range: [1, 5]\n"
        "    step: 1\n"
        "    rate: 6/min\n"
        "  - name: valves\n"
        "    tags: [\"waterworks/*/valve/target\"]\n"
        "    owner: operations\n"
        "    callers: [local, role:operator]\n"
        "    range: [10, 100]\n"
        "  - name: pumps-by-hand\n"
        "    tags: [\"waterworks/*/controller/manual-speed\"]\n"
        "    owner: operations\n"
        "    callers: [local, role:operator]\n"
        "    approval: 5min\n"
        "    lease: 2min\n"
        "    revert: 0\n",
        port1, port2, port1, port2);
    int bad = ferror(f);
    bad |= fclose(f);
    f = create(dir, "tags.csv");
    if (!f) {
        return err_from_errno(errno);
    }
    fputs("path,device,address,unit,low,high,scale,description\n", f);
    for (uint32_t line = 0; line < lines; line++) {
        for (size_t k = 0; k < TAGS_PER_LINE; k++) {
            write_point(f, points + k, line);
        }
    }
    for (uint32_t unit = 0; unit < map_units(lines); unit++) {
        for (size_t k = 0; k < TAGS_PER_UNIT; k++) {
            write_plate(f, plates + k, unit);
        }
    }
    bad |= ferror(f);
    bad |= fclose(f);
    return bad ? ERR_IO : ERR_OK;
}
