#include "net/curl_loop.h"

#include <stdlib.h>

struct curl_loop {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
};

/* One socket of curl's. */
struct watch {
    uv_poll_t poll;
    struct curl_loop *owner;
    curl_socket_t socket;
};

static void collect_ended(struct curl_loop *cl) {
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(cl->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURL *easy = message->easy_handle;
        CURLcode result = message->data.result; /* the message does not outlive the removal */
        struct curl_transfer *t = NULL;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &t);
        curl_multi_remove_handle(cl->multi, easy);
        t->done(t, result);
    }
}

static void on_socket(uv_poll_t *poll, int status, int events) {
    struct watch *w = poll->data;
    struct curl_loop *cl = w->owner;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0, running;
    flags |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    flags |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    curl_multi_socket_action(cl->multi, w->socket, flags, &running); /* may close `w` */
    collect_ended(cl);
}

static void on_timer(uv_timer_t *timer) {
    struct curl_loop *cl = timer->data;
    int running;
    curl_multi_socket_action(cl->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect_ended(cl);
}

static void free_handle(uv_handle_t *handle) {
    free(handle->data);
}

/* CURLMOPT_SOCKETFUNCTION */
static int want_socket(CURL *easy, curl_socket_t socket, int what, void *context,
                       void *socket_context) {
    (void)easy;
    struct curl_loop *cl = context;
    struct watch *w = socket_context;
    if (what == CURL_POLL_REMOVE) {
        if (w != NULL) {
            uv_poll_stop(&w->poll); /* curl closes the descriptor right after this */
            uv_close((uv_handle_t *)&w->poll, free_handle);
            curl_multi_assign(cl->multi, socket, NULL);
        }
        return 0;
    }
    if (w == NULL) {
        w = xcalloc(1, sizeof *w);
        w->owner = cl;
        w->socket = socket;
        w->poll.data = w;
        int failed = uv_poll_init_socket(cl->loop, &w->poll, socket);
        if (failed != 0) {
            /* Not -1, which ends every transfer there is and will be: this one times out. */
            log_error("a connection cannot be watched", LOG_STR("why", uv_strerror(failed)));
            free(w);
            return 0;
        }
        curl_multi_assign(cl->multi, socket, w);
    }
    int events = (what & CURL_POLL_IN) != 0 ? UV_READABLE : 0;
    events |= (what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0;
    uv_poll_start(&w->poll, events, on_socket);
    return 0;
}

/* CURLMOPT_TIMERFUNCTION */
static int want_timer(CURLM *multi, long timeout_ms, void *context) {
    (void)multi;
    struct curl_loop *cl = context;
    if (timeout_ms < 0)
        uv_timer_stop(&cl->timer);
    else
        uv_timer_start(&cl->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

struct curl_loop *curl_loop_new(uv_loop_t *loop) {
    struct curl_loop *cl = xcalloc(1, sizeof *cl);
    cl->loop = loop;
    cl->multi = curl_multi_init();
    uv_timer_init(loop, &cl->timer);
    cl->timer.data = cl;
    curl_multi_setopt(cl->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
    curl_multi_setopt(cl->multi, CURLMOPT_SOCKETDATA, cl);
    curl_multi_setopt(cl->multi, CURLMOPT_TIMERFUNCTION, want_timer);
    curl_multi_setopt(cl->multi, CURLMOPT_TIMERDATA, cl);
    return cl;
}

void curl_loop_free(struct curl_loop *cl) {
    if (cl == NULL)
        return;
    curl_multi_cleanup(cl->multi);
    uv_close((uv_handle_t *)&cl->timer, free_handle);
}

bool curl_loop_add(struct curl_loop *cl, CURL *easy, struct curl_transfer *t) {
    curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
    return curl_multi_add_handle(cl->multi, easy) == CURLM_OK;
}

void curl_loop_cancel(struct curl_loop *cl, CURL *easy) {
    curl_multi_remove_handle(cl->multi, easy);
}
