/* SPDX-License-Identifier: Apache-2.0 */
#include "base/apart.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int apart_write(int fd, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    while (size) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return ERR_IO;
        }
        at += n;
        size -= (size_t)n;
    }
    return ERR_OK;
}

/* Its status is the error, positive. */
static int wait_for(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return ERR_IO;
        }
    }
    return WIFEXITED(status) ? -WEXITSTATUS(status) : ERR_IO;
}

static int map_result(int fd, void **out, size_t *size)
{
    struct stat st;
    if (fstat(fd, &st)) {
        return ERR_IO;
    }
    *size = (size_t)st.st_size;
    if (*size) {
        void *map = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED) {
            return ERR_NOMEM;
        }
        *out = map;
    }
    return ERR_OK;
}

int apart_run(apart_work *work, void *context, void **out, size_t *size)
{
    *out = NULL;
    *size = 0;
    int fd = memfd_create("apart", MFD_CLOEXEC);
    fflush(NULL); /* else what waits in buffers would be written twice */
    pid_t child = fd < 0 ? -1 : fork();
    if (child == 0) {
        int err = work(context, fd);
        fflush(NULL);
        _exit(-err & 0xff);
    }
    int err = child < 0 ? ERR_NOMEM : wait_for(child);
    if (!err) {
        err = map_result(fd, out, size);
    }
    if (fd >= 0) {
        close(fd);
    }
    return err;
}
