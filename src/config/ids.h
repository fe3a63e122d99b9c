/* SPDX-License-Identifier: Apache-2.0 */
/* Permanent ids: STATE/ids.txt, append-only (id,type,unit,path). A path keeps its id for ever; a change of type or unit is
 * a new id; a removed tag's id is never given again. */
#ifndef ISTHMUS_CONFIG_IDS_H
#define ISTHMUS_CONFIG_IDS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct ids;

/* Reads the registry; a missing file is an empty one. ERR_MALFORMED names the line in `why`. */
MUST_USE int ids_open(struct ids **ids, const char *state_dir, char *why, size_t why_size);
void ids_close(struct ids *ids);
/* The id of (path, type, unit), given anew if it has none. 0: out of memory or out of ids. */
uint32_t ids_of(struct ids *ids, const char *path, const char *type, const char *unit);
/* Appends what was given anew, durably. */
MUST_USE int ids_save(struct ids *ids, const char *state_dir);

#endif
