/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with history, as a table for people or as JSON: file, where in it, what, and what to do about it. */
#ifndef ISTHMUS_CLI_FINDINGS_H
#define ISTHMUS_CLI_FINDINGS_H

#include "base/json.h"
#include "history/verify.h"
#include "tag/plan.h"

#include <stdio.h>

struct cli_finding;

struct cli_findings {
    const struct plan *plan;  /* for the tags' paths; may be NULL */
    struct cli_finding *list; /* owned */
    size_t count, room;
    bool cut; /* no memory for more */
};

void cli_findings_add(struct cli_findings *f, const struct verify_finding *finding);
void cli_findings_fini(struct cli_findings *f);
void cli_findings_print(const struct cli_findings *f, FILE *out);
/* An array. */
void cli_findings_json(const struct cli_findings *f, struct json *j, const char *key);

#endif
