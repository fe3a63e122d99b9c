/* SPDX-License-Identifier: Apache-2.0 */
/* The folders of isthmus pki. The root's: root.key (encrypted), root.crt, root.crl, `index` (a line for each certificate that was ever signed), `used`
 * (a line for each token), issued/. A holder's: NAME.key, NAME.crt, root.crt, root.crl, and while a request is under way NAME.new.key,
 * NAME.request, NAME.token. Every file is replaced as a whole. */
#ifndef ISTHMUS_CLI_PKI_STORE_H
#define ISTHMUS_CLI_PKI_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "guard/authority.h"

#define STORE_PATH 4096

struct store_entry {
    char serial[SERIAL_TEXT], kind[16], name[HOLDER_NAME], fingerprint[65];
    int64_t begins_s, ends_s, revoked_s; /* 0: not revoked */
};
struct store_index {
    struct store_entry *list; /* owned */
    size_t count;
};

/* Each says what is wrong to stderr, and gives false or NULL. */
MUST_USE bool store_write(const char *dir, const char *name, const char *text, mode_t mode);
char *store_read(const char *dir, const char *name, bool secret); /* owned, free or store_wipe */
bool store_has(const char *dir, const char *name);
void store_wipe(char *text);
MUST_USE bool store_make_dir(const char *dir);
MUST_USE bool store_rename(const char *dir, const char *from, const char *to);
void store_remove(const char *dir, const char *name);

MUST_USE bool store_index_read(const char *dir, struct store_index *index);
MUST_USE bool store_index_write(const char *dir, const struct store_index *index);
MUST_USE bool store_index_add(struct store_index *index, const struct store_entry *entry);
/* Notes a token as used; false: it was. */
MUST_USE bool store_use_token(const char *dir, const char *token);

/* A line from the terminal (unseen if `hidden`) or stdin, or the first one of a strict file; false: none. */
MUST_USE bool store_ask(const char *what, bool hidden, const char *file, char *line, size_t size);

#endif
