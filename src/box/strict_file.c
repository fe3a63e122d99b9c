/* SPDX-License-Identifier: Apache-2.0 */
/* What is judged is what is read: all is asked of the open descriptor. */
#include "box/strict_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int judge(const char *path, bool secret, const struct stat *st, char *why, size_t why_size)
{
    if (!S_ISREG(st->st_mode)) {
        snprintf(why, why_size, "'%s' is no regular file", path);
        return ERR_TYPE;
    }
    if ((uint64_t)st->st_size > STRICT_FILE_MAX) {
        snprintf(why, why_size, "'%s' is larger than 64 KiB: is it the right file?", path);
        return ERR_TOO_LONG;
    }
    if (secret && st->st_uid != geteuid() && st->st_uid != 0) {
        snprintf(why, why_size, "'%s' belongs to user %u: chown it to the gateway's user (%u)",
                 path, (unsigned)st->st_uid, (unsigned)geteuid());
        return ERR_REFUSED;
    }
    if (secret && (st->st_mode & 077)) {
        snprintf(why, why_size, "others may use '%s' (mode %04o): chmod 600 it", path,
                 (unsigned)st->st_mode & 07777);
        return ERR_REFUSED;
    }
    return ERR_OK;
}

/* The file may grow meanwhile: no more than the room is read. */
static int read_all(int fd, char *out)
{
    size_t size = 0;
    for (;;) {
        ssize_t n = read(fd, out + size, STRICT_FILE_MAX - size);
        if (n < 0 && errno != EINTR) {
            return err_from_errno(errno);
        }
        if (n == 0) {
            out[size] = 0;
            return (int)size;
        }
        size += n > 0 ? (size_t)n : 0;
    }
}

int strict_file_read(const char *path, bool secret, char *out, char *why, size_t why_size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st)) {
        int err = err_from_errno(errno);
        snprintf(why, why_size, "can't read '%s': %s", path, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return err;
    }
    int result = judge(path, secret, &st, why, why_size);
    if (!result) {
        result = read_all(fd, out);
        if (result < 0) {
            snprintf(why, why_size, "can't read '%s'", path);
        }
    }
    close(fd);
    return result;
}
