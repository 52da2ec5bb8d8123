/*
 * The daemon's life on the loop: epoll descriptor, timers. Requests are http_request.c's.
 */
#include <stdlib.h>

#include <openssl/rand.h>

#include "net/http_internal.h"
#include "net/http_request.h"

#define RUNS_PER_TURN 4

static void run_daemon(struct http_server *s) {
    /* An answer may resume another request, which wants another run; the rest goes to the next turn
     * so that timers and other sockets have theirs. */
    for (int i = 0; i < RUNS_PER_TURN && s->kicked; i++) {
        s->kicked = false;
        MHD_run(s->daemon);
    }
    MHD_UNSIGNED_LONG_LONG timeout;
    if (MHD_get_timeout(s->daemon, &timeout) != MHD_YES)
        return;
    if (!uv_is_active((uv_handle_t *)&s->timer) || uv_timer_get_due_in(&s->timer) > timeout)
        uv_timer_start(&s->timer, s->timer.timer_cb, timeout, 0);
}

void http_server_kick(struct http_server *s) {
    s->kicked = true;
}

static void on_timer(uv_timer_t *timer) {
    http_server_kick(timer->data);
}

static void on_epoll(uv_poll_t *poll, int status, int events) {
    (void)status, (void)events;
    http_server_kick(poll->data);
}

static void on_prepare(uv_prepare_t *prepare) {
    struct http_server *s = prepare->data;
    if (s->kicked)
        run_daemon(s);
    if (s->kicked) /* still: do not sleep in the poll that follows */
        uv_timer_start(&s->timer, on_timer, 0, 0);
}

static void on_check(uv_check_t *check) {
    struct http_server *s = check->data;
    if (s->kicked)
        run_daemon(s);
}

void http_server_adopt(struct http_server *s, int fd, const struct sockaddr *peer, socklen_t size) {
    MHD_add_connection(s->daemon, fd, peer, size); /* closes it if it fails */
    http_server_kick(s);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code) {
    (void)connection, (void)socket_context;
    struct http_server *s = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        s->connections++;
    else
        s->connections--;
}

static void on_sweep(uv_timer_t *timer) {
    struct http_server *s = timer->data;
    http_requests_expire(s, uv_now(s->loop));
}

static struct MHD_Daemon *start_daemon(struct http_server *s) {
    /* A pool of six KiB instead of the default 32 gains a quarter of the throughput, as it is
     * zeroed for every request; it must hold the headers both ways. */
    size_t pool = s->limits.header_bytes + 2048;
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE, 0,
        NULL, NULL, http_on_access, s, MHD_OPTION_CONNECTION_MEMORY_LIMIT, pool,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)((s->limits.idle_timeout_ms + 999) / 1000),
        MHD_OPTION_CONNECTION_LIMIT, s->limits.connections + 1, MHD_OPTION_NOTIFY_COMPLETED,
        http_on_completed, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
        MHD_OPTION_URI_LOG_CALLBACK, http_on_uri, s, MHD_OPTION_END);
}

struct http_server *http_server_new(uv_loop_t *loop, const struct http_limits *limits,
                                    const struct http_handler *handler, struct error *e) {
    struct http_server *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    s->handler = *handler;
    s->limits = *limits;
    RAND_bytes((unsigned char *)&s->id_prefix, sizeof s->id_prefix);
    s->daemon = start_daemon(s);
    if (s->daemon == NULL) {
        free(s);
        error_set(e, ERROR_INTERNAL, "cannot start the HTTP server (out of file descriptors?)");
        return NULL;
    }
    uv_poll_init(loop, &s->epoll,
                 MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    s->epoll.data = s;
    uv_poll_start(&s->epoll, UV_READABLE, on_epoll);
    uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    s->timer.timer_cb = on_timer;
    uv_prepare_init(loop, &s->prepare);
    s->prepare.data = s;
    uv_prepare_start(&s->prepare, on_prepare);
    uv_check_init(loop, &s->check);
    s->check.data = s;
    uv_check_start(&s->check, on_check);
    uv_timer_init(loop, &s->sweep);
    s->sweep.data = s;
    uv_timer_start(&s->sweep, on_sweep, 250, 250);
    return s;
}

void http_server_stop(struct http_server *s) {
    s->stopping = true;
}

unsigned http_server_connections(const struct http_server *s) {
    return s->connections;
}

unsigned http_server_in_flight(const struct http_server *s) {
    return s->in_flight;
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void http_server_free(struct http_server *s) {
    if (s == NULL)
        return;
    http_server_stop(s);
    http_requests_abandon(s);
    uv_poll_stop(&s->epoll);
    MHD_stop_daemon(s->daemon);
    uv_close((uv_handle_t *)&s->epoll, NULL);
    uv_close((uv_handle_t *)&s->timer, NULL);
    uv_close((uv_handle_t *)&s->prepare, NULL);
    uv_close((uv_handle_t *)&s->check, NULL);
    uv_close((uv_handle_t *)&s->sweep, on_closed); /* closed last, as they close in order */
}
