/*
 * bare_mhd: the ceiling for the gateway's ingress.
 *
 * libmicrohttpd in external-epoll mode on one libuv loop, built as the gateway builds its workers
 * (own SO_REUSEPORT listener, MHD_add_connection, MHD's epoll fd under uv_poll, a uv_timer from
 * MHD_get_timeout, a 6 KiB connection pool), but the handler only reads the body and answers
 * 200 "ok". What the gateway loses against it is the price of signature, JSON, Lua and broker.
 *
 * Build: cc -std=gnu17 -O2 bare_mhd.c -o bare_mhd $(pkg-config --cflags --libs libmicrohttpd libuv)
 * Run:   bare_mhd PORT        (127.0.0.1 only, one thread, until SIGTERM or SIGINT)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum {
    CONNECTION_POOL = 6 * 1024, /* MHD zeroes the pool for every request: small is fast */
    CONNECTION_LIMIT = 4096,
    RUNS_PER_TURN = 4, /* bound on how long MHD may keep the loop from other handles */
};

struct server {
    uv_loop_t *loop;
    struct MHD_Daemon *daemon;
    struct MHD_Response *ok;
    int listener;
    uv_poll_t listener_poll, daemon_poll;
    uv_timer_t timer;
    uv_signal_t interrupt, terminate;
};

static enum MHD_Result answer(void *userdata, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload_data,
                              size_t *upload_data_size, void **request_state) {
    static int headers_seen;
    struct server *server = userdata;

    (void)url, (void)method, (void)version, (void)upload_data;
    if (!*request_state) {
        *request_state = &headers_seen;
        return MHD_YES;
    }
    if (*upload_data_size) {
        *upload_data_size = 0; /* consumed */
        return MHD_YES;
    }
    return MHD_queue_response(connection, MHD_HTTP_OK, server->ok);
}

static void on_timer(uv_timer_t *timer);

/* Lets MHD do all that is ready, then sleeps until its next timeout or its epoll fd wakes us. */
static void daemon_run(struct server *server) {
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;

    for (int i = 0; i < RUNS_PER_TURN; i++) {
        MHD_run(server->daemon);
        if (MHD_get_timeout(server->daemon, &wait_ms) != MHD_YES) {
            uv_timer_stop(&server->timer);
            return;
        }
        if (wait_ms > 0)
            break;
    }
    uv_timer_start(&server->timer, on_timer, wait_ms, 0);
}

static void on_timer(uv_timer_t *timer) {
    daemon_run(timer->data);
}

static void on_daemon_ready(uv_poll_t *poll, int status, int events) {
    (void)events;
    if (status == 0)
        daemon_run(poll->data);
}

static void on_connection(uv_poll_t *poll, int status, int events) {
    struct server *server = poll->data;

    (void)events;
    if (status != 0)
        return;
    for (;;) {
        struct sockaddr_storage address;
        socklen_t length = sizeof address;
        int on = 1, fd = accept4(server->listener, (struct sockaddr *)&address, &length,
                                 SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            break; /* EAGAIN, or an error that the next readiness repeats */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        /* On failure MHD has closed the socket. */
        MHD_add_connection(server->daemon, fd, (struct sockaddr *)&address, length);
    }
    daemon_run(server);
}

static void on_signal(uv_signal_t *handle, int number) {
    (void)number;
    uv_stop(handle->loop);
}

static int listener_open(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1024) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int main(int argc, char **argv) {
    struct server server = {.loop = uv_default_loop()};
    int port = argc == 2 ? atoi(argv[1]) : 0;

    if (port <= 0 || port > 65535) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    server.listener = listener_open(port);
    if (server.listener < 0) {
        fprintf(stderr, "bare_mhd: listening on 127.0.0.1:%d: %s\n", port, strerror(errno));
        return 1;
    }
    server.ok = MHD_create_response_from_buffer(2, (void *)"ok", MHD_RESPMEM_PERSISTENT);
    server.daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, answer, &server,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_POOL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTION_LIMIT, MHD_OPTION_CONNECTION_TIMEOUT, 60U, MHD_OPTION_END);
    if (!server.ok || !server.daemon) {
        fprintf(stderr, "bare_mhd: starting libmicrohttpd failed\n");
        return 1;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server.daemon, MHD_DAEMON_INFO_EPOLL_FD);

    uv_timer_init(server.loop, &server.timer);
    uv_poll_init(server.loop, &server.listener_poll, server.listener);
    uv_poll_init(server.loop, &server.daemon_poll, info->epoll_fd);
    uv_signal_init(server.loop, &server.interrupt);
    uv_signal_init(server.loop, &server.terminate);
    server.timer.data = server.listener_poll.data = server.daemon_poll.data = &server;
    uv_poll_start(&server.listener_poll, UV_READABLE, on_connection);
    uv_poll_start(&server.daemon_poll, UV_READABLE, on_daemon_ready);
    uv_signal_start(&server.interrupt, on_signal, SIGINT);
    uv_signal_start(&server.terminate, on_signal, SIGTERM);

    uv_run(server.loop, UV_RUN_DEFAULT);

    MHD_stop_daemon(server.daemon);
    MHD_destroy_response(server.ok);
    close(server.listener);
    return 0;
}
