/* SPDX-License-Identifier: Apache-2.0 */
/* The one seam between the journal and the file system, so that tests can fail the n-th write or flush, cut a write
 * short, or run out of space. All functions return 0 or a count, or a negative enum err (ERR_FULL: no space). */
#ifndef ISTHMUS_JOURNAL_DISK_H
#define ISTHMUS_JOURNAL_DISK_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct disk {
    void *context;
    int (*open)(void *context, int dir, const char *name, int flags); /* a descriptor, mode 0640 */
    void (*close)(void *context, int fd);
    int64_t (*size)(void *context, int fd);
    int64_t (*read)(void *context, int fd, void *data, size_t size, uint64_t offset);
    int64_t (*write)(void *context, int fd, const void *data, size_t size, uint64_t offset);
    int (*flush)(void *context, int fd);                   /* data and size survive loss of power */
    int (*flush_dir)(void *context, int dir);              /* names survive loss of power */
    int (*allocate)(void *context, int fd, uint64_t size); /* space, without changing the size */
    /* These bytes are durable and will hardly be read soon: their memory is of more use elsewhere. */
    void (*forget)(void *context, int fd, uint64_t from, uint64_t size);
    int (*truncate)(void *context, int fd, uint64_t size); /* also gives back what was allocated */
    int (*rename)(void *context, int dir, const char *from, const char *to);
    int (*remove)(void *context, int dir, const char *name);
    /* Tells every name in the folder, in any order. */
    int (*list)(void *context, int dir, void (*each)(void *to, const char *name), void *to);
    /* When names in the folder last changed, as far as the file system tells: an equal answer may hide a change that is
     * only some milliseconds old. */
    int64_t (*changed_ns)(void *context, int dir);
    int64_t (*room)(void *context, int dir); /* bytes that the file system has left for us */
};

/* The real one. */
extern const struct disk disk_files;

/* Reads or writes the whole of `size` bytes; a file that ends too early is ERR_SHORT. */
MUST_USE int disk_read_all(const struct disk *d, int fd, void *data, size_t size, uint64_t offset);
MUST_USE int disk_write_all(const struct disk *d, int fd, const void *data, size_t size,
                            uint64_t offset);

#endif
