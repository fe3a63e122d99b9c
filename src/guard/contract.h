/* SPDX-License-Identifier: Apache-2.0 */
/* The decision of a write contract: may this caller make this tag have this value now? Pure: values, clocks and counts
 * are handed in; nothing is remembered but by guard_note. What it can't judge it refuses.
 *
 * A refusal names the rule and what would be right, for the person who asked. */
#ifndef ISTHMUS_GUARD_CONTRACT_H
#define ISTHMUS_GUARD_CONTRACT_H

#include "tag/plan.h"
#include "tag/record.h"

#define GUARD_RATE_MAX    100u /* writes that a contract's rate can count */
#define GUARD_REASON_SIZE 160u

/* Who asks: "user:anna", "token:mes", "service:cloud", "local:0", with the role of a person or token ("": none). */
struct guard_caller {
    char name[COMMAND_WHO_SIZE];
    char role[24];
};

/* What is remembered of each tag that has a contract. */
struct guard_tag {
    uint32_t tag;                      /* id */
    uint32_t next;                     /* place in recent for the next write */
    uint64_t writes;                   /* for ever; from the audit */
    int64_t recent_ns[GUARD_RATE_MAX]; /* monotonic; 0: none */
};

struct guard_ask {
    const struct plan *plan;
    const struct plan_write *contract; /* NULL: there is none */
    const struct plan_tag *tag;
    const struct guard_caller *caller;
    const struct guard_tag *memory;
    uint32_t type; /* enum value_type of the value */
    union slot_value value;
    bool has_now; /* the tag's value is known: good and not stale */
    double now;   /* in its unit */
    bool present; /* the presence tag says that somebody is there; or the contract asks for none */
    int64_t mono_ns;
    uint32_t weekday, minute; /* of the gateway's time zone: 0 is Monday; of the day */
};

/* What may be written to the tag: the contract's range and the tag's own. An end may be infinite: no limit but the type's. */
void guard_range(const struct plan_write *contract, const struct plan_tag *tag, double *low,
                 double *high);
/* False with the reason, GUARD_REASON_SIZE bytes. The permissive is the engine's to ask: it reads live tags. */
bool guard_lets(const struct guard_ask *ask, char *why);

/* Whether the caller is named by the contract under `key`, "caller" or "approver". Names are "role:operator", "local" (whoever
 * comes by the gateway's own socket), or those of struct guard_caller. Without approvers callers may approve. */
bool guard_names(const struct plan *plan, const struct plan_write *contract, const char *key,
                 const struct guard_caller *caller);

/* The raw value that the device gets for a value in the tag's unit; false with the reason: it does not fit, and is never
 * clipped or wrapped. `effective` is what the tag will then be. */
bool guard_raw(const struct plan_tag *tag, union slot_value value, union slot_value *raw,
               union slot_value *effective, char *why);

/* A write was let through at this moment. */
void guard_note(struct guard_tag *memory, int64_t mono_ns);

#endif
