/* SPDX-License-Identifier: Apache-2.0 */
/* Why somebody may read, command or approve a tag through a service, or may not: the rules that engine and reader enforce, asked
 * one after the other, and told for people. It knows the configuration and the accounts, not the moment: whether a value is in
 * range or a permissive is met, each command tells by itself. */
#ifndef ISTHMUS_GUARD_ACCESS_H
#define ISTHMUS_GUARD_ACCESS_H

#include "guard/contract.h"
#include "guard/session.h"

enum access_act { ACCESS_READ, ACCESS_COMMAND, ACCESS_APPROVE, ACCESS_ACTS };

struct access_who {
    struct guard_caller caller; /* as engine and reader name it */
    uint32_t role;              /* enum role; 0: nobody in person, the service itself */
    bool local;                 /* comes by the gateway's own socket, and only so */
    struct session zones;       /* zone_limit, zones and zone_count count */
};

#define ACCESS_WHY_SIZE 240u

struct access_answer {
    bool allowed;
    char why[ACCESS_WHY_SIZE];
    const char
        *place; /* file:line of the configuration that decided it; "": none did. Of the plan */
};

/* `box`: of the service, a north box of the plan. */
void access_explain(const struct plan *plan, const struct access_who *who, uint32_t box,
                    const struct plan_tag *tag, enum access_act act, int64_t utc_ns,
                    struct access_answer *out);

/* What a write contract asks of each command: "1 to 5 m, at most 0.5 at once, 6 in 1 min, …". */
void access_conditions(const struct plan *plan, const struct plan_write *contract,
                       const struct plan_tag *tag, char *out, size_t size);

#endif
