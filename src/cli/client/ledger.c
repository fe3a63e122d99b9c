/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger as a table. Whether it balances the gateway says itself; here is compared, besides, what the gap records
 * explain with what is missing. */
#include "cli/client/client.h"

#include <string.h>

#define TRIES 5 /* a gap may be counted between two questions */

struct ledger {
    json_t *tags, *causes, *feeds; /* owned replies */
    json_t *named;                 /* owned: the tags shown, as keys */
    json_int_t explained;          /* of the gaps */
    bool balanced;
};

static void forget(struct ledger *l)
{
    json_decref(l->tags);
    json_decref(l->causes);
    json_decref(l->feeds);
    json_decref(l->named);
    *l = (struct ledger){0};
}

static bool is_shown(const struct ledger *l, const json_t *cause)
{
    const char *tag = json_string_value(json_object_get(cause, "tag"));
    return !tag || json_object_get(l->named, tag);
}

static json_t *ask_tags(const struct client *c, int *status)
{
    char target[2048] = "/api/v1/ledger?";
    bool fits = true;
    if (c->feed) {
        strcat(target, "feed=");
        fits = client_escape(target, sizeof target - 8, c->feed);
    }
    if (c->argument_count) {
        strcat(target, c->feed ? "&tags=" : "tags=");
        fits = fits && client_escape(target, sizeof target, c->arguments[0]);
    }
    *status = CLI_USAGE;
    return fits ? client_get(c, target, status) : NULL;
}

/* Leaves out what was not asked for, and adds up what is left. */
static void choose(const struct client *c, struct ledger *l)
{
    json_t *o;
    size_t i = 0;
    l->named = json_object();
    json_array_foreach(json_object_get(l->tags, "tags"), i, o)
    {
        json_object_set(l->named, text_of(o, "tag"), json_true());
    }
    l->balanced = json_is_true(json_object_get(json_object_get(l->tags, "total"), "balanced"));
    json_t *feeds = json_object_get(l->feeds, "feeds");
    for (i = json_array_size(feeds); i-- > 0;) {
        o = json_array_get(feeds, i);
        if (c->feed ? strcmp(text_of(o, "contract"), c->feed) != 0 : c->argument_count > 0) {
            json_array_remove(feeds, i);
        } else {
            l->balanced &= json_is_true(json_object_get(o, "balanced"));
        }
    }
    json_t *causes = json_object_get(l->causes, "causes");
    for (i = json_array_size(causes); i-- > 0;) {
        o = json_array_get(causes, i);
        if (is_shown(l, o)) {
            l->explained += json_integer_value(json_object_get(o, "produced"));
        } else {
            json_array_remove(causes, i);
        }
    }
}

static json_int_t unexplained(const struct ledger *l)
{
    const json_t *total = json_object_get(l->tags, "total");
    json_int_t gaps = json_integer_value(json_object_get(total, "gaps"));
    return gaps > l->explained ? gaps - l->explained : 0;
}

static int ask_all(const struct client *c, struct ledger *l)
{
    int status = CLI_OK;
    for (int i = 0; i < TRIES && (i == 0 || unexplained(l)); i++) {
        forget(l);
        l->tags = ask_tags(c, &status);
        l->causes = l->tags ? client_get(c, "/api/v1/ledger/causes", &status) : NULL;
        l->feeds = l->causes ? client_get(c, "/api/v1/feeds", &status) : NULL;
        if (!l->feeds) {
            return status;
        }
        choose(c, l);
    }
    if (c->argument_count && !json_object_size(l->named)) {
        return say_no_match("ledger", c->arguments[0]);
    }
    return CLI_OK;
}

static const char *whole(char out[32], const json_t *o, const char *key)
{
    return number_of(out, o, key, 1, "%.0f");
}

static const char *yes_no(const json_t *o)
{
    return json_is_true(json_object_get(o, "balanced")) ? "yes" : "NO";
}

static void add_account(struct table *t, const char *name, const json_t *o)
{
    char n[5][32];
    table_row(t, 7, name, whole(n[0], o, "produced"), whole(n[1], o, "journaled"),
              whole(n[2], o, "suppressed"), whole(n[3], o, "rejected"), whole(n[4], o, "gaps"),
              yes_no(o));
}

static void print_tags(const struct client *c, const struct ledger *l)
{
    struct table t = {0};
    char all[64];
    size_t i;
    json_t *o, *tags = json_object_get(l->tags, "tags");
    table_row(&t, 7, "TAG", "PRODUCED", "JOURNALED", "SUPPRESSED", "REJECTED", "GAPS", "BALANCES");
    if (c->feed || c->argument_count) {
        json_array_foreach(tags, i, o)
        {
            add_account(&t, text_of(o, "tag"), o);
        }
    }
    snprintf(all, sizeof all, "%zu tags", json_array_size(tags));
    add_account(&t, all, json_object_get(l->tags, "total"));
    table_print(&t, c->colour);
}

static const char *concern(const json_t *cause)
{
    static const char *const keys[] = {"tag", "device", "box"};
    for (size_t i = 0; i < 3; i++) {
        const char *text = text_of(cause, keys[i]);
        if (*text) {
            return text;
        }
    }
    return "all";
}

static void print_causes(const struct client *c, const struct ledger *l)
{
    struct table t = {0};
    size_t i;
    json_t *o, *causes = json_object_get(l->causes, "causes");
    if (!json_array_size(causes)) {
        return;
    }
    table_row(&t, 7, "CAUSE", "CONCERNS", "GAPS", "NEVER MADE", "RECORDS", "FROM", "TO");
    json_array_foreach(causes, i, o)
    {
        char n[3][32], from[24], to[24];
        snprintf(from, sizeof from, "%.19s", text_of(o, "from"));
        snprintf(to, sizeof to, "%.19s", text_of(o, "to"));
        table_row(&t, 7, text_of(o, "cause"), concern(o), whole(n[0], o, "produced"),
                  whole(n[1], o, "missed"), whole(n[2], o, "records"), from, to);
    }
    putchar('\n');
    table_print(&t, c->colour);
}

static void print_feeds(const struct client *c, const struct ledger *l)
{
    struct table t = {0};
    size_t i;
    json_t *o, *feeds = json_object_get(l->feeds, "feeds");
    if (!json_array_size(feeds)) {
        return;
    }
    table_row(&t, 8, "FEED", "TO", "JOURNALED", "DELIVERED", "PENDING", "GAPS", "SINCE",
              "BALANCES");
    json_array_foreach(feeds, i, o)
    {
        char n[4][32], since[24];
        snprintf(since, sizeof since, "%.19s", text_of(o, "since"));
        table_row(&t, 8, text_of(o, "contract"), text_of(o, "service"), whole(n[0], o, "journaled"),
                  whole(n[1], o, "delivered"), whole(n[2], o, "pending"), whole(n[3], o, "gaps"),
                  since, yes_no(o));
    }
    putchar('\n');
    table_print(&t, c->colour);
}

static void print_ledger(const struct client *c, const struct ledger *l)
{
    const char *since = text_of(l->tags, "since");
    if (*since) {
        printf("since %.19sZ, in samples\n\n", since);
    }
    print_tags(c, l);
    print_causes(c, l);
    print_feeds(c, l);
    if (unexplained(l)) {
        printf("\n%" JSON_INTEGER_FORMAT
               " of the gaps are told by no record that the journal still has\n",
               unexplained(l));
    }
    printf("\n%s\n", l->balanced ? "balances: every sample is accounted for" : "DOES NOT BALANCE");
}

int client_ledger(const struct client *c)
{
    struct ledger l = {0};
    int status = ask_all(c, &l);
    if (status == CLI_OK && c->json) {
        json_t *all = json_object();
        static const char *const keys[] = {"since", "total", "tags"};
        for (size_t i = 0; i < 3; i++) {
            json_object_set(all, keys[i], json_object_get(l.tags, keys[i]));
        }
        json_object_set(all, "causes", json_object_get(l.causes, "causes"));
        json_object_set(all, "feeds", json_object_get(l.feeds, "feeds"));
        json_object_set_new(all, "unexplained", json_integer(unexplained(&l)));
        json_object_set_new(all, "balanced", json_boolean(l.balanced));
        print_json(all);
        json_decref(all);
    } else if (status == CLI_OK) {
        print_ledger(c, &l);
    }
    status = status == CLI_OK && !l.balanced ? CLI_FAILED : status;
    forget(&l);
    return status;
}
