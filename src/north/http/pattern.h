/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions as PromQL has them: RE2's syntax, always over the whole text. Matching goes through all ways at once
 * (Thompson), so its time grows with pattern times text and never beyond; there are no captures to keep. Supported: literals,
 * ., classes, \d \w \s and their opposites, groups, |, * + ? {n,m}, ^ $, (?i), (?s). Characters are code points; (?i) folds
 * ASCII only. */
#ifndef ISTHMUS_NORTH_HTTP_PATTERN_H
#define ISTHMUS_NORTH_HTTP_PATTERN_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pattern;

/* ERR_MALFORMED: none; ERR_UNSUPPORTED: RE2 would know it; ERR_TOO_LONG: it or what it stands for; ERR_NOMEM. */
MUST_USE int pattern_new(struct pattern **p, const char *text, size_t size);
void pattern_free(struct pattern *p);
/* *budget: steps that it may still take, counted down; at 0 the answer is no answer. */
bool pattern_matches(struct pattern *p, const char *text, size_t size, uint64_t *budget);

#endif
