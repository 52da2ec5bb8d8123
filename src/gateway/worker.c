#include "gateway/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "egress/webhook.h"
#include "ingress/limits.h"
#include "net/listener.h"

#define STOP_TICK_MS 5

struct worker {
    struct ingress_shared *shared;
    unsigned index;
    pthread_t thread;
    bool started;
    uv_loop_t loop;
    uv_prepare_t turn;    /* the end of each turn of the loop */
    uv_async_t mail;      /* the mailbox has news */
    uv_async_t notice;    /* the main thread has */
    uv_async_t webhooks;  /* were changed */
    pthread_mutex_t lock; /* guards `closed`: nobody wakes a handle that is gone */
    bool closed;
    uv_timer_t tick; /* while stopping */
    struct mailbox *mailbox;
    struct listener *listener;
    struct http_server *server;
    struct h2_server *h2;
    struct ingress *ingress;
    struct webhook_sender *sender;
    bool stopping;
    _Atomic uint64_t deadline_ns;
    _Atomic unsigned asked;    /* the round of worker_ask_idle */
    _Atomic unsigned answered; /* round * 2 + idle */
    _Atomic bool ended;
};

static void on_mail(uv_async_t *async) {
    struct worker *w = async->data;
    mailbox_dispatch(w->mailbox);
}

static void on_turn(uv_prepare_t *prepare) {
    struct worker *w = prepare->data;
    mailbox_flush(w->mailbox);
}

static void wake(void *context) {
    struct worker *w = context;
    uv_async_send(&w->mail);
}

/* Requests that are neither answered nor waiting for news. */
static unsigned busy(const struct worker *w) {
    return http_server_in_flight(w->server) - ingress_waiting(w->ingress);
}

/* Requests and streams that are not at their end. */
static unsigned in_flight(const struct worker *w) {
    return http_server_in_flight(w->server) + h2_server_streams(w->h2);
}

static void on_webhooks(uv_async_t *async) {
    struct worker *w = async->data;
    if (w->sender != NULL)
        webhook_sender_update(w->sender);
}

static bool idle(const struct worker *w) {
    return busy(w) == 0 && mailbox_pending(w->mailbox) == 0 && webhook_sender_idle(w->sender);
}

/* What was handed to the disk is awaited: its answers go to what is freed next. */
static void await_commits(struct worker *w) {
    while (mailbox_pending(w->mailbox) > 0) {
        mailbox_flush(w->mailbox);
        mailbox_dispatch(w->mailbox);
        usleep(1000);
    }
}

static void close_all(struct worker *w) {
    webhook_sender_save(w->sender);
    await_commits(w);
    pthread_mutex_lock(&w->lock);
    w->closed = true;
    pthread_mutex_unlock(&w->lock);
    uv_timer_stop(&w->tick);
    webhook_sender_free(w->sender);
    w->sender = NULL;
    listener_free(w->listener);
    w->listener = NULL;
    h2_server_free(w->h2);
    w->h2 = NULL;
    http_server_free(w->server);
    w->server = NULL;
    ingress_free(w->ingress);
    w->ingress = NULL;
    mailbox_dispatch(w->mailbox); /* lets go of what was marked meanwhile */
    uv_close((uv_handle_t *)&w->turn, NULL);
    uv_close((uv_handle_t *)&w->mail, NULL);
    uv_close((uv_handle_t *)&w->notice, NULL);
    uv_close((uv_handle_t *)&w->webhooks, NULL);
    uv_close((uv_handle_t *)&w->tick, NULL);
}

static void on_tick(uv_timer_t *timer) {
    struct worker *w = timer->data;
    unsigned round = atomic_load(&w->asked);
    if (round != 0)
        atomic_store(&w->answered, round * 2 + (idle(w) ? 1 : 0));
    if (!w->stopping)
        return;
    bool late = clock_mono_ns() >= atomic_load(&w->deadline_ns);
    if (!late &&
        (in_flight(w) > 0 || mailbox_pending(w->mailbox) > 0 || !webhook_sender_idle(w->sender)))
        return;
    if (late)
        log_warn("stopping although requests are still in flight",
                 LOG_INT("requests", in_flight(w)), LOG_INT("worker", w->index));
    close_all(w);
}

static void on_notice(uv_async_t *async) {
    struct worker *w = async->data;
    if (!uv_is_active((uv_handle_t *)&w->tick))
        uv_timer_start(&w->tick, on_tick, 0, STOP_TICK_MS);
    if (w->stopping || atomic_load(&w->shared->phase) != PHASE_STOPPING)
        return;
    w->stopping = true;
    listener_stop(w->listener);
    http_server_stop(w->server);
    h2_server_stop(w->h2);
    ingress_release(w->ingress);
}

static void init_handles(struct worker *w) {
    uv_async_init(&w->loop, &w->mail, on_mail);
    uv_prepare_init(&w->loop, &w->turn);
    w->turn.data = w;
    uv_prepare_start(&w->turn, on_turn);
    uv_async_init(&w->loop, &w->notice, on_notice);
    uv_async_init(&w->loop, &w->webhooks, on_webhooks);
    uv_timer_init(&w->loop, &w->tick);
    w->mail.data = w->notice.data = w->webhooks.data = w->tick.data = w;
}

/* Whether all was made or not, what was made is closed here and the loop is empty afterwards. */
static void discard(struct worker *w) {
    close_all(w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
}

static void adopt_http(void *context, int fd, const struct sockaddr *peer, socklen_t size) {
    const struct worker *w = context;
    http_server_adopt(w->server, fd, peer, size);
}

static void adopt_http2(void *context, int fd, const struct sockaddr *peer, socklen_t size) {
    const struct worker *w = context;
    (void)peer, (void)size;
    h2_server_adopt(w->h2, fd);
}

static unsigned count_connections(void *context) {
    const struct worker *w = context;
    return http_server_connections(w->server) + h2_server_connections(w->h2);
}

static bool make_servers(struct worker *w, int listen_fd, struct error *e) {
    const struct config *c = w->shared->config;
    struct http_limits http_limits = limits_for_http(c);
    struct h2_limits h2_limits = limits_for_h2(c);
    struct http_handler http = ingress_handler(w->ingress);
    struct h2_handler h2 = ingress_h2_handler(w->ingress);
    struct listener_options listening = {
        .loop = &w->loop,
        .listen_fd = listen_fd,
        .connections = c->limits.connections,
        .timeout_ms = c->limits.idle_timeout_ms,
        .http = adopt_http,
        .http2 = adopt_http2,
        .count = count_connections,
        .context = w,
    };
    w->h2 = h2_server_new(&w->loop, &h2_limits, &h2);
    w->server = http_server_new(&w->loop, &http_limits, &http, e);
    if (w->server == NULL) {
        close(listen_fd);
        return false;
    }
    w->listener = listener_new(&listening);
    return true;
}

struct worker *worker_new(struct ingress_shared *shared, unsigned index, unsigned count,
                          int listen_fd, struct error *e) {
    struct worker *w = xcalloc(1, sizeof *w);
    w->shared = shared;
    w->index = index;
    pthread_mutex_init(&w->lock, NULL);
    uv_loop_init(&w->loop);
    init_handles(w);
    w->mailbox = mailbox_new(shared->broker, wake, w);
    w->ingress = ingress_new(shared, &w->loop, w->mailbox, index, e);
    if (w->ingress == NULL) {
        close(listen_fd);
        goto fail;
    }
    if (!make_servers(w, listen_fd, e))
        goto fail;
    struct webhook_options options = {
        .loop = &w->loop,
        .mailbox = w->mailbox,
        .metrics = shared->metrics,
        .config = shared->config,
        .webhooks = shared->webhooks,
        .persistent = true,
        .worker = index,
        .workers = count,
    };
    w->sender = webhook_sender_new(&options, e);
    if (w->sender != NULL)
        return w;
fail:
    worker_free(w);
    return NULL;
}

void worker_webhooks_changed(struct worker *w) {
    pthread_mutex_lock(&w->lock);
    if (!w->closed)
        uv_async_send(&w->webhooks);
    pthread_mutex_unlock(&w->lock);
}

static void *run(void *context) {
    struct worker *w = context;
    uv_run(&w->loop, UV_RUN_DEFAULT);
    atomic_store(&w->ended, true);
    return NULL;
}

bool worker_start(struct worker *w, struct error *e) {
    /* Signals are the main thread's. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0)
        return error_set(e, ERROR_INTERNAL, "cannot start a thread: %s", strerror(failed));
    w->started = true;
    return true;
}

void worker_notice(struct worker *w, uint64_t deadline_ns) {
    atomic_store(&w->deadline_ns, deadline_ns);
    uv_async_send(&w->notice);
}

void worker_ask_idle(struct worker *w, unsigned round) {
    atomic_store(&w->asked, round);
}

bool worker_answer(const struct worker *w, unsigned round, bool *is_idle) {
    unsigned answer = atomic_load(&w->answered);
    *is_idle = (answer & 1) != 0;
    return answer / 2 == round;
}

bool worker_ended(const struct worker *w) {
    return atomic_load(&w->ended);
}

void worker_free(struct worker *w) {
    if (w == NULL)
        return;
    if (w->started)
        pthread_join(w->thread, NULL);
    else
        discard(w);
    uv_loop_close(&w->loop);
    mailbox_free(w->mailbox);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
