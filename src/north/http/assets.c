/* SPDX-License-Identifier: Apache-2.0 */
/* What is served as it is: the console's files and the API's description, made into arrays by the build (embed.py). */
#include "north/http/assets.h"

#include <string.h>

static const struct asset *find(const char *path)
{
    for (const struct asset *a = assets; a->path; a++) {
        if (!strcmp(a->path, path)) {
            return a;
        }
    }
    return NULL;
}

/* A path that names neither a file nor a part of the API is a page of the console, which finds it itself. */
const struct asset *asset_find(const char *path)
{
    const struct asset *a = find(path);
    bool page = !strchr(strrchr(path, '/') ? strrchr(path, '/') : path, '.') &&
                strncmp(path, "/api/", 5) != 0;
    return a || !page ? a : find("/index.html");
}
