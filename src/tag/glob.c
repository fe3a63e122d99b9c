/* SPDX-License-Identifier: Apache-2.0 */
/* Backtracking over the last `*` and the last `**` only: a later wildcard of the same kind makes an earlier one's choice
 * irrelevant, so no pattern can make it exponential. That needs `**` to be a level of its own: behind something in the same
 * level ("a**b") an earlier `*` would matter again, so there it is just a `*`. */
#include "tag/glob.h"

#include <stddef.h>
#include <string.h>

bool glob_is_pattern(const char *text)
{
    return strpbrk(text, "*?") != NULL;
}

static bool is_deep(const char *glob, const char *start)
{
    return glob[0] == '*' && glob[1] == '*' && (glob[2] == '/' || !glob[2]) &&
           (glob == start || glob[-1] == '/');
}

bool glob_matches(const char *glob, const char *path)
{
    const char *start = glob;
    const char *star = NULL,
               *star_path = NULL; /* behind the last '*', and where it began to match */
    const char *deep = NULL, *deep_path = NULL; /* the same for "**" */
    for (;;) {
        if (is_deep(glob, start)) {
            glob += 2;
            if (*glob == '/') { /* "a/" + "**" + "/b" matches a/b too */
                glob++;
            }
            deep = glob;
            deep_path = path;
            star = NULL;
        } else if (*glob == '*') {
            star = ++glob;
            star_path = path;
        } else if (*path && (*glob == *path || (*glob == '?' && *path != '/'))) {
            glob++;
            path++;
        } else if (!*path && !*glob) {
            return true;
        } else if (star && *star_path && *star_path != '/') {
            glob = star;
            path = ++star_path;
        } else if (deep && *deep_path) {
            /* the next level, or, when the pattern ends here, all the rest */
            star = NULL;
            do {
                deep_path++;
            } while (*deep && *deep_path && deep_path[-1] != '/');
            glob = deep;
            path = deep_path;
        } else {
            return false;
        }
    }
}
