/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ISTHMUS_NORTH_HTTP_ASSETS_H
#define ISTHMUS_NORTH_HTTP_ASSETS_H

#include <stddef.h>

struct asset {
    const char *path, *type;
    const unsigned char *data;
    size_t size;
};

extern const struct asset assets[]; /* ends with path == NULL */

#endif
