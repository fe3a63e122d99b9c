/* SPDX-License-Identifier: Apache-2.0 */
/* What a glob means, without any cleverness (and at a price): the test and the fuzzer hold glob.c to it. */
#ifndef ISTHMUS_TAG_GLOB_REFERENCE_H
#define ISTHMUS_TAG_GLOB_REFERENCE_H

#include <stdbool.h>
#include <string.h>

/* `begins`: a level begins here in the glob. */
static inline bool glob_reference_from(const char *glob, const char *path, bool begins)
{
    if (begins && glob[0] == '*' && glob[1] == '*' && (!glob[2] || glob[2] == '/')) {
        glob += glob[2] ? 3 : 2;
        while (*glob &&
               !glob_reference_from(glob, path, true)) { /* at the beginning of any level */
            path = strchr(path, '/');
            if (!path) {
                return false;
            }
            path++;
        }
        return true;
    }
    if (*glob == '*') {
        for (; !glob_reference_from(glob + 1, path, false); path++) {
            if (!*path || *path == '/') {
                return false;
            }
        }
        return true;
    }
    if (!*glob || !*path) {
        return !*glob && !*path;
    }
    return (*glob == *path || (*glob == '?' && *path != '/')) &&
           glob_reference_from(glob + 1, path + 1, *glob == '/');
}

static inline bool glob_reference(const char *glob, const char *path)
{
    return glob_reference_from(glob, path, true);
}

#endif
