/* SPDX-License-Identifier: Apache-2.0 */
/* Roles, after the people that a gateway serves, and what each may do at all. A right says what its holder may ask for;
 * zones, conduits and write contracts then decide each case. */
#ifndef ISTHMUS_GUARD_ROLE_H
#define ISTHMUS_GUARD_ROLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers are stored in the accounts' file and never change. */
enum role {
    ROLE_VIEWER = 1,    /* looks */
    ROLE_OPERATOR,      /* runs the plant */
    ROLE_ENGINEER,      /* OT: owns devices and write contracts */
    ROLE_CUSTODIAN,     /* IT: owns where the data goes */
    ROLE_SECURITY,      /* reads the evidence */
    ROLE_ADMINISTRATOR, /* owns the gateway */
    ROLE_VENDOR,        /* a guest, for a limited time, in the zones that OT opens */
    ROLE_END
};

enum right {
    RIGHT_READ = 1,      /* values, history, state */
    RIGHT_COMMAND = 2,   /* request a command */
    RIGHT_APPROVE = 4,   /* be the second of a dual approval */
    RIGHT_BROWSE = 8,    /* ask devices what they offer */
    RIGHT_SQL = 16,      /* queries over all that may be read */
    RIGHT_AUDIT = 32,    /* read the audit */
    RIGHT_ACCOUNTS = 64, /* make and remove accounts and tokens */
    RIGHT_INHIBIT = 128, /* stop all writes */
    RIGHT_OWN_OT = 256,  /* sign a contract as its OT owner */
    RIGHT_OWN_IT = 512,  /* sign a contract as its IT custodian */
    RIGHT_ALL = 1023
};

/* "viewer" …; NULL for a number that is none. */
const char *role_name(uint32_t role);
/* 0: no such role. */
uint32_t role_from_name(const char *name, size_t size);
/* enum right bits; 0 for a number that is no role. */
uint32_t role_rights(uint32_t role);
/* "read" …, by bit number; NULL beyond the last. */
const char *right_name(unsigned bit);

static inline bool role_may(uint32_t role, enum right right)
{
    return (role_rights(role) & (uint32_t)right) == (uint32_t)right;
}

#endif
