/* SPDX-License-Identifier: Apache-2.0 */
/* A streaming JSON writer into a growing buffer. Commas and quotes are its business; nesting is the caller's.
 * An allocation that fails, or a document beyond `limit`, makes it bad; check once at the end. */
#ifndef ISTHMUS_BASE_JSON_H
#define ISTHMUS_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json {
    char *text; /* owned, not NUL-terminated; json_fini frees */
    size_t size, capacity, limit;
    bool comma; /* the next value needs one before it */
    bool bad;
};

void json_init(struct json *j, size_t limit); /* limit: bytes, 0 = no limit */
void json_fini(struct json *j);
void json_clear(struct json *j); /* keeps the memory */

void json_open(struct json *j, char bracket);  /* '{' or '[' */
void json_close(struct json *j, char bracket); /* '}' or ']' */
void json_key(struct json *j, const char *key);
void json_text(struct json *j, const char *text); /* invalid UTF-8 becomes U+FFFD */
void json_text_n(struct json *j, const char *text, size_t size);
void json_raw(struct json *j, const char *text, size_t size); /* a value that is JSON already */
void json_bool(struct json *j, bool value);
void json_nil(struct json *j);
void json_int(struct json *j, int64_t value); /* as a number: for counts below 2^53 */
void json_uint(struct json *j, uint64_t value);
void json_double(struct json *j,
                 double value); /* shortest round trip; NaN and infinities as strings */
void json_time(struct json *j, int64_t utc_ns); /* RFC 3339 with nine digits; */
void json_base64(struct json *j, const void *data, size_t size);
void json_newline(struct json *j); /* between documents of a stream (NDJSON) */

/* "key": value in one call. */
void json_pair_text(struct json *j, const char *key, const char *text);
void json_pair_int(struct json *j, const char *key, int64_t value);
void json_pair_uint(struct json *j, const char *key, uint64_t value);
void json_pair_double(struct json *j, const char *key, double value);
void json_pair_bool(struct json *j, const char *key, bool value);
void json_pair_time(struct json *j, const char *key, int64_t utc_ns);

/* The shortest text that reads back as the same double ("1.5", "1e+300"); NaN, Infinity, -Infinity bare. Returns the
 * length, at most 31. number_text_float: the same for a float32. */
#define NUMBER_TEXT_SIZE 32
size_t number_text(double value, char out[NUMBER_TEXT_SIZE]);
size_t number_text_float(float value, char out[NUMBER_TEXT_SIZE]);
size_t number_text_uint(uint64_t value, char out[NUMBER_TEXT_SIZE]);

#endif
