/* SPDX-License-Identifier: Apache-2.0 */
/* What is valid UTF-8: RFC 3629, no overlong forms, no surrogates. */
#ifndef ISTHMUS_BASE_UTF8_H
#define ISTHMUS_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Length of the valid sequence at p, of which `left` > 0 bytes can be read; 0 if there is none. */
static inline size_t utf8_length(const uint8_t *p, size_t left)
{
    if (p[0] < 0x80) {
        return 1;
    }
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < n) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)) {
        return 0;
    }
    return n;
}

/* How many bytes from the beginning on are valid. */
static inline size_t utf8_valid(const void *text, size_t size)
{
    const uint8_t *p = text;
    size_t at = 0, n;
    while (at < size && (n = utf8_length(p + at, size - at)) > 0) {
        at += n;
    }
    return at;
}

#endif
