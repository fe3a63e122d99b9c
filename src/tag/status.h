/* SPDX-License-Identifier: Apache-2.0 */
/* OPC UA StatusCodes (Part 4, 7.39; numbers from Part 6, annex A). All 32 bits are carried unchanged; these are
 * the ones that the gateway itself gives. */
#ifndef ISTHMUS_TAG_STATUS_H
#define ISTHMUS_TAG_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#define STATUS_TABLE(X)                                                                            \
    X(GOOD, 0x00000000, "Good")                                                                    \
    X(GOOD_CLAMPED, 0x00300000, "GoodClamped")                                                     \
    X(UNCERTAIN, 0x40000000, "Uncertain")                                                          \
    X(UNCERTAIN_LAST_USABLE, 0x40900000, "UncertainLastUsableValue")                               \
    X(UNCERTAIN_RANGE, 0x40940000, "UncertainEngineeringUnitsExceeded")                            \
    X(UNCERTAIN_DATA_SUBNORMAL, 0x40A40000, "UncertainDataSubNormal")                              \
    X(BAD, 0x80000000, "Bad")                                                                      \
    X(BAD_NO_DATA, 0x809B0000, "BadNoData")                                                        \
    X(BAD_COMMUNICATION, 0x80050000, "BadCommunicationError")                                      \
    X(BAD_TIMEOUT, 0x800A0000, "BadTimeout")                                                       \
    X(BAD_SHUTDOWN, 0x800C0000, "BadShutdown")                                                     \
    X(BAD_NOT_CONNECTED, 0x808A0000, "BadNotConnected")                                            \
    X(BAD_DEVICE_FAILURE, 0x808B0000, "BadDeviceFailure")                                          \
    X(BAD_SENSOR_FAILURE, 0x808C0000, "BadSensorFailure")                                          \
    X(BAD_OUT_OF_SERVICE, 0x808D0000, "BadOutOfService")                                           \
    X(BAD_WAITING_INITIAL, 0x80320000, "BadWaitingForInitialData")                                 \
    X(BAD_NODE_INVALID, 0x80330000, "BadNodeIdInvalid")                                            \
    X(BAD_NODE_UNKNOWN, 0x80340000, "BadNodeIdUnknown")                                            \
    X(BAD_OUT_OF_RANGE, 0x803C0000, "BadOutOfRange")                                               \
    X(BAD_NOT_SUPPORTED, 0x803D0000, "BadNotSupported")                                            \
    X(BAD_CONFIGURATION, 0x80890000, "BadConfigurationError")                                      \
    X(BAD_NO_COMMUNICATION, 0x80310000, "BadNoCommunication")                                      \
    X(BAD_TYPE_MISMATCH, 0x80740000, "BadTypeMismatch")                                            \
    X(BAD_DATA_ENCODING, 0x80380000, "BadDataEncodingInvalid")                                     \
    X(BAD_RESPONSE_TOO_LARGE, 0x80B90000, "BadResponseTooLarge")                                   \
    X(BAD_DECODING, 0x80070000, "BadDecodingError")                                                \
    X(BAD_RESOURCE, 0x80040000, "BadResourceUnavailable")

enum status_code {
#define STATUS_ENUM(name, number, text) STATUS_##name = (int32_t)UINT32_C(number),
    STATUS_TABLE(STATUS_ENUM)
#undef STATUS_ENUM
};

enum status_severity { SEVERITY_GOOD, SEVERITY_UNCERTAIN, SEVERITY_BAD };

static inline enum status_severity status_severity(uint32_t status)
{
    return status >> 30 == 0   ? SEVERITY_GOOD
           : status >> 30 == 1 ? SEVERITY_UNCERTAIN
                               : SEVERITY_BAD;
}

/* OPC UA's name for the code's upper 16 bits, or its severity ("Good", "Uncertain", "Bad") when it isn't known. */
const char *status_name(uint32_t status);

#endif
