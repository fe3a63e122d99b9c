/* SPDX-License-Identifier: Apache-2.0 */
/* Modbus TCP: bytes ↔ structs, the client's side. No I/O, no clock, no allocation.
 * Specs: MODBUS Application Protocol 1.1b3; MODBUS Messaging on TCP/IP 1.0b.
 *
 *   MBAP  0 transaction (2) │ 2 protocol = 0 (2) │ 4 length of what follows (2) │ 6 unit (1) │ 7 function (1) │ data */
#ifndef ISTHMUS_SOUTH_MODBUS_PDU_H
#define ISTHMUS_SOUTH_MODBUS_PDU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum modbus_function {
    MODBUS_READ_COILS = 1,
    MODBUS_READ_DISCRETE = 2,
    MODBUS_READ_HOLDING = 3,
    MODBUS_READ_INPUT = 4,
    MODBUS_WRITE_COIL = 5,
    MODBUS_WRITE_REGISTER = 6,
    MODBUS_WRITE_COILS = 15,
    MODBUS_WRITE_REGISTERS = 16,
    MODBUS_MASK_WRITE = 22,
    MODBUS_READ_WRITE = 23,
    MODBUS_IDENTIFY = 43, /* with MEI type 14 */
};

#define MODBUS_FRAME_MAX      260u /* MBAP and PDU */
#define MODBUS_READ_BITS_MAX  2000u
#define MODBUS_READ_WORDS_MAX 125u
#define MODBUS_WRITE_MAX      123u /* registers of one write */

struct modbus_request {
    uint16_t transaction;
    uint8_t unit;
    uint8_t function;
    uint16_t start, count;     /* read; written coils or registers of 15, 16; read side of 23 */
    uint16_t value;            /* 5: 0 or 1; 6: the register; 22: the OR mask */
    uint16_t mask;             /* 22: the AND mask */
    uint16_t write_start;      /* 23 */
    uint16_t write_count;      /* 23 */
    const uint8_t *data;       /* 15: packed bits; 16, 23: registers as on the wire. Borrowed */
    uint8_t read_code, object; /* 43: 1 basic … 4 one object; first object */
};

/* Writes a request. ERR_RANGE if counts or spans are beyond the spec, ERR_FULL if it finds no room. */
MUST_USE int modbus_encode(struct writer *w, const struct modbus_request *q);

struct modbus_frame { /* a reply; borrowed from the input */
    uint16_t transaction;
    uint8_t unit;
    uint8_t function;  /* without the exception bit */
    uint8_t exception; /* 0: none */
    const uint8_t *data;
    size_t size;
};

/* Takes one frame from the front of `bytes`. The bytes that it takes; 0: not whole yet; ERR_MALFORMED: no Modbus. */
MUST_USE int modbus_next_frame(const uint8_t *bytes, size_t size, struct modbus_frame *frame);

/* Whether a reply (without exception) answers the request: unit, function, counts, echoes. */
bool modbus_answers(const struct modbus_frame *frame, const struct modbus_request *q);

/* The registers or packed bits of a reply to 1–4 and 23 that modbus_answers has proven. */
static inline const uint8_t *modbus_values(const struct modbus_frame *frame)
{
    return frame->data + 1;
}

/* The objects of a 43/14 reply. */
struct modbus_identity {
    struct reader objects;
    uint8_t left;
    uint8_t next_object; /* ask again from here; 0: that was all */
};
struct modbus_object {
    uint8_t id, size;
    const uint8_t *text; /* borrowed */
};
/* Proves the whole reply. ERR_MALFORMED. */
MUST_USE int modbus_identity_open(struct modbus_identity *i, const struct modbus_frame *frame);
bool modbus_identity_next(struct modbus_identity *i, struct modbus_object *out);
const char *modbus_object_name(uint8_t id); /* "VendorName" …; NULL: not a standard one */

/* "illegal data address" …; never NULL. */
const char *modbus_exception_text(uint8_t exception);
/* The OPC UA StatusCode that stands for it. */
uint32_t modbus_exception_status(uint8_t exception);

#endif
