/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ISTHMUS_NORTH_HTTP_ASSETS_H
#define ISTHMUS_NORTH_HTTP_ASSETS_H

#include <stdbool.h>
#include <stddef.h>

struct asset {
    const char *path, *type;
    const char *tag; /* entity tag, in its quotes: changes with the content */
    const unsigned char *data;
    size_t size;
};

extern const struct asset assets[]; /* ends with path == NULL */

/* NULL: there is none. */
const struct asset *asset_find(const char *path);

#endif
