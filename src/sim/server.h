/* SPDX-License-Identifier: Apache-2.0 */
/* A Modbus TCP server over a plc's registers (MODBUS Application Protocol 1.1b3; Messaging on TCP/IP 1.0b). */
#ifndef ISTHMUS_SIM_SERVER_H
#define ISTHMUS_SIM_SERVER_H

#include <uv.h>

#include "sim/map.h"

#define MODBUS_FRAME_MAX 260

/* Answers one whole request frame (MBAP header included) of `size` bytes into `out`. The reply's length, or 0 when the frame
 * is no Modbus and the connection must end. Pure. */
size_t server_answer(struct plc *plc, const uint8_t *frame, size_t size,
                     uint8_t out[MODBUS_FRAME_MAX]);

struct server;
/* Listens on a loopback port (0: a free one, then *port says which). 0 or a negative err. `name` for identification. */
int server_open(struct server **server, uv_loop_t *loop, struct plc *plc, int *port);
void server_close(struct server *server); /* ends with the loop */

#endif
