/* SPDX-License-Identifier: Apache-2.0 */
/* One table of errors for the whole program. Functions return `int`: 0 or a count on success, a negative
 * `enum err` on failure. The text says what happened; whoever reports it adds where, why and what to do. */
#ifndef ISTHMUS_BASE_ERR_H
#define ISTHMUS_BASE_ERR_H

#define ERR_TABLE(X)                                                                               \
    X(NOMEM, 1, "out of memory")                                                                   \
    X(IO, 2, "input/output error")                                                                 \
    X(SHORT, 3, "data ends too early")                                                             \
    X(MALFORMED, 4, "data is malformed")                                                           \
    X(TOO_LONG, 5, "data is longer than allowed")                                                  \
    X(RANGE, 6, "value is out of range")                                                           \
    X(TYPE, 7, "value does not fit the type")                                                      \
    X(NOT_FOUND, 8, "not found")                                                                   \
    X(EXISTS, 9, "exists already")                                                                 \
    X(FULL, 10, "no room left")                                                                    \
    X(BUSY, 11, "busy, try again")                                                                 \
    X(REFUSED, 12, "refused")                                                                      \
    X(TIMEOUT, 13, "timed out")                                                                    \
    X(CLOSED, 14, "closed by the peer")                                                            \
    X(GARBAGE, 15, "shared memory holds garbage")                                                  \
    X(CHECKSUM, 16, "checksum does not match")                                                     \
    X(VERSION, 17, "version is not supported")                                                     \
    X(CONFIG, 18, "configuration has errors")                                                      \
    X(UNSUPPORTED, 19, "not supported")                                                            \
    X(INTERRUPTED, 20, "interrupted")                                                              \
    X(PERMISSION, 21, "permission denied")

enum err {
    ERR_OK = 0,
#define ERR_ENUM(name, number, text) ERR_##name = -(number),
    ERR_TABLE(ERR_ENUM)
#undef ERR_ENUM
};

#define MUST_USE __attribute__((warn_unused_result))

/* The text for an error number, with or without sign; never NULL. */
const char *err_text(int err);

/* The error that stands for an errno value. */
int err_from_errno(int errno_value);

#endif
