/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the loader share: the tree, the plan under construction, and what was declared so far. */
#ifndef ISTHMUS_CONFIG_LOAD_H
#define ISTHMUS_CONFIG_LOAD_H

#include "base/amount.h"
#include "box/box.h"
#include "config/ids.h"
#include "config/tree.h"
#include "tag/plan_build.h"

struct named { /* a thing that others refer to by name */
    const char *name;
    const struct node *node;
};

struct load_box {
    const char *name;
    const struct node *node; /* of a service; NULL: of devices */
    const char *module;      /* of a service, as the rest: */
    const char *to;          /* the addresses that it connects to, as they are written */
    const char *away;        /* one of its addresses that is not on loopback; NULL: all are */
    uint32_t zone;
};

struct load_key { /* of somebody who may sign contracts */
    const char *name;
    int role; /* enum signature_role */
    uint8_t public_key[32];
    bool throw_away;
};

struct load_device {
    const char *name;
    const struct node *node;
    const struct isthmus_driver *driver; /* NULL: could not be loaded (reported) */
    uint32_t index, zone, box;
};

struct load_tag {
    struct plan_tag tag; /* without id */
    const char *path, *address;
    const struct node *node; /* where it was declared: for messages */
};

struct load_retention { /* a class of tags */
    const struct node *globs;
    bool *matched; /* owned: per glob */
};

struct load_write {
    uint32_t tag; /* id */
    const char *contract;
};

struct load_person {             /* a line of people */
    const char *provider, *text; /* text: as it lies in the plan (guard/vouch.h) */
};

struct load_conduit {
    struct plan_conduit plan;
    const struct node *globs; /* NULL: every tag of the zone */
};

struct config_contract;
struct config_replay;

struct load {
    const char *dir;
    const struct config_replay *replay; /* NULL: the devices themselves */
    struct tree tree;
    struct node *root; /* one map: all files' sections */
    struct plan_build *plan;
    struct named *zones;
    struct load_box *boxes;
    size_t zone_count, box_count, service_count;
    struct load_key *keys; /* owned */
    size_t key_count;
    struct load_person *people; /* owned */
    size_t people_count;
    struct load_device *devices;
    size_t device_count;
    struct load_tag *tags;
    size_t tag_count, tag_capacity;
    struct config_contract *contracts; /* owned, given to the result */
    size_t contract_count;
    struct load_conduit *conduits; /* owned */
    size_t conduit_count;
    struct load_retention retentions[RETENTIONS_MAX];
    struct load_write *writes; /* owned: tags that some write contract speaks for */
    size_t write_count;
    const char *state_dir;
    int assign;
};

/* Helpers of all sections. */
struct field { /* a table per section; ends with name == NULL */
    const char *name;
    bool required;
};
extern const struct field gateway_fields[], journal_fields[], zone_fields[], conduit_fields[],
    device_fields[], tag_fields[], type_fields[], retention_fields[], asset_fields[],
    service_fields[], contract_fields[], write_fields[], key_fields[], people_fields[];
/* Reports missing fields, and unknown ones (not in the table nor, when given, in `options`), with the nearest known. */
void check_fields(struct load *l, const struct node *map, const char *what,
                  const struct field *fields, const struct isthmus_option *options);
/* The field's text; `fallback` when it is absent; reports a list or map where a text belongs. */
const char *field_text(struct load *l, const struct node *map, const char *key,
                       const char *fallback);
bool field_number(struct load *l, const struct node *map, const char *key, double *out);
/* Names may hold letters, digits, '-', '_', '.'; reports and gives false otherwise. */
bool check_name(struct load *l, const struct node *at, const char *name);

/* Calls `one` for each map of a section that is a list. */
void load_each(struct load *l, const char *section,
               void (*one)(struct load *, const struct node *));

/* Each section. They go on after an error, so that all errors are found in one pass. */
void load_gateway(struct load *l);                      /* settings.c: gateway, journal */
void load_zones(struct load *l);                        /* zones.c */
void load_conduits(struct load *l);                     /* zones.c, after the zones */
void load_retentions(struct load *l);                   /* retention.c: before the tags … */
uint8_t retention_of(struct load *l, const char *path); /* … for each of them: class + 1 or 0 … */
void check_retentions(struct load *l);                  /* … and after them */
void load_devices(struct load *l);                      /* devices.c: devices and their boxes */
void load_tags(struct load *l);                         /* tags.c: tags, types, assets */
void load_people(struct load *l);                       /* people.c: before the services */
void load_services(struct load *l);                     /* services.c */
void load_keys(struct load *l);                         /* keys.c: who may sign contracts */
void load_contracts(struct load *l);                    /* contracts.c */
void load_writes(struct load *l);                       /* writes.c: write contracts */

/* While history is played back, and nobody asked for that service too. */
bool service_is_left_out(struct load *l, const char *service);
/* listen.c: whether a service may listen there, with a problem noted if not; and what TLS needs: checked, and what is not given
 * filled in, before its options are loaded. */
void check_listener(struct load *l, const struct node *n, const struct isthmus_option *table,
                    const char *listen);
void load_tls(struct load *l, const struct node *n, const struct isthmus_option *table);
/* Whether a service may carry the audit to that address. */
void check_audit_way(struct load *l, const struct node *n, const struct isthmus_option *table,
                     const char *address);

/* people.c: who may sign in by the service, and what it needs beside its options. */
void load_provider(struct load *l, const struct node *n, const char *name, struct plan_box *box);

/* A file's path: absolute, seen from the folder; "credential:NAME" is one that systemd hands to the unit. */
const char *load_path(struct load *l, const char *path);
uint32_t load_zone(struct load *l, const struct node *at, const char *name);
/* Whether callers in the zone may always read the tag. */
bool load_may_read(const struct load *l, uint32_t zone, const struct load_tag *t);
/* Adds options (and the addresses among them) of a device or service to the plan. */
struct plan_range {
    uint32_t first, count;
};
struct plan_range load_options(struct load *l, const struct node *map, const char *what,
                               const struct isthmus_option *table, struct node **addresses,
                               size_t address_capacity, size_t *address_count);

#endif
