/* SPDX-License-Identifier: Apache-2.0 */
/* A sealed file: what one or more neighbouring raw segments held, as one compressed column per tag, with the notes
 * (gaps, events), and with its own catalogue of tags. The bytes: docs/journal-format.md, "Sealed files". It is written once, under
 * another name, and renamed when it is whole and durable; so whoever sees its name sees all of it. */
#ifndef ISTHMUS_HISTORY_SEALED_H
#define ISTHMUS_HISTORY_SEALED_H

#include "history/block.h"
#include "journal/disk.h"
#include "journal/folder.h"
#include "journal/frame.h"

#define SEALED_MAGIC   UINT64_C(0x314c4f4348545349) /* "ISTHCOL1" */
#define SEALED_VERSION 1u

enum sealed_flag {
    SEALED_IMPORTED = 1, /* did not come from a device of this gateway */
    SEALED_THINNED = 2   /* of some columns only the summaries are left */
};

struct sealed_header { /* at the start of the file */
    uint64_t magic;
    uint32_t version, crc; /* CRC-32C of all other bytes */
    uint64_t first_segment,
        last_segment; /* raw segments that it stands for; numbers of imports are their own */
    uint64_t first_sequence, end_sequence, epoch;
    int64_t created_ns;
    int64_t first_ns, last_ns;          /* source times of its samples; first > last: it has none */
    int64_t noted_from_ns, noted_to_ns; /* the engine's clock at its first and last frame */
    uint64_t samples, lost; /* lost: sequence numbers that were damaged in the raw segments */
    uint64_t columns_offset, notes_offset, catalogue_offset, blocks_offset, size;
    uint32_t columns, notes, note_chunks, catalogue_chunks;
    uint32_t flags, level; /* level: how often what is in it was merged */
    uint32_t revision;     /* how often it was written anew, for the same segments */
    uint8_t reserved[76];
};
_Static_assert(sizeof(struct sealed_header) == 256, "a sealed file's header is 256 bytes");

struct sealed_column { /* one per tag, ascending by id */
    uint32_t id;
    uint8_t type, thinned;
    uint16_t reserved;
    uint32_t crc; /* of this entry's other bytes */
    uint32_t blocks;
    uint64_t samples;
    uint64_t table;  /* where the last group's table begins */
    uint64_t groups; /* how many tables of up to SEALED_GROUP blocks */
    int64_t first_ns, last_ns;
    uint64_t bytes; /* of blocks and tables */
};
_Static_assert(sizeof(struct sealed_column) == 64, "an index entry is 64 bytes");

#define SEALED_GROUP 1024u /* blocks that share a table */

struct sealed_note { /* before the slots of its record */
    uint64_t sequence, epoch;
    int64_t now_ns; /* when it was journaled */
    uint32_t box, slots;
};

void sealed_name(const struct sealed_header *h, char out[SEALED_NAME_SIZE]);

/* ---- Writing. One thread. After the first error everything does nothing; sealed_finish tells. ---- */

struct sealed_writer;

/* `about` gives flags, level, segments, sequences, epoch, created_ns, noted times and lost; `columns`: at most so many will
 * come. The order of calls: notes, tags (ascending), columns (ascending). */
MUST_USE int sealed_create(struct sealed_writer **w, const struct disk *disk, int dir,
                           const struct sealed_header *about, uint32_t columns);
void sealed_add_note(struct sealed_writer *w, const struct sealed_note *note,
                     const struct slot *slots);
/* A catalogue entry with its texts. */
void sealed_add_tag(struct sealed_writer *w, const struct frame_tag *tag);
void sealed_begin(struct sealed_writer *w, uint32_t id, enum value_type type);
/* A sample, not before the one added last. `text` for text and bytes, of value.u64 bytes. */
void sealed_add(struct sealed_writer *w, const struct slot *sample, const uint8_t *text);
/* A block that another file holds, as it is; false: what was added before is not full yet, add the samples one by one.
 * With `bytes` NULL only its summary is kept. */
bool sealed_add_block(struct sealed_writer *w, const struct block_entry *entry,
                      const uint8_t *bytes);
void sealed_end(struct sealed_writer *w);
/* What it holds so far, and is going to cover. To be changed until sealed_finish. */
struct sealed_header *sealed_about(struct sealed_writer *w);
/* Makes it durable and gives it its name. Frees the writer, whatever happens; on an error nothing is left behind. */
MUST_USE int sealed_finish(struct sealed_writer *w);
void sealed_abandon(struct sealed_writer *w);

/* ---- Reading. ---- */

struct sealed {
    const struct disk *disk;
    int fd;
    struct sealed_header header;
};

/* Proves the header and that every region lies within the file. ERR_NOT_FOUND, ERR_MALFORMED, ERR_CHECKSUM, ERR_VERSION … */
MUST_USE int sealed_open(struct sealed *s, const struct disk *disk, int dir, const char *name);
/* The same of a file that is open already; the descriptor stays the caller's. */
MUST_USE int sealed_read_header(struct sealed *s, const struct disk *disk, int fd);
void sealed_close(struct sealed *s);
/* Entry `at` of the index: 0, ERR_CHECKSUM, ERR_IO. */
MUST_USE int sealed_column_at(const struct sealed *s, uint32_t at, struct sealed_column *out);
/* The column of a tag: ERR_NOT_FOUND if it has none. */
MUST_USE int sealed_find(const struct sealed *s, uint32_t id, struct sealed_column *out);

/* Notes and catalogue entries in their order. */
struct sealed_list {
    const struct sealed *file;
    uint64_t offset;
    uint32_t chunks_left, left; /* entries left in the one that is unpacked */
    uint8_t *packed, *bytes;    /* owned */
    size_t size, at;
};
MUST_USE int sealed_list_notes(struct sealed_list *l, const struct sealed *s);
MUST_USE int sealed_list_tags(struct sealed_list *l, const struct sealed *s);
void sealed_list_fini(struct sealed_list *l);
/* 1: the next, proven, borrowed until the next call; 0: the end; negative: the rest can't be read. */
MUST_USE int sealed_next_note(struct sealed_list *l, struct sealed_note *note,
                              const struct slot **slots);
MUST_USE int sealed_next_tag(struct sealed_list *l, struct frame_tag *tag, const char *texts[4]);

/* The blocks of one column, in order. */
struct sealed_walk {
    const struct sealed *file;
    struct block_scratch *scratch; /* borrowed */
    struct sealed_column column;
    uint64_t *groups; /* owned: where each group's table begins, ascending */
    uint32_t group, count,
        at; /* the next group; entries of the one that is loaded, and the next of them */
    struct block_entry *entries; /* owned */
    uint8_t *bytes;              /* owned: the file's bytes [window_at, window_at + window_size) */
    uint64_t window_at,
        table; /* table: where that of the group that is loaded lies, behind its blocks */
    size_t window_size;
    size_t bytes_room, group_room, entry_room; /* in bytes */
};
/* Stands at or before the first block that reaches `from_ns`, and before one with an earlier sample if there is any. A walk that
 * was opened before (else zeroed) keeps its memory: going through many columns allocates little. */
MUST_USE int sealed_walk_open(struct sealed_walk *w, const struct sealed *s,
                              struct block_scratch *scratch, const struct sealed_column *column,
                              int64_t from_ns);
void sealed_walk_fini(struct sealed_walk *w);
/* 1: the next block's entry, borrowed until the next call; 0: the end; negative: its table is damaged and its
 * group was stepped over: call again. */
MUST_USE int sealed_walk_next(struct sealed_walk *w, const struct block_entry **entry);
/* The block's bytes, their CRC proven; borrowed until the next call. */
MUST_USE int sealed_walk_bytes(struct sealed_walk *w, const struct block_entry *entry,
                               const uint8_t **bytes);
/* Decodes it. */
MUST_USE int sealed_walk_block(struct sealed_walk *w, const struct block_entry *entry,
                               unsigned parts, struct block *out);

#endif
