/* SPDX-License-Identifier: Apache-2.0 */
/* The plant's own authority: a root that stays offline, the certificates and the list of revoked ones that it signs, and the
 * requests that travel to it. Texts are PEM, owned by whoever asked for them (free); no I/O. Keys are P-256: browsers know no Ed25519. */
#ifndef ISTHMUS_GUARD_AUTHORITY_H
#define ISTHMUS_GUARD_AUTHORITY_H

#include "base/err.h"
#include "guard/certificate.h"

#define SERIAL_TEXT   41 /* hex digits and NUL */
#define HOLDER_NAME   64
#define TOKEN_TEXT    30 /* six groups of four letters with '-' between them, and NUL */
#define AUTHORITY_WHY 256

/* What a certificate is for. */
enum holder_kind {
    HOLDER_GATEWAY = 1, /* answers as a server, and connects as a client */
    HOLDER_SERVICE,     /* a machine: connects as a client; with names it answers too */
    HOLDER_USER,        /* a person: connects as a client */
};
/* "gateway", …; NULL: no such kind. */
const char *holder_kind_name(enum holder_kind kind);
enum holder_kind holder_kind_from_name(const char *name); /* 0: none */
/* Letters, digits, '-', '_', '.', '@'; shorter than HOLDER_NAME. */
MUST_USE bool holder_name_is_good(const char *name);

struct authority {
    struct x509_st *root;
    struct evp_pkey_st *key;
};

/* A new root: its encrypted key and its certificate. */
MUST_USE int authority_make(const char *name, int days, int64_t utc_ns, const char *passphrase,
                            char **key_pem, char **root_pem, char why[AUTHORITY_WHY]);
MUST_USE int authority_open(struct authority *a, const char *key_pem, const char *root_pem,
                            const char *passphrase, char why[AUTHORITY_WHY]);
void authority_close(struct authority *a);

/* A key of one's own, unencrypted. */
MUST_USE int holder_key_make(struct evp_pkey_st **key, char **pem);
MUST_USE int holder_key_open(struct evp_pkey_st **key, const char *pem);
void holder_key_free(struct evp_pkey_st *key);

struct holder {
    enum holder_kind kind;
    char name[HOLDER_NAME];
    char names[1024];        /* host names and addresses, with ',' between them */
    struct evp_pkey_st *key; /* public; owned when read from a request */
    bool renews; /* the request was signed with the key of a certificate that is still good */
    char old_serial[SERIAL_TEXT]; /* its serial */
};
void holder_fini(struct holder *h);

/* A request, to be shown to the root. A new one is proven by a token that its holder's screen shows and a person carries to the root; a
 * renewal by the old certificate's key. */
void token_make(char token[TOKEN_TEXT]);
/* As it is meant: capitals, groups. False: it can't be one. */
MUST_USE bool token_read(const char *text, char token[TOKEN_TEXT]);
MUST_USE int request_make(const struct holder *h, const char *token, char **request,
                          char why[AUTHORITY_WHY]);
MUST_USE int request_make_renewal(struct evp_pkey_st *fresh, const char *old_certificate,
                                  struct evp_pkey_st *old_key, char **request,
                                  char why[AUTHORITY_WHY]);
/* Whether a request needs a token. */
bool request_is_new(const char *request);
/* Proves and reads one. `token` is of no meaning for a renewal. */
MUST_USE int request_open(const struct authority *a, const char *request, const char *token,
                          int64_t utc_ns, struct holder *h, char why[AUTHORITY_WHY]);

struct issued {
    char serial[SERIAL_TEXT];
    int64_t begins_ns, ends_ns;
    char fingerprint[65]; /* SHA-256, hex */
};
MUST_USE int authority_issue(const struct authority *a, const struct holder *h, int days,
                             int64_t utc_ns, char **certificate, struct issued *issued,
                             char why[AUTHORITY_WHY]);

struct revoked {
    const char *serial;
    int64_t utc_ns;
};
/* The list of revoked certificates, good for `days`. */
MUST_USE int authority_revoke(const struct authority *a, const struct revoked *list, size_t count,
                              int days, int64_t utc_ns, char **crl, char why[AUTHORITY_WHY]);

/* What goes back to the holder: certificate, root and list. With a token it is proven to come from where that was carried to. */
MUST_USE int answer_make(const char *certificate, const char *root, const char *crl,
                         const char *token, char **answer);
struct answer_parts {
    char *certificate, *root, *crl; /* owned */
};
void answer_fini(struct answer_parts *parts);
/* Proves and takes it apart: the certificate is for `key`, and the root is `root` (NULL: the token proves it). */
MUST_USE int answer_open(const char *answer, const char *token, const char *root,
                         struct evp_pkey_st *key, int64_t utc_ns, struct answer_parts *parts,
                         char why[AUTHORITY_WHY]);

/* What a certificate, or list of revoked ones, says of itself. */
struct certificate_facts {
    char name[128], issuer[128], kind[16], serial[SERIAL_TEXT], fingerprint[65], key[65];
    char names[1024];
    int64_t begins_ns, ends_ns;
    bool is_authority;
};
MUST_USE int certificate_read(const char *pem, struct certificate_facts *facts);
/* From when to when a list is good. */
MUST_USE int crl_read(const char *pem, int64_t *begins_ns, int64_t *ends_ns);
/* Whether that root has signed the list. */
MUST_USE int crl_prove(const char *pem, const char *root, char why[AUTHORITY_WHY]);

#endif
