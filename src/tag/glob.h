/* SPDX-License-Identifier: Apache-2.0 */
/* Globs over tag paths: `?` one character, `*` any within a level, `**` as a level of its own any number of levels. */
#ifndef ISTHMUS_TAG_GLOB_H
#define ISTHMUS_TAG_GLOB_H

#include <stdbool.h>

/* Linear in the product of both lengths at the worst, whatever the pattern. */
bool glob_matches(const char *glob, const char *path);

/* Whether it holds any of the wildcards. */
bool glob_is_pattern(const char *text);

#endif
