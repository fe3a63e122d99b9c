/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing is believed before its CRC and its bounds are proven. Everything is read by position, nothing is mapped: a file
 * that is cut short is an error and no signal. */
#include "history/sealed_format.h"

#include "base/crc32c.h"
#include "tag/record.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

static bool header_is_sound(const struct sealed_header *h, uint64_t size)
{
    return h->size == size && h->columns_offset == sizeof *h && h->notes_offset >= sizeof *h &&
           h->notes_offset <= size &&
           h->columns <= (h->notes_offset - sizeof *h) / sizeof(struct sealed_column) &&
           h->catalogue_offset >= h->notes_offset && h->blocks_offset >= h->catalogue_offset &&
           h->blocks_offset <= size && h->first_segment <= h->last_segment &&
           h->first_sequence <= h->end_sequence;
}

int sealed_read_header(struct sealed *s, const struct disk *disk, int fd)
{
    *s = (struct sealed){.disk = disk, .fd = fd};
    struct sealed_header *h = &s->header;
    int64_t size = disk->size(disk->context, fd);
    int err = size < 0 ? (int)size : disk_read_all(disk, fd, h, sizeof *h, 0);
    if (!err) {
        err = h->magic != SEALED_MAGIC             ? ERR_MALFORMED
              : h->crc != sealed_header_crc(h)     ? ERR_CHECKSUM
              : h->version != SEALED_VERSION       ? ERR_VERSION
              : header_is_sound(h, (uint64_t)size) ? ERR_OK
                                                   : ERR_MALFORMED;
    }
    return err;
}

int sealed_open(struct sealed *s, const struct disk *disk, int dir, const char *name)
{
    int fd = disk->open(disk->context, dir, name, O_RDONLY);
    int err = fd < 0 ? fd : sealed_read_header(s, disk, fd);
    if (fd >= 0 && err) {
        disk->close(disk->context, fd);
    }
    return err;
}

void sealed_close(struct sealed *s)
{
    if (s->fd >= 0) {
        s->disk->close(s->disk->context, s->fd);
    }
    s->fd = -1;
}

static int read_at(const struct sealed *s, void *data, size_t size, uint64_t offset)
{
    if (offset > s->header.size || size > s->header.size - offset) {
        return ERR_MALFORMED;
    }
    return disk_read_all(s->disk, s->fd, data, size, offset);
}

int sealed_column_at(const struct sealed *s, uint32_t at, struct sealed_column *out)
{
    int err = read_at(s, out, sizeof *out, s->header.columns_offset + (uint64_t)at * sizeof *out);
    if (err) {
        return err;
    }
    bool sound = out->crc == sealed_column_crc(out) && out->id && out->id <= SLOT_ID_MAX &&
                 out->type && out->type < VALUE_TYPE_END && out->groups &&
                 out->groups <= GROUPS_MAX && out->first_ns <= out->last_ns &&
                 out->blocks <= out->groups * SEALED_GROUP;
    return sound ? ERR_OK : ERR_CHECKSUM;
}

int sealed_find(const struct sealed *s, uint32_t id, struct sealed_column *out)
{
    uint32_t low = 0, high = s->header.columns;
    /* Ids are given from 1 on, so where a file has all tags the first look hits. */
    uint32_t middle = id && id <= high ? id - 1 : high - 1;
    for (; low < high; middle = low + (high - low) / 2) {
        int err = sealed_column_at(s, middle, out);
        if (err) {
            return err;
        }
        if (out->id == id) {
            return ERR_OK;
        }
        if (out->id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return ERR_NOT_FOUND;
}

/* ---- Notes and catalogue. ---- */

static int list_open(struct sealed_list *l, const struct sealed *s, uint64_t offset,
                     uint32_t chunks)
{
    *l = (struct sealed_list){.file = s, .offset = offset, .chunks_left = chunks};
    l->packed = malloc(CHUNK_PACKED_MAX);
    l->bytes = malloc(CHUNK_MAX);
    if (!l->packed || !l->bytes) {
        sealed_list_fini(l);
        return ERR_NOMEM;
    }
    return ERR_OK;
}

int sealed_list_notes(struct sealed_list *l, const struct sealed *s)
{
    return list_open(l, s, s->header.notes_offset, s->header.note_chunks);
}

int sealed_list_tags(struct sealed_list *l, const struct sealed *s)
{
    return list_open(l, s, s->header.catalogue_offset, s->header.catalogue_chunks);
}

void sealed_list_fini(struct sealed_list *l)
{
    free(l->packed);
    free(l->bytes);
    *l = (struct sealed_list){0};
}

static int next_chunk(struct sealed_list *l)
{
    struct chunk c = {0};
    int err = read_at(l->file, &c, sizeof c, l->offset);
    if (!err && (c.packed > CHUNK_PACKED_MAX || c.size > CHUNK_MAX || !c.count)) {
        err = ERR_MALFORMED;
    }
    if (!err) {
        err = read_at(l->file, l->packed, c.packed, l->offset + sizeof c);
    }
    if (!err && c.crc != sealed_chunk_crc(&c, l->packed)) {
        err = ERR_CHECKSUM;
    }
    if (!err && ZSTD_decompress(l->bytes, CHUNK_MAX, l->packed, c.packed) != c.size) {
        err = ERR_MALFORMED;
    }
    l->offset += err ? 0 : sizeof c + c.packed;
    l->size = c.size;
    l->left = err ? 0 : c.count;
    l->at = 0;
    l->chunks_left--;
    return err;
}

/* Makes sure that an entry's head is there. 1, 0, or an error, after which the list is at its end. */
static int next_entry(struct sealed_list *l, size_t head)
{
    if (!l->left) {
        if (!l->chunks_left) {
            return 0;
        }
        int err = next_chunk(l);
        if (err) {
            l->chunks_left = 0;
            return err;
        }
    }
    if (l->size - l->at < head) {
        l->left = l->chunks_left = 0;
        return ERR_MALFORMED;
    }
    l->left--;
    return 1;
}

static int list_malformed(struct sealed_list *l)
{
    l->left = l->chunks_left = 0;
    return ERR_MALFORMED;
}

int sealed_next_note(struct sealed_list *l, struct sealed_note *note, const struct slot **slots)
{
    int got = next_entry(l, sizeof *note);
    if (got <= 0) {
        return got;
    }
    memcpy(note, l->bytes + l->at, sizeof *note);
    l->at += sizeof *note;
    if (!note->slots || note->slots > (l->size - l->at) / sizeof **slots) {
        return list_malformed(l);
    }
    *slots =
        (const struct slot *)(l->bytes + l->at); /* all entries are multiples of 8 bytes long */
    if (frame_prove_records(*slots, note->slots) < 0 || slot_record_length(*slots) != note->slots ||
        !slot_is_control(*slots)) {
        return list_malformed(l);
    }
    l->at += note->slots * sizeof **slots;
    return 1;
}

int sealed_next_tag(struct sealed_list *l, struct frame_tag *tag, const char *texts[4])
{
    int got = next_entry(l, sizeof *tag);
    if (got <= 0) {
        return got;
    }
    memcpy(tag, l->bytes + l->at, sizeof *tag);
    size_t texts_size = (size_t)tag->path + tag->unit + tag->device_name + tag->description;
    if (tag->size % 8 || tag->size > l->size - l->at || texts_size + sizeof *tag > tag->size) {
        return list_malformed(l);
    }
    const char *text = (const char *)l->bytes + l->at + sizeof *tag;
    const uint16_t lengths[] = {tag->path, tag->unit, tag->device_name, tag->description};
    for (int i = 0; i < 4; i++) {
        texts[i] = text;
        text += lengths[i];
    }
    l->at += tag->size;
    return 1;
}

/* ---- The blocks of a column. ---- */

static int read_group(const struct sealed *s, uint64_t offset, struct group *g)
{
    int err = read_at(s, g, sizeof *g, offset);
    bool sound = !err && g->blocks && g->blocks <= SEALED_GROUP &&
                 g->size <= TABLE_BYTES_MAX(SEALED_GROUP) &&
                 (!g->previous || g->previous < offset) && g->first_ns <= g->last_ns;
    return err ? err : sound ? ERR_OK : ERR_MALFORMED;
}

/* Memory that only grows: the memory, or NULL with all as it was. */
static void *need(void *memory, size_t *room, size_t size)
{
    if (size <= *room) {
        return memory;
    }
    void *grown = realloc(memory, size);
    *room = grown ? size : *room;
    return grown;
}

/* From the last group back to the first that may matter. */
static int find_groups(struct sealed_walk *w, int64_t from_ns)
{
    uint64_t at = w->column.table;
    uint32_t count = 0, room = (uint32_t)w->column.groups;
    uint64_t *groups = need(w->groups, &w->group_room, room * sizeof *groups);
    if (!groups) {
        return ERR_NOMEM;
    }
    w->groups = groups;
    while (at && count < room) {
        struct group g;
        w->groups[room - ++count] = at;
        if (read_group(w->file, at, &g) || g.first_ns < from_ns) {
            break; /* what a damaged head hides is out of reach */
        }
        at = g.previous;
    }
    memmove(w->groups, w->groups + room - count, count * sizeof *w->groups);
    w->column.groups = count;
    return ERR_OK;
}

int sealed_walk_open(struct sealed_walk *w, const struct sealed *s, struct block_scratch *scratch,
                     const struct sealed_column *column, int64_t from_ns)
{
    w->file = s;
    w->scratch = scratch;
    w->column = *column;
    w->group = w->count = w->at = 0;
    return find_groups(w, from_ns);
}

void sealed_walk_fini(struct sealed_walk *w)
{
    free(w->groups);
    free(w->entries);
    free(w->bytes);
    *w = (struct sealed_walk){0};
}

static int have_bytes(struct sealed_walk *w, size_t size)
{
    uint8_t *bytes = need(w->bytes, &w->bytes_room, size);
    w->bytes = bytes ? bytes : w->bytes;
    return bytes ? ERR_OK : ERR_NOMEM;
}

static int load_group(struct sealed_walk *w)
{
    struct group g;
    uint64_t at = w->groups[w->group++];
    w->count = w->at = 0;
    int err = read_group(w->file, at, &g);
    if (!err) {
        err = have_bytes(w, g.size);
    }
    if (!err) {
        err = read_at(w->file, w->bytes, g.size, at + sizeof g);
    }
    if (!err && g.crc != sealed_group_crc(&g, w->bytes)) {
        err = ERR_CHECKSUM;
    }
    struct block_entry *entries =
        err ? NULL : need(w->entries, &w->entry_room, g.blocks * sizeof *entries);
    if (!err && !entries) {
        err = ERR_NOMEM;
    }
    if (!err) {
        w->entries = entries;
        err = table_decode(w->scratch, (enum value_type)w->column.type, w->bytes, g.size,
                           w->entries, g.blocks);
        w->count = err < 0 ? 0 : (uint32_t)err;
    }
    return err < 0 ? err : ERR_OK;
}

int sealed_walk_next(struct sealed_walk *w, const struct block_entry **entry)
{
    while (w->at == w->count) {
        if (w->group == w->column.groups) {
            return 0;
        }
        int err = load_group(w);
        if (err) {
            return err;
        }
    }
    *entry = w->entries + w->at++;
    return 1;
}

int sealed_walk_bytes(struct sealed_walk *w, const struct block_entry *e, const uint8_t **bytes)
{
    if (!e->size || e->size > BLOCK_BYTES_MAX) {
        return ERR_MALFORMED;
    }
    int err = have_bytes(w, e->size);
    if (!err) {
        err = read_at(w->file, w->bytes, e->size, e->offset);
    }
    if (!err && crc32c(0, w->bytes, e->size) != e->crc) {
        err = ERR_CHECKSUM;
    }
    *bytes = w->bytes;
    return err;
}

int sealed_walk_block(struct sealed_walk *w, const struct block_entry *e, unsigned parts,
                      struct block *out)
{
    const uint8_t *bytes;
    int err = sealed_walk_bytes(w, e, &bytes);
    if (!err) {
        err = block_decode(w->scratch, bytes, e->size, parts, out);
    }
    if (!err && (out->type != (enum value_type)w->column.type || out->count != e->summary.count)) {
        err = ERR_MALFORMED;
    }
    return err;
}
