/* SPDX-License-Identifier: Apache-2.0 */
/* The file grows from front to back, but for the header and the index of columns, whose room lies at its front: they are
 * written last, so a file without a proven header was never finished. Memory does not depend on how much goes in: one
 * block under construction, one group's table, one chunk, one buffer. */
#include "history/sealed_format.h"

#include "base/crc32c.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define BUFFER_SIZE (256u << 10)
#define INDEX_BATCH 64u
#define PACK_LEVEL  3
#define BLOCK_ENOUGH                                                                               \
    (BLOCK_SAMPLES / 2) /* a block with so many samples is kept as it is when files are merged */

enum region { REGION_NOTES, REGION_TAGS, REGION_COLUMNS };

struct sealed_writer {
    const struct disk *disk;
    int dir, fd, err;
    enum region region;
    struct sealed_header about;
    char name[SEALED_NAME_SIZE + 8]; /* while it is being written */
    uint32_t room;                   /* columns */
    uint64_t offset;                 /* of the buffer's start in the file */
    size_t used;                     /* in the buffer */
    struct sealed_column column;
    struct sealed_column index[INDEX_BATCH];
    struct block_scratch *scratch;
    struct block block; /* under construction */
    struct block_entry entries[SEALED_GROUP];
    uint32_t entry_count;
    struct chunk chunk;
    uint8_t *plain; /* owned: the chunk's entries, unpacked */
    uint8_t *bytes; /* owned: an encoded block, table, or chunk */
    uint8_t *buffer;
};

#define BYTES_ROOM (BLOCK_BYTES_MAX + TABLE_BYTES_MAX(SEALED_GROUP))

static void fail(struct sealed_writer *w, int err)
{
    w->err = w->err ? w->err : err;
}

static void flush_buffer(struct sealed_writer *w)
{
    if (!w->err && w->used) {
        fail(w, disk_write_all(w->disk, w->fd, w->buffer, w->used, w->offset));
    }
    w->offset += w->used;
    w->used = 0;
}

static uint64_t position(const struct sealed_writer *w)
{
    return w->offset + w->used;
}

static void put(struct sealed_writer *w, const void *data, size_t size)
{
    const uint8_t *at = data;
    while (size) {
        size_t n = BUFFER_SIZE - w->used < size ? BUFFER_SIZE - w->used : size;
        memcpy(w->buffer + w->used, at, n);
        w->used += n;
        at += n;
        size -= n;
        if (w->used == BUFFER_SIZE) {
            flush_buffer(w);
        }
    }
}

static void writer_free(struct sealed_writer *w)
{
    block_scratch_free(w->scratch);
    free(w->block.text);
    free(w->plain);
    free(w->bytes);
    free(w->buffer);
    free(w);
}

int sealed_create(struct sealed_writer **out, const struct disk *disk, int dir,
                  const struct sealed_header *about, uint32_t columns)
{
    struct sealed_writer *w = aligned_alloc(64, (sizeof *w + 63) / 64 * 64);
    if (!w) {
        return ERR_NOMEM;
    }
    memset(w, 0, sizeof *w);
    w->disk = disk;
    w->dir = dir;
    w->about = *about;
    w->room = columns;
    w->plain = malloc(CHUNK_MAX);
    w->bytes = malloc(BYTES_ROOM);
    w->buffer = malloc(BUFFER_SIZE);
    w->block.text = malloc(BLOCK_TEXT_MAX);
    w->block.text_capacity = BLOCK_TEXT_MAX;
    int err = w->plain && w->bytes && w->buffer && w->block.text ? block_scratch_new(&w->scratch)
                                                                 : ERR_NOMEM;
    if (!err) {
        sealed_name(about, w->name);
        strcat(w->name, ".part");
        w->fd = disk->open(disk->context, dir, w->name, O_RDWR | O_CREAT | O_TRUNC);
        err = w->fd < 0 ? w->fd : ERR_OK;
    }
    if (err) {
        writer_free(w);
        return err;
    }
    w->about.columns = w->about.notes = w->about.note_chunks = w->about.catalogue_chunks = 0;
    w->about.samples = 0;
    w->about.first_ns = INT64_MAX;
    w->about.last_ns = INT64_MIN;
    w->about.columns_offset = sizeof w->about;
    w->offset = w->about.notes_offset =
        sizeof w->about + (uint64_t)columns * sizeof(struct sealed_column);
    *out = w;
    return ERR_OK;
}

struct sealed_header *sealed_about(struct sealed_writer *w)
{
    return &w->about;
}

/* ---- Notes and catalogue. ---- */

static void end_chunk(struct sealed_writer *w)
{
    struct chunk *c = &w->chunk;
    if (!c->count) {
        return;
    }
    size_t packed = ZSTD_compress(w->bytes, BYTES_ROOM, w->plain, c->size, PACK_LEVEL);
    if (ZSTD_isError(packed)) {
        fail(w, ERR_NOMEM);
    } else {
        c->packed = (uint32_t)packed;
        c->crc = sealed_chunk_crc(c, w->bytes);
        put(w, c, sizeof *c);
        put(w, w->bytes, packed);
        *(w->region == REGION_NOTES ? &w->about.note_chunks : &w->about.catalogue_chunks) += 1;
    }
    *c = (struct chunk){0};
}

/* Room for the next entry, in a chunk of its region; NULL: it is larger than any may be. */
static uint8_t *entry(struct sealed_writer *w, size_t size)
{
    if (size > ENTRY_MAX) {
        fail(w, ERR_TOO_LONG);
        return NULL;
    }
    if (w->chunk.size + size > CHUNK_MAX) {
        end_chunk(w);
    }
    uint8_t *at = w->plain + w->chunk.size;
    w->chunk.size += (uint32_t)size;
    w->chunk.count++;
    return at;
}

static void enter(struct sealed_writer *w, enum region region)
{
    while (w->region < region) {
        end_chunk(w);
        w->region++;
        *(w->region == REGION_TAGS ? &w->about.catalogue_offset : &w->about.blocks_offset) =
            position(w);
    }
}

void sealed_add_note(struct sealed_writer *w, const struct sealed_note *note,
                     const struct slot *slots)
{
    size_t size = note->slots * sizeof *slots;
    uint8_t *at = entry(w, sizeof *note + size);
    if (at) {
        memcpy(at, note, sizeof *note);
        memcpy(at + sizeof *note, slots, size);
        w->about.notes++;
    }
}

void sealed_add_tag(struct sealed_writer *w, const struct frame_tag *tag)
{
    enter(w, REGION_TAGS);
    uint8_t *at = entry(w, tag->size);
    if (at) {
        memcpy(at, tag, tag->size);
    }
}

/* ---- Columns. ---- */

void sealed_begin(struct sealed_writer *w, uint32_t id, enum value_type type)
{
    enter(w, REGION_COLUMNS);
    if (w->about.columns == w->room) {
        fail(w, ERR_FULL);
    }
    w->column = (struct sealed_column){
        .id = id, .type = (uint8_t)type, .first_ns = INT64_MAX, .last_ns = INT64_MIN};
    w->block.type = type;
    w->block.count = w->block.text_size = 0;
    w->entry_count = 0;
}

static void end_group(struct sealed_writer *w)
{
    if (!w->entry_count || w->err) {
        return;
    }
    int size =
        table_encode(w->scratch, w->block.type, w->entries, w->entry_count, w->bytes, BYTES_ROOM);
    if (size < 0) {
        fail(w, size);
        return;
    }
    struct group g = {.size = (uint32_t)size,
                      .blocks = w->entry_count,
                      .previous = w->column.table,
                      .first_ns = w->entries[0].summary.first_ns,
                      .last_ns = w->entries[w->entry_count - 1].summary.last_ns};
    g.crc = sealed_group_crc(&g, w->bytes);
    w->column.table = position(w);
    w->column.groups++;
    w->column.bytes += sizeof g + g.size;
    put(w, &g, sizeof g);
    put(w, w->bytes, g.size);
    w->entry_count = 0;
}

/* Its bytes lie at the position now; takes the block into the table. */
static void add_entry(struct sealed_writer *w, const struct block_entry *e)
{
    struct sealed_column *c = &w->column;
    w->entries[w->entry_count++] = *e;
    c->blocks++;
    c->bytes += e->size;
    c->samples += e->summary.count;
    c->first_ns = e->summary.first_ns < c->first_ns ? e->summary.first_ns : c->first_ns;
    c->last_ns = e->summary.last_ns > c->last_ns ? e->summary.last_ns : c->last_ns;
}

static void end_block(struct sealed_writer *w)
{
    struct block_entry e = {.offset = position(w)};
    if (!w->block.count || w->err) {
        return;
    }
    int size = block_encode(w->scratch, &w->block, w->bytes, BYTES_ROOM);
    if (size < 0) {
        fail(w, size);
        return;
    }
    e.size = (uint32_t)size;
    e.crc = crc32c(0, w->bytes, e.size);
    block_summarise(&w->block, &e.summary);
    put(w, w->bytes, e.size);
    add_entry(w, &e);
    w->block.count = w->block.text_size = 0;
    if (w->entry_count == SEALED_GROUP) {
        end_group(w);
    }
}

void sealed_add(struct sealed_writer *w, const struct slot *sample, const uint8_t *text)
{
    struct block *b = &w->block;
    size_t length = text ? (size_t)sample->value.u64 : 0;
    if (b->count == BLOCK_SAMPLES || (text && b->text_size + length > BLOCK_TEXT_MAX)) {
        end_block(w);
    }
    if (w->err) {
        return;
    }
    if (text) {
        memcpy(b->text + b->text_size, text, length);
        b->text_at[b->count] = b->text_size;
        b->text_size += (uint32_t)length;
    }
    b->time[b->count] = sample->time;
    b->value[b->count] = sample->value.u64;
    b->status[b->count] = sample->status;
    b->count++;
}

bool sealed_add_block(struct sealed_writer *w, const struct block_entry *entry,
                      const uint8_t *bytes)
{
    struct block_entry e = *entry;
    if (bytes && (entry->summary.count < BLOCK_ENOUGH ||
                  (w->block.count && w->block.count < BLOCK_ENOUGH))) {
        return false;
    }
    end_block(w);
    e.offset = position(w);
    if (!bytes) {
        e.size = e.crc = 0;
        w->column.thinned = 1;
        w->about.flags |= SEALED_THINNED;
    } else {
        put(w, bytes, e.size);
    }
    add_entry(w, &e);
    if (w->entry_count == SEALED_GROUP) {
        end_group(w);
    }
    return true;
}

static void write_index(struct sealed_writer *w)
{
    uint32_t count = w->about.columns % INDEX_BATCH ? w->about.columns % INDEX_BATCH : INDEX_BATCH;
    uint64_t from = w->about.columns - count;
    if (!w->err && w->about.columns) {
        fail(w, disk_write_all(w->disk, w->fd, w->index, count * sizeof *w->index,
                               w->about.columns_offset + from * sizeof *w->index));
    }
}

void sealed_end(struct sealed_writer *w)
{
    struct sealed_column *c = &w->column;
    end_block(w);
    end_group(w);
    if (w->err || !c->blocks) {
        return; /* a tag without samples needs no column */
    }
    c->crc = sealed_column_crc(c);
    w->index[w->about.columns++ % INDEX_BATCH] = *c;
    if (w->about.columns % INDEX_BATCH == 0) {
        write_index(w);
    }
    w->about.samples += c->samples;
    w->about.first_ns = c->first_ns < w->about.first_ns ? c->first_ns : w->about.first_ns;
    w->about.last_ns = c->last_ns > w->about.last_ns ? c->last_ns : w->about.last_ns;
}

/* ---- The end. ---- */

static void close_part(struct sealed_writer *w, bool remove)
{
    w->disk->close(w->disk->context, w->fd);
    if (remove) {
        int ignored = w->disk->remove(w->disk->context, w->dir, w->name);
        (void)ignored;
    }
    writer_free(w);
}

int sealed_finish(struct sealed_writer *w)
{
    const struct disk *d = w->disk;
    struct sealed_header *h = &w->about;
    char name[SEALED_NAME_SIZE];
    enter(w, REGION_COLUMNS);
    flush_buffer(w);
    if (h->columns % INDEX_BATCH) {
        write_index(w);
    }
    h->magic = SEALED_MAGIC;
    h->version = SEALED_VERSION;
    h->size = w->offset;
    h->crc = sealed_header_crc(h);
    sealed_name(h, name);
    if (!w->err) {
        fail(w, disk_write_all(d, w->fd, h, sizeof *h, 0));
    }
    if (!w->err) {
        fail(w, d->flush(d->context, w->fd));
    }
    if (!w->err) {
        fail(w, d->rename(d->context, w->dir, w->name, name));
    }
    int err = w->err, dir = w->dir;
    close_part(w, err != 0);
    if (!err && (err = d->flush_dir(d->context, dir)) != 0) {
        int ignored = d->remove(d->context, dir,
                                name); /* a name that the power may take back stands for nothing */
        (void)ignored;
    }
    return err;
}

void sealed_abandon(struct sealed_writer *w)
{
    if (w) {
        close_part(w, true);
    }
}
