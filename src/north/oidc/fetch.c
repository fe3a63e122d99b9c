/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl says which sockets it waits for and until when; libuv waits. The watcher of a socket is made when libcurl first speaks
 * of it and closed when it lets it go: only then its memory is given back. */
#include "north/oidc/fetch.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct transfer {
    CURL *easy; /* NULL: free */
    struct curl_slist *connect;
    char *form;
    char *body; /* owned */
    size_t size;
    char error[CURL_ERROR_SIZE];
    fetch_done *done;
    void *context;
};

struct fetch {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t *timer; /* its own: it is closed after us */
    struct curl_blob ca;
    struct transfer transfers[FETCHES];
};

struct watcher {
    uv_poll_t poll;
    struct fetch *fetch;
    curl_socket_t socket;
};

static size_t on_body(char *bytes, size_t one, size_t count, void *context)
{
    struct transfer *t = context;
    size_t size = one * count;
    char *more = t->size + size <= FETCH_MAX ? realloc(t->body, t->size + size + 1) : NULL;
    if (!more) {
        return 0; /* ends the transfer */
    }
    t->body = more;
    memcpy(more + t->size, bytes, size);
    t->size += size;
    more[t->size] = 0;
    return size;
}

static void clear(struct fetch *f, struct transfer *t)
{
    if (t->easy) {
        curl_multi_remove_handle(f->multi, t->easy);
        curl_easy_cleanup(t->easy);
    }
    curl_slist_free_all(t->connect);
    if (t->form) {
        explicit_bzero(t->form, strlen(t->form));
    }
    if (t->body) {
        explicit_bzero(t->body, t->size);
    }
    free(t->form);
    free(t->body);
    *t = (struct transfer){.easy = NULL};
}

static void end(struct fetch *f, struct transfer *t, CURLcode code)
{
    struct transfer ended = *t;
    long status = 0;
    char why[FETCH_WHY];
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    snprintf(why, sizeof why, "%s", *t->error ? t->error : curl_easy_strerror(code));
    t->body = NULL; /* stays until it has been shown */
    clear(f, t);
    ended.done(ended.context, code == CURLE_OK ? status : 0, ended.body ? ended.body : "",
               ended.size, why);
    if (ended.body) {
        explicit_bzero(ended.body, ended.size);
    }
    free(ended.body);
}

static void take_ended(struct fetch *f)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(f->multi, &left))) {
        for (uint32_t i = 0; message->msg == CURLMSG_DONE && i < FETCHES; i++) {
            if (f->transfers[i].easy == message->easy_handle) {
                end(f, f->transfers + i, message->data.result);
                break;
            }
        }
    }
}

/* ---- Between libcurl and libuv ---- */

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct watcher *w = poll->data;
    struct fetch *f = w->fetch;
    int running, flags = status < 0 ? CURL_CSELECT_ERR : 0;
    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    curl_multi_socket_action(f->multi, w->socket, flags, &running);
    take_ended(f);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static int want_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *own)
{
    struct fetch *f = context;
    struct watcher *w = own;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            uv_close((uv_handle_t *)&w->poll, on_closed);
            curl_multi_assign(f->multi, socket, NULL);
        }
        return 0;
    }
    if (!w) {
        w = calloc(1, sizeof *w);
        if (!w || uv_poll_init_socket(f->loop, &w->poll, socket)) {
            free(w);
            return -1;
        }
        w->fetch = f;
        w->socket = socket;
        w->poll.data = w;
        curl_multi_assign(f->multi, socket, w);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&w->poll, events, on_socket);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free((uv_timer_t *)handle);
}

static void on_time(uv_timer_t *timer)
{
    struct fetch *f = timer->data;
    int running;
    curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take_ended(f);
}

static int want_time(CURLM *multi, long ms, void *context)
{
    struct fetch *f = context;
    (void)multi;
    if (ms < 0) {
        uv_timer_stop(f->timer);
    } else {
        uv_timer_start(f->timer, on_time, (uint64_t)ms, 0);
    }
    return 0;
}

/* ---- Requests ---- */

static bool set_up(struct fetch *f, struct transfer *t, const struct fetch_request *r)
{
    CURL *e = t->easy;
    char connect[128];
    snprintf(connect, sizeof connect, "::%s", r->connect);
    t->connect = curl_slist_append(NULL, connect);
    t->form = r->form ? strdup(r->form) : NULL;
    bool bad =
        !t->connect || (r->form && !t->form) || curl_easy_setopt(e, CURLOPT_URL, r->url) ||
        curl_easy_setopt(e, CURLOPT_CONNECT_TO, t->connect) ||
        curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "https,http") ||
        curl_easy_setopt(e, CURLOPT_PROXY, "") || curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) ||
        curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)FETCH_MS) ||
        curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) ||
        curl_easy_setopt(e, CURLOPT_CAINFO, NULL) || curl_easy_setopt(e, CURLOPT_CAPATH, NULL) ||
        curl_easy_setopt(e, CURLOPT_CAINFO_BLOB, &f->ca) ||
        curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) ||
        curl_easy_setopt(e, CURLOPT_WRITEDATA, t) ||
        curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->error);
    bad = bad || (t->form && curl_easy_setopt(e, CURLOPT_POSTFIELDS, t->form));
    bad = bad || (r->user && (curl_easy_setopt(e, CURLOPT_USERNAME, r->user) ||
                              curl_easy_setopt(e, CURLOPT_PASSWORD, r->password) ||
                              curl_easy_setopt(e, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC)));
    return !bad;
}

int fetch_start(struct fetch *f, const struct fetch_request *request, fetch_done *done,
                void *context)
{
    struct transfer *t = NULL;
    for (uint32_t i = 0; i < FETCHES && !t; i++) {
        t = f->transfers[i].easy ? NULL : f->transfers + i;
    }
    if (!t) {
        return ERR_FULL;
    }
    *t = (struct transfer){.easy = curl_easy_init(), .done = done, .context = context};
    if (!t->easy || !set_up(f, t, request) || curl_multi_add_handle(f->multi, t->easy)) {
        clear(f, t);
        return ERR_NOMEM;
    }
    return ERR_OK;
}

struct fetch *fetch_new(struct uv_loop_s *loop, const char *ca, size_t ca_size)
{
    struct fetch *f = calloc(1, sizeof *f);
    uv_timer_t *timer = malloc(sizeof *timer);
    if (!f || !timer || curl_global_init(CURL_GLOBAL_DEFAULT) || !(f->multi = curl_multi_init())) {
        free(timer);
        free(f);
        return NULL;
    }
    f->timer = timer;
    f->loop = loop;
    f->ca = (struct curl_blob){(void *)(uintptr_t)ca, ca_size, CURL_BLOB_NOCOPY};
    uv_timer_init(loop, timer);
    timer->data = f;
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
    curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, want_time);
    curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
    return f;
}

void fetch_stop(struct fetch *f)
{
    for (uint32_t i = 0; i < FETCHES; i++) {
        clear(f, f->transfers + i);
    }
    curl_multi_cleanup(f->multi); /* lets go of all sockets */
    f->multi = NULL;
    uv_close((uv_handle_t *)f->timer, on_timer_closed);
}

void fetch_free(struct fetch *f)
{
    if (f && f->multi) {
        fetch_stop(f);
    }
    if (f) {
        curl_global_cleanup();
    }
    free(f);
}
