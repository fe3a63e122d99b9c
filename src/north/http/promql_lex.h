/* SPDX-License-Identifier: Apache-2.0 */
/* PromQL's words, one at a time. */
#ifndef ISTHMUS_NORTH_HTTP_PROMQL_LEX_H
#define ISTHMUS_NORTH_HTTP_PROMQL_LEX_H

#include "north/http/promql.h"

enum word_kind {
    WORD_END,
    WORD_NAME,
    WORD_NUMBER,   /* `number` */
    WORD_DURATION, /* `duration_ns` */
    WORD_STRING,   /* still in its quotes */
    WORD_SIGN,     /* one or two characters */
    WORD_WRONG,    /* `wrong` says why */
};

struct word {
    enum word_kind kind;
    const char *at; /* borrowed */
    size_t size;
    double number;
    int64_t duration_ns;
    const char *wrong;
};

/* The word at `at`, behind space and comments. */
struct word promql_word(const char *at, const char *end);
bool word_is(const struct word *w, const char *text);
bool word_is_name(const struct word *w, const char *name); /* whatever the case */
/* The text of a string, terminated, owned. NULL: an escape that is none, a zero byte, or no memory. */
char *word_text(const struct word *w);

#endif
