/* SPDX-License-Identifier: Apache-2.0 */
/* What the two PLCs of the waterworks hold. PLC 1 (pumps) is big endian with float32, all in holding registers; PLC 2
 * (tanks) swaps words and counts in scaled int16 and a uint64 counter, with measurements in input registers, as grown
 * plants do. One table makes the registers, says what may be written, and makes the gateway's tag list.
 *
 * A PLC has as many unit ids as the lines need, LINES_PER_UNIT each. */
#ifndef ISTHMUS_SIM_MAP_H
#define ISTHMUS_SIM_MAP_H

#include "sim/physics.h"

#include <stddef.h>

#define PLC_ADDRESSES  65536u
#define LINES_PER_UNIT 1000u
#define TAGS_PER_LINE  37u
#define TAGS_PER_UNIT  4u /* name plate and firmware, of both PLCs */
#define TAGS_MIN       (TAGS_PER_LINE + TAGS_PER_UNIT)
#define TAGS_MAX       100000u

enum plc_table { PLC_HOLDING, PLC_INPUT, PLC_COIL, PLC_DISCRETE };

struct plc_unit {
    uint16_t registers[2][PLC_ADDRESSES]; /* PLC_HOLDING, PLC_INPUT */
    uint8_t bits[2][PLC_ADDRESSES / 8];   /* PLC_COIL, PLC_DISCRETE */
};

struct plc {
    struct works *works; /* borrowed */
    unsigned number;     /* 1, 2 */
    uint32_t unit_count;
    struct plc_unit *units; /* owned */
};

/* How many lines make about so many tags, and never more than TAGS_MAX; how many tags lines make. */
uint32_t map_lines(uint32_t tags);
uint32_t map_tags(uint32_t lines);
uint32_t map_units(uint32_t lines);

/* A PLC with the commands as the works has them. 0 or ERR_NOMEM. */
int map_init(struct plc *plc, unsigned number, struct works *works);
void map_fini(struct plc *plc);
/* Measures: fills what is read-only from the works' state, with the sensors' noise and quantisation. */
void map_fill(struct plc *plc);

enum map_refusal { MAP_WRITTEN, MAP_READ_ONLY, MAP_OUT_OF_RANGE };

/* Writes holding registers (`count` of 1 to 125) or coils that somebody outside sent, and has the works obey. All or
 * nothing: one address that may not be written, or a value outside its range, refuses the whole. */
enum map_refusal map_write_registers(struct plc *plc, uint32_t unit, uint32_t start,
                                     const uint16_t *values, uint32_t count);
enum map_refusal map_write_coils(struct plc *plc, uint32_t unit, uint32_t start, const bool *values,
                                 uint32_t count);

/* Writes the gateway's configuration for that map: isthmus.yaml and tags.csv in `dir`. 0 or a negative err. */
int map_write_config(const char *dir, uint32_t lines, int port1, int port2);

#endif
