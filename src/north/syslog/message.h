/* SPDX-License-Identifier: Apache-2.0 */
/* An entry of the audit as a message of RFC 5424, framed by octet counting (RFC 5425 4.3, RFC 6587 3.4.1). No I/O, no
 * clock. */
#ifndef ISTHMUS_NORTH_SYSLOG_MESSAGE_H
#define ISTHMUS_NORTH_SYSLOG_MESSAGE_H

#include "guard/audit_format.h"

/* Bytes of the longest frame. Collectors take 8192 at least (RFC 5425 4.3.1: should). */
#define MESSAGE_MAX 4096u

/* Writes the frame and returns its size. `gateway`: HOSTNAME; what may not stand there becomes '_'. What is no UTF-8 in
 * an entry, or a control character, becomes U+FFFD: the audit itself has the bytes. */
size_t message_entry(const struct audit_entry *e, const char *gateway, char out[MESSAGE_MAX]);

/* That the entries [from, to) can't be read at the gateway any more: archived, or damaged. `utc_ns`: now. */
size_t message_missing(uint64_t from, uint64_t to, int64_t utc_ns, const char *gateway,
                       char out[MESSAGE_MAX]);

#endif
