/* SPDX-License-Identifier: Apache-2.0 */
/* What every process of a gateway runs, once it is forked. */
#ifndef ISTHMUS_BOX_BOX_H
#define ISTHMUS_BOX_BOX_H

#include "box/gateway.h"
#include <isthmus/driver.h>

/* The body of a box: loads the module, locks the process in, runs the loop until told to stop (SIGTERM). Returns the
 * exit status. south.c hosts drivers (include/isthmus/driver.h), north.c hosts services (box/service.h). */
int box_south_main(struct gateway *g, uint32_t box);
int box_north_main(struct gateway *g, uint32_t box);

/* The keeper: makes the gateway, forks the supervisor, revives it when it dies, ends with it. `engine` and `reader`
 * are the bodies of those processes (passed in so that box/ needs no include of theirs). */
typedef int seat_main(struct gateway *g);
struct middle { /* the bodies of its processes, by seat */
    seat_main *main[SEAT_BOX];
    bool (*is_done)(
        struct gateway
            *g); /* asked five times a second; true stops the gateway in order; NULL: never */
};
int keeper_run(struct gateway *g, const struct middle *middle);

/* Modules: NAME.so in $ISTHMUS_MODULES, beside the executable (build tree), or in the installed library folder.
 * The module's table, or NULL with the reason. The handle stays open for the process's life. */
struct service;
const struct isthmus_driver *module_driver(const char *name, char *why, size_t why_size);
/* The function `symbol` of module `name` of `side` ("south", "north", "cli"), or NULL with the reason. */
void *module_symbol(const char *name, const char *side, const char *symbol, char *why,
                    size_t why_size);
/* The names of what lies where modules of `side` are looked for, each once, sorted; not all of it need be of that side.
 * Returns how many. */
#define MODULE_NAME_SIZE 64
size_t module_names(const char *side, char (*names)[MODULE_NAME_SIZE], size_t capacity);
const struct service *module_service(const char *name, char *why, size_t why_size);

/* Checks option texts against a table: fills settings (owned, free()). 0, or ERR_CONFIG with `why` and the index of the
 * offending pair in *bad (or SIZE_MAX when an option is missing). The one parser of options for check and boxes. */
struct option_pair {
    const char *key, *value;
};
MUST_USE int options_parse(const struct isthmus_option *table, const struct option_pair *pairs,
                           size_t count, struct isthmus_setting **settings, size_t *setting_count,
                           size_t *bad, char *why, size_t why_size);

#endif
