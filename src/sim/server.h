/* SPDX-License-Identifier: Apache-2.0 */
/* A PLC's Modbus TCP port. Bounded: SERVER_CLIENTS_MAX connections, more are closed at once; one that sends no whole request
 * for the idle time is closed too. */
#ifndef ISTHMUS_SIM_SERVER_H
#define ISTHMUS_SIM_SERVER_H

#include <uv.h>

#include "sim/map.h"

#define SERVER_CLIENTS_MAX 64

struct server;
/* Listens on a loopback port (0: a free one; *port says which). 0 or a negative err, and then nothing is left open once
 * the loop has run. `plc` is borrowed until the loop has ended. */
int server_open(struct server **server, uv_loop_t *loop, struct plc *plc, uint64_t idle_ms,
                int *port);
/* Closes the port and its connections; the loop frees what is left. NULL is fine. */
void server_close(struct server *server);

#endif
