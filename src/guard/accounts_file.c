/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/accounts_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"

#define VERSION   1u
#define HEAD_SIZE 20u
#define PART      ACCOUNTS_FILE ".part"

static const char magic[8] = {'I', 'S', 'T', 'H', 'A', 'C', 'C', 'T'};

static void put_text(struct writer *w, const char *text, size_t size)
{
    size_t length = strnlen(text, size);
    write_u16le(w, (uint16_t)length);
    write_bytes(w, text, length);
}

/* Into a field of `size` bytes, zeros behind; one that is too long is bad, and so is a zero in it. */
static void take_text(struct reader *r, char *text, size_t size)
{
    size_t length = read_u16le(r);
    const uint8_t *p = length < size ? read_bytes(r, length) : NULL;
    memset(text, 0, size);
    if (p && !memchr(p, 0, length)) {
        memcpy(text, p, length);
    } else {
        r->bad = true;
    }
}

static void take_bytes(struct reader *r, uint8_t *to, size_t size)
{
    const uint8_t *p = read_bytes(r, size);
    if (p) {
        memcpy(to, p, size);
    }
}

static void put_account(struct writer *w, const struct account *c)
{
    put_text(w, c->name, sizeof c->name);
    put_text(w, c->zones, sizeof c->zones);
    put_text(w, c->hash, sizeof c->hash);
    write_u8(w, (uint8_t)c->has_totp);
    if (c->has_totp) {
        write_bytes(w, c->totp, sizeof c->totp);
    }
    write_u8(w, (uint8_t)c->role);
    write_u8(w, (uint8_t)c->disabled);
    write_u64le(w, (uint64_t)c->created_ns);
    write_u64le(w, (uint64_t)c->expires_ns);
    write_u64le(w, c->revision);
}

static void take_account(struct reader *r, struct account *c)
{
    *c = (struct account){0};
    take_text(r, c->name, sizeof c->name);
    take_text(r, c->zones, sizeof c->zones);
    take_text(r, c->hash, sizeof c->hash);
    c->has_totp = read_u8(r);
    if (c->has_totp) {
        take_bytes(r, c->totp, sizeof c->totp);
    }
    c->role = read_u8(r);
    c->disabled = read_u8(r);
    c->created_ns = (int64_t)read_u64le(r);
    c->expires_ns = (int64_t)read_u64le(r);
    c->revision = read_u64le(r);
}

static void put_token(struct writer *w, const struct token *t)
{
    put_text(w, t->name, sizeof t->name);
    put_text(w, t->zones, sizeof t->zones);
    put_text(w, t->maker, sizeof t->maker);
    write_bytes(w, t->digest, sizeof t->digest);
    write_bytes(w, t->net.address, sizeof t->net.address);
    write_u8(w, (uint8_t)t->net.bits);
    write_u8(w, (uint8_t)t->role);
    write_u64le(w, (uint64_t)t->created_ns);
    write_u64le(w, (uint64_t)t->expires_ns);
    write_u64le(w, t->revision);
}

static void take_token(struct reader *r, struct token *t)
{
    *t = (struct token){0};
    take_text(r, t->name, sizeof t->name);
    take_text(r, t->zones, sizeof t->zones);
    take_text(r, t->maker, sizeof t->maker);
    take_bytes(r, t->digest, sizeof t->digest);
    take_bytes(r, t->net.address, sizeof t->net.address);
    t->net.bits = read_u8(r);
    t->role = read_u8(r);
    t->created_ns = (int64_t)read_u64le(r);
    t->expires_ns = (int64_t)read_u64le(r);
    t->revision = read_u64le(r);
}

size_t accounts_encode(const struct accounts *a, uint8_t *out)
{
    struct writer w = writer_of(out + HEAD_SIZE, ACCOUNTS_FILE_SIZE - HEAD_SIZE);
    write_u64le(&w, a->revision);
    write_u32le(&w, a->count);
    write_u32le(&w, a->token_count);
    for (uint32_t i = 0; i < a->count; i++) {
        put_account(&w, a->list + i);
    }
    for (uint32_t i = 0; i < a->token_count; i++) {
        put_token(&w, a->tokens + i);
    }
    uint32_t size = (uint32_t)writer_used(&w);
    uint8_t head[HEAD_SIZE], length[4];
    struct writer l = writer_of(length, sizeof length), h = writer_of(head, sizeof head);
    write_u32le(&l, size);
    write_bytes(&h, magic, sizeof magic);
    write_u32le(&h, VERSION);
    write_u32le(&h, crc32c(crc32c(0, length, sizeof length), out + HEAD_SIZE, size));
    write_bytes(&h, length, sizeof length);
    memcpy(out, head, sizeof head);
    return HEAD_SIZE + size;
}

static int take_all(struct accounts *a, struct reader *r)
{
    a->revision = read_u64le(r);
    uint32_t count = read_u32le(r), token_count = read_u32le(r);
    if (r->bad || count > ACCOUNTS_MAX || token_count > TOKENS_MAX) {
        return ERR_MALFORMED;
    }
    for (; a->count < count; a->count++) {
        struct account *c = a->list + a->count;
        take_account(r, c);
        if (r->bad || !account_is_good(c) || accounts_find(a, c->name) ||
            c->revision > a->revision) {
            return ERR_MALFORMED;
        }
    }
    for (; a->token_count < token_count; a->token_count++) {
        struct token *t = a->tokens + a->token_count;
        take_token(r, t);
        if (r->bad || !token_is_good(t) || tokens_find(a, t->name) ||
            tokens_find_digest(a, t->digest) || t->revision > a->revision) {
            return ERR_MALFORMED;
        }
    }
    return reader_left(r) ? ERR_MALFORMED : ERR_OK;
}

int accounts_decode(struct accounts *a, const void *data, size_t size)
{
    struct reader r = reader_of(data, size);
    const uint8_t *name = read_bytes(&r, sizeof magic);
    uint32_t version = read_u32le(&r), sum = read_u32le(&r), length = read_u32le(&r);
    memset(a, 0, sizeof *a);
    if (r.bad) {
        return ERR_SHORT;
    }
    if (memcmp(name, magic, sizeof magic) != 0) {
        return ERR_MALFORMED;
    }
    if (version != VERSION) {
        return ERR_VERSION;
    }
    if (length != reader_left(&r)) {
        return length > reader_left(&r) ? ERR_SHORT : ERR_MALFORMED;
    }
    if (crc32c(0, (const uint8_t *)data + 16, (size_t)length + 4) != sum) {
        return ERR_CHECKSUM;
    }
    return take_all(a, &r);
}

int accounts_load(struct accounts *a, const struct disk *disk, int dir)
{
    memset(a, 0, sizeof *a);
    int fd = disk->open(disk->context, dir, ACCOUNTS_FILE, O_RDONLY);
    if (fd == ERR_NOT_FOUND) {
        return ERR_OK;
    }
    if (fd < 0) {
        return fd;
    }
    int64_t size = disk->size(disk->context, fd);
    uint8_t *data = size >= 0 && size <= ACCOUNTS_FILE_SIZE ? malloc((size_t)size + 1) : NULL;
    int err = size < 0                    ? (int)size
              : size > ACCOUNTS_FILE_SIZE ? ERR_TOO_LONG
              : !data                     ? ERR_NOMEM
                                          : disk_read_all(disk, fd, data, (size_t)size, 0);
    err = err ? err : accounts_decode(a, data, (size_t)size);
    disk->close(disk->context, fd);
    free(data);
    return err;
}

static int write_part(const struct disk *disk, int dir, const uint8_t *data, size_t size)
{
    int fd = disk->open(disk->context, dir, PART, O_RDWR | O_CREAT | O_TRUNC);
    if (fd < 0) {
        return fd;
    }
    int err = disk_write_all(disk, fd, data, size, 0);
    err = err ? err : disk->flush(disk->context, fd);
    disk->close(disk->context, fd);
    return err;
}

int accounts_save(const struct accounts *a, const struct disk *disk, int dir)
{
    uint8_t *data = malloc(ACCOUNTS_FILE_SIZE);
    if (!data) {
        return ERR_NOMEM;
    }
    size_t size = accounts_encode(a, data);
    int err = write_part(disk, dir, data, size);
    err = err ? err : disk->rename(disk->context, dir, PART, ACCOUNTS_FILE);
    err = err ? err : disk->flush_dir(disk->context, dir);
    explicit_bzero(data, size);
    free(data);
    return err;
}
