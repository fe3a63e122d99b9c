/* SPDX-License-Identifier: Apache-2.0 */
/* Points sorted by place, then taken greedily from the left: with a limit on the length this gives the fewest blocks,
 * because no block could begin further right. */
#include "south/modbus/merge.h"

#include <stdlib.h>

static int compare(const void *a, const void *b, void *context)
{
    const struct modbus_point *points = context;
    uint32_t ia = *(const uint32_t *)a, ib = *(const uint32_t *)b;
    const struct modbus_point *p = points + ia, *q = points + ib;
    int d = p->unit - q->unit;
    d = d ? d : p->table - q->table;
    d = d ? d : p->start - q->start;
    d = d ? d : p->count - q->count;
    return d ? d : ia < ib ? -1 : 1;
}

static struct modbus_block begin_block(const struct modbus_point *p, uint32_t first)
{
    return (struct modbus_block){.unit = p->unit,
                                 .table = p->table,
                                 .start = p->start,
                                 .count = p->count,
                                 .first = first,
                                 .point_count = 1};
}

static bool joins(const struct modbus_block *b, const struct modbus_point *p,
                  struct modbus_limits limits)
{
    bool bits = p->table < MODBUS_INPUT;
    uint32_t gap = bits ? limits.gap * 16u : limits.gap;
    uint32_t length = bits ? limits.length * 16u : limits.length;
    uint32_t end = (uint32_t)b->start + b->count;
    uint32_t new_end = (uint32_t)p->start + p->count;
    new_end = new_end > end ? new_end : end;
    return b->unit == p->unit && b->table == p->table && p->start <= end + gap &&
           (new_end == end || new_end - b->start <= length);
}

static void extend(struct modbus_block *b, const struct modbus_point *p)
{
    uint32_t end = (uint32_t)p->start + p->count;
    if (end > (uint32_t)b->start + b->count) {
        b->count = (uint16_t)(end - b->start);
    }
    b->point_count++;
}

size_t modbus_merge(const struct modbus_point *points, size_t count, struct modbus_limits limits,
                    uint32_t *order, struct modbus_block *blocks)
{
    for (uint32_t i = 0; i < count; i++) {
        order[i] = i;
    }
    qsort_r(order, count, sizeof *order, compare, (void *)points);
    size_t made = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct modbus_point *p = points + order[i];
        if (made && joins(blocks + made - 1, p, limits)) {
            extend(blocks + made - 1, p);
        } else {
            blocks[made++] = begin_block(p, i);
        }
    }
    return made;
}

void modbus_split(const struct modbus_point *points, const uint32_t *order,
                  struct modbus_block *block, struct modbus_block *upper)
{
    uint32_t first = block->first, middle = first + block->point_count / 2;
    uint32_t end = first + block->point_count;
    *upper = begin_block(points + order[middle], middle);
    for (uint32_t i = middle + 1; i < end; i++) {
        extend(upper, points + order[i]);
    }
    *block = begin_block(points + order[first], first);
    for (uint32_t i = first + 1; i < middle; i++) {
        extend(block, points + order[i]);
    }
}
