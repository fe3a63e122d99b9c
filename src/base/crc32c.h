/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli, reflected, RFC 3720 appendix B.4), by the processor's instruction where it has one. */
#ifndef ISTHMUS_BASE_CRC32C_H
#define ISTHMUS_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Extends `crc` (0 to begin with) by `size` bytes; crc32c(crc32c(0, a), b) is the checksum of a followed by b. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

/* The portable way, for machines without the instruction and for the test that compares both. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size);

#endif
