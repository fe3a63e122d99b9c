/* SPDX-License-Identifier: Apache-2.0 */
/* Samples of tags as rows of a table, there and back without loss. The rows:
 *
 *   tag   time   value   status   (text)
 *
 * In CSV a value is text as DESIGN section 4 has it. In Parquet its column has the type that all tags have in common (int64,
 * uint64, double, bool, text, bytes); if they have none, numbers are doubles, and `text` holds what is no number or is more
 * than a double can hold: texts, bytes as base64, whole numbers beyond 2^53. */
#ifndef ISTHMUS_TABLE_SAMPLES_H
#define ISTHMUS_TABLE_SAMPLES_H

#include "base/slot.h"
#include "table/file.h"
#include "tag/value.h"

enum samples_column {
    SAMPLES_TAG,
    SAMPLES_TIME,
    SAMPLES_VALUE,
    SAMPLES_STATUS,
    SAMPLES_TEXT,
    SAMPLES_COLUMNS
};
extern const char *const samples_names[SAMPLES_COLUMNS];

/* ---- Out. ---- */

/* A batch for samples of tags of `types`; *out is owned by the caller. */
MUST_USE int samples_batch(struct batch **out, enum table_format format,
                           const enum value_type *types, size_t count, size_t rows);

/* Adds a sample to a batch that isn't full. `text` holds the sample's value.u64 bytes if its type is text or bytes. */
MUST_USE int samples_add(struct batch *b, const char *path, enum value_type type,
                         const struct slot *sample, const uint8_t *text);

/* ---- In. ---- */

struct samples_value {
    union slot_value word; /* of text and bytes: the size */
    uint8_t text[SLOT_BYTES_MAX];
};

/* Reads the cell of a batch, which isn't null, as a value of a tag's type, whatever the column's type is; nothing is rounded
 * but doubles to float32. ERR_TYPE, ERR_RANGE, ERR_MALFORMED, ERR_TOO_LONG. */
MUST_USE int samples_value(enum value_type type, const struct batch *b, size_t column, size_t row,
                           struct samples_value *out);

/* Reads a status: a number, decimal or 0x…, or a name of tag/status.h. */
MUST_USE int samples_status(const char *text, size_t size, uint32_t *status);

#endif
