/*
 * http_server: HTTP/1.1 on a worker's loop, by libmicrohttpd.
 *
 * One server a worker: its own daemon in external epoll mode, fed by the listener. All calls and
 * callbacks happen on the loop's thread. A request lives from on_headers until its answer is sent
 * or its client is gone; its strings are valid that long.
 */
#ifndef HOOKMOON_NET_HTTP_SERVER_H
#define HOOKMOON_NET_HTTP_SERVER_H

#include <sys/socket.h>

#include <uv.h>

#include "base/base.h"

struct http_server;
struct http_request;
struct http_stream;

struct http_handler {
    /* The headers are in: returns the largest body it takes, or replies at once. */
    size_t (*on_headers)(struct http_request *, void *context);
    /* The body is in: replies now, or later (the connection waits meanwhile). */
    void (*on_request)(struct http_request *, void *context);
    void *context;
};

struct http_limits {
    size_t header_bytes;
    unsigned connections;
    int64_t request_timeout_ms;
    int64_t idle_timeout_ms;
};

/* A listening socket with SO_REUSEPORT for "host:port" or "[v6]:port", or -1. The first of an
 * address refuses to share it with another program. */
int http_listen(const char *address, bool first, struct error *e);
/* The port a socket is bound to. */
unsigned http_listen_port(int fd);
/* True when only this machine can reach it. */
bool http_listen_is_loopback(int fd);

struct http_server *http_server_new(uv_loop_t *loop, const struct http_limits *limits,
                                    const struct http_handler *handler, struct error *e);
/* Takes a connection over. */
void http_server_adopt(struct http_server *s, int fd, const struct sockaddr *peer, socklen_t size);
unsigned http_server_connections(const struct http_server *s);
/* Connections may finish, but are told to close after an answer. */
void http_server_stop(struct http_server *s);
/* How many requests have come in whole or in part and are not answered yet, streams included. */
unsigned http_server_in_flight(const struct http_server *s);
/* Closes what is left. The loop must run once more afterwards to free the handles. */
void http_server_free(struct http_server *s);

const char *http_request_id(const struct http_request *r);
const char *http_request_method(const struct http_request *r);
/* The path as it was sent, without the query. */
const char *http_request_path(const struct http_request *r);
/* The value, or NULL. Names of headers in any case; of arguments exact and percent-decoded. */
const char *http_request_header(const struct http_request *r, const char *name);
const char *http_request_argument(const struct http_request *r, const char *name);
/* How often a header was sent. */
unsigned http_request_header_count(const struct http_request *r, const char *name);
typedef void http_each(void *context, const char *name, const char *value);
void http_request_each_header(const struct http_request *r, http_each *each, void *context);
void http_request_each_argument(const struct http_request *r, http_each *each, void *context);
/* The body, NUL-terminated behind its last byte. */
const char *http_request_body(const struct http_request *r, size_t *length);
/* A pointer of the handler's, NULL at first. `gone` is called when the request ends, either way. */
void http_request_set_data(struct http_request *r, void *data,
                           void (*gone)(struct http_request *, void *data));
void *http_request_data(const struct http_request *r);

/* The answer comes in a moment: until then it costs more to watch for the client's going than to
 * answer one that is gone. From within on_request. */
void http_request_answers_soon(struct http_request *r);
/* A header for the answer, to be set before it. */
void http_request_set_header(struct http_request *r, const char *name, const char *value);
/* Answers; `type` may be NULL when there is no body. The bytes are copied. */
void http_request_reply(struct http_request *r, unsigned status, const char *type, const void *body,
                        size_t length);
bool http_request_replied(const struct http_request *r);
/* The status it was answered with, 0: not (yet) answered. */
unsigned http_request_status(const struct http_request *r);

/*
 * Answers with a body without end. `on_writable(context)` is called when a stream that was full has
 * room again. The stream ends with the request (see http_request_set_data) or by http_stream_end.
 */
struct http_stream *http_request_stream(struct http_request *r, unsigned status, const char *type,
                                        void (*on_writable)(void *), void *context);
/* Sends; false when the client does not keep up: the bytes are kept, but send no more until
 * on_writable. Never blocks. */
bool http_stream_send(struct http_stream *s, const void *bytes, size_t length);
/* Ends the body cleanly once everything is sent. */
void http_stream_end(struct http_stream *s);

/*
 * Answers with 101 and lends the socket to another protocol: `upgraded` is called when the answer
 * is out, with the bytes of the client's that came early. From within on_request. The request lives
 * on until http_request_end_upgrade, before which nobody may watch the socket any more; its end
 * (see http_request_set_data) says so when the server goes first, or the client before the answer.
 */
typedef void http_upgraded(struct http_request *r, int fd, const void *early, size_t length);
void http_request_upgrade(struct http_request *r, const char *protocol, http_upgraded *upgraded);
void http_request_end_upgrade(struct http_request *r);

#endif
