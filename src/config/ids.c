/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table over the file's lines. New entries are appended and flushed before the gateway starts, so that an id that
 * was ever used in a journal or on a wire is on disk. A torn last line (a crash while appending) is cut: its id was never
 * used. */
#include "config/ids.h"
#include "base/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static int take_line(struct ids *ids, const char *line)
{
    char *end;
    unsigned long number = strtoul(line, &end, 10);
    if (end == line || *end != ',' || number < 1 || number > SLOT_ID_MAX) {
        return ERR_MALFORMED;
    }
    char *key = strdup(end + 1);
    int err = key ? insert(ids, key, (uint32_t)number) : ERR_NOMEM;
    if (err) {
        free(key);
    }
    return err;
}

static int read_all(struct ids *ids, FILE *f, char *why, size_t why_size)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t n;
    int err = ERR_OK;
    for (int number = 1; !err && (n = getline(&line, &capacity, f)) > 0; number++) {
        if (line[n - 1] != '\n') {
            break; /* torn by a crash */
        }
        line[n - 1] = 0;
        err = take_line(ids, line);
        ids->good_size += n;
        if (err) {
            snprintf(why, why_size,
                     "ids.txt:%d: %s: it holds the permanent ids of tags; restore it from a backup",
                     number, err_text(err));
        }
    }
    free(line);
    return err;
}

int ids_open(struct ids **out, const char *state_dir, char *why, size_t why_size)
{
    char path[4096];
    struct ids *ids = calloc(1, sizeof *ids);
    if (!ids) {
        return ERR_NOMEM;
    }
    ids->next = 1;
    snprintf(path, sizeof path, "%s/ids.txt", state_dir);
    FILE *f = fopen(path, "re");
    int err = f || errno == ENOENT ? ERR_OK : err_from_errno(errno);
    if (err) {
        snprintf(why, why_size, "%s: %s", path, strerror(errno));
    }
    if (f) {
        err = read_all(ids, f, why, why_size);
        fclose(f);
    }
    if (err) {
        ids_close(ids);
        return err;
    }
    *out = ids;
    return ERR_OK;
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
    for (size_t i = 0; i < ids->added_count; i++) {
        fprintf(f, "%u,%s\n", ids->added[i].number, ids->added[i].key);
    }
    bool bad = fflush(f) || fsync(fd);
    bad |= fclose(f) != 0;
    int dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bad |= dir < 0 || fsync(dir);
    if (dir >= 0) {
        close(dir);
    }
    ids->added_count = bad ? ids->added_count : 0;
    return bad ? ERR_IO : ERR_OK;
}
