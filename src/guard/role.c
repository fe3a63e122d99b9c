/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/role.h"

#include <string.h>

static const struct {
    const char *name;
    uint32_t rights;
} roles[ROLE_END] = {
    [ROLE_VIEWER] = {"viewer", RIGHT_READ},
    [ROLE_OPERATOR] = {"operator", RIGHT_READ | RIGHT_COMMAND | RIGHT_INHIBIT},
    [ROLE_ENGINEER] = {"engineer", RIGHT_READ | RIGHT_COMMAND | RIGHT_APPROVE | RIGHT_BROWSE |
                                       RIGHT_SQL | RIGHT_INHIBIT | RIGHT_OWN_OT},
    [ROLE_CUSTODIAN] = {"custodian", RIGHT_READ | RIGHT_SQL | RIGHT_OWN_IT},
    [ROLE_SECURITY] = {"security", RIGHT_READ | RIGHT_AUDIT | RIGHT_INHIBIT},
    [ROLE_ADMINISTRATOR] = {"administrator", RIGHT_ALL},
    [ROLE_VENDOR] = {"vendor", RIGHT_READ},
};

const char *role_name(uint32_t role)
{
    return role < ROLE_END ? roles[role].name : NULL;
}

uint32_t role_from_name(const char *name, size_t size)
{
    for (uint32_t i = ROLE_VIEWER; i < ROLE_END; i++) {
        if (strlen(roles[i].name) == size && !memcmp(roles[i].name, name, size)) {
            return i;
        }
    }
    return 0;
}

uint32_t role_rights(uint32_t role)
{
    return role < ROLE_END ? roles[role].rights : 0;
}

const char *right_name(unsigned bit)
{
    static const char *const names[] = {"read",  "command",  "approve", "browse", "sql",
                                        "audit", "accounts", "inhibit", "own_ot", "own_it"};
    return bit < sizeof names / sizeof *names ? names[bit] : NULL;
}
