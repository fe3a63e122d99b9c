/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator's Modbus server: one frame, to a works that obeys. */
#include "sim/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct works works;
    static struct plc plcs[2];
    uint8_t reply[MODBUS_FRAME_MAX];
    if (!plcs[1].units &&
        (works_init(&works, 3, 1) || map_init(plcs, 1, &works) || map_init(plcs + 1, 2, &works))) {
        return 0;
    }
    answer_frame(plcs, data, size, reply);
    answer_frame(plcs + 1, data, size, reply);
    works_step(&works, 0.1);
    return 0;
}
