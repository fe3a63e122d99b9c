/* SPDX-License-Identifier: Apache-2.0 */
/* Permanent ids: STATE/ids.txt, append-only; line n is "n,type,unit,path,CRC-32C of what is before the last comma". A path keeps its id for ever; a change of type or unit is
 * a new id; a removed tag's id is never given again. */
#ifndef ISTHMUS_CONFIG_IDS_H
#define ISTHMUS_CONFIG_IDS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct ids;

/* Reads the registry's text. ERR_MALFORMED, ERR_CHECKSUM, ERR_EXISTS (twice the same tag) name the line in `why`. */
MUST_USE int ids_read(struct ids **ids, const char *text, size_t size, char *why, size_t why_size);
/* The same from its file; a missing one is empty. */
MUST_USE int ids_open(struct ids **ids, const char *state_dir, char *why, size_t why_size);
void ids_close(struct ids *ids);
/* The id of (path, type, unit), given anew if it has none. 0: out of memory or out of ids. */
uint32_t ids_of(struct ids *ids, const char *path, const char *type, const char *unit);
/* Appends what was given anew, durably. */
MUST_USE int ids_save(struct ids *ids, const char *state_dir);

#endif
