/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks: a browser by its cookie, a machine by its token, a user of this machine by the local socket. The identity knows
 * them; what it said of one is remembered for KNOWN_MS, so that not every request asks again. That is a convenience: reader
 * and engine look each session up themselves.
 *
 * A cookie comes along whoever made the browser send it. So what changes anything must also carry the session's word in the
 * header X-Isthmus-CSRF, which only our own pages can know; a certificate in a browser comes along like a cookie. Tokens and
 * the socket need none. */
#include "north/http/http.h"

#include "guard/digest.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#define KNOWN_MS 15000 /* then it is asked again … */
#define USED_MS  60000 /* … and so often it is told that a session is used */

enum { FROM_COOKIE = 'c', FROM_TOKEN = 't', FROM_SOCKET = 'l', FROM_KEY = 'k' };

static uint64_t now_ms(const struct http *h)
{
    return uv_now(service_loop(h->host));
}

/* ---- What a request shows ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool from_hex(const char *text, uint8_t *out, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        int high = hex_digit(text[2 * i]), low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);
        if (low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void to_hex(const uint8_t *bytes, size_t size, char *out)
{
    for (size_t i = 0; i < size; i++) {
        sprintf(out + 2 * i, "%02x", bytes[i]);
    }
}

/* The address of the other end, as in struct net; zeros: it has none. */
static void read_address(struct lws *wsi, uint8_t out[16])
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } peer;
    socklen_t size = sizeof peer;
    memset(out, 0, 16);
    if (getpeername(lws_get_socket_fd(lws_get_network_wsi(wsi)), &peer.any, &size)) {
        return;
    }
    if (peer.any.sa_family == AF_INET) {
        out[10] = out[11] = 0xff;
        memcpy(out + 12, &peer.v4.sin_addr, 4);
    } else if (peer.any.sa_family == AF_INET6) {
        memcpy(out, &peer.v6.sin6_addr, 16);
    }
}

/* Of the other end of the local socket; UINT32_MAX: not known. */
static uint32_t local_uid(struct lws *wsi)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(lws_get_socket_fd(lws_get_network_wsi(wsi)), SOL_SOCKET, SO_PEERCRED, &peer,
                      &size)
               ? UINT32_MAX
               : peer.uid;
}

/* The word in the cookie of our name; a header that holds it twice is of no use. */
static bool read_cookie(struct lws *wsi, const struct http *h, const char *suffix,
                        uint8_t word[SESSION_ID_SIZE])
{
    char text[4096], name[sizeof h->cookie_name + sizeof BEGUN_SUFFIX];
    size_t n = (size_t)snprintf(name, sizeof name, "%s%s=", h->cookie_name, suffix);
    if (lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_HTTP_COOKIE) <= 0) {
        return false;
    }
    for (const char *at = text; *at;) {
        at += strspn(at, " ;");
        size_t size = strcspn(at, ";");
        if (size == n + 2 * SESSION_ID_SIZE && !strncmp(at, name, n)) {
            return from_hex(at + n, word, SESSION_ID_SIZE);
        }
        at += size;
    }
    return false;
}

static bool read_token(struct lws *wsi, struct caller *c)
{
    char text[sizeof c->secret + 7];
    int size = lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_HTTP_AUTHORIZATION);
    if (size <= 7 || strncasecmp(text, "Bearer ", 7) != 0) {
        return false;
    }
    memcpy(c->secret, text + 7, (size_t)size - 7 + 1);
    return true;
}

/* Of the certificate that the other end has shown by TLS. */
static bool read_key(const struct http *h, struct lws *wsi, struct caller *c)
{
    uint8_t key[32];
    if (!h->peer_key || !h->peer_key(wsi, key)) {
        return false;
    }
    to_hex(key, sizeof key, c->secret);
    return true;
}

void caller_read(const struct http *h, struct lws *wsi, struct caller *c)
{
    char hex[33];
    uint8_t begun[SESSION_ID_SIZE];
    read_address(wsi, c->address);
    if (read_cookie(wsi, h, BEGUN_SUFFIX, begun)) {
        to_hex(begun, sizeof begun, c->begun);
    }
    if (h->local && lws_get_vhost(wsi) == h->local) {
        c->kind = FROM_SOCKET;
        c->uid = local_uid(wsi);
        snprintf(c->key, sizeof c->key, "l%u", c->uid);
    } else if (read_token(wsi, c)) {
        c->kind = FROM_TOKEN;
        to_hex(c->address, sizeof c->address, hex);
        snprintf(c->key, sizeof c->key, "t%s%s", hex, c->secret);
    } else if (read_cookie(wsi, h, "", c->session)) {
        c->kind = FROM_COOKIE;
        to_hex(c->session, SESSION_ID_SIZE, hex);
        snprintf(c->key, sizeof c->key, "c%s", hex);
        (void)lws_hdr_custom_copy(wsi, c->csrf, sizeof c->csrf, CSRF_HEADER,
                                  (int)strlen(CSRF_HEADER));
    } else if (read_key(h, wsi, c)) {
        c->kind = FROM_KEY;
        c->browser = lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) > 0;
        to_hex(c->address, sizeof c->address, hex);
        snprintf(c->key, sizeof c->key, "k%s%s", hex, c->secret);
        (void)lws_hdr_custom_copy(wsi, c->csrf, sizeof c->csrf, CSRF_HEADER,
                                  (int)strlen(CSRF_HEADER));
    }
}

/* ---- What is known ---- */

static struct known *find_known(struct http *h, const char *key)
{
    for (uint32_t i = 0; i < KNOWN_MAX; i++) {
        if (*key && !strcmp(h->known[i].key, key)) {
            return h->known + i;
        }
    }
    return NULL;
}

static bool caller_is_known(struct http *h, const struct caller *c)
{
    const struct known *k = c->kind ? find_known(h, c->key) : NULL;
    return k && now_ms(h) < k->until_ms;
}

bool caller_session(struct http *h, struct lws *wsi, uint8_t session[SESSION_ID_SIZE])
{
    struct caller c = {0};
    caller_read(h, wsi, &c);
    bool known = caller_is_known(h, &c);
    if (known) {
        memcpy(session, find_known(h, c.key)->facts.session, SESSION_ID_SIZE);
    }
    explicit_bzero(&c, sizeof c);
    return known;
}

/* Its own place, else the one that is of the least use. */
static struct known *place_for(struct http *h, const char *key)
{
    struct known *k = h->known;
    for (uint32_t i = 0; i < KNOWN_MAX; i++) {
        if (!strcmp(h->known[i].key, key)) {
            return h->known + i;
        }
        k = h->known[i].until_ms < k->until_ms ? h->known + i : k;
    }
    *k = (struct known){.used_ms = now_ms(h)};
    snprintf(k->key, sizeof k->key, "%s", key);
    return k;
}

static struct known *remember(struct http *h, const char *key, const struct sign_answer *facts)
{
    struct known *k = place_for(h, key);
    k->facts = *facts;
    k->until_ms = now_ms(h) + KNOWN_MS;
    return k;
}

void caller_forget(struct request *r)
{
    struct known *k = find_known(r->http, r->caller.key);
    if (k) {
        explicit_bzero(k, sizeof *k);
    }
}

/* ---- Asking the identity ---- */

struct asking {
    struct ticket ticket; /* the first member: what the request holds */
    sign_then *then;
};

static void sign_done(void *context, const struct sign_answer *answer, const struct sign_row *rows)
{
    struct asking *a = context;
    struct request *r = a->ticket.request;
    sign_then *then = a->then;
    free(a);
    if (r) {
        r->ticket = NULL;
        then(r, answer, rows);
    }
}

void sign_send(struct request *r, struct sign_request *q, sign_then *then)
{
    struct asking *a = malloc(sizeof *a);
    memcpy(q->session, r->session, sizeof q->session);
    memcpy(q->address, r->caller.address, sizeof q->address);
    q->uid = r->caller.uid;
    bool sent = a && !service_sign(r->http->host, q, sign_done, a);
    explicit_bzero(q, sizeof *q);
    if (!sent) {
        free(a);
        request_problem(r, 503, "Busy", "Too many requests are under way; try again in a moment.");
        return;
    }
    *a = (struct asking){.ticket = {r}, .then = then};
    r->ticket = &a->ticket;
}

void sign_problem(struct request *r, const struct sign_answer *a)
{
    static const struct {
        int status;
        const char *title, *detail;
    } problems[SIGN_STATUS_END] = {
        [SIGN_WRONG] = {401, "Not signed in", "Name, password or code is wrong."},
        [SIGN_SLOW] = {429, "Too many failures", "Wait as long as Retry-After says."},
        [SIGN_ENDED] = {401, "Not signed in", "The session has ended; sign in again."},
        [SIGN_FORBIDDEN] = {403, "Not allowed", "Your role may not do this."},
        [SIGN_BAD] = {422, "It can't be done so", "Something is wrong with it."},
        [SIGN_EXISTS] = {409, "There is one already", "Choose another name."},
        [SIGN_NONE] = {404, "Not found", "Nothing has that name."},
        [SIGN_FULL] = {503, "No room", "There are as many as there can be."},
        [SIGN_BUSY] = {503, "Busy", "No answer came in time; try again in a moment."},
        [SIGN_BROKEN] = {503, "Accounts can't be used", "See the gateway's log."},
        [SIGN_FAR] = {502, "The provider can't be asked",
                      "Sign in with an account of the gateway."},
        [SIGN_REFUSED] = {403, "Not allowed", "You have no role on this gateway."},
    };
    char text[SIGN_TEXT];
    uint32_t status = a->status && a->status < SIGN_STATUS_END ? a->status : SIGN_BUSY;
    memcpy(text, a->text, sizeof text);
    text[sizeof text - 1] = 0;
    if (status == SIGN_SLOW) {
        snprintf(r->retry_after, sizeof r->retry_after, "%u", a->retry_ms / 1000 + 1);
    }
    request_problem(r, problems[status].status, problems[status].title,
                    *text ? text : problems[status].detail);
}

/* ---- Who may ---- */

static bool needs_session(const struct request *r)
{
    return r->route->access == ACCESS_SIGNED ||
           (r->route->access == ACCESS_OPEN && r->http->signed_in);
}

static bool has_csrf(const struct request *r, const struct sign_answer *facts)
{
    char hex[33];
    to_hex(facts->csrf, sizeof facts->csrf, hex);
    return digest_equal(hex, r->caller.csrf, sizeof hex);
}

static void admit(struct request *r, const struct sign_answer *facts)
{
    uint32_t right = r->route->right;
    bool sent_by_page = r->caller.kind == FROM_COOKIE || r->caller.browser;
    if (sent_by_page && r->route->method != METHOD_GET && !has_csrf(r, facts)) {
        request_problem(r, 403, "Refused", "Send the session's csrf in the header X-Isthmus-CSRF.");
    } else if ((role_rights(facts->role) & right) != right) {
        request_problem(r, 403, "Not allowed", "Your role may not do this.");
    } else {
        memcpy(r->session, facts->session, sizeof r->session);
        r->zone_limit = facts->zone_limit;
        r->zone_count = facts->zone_count;
        memcpy(r->zones, facts->zones, sizeof r->zones);
        r->route->begin(r);
    }
}

static void ask_who(struct request *r);

static void who_then(struct request *r, const struct sign_answer *answer,
                     const struct sign_row *rows)
{
    (void)rows;
    if (answer->status == SIGN_OK) {
        admit(r, &remember(r->http, r->caller.key, answer)->facts);
        return;
    }
    bool was_known = find_known(r->http, r->caller.key) != NULL;
    caller_forget(r);
    if (answer->status == SIGN_ENDED && was_known && r->caller.kind != FROM_COOKIE) {
        ask_who(r); /* its session was idle for too long: another one */
    } else {
        sign_problem(r, answer);
    }
}

static void ask_who(struct request *r)
{
    const struct caller *c = &r->caller;
    const struct known *k = find_known(r->http, c->key);
    struct sign_request q = {.kind = SIGN_WHO, .flags = SIGN_USED};
    if (c->kind == FROM_COOKIE || k) {
        memcpy(r->session, k ? k->facts.session : c->session, sizeof r->session);
    } else if (c->kind == FROM_TOKEN || c->kind == FROM_KEY) {
        q.kind = c->kind == FROM_KEY ? SIGN_KEY : SIGN_TOKEN;
        snprintf(q.secret, sizeof q.secret, "%s", c->secret);
    } else {
        q.kind = SIGN_LOCAL;
    }
    sign_send(r, &q, who_then);
}

static void used_then(void *context, const struct sign_answer *answer, const struct sign_row *rows)
{
    (void)context;
    (void)answer;
    (void)rows;
}

/* Nobody waits for the answer. */
static void tell_used(struct http *h, struct known *k)
{
    struct sign_request q = {.kind = SIGN_WHO, .flags = SIGN_USED};
    memcpy(q.session, k->facts.session, sizeof q.session);
    if (now_ms(h) - k->used_ms >= USED_MS && !service_sign(h->host, &q, used_then, NULL)) {
        k->used_ms = now_ms(h);
    }
}

void access_begin(struct request *r)
{
    if (!needs_session(r) && !(r->caller.kind && r->route->access == ACCESS_SHOWN)) {
        r->route->begin(r);
    } else if (!r->caller.kind) {
        request_problem(r, 401, "Not signed in", "Sign in: POST /api/v1/session.");
    } else if (caller_is_known(r->http, &r->caller)) {
        struct known *k = find_known(r->http, r->caller.key);
        if (r->route->method != METHOD_GET) {
            tell_used(r->http, k);
        }
        admit(r, &k->facts);
    } else {
        ask_who(r);
    }
}
