/* SPDX-License-Identifier: Apache-2.0 */
/* A cell as text and back (DESIGN section 4): what it prints it reads, bit for bit, NaN's payload excepted. */
#ifndef ISTHMUS_TABLE_CSV_CELL_H
#define ISTHMUS_TABLE_CSV_CELL_H

#include "table/table.h"

#define CELL_TEXT_SIZE 64u
#define BASE64_PART    45u /* bytes that base64_print takes at a time, except for the last */

/* Prints a cell of any type but text and bytes, without a NUL counted. Returns the length. */
size_t cell_print(enum column_type type, union cell v, char out[CELL_TEXT_SIZE]);
size_t base64_print(const uint8_t *data, size_t size, char out[CELL_TEXT_SIZE]);

/* Reads the whole text as a value of the type, any but text and bytes. ERR_MALFORMED or ERR_RANGE. Reads "1" and "0" as
 * bools too. */
MUST_USE int cell_parse(enum column_type type, const char *text, size_t size, union cell *out);
/* Reads padded base64 (RFC 4648, 4) in place. The number of bytes, or ERR_MALFORMED. */
MUST_USE int base64_parse(char *text, size_t size);

#endif
