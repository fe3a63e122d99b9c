/* SPDX-License-Identifier: Apache-2.0 */
/* Snappy's raw format (google/snappy, format_description.txt), reading only: other writers' Parquet files use it. */
#ifndef ISTHMUS_TABLE_SNAPPY_H
#define ISTHMUS_TABLE_SNAPPY_H

#include <stddef.h>

#include "base/err.h"

/* Decompresses a block that must give exactly `size` bytes into `out`. 0, or ERR_MALFORMED. */
MUST_USE int snappy_decode(const void *data, size_t data_size, void *out, size_t size);

#endif
