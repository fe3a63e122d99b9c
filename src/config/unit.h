/* SPDX-License-Identifier: Apache-2.0 */
/* UCUM unit codes, case sensitive (The Unified Code for Units of Measure, 2.1): terms of prefixed atoms with exponents,
 * joined by '.' and '/', in parentheses, with annotations in braces. The table holds the atoms that plants use. */
#ifndef ISTHMUS_CONFIG_UNIT_H
#define ISTHMUS_CONFIG_UNIT_H

#include <stdbool.h>

bool unit_is_valid(const char *code);
/* What the writer may have meant ("°C" → "write Cel"); "" when nothing is known. Static text. */
const char *unit_proposal(const char *code);

#endif
