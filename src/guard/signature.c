/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/signature.h"

#include "base/clock.h"
#include "guard/digest.h"

#include <stdio.h>
#include <stdlib.h>

#define VERSION   "1"
#define TIME_SIZE 20u /* 2026-11-23T16:00:00Z */

const char *const signature_roles[SIGNATURE_ROLES] = {"owner", "custodian"};
static const char *const kinds[] = {"lasting", "throw-away"};

bool signature_key_id(const uint8_t public_key[ED25519_KEY_SIZE], char out[SIGNATURE_KEY_ID])
{
    uint8_t digest[32];
    bool good = digest_sha256(public_key, ED25519_KEY_SIZE, digest);
    for (size_t i = 0; i < SIGNATURE_KEY_ID / 2; i++) {
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    }
    return good;
}

/* ---- Reading. ---- */

/* The value of the next line, which has to be of that key. */
static struct terms_span take(struct reader *r, const char *key)
{
    struct terms_line line;
    struct terms_span expected = {key, strlen(key)};
    if (!terms_next(r, &line) || line.is_tag || !terms_equal(line.key, expected)) {
        r->bad = true;
        return (struct terms_span){"", 0};
    }
    return line.value;
}

static void take_text(struct reader *r, const char *key, char *out, size_t size)
{
    struct terms_span value = take(r, key);
    r->bad |= !value.size || value.size >= size;
    snprintf(out, size, "%.*s", r->bad ? 0 : (int)value.size, value.at);
}

static size_t take_choice(struct reader *r, const char *key, const char *const *choices,
                          size_t count)
{
    struct terms_span value = take(r, key);
    size_t i = 0;
    while (i < count && !terms_equal(value, (struct terms_span){choices[i], strlen(choices[i])})) {
        i++;
    }
    r->bad |= i == count;
    return i == count ? 0 : i;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void take_hex(struct reader *r, const char *key, uint8_t *out, size_t size)
{
    struct terms_span value = take(r, key);
    r->bad |= value.size != 2 * size;
    for (size_t i = 0; !r->bad && i < size; i++) {
        int high = hex_digit(value.at[2 * i]), low = hex_digit(value.at[2 * i + 1]);
        r->bad = high < 0 || low < 0;
        out[i] = (uint8_t)(r->bad ? 0 : high << 4 | low);
    }
}

static void time_text(int64_t at_ns, char out[CLOCK_TEXT_SIZE])
{
    clock_text(at_ns, out);
    snprintf(out + TIME_SIZE - 1, CLOCK_TEXT_SIZE - TIME_SIZE, "Z");
}

static void take_time(struct reader *r, int64_t *at_ns)
{
    struct terms_span value = take(r, "at");
    char again[CLOCK_TEXT_SIZE];
    r->bad =
        r->bad || value.size != TIME_SIZE || clock_parse(value.at, value.size, at_ns) != ERR_OK;
    if (!r->bad) {
        time_text(*at_ns, again);
        r->bad = memcmp(again, value.at, TIME_SIZE) != 0; /* there is one way to write it */
    }
}

int signature_read(struct signature *s, const void *data, size_t size)
{
    struct reader r = reader_of(data, size);
    static const char *const version[] = {VERSION};
    uint8_t key[SIGNATURE_KEY_ID / 2] = {0}, digest[32];
    *s = (struct signature){0};
    take_choice(&r, "isthmus-contract-signature", version, 1);
    take_text(&r, "contract", s->contract, sizeof s->contract);
    s->role = (enum signature_role)take_choice(&r, "as", signature_roles, SIGNATURE_ROLES);
    take_text(&r, "by", s->by, sizeof s->by);
    take_hex(&r, "key", key, sizeof key);
    s->throw_away = take_choice(&r, "key-kind", kinds, 2);
    take_time(&r, &s->at_ns);
    take_hex(&r, "digest", s->digest, sizeof s->digest);
    s->message = (struct terms_span){data, r.bad ? 0 : (size_t)(r.at - (const uint8_t *)data)};
    take_hex(&r, "signature", s->signature, sizeof s->signature);
    const uint8_t *blank = read_bytes(&r, 1);
    if (!blank || *blank != '\n' || reader_left(&r) > TERMS_MAX) {
        return ERR_MALFORMED;
    }
    for (size_t i = 0; i < sizeof key; i++) {
        snprintf(s->key + 2 * i, 3, "%02x", key[i]);
    }
    s->terms = (struct terms_span){(const char *)r.at, reader_left(&r)};
    if (terms_check(s->terms.at, s->terms.size)) {
        return ERR_MALFORMED;
    }
    return digest_sha256(s->terms.at, s->terms.size, digest) &&
                   digest_equal(digest, s->digest, sizeof digest)
               ? ERR_OK
               : ERR_CHECKSUM;
}

bool signature_holds(const struct signature *s, const uint8_t public_key[ED25519_KEY_SIZE])
{
    char id[SIGNATURE_KEY_ID];
    return signature_key_id(public_key, id) && !strcmp(id, s->key) &&
           ed25519_holds(public_key, s->message.at, s->message.size, s->signature);
}

/* ---- Writing. ---- */

static void put_hex(FILE *f, const char *key, const uint8_t *bytes, size_t size)
{
    fprintf(f, "%s: ", key);
    for (size_t i = 0; i < size; i++) {
        fprintf(f, "%02x", bytes[i]);
    }
    putc('\n', f);
}

static void put_message(FILE *f, const struct signature *s)
{
    char at[CLOCK_TEXT_SIZE];
    time_text(s->at_ns, at);
    fprintf(f,
            "isthmus-contract-signature: " VERSION "\ncontract: %s\nas: %s\nby: %s\nkey: %s\n"
            "key-kind: %s\nat: %s\n",
            s->contract, signature_roles[s->role], s->by, s->key, kinds[s->throw_away], at);
    put_hex(f, "digest", s->digest, sizeof s->digest);
}

int signature_write(struct signature *s, const uint8_t secret[ED25519_KEY_SIZE], char **text,
                    size_t *size)
{
    uint8_t public_key[ED25519_KEY_SIZE];
    *text = NULL;
    if (!ed25519_public(secret, public_key) || !signature_key_id(public_key, s->key) ||
        !digest_sha256(s->terms.at, s->terms.size, s->digest)) {
        return ERR_NOMEM;
    }
    FILE *f = open_memstream(text, size);
    if (!f) {
        return ERR_NOMEM;
    }
    put_message(f, s);
    bool good = !fflush(f) && ed25519_sign(secret, *text, *size, s->signature);
    put_hex(f, "signature", s->signature, sizeof s->signature);
    putc('\n', f);
    fwrite(s->terms.at, 1, s->terms.size, f);
    good = good && !ferror(f);
    good = !fclose(f) && good;
    if (!good) {
        free(*text);
        *text = NULL;
    }
    return good ? ERR_OK : ERR_NOMEM;
}
