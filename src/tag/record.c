/* SPDX-License-Identifier: Apache-2.0 */
#include "tag/record.h"

const char *gap_cause_name(uint32_t cause)
{
    static const char *const names[GAP_CAUSE_END] = {
        [0] = "unknown",
        [GAP_RING_FULL] = "ring full",
        [GAP_JOURNAL_FULL] = "journal full",
        [GAP_JOURNAL_FAILED] = "journal failed",
        [GAP_DEVICE_DOWN] = "device down",
        [GAP_DEVICE_ERROR] = "device error",
        [GAP_POLL_LATE] = "poll late",
        [GAP_BOX_DOWN] = "box down",
        [GAP_BOX_FAULT] = "box fault",
        [GAP_GATEWAY_DOWN] = "gateway down",
        [GAP_TORN_TAIL] = "torn tail",
        [GAP_SEGMENT_LOST] = "segment lost",
        [GAP_FEED_LIMIT] = "feed limit",
        [GAP_RETIRED] = "retired",
        [GAP_DEVICE_OVERFLOW] = "device overflow",
        [GAP_SEQUENCE_JUMP] = "sequence jump",
    };
    return names[cause < GAP_CAUSE_END ? cause : 0];
}

const char *event_name(uint32_t kind)
{
    static const char *const names[EVENT_KIND_END] = {
        [0] = "unknown",
        [EVENT_GATEWAY_START] = "gateway start",
        [EVENT_GATEWAY_STOP] = "gateway stop",
        [EVENT_BOX_START] = "box start",
        [EVENT_BOX_STOP] = "box stop",
        [EVENT_DEVICE_UP] = "device up",
        [EVENT_DEVICE_DOWN] = "device down",
        [EVENT_JOURNAL_RECOVERED] = "journal recovered",
        [EVENT_JOURNAL_FAULT] = "journal fault",
        [EVENT_COMMAND_REFUSED] = "command refused",
        [EVENT_FEED_UP] = "feed up",
        [EVENT_FEED_DOWN] = "feed down",
        [EVENT_HISTORY_FAULT] = "history fault",
        [EVENT_HISTORY_RETIRED] = "history retired",
        [EVENT_COMMAND] = "command",
    };
    return names[kind < EVENT_KIND_END ? kind : 0];
}

const char *command_state_name(uint32_t state)
{
    static const char *const names[COMMAND_STATE_END] = {
        [COMMAND_NEVER_HEARD] = "never heard", [COMMAND_CHECKED] = "checked",
        [COMMAND_WAITING] = "waiting",         [COMMAND_SENT] = "sent",
        [COMMAND_ACCEPTED] = "accepted",       [COMMAND_CONFIRMED] = "confirmed",
        [COMMAND_REFUSED] = "refused",         [COMMAND_EXPIRED] = "expired",
        [COMMAND_FAILED] = "failed",           [COMMAND_UNKNOWN] = "unknown",
    };
    return names[state < COMMAND_STATE_END ? state : COMMAND_UNKNOWN];
}

const char *lease_state_name(uint32_t state)
{
    static const char *const names[] = {
        [LEASE_NONE] = "none", [LEASE_HELD] = "held",   [LEASE_REVERTED] = "reverted",
        [LEASE_LEFT] = "left", [LEASE_STUCK] = "stuck",
    };
    return names[state <= LEASE_STUCK ? state : LEASE_NONE];
}

void command_part_id(uint8_t out[16], const uint8_t batch[16], uint32_t part)
{
    uint32_t carry = part + 1;
    for (int i = 15; i >= 0; i--) {
        carry += batch[i];
        out[i] = (uint8_t)carry;
        carry >>= 8;
    }
}
