/* SPDX-License-Identifier: Apache-2.0 */
/* The table behind the map: which quantity of a line lies where, how it is encoded, and what it means. */
#ifndef ISTHMUS_SIM_POINTS_H
#define ISTHMUS_SIM_POINTS_H

#include "sim/map.h"

enum point_kind { FLOAT_BIG, FLOAT_SWAPPED, TENTHS, HUNDREDTHS, COUNT, BIT };
#define POINT_WORDS 4 /* at most */

struct point {
    const char *name, *unit; /* path within the line, UCUM code */
    unsigned plc;            /* 1, 2 */
    enum plc_table table;    /* holding registers and coils with `writable` are commands */
    uint32_t offset;         /* within the line's addresses in that table */
    enum point_kind kind;
    bool writable;
    size_t at;        /* in struct works_line: a bool when BIT, else a double */
    double factor;    /* of what is shown to what the works has */
    double low, high; /* range; equal: none */
    double noise;     /* of the sensor: deviation, as shown */
    const char *description;
};
extern const struct point points[TAGS_PER_LINE];

/* A text that describes a unit: at the top of the table that holds the PLC's measurements. */
struct plate {
    const char *name;
    unsigned plc;
    enum plc_table table;
    uint32_t offset, bytes;
    const char *text; /* %u: the unit */
    const char *description;
};
extern const struct plate plates[TAGS_PER_UNIT];

/* Addresses that one line takes in a table of a PLC. */
uint32_t point_stride(unsigned plc, enum plc_table table);
uint32_t point_words(enum point_kind kind);
void point_encode(const struct point *p, double value, uint16_t words[POINT_WORDS]);
double point_decode(const struct point *p, const uint16_t words[POINT_WORDS]);

#endif
