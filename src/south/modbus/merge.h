/* SPDX-License-Identifier: Apache-2.0 */
/* Merges points into the fewest read transactions. Pure. */
#ifndef ISTHMUS_SOUTH_MODBUS_MERGE_H
#define ISTHMUS_SOUTH_MODBUS_MERGE_H

#include "south/modbus/address.h"

struct modbus_limits {
    uint16_t gap; /* registers read for nothing between two points, at most; bits: 16 times that */
    uint16_t length; /* registers of one read, 1–125; bits: 16 times that, at most 2,000 */
};

struct modbus_block {
    uint16_t unit;
    uint8_t table;
    uint16_t start, count;       /* registers or bits */
    uint32_t first, point_count; /* in `order` */
};

/* Sorts `order` (indexes of points; filled in here) and makes blocks of it; both have room for `count`. A block
 * holds points of one unit and table; every point lies whole in its block; a point longer than the limit gets a
 * block of its own. Units are settled (no default). Returns the number of blocks. */
size_t modbus_merge(const struct modbus_point *points, size_t count, struct modbus_limits limits,
                    uint32_t *order, struct modbus_block *blocks);

/* Splits a block of at least two points in the middle: `block` keeps the lower half, `upper` gets the other. */
void modbus_split(const struct modbus_point *points, const uint32_t *order,
                  struct modbus_block *block, struct modbus_block *upper);

#endif
