#include "gateway/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "egress/webhook.h"
#include "ingress/limits.h"

#define STOP_TICK_MS 5

struct worker {
    struct ingress_shared *shared;
    unsigned index;
    pthread_t thread;
    bool started;
    uv_loop_t loop;
    uv_async_t mail;   /* the mailbox has news */
    uv_async_t notice; /* the main thread has */
    uv_timer_t tick;   /* while stopping */
    struct mailbox *mailbox;
    struct http_server *server;
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

static void wake(void *context) {
    struct worker *w = context;
    uv_async_send(&w->mail);
}

/* Requests that are neither answered nor waiting for news. */
static unsigned busy(const struct worker *w) {
    return http_server_in_flight(w->server) - ingress_waiting(w->ingress);
}

static bool idle(const struct worker *w) {
    return busy(w) == 0 && webhook_sender_idle(w->sender);
}

static void close_all(struct worker *w) {
    uv_timer_stop(&w->tick);
    webhook_sender_free(w->sender);
    w->sender = NULL;
    http_server_free(w->server);
    w->server = NULL;
    ingress_free(w->ingress);
    w->ingress = NULL;
    mailbox_dispatch(w->mailbox); /* lets go of what was marked meanwhile */
    uv_close((uv_handle_t *)&w->mail, NULL);
    uv_close((uv_handle_t *)&w->notice, NULL);
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
    if (!late && (http_server_in_flight(w->server) > 0 || !webhook_sender_idle(w->sender)))
        return;
    if (late)
        log_warn("stopping although requests are still in flight",
                 LOG_INT("requests", http_server_in_flight(w->server)),
                 LOG_INT("worker", w->index));
    close_all(w);
}

static void on_notice(uv_async_t *async) {
    struct worker *w = async->data;
    if (!uv_is_active((uv_handle_t *)&w->tick))
        uv_timer_start(&w->tick, on_tick, 0, STOP_TICK_MS);
    if (w->stopping || atomic_load(&w->shared->phase) != PHASE_STOPPING)
        return;
    w->stopping = true;
    http_server_stop_accepting(w->server);
    ingress_release(w->ingress);
}

static void init_handles(struct worker *w) {
    uv_async_init(&w->loop, &w->mail, on_mail);
    uv_async_init(&w->loop, &w->notice, on_notice);
    uv_timer_init(&w->loop, &w->tick);
    w->mail.data = w->notice.data = w->tick.data = w;
}

/* Whether all was made or not, what was made is closed here and the loop is empty afterwards. */
static void discard(struct worker *w) {
    close_all(w);
    uv_run(&w->loop, UV_RUN_DEFAULT);
}

struct worker *worker_new(struct ingress_shared *shared, unsigned index, unsigned count,
                          int listen_fd, struct error *e) {
    const struct config *c = shared->config;
    struct worker *w = xcalloc(1, sizeof *w);
    w->shared = shared;
    w->index = index;
    uv_loop_init(&w->loop);
    init_handles(w);
    w->mailbox = mailbox_new(shared->broker, wake, w);
    w->ingress = ingress_new(shared, &w->loop, w->mailbox, e);
    if (w->ingress == NULL) {
        close(listen_fd);
        goto fail;
    }
    struct http_limits limits = limits_for_http(c);
    struct http_handler handler = ingress_handler(w->ingress);
    w->server = http_server_new(&w->loop, listen_fd, &limits, &handler, e);
    if (w->server == NULL)
        goto fail;
    struct webhook_options options = {
        .loop = &w->loop,
        .mailbox = w->mailbox,
        .metrics = shared->metrics,
        .config = c,
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
    free(w);
}
