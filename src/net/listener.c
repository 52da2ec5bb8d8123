#include "net/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <utlist.h>

#define ACCEPTS_PER_TURN 64
#define SWEEP_MS         250

/* So many bytes tell: no method of HTTP/1.1 begins like HTTP/2's preface "PRI * HTTP/2.0". */
static const char preface[] = "PRI";
#define PREFACE_BYTES 3

/* A connection that has not sent enough yet. */
struct newcomer {
    struct newcomer *next, *prev;
    struct listener *listener;
    uv_poll_t poll;
    int fd;
    uint64_t since_ms;
    struct sockaddr_storage peer;
    socklen_t peer_size;
};

struct listener {
    struct listener_options options;
    uv_poll_t poll;
    uv_timer_t sweep;
    bool stopped;
    struct newcomer *newcomers;
    unsigned waiting;
};

/* Its socket belongs to somebody else now, or is closed. */
static void on_newcomer_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void forget(struct newcomer *n) {
    struct listener *l = n->listener;
    DL_DELETE(l->newcomers, n);
    l->waiting--;
    uv_poll_stop(&n->poll);
    uv_close((uv_handle_t *)&n->poll, on_newcomer_closed);
}

static void set_threshold(int fd, int bytes) {
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
}

/* Hands the connection over if its bytes tell what it is; false: they do not yet. */
static bool dispatch(struct listener *l, int fd, const struct sockaddr *peer, socklen_t size,
                     bool last_chance) {
    char bytes[PREFACE_BYTES];
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        close(fd);
        return true;
    }
    if (memcmp(bytes, preface, (size_t)n) != 0) {
        l->options.http(l->options.context, fd, peer, size);
    } else if (n == PREFACE_BYTES) {
        l->options.http2(l->options.context, fd, peer, size);
    } else if (last_chance) {
        l->options.http(l->options.context, fd, peer, size);
    } else {
        return false;
    }
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    (void)status, (void)events;
    struct newcomer *n = poll->data;
    struct listener *l = n->listener;
    struct sockaddr_storage peer = n->peer;
    socklen_t size = n->peer_size;
    int fd = n->fd;
    forget(n);
    set_threshold(fd, 1);
    /* Fewer bytes than were waited for: it has ended, and no more will come. */
    if (!dispatch(l, fd, (struct sockaddr *)&peer, size, true))
        close(fd);
}

static void wait_for_bytes(struct listener *l, int fd, const struct sockaddr_storage *peer,
                           socklen_t size) {
    struct newcomer *n = xcalloc(1, sizeof *n);
    n->listener = l;
    n->fd = fd;
    n->peer = *peer;
    n->peer_size = size;
    n->since_ms = uv_now(l->options.loop);
    uv_poll_init(l->options.loop, &n->poll, fd);
    n->poll.data = n;
    DL_APPEND(l->newcomers, n);
    l->waiting++;
    set_threshold(fd, PREFACE_BYTES);
    uv_poll_start(&n->poll, UV_READABLE | UV_DISCONNECT, on_readable);
}

/* Whoever speaks HTTP/2 gets this as well, but closed is closed. */
static void refuse(int fd) {
    static const char busy[] =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
        "Connection: close\r\nContent-Length: 67\r\n\r\n"
        "{\"code\":\"unavailable\",\"message\":\"too many connections, come again\"}\n";
    (void)!send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

static void on_listener(uv_poll_t *poll, int status, int events) {
    (void)events;
    struct listener *l = poll->data;
    if (status != 0)
        return;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof peer;
        int fd = accept4(l->options.listen_fd, (struct sockaddr *)&peer, &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
                log_warn("cannot accept a connection", LOG_STR("error", strerror(errno)));
            break;
        }
        if (l->waiting + l->options.count(l->options.context) >= l->options.connections) {
            refuse(fd);
            continue;
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (!dispatch(l, fd, (struct sockaddr *)&peer, size, false))
            wait_for_bytes(l, fd, &peer, size);
    }
}

static void drop_newcomers(struct listener *l, uint64_t older_than_ms) {
    struct newcomer *n, *next;
    uint64_t now = uv_now(l->options.loop);
    DL_FOREACH_SAFE(l->newcomers, n, next) {
        if (now - n->since_ms < older_than_ms)
            break; /* they are in the order of their coming */
        int fd = n->fd;
        forget(n);
        close(fd);
    }
}

static void on_sweep(uv_timer_t *timer) {
    struct listener *l = timer->data;
    drop_newcomers(l, (uint64_t)l->options.timeout_ms);
}

struct listener *listener_new(const struct listener_options *o) {
    struct listener *l = xcalloc(1, sizeof *l);
    l->options = *o;
    uv_poll_init(o->loop, &l->poll, o->listen_fd);
    l->poll.data = l;
    uv_poll_start(&l->poll, UV_READABLE, on_listener);
    uv_timer_init(o->loop, &l->sweep);
    l->sweep.data = l;
    uv_timer_start(&l->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    return l;
}

void listener_stop(struct listener *l) {
    if (l->stopped)
        return;
    l->stopped = true;
    drop_newcomers(l, 0);
    uv_poll_stop(&l->poll);
    uv_close((uv_handle_t *)&l->poll, NULL);
    close(l->options.listen_fd);
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void listener_free(struct listener *l) {
    if (l == NULL)
        return;
    listener_stop(l);
    uv_close((uv_handle_t *)&l->sweep, on_closed); /* closed last, as they close in order */
}
