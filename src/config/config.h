/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration folder → a checked plan. Finds every mistake in one pass. */
#ifndef ISTHMUS_CONFIG_CONFIG_H
#define ISTHMUS_CONFIG_CONFIG_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct config_problem {
    const char *file;     /* relative to the folder */
    int line, column;     /* from 1; 0: the file as a whole */
    int warning;          /* 1: worth a look; 0: an error */
    const char *text;     /* what is wrong, with the offending text */
    const char *proposal; /* what to do; may be "" */
};

struct config_contract {
    char *name, *terms; /* owned: the terms' canonical text (guard/terms.h), without a NUL */
    size_t terms_size;
    uint8_t digest[32];
};

struct config_key { /* of somebody who may sign contracts */
    char *name;     /* owned */
    int role;       /* enum signature_role */
    uint8_t public_key[32];
    int throw_away;
};

struct config_result {
    struct config_problem *problems; /* sorted by file, line, column */
    size_t problem_count, error_count;
    void *image; /* the plan; NULL when error_count > 0 */
    size_t image_size;
    /* what it describes, for people */
    size_t devices, tags, services, contracts, keys;
    struct config_contract *contract; /* those of services that run; in their order in the files */
    struct config_key *key;
};

/* Reads the folder. `assign` != 0: permanent ids of new tags are written to the id registry of the state folder
 * (run); 0: nothing is written anywhere (check). 0 even when there are problems; ERR_NOMEM, ERR_IO, ERR_NOT_FOUND. */
MUST_USE int config_load(const char *dir, int assign, struct config_result *result);
/* The same configuration, with history in the place of its devices (src/south/replay): one box plays the tags of all. What is played was scaled
 * and thinned out by deadbands already. Ids of new tags are written, as for a run. */
struct config_replay {
    const char *source;            /* folder of a journal whose ids are those of the state folder */
    const char *from, *to, *speed; /* as the driver takes them */
    const char *listen;            /* instead of every service's own; NULL: those */
    int north; /* 0: only services of module http are there, with their contracts */
};
MUST_USE int config_load_replay(const char *dir, const struct config_replay *replay,
                                struct config_result *result);
void config_free(struct config_result *result);

/* The JSON Schema (2020-12) of a YAML file of the folder: made from the tables that check it, and from the option tables
 * of all drivers and services that are found. */
struct json;
void config_schema(struct json *j);

#endif
