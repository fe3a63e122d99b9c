/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/folder.h"

#include <fcntl.h>
#include <string.h>

/* Takes a number of exactly `least` digits, or of any length if that is 0. NULL: there is none. */
static const char *number(const char *text, int least, uint64_t *out)
{
    int count = 0;
    *out = 0;
    while (text[count] >= '0' && text[count] <= '9' && count < 16) {
        *out = *out * 10 + (uint64_t)(text[count++] - '0');
    }
    return (least ? count == least : count > 0) ? text + count : NULL;
}

bool sealed_name_parse(const char *name, struct sealed_place *out)
{
    uint64_t revision = 0;
    out->imported = strncmp(name, "import-", 7) == 0;
    const char *at = number(name + (out->imported ? 7 : 0), 16, &out->first);
    out->last = out->first;
    if (at && !out->imported) {
        at = *at == '-' ? number(at + 1, 16, &out->last) : NULL;
    }
    at = at && *at == '.' ? number(at + 1, 0, &revision) : NULL;
    out->revision = (uint32_t)revision;
    return at && !strcmp(at, ".col") && out->first <= out->last && revision <= UINT32_MAX;
}

struct summing {
    const struct disk *disk;
    int dir;
    struct folder_sum *sum;
};

static bool ends_with(const char *name, const char *suffix)
{
    size_t a = strlen(name), b = strlen(suffix);
    return a >= b && !strcmp(name + a - b, suffix);
}

static void add_name(void *to, const char *name)
{
    struct summing *s = to;
    struct folder_sum *sum = s->sum;
    struct sealed_place place;
    uint64_t number = 0;
    bool damaged = false, raw = segment_number(name, &number, &damaged) && !damaged;
    bool sealed = !raw && sealed_name_parse(name, &place);
    bool aside = ends_with(name, ".damaged");
    if (!raw && !sealed && !aside && !ends_with(name, ".part")) {
        return;
    }
    number = sealed && !place.imported ? place.last : number;
    sum->highest = number > sum->highest ? number : sum->highest;
    sum->sealed += sealed;
    sum->set_aside += aside;
    if (raw && (!sum->first_raw || number < sum->first_raw)) {
        sum->first_raw = number;
    }
    int fd = s->disk->open(s->disk->context, s->dir, name, O_RDONLY);
    if (fd >= 0) {
        int64_t size = s->disk->size(s->disk->context, fd);
        sum->bytes += size > 0 ? (uint64_t)size : 0;
        s->disk->close(s->disk->context, fd);
    }
}

int folder_sum_up(const struct disk *disk, int dir, struct folder_sum *out)
{
    struct summing s = {disk, dir, out};
    *out = (struct folder_sum){0};
    return disk->list(disk->context, dir, add_name, &s);
}

int segment_open(const struct disk *disk, int dir, uint64_t number, int flags,
                 struct segment_header *h)
{
    char name[SEGMENT_NAME_SIZE];
    uint8_t bytes[sizeof *h];
    segment_name(number, name);
    int fd = disk->open(disk->context, dir, name, flags);
    if (fd < 0) {
        return fd;
    }
    int err = disk_read_all(disk, fd, bytes, sizeof bytes, 0);
    err = err ? err : segment_prove(bytes, sizeof bytes, h);
    err = err || h->number == number ? err : ERR_MALFORMED;
    if (err) {
        disk->close(disk->context, fd);
    }
    return err ? err : fd;
}

struct seeking {
    uint64_t after, found;
};

static void nearer(void *to, const char *name)
{
    struct seeking *s = to;
    uint64_t number;
    bool damaged;
    if (segment_number(name, &number, &damaged) && !damaged && number > s->after &&
        number < s->found) {
        s->found = number;
    }
}

int segment_limit_find(const struct disk *disk, int dir, uint64_t number, uint64_t last,
                       struct segment_limit *out)
{
    *out = (struct segment_limit){UINT64_MAX, UINT64_MAX};
    for (uint64_t after = number;;) {
        struct seeking s = {after, UINT64_MAX};
        struct segment_header h;
        int err = disk->list(disk->context, dir, nearer, &s);
        if (err || s.found > last || s.found == UINT64_MAX) {
            return err;
        }
        int fd = segment_open(disk, dir, s.found, O_RDONLY, &h);
        if (fd >= 0) {
            disk->close(disk->context, fd);
            out->sequence = h.first_sequence;
            out->offset = h.before == number ? h.before_end : UINT64_MAX;
            return ERR_OK;
        }
        if (fd == ERR_IO) {
            return fd;
        }
        after = s.found;
    }
}
