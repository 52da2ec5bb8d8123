/*
 * http_internal: what the files of the HTTP server share. Internal to net/.
 */
#ifndef HOOKMOON_NET_HTTP_INTERNAL_H
#define HOOKMOON_NET_HTTP_INTERNAL_H

#include <microhttpd.h>

#include "base/request_id.h"
#include "net/http_server.h"

struct http_server {
    uv_loop_t *loop;
    struct http_handler handler;
    struct http_limits limits;
    struct MHD_Daemon *daemon;
    uv_poll_t epoll;  /* libmicrohttpd's epoll descriptor */
    uv_timer_t timer; /* from MHD_get_timeout */
    uv_prepare_t prepare;
    uv_check_t check;
    bool kicked; /* MHD_run is due in this loop turn */
    bool stopping;
    unsigned connections;
    struct http_request *requests; /* all in flight */
    unsigned in_flight;
    uint64_t id_prefix; /* request ids: random prefix and a counter */
    uint64_t id_next;
    uv_timer_t sweep; /* looks for requests that take too long to arrive */
};

enum request_state { REQUEST_RECEIVING, REQUEST_WAITING, REQUEST_REPLIED };

struct http_header {
    struct http_header *next;
    const char *name; /* a literal */
    char *value;
};

struct http_request {
    struct http_server *server;
    struct http_request *next, *prev;
    struct MHD_Connection *connection;
    const char *method;
    char *path;
    bool http_1_0;
    enum request_state state;
    bool in_handler; /* MHD is calling us: queue at once, do not resume */
    bool suspended;
    bool soon; /* see http_request_answers_soon */
    struct buffer body;
    size_t body_limit;
    uint64_t started_ms;         /* of the loop's clock */
    struct http_header *headers; /* of the answer */
    struct MHD_Response *response;
    unsigned status;
    uv_poll_t *watch; /* while suspended: notices that the client is gone */
    struct http_stream *stream;
    http_upgraded *on_upgraded;
    struct MHD_UpgradeResponseHandle *upgraded; /* while the socket is lent */
    void *data;
    void (*gone)(struct http_request *, void *);
    char id[REQUEST_ID_SIZE];
};

struct http_stream {
    struct http_request *request;
    bool live;    /* the headers are out, the socket is ours */
    bool ended;   /* http_stream_end was called */
    bool chunked; /* HTTP/1.1 */
    struct buffer pending;
    void (*on_writable)(void *);
    void *context;
};

/* MHD_run in this turn of the loop, or at its next start. */
void http_server_kick(struct http_server *s);
/* Suspends and watches for the client's going; the opposite. */
void http_request_suspend(struct http_request *r);
void http_request_resume(struct http_request *r);
int http_request_socket(const struct http_request *r);
/* Watches the socket for `events` besides UV_DISCONNECT. */
void http_request_watch(struct http_request *r, int events);
/* The socket took more: sends what a stream still holds. */
void http_stream_flush(struct http_stream *s);
void http_stream_free(struct http_stream *s);
/* Answers with `response`, which is taken over. */
void http_request_answer(struct http_request *r, unsigned status, struct MHD_Response *response);
/* Answers the queued response of `r` to MHD. */
enum MHD_Result http_request_queue(struct http_request *r);

#endif
