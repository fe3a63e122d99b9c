/* SPDX-License-Identifier: Apache-2.0 */
/* People sign in by a provider (OpenID Connect Core 1.0, 3.1: the code flow, with PKCE). This service talks to the provider, and
 * to nobody else: browsers talk to `http`. The identity asks it two things (guard/vouch.h): where a browser must go, and whom
 * a code is good for. For the second it trades the code for an ID token and reads that. What the provider says of itself and
 * its keys are fetched when they are needed first, kept for an hour, and the keys anew when a token names one that is not
 * among them. */
#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/clock.h"
#include "box/service.h"
#include "box/strict_file.h"
#include "north/oidc/fetch.h"
#include "north/oidc/metadata.h"
#include "north/oidc/token.h"

#define SYSTEM_BUNDLE "/etc/ssl/certs/ca-certificates.crt"
#define BUNDLE_MAX    (4u << 20)
#define KEEP_MS       3600000u
#define KEYS_REST_MS  2000u /* keys are not fetched anew sooner */
#define JOBS          16u
#define SECRET_MAX    256u

static const struct isthmus_option options[] = {
    {"issuer", ISTHMUS_OPTION_TEXT, NULL, 0, 0, NULL,
     "The provider's issuer, letter by letter as it calls itself: https://login.example/realm."},
    {"address", ISTHMUS_OPTION_ADDRESS, NULL, 0, 0, NULL,
     "host:port under which the issuer is reached."},
    {"token_address", ISTHMUS_OPTION_ADDRESS, "", 0, 0, NULL,
     "host:port of the token endpoint, if it lies on another host than the issuer."},
    {"keys_address", ISTHMUS_OPTION_ADDRESS, "", 0, 0, NULL,
     "host:port of the keys (jwks_uri), if they lie on another host than the issuer."},
    {"ca", ISTHMUS_OPTION_FILE, "", 0, 0, NULL,
     "PEM file of the authorities to trust; empty: those of the system."},
    {"client_id", ISTHMUS_OPTION_TEXT, NULL, 0, 0, NULL,
     "The name under which the gateway is known to the provider."},
    {"secret_file", ISTHMUS_OPTION_FILE, "", 0, 0, NULL,
     "File whose first line is the client's secret, mode 0600; empty: a public client, by PKCE "
     "alone."},
    {"scopes", ISTHMUS_OPTION_TEXT, "openid", 0, 0, NULL,
     "What is asked for, with spaces between; openid must be among it."},
    {"name_claim", ISTHMUS_OPTION_TEXT, "sub", 0, 0, NULL,
     "The claim that names the person: one that the provider keeps unique and nobody can change "
     "for himself."},
    {"groups_claim", ISTHMUS_OPTION_TEXT, "groups", 0, 0, NULL,
     "The claim that lists the person's groups."},
    {"label", ISTHMUS_OPTION_TEXT, "", 0, 0, NULL,
     "What the button says: Sign in with LABEL; empty: the service's name."},
    {"leeway", ISTHMUS_OPTION_DURATION, "1min", 0, 300000, NULL,
     "By how much the clocks of gateway and provider may differ."},
    {0},
};

struct oidc;

struct job { /* something that the identity has asked */
    struct oidc *oidc;
    bool used, trading;
    uint64_t begun_ms; /* loop time */
    struct vouch_request request;
    char *token; /* owned: the ID token, while keys are being fetched for it */
    size_t token_size;
};

struct page { /* something that is fetched for all jobs */
    bool asked;
    uint64_t at_ms; /* loop time of the last good one; 0: none */
};

struct oidc {
    struct service_host *host;
    struct fetch *fetch;
    char *ca; /* owned */
    const char *issuer;
    char secret[SECRET_MAX]; /* "": none */
    struct metadata metadata;
    struct token_keys keys;
    struct page about, key_page;
    bool away; /* the provider could not be asked the last time */
    struct job jobs[JOBS];
};

static const char *text_option(const struct oidc *o, const char *name)
{
    return service_option_text(o->host, name);
}

static uint64_t now_ms(const struct oidc *o)
{
    return uv_now(service_loop(o->host));
}

/* ---- Answers ---- */

static void job_clear(struct job *j)
{
    if (j->token) {
        explicit_bzero(j->token, j->token_size);
    }
    free(j->token);
    explicit_bzero(j, sizeof *j);
}

static void answer(struct job *j, struct vouch_answer *a)
{
    struct oidc *o = j->oidc;
    memcpy(a->id, j->request.id, sizeof a->id);
    a->act = j->request.act;
    if (service_vouched(o->host, a)) {
        service_log(o->host, "no room for an answer");
    }
    job_clear(j);
}

/* Of a text that came from the provider only plain letters are passed on. */
static void answer_no(struct job *j, enum vouch_status status, const char *what, const char *more)
{
    struct oidc *o = j->oidc;
    struct vouch_answer a = {.status = (uint32_t)status};
    const char *label = text_option(o, "label");
    const char *name = *label ? label
                              : plan_text(service_plan(o->host),
                                          service_plan(o->host)->boxes[service_box(o->host)].name);
    int n = snprintf(a.text, sizeof a.text, "%.200s: %.256s%s%.256s.", name, what,
                     *more ? ": " : "", more);
    for (int i = 0; i < n && i < (int)sizeof a.text; i++) {
        a.text[i] = (unsigned char)a.text[i] < ' ' ? '?' : a.text[i];
    }
    if (status == VOUCH_FAR && !o->away) {
        service_log(o->host, "the provider can't be asked: %s%s%s", what, *more ? ": " : "", more);
    }
    o->away = status == VOUCH_FAR;
    answer(j, &a);
}

static void step(struct job *j);

static void step_all(struct oidc *o)
{
    for (uint32_t i = 0; i < JOBS; i++) {
        if (o->jobs[i].used && !o->jobs[i].trading) {
            step(o->jobs + i);
        }
    }
}

static void fail_all(struct oidc *o, const char *what, const char *more)
{
    for (uint32_t i = 0; i < JOBS; i++) {
        if (o->jobs[i].used && !o->jobs[i].trading) {
            answer_no(o->jobs + i, VOUCH_FAR, what, more);
        }
    }
}

/* ---- Asking the provider ---- */

/* The checked address that stands for the URL's host; NULL: there is none. */
static const char *address_of(const struct oidc *o, const char *url, const char *option)
{
    char own[METADATA_URL], its[METADATA_URL];
    const char *other = option ? text_option(o, option) : "";
    if (!url_authority(o->issuer, own, sizeof own) || !url_authority(url, its, sizeof its)) {
        return NULL;
    }
    return !strcmp(own, its) ? text_option(o, "address") : *other ? other : NULL;
}

static bool is_fresh(const struct oidc *o, const struct page *p)
{
    return p->at_ms && now_ms(o) - p->at_ms < KEEP_MS;
}

static void on_about(void *context, long status, const char *body, size_t size, const char *why)
{
    struct oidc *o = context;
    struct metadata metadata;
    o->about.asked = false;
    if (status != 200) {
        char code[32];
        snprintf(code, sizeof code, "HTTP status %ld", status);
        fail_all(o, "it does not say what it is", status ? code : why);
    } else if (!metadata_read(&metadata, body, size, o->issuer, &why)) {
        fail_all(o, why, "");
    } else {
        o->metadata = metadata;
        o->about.at_ms = now_ms(o);
        o->away = false;
        step_all(o);
    }
}

static void ask_about(struct oidc *o)
{
    char url[METADATA_URL];
    size_t size = strlen(o->issuer);
    size -= size && o->issuer[size - 1] == '/';
    snprintf(url, sizeof url, "%.*s/.well-known/openid-configuration", (int)size, o->issuer);
    struct fetch_request r = {.url = url, .connect = text_option(o, "address")};
    if (!o->about.asked) {
        o->about.asked = fetch_start(o->fetch, &r, on_about, o) == ERR_OK;
    }
    if (!o->about.asked) {
        fail_all(o, "too much is under way", "");
    }
}

static void on_keys(void *context, long status, const char *body, size_t size, const char *why)
{
    struct oidc *o = context;
    struct token_keys keys;
    o->key_page.asked = false;
    if (status != 200) {
        fail_all(o, "its keys can't be fetched", status ? "" : why);
    } else if (token_keys_read(&keys, body, size)) {
        fail_all(o, "what it shows as its keys are none", "");
    } else {
        token_keys_free(&o->keys);
        o->keys = keys;
        o->key_page.at_ms = now_ms(o);
        step_all(o);
    }
}

static void ask_keys(struct oidc *o)
{
    struct fetch_request r = {.url = o->metadata.keys,
                              .connect = address_of(o, o->metadata.keys, "keys_address")};
    if (!r.connect) {
        fail_all(o, "its keys lie on another host: keys_address is missing", o->metadata.keys);
        return;
    }
    if (!o->key_page.asked) {
        o->key_page.asked = fetch_start(o->fetch, &r, on_keys, o) == ERR_OK;
    }
    if (!o->key_page.asked) {
        fail_all(o, "too much is under way", "");
    }
}

/* The reason in the answer of a token endpoint (RFC 6749, 5.2). */
static void refuse_code(struct job *j, const char *body, size_t size)
{
    json_t *root = json_loadb(body, size, 0, NULL);
    const char *error = json_string_value(json_object_get(root, "error"));
    answer_no(j, VOUCH_REFUSED, "it does not take the code", error ? error : "it does not say why");
    json_decref(root);
}

static void on_token(void *context, long status, const char *body, size_t size, const char *why)
{
    struct job *j = context;
    j->trading = false;
    if (!status || status >= 500) {
        answer_no(j, VOUCH_FAR, "no token came", status ? "" : why);
        return;
    }
    if (status != 200) {
        refuse_code(j, body, size);
        return;
    }
    json_t *root = json_loadb(body, size, JSON_REJECT_DUPLICATES, NULL);
    const char *token = json_string_value(json_object_get(root, "id_token"));
    j->token = token ? strdup(token) : NULL;
    j->token_size = j->token ? strlen(j->token) : 0;
    json_decref(root);
    if (j->token) {
        step(j);
    } else {
        answer_no(j, VOUCH_REFUSED, "its answer holds no ID token", "is openid among the scopes?");
    }
}

/* RFC 6749, 2.3.1 and 4.1.3; RFC 7636, 4.5. */
static bool write_form(const struct oidc *o, const struct job *j, char *form, size_t size)
{
    bool good = form_add(form, size, "grant_type", "authorization_code") &&
                form_add(form, size, "code", j->request.code) &&
                form_add(form, size, "redirect_uri", j->request.redirect) &&
                form_add(form, size, "code_verifier", j->request.word);
    if (!*o->secret || o->metadata.secret_in_form) {
        good = good && form_add(form, size, "client_id", text_option(o, "client_id"));
    }
    return good && (!*o->secret || !o->metadata.secret_in_form ||
                    form_add(form, size, "client_secret", o->secret));
}

static void trade(struct job *j)
{
    struct oidc *o = j->oidc;
    char form[8192] = "", user[1024] = "", password[4 * SECRET_MAX] = "";
    bool head = *o->secret && !o->metadata.secret_in_form;
    bool good = write_form(o, j, form, sizeof form) &&
                form_add(user, sizeof user, "", text_option(o, "client_id")) &&
                form_add(password, sizeof password, "", o->secret);
    struct fetch_request r = {.url = o->metadata.token,
                              .connect = address_of(o, o->metadata.token, "token_address"),
                              .form = form,
                              .user = head ? user + 1 : NULL, /* behind "=" */
                              .password = password + 1};
    if (!r.connect) {
        answer_no(j, VOUCH_FAR, "its token endpoint lies on another host: token_address is missing",
                  o->metadata.token);
    } else if (!good) {
        answer_no(j, VOUCH_REFUSED, "the code is too long", "");
    } else if (fetch_start(o->fetch, &r, on_token, j)) {
        answer_no(j, VOUCH_FAR, "too much is under way", "");
    } else {
        j->trading = true;
    }
    explicit_bzero(form, sizeof form);
    explicit_bzero(password, sizeof password);
}

/* ---- A job's way ---- */

static void send_away(struct job *j)
{
    struct oidc *o = j->oidc;
    struct vouch_answer a = {.status = VOUCH_OK};
    if (metadata_authorize(&o->metadata, &j->request, text_option(o, "client_id"),
                           text_option(o, "scopes"), a.text, sizeof a.text)) {
        answer(j, &a);
    } else {
        answer_no(j, VOUCH_FAR, "the address of its sign-in is too long", "");
    }
}

static void vouch_for(struct job *j, const struct token_person *person)
{
    struct oidc *o = j->oidc;
    struct vouch_answer a = {.status = VOUCH_OK};
    struct vouch_group group;
    for (uint32_t i = 0;
         i < VOUCH_GROUPS && vouch_group(service_plan(o->host), service_box(o->host), i, &group);
         i++) {
        a.groups |= (uint64_t)token_in_group(person, group.group) << i;
    }
    memcpy(a.name, person->name, sizeof a.name);
    o->away = false;
    answer(j, &a);
}

static void judge(struct job *j)
{
    struct oidc *o = j->oidc;
    struct token_expected expected = {
        .issuer = o->issuer,
        .client_id = text_option(o, "client_id"),
        .nonce = j->request.nonce,
        .name_claim = text_option(o, "name_claim"),
        .groups_claim = text_option(o, "groups_claim"),
        .now_s = clock_utc_ns() / NS_PER_S,
        .leeway_s = (int64_t)(service_option_number(o->host, "leeway") / 1000)};
    struct token_person person;
    const char *why;
    enum token_verdict verdict =
        token_verify(j->token, j->token_size, &o->keys, &expected, &person, &why);
    bool again = o->key_page.at_ms < j->begun_ms && now_ms(o) - o->key_page.at_ms >= KEYS_REST_MS;
    if (verdict == TOKEN_GOOD) {
        vouch_for(j, &person);
    } else if (verdict == TOKEN_STRANGE_KEY && again) {
        ask_keys(o);
    } else {
        answer_no(j, VOUCH_REFUSED, why, "");
    }
    token_person_free(&person);
}

static void step(struct job *j)
{
    struct oidc *o = j->oidc;
    if (!is_fresh(o, &o->about)) {
        ask_about(o);
    } else if (j->request.act == VOUCH_BEGIN) {
        send_away(j);
    } else if (!j->token) {
        trade(j);
    } else if (!is_fresh(o, &o->key_page)) {
        ask_keys(o);
    } else {
        judge(j);
    }
}

static bool is_whole(const struct vouch_request *r)
{
    return memchr(r->state, 0, sizeof r->state) && memchr(r->nonce, 0, sizeof r->nonce) &&
           memchr(r->word, 0, sizeof r->word) && memchr(r->redirect, 0, sizeof r->redirect) &&
           memchr(r->code, 0, sizeof r->code) && (r->act == VOUCH_BEGIN || r->act == VOUCH_FINISH);
}

static void oidc_vouch(void *service, const struct vouch_request *request)
{
    struct oidc *o = service;
    struct job *j = NULL;
    for (uint32_t i = 0; i < JOBS && !j; i++) {
        j = o->jobs[i].used ? NULL : o->jobs + i;
    }
    if (j && is_whole(request)) { /* else the asker's patience ends it */
        *j = (struct job){.oidc = o, .used = true, .begun_ms = now_ms(o), .request = *request};
        step(j);
    }
}

/* ---- Life ---- */

static char *read_bundle(const char *path, size_t *size, char *why, size_t why_size)
{
    FILE *f = fopen(path, "re");
    char *text = f ? malloc(BUNDLE_MAX) : NULL;
    *size = text ? fread(text, 1, BUNDLE_MAX, f) : 0;
    if (f) {
        fclose(f);
    }
    if (!*size || *size == BUNDLE_MAX) {
        snprintf(why, why_size, "option 'ca': '%s' holds no certificates that can be used", path);
        free(text);
        return NULL;
    }
    return text;
}

static bool read_secret(struct oidc *o, char *why, size_t why_size)
{
    const char *path = text_option(o, "secret_file");
    char *text = *path ? malloc(STRICT_FILE_MAX + 1) : NULL, reason[256] = "out of memory";
    if (!*path) {
        return true;
    }
    int size = text ? strict_file_read(path, true, text, reason, sizeof reason) : ERR_NOMEM;
    size_t length = size > 0 ? strcspn(text, "\r\n") : 0;
    bool good = length > 0 && length < sizeof o->secret;
    if (good) {
        memcpy(o->secret, text, length);
    } else {
        snprintf(why, why_size, "option 'secret_file': %s",
                 size < 0 ? reason : "its first line is no secret (1 to 255 letters)");
    }
    if (text) {
        explicit_bzero(text, STRICT_FILE_MAX + 1);
    }
    free(text);
    return good;
}

static void oidc_free(void *service)
{
    struct oidc *o = service;
    if (!o) {
        return;
    }
    for (uint32_t i = 0; i < JOBS; i++) {
        job_clear(o->jobs + i);
    }
    fetch_free(o->fetch);
    token_keys_free(&o->keys);
    free(o->ca);
    explicit_bzero(o, sizeof *o);
    free(o);
}

static void *oidc_open(struct service_host *host, char *why, size_t why_size)
{
    struct oidc *o = calloc(1, sizeof *o);
    size_t ca_size;
    if (!o) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    o->host = host;
    o->issuer = text_option(o, "issuer");
    const char *ca = text_option(o, "ca");
    o->ca = read_bundle(*ca ? ca : SYSTEM_BUNDLE, &ca_size, why, why_size);
    if (!o->ca || !read_secret(o, why, why_size)) {
        oidc_free(o);
        return NULL;
    }
    o->fetch = fetch_new(service_loop(host), o->ca, ca_size);
    if (!o->fetch) {
        snprintf(why, why_size, "libcurl can't start");
        oidc_free(o);
        return NULL;
    }
    return o;
}

static int oidc_start(void *service)
{
    struct oidc *o = service;
    service_log(o->host, "people sign in by %s", o->issuer);
    return ERR_OK;
}

static void oidc_stop(void *service)
{
    struct oidc *o = service;
    fetch_stop(o->fetch);
    service_stopped(o->host);
}

const struct service *isthmus_service(void)
{
    static const struct service service = {
        .name = "oidc",
        .summary = "People sign in by a provider, with OpenID Connect",
        .options = options,
        .open = oidc_open,
        .start = oidc_start,
        .stop = oidc_stop,
        .free = oidc_free,
        .vouch = oidc_vouch,
    };
    return &service;
}
