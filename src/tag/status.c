/* SPDX-License-Identifier: Apache-2.0 */
#include "tag/status.h"

const char *status_name(uint32_t status)
{
    switch (status & 0xffff0000) {
#define STATUS_CASE(name, number, text)                                                            \
    case UINT32_C(number):                                                                         \
        return text;
        STATUS_TABLE(STATUS_CASE)
#undef STATUS_CASE
    default:
        break;
    }
    static const char *const severities[] = {"Good", "Uncertain", "Bad"};
    return severities[status_severity(status)];
}
