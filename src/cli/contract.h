/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of `isthmus contract` share. */
#ifndef ISTHMUS_CLI_CONTRACT_H
#define ISTHMUS_CLI_CONTRACT_H

#include "config/config.h"
#include "guard/signature.h"
#include "tag/plan.h"

struct cli_contract {
    const char *dir, *name;
    bool json;
    struct config_result config;
    struct plan plan;
    const struct config_contract *contract;
    const struct plan_feed *feed;
};

/* The signature of a side as it lies in the folder: its bytes (owned) taken apart; NULL: there is none that can be read. */
char *cli_signature(const struct cli_contract *c, enum signature_role role, struct signature *s);

int cli_contract_show(const struct cli_contract *c);
int cli_contract_diff(const struct cli_contract *c);

#endif
