/*
 * listener: accepts connections and tells by their first bytes which protocol they speak: HTTP/2's
 * preface, or HTTP/1.1.
 *
 * One a worker, on its loop's thread.
 */
#ifndef HOOKMOON_NET_LISTENER_H
#define HOOKMOON_NET_LISTENER_H

#include <sys/socket.h>

#include <uv.h>

#include "base/base.h"

struct listener;

struct listener_options {
    uv_loop_t *loop;
    int listen_fd;        /* taken over */
    unsigned connections; /* at once, all protocols together */
    int64_t timeout_ms;   /* to send the first bytes */
    /* Take the socket over, whose first bytes are not read yet. */
    void (*http)(void *context, int fd, const struct sockaddr *peer, socklen_t size);
    void (*http2)(void *context, int fd, const struct sockaddr *peer, socklen_t size);
    /* How many connections there are beside those that have sent nothing yet. */
    unsigned (*count)(void *context);
    void *context;
};

struct listener *listener_new(const struct listener_options *o);
/* Closes the socket, and the connections that have sent nothing yet. */
void listener_stop(struct listener *l);
/* The loop must run once more afterwards to free the handles. */
void listener_free(struct listener *l);

#endif
