/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps do: the one table that compiler, proof and evaluation share. */
#ifndef ISTHMUS_RULE_EXPR_OPS_H
#define ISTHMUS_RULE_EXPR_OPS_H

#include "rule/expr.h"

#define EXPR_MAGIC UINT32_C(0x31525058) /* "XPR1" */

enum expr_type { NUMBER = 1, TRUTH };

enum expr_op {
    OP_NUMBER = 1,
    OP_TRUTH, /* number 0 or 1 */
    OP_TAG,   /* its value as a number */
    OP_STATE, /* its value as a truth value */
    OP_AGE,   /* s */
    OP_GOOD,
    OP_BAD,
    OP_UNCERTAIN,
    OP_NEGATE,
    OP_ABS,
    OP_NOT,
    OP_ADD,
    OP_SUBTRACT,
    OP_MULTIPLY,
    OP_DIVIDE,
    OP_MIN,
    OP_MAX,
    OP_LESS,
    OP_LESS_EQUAL,
    OP_MORE,
    OP_MORE_EQUAL,
    OP_EQUAL,
    OP_UNEQUAL,
    OP_SAME,   /* of truth values */
    OP_DIFFER, /* of truth values */
    OP_AND,
    OP_OR,
    OP_IF,       /* condition, number, number */
    OP_IF_TRUTH, /* condition, truth, truth */
    OP_PART,     /* a part of the whole condition ends here: argument says where it stands */
    OP_END
};

struct expr_shape {
    uint8_t takes;   /* values from the stack */
    uint8_t from[3]; /* enum expr_type of each */
    uint8_t gives;   /* enum expr_type; OP_PART leaves what is there */
    uint8_t tag;     /* 1: argument is a tag's place */
};
extern const struct expr_shape expr_shapes[OP_END];

#endif
