/* SPDX-License-Identifier: Apache-2.0 */
/* Where a service may listen: on loopback as it likes, beyond it only with TLS and for those who have signed in. A combination of
 * settings that contradicts itself is a mistake. The files' own state is one for `check`; a gateway starts all the same, for
 * a certificate must stop no plant: the service then says why it can't, and comes up by itself when the file is right. */
#include "config/load.h"

#include "base/clock.h"
#include "box/reach.h"
#include "box/strict_file.h"
#include "guard/certificate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Options that mean something with TLS only, and the file in STATE/pki that stands in for the first ones. */
static const struct {
    const char *name, *file;
} tls_options[] = {{"cert", "gateway.crt"}, {"key", "gateway.key"}, {"client_ca", "root.crt"},
                   {"crl", "root.crl"},     {"names", NULL},        {"client_certs", NULL}};
#define OWN         "isthmus pki enrol makes the gateway's own key and asks for its certificate"
#define TLS_FILES   4u
#define TLS_OPTIONS (sizeof tls_options / sizeof *tls_options)

static const char *given(const struct node *n, const char *name)
{
    const struct node *field = node_get(n, name);
    return field && field->kind == NODE_SCALAR && *field->text ? field->text : NULL;
}

static bool is_given_as(const struct node *n, const char *name, const char *value)
{
    const char *text = given(n, name);
    return text && !strcmp(text, value);
}

static bool is_wildcard(const char *address)
{
    return !strncmp(address, "0.0.0.0:", 8) || !strncmp(address, "[::]:", 5);
}

static bool has_option(const struct isthmus_option *table, const char *name)
{
    while (table->name && strcmp(table->name, name) != 0) {
        table++;
    }
    return table->name != NULL;
}

static void check_names(struct load *l, const struct node *at)
{
    char name[CERTIFICATE_NAME_MAX];
    const char *names = at ? at->text : "";
    while (certificate_next_name(&names, name)) {
        if (!certificate_name_is_good(name)) {
            node_problem(&l->tree, at, "write host names or addresses, with commas between them",
                         "'%s' is neither a host name nor an address", name);
        }
    }
    if (*names) {
        node_problem(&l->tree, at, "write a shorter one", "a name is too long");
    }
}

static bool check_combination(struct load *l, const struct node *n)
{
    size_t before = l->tree.error_count;
    bool tls = is_given_as(n, "tls", "true");
    bool asks = given(n, "client_certs") && !is_given_as(n, "client_certs", "none");
    for (size_t i = 0; !tls && i < TLS_OPTIONS; i++) {
        if (given(n, tls_options[i].name)) {
            node_problem(
                &l->tree, node_get(n, tls_options[i].name),
                tree_print(&l->tree, "add tls: true, or take %s away", tls_options[i].name),
                "without TLS '%s' means nothing", tls_options[i].name);
        }
    }
    if (tls && !given(n, "cert") != !given(n, "key")) {
        const char *there = given(n, "cert") ? "cert" : "key",
                   *missing = *there == 'c' ? "key" : "cert";
        node_problem(&l->tree, node_get(n, there), tree_print(&l->tree, "add %s: FILE", missing),
                     "'cert' and 'key' go together, and '%s' is missing", missing);
    }
    for (size_t i = 2; tls && !asks && i < TLS_FILES; i++) {
        if (given(n, tls_options[i].name)) {
            node_problem(&l->tree, node_get(n, tls_options[i].name),
                         "add client_certs: optional or required",
                         "'%s' is given, but nobody is asked for a certificate",
                         tls_options[i].name);
        }
    }
    if (tls && given(n, "client_ca") && asks && !given(n, "crl")) {
        node_warning(&l->tree, node_get(n, "client_ca"), "add crl: FILE",
                     "certificates of this authority can't be revoked without its list");
    }
    check_names(l, node_get(n, "names"));
    return tls && l->tree.error_count == before;
}

/* Something is wrong with a file, which may be right tomorrow. */
static void file_problem(struct load *l, const struct node *at, const char *proposal,
                         const char *why)
{
    if (l->assign) {
        node_warning(&l->tree, at, proposal, "%s", why);
    } else {
        node_problem(&l->tree, at, proposal, "%s", why);
    }
}

/* What the service itself will judge when it begins. */
static void check_pair(struct load *l, const struct node *n)
{
    char *cert = malloc(STRICT_FILE_MAX + 1), *key = malloc(STRICT_FILE_MAX + 1);
    char why[512] = "";
    const struct node *at_cert = node_get(n, "cert"), *at_key = node_get(n, "key");
    struct certificate_pair pair = {0};
    if (!cert || !key) {
        l->tree.no_memory = true;
    } else {
        int key_size = strict_file_read(at_key->text, true, key, why, sizeof why);
        int cert_size =
            key_size < 0 ? key_size : strict_file_read(at_cert->text, false, cert, why, sizeof why);
        if (cert_size < 0) {
            file_problem(l, key_size < 0 ? at_key : at_cert, OWN, why);
        } else if (certificate_pair_read(cert, (size_t)cert_size, key, (size_t)key_size, &pair, why,
                                         sizeof why) ||
                   !certificate_serves(pair.leaf, given(n, "names") ? given(n, "names") : "",
                                       clock_utc_ns(), why, sizeof why)) {
            file_problem(l, at_cert, at_cert->text, why);
        }
    }
    if (key) {
        explicit_bzero(key, STRICT_FILE_MAX + 1);
    }
    certificate_pair_free(&pair);
    free(cert);
    free(key);
}

/* Client certificates are judged by files as well; a list of revoked ones may come later. */
static void check_trust(struct load *l, const struct node *at)
{
    char *text = malloc(STRICT_FILE_MAX + 1), why[512];
    l->tree.no_memory |= !text;
    if (text && strict_file_read(at->text, false, text, why, sizeof why) < 0) {
        file_problem(l, at, "name the authority that issues the clients' certificates", why);
    }
    free(text);
}

/* Writes down what stands for an option that is not given, at the place of `tls`: the tree is the loader's own. */
static bool fill_in(struct load *l, const struct node *n, size_t i)
{
    const struct node *tls = node_get(n, "tls");
    struct node *field = node_get(n, tls_options[i].name);
    if (!field) {
        field =
            tree_node(&l->tree, (struct node *)n, NODE_SCALAR, tls->file, tls->line, tls->column);
    }
    if (!field || field->kind != NODE_SCALAR) {
        return false;
    }
    field->key = tls_options[i].name;
    field->text = *field->text
                      ? load_path(l, field->text)
                      : tree_print(&l->tree, "%s/pki/%s", l->state_dir, tls_options[i].file);
    return true;
}

void load_tls(struct load *l, const struct node *n, const struct isthmus_option *table)
{
    if (!has_option(table, "listen") || !has_option(table, "tls") || !check_combination(l, n)) {
        return;
    }
    bool asks = given(n, "client_certs") && !is_given_as(n, "client_certs", "none");
    bool others = given(n, "client_ca"); /* of whose certificates our own list tells nothing */
    bool good = fill_in(l, n, 0) && fill_in(l, n, 1);
    if (good && asks) {
        good = fill_in(l, n, 2) && (others || fill_in(l, n, 3));
    }
    if (good) {
        check_pair(l, n);
    }
    if (good && asks) {
        check_trust(l, node_get(n, "client_ca"));
    }
}

void check_listener(struct load *l, const struct node *n, const struct isthmus_option *table,
                    const char *listen)
{
    const struct node *at = node_get(n, "listen");
    if (reach_is_loopback(listen)) {
        return;
    }
    if (!has_option(table, "tls")) {
        node_problem(&l->tree, at, "listen on 127.0.0.1 or [::1]",
                     "'%s' is no loopback address, and this service has no TLS", listen);
        return;
    }
    if (!is_given_as(n, "tls", "true")) {
        node_problem(&l->tree, at, "add tls: true, or listen on 127.0.0.1 or [::1]",
                     "'%s' is no loopback address: what goes over a network needs TLS", listen);
    }
    if (!is_given_as(n, "access", "signed_in")) {
        node_problem(&l->tree, at, "add access: signed_in, or listen on 127.0.0.1 or [::1]",
                     "'%s' is no loopback address: whoever reaches it would read without a sign-in",
                     listen);
    }
    if (!given(n, "zone")) {
        node_problem(&l->tree, at, "add zone: with the zone that its callers belong to",
                     "'%s' is no loopback address: say which zone lies beyond it", listen);
    }
    if (is_wildcard(listen) && !given(n, "names")) {
        node_problem(&l->tree, at, "add names: with the host names and addresses it is called by",
                     "'%s' is every address: it is not known by which names it is called", listen);
    }
}

void check_audit_way(struct load *l, const struct node *n, const struct isthmus_option *table,
                     const char *address)
{
    if (has_option(table, "audit") && is_given_as(n, "tls", "false") &&
        !reach_is_loopback(address)) {
        node_problem(&l->tree, node_get(n, "tls"), "take tls: false away",
                     "the audit goes without TLS to loopback only, and '%s' is beyond it", address);
    }
}
