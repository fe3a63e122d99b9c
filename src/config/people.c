/* SPDX-License-Identifier: Apache-2.0 */
/* people: which role whoever signs in by a provider has, by his groups there; and what a provider's service needs beside its
 * options. The first line whose group a person is in counts, so their order is kept. */
#include "config/load.h"

#include "box/reach.h"
#include "box/strict_file.h"
#include "guard/accounts.h"
#include "guard/vouch.h"

#include <stdlib.h>
#include <string.h>

const struct field people_fields[] = {{"provider", true}, {"group", true},        {"role", true},
                                      {"zones", false},   {"description", false}, {0}};

/* Adds a zone's name to the list in `out`, "" at first. */
static void add_zone(struct load *l, const struct node *at, const char *name, char out[ZONES_SIZE])
{
    size_t had = strlen(out), size = strlen(name);
    size_t before = l->tree.error_count;
    (void)load_zone(l, at, name);
    if (l->tree.error_count > before) {
        return;
    }
    if (had + size + 2 > ZONES_SIZE) {
        node_problem(&l->tree, at, "name fewer", "these are too many zones");
        return;
    }
    if (had) {
        out[had++] = ',';
    }
    memcpy(out + had, name, size + 1);
}

/* "a,b" of a list or of a single name; "*": all. */
static void read_zones(struct load *l, const struct node *n, char out[ZONES_SIZE])
{
    const struct node *zones = node_get(n, "zones");
    memset(out, 0, ZONES_SIZE);
    if (!zones) {
        strcpy(out, "*");
    } else if (zones->kind == NODE_SCALAR) {
        add_zone(l, zones, zones->text, out);
    }
    for (const struct node *z = zones && zones->kind == NODE_LIST ? zones->child : NULL; z;
         z = z->next) {
        if (z->kind == NODE_SCALAR) {
            add_zone(l, z, z->text, out);
        }
    }
    if (!out[0] || (*out != '*' && !zones_are_good(out))) {
        node_problem(&l->tree, zones, "write [line-1, line-2], or leave zones away for all",
                     "these are no zones: one to eight of them");
    }
}

/* As it is written: services are loaded later. */
static bool is_provider(struct load *l, const char *name)
{
    const struct node *list = node_get(l->root, "services");
    for (const struct node *n = list ? list->child : NULL; n; n = n->next) {
        const struct node *own = n->kind == NODE_MAP ? node_get(n, "name") : NULL;
        const struct node *module = own ? node_get(n, "module") : NULL;
        if (module && own->text && module->text && !strcmp(own->text, name) &&
            !strcmp(module->text, VOUCH_MODULE)) {
            return true;
        }
    }
    return false;
}

static bool check_role(struct load *l, const struct node *n, const char *role)
{
    uint32_t number = role_from_name(role, strlen(role));
    if (!number) {
        node_problem(&l->tree, node_get(n, "role"),
                     "there are viewer, operator, engineer, custodian, security and administrator",
                     "no role is called '%s'", role);
    } else if (number == ROLE_VENDOR) {
        node_problem(&l->tree, node_get(n, "role"), "isthmus user add NAME --role vendor --until …",
                     "a vendor is a guest with an end: make an account on the gateway");
    }
    return number && number != ROLE_VENDOR;
}

static void load_person(struct load *l, const struct node *n)
{
    char zones[ZONES_SIZE];
    const char *provider = field_text(l, n, "provider", NULL);
    const char *group = field_text(l, n, "group", NULL), *role = field_text(l, n, "role", NULL);
    check_fields(l, n, "a line of people", people_fields, NULL);
    if (!provider || !group || !role) {
        return;
    }
    read_zones(l, n, zones);
    if (!is_provider(l, provider)) {
        node_problem(&l->tree, node_get(n, "provider"),
                     "write the name of a service with module: " VOUCH_MODULE,
                     "no provider of sign-ins is called '%s'", provider);
    } else if (!*group) {
        node_problem(&l->tree, node_get(n, "group"), "write it as the provider does",
                     "a group has a name");
    } else if (check_role(l, n, role)) {
        l->people[l->people_count++] =
            (struct load_person){provider, tree_print(&l->tree, "%s %s %s", role, zones, group)};
    }
}

void load_people(struct load *l)
{
    const struct node *list = node_get(l->root, "people");
    size_t count = 1;
    for (const struct node *n = list ? list->child : NULL; n; n = n->next) {
        count++;
    }
    l->people = calloc(count, sizeof *l->people);
    if (!l->people) {
        l->tree.no_memory = true;
        return;
    }
    load_each(l, "people", load_person);
}

/* ---- The service ---- */

/* "https://host[:port][/path]"; http only to this machine. */
static void check_issuer(struct load *l, const struct node *n)
{
    const struct node *at = node_get(n, "issuer"), *address = node_get(n, "address");
    const char *text = at && at->kind == NODE_SCALAR ? at->text : NULL;
    bool https = text && !strncmp(text, "https://", 8);
    bool http = text && !strncmp(text, "http://", 7);
    if (!text) {
        return;
    }
    if (!https && !http) {
        node_problem(&l->tree, at, "write it as the provider's documents do: https://login.example",
                     "'%s' is no issuer", text);
    } else if (strpbrk(text, "?# \t@") || !text[https ? 8 : 7]) {
        node_problem(&l->tree, at, "write https://HOST/PATH",
                     "an issuer has neither query nor fragment: '%s'", text);
    } else if (http && address && address->text && !reach_is_loopback(address->text)) {
        node_problem(&l->tree, at, "write https://…", "what goes over a network needs TLS: '%s'",
                     text);
    }
}

/* What may be right tomorrow keeps no gateway from starting. */
static void check_secret(struct load *l, const struct node *n)
{
    const struct node *at = node_get(n, "secret_file");
    char *text = malloc(STRICT_FILE_MAX + 1), why[512];
    l->tree.no_memory |= !text;
    if (text && at && at->kind == NODE_SCALAR && *at->text &&
        strict_file_read(at->text, true, text, why, sizeof why) < 0) {
        (l->assign ? node_warning : node_problem)(
            &l->tree, at, "its first line is the secret that the provider gave for client_id", "%s",
            why);
    }
    if (text) {
        explicit_bzero(text, STRICT_FILE_MAX + 1);
    }
    free(text);
}

void load_provider(struct load *l, const struct node *n, const char *name, struct plan_box *box)
{
    uint32_t count = 0;
    check_issuer(l, n);
    check_secret(l, n);
    for (size_t i = 0; i < l->people_count; i++) {
        const struct load_person *p = l->people + i;
        if (!strcmp(p->provider, name)) {
            uint32_t at = plan_build_option(l->plan, VOUCH_GROUP_KEY, p->text);
            box->first_address = box->address_count++ ? box->first_address : at;
            count++;
        }
    }
    if (count > VOUCH_GROUPS) {
        node_problem(&l->tree, node_get(l->root, "people"),
                     "give several one group at the provider", "'%s' has more than %u groups", name,
                     VOUCH_GROUPS);
    } else if (!count) {
        node_warning(&l->tree, node_get(n, "name"),
                     tree_print(&l->tree, "people: [{provider: %s, group: …, role: viewer}]", name),
                     "nobody can sign in by '%s': no group of it has a role", name);
    }
}
