/* SPDX-License-Identifier: Apache-2.0 */
/* A reader of the journal believes nothing before it is proven: the CRC first, then that every record is whole and of
 * a size its kind allows. So whoever walks a proven frame needs no checks, and a forged CRC gains nothing. */
#include "journal/frame.h"

#include "base/crc32c.h"
#include "tag/record.h"

#include <stdio.h>
#include <string.h>

static uint32_t segment_crc(const struct segment_header *h)
{
    const uint8_t *p = (const uint8_t *)h;
    size_t after = offsetof(struct segment_header, crc) + sizeof h->crc;
    uint32_t crc = crc32c(0, p, offsetof(struct segment_header, crc));
    return crc32c(crc, p + after, sizeof *h - after);
}

void segment_seal(struct segment_header *h)
{
    h->magic = SEGMENT_MAGIC;
    h->version = SEGMENT_VERSION;
    h->crc = segment_crc(h);
}

int segment_prove(const void *data, size_t size, struct segment_header *out)
{
    if (size < sizeof *out) {
        return ERR_SHORT;
    }
    memcpy(out, data, sizeof *out);
    if (out->magic != SEGMENT_MAGIC) {
        return ERR_MALFORMED;
    }
    if (out->crc != segment_crc(out)) {
        return ERR_CHECKSUM;
    }
    return out->version == SEGMENT_VERSION ? ERR_OK : ERR_VERSION;
}

void segment_name(uint64_t number, char out[SEGMENT_NAME_SIZE])
{
    snprintf(out, SEGMENT_NAME_SIZE, "%016llu.seg", (unsigned long long)number);
}

bool segment_number(const char *name, uint64_t *number, bool *damaged)
{
    uint64_t n = 0;
    for (int i = 0; i < 16; i++) {
        if (name[i] < '0' || name[i] > '9') {
            return false;
        }
        n = n * 10 + (uint64_t)(name[i] - '0');
    }
    *number = n;
    *damaged = strcmp(name + 16, ".seg") != 0;
    return !*damaged || !strncmp(name + 16, ".seg.damaged", 12);
}

static uint32_t frame_crc(const struct frame_header *h)
{
    const uint8_t *p = (const uint8_t *)h;
    size_t from = offsetof(struct frame_header, length);
    return crc32c(0, p + from, h->length - from);
}

void frame_seal(struct frame_header *h)
{
    const struct slot *s = (const struct slot *)(h + 1), *end = s + h->slot_count;
    int64_t min = INT64_MAX, max = INT64_MIN;
    while (h->kind == FRAME_DATA && s < end) {
        if (!slot_is_control(s)) {
            min = s->time < min ? s->time : min;
            max = s->time > max ? s->time : max;
        }
        s += slot_is_long(s) ? slot_record_length(s) : 1;
    }
    h->magic = FRAME_MAGIC;
    h->length = (uint32_t)(sizeof *h + h->slot_count * sizeof(struct slot));
    h->min_ns = min;
    h->max_ns = max;
    h->crc = frame_crc(h);
}

static bool control_is_sound(const struct slot *head, const uint8_t *payload)
{
    uint64_t size = head->value.u64;
    switch (record_kind(head)) {
    case RECORD_BATCH:
        return size == sizeof(struct record_batch);
    case RECORD_GAP:
        return size == sizeof(struct record_gap);
    case RECORD_TALLY:
        return size == sizeof(struct record_tally);
    case RECORD_EVENT:
        return size == sizeof(struct record_event);
    case RECORD_STORE: {
        struct record_store r;
        if (size < sizeof r) {
            return false;
        }
        memcpy(&r, payload, sizeof r);
        return r.size <= STORE_VALUE_MAX && size == sizeof r + r.size;
    }
    default:
        return false;
    }
}

int64_t frame_prove_records(const void *slots, size_t count)
{
    const uint8_t *p = slots;
    int64_t sequences = 0;
    for (size_t at = 0; at < count;) {
        struct slot s;
        memcpy(&s, p + at * sizeof s, sizeof s);
        size_t length = slot_record_length(&s);
        if (!length || length > count - at) {
            return ERR_MALFORMED;
        }
        if (slot_is_control(&s)) {
            if (!control_is_sound(&s, p + (at + 1) * sizeof s)) {
                return ERR_MALFORMED;
            }
        } else if (slot_id(&s) - 1 >= SLOT_ID_MAX ||
                   (slot_is_long(&s) && s.value.u64 > SLOT_BYTES_MAX)) {
            return ERR_MALFORMED;
        }
        sequences += record_has_sequence(&s);
        at += length;
    }
    return sequences;
}

static bool header_is_sound(const struct frame_header *h)
{
    return h->magic == FRAME_MAGIC && h->kind >= FRAME_DATA && h->kind < FRAME_KIND_END &&
           h->slot_count <= FRAME_SLOTS_MAX &&
           h->length == sizeof *h + h->slot_count * sizeof(struct slot) &&
           h->ring_from <= h->ring_to && h->sequences <= h->slot_count &&
           h->first_sequence <= UINT64_MAX - h->sequences;
}

int frame_prove(const void *data, size_t size, struct frame_header *out)
{
    if (size < sizeof *out) {
        return ERR_SHORT;
    }
    memcpy(out, data, sizeof *out);
    if (!header_is_sound(out)) {
        return ERR_MALFORMED;
    }
    if (size < out->length) {
        return ERR_SHORT;
    }
    const uint8_t *p = data;
    size_t from = offsetof(struct frame_header, length);
    if (crc32c(0, p + from, out->length - from) != out->crc) {
        return ERR_CHECKSUM;
    }
    bool records = out->kind == FRAME_DATA || out->kind == FRAME_STORED;
    if (records) {
        int64_t sequences = frame_prove_records(p + sizeof *out, out->slot_count);
        if (sequences < 0 || (uint64_t)sequences != out->sequences) {
            return ERR_MALFORMED;
        }
    } else if (out->sequences) {
        return ERR_MALFORMED;
    }
    return (int)out->length;
}
