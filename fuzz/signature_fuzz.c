/* SPDX-License-Identifier: Apache-2.0 */
/* A signature's file: what is read lies inside of it, its terms are sound and equal to themselves, and everything of them can be
 * reached line by line. Its digest is made to fit, so that the terms behind it are reached. */
#include "guard/digest.h"
#include "guard/signature.h"

#include <stdio.h>
#include <stdlib.h>

static void none(void *context, enum terms_change change, const struct terms_line *from,
                 const struct terms_line *to)
{
    (void)context, (void)change, (void)from, (void)to;
    abort();
}

static void check(const struct signature *s, const uint8_t *data, size_t size)
{
    struct terms_line line;
    struct reader r = reader_of(s->terms.at, s->terms.size);
    if (s->terms.at + s->terms.size != (const char *)data + size || !s->message.size) {
        abort();
    }
    while (terms_next(&r, &line)) {
    }
    if (r.bad || terms_compare(s->terms, s->terms, none, NULL)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct signature s;
    uint8_t digest[32], *copy = size ? malloc(size) : NULL;
    if (!copy) {
        return 0;
    }
    memcpy(copy, data, size);
    uint8_t *terms = memmem(copy, size, "\n\n", 2), *mark = memmem(copy, size, "\ndigest: ", 9);
    if (terms && mark && terms - mark > 73 &&
        digest_sha256(terms + 2, size - (size_t)(terms + 2 - copy), digest)) {
        char hex[65];
        for (int i = 0; i < 32; i++) {
            snprintf(hex + 2 * i, 3, "%02x", digest[i]);
        }
        memcpy(mark + 9, hex, 64);
    }
    if (signature_read(&s, copy, size) == ERR_OK) {
        check(&s, copy, size);
    }
    free(copy);
    return 0;
}
