/* SPDX-License-Identifier: Apache-2.0 */
/* Amounts as people write them. */
#ifndef ISTHMUS_BASE_AMOUNT_H
#define ISTHMUS_BASE_AMOUNT_H

#include <stdbool.h>
#include <stdint.h>

bool text_number(const char *text, double *out); /* finite; nothing behind it */
/* "10ms" … "2y" as milliseconds, "64MiB" … as bytes; false: it isn't one. */
bool text_duration(const char *text, double *ms);
bool text_bytes(const char *text, uint64_t *bytes);

#endif
