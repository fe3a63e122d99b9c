/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a folder, read in a process of its own: boxes are forked from this one, and must not find in their memory what the files
 * said of others. */
#include "cli/cli.h"

#include "base/apart.h"
#include "config/config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct reading {
    cli_read *read;
    const void *context;
};

static int read_it(void *context, int fd)
{
    const struct reading *r = context;
    struct config_result result = {0};
    if (!r->read(r->context, &result)) {
        return ERR_CONFIG;
    }
    int err = apart_write(fd, result.image, result.image_size);
    config_free(&result);
    return err;
}

void *cli_read_apart(cli_read *read, const void *context, size_t *size)
{
    void *map, *image = NULL;
    struct reading r = {read, context};
    if (!apart_run(read_it, &r, &map, size) && map) {
        image = malloc(*size);
        if (image) {
            memcpy(image, map, *size);
        }
        munmap(map, *size);
    }
    return image;
}
