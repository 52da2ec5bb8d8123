/*
 * ingress: the routes. Turns HTTP requests into calls on scripts and the broker.
 *
 * One ingress a worker, on its loop's thread; what all workers share is in ingress/shared.h.
 */
#ifndef HOOKMOON_INGRESS_INGRESS_H
#define HOOKMOON_INGRESS_INGRESS_H

#include "ingress/shared.h"
#include "net/h2_server.h"
#include "net/http_server.h"

struct ingress;

/* `index` is the worker's. */
struct ingress *ingress_new(struct ingress_shared *shared, uv_loop_t *loop, struct mailbox *mailbox,
                            unsigned index, struct error *e);
/* What the worker's HTTP servers call. */
struct http_handler ingress_handler(struct ingress *in);
struct h2_handler ingress_h2_handler(struct ingress *in);
/* How many long polls, event streams and WebSockets are waiting over HTTP/1.1. */
unsigned ingress_waiting(const struct ingress *in);
/* Answers the long polls and ends the streams and WebSockets, cleanly. */
void ingress_release(struct ingress *in);
/* After the HTTP servers are freed. The loop must run once more afterwards to free the handles. */
void ingress_free(struct ingress *in);

#endif
