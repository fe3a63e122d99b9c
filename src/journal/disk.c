/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/disk.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int64_t result(int64_t r)
{
    return r < 0 ? err_from_errno(errno) : r;
}

static int file_open(void *context, int dir, const char *name, int flags)
{
    (void)context;
    return (int)result(openat(dir, name, flags | O_CLOEXEC, 0640));
}

static void file_close(void *context, int fd)
{
    (void)context;
    close(fd);
}

static int64_t file_size(void *context, int fd)
{
    (void)context;
    struct stat info;
    return fstat(fd, &info) < 0 ? result(-1) : (int64_t)info.st_size;
}

static int64_t file_read(void *context, int fd, void *data, size_t size, uint64_t offset)
{
    (void)context;
    return result(pread(fd, data, size, (off_t)offset));
}

static int64_t file_write(void *context, int fd, const void *data, size_t size, uint64_t offset)
{
    (void)context;
    return result(pwrite(fd, data, size, (off_t)offset));
}

static int file_flush(void *context, int fd)
{
    (void)context;
    return (int)result(fdatasync(fd));
}

static int file_flush_dir(void *context, int dir)
{
    (void)context;
    return (int)result(fsync(dir));
}

static int file_allocate(void *context, int fd, uint64_t size)
{
    (void)context;
    if (!fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size)) {
        return ERR_OK;
    }
    /* Not every file system can; then the space is found, or not, when it is needed. */
    return errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_OK;
}

static void file_forget(void *context, int fd, uint64_t from, uint64_t size)
{
    (void)context;
    posix_fadvise(fd, (off_t)from, (off_t)size, POSIX_FADV_DONTNEED); /* only advice */
}

static int file_truncate(void *context, int fd, uint64_t size)
{
    (void)context;
    return (int)result(ftruncate(fd, (off_t)size));
}

static int file_rename(void *context, int dir, const char *from, const char *to)
{
    (void)context;
    return (int)result(renameat(dir, from, dir, to));
}

static int file_remove(void *context, int dir, const char *name)
{
    (void)context;
    return (int)result(unlinkat(dir, name, 0));
}

static int file_list(void *context, int dir, void (*each)(void *to, const char *name), void *to)
{
    (void)context;
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        int err = err_from_errno(errno);
        if (fd >= 0) {
            close(fd);
        }
        return err;
    }
    for (const struct dirent *e; (e = readdir(d));) {
        each(to, e->d_name);
    }
    closedir(d);
    return ERR_OK;
}

static int64_t file_changed_ns(void *context, int dir)
{
    (void)context;
    struct stat info;
    return fstat(dir, &info) < 0 ? result(-1)
                                 : info.st_mtim.tv_sec * NS_PER_S + info.st_mtim.tv_nsec;
}

static int64_t file_room(void *context, int dir)
{
    (void)context;
    struct statvfs info;
    return fstatvfs(dir, &info) < 0 ? result(-1)
                                    : (int64_t)((uint64_t)info.f_bavail * info.f_frsize);
}

const struct disk disk_files = {
    .open = file_open,
    .close = file_close,
    .size = file_size,
    .read = file_read,
    .write = file_write,
    .flush = file_flush,
    .flush_dir = file_flush_dir,
    .allocate = file_allocate,
    .forget = file_forget,
    .truncate = file_truncate,
    .rename = file_rename,
    .remove = file_remove,
    .list = file_list,
    .changed_ns = file_changed_ns,
    .room = file_room,
};

int disk_read_all(const struct disk *d, int fd, void *data, size_t size, uint64_t offset)
{
    uint8_t *at = data;
    while (size) {
        int64_t n = d->read(d->context, fd, at, size, offset);
        if (n == ERR_INTERRUPTED) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? (int)n : ERR_SHORT;
        }
        at += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return ERR_OK;
}

int disk_write_all(const struct disk *d, int fd, const void *data, size_t size, uint64_t offset)
{
    const uint8_t *at = data;
    while (size) {
        int64_t n = d->write(d->context, fd, at, size, offset);
        if (n == ERR_INTERRUPTED) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? (int)n : ERR_IO;
        }
        at += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return ERR_OK;
}
