/* SPDX-License-Identifier: Apache-2.0 */
/* The Modbus TCP driver: its table, options, open and close. Source in reading order: pdu.c (bytes), address.c (what
 * a tag's address means), merge.c (blocks), poll.c (cycles), session.c (connection and time), job.c (writes).
 * Everything is allocated when a device is opened. */
#include "south/modbus/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tag/status.h"

enum option_index {
    OPTION_ADDRESS,
    OPTION_UNIT,
    OPTION_PERIOD,
    OPTION_TIMEOUT,
    OPTION_RETRIES,
    OPTION_BACKOFF_MAX,
    OPTION_MAX_GAP,
    OPTION_MAX_LENGTH,
    OPTION_IN_FLIGHT,
    OPTION_ORDER,
    OPTION_END
};

static const struct isthmus_option options[] = {
    [OPTION_ADDRESS] = {.name = "address",
                        .type = ISTHMUS_OPTION_ADDRESS,
                        .help = "Host and port of the device, like 192.168.0.10:502."},
    [OPTION_UNIT] = {.name = "unit",
                     .type = ISTHMUS_OPTION_INT,
                     .fallback = "1",
                     .max = 255,
                     .help = "Unit id of tags whose address names none."},
    [OPTION_PERIOD] = {.name = "period",
                       .type = ISTHMUS_OPTION_DURATION,
                       .fallback = "1s",
                       .min = 1,
                       .max = 86400000,
                       .help = "Time from one poll to the next."},
    [OPTION_TIMEOUT] = {.name = "timeout",
                        .type = ISTHMUS_OPTION_DURATION,
                        .fallback = "1s",
                        .min = 10,
                        .max = 60000,
                        .help = "How long an answer may take."},
    [OPTION_RETRIES] = {.name = "retries",
                        .type = ISTHMUS_OPTION_INT,
                        .fallback = "1",
                        .max = 10,
                        .help = "How often an unanswered read is repeated."},
    [OPTION_BACKOFF_MAX] = {.name = "backoff_max",
                            .type = ISTHMUS_OPTION_DURATION,
                            .fallback = "30s",
                            .min = 100,
                            .max = 3600000,
                            .help = "Longest wait before a dead device or unit is tried again."},
    [OPTION_MAX_GAP] = {.name = "max_gap",
                        .type = ISTHMUS_OPTION_INT,
                        .fallback = "8",
                        .max = 124,
                        .help = "Unused registers that may be read along to save a request."},
    [OPTION_MAX_LENGTH] = {.name = "max_length",
                           .type = ISTHMUS_OPTION_INT,
                           .fallback = "125",
                           .min = 1,
                           .max = 125,
                           .help = "Most registers that the device gives in one request."},
    [OPTION_IN_FLIGHT] = {.name = "in_flight",
                          .type = ISTHMUS_OPTION_INT,
                          .fallback = "0",
                          .max = IN_FLIGHT_MAX,
                          .help = "Requests that may be under way at once; 0: find out."},
    [OPTION_ORDER] = {.name = "order",
                      .type = ISTHMUS_OPTION_CHOICE,
                      .fallback = "abcd",
                      .choices = "abcd|cdab|badc|dcba",
                      .help = "Byte order of tags whose address names none; abcd is big endian."},
    [OPTION_END] = {.name = NULL},
};

static const struct isthmus_setting *setting(const struct isthmus_setting *settings, size_t count,
                                             enum option_index option)
{
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(settings[i].name, options[option].name)) {
            return settings + i;
        }
    }
    return NULL;
}

static double number_of(const struct isthmus_device_config *c, enum option_index option)
{
    const struct isthmus_setting *s = setting(c->settings, c->setting_count, option);
    return s ? s->number : 0;
}

static int check_address(const char *address, enum isthmus_type type, uint32_t max_length,
                         enum isthmus_type *type_out, char *why, size_t why_size)
{
    struct modbus_point p;
    int err = modbus_address_parse(&p, address, type, max_length, why, why_size);
    if (!err && type_out) {
        *type_out = (enum isthmus_type)p.type;
    }
    return err;
}

/* "ip:port" or "[ip6]:port". */
static int parse_socket_address(const char *text, struct sockaddr_storage *out)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof host) {
        return -1;
    }
    size_t n = (size_t)(colon - text);
    int port = atoi(colon + 1);
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        memcpy(host, text + 1, n - 2);
        host[n - 2] = 0;
        return uv_ip6_addr(host, port, (struct sockaddr_in6 *)out);
    }
    memcpy(host, text, n);
    host[n] = 0;
    return uv_ip4_addr(host, port, (struct sockaddr_in *)out);
}

static int check_write(const char *address, enum isthmus_type type, uint32_t max_length, char *why,
                       size_t why_size)
{
    struct modbus_point p;
    if (modbus_address_parse(&p, address, type, max_length, why, why_size)) {
        return -1;
    }
    if (p.table == MODBUS_DISCRETE || p.table == MODBUS_INPUT) {
        snprintf(why, why_size, "%s can't be written; only coils and holding registers can",
                 p.table == MODBUS_INPUT ? "input registers" : "discrete inputs");
        return -1;
    }
    if (p.count > MODBUS_WRITE_MAX) {
        snprintf(why, why_size, "it is longer than one write of the protocol");
        return -1;
    }
    return 0;
}

static int check_device(const struct isthmus_setting *settings, size_t count, char *why,
                        size_t why_size)
{
    const struct isthmus_setting *backoff = setting(settings, count, OPTION_BACKOFF_MAX);
    const struct isthmus_setting *timeout = setting(settings, count, OPTION_TIMEOUT);
    if (backoff && timeout && backoff->number < timeout->number) {
        snprintf(why, why_size,
                 "backoff_max is shorter than timeout: a dead device would be asked "
                 "more often than a living one");
        return -1;
    }
    return 0;
}

void device_free(struct modbus_device *d)
{
    free(d->points);
    free(d->order);
    free(d->blocks);
    free(d->units);
    free(d->samples);
    free(d->text_at);
    free(d->texts);
    free(d);
}

/* Whole points: unit and order of the device where the address names none. A tag whose address can't be read has
 * passed check_address once, so that can't be; it would read as an illegal place. */
static size_t fill_points(struct modbus_device *d)
{
    const struct isthmus_device_config *c = d->config;
    size_t text_bytes = 0;
    for (size_t i = 0; i < c->tag_count; i++) {
        char why[128];
        struct modbus_point *p = d->points + i;
        if (modbus_address_parse(p, c->tags[i].address, c->tags[i].type, c->tags[i].max_length, why,
                                 sizeof why)) {
            char text[320];
            snprintf(text, sizeof text, "%s: %s", c->tags[i].path, why);
            d->host->log(d->host->context, text);
            *p = (struct modbus_point){.unit = MODBUS_UNIT_DEFAULT,
                                       .start = 65535,
                                       .count = 1,
                                       .bit = -1,
                                       .table = MODBUS_HOLDING,
                                       .type = ISTHMUS_UINT16,
                                       .order = ORDER_DEFAULT};
        }
        p->unit = p->unit == MODBUS_UNIT_DEFAULT ? (uint16_t)number_of(c, OPTION_UNIT) : p->unit;
        if (p->order == ORDER_DEFAULT) {
            p->order = (uint8_t)number_of(c, OPTION_ORDER);
        }
        d->text_at[i] = (uint32_t)text_bytes;
        text_bytes += p->type >= ISTHMUS_TEXT ? p->bytes : 0;
    }
    return text_bytes;
}

static void fill_blocks(struct modbus_device *d, struct modbus_block *merged)
{
    struct modbus_limits limits = {.gap = (uint16_t)number_of(d->config, OPTION_MAX_GAP),
                                   .length = (uint16_t)number_of(d->config, OPTION_MAX_LENGTH)};
    d->block_count = modbus_merge(d->points, d->config->tag_count, limits, d->order, merged);
    for (size_t i = 0; i < d->block_count; i++) {
        if (!d->unit_count || d->units[d->unit_count - 1].id != merged[i].unit) {
            d->units[d->unit_count++] =
                (struct unit){.id = (uint8_t)merged[i].unit, .first_block = (uint32_t)i};
        }
        d->blocks[i] = (struct block){.at = merged[i],
                                      .unit = (uint32_t)d->unit_count - 1,
                                      .shown = (uint32_t)STATUS_BAD_WAITING_INITIAL};
    }
}

static int allocate(struct modbus_device *d)
{
    size_t n = d->config->tag_count + 1;
    d->points = calloc(n, sizeof *d->points);
    d->order = calloc(n, sizeof *d->order);
    d->blocks = calloc(n, sizeof *d->blocks);
    d->units = calloc(n < 257 ? n : 257, sizeof *d->units);
    d->samples = calloc(n, sizeof *d->samples);
    d->text_at = calloc(n, sizeof *d->text_at);
    struct modbus_block *merged = calloc(n, sizeof *merged);
    int err = -1;
    if (d->points && d->order && d->blocks && d->units && d->samples && d->text_at && merged) {
        d->texts = malloc(fill_points(d) + 1);
        fill_blocks(d, merged);
        err = d->texts ? 0 : -1;
    }
    free(merged);
    return err;
}

static void *open_device(const struct isthmus_host *host,
                         const struct isthmus_device_config *config)
{
    struct modbus_device *d = calloc(1, sizeof *d);
    if (!d) {
        return NULL;
    }
    d->host = host;
    d->config = config;
    d->period = (int64_t)(number_of(config, OPTION_PERIOD) * (double)NS_PER_MS);
    d->timeout = (int64_t)(number_of(config, OPTION_TIMEOUT) * (double)NS_PER_MS);
    d->backoff_max = (int64_t)(number_of(config, OPTION_BACKOFF_MAX) * (double)NS_PER_MS);
    d->retries = (uint32_t)number_of(config, OPTION_RETRIES);
    d->fixed_window = (uint32_t)number_of(config, OPTION_IN_FLIGHT);
    d->window = d->fixed_window ? d->fixed_window : 1;
    d->ceiling = IN_FLIGHT_MAX;
    const struct isthmus_setting *address =
        setting(config->settings, config->setting_count, OPTION_ADDRESS);
    if (!address || parse_socket_address(address->text, &d->address) || allocate(d)) {
        device_free(d);
        return NULL;
    }
    session_start(d);
    return d;
}

static void close_device(void *device)
{
    session_close(device);
}

static void write_tag(void *device, const struct isthmus_write *write)
{
    job_write(device, write);
}

static int write_together(void *device, const struct isthmus_write *writes, size_t count)
{
    return job_write_together(device, writes, count);
}

static void browse(void *device, uint64_t job)
{
    job_browse(device, job);
}

static const struct isthmus_driver driver = {
    .abi = ISTHMUS_DRIVER_ABI,
    .size = sizeof driver,
    .name = "modbus",
    .summary = "Modbus TCP, and Modbus RTU devices behind a TCP gateway",
    .address_help =
        "[UNIT/]TABLE[:]N[.BIT][:TYPE][:ORDER], addresses from 0. h100 (holding register, uint16), "
        "i30:int32, c5, d7, h100.5 (a bit), 3/h100:float32:cdab (unit 3, words swapped), "
        "h100:text20.",
    .options = options,
    .check_address = check_address,
    .check_device = check_device,
    .open = open_device,
    .close = close_device,
    .write = write_tag,
    .browse = browse,
    .check_write = check_write,
    .write_together = write_together,
};

const struct isthmus_driver *isthmus_driver(void)
{
    return &driver;
}
