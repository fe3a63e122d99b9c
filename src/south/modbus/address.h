/* SPDX-License-Identifier: Apache-2.0 */
/* Tag addresses in Modbus words, and how registers become values.
 *
 *   [UNIT/]TABLE[:]N[.BIT][:TYPE][:ORDER]
 *
 *   UNIT   unit id 0–255; else the device's option `unit`
 *   TABLE  holding, input, coil, discrete, or h, i, c, d
 *   N      address as on the wire, from 0
 *   BIT    0 (least significant) – 15 of a register
 *   TYPE   bool int8 uint8 int16 uint16 int32 uint32 int64 uint64 float32 float64 textN bytesN (N bytes)
 *   ORDER  abcd (big endian), cdab (words swapped), badc (bytes swapped), dcba (little endian); for 16 bit ab, ba */
#ifndef ISTHMUS_SOUTH_MODBUS_ADDRESS_H
#define ISTHMUS_SOUTH_MODBUS_ADDRESS_H

#include <isthmus/driver.h>
#include <stdbool.h>

enum modbus_table { MODBUS_COIL, MODBUS_DISCRETE, MODBUS_INPUT, MODBUS_HOLDING };

enum modbus_order { /* bit 0: words in reverse order; bit 1: bytes of each word swapped */
                    ORDER_ABCD = 0,
                    ORDER_CDAB = 1,
                    ORDER_BADC = 2,
                    ORDER_DCBA = 3,
                    ORDER_DEFAULT = 4
};

#define MODBUS_UNIT_DEFAULT 0x100u

struct modbus_point {
    uint16_t unit;  /* 0–255 or MODBUS_UNIT_DEFAULT */
    uint16_t start; /* register or bit */
    uint16_t count; /* registers or bits that it takes */
    uint16_t bytes; /* longest text or bytes value */
    uint8_t table;  /* enum modbus_table */
    uint8_t order;  /* enum modbus_order */
    uint8_t type;   /* enum isthmus_type */
    int8_t bit;     /* of a register; -1: the whole */
};

/* Parses an address for a type (0: what the address says, or the table's natural type). 0, or -1 with `why`. */
int modbus_address_parse(struct modbus_point *p, const char *text, enum isthmus_type type,
                         uint32_t max_length, char *why, size_t why_size);

/* "abcd" …; -1: no order. */
int modbus_order_parse(const char *text);

/* The numeric value of a register point from its registers as on the wire. */

void modbus_decode(const struct modbus_point *p, const uint8_t *registers,
                   struct isthmus_sample *out);
/* Copies a text or bytes value, bytes in their order; text ends at its first NUL. The length. */
size_t modbus_decode_bytes(const struct modbus_point *p, const uint8_t *registers, uint8_t *out);
/* The registers (wire bytes, p->count * 2) for a value; `bytes` of text and bytes values, padded with zeros. */
void modbus_encode_value(const struct modbus_point *p, uint64_t bits, const void *bytes,
                         uint8_t *registers);

#endif
