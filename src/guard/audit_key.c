/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/audit_key.h"

#include "guard/ed25519.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* An audit of a key that the power took would look forged. */
static bool flush_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && !fsync(fd);
    if (fd >= 0) {
        close(fd);
    }
    return good;
}

int audit_key_load(const char *state_dir, uint8_t secret[32], char *why, size_t why_size)
{
    char dir[4096], path[4150];
    snprintf(dir, sizeof dir, "%s/keys", state_dir);
    snprintf(path, sizeof path, "%s/audit.pem", dir);
    int err = ed25519_read(path, secret, NULL, why, why_size);
    if (err == ERR_NOT_FOUND) {
        err =
            mkdir(dir, 0700) && errno != EEXIST ? err_from_errno(errno) : ed25519_make(path, false);
        err = err || flush_folder(state_dir) ? err : ERR_IO;
        err = err ? err : ed25519_read(path, secret, NULL, why, why_size);
    }
    return err;
}
