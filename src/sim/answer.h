/* SPDX-License-Identifier: Apache-2.0 */
/* What a PLC answers to a Modbus TCP frame (MODBUS Application Protocol 1.1b3; Messaging on TCP/IP 1.0b): function codes
 * 1-6, 15, 16, 22, 23 and 43/14. Pure but for the commands, which the works obeys at once. */
#ifndef ISTHMUS_SIM_ANSWER_H
#define ISTHMUS_SIM_ANSWER_H

#include "sim/map.h"

#define MODBUS_FRAME_MAX 260

/* Answers one whole request frame (MBAP header included) of `size` bytes into `out`. The reply's length, or 0 when the
 * frame is no Modbus and the connection must end. Unit ids 0 and 255 mean the first unit; one that is not there is
 * answered as a gateway does whose target is silent (exception 11). */
size_t answer_frame(struct plc *plc, const uint8_t *frame, size_t size,
                    uint8_t out[MODBUS_FRAME_MAX]);

#endif
