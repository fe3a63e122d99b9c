/* SPDX-License-Identifier: Apache-2.0 */
/* The terms of a data contract as a text that is the same, byte for byte, for everybody who resolves the same configuration:
 * what both sides sign (guard/signature.h). docs/contracts.md has the format.
 *
 *   isthmus-contract-terms: 1
 *   gateway: waterworks            one line per term, all of them, in this order: the head
 *   …
 *   tags: 2
 *   tag: PATH\tTYPE\tUNIT\tLOW\tHIGH        one line per tag, sorted by path, each path once */
#ifndef ISTHMUS_GUARD_TERMS_H
#define ISTHMUS_GUARD_TERMS_H

#include "base/bytes.h"
#include "base/err.h"

#define TERMS_VERSION "1"
#define TERMS_MAX     (UINT32_C(64) << 20) /* bytes of a text that is read */

struct terms_tag {
    const char *path, *type, *unit;
    bool has_range;
    double low, high;
    uint32_t id; /* not in the text: for the caller */
    bool held;   /* likewise */
};

struct terms { /* all borrowed; no text is NULL */
    const char *gateway, *contract, *service, *module;
    const char *to; /* the addresses that it is delivered to, with ", " between them */
    const char *owner, *custodian, *purpose, *classification, *retention, *returns;
    uint32_t freshness_ms;
    double completeness; /* percent; 0: none is promised */
    bool live_first;
    struct terms_tag *tags; /* terms_text sorts them */
    size_t tag_count;
};

/* The text (owned, free()) and its digest (SHA-256). ERR_NOMEM. */
MUST_USE int terms_text(struct terms *terms, char **text, size_t *size, uint8_t digest[32]);

struct terms_span {
    const char *at; /* borrowed, not NUL-terminated */
    size_t size;
};

struct terms_line {
    struct terms_span key, value;
    bool is_tag;
    struct terms_span path, type, unit, low,
        high; /* of a tag; low and high are empty without a range */
};
/* The next line of a text; false: the end, or it is malformed (r->bad). */
bool terms_next(struct reader *r, struct terms_line *line);
/* ERR_MALFORMED: terms_text can't have written this. */
MUST_USE int terms_check(const char *text, size_t size);
/* The value of a term of the head; empty: there is none of that key. */
struct terms_span terms_value(const char *text, size_t size, const char *key);
bool terms_equal(struct terms_span a, struct terms_span b);

enum terms_change { TERMS_HEAD_CHANGED, TERMS_TAG_CHANGED, TERMS_TAG_ADDED, TERMS_TAG_REMOVED };
/* Calls `each` for every difference, heads first, then tags in their order; `from` is NULL for what was added, `to` for what
 * was removed. How many there are. Both texts are sound. */
size_t terms_compare(struct terms_span from, struct terms_span to,
                     void (*each)(void *context, enum terms_change change,
                                  const struct terms_line *from, const struct terms_line *to),
                     void *context);

#endif
