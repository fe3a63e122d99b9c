/* SPDX-License-Identifier: Apache-2.0 */
/* What a provider of sign-ins sends, read as each of its kinds: its keys, what it says of itself, a token, and the claims of a
 * token that a good key has signed, so that the signature hides none of them. A token that nobody signed is never taken. */
#include "north/oidc/metadata.h"
#include "north/oidc/test_signer.h"

#include <stdlib.h>
#include <string.h>

static struct signer signer;
static struct token_keys keys;

static void begin(void)
{
    char set[1024] = "{\"keys\":[";
    signer_init(&signer, true, "e1");
    signer_jwk(&signer, set + strlen(set), sizeof set - strlen(set) - 3);
    strcat(set, "]}");
    if (token_keys_read(&keys, set, strlen(set)) || keys.count != 1) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char token[24000];
    struct token_expected expected = {.issuer = "https://login.example",
                                      .client_id = "isthmus",
                                      .nonce = "n1",
                                      .name_claim = "sub",
                                      .groups_claim = "groups",
                                      .now_s = 1700000000,
                                      .leeway_s = 60};
    const char *text = (const char *)data, *why;
    struct token_person person;
    struct token_keys read;
    struct metadata about;
    if (!keys.count) {
        begin();
    }
    if (token_verify(text, size, &keys, &expected, &person, &why) == TOKEN_GOOD) {
        abort();
    }
    if (!token_keys_read(&read, text, size)) {
        token_keys_free(&read);
    }
    if (metadata_read(&about, text, size, expected.issuer, &why) == (why != NULL)) {
        abort();
    }
    if (size && size < 16000) {
        signer_token_of(&signer, "{\"alg\":\"ES256\",\"kid\":\"e1\"}", data, size, token,
                        sizeof token);
        (void)token_verify(token, strlen(token), &keys, &expected, &person, &why);
        (void)token_in_group(&person, "ops");
        token_person_free(&person);
    }
    return 0;
}
