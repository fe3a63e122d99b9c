/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of isthmus pki share: pki.c reads the command line, pki_root.c is what happens beside the root, pki_holder.c beside a
 * gateway, service or person, pki_list.c tells what there is. */
#ifndef ISTHMUS_CLI_PKI_H
#define ISTHMUS_CLI_PKI_H

#include "cli/cli.h"
#include "cli/pki_store.h"

struct pki {
    const char *verb, *arguments[4];
    int argument_count;
    const char *name, *names, *to, *passphrase_file;
    int days; /* 0: not given */
    bool json, same_key;
    int64_t now_ns;
};

int pki_init(const struct pki *p);
int pki_issue(const struct pki *p);
int pki_sign(const struct pki *p);
int pki_revoke(const struct pki *p);
int pki_crl(const struct pki *p);
int pki_enrol(const struct pki *p);
int pki_renew(const struct pki *p);
int pki_accept(const struct pki *p);
int pki_list(const struct pki *p);

#define PKI_NS         INT64_C(1000000000)
#define PKI_TOKEN_LINE 128

/* The names of a holder's files: "gateway" for a gateway, else its name. */
const char *pki_stem(enum holder_kind kind, const char *name);
/* One result: a line, or {"KEY": VALUE, …} of pairs that end with NULL. */
int pki_tell(const struct pki *p, const char *line, const char *const *pairs);

#endif
