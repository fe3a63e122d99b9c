/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/ed25519.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Stands before the key in its file; PEM allows text there (RFC 7468, 5.2). */
#define THROW_AWAY                                                                                 \
    "A throw-away key: whoever has this file can sign with it. Refused beyond loopback.\n"

bool ed25519_public(const uint8_t secret[ED25519_KEY_SIZE], uint8_t out[ED25519_KEY_SIZE])
{
    size_t size = ED25519_KEY_SIZE;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, ED25519_KEY_SIZE);
    bool good =
        key && EVP_PKEY_get_raw_public_key(key, out, &size) == 1 && size == ED25519_KEY_SIZE;
    EVP_PKEY_free(key);
    return good;
}

bool ed25519_sign(const uint8_t secret[ED25519_KEY_SIZE], const void *data, size_t size,
                  uint8_t out[ED25519_SIGNATURE_SIZE])
{
    size_t length = ED25519_SIGNATURE_SIZE;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, ED25519_KEY_SIZE);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = key && context && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
                EVP_DigestSign(context, out, &length, data, size) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return good;
}

bool ed25519_holds(const uint8_t public_key[ED25519_KEY_SIZE], const void *data, size_t size,
                   const uint8_t signature[ED25519_SIGNATURE_SIZE])
{
    EVP_PKEY *key =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, ED25519_KEY_SIZE);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = key && context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
                EVP_DigestVerify(context, signature, ED25519_SIGNATURE_SIZE, data, size) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return good;
}

int ed25519_read(const char *path, uint8_t secret[ED25519_KEY_SIZE], bool *throw_away, char *why,
                 size_t why_size)
{
    struct stat st;
    size_t size = ED25519_KEY_SIZE;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "re");
    if (!f || fstat(fd, &st)) {
        int err = err_from_errno(errno);
        if (f) {
            fclose(f);
        } else if (fd >= 0) {
            close(fd);
        }
        snprintf(why, why_size, "%s can't be opened", path);
        return err;
    }
    if (st.st_mode & 077 || (st.st_uid != getuid() && st.st_uid != 0)) {
        snprintf(why, why_size, "%s can be read by others: make it yours alone (chmod 600)", path);
        fclose(f);
        return ERR_PERMISSION;
    }
    char head[sizeof THROW_AWAY] = "";
    if (throw_away) {
        *throw_away = fgets(head, sizeof head, f) && !strcmp(head, THROW_AWAY);
        rewind(f);
    }
    EVP_PKEY *key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
    bool good = key && EVP_PKEY_get_raw_private_key(key, secret, &size) == 1 && size == 32;
    EVP_PKEY_free(key);
    fclose(f);
    if (!good) {
        snprintf(why, why_size, "%s is no Ed25519 key in PEM: bring it back from a backup", path);
        return ERR_MALFORMED;
    }
    return ERR_OK;
}

static bool flush_folder(const char *path)
{
    char dir[4200];
    const char *slash = strrchr(path, '/');
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && !fsync(fd);
    if (fd >= 0) {
        close(fd);
    }
    return good;
}

static bool write_key(FILE *f, bool throw_away)
{
    uint8_t secret[ED25519_KEY_SIZE];
    EVP_PKEY *key =
        RAND_priv_bytes(secret, sizeof secret) == 1
            ? EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, sizeof secret)
            : NULL;
    bool good = key && (!throw_away || fputs(THROW_AWAY, f) >= 0) &&
                PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && !fflush(f) &&
                !fsync(fileno(f));
    EVP_PKEY_free(key);
    OPENSSL_cleanse(secret, sizeof secret);
    return good;
}

int ed25519_make(const char *path, bool throw_away)
{
    char part[4200];
    snprintf(part, sizeof part, "%s.part", path);
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "we");
    if (!f) {
        return err_from_errno(errno);
    }
    bool good = write_key(f, throw_away);
    good = !fclose(f) && good;
    /* never over a key that is there: what it signed could not be signed again */
    int err = !good ? ERR_IO : link(part, path) ? err_from_errno(errno) : ERR_OK;
    unlink(part);
    return err ? err : flush_folder(path) ? ERR_OK : ERR_IO;
}
