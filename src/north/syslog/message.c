/* SPDX-License-Identifier: Apache-2.0 */
/* <PRI>1 TIME GATEWAY isthmus - KIND [audit@32473 number="…" who="…" …] BOM TEXT
 *
 * 32473 is the enterprise number for documentation (RFC 5612): the project has none of its own. */
#include "north/syslog/message.h"

#include "base/utf8.h"
#include "tag/value.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PREFIX       8u /* room for the count and its space */
#define HOSTNAME_MAX 255u

enum facility { FACILITY_AUTHORIZATION = 10, FACILITY_AUDIT = 13 };
enum severity { SYSLOG_ERROR = 3, SYSLOG_WARNING, SYSLOG_NOTICE, SYSLOG_INFORMATIONAL };

struct text {
    char *out;
    size_t size; /* never beyond MESSAGE_MAX */
};

/* Who may come in is told apart from what was done; a refusal weighs more than an act, and what nobody knows most. */
static unsigned priority(uint32_t kind)
{
    static const struct {
        uint32_t kind;
        uint8_t facility, severity;
    } others[] = {
        {AUDIT_RECOVERED, FACILITY_AUDIT, SYSLOG_ERROR},
        {AUDIT_CHECKPOINT, FACILITY_AUDIT, SYSLOG_INFORMATIONAL},
        {AUDIT_COMMAND_SENT, FACILITY_AUDIT, SYSLOG_INFORMATIONAL},
        {AUDIT_COMMAND_ACCEPTED, FACILITY_AUDIT, SYSLOG_INFORMATIONAL},
        {AUDIT_COMMAND_REFUSED, FACILITY_AUDIT, SYSLOG_WARNING},
        {AUDIT_COMMAND_EXPIRED, FACILITY_AUDIT, SYSLOG_WARNING},
        {AUDIT_COMMAND_FAILED, FACILITY_AUDIT, SYSLOG_WARNING},
        {AUDIT_COMMAND_UNKNOWN, FACILITY_AUDIT, SYSLOG_ERROR},
        {AUDIT_COMMAND_DENIED, FACILITY_AUDIT, SYSLOG_WARNING},
        {AUDIT_LEASE_RENEWED, FACILITY_AUDIT, SYSLOG_INFORMATIONAL},
        {AUDIT_LEASE_STUCK, FACILITY_AUDIT, SYSLOG_ERROR},
        {AUDIT_INHIBIT_SET, FACILITY_AUDIT, SYSLOG_WARNING},
        {AUDIT_ISLAND_SET, FACILITY_AUDIT, SYSLOG_WARNING},
        {AUDIT_SIGN_IN, FACILITY_AUTHORIZATION, SYSLOG_NOTICE},
        {AUDIT_SIGN_IN_FAILED, FACILITY_AUTHORIZATION, SYSLOG_WARNING},
        {AUDIT_SESSION_ENDED, FACILITY_AUTHORIZATION, SYSLOG_INFORMATIONAL},
        {AUDIT_ACCOUNT_CHANGED, FACILITY_AUTHORIZATION, SYSLOG_NOTICE},
        {AUDIT_TOKEN_CHANGED, FACILITY_AUTHORIZATION, SYSLOG_NOTICE},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (others[i].kind == kind) {
            return others[i].facility * 8u + others[i].severity;
        }
    }
    return FACILITY_AUDIT * 8u + SYSLOG_NOTICE;
}

static void put(struct text *t, const char *bytes, size_t size)
{
    assert(t->size + size <= MESSAGE_MAX); /* the longest entry fits: message_test.c */
    memcpy(t->out + t->size, bytes, size);
    t->size += size;
}

static void print(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void print(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(t->out + t->size, MESSAGE_MAX - t->size, format, args);
    va_end(args);
    assert(size >= 0 && (size_t)size < MESSAGE_MAX - t->size);
    t->size += (size_t)size;
}

/* Text of at most `room` bytes, up to its NUL. `quoted`: as the value of a parameter (RFC 5424 6.3.3). */
static void put_text(struct text *t, const char *text, size_t room, bool quoted)
{
    size_t size = strnlen(text, room);
    for (size_t at = 0; at < size;) {
        const uint8_t *p = (const uint8_t *)text + at;
        size_t n = *p < 0x20 || *p == 0x7f ? 0 : utf8_length(p, size - at);
        if (quoted && (*p == '"' || *p == '\\' || *p == ']')) {
            put(t, "\\", 1);
        }
        if (n) {
            put(t, text + at, n);
        } else {
            put(t, "\xef\xbf\xbd", 3);
        }
        at += n ? n : 1;
    }
}

static void parameter(struct text *t, const char *name, const char *value, size_t room)
{
    if (room && *value) {
        print(t, " %s=\"", name);
        put_text(t, value, room, true);
        put(t, "\"", 1);
    }
}

static void put_hex(struct text *t, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        print(t, "%02x", bytes[i]);
    }
}

/* "-" where there is none; visible ASCII only. */
static void name(struct text *t, const char *text, size_t most)
{
    size_t size = strnlen(text, most);
    for (size_t i = 0; i < size; i++) {
        put(t, text[i] > ' ' && text[i] < 0x7f ? text + i : "_", 1);
    }
    put(t, "-", !size);
}

static void put_time(struct text *t, int64_t utc_ns)
{
    char text[32];
    struct tm tm;
    int64_t rest = utc_ns % 1000000000, s = utc_ns / 1000000000 - (rest < 0);
    time_t seconds = (time_t)s;
    rest += rest < 0 ? 1000000000 : 0;
    bool good = gmtime_r(&seconds, &tm) && tm.tm_year >= -1900 && tm.tm_year <= 9999 - 1900 &&
                strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm) > 0;
    if (good) {
        print(t, "%s.%06" PRId64 "Z", text, rest / 1000);
    } else {
        put(t, "-", 1); /* NILVALUE: no time */
    }
}

static void head(struct text *t, unsigned pri, int64_t utc_ns, const char *gateway,
                 const char *kind)
{
    print(t, "<%u>1 ", pri);
    put_time(t, utc_ns);
    put(t, " ", 1);
    name(t, gateway, HOSTNAME_MAX);
    put(t, " isthmus - ", 11);
    for (const char *c = kind; *c; c++) {
        put(t, *c == ' ' ? "-" : c, 1);
    }
    put(t, " [audit@32473", 13);
}

/* Puts the count before what was written behind the room for it. */
static size_t frame(struct text *t)
{
    char count[PREFIX + 1];
    size_t size = t->size - PREFIX;
    int digits = snprintf(count, sizeof count, "%zu ", size);
    memmove(t->out + digits, t->out + PREFIX, size);
    memcpy(t->out, count, (size_t)digits);
    return size + (size_t)digits;
}

static const char *value_text(const struct audit_entry *e, bool has, union slot_value v,
                              char out[VALUE_TEXT_SIZE])
{
    out[0] = '\0';
    if (has && e->type && e->type < VALUE_TYPE_END && !value_is_long((enum value_type)e->type)) {
        out[value_json((enum value_type)e->type, v, out)] = '\0';
    }
    return out;
}

static void parameters(struct text *t, const struct audit_entry *e, const char *before,
                       const char *after)
{
    static const uint8_t none[16];
    print(t, " number=\"%" PRIu64 "\"", e->number);
    parameter(t, "who", e->who, sizeof e->who);
    parameter(t, "where", e->where, sizeof e->where);
    parameter(t, "subject", e->subject, sizeof e->subject);
    parameter(t, "before", before, VALUE_TEXT_SIZE);
    parameter(t, "after", after, VALUE_TEXT_SIZE);
    if (memcmp(e->id, none, sizeof none) != 0) {
        put(t, " id=\"", 5);
        put_hex(t, e->id, sizeof e->id);
        put(t, "\"", 1);
    }
    if (e->kind == AUDIT_CHECKPOINT) {
        put(t, " signature=\"", 12);
        put_hex(t, (const uint8_t *)e->text, ED25519_SIGNATURE_SIZE);
        put(t, "\"", 1);
    }
}

size_t message_entry(const struct audit_entry *e, const char *gateway, char out[MESSAGE_MAX])
{
    char kind_text[32], before[VALUE_TEXT_SIZE], after[VALUE_TEXT_SIZE];
    struct text t = {out, PREFIX};
    const char *kind = audit_kind_name(e->kind, kind_text);
    value_text(e, e->has_before, e->before, before);
    value_text(e, e->has_after, e->after, after);
    head(&t, priority(e->kind), e->utc_ns, gateway, kind);
    parameters(&t, e, before, after);
    print(&t, "] \xef\xbb\xbf%s", kind);
    if (*e->subject) {
        put(&t, ": ", 2);
        put_text(&t, e->subject, sizeof e->subject, false);
    }
    if (*before || *after) {
        print(&t, " %s%s%s", before, *before && *after ? " \xe2\x86\x92 " : "", after);
    }
    if (*e->text && e->kind != AUDIT_CHECKPOINT) {
        put(&t, ": ", 2);
        put_text(&t, e->text, sizeof e->text, false);
    }
    return frame(&t);
}

size_t message_missing(uint64_t from, uint64_t to, int64_t utc_ns, const char *gateway,
                       char out[MESSAGE_MAX])
{
    struct text t = {out, PREFIX};
    head(&t, FACILITY_AUDIT * 8u + SYSLOG_ERROR, utc_ns, gateway, "audit-missing");
    print(&t,
          " from=\"%" PRIu64 "\" to=\"%" PRIu64 "\"] \xef\xbb\xbf"
          "entries %" PRIu64 " to %" PRIu64
          " can't be read at the gateway: archived or damaged (isthmus audit verify)",
          from, to - 1, from, to - 1);
    return frame(&t);
}
