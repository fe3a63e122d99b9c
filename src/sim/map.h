/* SPDX-License-Identifier: Apache-2.0 */
/* What the two PLCs of the waterworks hold. PLC 1 (pumps) is big endian with float32 and bits; PLC 2 (tanks) swaps words
 * and counts in scaled int16 and a uint64 counter, as grown plants do. One table makes the registers and the gateway's
 * tag list. */
#ifndef ISTHMUS_SIM_MAP_H
#define ISTHMUS_SIM_MAP_H

#include "sim/physics.h"

#include <stdio.h>

#define PLC_REGISTERS  65536
#define LINE_REGISTERS 60 /* that each line takes in each PLC */
#define LINES_MAX      (PLC_REGISTERS / LINE_REGISTERS)
#define TAGS_PER_LINE  30

struct plc {
    uint16_t holding[PLC_REGISTERS];
    uint8_t coils[PLC_REGISTERS / 8];
};

/* Fills both PLCs' registers from the works' state, with the sensors' noise and quantisation. */
void map_fill(struct works *w, struct plc *plc1, struct plc *plc2);
/* Writes the gateway's configuration for that map: isthmus.yaml and tags.csv in `dir`. 0 or a negative err. */
int map_write_config(const char *dir, uint32_t lines, int port1, int port2);

#endif
