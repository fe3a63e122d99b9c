/* SPDX-License-Identifier: Apache-2.0 */
#include "north/http/prom_group.h"

#include "north/http/prom_window.h"

#include <math.h>
#include <stdlib.h>

void groups_init(struct groups *g, const struct plan *plan, enum grouping aggregate,
                 uint32_t points)
{
    *g = (struct groups){.plan = plan, .aggregate = aggregate, .points = points};
}

void groups_fini(struct groups *g)
{
    for (uint32_t i = 0; i < g->count; i++) {
        free(g->groups[i].cells);
    }
    free(g->groups);
    *g = (struct groups){0};
}

static struct group *find(struct groups *g, struct labels labels, uint64_t hash)
{
    for (uint32_t i = g->buckets[hash % GROUP_BUCKETS]; i; i = g->groups[i - 1].next) {
        if (g->groups[i - 1].hash == hash &&
            labels_equal(g->plan, g->groups[i - 1].labels, labels)) {
            return g->groups + i - 1;
        }
    }
    return NULL;
}

static struct group *make(struct groups *g, struct labels labels, uint64_t hash)
{
    if (g->count == g->capacity) {
        uint32_t capacity = g->capacity ? g->capacity * 2 : 16;
        struct group *more = realloc(g->groups, capacity * sizeof *more);
        if (!more) {
            return NULL;
        }
        g->groups = more;
        g->capacity = capacity;
    }
    struct group *new = g->groups + g->count;
    uint32_t *bucket = g->buckets + hash % GROUP_BUCKETS;
    *new = (struct group){.labels = labels, .hash = hash, .next = *bucket};
    new->cells = calloc(g->points, sizeof *new->cells);
    if (!new->cells) {
        return NULL;
    }
    *bucket = ++g->count;
    return new;
}

/* Neumaier's sum, as in prom_window.c. */
static void add(struct cell *c, double v)
{
    double t = c->value + v;
    c->rest += fabs(c->value) >= fabs(v) ? (c->value - t) + v : (v - t) + c->value;
    c->value = t;
}

int groups_add(struct groups *g, struct labels labels, const double *points)
{
    uint64_t hash = labels_hash(g->plan, labels);
    struct group *group = find(g, labels, hash);
    group = group ? group : make(g, labels, hash);
    if (!group) {
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < g->points; i++) {
        struct cell *c = group->cells + i;
        double v = points[i];
        if (point_is_none(v)) {
            continue;
        }
        bool first = c->count++ == 0;
        if (g->aggregate == GROUP_SUM || g->aggregate == GROUP_AVG) {
            add(c, v);
        } else if (first || isnan(c->value) ||
                   (g->aggregate == GROUP_MIN ? v < c->value : v > c->value)) {
            c->value = v;
        }
    }
    return ERR_OK;
}

static double point(const struct groups *g, const struct cell *c)
{
    double sum = isfinite(c->value) ? c->value + c->rest : c->value;
    if (!c->count) {
        return point_none();
    }
    switch (g->aggregate) {
    case GROUP_SUM:
        return sum;
    case GROUP_AVG:
        return sum / c->count;
    case GROUP_COUNT:
        return c->count;
    default:
        return c->value;
    }
}

void groups_points(const struct groups *g, uint32_t group, double *points)
{
    for (uint32_t i = 0; i < g->points; i++) {
        points[i] = point(g, g->groups[group].cells + i);
    }
}
