/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/password.h"

#include <argon2.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define MEMORY_KIB 19456
#define PASSES     2
#define LANES      1
#define SALT_SIZE  16
#define HASH_SIZE  32

/* Of a random password that nobody knows: what is tried when there is no account. */
static const char nobody[] = "$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$"
                             "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

const char *password_fault(const char *password, const char *name)
{
    size_t size = strlen(password), characters = 0;
    bool same = true;
    for (size_t i = 0; i < size; i++) {
        characters += ((unsigned char)password[i] & 0xc0) != 0x80; /* of UTF-8 */
        same &= password[i] == password[0];
    }
    if (characters < PASSWORD_MIN) {
        return "A password has at least 12 characters; a sentence is easier to remember.";
    }
    if (size > PASSWORD_MAX) {
        return "A password has at most 255 bytes.";
    }
    if (same || (*name && strcasestr(password, name))) {
        return "A password is neither one character repeated nor built around the name.";
    }
    return NULL;
}

int password_hash(const char *password, char out[PASSWORD_HASH_SIZE])
{
    uint8_t salt[SALT_SIZE];
    memset(out, 0, PASSWORD_HASH_SIZE);
    if (getrandom(salt, sizeof salt, GRND_NONBLOCK) != (ssize_t)sizeof salt) {
        return ERR_IO;
    }
    int err = argon2id_hash_encoded(PASSES, MEMORY_KIB, LANES, password, strlen(password), salt,
                                    sizeof salt, HASH_SIZE, out, PASSWORD_HASH_SIZE);
    return err ? ERR_NOMEM : ERR_OK;
}

bool password_is(const char *password, const char hash[PASSWORD_HASH_SIZE])
{
    bool is = argon2id_verify(hash[0] ? hash : nobody, password, strlen(password)) == ARGON2_OK;
    return is && hash[0];
}
