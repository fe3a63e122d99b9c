/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/audit_key.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_key(const char *path, uint8_t secret[32], char *why, size_t why_size)
{
    struct stat st;
    size_t size = 32;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "re");
    if (!f || fstat(fd, &st)) {
        int err = err_from_errno(errno);
        if (f) {
            fclose(f);
        } else if (fd >= 0) {
            close(fd);
        }
        return err;
    }
    if (st.st_mode & 077 || (st.st_uid != getuid() && st.st_uid != 0)) {
        snprintf(why, why_size, "%s can be read by others: make it yours alone (chmod 600)", path);
        fclose(f);
        return ERR_PERMISSION;
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

static bool flush_name(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && !fsync(fd);
    if (fd >= 0) {
        close(fd);
    }
    return good;
}

static int make_key(const char *state_dir, const char *dir, const char *path)
{
    char part[4200];
    uint8_t secret[32];
    snprintf(part, sizeof part, "%s.part", path);
    if (mkdir(dir, 0700) && errno != EEXIST) {
        return err_from_errno(errno);
    }
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "we");
    if (!f) {
        return err_from_errno(errno);
    }
    EVP_PKEY *key = RAND_priv_bytes(secret, sizeof secret) == 1
                        ? EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, 32)
                        : NULL;
    bool good = key && PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 &&
                !fflush(f) && !fsync(fd);
    EVP_PKEY_free(key);
    OPENSSL_cleanse(secret, sizeof secret);
    good = !fclose(f) && good && !rename(part, path);
    /* an audit of a key that the power took would look forged */
    return good && flush_name(dir) && flush_name(state_dir) ? ERR_OK : ERR_IO;
}

int audit_key_load(const char *state_dir, uint8_t secret[32], char *why, size_t why_size)
{
    char dir[4096], path[4150];
    snprintf(dir, sizeof dir, "%s/keys", state_dir);
    snprintf(path, sizeof path, "%s/audit.pem", dir);
    snprintf(why, why_size, "the audit's key %s", path);
    int err = read_key(path, secret, why, why_size);
    if (err == ERR_NOT_FOUND) {
        err = make_key(state_dir, dir, path);
        err = err ? err : read_key(path, secret, why, why_size);
    }
    return err;
}
