/* SPDX-License-Identifier: Apache-2.0 */
#include "history/manifest.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crc32c.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TITLE    "isthmus-backup 1"
#define LINE_MAX 256u

void manifest_fini(struct manifest *m)
{
    free(m->files);
    *m = (struct manifest){0};
}

int manifest_add(struct manifest *m, const struct manifest_file *file)
{
    if (m->count == m->room) {
        size_t room = m->room ? 2 * m->room : 64;
        struct manifest_file *grown = realloc(m->files, room * sizeof *grown);
        if (!grown) {
            return ERR_NOMEM;
        }
        m->files = grown;
        m->room = room;
    }
    m->files[m->count++] = *file;
    return ERR_OK;
}

void manifest_stored_name(const struct manifest_file *f, char out[STORED_NAME_SIZE])
{
    snprintf(out, STORED_NAME_SIZE, "%s.%08" PRIx32, f->name, f->crc);
}

static bool is_name(const char *name)
{
    struct snapshot_file file;
    return !strcmp(name, MANIFEST_IDS) ||
           (snapshot_name_parse(name, &file) && file.kind != SNAPSHOT_ASIDE);
}

/* Eight hexadecimal digits in lower case. */
static bool take_crc(const char *text, size_t size, uint32_t *crc)
{
    static const char digits[] = "0123456789abcdef";
    *crc = 0;
    for (size_t i = 0; i < size; i++) {
        const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
        if (!digit) {
            return false;
        }
        *crc = *crc << 4 | (uint32_t)(digit - digits);
    }
    return size == 8;
}

bool manifest_stored_parse(const char *stored, struct manifest_file *out)
{
    const char *dot = strrchr(stored, '.');
    *out = (struct manifest_file){0};
    if (!dot || (size_t)(dot - stored) >= sizeof out->name) {
        return false;
    }
    memcpy(out->name, stored, (size_t)(dot - stored));
    return take_crc(dot + 1, strlen(dot + 1), &out->crc) && is_name(out->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct manifest_file *)a)->name, ((const struct manifest_file *)b)->name);
}

int manifest_encode(struct manifest *m, char **text, size_t *size)
{
    char created[CLOCK_TEXT_SIZE];
    *text = NULL;
    if (m->count) {
        qsort(m->files, m->count, sizeof *m->files, by_name);
    }
    FILE *f = open_memstream(text, size);
    if (!f) {
        return ERR_NOMEM;
    }
    fprintf(f, TITLE "\ngateway %s\ncreated %s\n", m->gateway, clock_text(m->created_ns, created));
    for (size_t i = 0; i < m->count; i++) {
        const struct manifest_file *file = m->files + i;
        fprintf(f, "file %" PRIu64 " %08" PRIx32 " %s\n", file->size, file->crc, file->name);
    }
    bool failed = fflush(f) != 0;
    fprintf(f, "end %08" PRIx32 "\n", crc32c(0, *text, *size));
    failed |= ferror(f) != 0;
    if (fclose(f) || failed) {
        free(*text);
        *text = NULL;
        return ERR_NOMEM;
    }
    return ERR_OK;
}

/* The next line without its end; false: there is none, or it is too long. */
static bool take_line(struct reader *in, char line[LINE_MAX])
{
    size_t left = reader_left(in), size = 0;
    while (size < left && size < LINE_MAX && in->at[size] != '\n') {
        size++;
    }
    if (size == left || size == LINE_MAX) {
        return false;
    }
    memcpy(line, in->at, size);
    line[size] = 0;
    return read_bytes(in, size + 1) != NULL && !memchr(line, 0, size);
}

/* Decimal, as it was written: no sign, no leading zero. */
static const char *take_number(const char *text, uint64_t *out)
{
    const char *at = text;
    *out = 0;
    while (*at >= '0' && *at <= '9' && *out <= (UINT64_MAX - 9) / 10) {
        *out = *out * 10 + (uint64_t)(*at++ - '0');
    }
    return at > text && (*text != '0' || at == text + 1) ? at : NULL;
}

static int take_file(struct manifest *m, const char *text)
{
    struct manifest_file file = {0};
    const char *at = take_number(text, &file.size);
    if (!at || *at++ != ' ' || strlen(at) < 10 || !take_crc(at, 8, &file.crc) || at[8] != ' ' ||
        strlen(at + 9) >= sizeof file.name) {
        return ERR_MALFORMED;
    }
    strcpy(file.name, at + 9);
    return is_name(file.name) ? manifest_add(m, &file) : ERR_MALFORMED;
}

static int take_all(struct manifest *m, struct reader *in)
{
    char line[LINE_MAX], created[CLOCK_TEXT_SIZE];
    if (!take_line(in, line) || strncmp(line, "gateway ", 8) != 0 ||
        strlen(line + 8) >= sizeof m->gateway) {
        return ERR_MALFORMED;
    }
    strcpy(m->gateway, line + 8);
    if (!take_line(in, line) || strncmp(line, "created ", 8) != 0 ||
        clock_parse(line + 8, strlen(line + 8), &m->created_ns) ||
        strcmp(clock_text(m->created_ns, created), line + 8) != 0) {
        return ERR_MALFORMED;
    }
    int err = ERR_OK;
    while (!err && reader_left(in)) {
        err = take_line(in, line) && !strncmp(line, "file ", 5) ? take_file(m, line + 5)
                                                                : ERR_MALFORMED;
    }
    for (size_t i = 1; !err && i < m->count; i++) { /* they are written in this order */
        err = by_name(m->files + i - 1, m->files + i) < 0 ? ERR_OK : ERR_MALFORMED;
    }
    return err;
}

int manifest_decode(struct manifest *m, const void *data, size_t size)
{
    static const char title[] = TITLE "\n";
    const size_t end_size = strlen("end 00000000\n");
    char end[LINE_MAX];
    uint32_t crc;
    *m = (struct manifest){0};
    struct reader in = reader_of(data, size);
    if (size < sizeof title - 1 + end_size) {
        return ERR_SHORT;
    }
    if (memcmp(read_bytes(&in, sizeof title - 1), title, sizeof title - 1) != 0) {
        return !memcmp(data, title, strlen("isthmus-backup ")) ? ERR_VERSION : ERR_MALFORMED;
    }
    struct reader lines = read_part(&in, reader_left(&in) - end_size);
    if (!take_line(&in, end) || strncmp(end, "end ", 4) != 0 ||
        !take_crc(end + 4, strlen(end + 4), &crc) || crc32c(0, data, size - end_size) != crc) {
        return ERR_CHECKSUM;
    }
    int err = take_all(m, &lines);
    if (err) {
        manifest_fini(m);
    }
    return err;
}

int manifest_read(struct manifest *m, const struct disk *disk, int dir)
{
    *m = (struct manifest){0};
    int fd = disk->open(disk->context, dir, MANIFEST_NAME, O_RDONLY);
    if (fd < 0) {
        return fd;
    }
    int64_t size = disk->size(disk->context, fd);
    int err = size < 0 ? (int)size : (uint64_t)size > MANIFEST_BYTES ? ERR_TOO_LONG : ERR_OK;
    uint8_t *bytes = err ? NULL : malloc((size_t)size + 1);
    err = err ? err : bytes ? disk_read_all(disk, fd, bytes, (size_t)size, 0) : ERR_NOMEM;
    err = err ? err : manifest_decode(m, bytes, (size_t)size);
    free(bytes);
    disk->close(disk->context, fd);
    return err;
}
