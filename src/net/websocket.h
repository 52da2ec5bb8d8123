/*
 * websocket: WebSocket connections (RFC 6455) on a worker's loop: the handshake on top of
 * http_server, frames by wslay.
 *
 * One server a worker; all calls and callbacks happen on its loop's thread. What is sent is
 * gathered and written once a turn of the loop.
 *
 * What it bounds: a message's size and the time it takes to arrive, unread answers (a connection
 * that does not read is not read from), silence (a peer that answers no ping is dropped), the time
 * that closing takes.
 */
#ifndef HOOKMOON_NET_WEBSOCKET_H
#define HOOKMOON_NET_WEBSOCKET_H

#include "net/http_server.h"

struct websocket_server;
struct websocket;

/* Close codes (RFC 6455, section 7.4). */
#define WEBSOCKET_GOING_AWAY  1001
#define WEBSOCKET_UNSUPPORTED 1003
#define WEBSOCKET_POLICY      1008
#define WEBSOCKET_TOO_LARGE   1009

struct websocket_handler {
    /* A text message, UTF-8 and NUL-terminated; none comes any more once it is closing. */
    void (*on_message)(struct websocket *w, const char *text, size_t length);
    /* After websocket_wake: send now what there is, while websocket_has_room. */
    void (*on_writable)(struct websocket *w);
    /* It is over, whoever ended it. Called once, never from within a call of the handler's own; the
     * websocket is not to be used afterwards. */
    void (*on_closed)(struct websocket *w);
};

struct websocket_limits {
    int64_t ping_ms;         /* a peer that is silent so long is pinged, twice as long: dropped */
    int64_t message_time_ms; /* for a message to arrive whole */
};

struct websocket_server *websocket_server_new(uv_loop_t *loop,
                                              const struct websocket_limits *limits,
                                              const struct websocket_handler *handler);
/* How many there are: each holds a request of the HTTP server's. */
unsigned websocket_server_count(const struct websocket_server *s);
/* Closes all. */
void websocket_server_close(struct websocket_server *s, unsigned code, const char *reason);
/* After the HTTP server is freed. The loop must run once more afterwards to free the handles. */
void websocket_server_free(struct websocket_server *s);

/* True when the request asks for a WebSocket in the right way; otherwise `*status` is for the
 * answer and `*defect` says what is wrong. */
bool websocket_check(const struct http_request *r, unsigned *status, const char **defect);
/* Answers a request that was checked, from within on_request. `message_bytes` is the largest
 * message it takes. Takes http_request_set_data. */
struct websocket *websocket_accept(struct websocket_server *s, struct http_request *r,
                                   size_t message_bytes, void *data);
/* What was given to websocket_accept. */
void *websocket_data(const struct websocket *w);
void websocket_limit(struct websocket *w, size_t message_bytes);

/* Sends a text message; nothing once it is closing. Never blocks: what the peer does not take is
 * kept, so ask websocket_has_room before sending what could wait. */
void websocket_send(struct websocket *w, const char *text, size_t length);
/* False when much is kept already, or it is closing. */
bool websocket_has_room(const struct websocket *w);
/* Calls on_writable soon, once there is room. */
void websocket_wake(struct websocket *w);
/* Begins the closing handshake; a reason that is too long is cut. */
void websocket_close(struct websocket *w, unsigned code, const char *reason);

/* The answer to a Sec-WebSocket-Key; false when that is none. */
#define WEBSOCKET_ACCEPT_SIZE 29
bool websocket_accept_key(const char *key, char accept[WEBSOCKET_ACCEPT_SIZE]);

#endif
