/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions over tags: `{w/pump/running} and {w/level} < 3 and age({w/level}) < 5s` (docs/commands.md).
 *
 * Numbers and truth values, told apart when compiled. A tag whose status is not good, or that has no value, is unknown, and
 * so is what follows from it (Kleene's three values); a condition holds only if it is true. Compiled it is flat and position
 * independent, lies in the plan, and is proven once (expr_open), so that evaluation checks and allocates nothing. */
#ifndef ISTHMUS_RULE_EXPR_H
#define ISTHMUS_RULE_EXPR_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPR_STEPS_MAX 256u
#define EXPR_TAGS_MAX  64u
#define EXPR_DEPTH_MAX 32u
#define EXPR_TEXT_MAX  4096u

struct expr_head {
    uint32_t magic;
    uint16_t tag_count, step_count;
};

struct expr_step { /* of a machine with a stack */
    uint32_t op;
    uint32_t argument; /* a tag's place, or where in the text a part lies: from << 16 | size */
    double number;
};

/* head, tags (an even number of places), steps */
struct expr_code {
    uint64_t words[(sizeof(struct expr_head) + EXPR_TAGS_MAX * 4 +
                    EXPR_STEPS_MAX * sizeof(struct expr_step)) /
                   8];
    size_t size; /* bytes that are used */
};

struct expr_tag { /* what the compiler must know of a tag */
    uint32_t id;
    bool boolean;
    double low, high; /* infinite: no range */
};

struct expr_names {
    void *context;
    /* False: there is no such tag, or it is a text. */
    bool (*find)(void *context, const char *path, size_t size, struct expr_tag *out);
};

struct expr_error {
    uint32_t column; /* from 1 */
    char text[160], proposal[96];
};

/* ERR_MALFORMED with the error filled in. */
MUST_USE int expr_compile(const char *text, const struct expr_names *names, struct expr_code *code,
                          struct expr_error *error);

struct expr { /* a view */
    const struct expr_head *head;
    const uint32_t *tags; /* ids, tag_count */
    const struct expr_step *steps;
};
/* Proves code of any origin; `code` lies on 8 bytes and stays. ERR_SHORT, ERR_MALFORMED. */
MUST_USE int expr_open(struct expr *x, const void *code, size_t size);

struct expr_value {
    bool good, uncertain, none; /* none of the three: bad */
    double number;              /* of truth values 0 and 1 */
    int64_t age_ns;             /* since its last sample */
};
struct expr_reader {
    void *context;
    void (*read)(void *context, uint32_t tag, struct expr_value *out);
};

enum expr_truth { EXPR_FALSE, EXPR_TRUE, EXPR_UNKNOWN };

enum expr_truth expr_holds(const struct expr *x, const struct expr_reader *reader);
/* Which part does not hold, and what its tags are; `text` is what it was compiled from. */
void expr_explain(const struct expr *x, const char *text, const struct expr_reader *reader,
                  char *out, size_t size);
/* Whether it can't ever be true, with all tags within their ranges; then `why` has the part. */
bool expr_never(const struct expr *x, const char *text, const struct expr_names *names, char *why,
                size_t size);

#endif
