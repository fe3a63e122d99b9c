/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator's Modbus server: one frame. */
#include "sim/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct plc plc;
    uint8_t reply[MODBUS_FRAME_MAX];
    server_answer(&plc, data, size, reply);
    return 0;
}
