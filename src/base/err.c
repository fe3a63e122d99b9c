/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>

const char *err_text(int err)
{
    switch (err < 0 ? err : -err) {
    case ERR_OK:
        return "no error";
#define ERR_CASE(name, number, text)                                                               \
    case ERR_##name:                                                                               \
        return text;
        ERR_TABLE(ERR_CASE)
#undef ERR_CASE
    default:
        return "unknown error";
    }
}

int err_from_errno(int errno_value)
{
    switch (errno_value) {
    case ENOMEM:
        return ERR_NOMEM;
    case ENOENT:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ERR_FULL;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_PERMISSION;
    case EAGAIN:
    case EBUSY:
        return ERR_BUSY;
    case EINTR:
        return ERR_INTERRUPTED;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ECONNREFUSED:
        return ERR_REFUSED;
    case EPIPE:
    case ECONNRESET:
        return ERR_CLOSED;
    default:
        return ERR_IO;
    }
}
