/* SPDX-License-Identifier: Apache-2.0 */
/* The part of PromQL that we answer: one selector, perhaps a function over its range, then arithmetic with numbers,
 * comparisons and aggregations, one after another. So an expression is a line of stages, not a tree; arithmetic among
 * numbers is done while parsing. Times are nanoseconds. */
#ifndef ISTHMUS_NORTH_HTTP_PROMQL_H
#define ISTHMUS_NORTH_HTTP_PROMQL_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROMQL_MATCHERS_MAX 32u
#define PROMQL_STAGES_MAX   32u
#define PROMQL_DEPTH_MAX    64u
#define PROMQL_DURATION_MAX (INT64_C(40) * 365 * 86400) /* s */

enum prom_label {
    LABEL_NAME,
    LABEL_ASSET,
    LABEL_ASSET_TYPE,
    LABEL_DEVICE,
    LABEL_TAG,
    LABEL_UNIT,
    LABELS /* as a matcher's: one that no series has */
};
extern const char *const prom_label_names[LABELS];

struct matcher {
    enum prom_label label;
    bool negated;
    char *value;             /* owned */
    struct pattern *pattern; /* owned; NULL: the value as it is */
};

enum selector_at { AT_STEP, AT_TIME, AT_START, AT_END };

struct selector {
    struct matcher matchers[PROMQL_MATCHERS_MAX];
    uint32_t matcher_count;
    int64_t range_ns; /* 0: the value at an instant */
    int64_t offset_ns;
    enum selector_at at;
    int64_t at_ns;
};

enum prom_function {
    OVER_INSTANT, /* the last sample, if it is no older than the lookback and not bad */
    OVER_AVG,
    OVER_MIN,
    OVER_MAX,
    OVER_SUM,
    OVER_COUNT,
    OVER_LAST,
    OVER_QUANTILE,
    OVER_RATE,
    OVER_INCREASE,
    OVER_DELTA,
};

enum operator{
    OP_NONE,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_MOD,
    OP_POW,
    OP_EQ,
    OP_NE,
    OP_GT,
    OP_LT,
    OP_GE,
    OP_LE
};

enum grouping { GROUP_SUM = 1, GROUP_AVG, GROUP_MIN, GROUP_MAX, GROUP_COUNT };

/* Either arithmetic or comparison with a number, or an aggregation. */
struct stage {
    enum operator op;
    double number;
    bool number_left, as_bool;
    enum grouping aggregate; /* 0: none */
    uint32_t labels;         /* kept by the aggregation: a bit per enum prom_label */
};

enum promql_type { PROMQL_SCALAR, PROMQL_VECTOR, PROMQL_MATRIX /* a range without a function */ };

struct promql {
    enum promql_type type;
    double scalar;
    struct selector selector;
    enum prom_function function;
    double parameter; /* of OVER_QUANTILE */
    struct stage stages[PROMQL_STAGES_MAX];
    uint32_t stage_count;
};

/* ERR_MALFORMED, with what is wrong and what would be right in `why`; ERR_NOMEM. */
MUST_USE int promql_parse(struct promql **out, const char *text, size_t size, char *why,
                          size_t why_size);
/* Only a selector of an instant, as in match[]. */
MUST_USE int promql_parse_selector(struct promql **out, const char *text, size_t size, char *why,
                                   size_t why_size);
void promql_free(struct promql *q);

/* A number, or a duration such as 90s or 1h30m; > 0, up to PROMQL_DURATION_MAX. ERR_MALFORMED, ERR_RANGE. */
MUST_USE int promql_duration(const char *text, size_t size, int64_t *ns);
/* a op b; a comparison as 0 or 1. */
double promql_calculate(enum operator op, double a, double b);
static inline bool promql_is_comparison(enum operator op)
{
    return op >= OP_EQ;
}

#endif
