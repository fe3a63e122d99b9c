/* SPDX-License-Identifier: Apache-2.0 */
/* Requests may be pipelined: as many whole frames as a read brought are answered in one write. A client that does not read
 * its answers is cut off when the kernel's buffer is full; the number of clients is bounded. */
#include "sim/server.h"

#include "base/bytes.h"
#include "base/err.h"

#include <stdlib.h>

#define CLIENTS_MAX 64
#define INPUT_MAX   4096

enum exception { ILLEGAL_FUNCTION = 1, ILLEGAL_ADDRESS = 2, ILLEGAL_VALUE = 3 };

struct client {
    uv_tcp_t tcp;
    struct server *server;
    uint8_t input[INPUT_MAX];
    size_t used;
    bool closing;
};

struct server {
    uv_tcp_t listener;
    struct plc *plc;
    int clients;
};

static bool fits(uint32_t start, uint32_t count, uint32_t most)
{
    return count >= 1 && count <= most && start + count <= PLC_REGISTERS;
}

static int read_bits(struct plc *plc, struct reader *in, struct writer *out)
{
    uint16_t start = read_u16be(in), count = read_u16be(in);
    if (in->bad || !fits(start, count, 2000)) {
        return in->bad || !count || count > 2000 ? ILLEGAL_VALUE : ILLEGAL_ADDRESS;
    }
    write_u8(out, (uint8_t)((count + 7) / 8));
    for (uint32_t i = 0; i < count; i += 8) {
        uint8_t byte = 0;
        for (uint32_t k = 0; k < 8 && i + k < count; k++) {
            uint32_t at = start + i + k;
            byte = (uint8_t)(byte | (plc->coils[at / 8] >> at % 8 & 1) << k);
        }
        write_u8(out, byte);
    }
    return 0;
}

static int read_registers(struct plc *plc, struct reader *in, struct writer *out)
{
    uint16_t start = read_u16be(in), count = read_u16be(in);
    if (in->bad || !fits(start, count, 125)) {
        return in->bad || !count || count > 125 ? ILLEGAL_VALUE : ILLEGAL_ADDRESS;
    }
    write_u8(out, (uint8_t)(count * 2));
    for (uint32_t i = 0; i < count; i++) {
        write_u16be(out, plc->holding[start + i]);
    }
    return 0;
}

static void set_coil(struct plc *plc, uint32_t at, bool on)
{
    uint8_t mask = (uint8_t)(1u << at % 8);
    plc->coils[at / 8] = (uint8_t)(on ? plc->coils[at / 8] | mask : plc->coils[at / 8] & ~mask);
}

static int write_one(struct plc *plc, uint8_t function, struct reader *in, struct writer *out)
{
    uint16_t at = read_u16be(in), value = read_u16be(in);
    if (in->bad || (function == 5 && value != 0 && value != 0xff00)) {
        return ILLEGAL_VALUE;
    }
    if (function == 5) {
        set_coil(plc, at, value != 0);
    } else {
        plc->holding[at] = value;
    }
    write_u16be(out, at);
    write_u16be(out, value);
    return 0;
}

static int write_many(struct plc *plc, uint8_t function, struct reader *in, struct writer *out)
{
    uint16_t start = read_u16be(in), count = read_u16be(in);
    uint8_t bytes = read_u8(in);
    bool coils = function == 15;
    uint32_t most = coils ? 1968 : 123;
    uint32_t wanted = coils ? (count + 7u) / 8u : count * 2u;
    if (in->bad || !count || count > most || bytes != wanted || reader_left(in) != bytes) {
        return ILLEGAL_VALUE;
    }
    if (!fits(start, count, most)) {
        return ILLEGAL_ADDRESS;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (coils) {
            set_coil(plc, start + i, in->at[i / 8] >> i % 8 & 1);
        } else {
            plc->holding[start + i] = read_u16be(in);
        }
    }
    write_u16be(out, start);
    write_u16be(out, count);
    return 0;
}

static int mask_write(struct plc *plc, struct reader *in, struct writer *out)
{
    uint16_t at = read_u16be(in), and_mask = read_u16be(in), or_mask = read_u16be(in);
    if (in->bad) {
        return ILLEGAL_VALUE;
    }
    plc->holding[at] = (uint16_t)((plc->holding[at] & and_mask) | (or_mask & ~and_mask));
    write_u16be(out, at);
    write_u16be(out, and_mask);
    write_u16be(out, or_mask);
    return 0;
}

static int read_write(struct plc *plc, struct reader *in, struct writer *out)
{
    struct reader wanted = read_part(in, 4), ahead = wanted;
    uint16_t start = read_u16be(&ahead), count = read_u16be(&ahead);
    if (in->bad || !count || count > 125) {
        return ILLEGAL_VALUE;
    }
    if (!fits(start, count, 125)) { /* before the write: a refused request changes nothing */
        return ILLEGAL_ADDRESS;
    }
    uint8_t echo[8];
    struct writer sink = writer_of(echo, sizeof echo);
    int fault = write_many(plc, 16, in, &sink);
    return fault ? fault : read_registers(plc, &wanted, out);
}

static int identify(struct reader *in, struct writer *out)
{
    static const char *const texts[] = {"Isthmus", "waterworks", ISTHMUS_VERSION};
    uint8_t type = read_u8(in), code = read_u8(in), first = read_u8(in);
    if (in->bad || type != 14 || code < 1 || code > 4 || (code == 4 && first > 2)) {
        return in->bad || type != 14 ? ILLEGAL_FUNCTION
               : code == 4           ? ILLEGAL_ADDRESS
                                     : ILLEGAL_VALUE;
    }
    uint8_t from = code == 4 ? first : 0, to = code == 4 ? first : 2;
    const uint8_t head[] = {14, code, 0x81, 0, 0, (uint8_t)(to - from + 1)};
    write_bytes(out, head, sizeof head);
    for (uint8_t i = from; i <= to; i++) {
        write_u8(out, i);
        write_u8(out, (uint8_t)strlen(texts[i]));
        write_bytes(out, texts[i], strlen(texts[i]));
    }
    return 0;
}

static int serve(struct plc *plc, uint8_t function, struct reader *in, struct writer *out)
{
    switch (function) {
    case 1:
    case 2:
        return read_bits(plc, in, out);
    case 3:
    case 4:
        return read_registers(plc, in, out);
    case 5:
    case 6:
        return write_one(plc, function, in, out);
    case 15:
    case 16:
        return write_many(plc, function, in, out);
    case 22:
        return mask_write(plc, in, out);
    case 23:
        return read_write(plc, in, out);
    case 43:
        return identify(in, out);
    default:
        return ILLEGAL_FUNCTION;
    }
}

size_t server_answer(struct plc *plc, const uint8_t *frame, size_t size,
                     uint8_t reply[MODBUS_FRAME_MAX])
{
    struct reader in = reader_of(frame, size);
    uint16_t transaction = read_u16be(&in), protocol = read_u16be(&in), length = read_u16be(&in);
    uint8_t unit = read_u8(&in), function = read_u8(&in);
    if (in.bad || protocol || length + 6u != size) {
        return 0;
    }
    struct writer out = writer_of(reply + 8, MODBUS_FRAME_MAX - 8);
    int fault = serve(plc, function, &in, &out);
    size_t body = fault ? 1 : writer_used(&out);
    const uint8_t head[8] = {(uint8_t)(transaction >> 8),
                             (uint8_t)transaction,
                             0,
                             0,
                             (uint8_t)((body + 2) >> 8),
                             (uint8_t)(body + 2),
                             unit,
                             fault ? (uint8_t)(function | 0x80) : function};
    memcpy(reply, head, sizeof head);
    if (fault) {
        reply[8] = (uint8_t)fault;
    }
    return 8 + body;
}

static void on_closed(uv_handle_t *handle)
{
    struct client *c = handle->data;
    c->server->clients--;
    free(c);
}

static void drop(struct client *c)
{
    if (!c->closing) {
        c->closing = true;
        uv_close((uv_handle_t *)&c->tcp, on_closed);
    }
}

/* Answers every whole frame of the input; what is left stays. */
static void answer_all(struct client *c)
{
    uint8_t replies[8 * MODBUS_FRAME_MAX];
    size_t at = 0, filled = 0;
    while (c->used - at >= 6) {
        size_t size = 6u + (size_t)(c->input[at + 4] << 8 | c->input[at + 5]);
        if (size < 8 || size > MODBUS_FRAME_MAX) {
            drop(c);
            return;
        }
        if (c->used - at < size || filled + MODBUS_FRAME_MAX > sizeof replies) {
            break;
        }
        size_t n = server_answer(c->server->plc, c->input + at, size, replies + filled);
        if (!n) {
            drop(c);
            return;
        }
        filled += n;
        at += size;
    }
    memmove(c->input, c->input + at, c->used - at);
    c->used -= at;
    uv_buf_t buffer = uv_buf_init((char *)replies, (unsigned)filled);
    if (filled && uv_try_write((uv_stream_t *)&c->tcp, &buffer, 1) != (int)filled) {
        drop(c); /* it does not read what it asked for */
        return;
    }
    if (at && c->used >= 6) {
        answer_all(c);
    }
}

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
    struct client *c = handle->data;
    (void)wanted;
    *buffer = uv_buf_init((char *)c->input + c->used, (unsigned)(INPUT_MAX - c->used));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct client *c = stream->data;
    (void)buffer;
    if (n < 0) {
        drop(c);
        return;
    }
    c->used += (size_t)n;
    answer_all(c);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct server *s = listener->data;
    struct client *c = status ? NULL : calloc(1, sizeof *c);
    if (!c || uv_tcp_init(listener->loop, &c->tcp)) {
        free(c);
        return;
    }
    c->server = s;
    c->tcp.data = c;
    s->clients++;
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) || s->clients > CLIENTS_MAX) {
        drop(c);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    uv_read_start((uv_stream_t *)&c->tcp, on_room, on_read);
}

int server_open(struct server **out, uv_loop_t *loop, struct plc *plc, int *port)
{
    struct sockaddr_in address;
    struct server *s = calloc(1, sizeof *s);
    if (!s || uv_ip4_addr("127.0.0.1", *port, &address) || uv_tcp_init(loop, &s->listener)) {
        free(s);
        return ERR_NOMEM;
    }
    s->plc = plc;
    s->listener.data = s;
    int bad = uv_tcp_bind(&s->listener, (const struct sockaddr *)&address, 0);
    bad = bad ? bad : uv_listen((uv_stream_t *)&s->listener, 16, on_connection);
    int size = sizeof address;
    bad = bad ? bad : uv_tcp_getsockname(&s->listener, (struct sockaddr *)&address, &size);
    *out = s;
    *port = ntohs(address.sin_port);
    return bad ? err_from_errno(-bad) : ERR_OK;
}

void server_close(struct server *s)
{
    if (s && !uv_is_closing((uv_handle_t *)&s->listener)) {
        uv_close((uv_handle_t *)&s->listener, NULL);
    }
}
