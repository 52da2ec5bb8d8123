/*
 * rpc: the gRPC services that Momento's SDKs call, over HTTP/2 (gRPC) and over HTTP/1.1 (gRPC-web).
 *
 * One rpc a worker, on its loop's thread. A call is what both transports share: its method, who
 * asks, its message, its answer. The methods are in rpc_pubsub.c, rpc_control.c, rpc_webhook.c and
 * rpc_auth.c; they know no transport.
 */
#ifndef HOOKMOON_RPC_RPC_H
#define HOOKMOON_RPC_RPC_H

#include "ingress/shared.h"
#include "net/h2_server.h"
#include "net/http_server.h"

struct rpc;

struct rpc *rpc_new(struct ingress_shared *shared, uv_loop_t *loop, struct mailbox *mailbox);
/* After the servers are freed. The loop must run once more afterwards to free the handles. */
void rpc_free(struct rpc *r);

/* What the worker's HTTP/2 server calls. */
struct h2_handler rpc_h2_handler(struct rpc *r);

/* True when the path has the form of a service's: /package.Service/Method. */
bool rpc_web_is(const char *path);
/* As in struct http_handler. */
size_t rpc_web_headers(struct rpc *r, struct http_request *request);
void rpc_web_request(struct rpc *r, struct http_request *request);
/* How many subscriptions of browsers are open. */
unsigned rpc_web_waiting(const struct rpc *r);

/* Ends the subscriptions so that their clients come again: with UNAVAILABLE over HTTP/2, where that
 * is retried, and over gRPC-web by the body's end, where any status would be final. */
void rpc_release(struct rpc *r);

#endif
