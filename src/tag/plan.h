/* SPDX-License-Identifier: Apache-2.0 */
/* The plan: the checked configuration as one flat, position-independent, read-only image. config/ builds it, every
 * process maps it (a box: only the part that concerns it). All references are byte offsets or indexes; plan_open
 * proves them once, so that the accessors need no checks. A million tags stay within 400 bytes each.
 *
 *   header │ zones │ conduits │ boxes │ devices │ tags (sorted by id) │ feeds │ feed tags │ writes │ write tags │ options │ code │ strings
 *
 * "Index" is the position in a table of this image: the same in the whole plan and in every part of it for boxes,
 * devices, zones and feeds (a part keeps these tables whole in length, with foreign entries blanked), so an index in
 * a journal frame means the same to everyone within one generation. Tags are found by id. */
#ifndef ISTHMUS_TAG_PLAN_H
#define ISTHMUS_TAG_PLAN_H

#include "base/err.h"
#include "tag/value.h"

#define PLAN_MAGIC   UINT32_C(0x4e4c5049) /* "IPLN" */
#define PLAN_VERSION 1u
#define PLAN_NONE    UINT32_MAX

typedef uint32_t plan_str; /* offset into the strings, each NUL-terminated; 0 is "" */

struct plan_table {
    uint32_t offset, count; /* bytes from the image's start; entries */
};

/* What happens when the journal's folder is at its limit: the oldest history goes, or first its raw samples (summaries
 * stay), or nothing new is taken. */
enum when_full { FULL_DROP_OLDEST = 1, FULL_THIN, FULL_STOP };

#define RETENTIONS_MAX 15u /* classes of tags beside those of no class */

enum journal_sync { SYNC_PERIOD = 1, SYNC_ALWAYS, SYNC_OS };

/* How long the history of a class of tags is kept. 0: without this limit. */
struct plan_retention {
    uint64_t raw_s;       /* age of samples, then only their summaries are kept … */
    uint64_t summaries_s; /* … until they are so old; not more than raw_s: none are kept */
    uint64_t bytes;       /* of the class in sealed files; the oldest goes first */
};

struct plan_header {
    uint32_t magic, version;
    uint64_t size;       /* of the image */
    uint64_t generation; /* rises with every applied configuration */
    struct plan_table zones, conduits, boxes, devices, tags, feeds, feed_tags, writes, write_tags,
        options, code, strings;
    plan_str name; /* of the gateway */
    plan_str description;
    plan_str state_dir;     /* journal and socket live below; absolute */
    uint32_t sync;          /* enum journal_sync */
    uint32_t sync_ms;       /* period of group commit */
    uint64_t journal_limit; /* bytes on disk */
    uint64_t segment_size;  /* bytes */
    uint64_t hold_bytes;    /* raw segments kept for feeds that are behind; 0: half of the limit */
    uint32_t when_full;     /* enum when_full */
    uint32_t retention_count;
    struct plan_retention retentions[RETENTIONS_MAX];
    uint32_t inhibit_tag; /* id of the key switch that inhibits writes; 0: there is none */
    uint32_t reserved;
    uint64_t flash_endurance; /* bytes that the disk is rated for (TBW); 0: not told */
};

struct plan_zone {
    plan_str name;
    uint32_t tag_count;
    uint64_t text_size; /* bytes of the now table's text area */
};

enum conduit_act { CONDUIT_READ = 1, CONDUIT_COMMAND = 2 };

/* The only way from callers in one zone to what lies in another (tag/conduit.h). */
struct plan_conduit {
    plan_str name;
    plan_str place;                  /* file:line that made it */
    uint32_t from, to;               /* zones */
    uint32_t acts;                   /* enum conduit_act bits */
    uint32_t first_glob, glob_count; /* options: key "tags"; 0: every tag of the zone */
    uint32_t reserved;
    int64_t until_ns; /* UTC; 0: for good */
};

enum box_kind { BOX_SOUTH = 1, BOX_NORTH };

struct plan_box {
    plan_str name;   /* unique */
    plan_str module; /* driver or service: "modbus", "http", "sparkplug" */
    plan_str place;  /* file:line that made it, of a service */
    uint32_t kind;   /* enum box_kind; 0: blanked in this part */
    uint32_t zone;   /* in which its callers lie, of a north box; PLAN_NONE: in every one */
    uint32_t first_option, option_count;
    uint32_t tag_count;     /* of its devices */
    uint32_t ring_capacity; /* slots of its ring to the engine (power of two) */
    uint32_t first_address,
        address_count; /* options table: key "connect" or "bind", value "ip:port" (port * = any); "read", a path; "group", guard/vouch.h */
};

struct plan_device {
    plan_str name; /* unique */
    plan_str description;
    uint32_t box, zone;
    uint32_t first_option, option_count; /* the driver's options */
    uint32_t first_tag, tag_count;       /* in the device's order: see plan_tag.device_order */
    uint32_t period_ms;                  /* what samples are expected at; 0: not periodic */
    uint32_t blanked;
};

enum deadband_kind { DEADBAND_NONE, DEADBAND_ABSOLUTE, DEADBAND_PERCENT };

struct plan_tag {
    uint32_t id; /* permanent, 1..SLOT_ID_MAX */
    plan_str path, unit, description;
    plan_str address; /* in the driver's words */
    uint32_t device, box, zone;
    uint32_t zone_index;  /* entry in the zone's now table */
    uint32_t text_offset; /* in the zone's text area; for long types */
    uint32_t asset_type;  /* plan_str: name of the type it was made from, 0: none */
    uint16_t max_length;  /* bytes of a text or bytes value */
    uint8_t type;         /* enum value_type, after scaling */
    uint8_t raw_type;     /* enum value_type, what the driver delivers */
    uint8_t deadband_kind;
    uint8_t has_range, has_scale;
    uint8_t asset_levels; /* of the path, those that name the asset; 0: it was listed on its own */
    uint8_t retention;    /* class + 1; 0: none */
    double scale, offset; /* value = raw * scale, then + offset */
    double low, high;     /* range, in the unit */
    double deadband;      /* in the unit, or in percent of high - low */
};

/* Whether a contract has taken effect: its owner and its custodian have signed its present terms. */
enum feed_effect {
    FEED_TRIAL,   /* nobody needs to: there are no keys, and its service stays on this machine */
    FEED_SIGNED,  /* both have */
    FEED_PARTLY,  /* both have signed earlier terms; tags that are as they were are delivered */
    FEED_UNSIGNED /* nothing is delivered */
};

struct plan_signature { /* under the present terms, or the earlier ones that are partly in effect */
    plan_str by, key;   /* key: its id, as in the signature's file */
    int64_t at_ns;      /* 0: there is none */
    uint32_t throw_away;
    uint32_t reserved;
};

enum { FEED_OWNER, FEED_CUSTODIAN, FEED_SIDES };

/* A feed is a contract plus a sink. The tags that it may not deliver now are not among its tags: nobody who delivers can. */
struct plan_feed {
    plan_str name, purpose, owner, custodian;
    plan_str classification, retention, returns;
    plan_str missing;                /* why it is not wholly in effect, for people; "": it is */
    uint32_t box;                    /* the north box that delivers it */
    uint32_t first_tag, tag_count;   /* in feed_tags: ids, ascending */
    uint32_t first_held, held_count; /* likewise: of the contract, and not delivered */
    uint32_t live_first;             /* 1: live at once after an outage, backlog behind */
    uint32_t freshness_ms;
    uint32_t effect;     /* enum feed_effect */
    double completeness; /* percent promised; 0: none */
    struct plan_signature signatures[FEED_SIDES];
    uint8_t digest[32]; /* of its present terms (guard/terms.h) */
};

#define PLAN_HOURS_MAX 4u

struct
    plan_hours { /* of the gateway's own time zone; to = 1440 is midnight; from > to runs over midnight */
    uint16_t from_minute, to_minute;
    uint8_t days; /* bit 0 is Monday: on which `from` lies */
    uint8_t reserved[3];
};

/* A write contract: what OT allows to be written, to whom, and how. Without one a tag can't be written. */
struct plan_write {
    plan_str name, owner;
    plan_str place; /* file:line that made it */
    plan_str permissive;
    uint32_t code, code_size;      /* of the permissive, bytes in the code table; size 0: none */
    uint32_t first_tag, tag_count; /* in write_tags: ids, ascending; a tag is in one contract */
    uint32_t first_caller,
        caller_count; /* options: key "caller" or "approver", value as in `isthmus access` */
    uint32_t heartbeat, presence; /* tag ids; 0: none */
    uint32_t rate_count, rate_ms; /* at most so many writes of a tag in that time; 0: any */
    uint32_t approval_ms;         /* a second person has so long to approve; 0: none is needed */
    uint32_t lease_ms;            /* 0: the value stays */
    uint32_t readback_ms;
    uint32_t hour_count;
    struct plan_hours hours[PLAN_HOURS_MAX];
    uint64_t lifetime; /* writes of a tag, for ever; 0: any */
    double low, high;  /* in the tag's unit */
    double step;       /* largest change; 0: any */
    double revert;     /* value at the lease's end */
    double tolerance;  /* of read-back, in the unit */
};

struct plan_option {
    plan_str key, value;
};

/* A proven image. Borrowed: stays mapped as long as the plan is used. */
struct plan {
    const uint8_t *image;
    const struct plan_header *header;
    const struct plan_zone *zones;
    const struct plan_conduit *conduits;
    const struct plan_box *boxes;
    const struct plan_device *devices;
    const struct plan_tag *tags;
    const struct plan_feed *feeds;
    const uint32_t *feed_tags;
    const struct plan_write *writes;
    const uint32_t *write_tags;
    const struct plan_option *options;
    const uint8_t *code;
    const char *strings;
};

/* Proves and opens an image. ERR_MALFORMED, ERR_VERSION, ERR_SHORT. */
MUST_USE int plan_open(struct plan *plan, const void *image, size_t size);

static inline const char *plan_text(const struct plan *plan, plan_str s)
{
    return plan->strings + s;
}

/* The tag with that id, or NULL. Binary search. */
const struct plan_tag *plan_find_tag(const struct plan *plan, uint32_t id);
/* The tag at that path, or NULL. Linear: for tests and tools, not for the sample path. */
const struct plan_tag *plan_find_path(const struct plan *plan, const char *path);
/* The write contract of a tag; NULL: it can't be written. */
const struct plan_write *plan_find_write(const struct plan *plan, uint32_t tag);
uint32_t plan_find_box(const struct plan *plan, const char *name); /* PLAN_NONE: no such */
uint32_t plan_find_device(const struct plan *plan, const char *name);

/* The value of an option among `count` from `first`, or NULL. */
const char *plan_option(const struct plan *plan, uint32_t first, uint32_t count, const char *key);

/* The part of the plan that box `box` may know, as a new image (owned, free()): south: its devices and their tags;
 * north: the tags of its feeds (a service with option scope = all: every tag) as far as conduits let it read them at that time. 0 or
 * ERR_NOMEM. */
MUST_USE int plan_part(const struct plan *plan, uint32_t box, int64_t utc_ns, void **image,
                       size_t *size);

#endif
