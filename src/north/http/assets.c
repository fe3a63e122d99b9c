/* SPDX-License-Identifier: Apache-2.0 */
/* The console's files, made into arrays by the build (embed.py) and found by path. */
#include "north/http/http.h"

#include "north/http/assets.h"

bool asset_find(const char *path, const void **data, size_t *size, const char **type)
{
    if (!strcmp(path, "/")) {
        path = "/index.html";
    }
    for (const struct asset *a = assets; a->path; a++) {
        if (!strcmp(a->path, path)) {
            *data = a->data;
            *size = a->size;
            *type = a->type;
            return true;
        }
    }
    return false;
}
