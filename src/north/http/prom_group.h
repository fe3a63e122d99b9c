/* SPDX-License-Identifier: Apache-2.0 */
/* An aggregation's groups: series go in one after another, each adds its points to those of its group. */
#ifndef ISTHMUS_NORTH_HTTP_PROM_GROUP_H
#define ISTHMUS_NORTH_HTTP_PROM_GROUP_H

#include "north/http/prom_labels.h"

struct group {
    struct labels labels;
    uint64_t hash;
    uint32_t next; /* in its bucket, + 1; 0: none */
    struct cell {
        double value, rest;
        uint32_t count;
    } * cells; /* owned, a cell for each point */
};

#define GROUP_BUCKETS 1024u

struct groups {
    uint32_t buckets[GROUP_BUCKETS];
    struct group *groups; /* owned */
    uint32_t count, capacity;
    uint32_t points;
    enum grouping aggregate;
    const struct plan *plan;
};

/* Bytes that one group takes, about. */
static inline size_t group_bytes(uint32_t points)
{
    return sizeof(struct group) + points * sizeof(struct cell);
}

void groups_init(struct groups *g, const struct plan *plan, enum grouping aggregate,
                 uint32_t points);
void groups_fini(struct groups *g);
/* ERR_NOMEM. */
MUST_USE int groups_add(struct groups *g, struct labels labels, const double *points);
void groups_points(const struct groups *g, uint32_t group, double *points);

#endif
