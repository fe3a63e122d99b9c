/* SPDX-License-Identifier: Apache-2.0 */
/* The accounts' file, `identity/accounts` below the state folder. Little endian; texts as their length (2 bytes) and bytes.
 *
 *   offset  size
 *   0       8      "ISTHACCT"
 *   8       4      version, 1
 *   12      4      CRC32C of everything from 16 on
 *   16      4      bytes from 20 on
 *   20      8      revision
 *   28      4, 4   accounts, tokens
 *   36      …      each account: name, zones, hash, has_totp (1), secret (20, if so), role (1), disabled (1), created (8),
 *                  expires (8), revision (8); then each token: name, zones, maker, digest (32), address (16), bits (1), role
 *                  (1), created (8), expires (8), revision (8)
 *
 * Written whole beside the old one, flushed, and renamed over it: after a loss of power it is the old one or the new one. A
 * damaged file is an error that names itself; nothing is ever written over it. */
#ifndef ISTHMUS_GUARD_ACCOUNTS_FILE_H
#define ISTHMUS_GUARD_ACCOUNTS_FILE_H

#include "guard/accounts.h"
#include "journal/disk.h"

#define ACCOUNTS_FILE      "accounts"
#define ACCOUNTS_FILE_SIZE (UINT32_C(1) << 20) /* bytes at most: more than all entries take */

/* The number of bytes; `out` has ACCOUNTS_FILE_SIZE. */
size_t accounts_encode(const struct accounts *a, uint8_t *out);
/* ERR_SHORT, ERR_MALFORMED, ERR_VERSION, ERR_CHECKSUM; then `a` is of no use. */
MUST_USE int accounts_decode(struct accounts *a, const void *data, size_t size);

/* A file that is not there: no accounts (0). ERR_NOMEM, or what is wrong with it. */
MUST_USE int accounts_load(struct accounts *a, const struct disk *disk, int dir);
/* Durable when it returns 0; else the file is the old one or the new one. */
MUST_USE int accounts_save(const struct accounts *a, const struct disk *disk, int dir);

#endif
