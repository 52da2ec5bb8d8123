/*
 * h2_server: HTTP/2 without TLS (prior knowledge) on a worker's loop, by nghttp2.
 *
 * One server a worker; all calls and callbacks happen on its loop's thread. A stream lives from
 * on_request until on_closed; nothing of it may be used afterwards. What is sent is gathered and
 * written once a turn of the loop.
 *
 * What it bounds: streams and unfinished requests' bytes of a connection, the size of headers, the
 * time to send a request, resets a second, unread answers (a connection that does not read is not
 * read from). PINGs are answered, however many.
 */
#ifndef HOOKMOON_NET_H2_SERVER_H
#define HOOKMOON_NET_H2_SERVER_H

#include <sys/socket.h>

#include <uv.h>

#include "base/base.h"

struct h2_server;
struct h2_connection;
struct h2_stream;

/* The headers we know; NULL: not sent. */
struct h2_request {
    const char *method;
    const char *path;
    const char *authority;
    const char *content_type;
    const char *authorization;
    const char *grpc_timeout;
    const char *grpc_encoding;
    bool too_large; /* the headers exceed the limit: some are missing */
};

struct h2_header {
    const char *name; /* a literal in lower case */
    const char *value;
};

struct h2_handler {
    /* The headers are in. Answer here, or later; a body may follow. */
    void (*on_request)(struct h2_stream *s, const struct h2_request *r, void *context);
    void (*on_data)(struct h2_stream *s, const void *bytes, size_t length, void *context);
    /* The request is whole. */
    void (*on_end)(struct h2_stream *s, void *context);
    /* The time to send it is over (see h2_stream_set_deadline); it must be answered. */
    void (*on_late)(struct h2_stream *s, void *context);
    /*
     * More of the answer's body is wanted: writes up to `room` bytes and returns how many; 0: there
     * is nothing now, h2_stream_resume will say when. At the body's end sets *end, after
     * h2_stream_trailers.
     */
    size_t (*on_pull)(struct h2_stream *s, void *bytes, size_t room, bool *end, void *context);
    /* The stream is gone: answered whole, or cancelled by the client, or the connection is lost. */
    void (*on_closed)(struct h2_stream *s, bool cancelled, void *context);
    /* The connection is gone, its streams before it. */
    void (*on_connection_closed)(struct h2_connection *c, void *context);
    void *context;
};

struct h2_limits {
    size_t header_bytes;
    unsigned streams; /* of a connection */
    int64_t request_timeout_ms;
    int64_t idle_timeout_ms;
};

struct h2_server *h2_server_new(uv_loop_t *loop, const struct h2_limits *limits,
                                const struct h2_handler *handler);
/* Takes a connection over. */
void h2_server_adopt(struct h2_server *s, int fd);
unsigned h2_server_connections(const struct h2_server *s);
/* Streams that are open. */
unsigned h2_server_streams(const struct h2_server *s);
/* GOAWAY: what is under way may finish, new streams are not taken, idle connections close. */
void h2_server_stop(struct h2_server *s);
/* Closes what is left. The loop must run once more afterwards to free the handles. */
void h2_server_free(struct h2_server *s);

/* A pointer of the handler's, NULL at first. */
void h2_stream_set_data(struct h2_stream *s, void *data);
void *h2_stream_data(const struct h2_stream *s);
void h2_connection_set_data(struct h2_connection *c, void *data);
void *h2_connection_data(const struct h2_connection *c);
struct h2_connection *h2_stream_connection(const struct h2_stream *s);

/* An unfinished request is late after this, if it is earlier than the limit. */
void h2_stream_set_deadline(struct h2_stream *s, int64_t after_ms);
/* Answers: with `end`, that was all, else on_pull is asked for the body. */
void h2_stream_headers(struct h2_stream *s, const struct h2_header *list, size_t count, bool end);
void h2_stream_trailers(struct h2_stream *s, const struct h2_header *list, size_t count);
/* There is something to pull again. */
void h2_stream_resume(struct h2_stream *s);
/* After an answer that came before the request was whole: the rest is not wanted. */
void h2_stream_refuse_rest(struct h2_stream *s);

#endif
