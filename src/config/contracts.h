/* SPDX-License-Identifier: Apache-2.0 */
/* A contract while it is loaded: contracts.c reads its terms, effect.c its signatures. */
#ifndef ISTHMUS_CONFIG_CONTRACTS_H
#define ISTHMUS_CONFIG_CONTRACTS_H

#include "config/load.h"
#include "guard/terms.h"

struct contract {
    const struct node *node;
    const char *name;
    const struct load_box *box; /* of its service */
    struct terms terms;
    char *text; /* owned: the terms' */
    size_t size;
    uint8_t digest[32];
    struct plan_feed feed;
};

/* Decides whether it takes effect: fills in the feed's effect, signatures and what is missing, and marks the tags that are
 * held back. */
void contract_effect(struct load *l, struct contract *c);

#endif
