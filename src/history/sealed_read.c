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

#define GROUP_GUESS 1024u  /* bytes of a group's head and table */
#define WINDOW      32768u /* bytes of blocks that are read at once */

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

static bool group_is_sound(const struct group *g, uint64_t offset)
{
    return g->blocks && g->blocks <= SEALED_GROUP && g->size <= TABLE_BYTES_MAX(SEALED_GROUP) &&
           (!g->previous || g->previous < offset) && g->first_ns <= g->last_ns;
}

static int read_group(const struct sealed *s, uint64_t offset, struct group *g)
{
    int err = read_at(s, g, sizeof *g, offset);
    return err ? err : group_is_sound(g, offset) ? ERR_OK : ERR_MALFORMED;
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
    if (room == 1) { /* nothing to choose from */
        groups[0] = at;
        return ERR_OK;
    }
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
    w->window_size = 0;
    return find_groups(w, from_ns);
}

void sealed_walk_fini(struct sealed_walk *w)
{
    free(w->groups);
    free(w->entries);
    free(w->bytes);
    *w = (struct sealed_walk){0};
}

/* `size` bytes at `offset`, borrowed until the next call. Whoever goes on where the window ends gets more of what lies before
 * `end` at once: reading calls cost more than bytes do. */
static int see(struct sealed_walk *w, uint64_t offset, size_t size, uint64_t end,
               const uint8_t **out)
{
    uint64_t file_size = w->file->header.size, behind = w->window_at + w->window_size;
    if (offset > file_size || size > file_size - offset) {
        return ERR_MALFORMED;
    }
    if (!w->window_size || offset < w->window_at || offset + size > behind) {
        bool goes_on = w->window_size && offset >= w->window_at && offset <= behind;
        size_t most = offset < end && end - offset < WINDOW ? (size_t)(end - offset) : WINDOW,
               want = goes_on && offset < end && size < most ? most : size;
        uint8_t *bytes = need(w->bytes, &w->bytes_room, want);
        if (!bytes) {
            return ERR_NOMEM;
        }
        w->bytes = bytes;
        w->window_size = 0;
        int err = read_at(w->file, bytes, want, offset);
        if (err && want > size) { /* what lies behind may be damaged */
            want = size;
            err = read_at(w->file, bytes, want, offset);
        }
        if (err) {
            return err;
        }
        w->window_at = offset;
        w->window_size = want;
    }
    *out = w->bytes + (offset - w->window_at);
    return ERR_OK;
}

/* A group's head and its table, which are short more often than not. */
static int see_group(struct sealed_walk *w, uint64_t at, struct group *g, const uint8_t **table)
{
    uint64_t left = at < w->file->header.size ? w->file->header.size - at : 0;
    size_t guess = left < GROUP_GUESS ? (size_t)left : GROUP_GUESS;
    int err = guess < sizeof *g ? ERR_MALFORMED : see(w, at, guess, 0, table);
    if (err) {
        return err;
    }
    memcpy(g, *table, sizeof *g);
    if (!group_is_sound(g, at)) {
        return ERR_MALFORMED;
    }
    err = see(w, at, sizeof *g + g->size, 0, table);
    *table += err ? 0 : sizeof *g;
    return err;
}

static int load_group(struct sealed_walk *w)
{
    struct group g;
    const uint8_t *table;
    w->count = w->at = 0;
    w->table = w->groups[w->group++];
    int err = see_group(w, w->table, &g, &table);
    if (!err && g.crc != sealed_group_crc(&g, table)) {
        err = ERR_CHECKSUM;
    }
    struct block_entry *entries =
        err ? NULL : need(w->entries, &w->entry_room, g.blocks * sizeof *entries);
    if (!err && !entries) {
        err = ERR_NOMEM;
    }
    if (!err) {
        w->entries = entries;
        err = table_decode(w->scratch, (enum value_type)w->column.type, table, g.size, w->entries,
                           g.blocks);
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
    int err = see(w, e->offset, e->size, w->table, bytes);
    return err ? err : crc32c(0, *bytes, e->size) == e->crc ? ERR_OK : ERR_CHECKSUM;
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
