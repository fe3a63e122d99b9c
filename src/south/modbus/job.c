/* SPDX-License-Identifier: Apache-2.0 */
/* Writes and identification. They wait in a queue that goes ahead of polling. A write is sent once and never repeated:
 * without an answer nobody knows whether it took effect, and the caller is told so. A bit or a byte of a register is
 * written by mask write, which the device does atomically; there is no read, change and write back. */
#include "south/modbus/device.h"

#include <string.h>

#include "tag/status.h"

#define STATUS_BAD_NOT_WRITABLE UINT32_C(0x803b0000)

static void done(struct modbus_device *d, uint64_t job, uint32_t status, const char *text)
{
    d->host->job_done(d->host->context, job, status, text);
}

static const struct modbus_point *find_point(const struct modbus_device *d, uint32_t tag)
{
    for (size_t i = 0; i < d->config->tag_count; i++) {
        if (d->config->tags[i].id == tag) {
            return d->points + i;
        }
    }
    return NULL;
}

static void fill_write(struct job *j, const struct modbus_point *p, const struct isthmus_write *w)
{
    struct modbus_request *q = &j->body;
    uint64_t bits = w->value.u64;
    *q = (struct modbus_request){.unit = (uint8_t)p->unit, .start = p->start, .count = p->count};
    unsigned shift = p->order & ORDER_BADC ? 8 : 0;
    if (p->table == MODBUS_COIL) {
        q->function = MODBUS_WRITE_COIL;
        q->value = bits != 0;
    } else if (p->bit >= 0) {
        unsigned bit = (unsigned)p->bit ^ shift;
        q->function = MODBUS_MASK_WRITE;
        q->mask = (uint16_t) ~(1u << bit);
        q->value = (uint16_t)((bits & 1) << bit);
    } else if (p->type == ISTHMUS_INT8 || p->type == ISTHMUS_UINT8) {
        q->function = MODBUS_MASK_WRITE;
        q->mask = (uint16_t) ~(0xffu << shift);
        q->value = (uint16_t)((bits & 0xff) << shift);
    } else {
        modbus_encode_value(p, bits, w->bytes, j->data);
        q->function = p->count == 1 ? MODBUS_WRITE_REGISTER : MODBUS_WRITE_REGISTERS;
        q->value = (uint16_t)(j->data[0] << 8 | j->data[1]);
    }
}

static struct job *add_job(struct modbus_device *d, uint64_t number, uint32_t kind)
{
    if (d->link != LINK_UP || d->closing) {
        done(d, number, (uint32_t)STATUS_BAD_NO_COMMUNICATION, "the device is not connected");
        return NULL;
    }
    if (d->job_count == JOBS_MAX) {
        done(d, number, (uint32_t)STATUS_BAD_RESOURCE, "too many writes wait already");
        return NULL;
    }
    struct job *j = d->jobs + (d->job_first + d->job_count++) % JOBS_MAX;
    j->job = number;
    j->kind = kind;
    return j;
}

void job_write(struct modbus_device *d, const struct isthmus_write *w)
{
    const struct modbus_point *p = find_point(d, w->tag);
    if (!p) {
        done(d, w->job, (uint32_t)STATUS_BAD_NODE_UNKNOWN, "the device has no such tag");
    } else if (p->table == MODBUS_DISCRETE || p->table == MODBUS_INPUT) {
        done(d, w->job, STATUS_BAD_NOT_WRITABLE,
             "discrete inputs and input registers can't be written");
    } else if (p->count > MODBUS_WRITE_MAX) {
        done(d, w->job, STATUS_BAD_NOT_WRITABLE, "longer than one write of the protocol");
    } else {
        struct job *j = add_job(d, w->job, REQUEST_WRITE);
        if (j) {
            fill_write(j, p, w);
            session_turn(d);
        }
    }
}

/* Registers of one unit and table, or coils, each once and without a hole between: then one request holds them. */
static bool lie_side_by_side(const struct modbus_point *const *points, size_t count)
{
    const struct modbus_point *first = points[0];
    uint32_t low = first->start, high = low, sum = 0;
    for (size_t i = 0; i < count; i++) {
        const struct modbus_point *p = points[i];
        uint32_t end = (uint32_t)p->start + p->count;
        bool whole =
            p->table == MODBUS_COIL || (p->table == MODBUS_HOLDING && p->bit < 0 &&
                                        p->type != ISTHMUS_INT8 && p->type != ISTHMUS_UINT8);
        if (!whole || p->table != first->table || p->unit != first->unit) {
            return false;
        }
        for (size_t k = 0; k < i; k++) {
            if (p->start < points[k]->start + points[k]->count && points[k]->start < end) {
                return false; /* they overlap */
            }
        }
        low = p->start < low ? p->start : low;
        high = end > high ? end : high;
        sum += p->count;
    }
    return sum == high - low && sum <= MODBUS_WRITE_MAX;
}

int job_write_together(struct modbus_device *d, const struct isthmus_write *writes, size_t count)
{
    const struct modbus_point *points[MODBUS_WRITE_MAX];
    for (size_t i = 0; i < count && i < MODBUS_WRITE_MAX; i++) {
        points[i] = find_point(d, writes[i].tag);
        if (!points[i]) {
            return -1;
        }
    }
    if (!count || count > MODBUS_WRITE_MAX || !lie_side_by_side(points, count)) {
        return -1;
    }
    struct job *j = add_job(d, writes[0].job, REQUEST_WRITE);
    if (!j) {
        return 0; /* it has ended already */
    }
    bool coils = points[0]->table == MODBUS_COIL;
    uint16_t low = points[0]->start, registers = 0;
    for (size_t i = 0; i < count; i++) {
        low = points[i]->start < low ? points[i]->start : low;
        registers = (uint16_t)(registers + points[i]->count);
    }
    memset(j->data, 0, sizeof j->data);
    for (size_t i = 0; i < count; i++) {
        size_t at = (size_t)(points[i]->start - low);
        if (!coils) {
            modbus_encode_value(points[i], writes[i].value.u64, writes[i].bytes, j->data + 2 * at);
        } else if (writes[i].value.u64) {
            j->data[at / 8] |= (uint8_t)(1u << at % 8);
        }
    }
    j->body =
        (struct modbus_request){.unit = (uint8_t)points[0]->unit,
                                .function = coils ? MODBUS_WRITE_COILS : MODBUS_WRITE_REGISTERS,
                                .start = low,
                                .count = registers};
    session_turn(d);
    return 0;
}

void job_browse(struct modbus_device *d, uint64_t number)
{
    struct job *j = add_job(d, number, REQUEST_IDENTIFY);
    if (j) {
        j->body = (struct modbus_request){.unit = d->unit_count ? d->units[0].id : 1,
                                          .function = MODBUS_IDENTIFY,
                                          .read_code = 1};
        session_turn(d);
    }
}

void job_pump(struct modbus_device *d, int64_t now)
{
    while (d->job_count && session_in_flight(d, now) < (d->careful ? 1 : d->window)) {
        struct job *j = d->jobs + d->job_first;
        struct request r = {.kind = j->kind, .job = j->job, .body = j->body};
        r.body.data = j->data;
        if (!session_send(d, &r)) {
            return;
        }
        d->job_first = (d->job_first + 1) % JOBS_MAX;
        d->job_count--;
    }
}

static void tell_identity(struct modbus_device *d, const struct request *r,
                          const struct modbus_frame *frame)
{
    struct modbus_identity identity;
    if (modbus_identity_open(&identity, frame)) {
        done(d, r->job, (uint32_t)STATUS_BAD_DECODING, "the identification is malformed");
        return;
    }
    struct modbus_object o;
    while (modbus_identity_next(&identity, &o)) {
        char text[256];
        memcpy(text, o.text, o.size);
        text[o.size] = 0;
        const char *name = modbus_object_name(o.id);
        struct isthmus_item item = {.address = "",
                                    .name = name ? name : "object",
                                    .unit = "",
                                    .description = text,
                                    .type = ISTHMUS_TEXT};
        d->host->item(d->host->context, r->job, &item);
    }
    struct request more = {.kind = REQUEST_IDENTIFY, .job = r->job, .body = r->body};
    more.body.object = identity.next_object;
    /* a device that points back would be asked for ever */
    if (identity.next_object <= r->body.object || !session_send(d, &more)) {
        done(d, r->job, 0, "");
    }
}

void job_reply(struct modbus_device *d, const struct request *r, const struct modbus_frame *frame)
{
    if (frame->exception) {
        done(d, r->job, modbus_exception_status(frame->exception),
             modbus_exception_text(frame->exception));
    } else if (r->kind == REQUEST_IDENTIFY) {
        tell_identity(d, r, frame);
    } else {
        done(d, r->job, 0, "");
    }
}

void job_lost(struct modbus_device *d, const struct request *r, const char *text)
{
    done(d, r->job, (uint32_t)STATUS_BAD_TIMEOUT, text);
}

void job_end_all(struct modbus_device *d, uint32_t status, const char *text)
{
    while (d->job_count) {
        uint64_t number = d->jobs[d->job_first].job;
        d->job_first = (d->job_first + 1) % JOBS_MAX;
        d->job_count--;
        done(d, number, status, text);
    }
}
