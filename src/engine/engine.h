/* SPDX-License-Identifier: Apache-2.0 */
/* The engine: the single writer, deterministic: same inputs in the same order, same outputs; its clock is handed in. */
#ifndef ISTHMUS_ENGINE_ENGINE_H
#define ISTHMUS_ENGINE_ENGINE_H

#include "box/gateway.h"

int engine_main(struct gateway *g); /* the process's body; returns its exit status */

struct engine;
struct audit;
/* Attaches to the rings where the journal (just opened, `recovered` says how) left off. Without an audit (NULL) nothing
 * can be commanded. */
MUST_USE int engine_new(struct engine **engine, struct gateway *g, struct journal *journal,
                        struct audit *audit, const struct journal_recovered *recovered,
                        int64_t utc_ns, int64_t mono_ns);
void engine_free(struct engine *engine);
/* One step: takes what the rings hold (bounded), updates now, hands frames to the journal, releases what is durable.
 * Returns true when there is more to do at once. */
bool engine_step(struct engine *engine, int64_t utc_ns, int64_t mono_ns);
/* Whether a step left nothing in the rings. */
bool engine_is_drained(const struct engine *engine);

#endif
