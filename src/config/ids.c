/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table over the file's lines. New entries are appended and flushed before the gateway starts, so that an id that
 * was ever used in a journal or on a wire is on disk. A torn last line (a crash while appending) is cut: its id was never
 * used. Numbers count up from 1 and each line has a checksum: a damaged file is an error, for a tag that is not found again
 * would silently get another id. */
#include "config/ids.h"
#include "base/crc32c.h"
#include "base/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK_SIZE 8u /* hexadecimal digits of CRC-32C */

struct id {
    char *key; /* "type,unit,path", owned */
    uint32_t number;
};

struct ids {
    struct id *slots; /* open addressing; key NULL: empty */
    size_t capacity, count;
    uint32_t next;
    struct id *added; /* keys borrowed from slots */
    size_t added_count, added_capacity;
    long good_size; /* bytes of whole lines in the file */
    bool unended;   /* the last of them lacks its end */
};

static size_t hash(const char *text)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (; *text; text++) {
        h = (h ^ (uint8_t)*text) * UINT64_C(1099511628211);
    }
    return (size_t)h;
}

static struct id *find(struct id *slots, size_t capacity, const char *key)
{
    size_t i = hash(key) & (capacity - 1);
    while (slots[i].key && strcmp(slots[i].key, key) != 0) {
        i = (i + 1) & (capacity - 1);
    }
    return slots + i;
}

static int insert(struct ids *ids, char *key, uint32_t number)
{
    if (ids->count * 2 >= ids->capacity) {
        size_t capacity = ids->capacity ? ids->capacity * 2 : 1024;
        struct id *slots = calloc(capacity, sizeof *slots);
        if (!slots) {
            return ERR_NOMEM;
        }
        for (size_t i = 0; i < ids->capacity; i++) {
            if (ids->slots[i].key) {
                *find(slots, capacity, ids->slots[i].key) = ids->slots[i];
            }
        }
        free(ids->slots);
        ids->slots = slots;
        ids->capacity = capacity;
    }
    struct id *slot = find(ids->slots, ids->capacity, key);
    if (slot->key) {
        return ERR_EXISTS;
    }
    *slot = (struct id){key, number};
    ids->count++;
    ids->next = number >= ids->next ? number + 1 : ids->next;
    return ERR_OK;
}

/* Whether a line, without its end, ends with the checksum of what is before. */
static bool is_whole(const char *line, size_t size)
{
    char check[CHECK_SIZE + 2];
    if (size < CHECK_SIZE + 1) {
        return false;
    }
    size_t end = size - CHECK_SIZE - 1;
    snprintf(check, sizeof check, ",%08x", crc32c(0, line, end));
    return memcmp(line + end, check, CHECK_SIZE + 1) == 0;
}

/* "NUMBER,type,unit,path,checksum", NUMBER being the one that is due. */
static int take_line(struct ids *ids, const char *line, size_t size)
{
    char number[16];
    size_t from = (size_t)snprintf(number, sizeof number, "%u,", ids->next);
    if (!is_whole(line, size)) {
        return ERR_CHECKSUM;
    }
    if (size < from + CHECK_SIZE + 1 || memcmp(line, number, from) != 0 ||
        ids->next > SLOT_ID_MAX || memchr(line, 0, size)) {
        return ERR_MALFORMED;
    }
    char *key = strndup(line + from, size - CHECK_SIZE - 1 - from);
    int err = key ? insert(ids, key, ids->next) : ERR_NOMEM;
    if (err) {
        free(key);
    }
    return err;
}

/* What follows the last line's end. A crash while appending left the beginning of a line, whose id was never used; a whole
 * line counts, also when an editor took its end away; a whole line with something else behind is damage. */
static int take_rest(struct ids *ids, const char *line, size_t size)
{
    if (!is_whole(line, size)) {
        return size && is_whole(line, size - 1) ? ERR_CHECKSUM : ERR_OK;
    }
    ids->unended = true;
    ids->good_size += (long)size;
    return take_line(ids, line, size);
}

int ids_read(struct ids **out, const char *text, size_t size, char *why, size_t why_size)
{
    struct ids *ids = calloc(1, sizeof *ids);
    int err = ids ? ERR_OK : ERR_NOMEM, number = 0;
    const char *at = text, *end = text + size;
    if (ids) {
        ids->next = 1;
    }
    while (!err && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        number++;
        if (!stop) {
            err = take_rest(ids, at, (size_t)(end - at));
            break;
        }
        err = take_line(ids, at, (size_t)(stop - at));
        at = stop + 1;
        ids->good_size = at - text;
    }
    if (err) {
        snprintf(why, why_size,
                 "ids.txt:%d: %s: it holds the permanent ids of tags; restore it from a backup",
                 number, err_text(err));
        ids_close(ids);
        return err;
    }
    *out = ids;
    return ERR_OK;
}

static int read_file(FILE *f, char **text, size_t *size)
{
    size_t capacity = 1u << 16;
    *size = 0;
    for (char *grown; (grown = realloc(*text, capacity)); capacity *= 2) {
        *text = grown;
        *size += fread(grown + *size, 1, capacity - *size, f);
        if (*size < capacity) {
            return ferror(f) ? ERR_IO : ERR_OK;
        }
    }
    return ERR_NOMEM;
}

int ids_open(struct ids **out, const char *state_dir, char *why, size_t why_size)
{
    char path[4096], *text = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "%s/ids.txt", state_dir);
    FILE *f = fopen(path, "re");
    int err = f || errno == ENOENT ? ERR_OK : err_from_errno(errno);
    if (f) {
        err = read_file(f, &text, &size);
        fclose(f);
    }
    if (err) {
        snprintf(why, why_size, "%s: %s", path, err_text(err));
    } else {
        err = ids_read(out, text ? text : "", size, why, why_size);
    }
    free(text);
    return err;
}

void ids_close(struct ids *ids)
{
    if (ids) {
        for (size_t i = 0; i < ids->capacity; i++) {
            free(ids->slots[i].key);
        }
        free(ids->slots);
        free(ids->added);
        free(ids);
    }
}

uint32_t ids_of(struct ids *ids, const char *path, const char *type, const char *unit)
{
    char *key;
    if (asprintf(&key, "%s,%s,%s", type, unit, path) < 0) {
        return 0;
    }
    if (ids->capacity) {
        struct id *known = find(ids->slots, ids->capacity, key);
        if (known->key) {
            free(key);
            return known->number;
        }
    }
    if (ids->added_count == ids->added_capacity) {
        size_t capacity = ids->added_capacity ? ids->added_capacity * 2 : 256;
        struct id *added = realloc(ids->added, capacity * sizeof *added);
        if (!added) {
            free(key);
            return 0;
        }
        ids->added = added;
        ids->added_capacity = capacity;
    }
    uint32_t number = ids->next;
    if (number > SLOT_ID_MAX || insert(ids, key, number)) {
        free(key);
        return 0;
    }
    ids->added[ids->added_count++] = (struct id){key, number};
    return number;
}

static void put_line(FILE *f, const struct id *id)
{
    char number[16];
    int digits = snprintf(number, sizeof number, "%u,", id->number);
    uint32_t check = crc32c(crc32c(0, number, (size_t)digits), id->key, strlen(id->key));
    fprintf(f, "%s%s,%08x\n", number, id->key, check);
}

int ids_save(struct ids *ids, const char *state_dir)
{
    char path[4096];
    if (!ids->added_count) {
        return ERR_OK;
    }
    if (mkdir(state_dir, 0700) && errno != EEXIST) {
        return err_from_errno(errno);
    }
    snprintf(path, sizeof path, "%s/ids.txt", state_dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    FILE *f = fd < 0 || ftruncate(fd, ids->good_size) ? NULL : fdopen(fd, "w");
    if (!f) {
        int err = err_from_errno(errno);
        if (fd >= 0) {
            close(fd);
        }
        return err;
    }
    fseek(f, 0, SEEK_END);
    if (ids->unended) {
        fputc('\n', f);
    }
    for (size_t i = 0; i < ids->added_count; i++) {
        put_line(f, ids->added + i);
    }
    int err = fflush(f) || fsync(fd) ? err_from_errno(errno) : ERR_OK;
    if (fclose(f) && !err) {
        err = err_from_errno(errno);
    }
    int dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if ((dir < 0 || fsync(dir)) && !err) {
        err = err_from_errno(errno);
    }
    if (dir >= 0) {
        close(dir);
    }
    ids->added_count = err ? ids->added_count : 0;
    return err;
}
