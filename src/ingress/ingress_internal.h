/*
 * ingress_internal: what the routes of one worker share. Internal to ingress/.
 */
#ifndef HOOKMOON_INGRESS_INGRESS_INTERNAL_H
#define HOOKMOON_INGRESS_INGRESS_INTERNAL_H

#include "ingress/ingress.h"
#include "rpc/rpc.h"

struct hook_table;
struct waiter;
struct frame_cache;
struct client;
struct websocket_server;

struct ingress {
    struct ingress_shared *shared;
    uv_loop_t *loop;
    struct mailbox *mailbox;
    struct hook_table *hooks;
    struct waiter *waiters; /* long polls and streams */
    unsigned waiter_count;
    struct frame_cache *frames;
    struct websocket_server *websockets;
    struct client *clients; /* WebSockets */
    struct buffer answer;   /* of the hook that is being answered; kept, as each one needs it */
    unsigned index;         /* the worker's */
    unsigned inbox_running; /* events of the inbox whose run is not yet committed */
    uv_timer_t inbox;
    uv_timer_t heartbeat;
    uv_timer_t check; /* of the subscribers' keys, each second */
    struct rpc *rpc;
    struct metric *publish_ok, *publish_refused;
    struct metric *long_polls, *streams, *socket_feeds;
};

static inline enum ingress_phase ingress_phase(const struct ingress *in) {
    return shared_phase(in->shared);
}

/* hook.c: POST /hooks/{bundle}[/{hook}] */
struct hook_table *hook_table_new(struct ingress *in, struct error *e);
void hook_table_free(struct hook_table *t);
size_t hook_headers(struct ingress *in, struct http_request *r);
void hook_request(struct ingress *in, struct http_request *r);

/* inbox.c: from now on, what waits there is run. */
void inbox_start(struct ingress *in);

/* topics.c: /topics/{cache}/{topic} */
size_t topics_headers(struct ingress *in, struct http_request *r);
void topics_request(struct ingress *in, struct http_request *r);
/* Who asks, by the header or ?token=; the caller unrefs. NULL: ERROR_UNAUTHENTICATED,
 * ERROR_INVALID.
 */
struct identity *topics_identify(struct ingress *in, const struct http_request *r, struct error *e);

/* admin.c: /admin/... */
size_t admin_headers(struct ingress *in, struct http_request *r);
void admin_request(struct ingress *in, struct http_request *r);

/* subscribe.c: its GET, for `who`, whose reference is taken */
void subscribe_request(struct ingress *in, struct http_request *r, const char *cache,
                       const char *topic, struct identity *who);
/* Ends those whose key is not good any more. */
void subscribe_check(struct ingress *in);
void subscribe_heartbeat(struct ingress *in);
void subscribe_release(struct ingress *in);

/* socket.c: /socket */
struct websocket_server *socket_server_new(struct ingress *in);
size_t socket_headers(struct ingress *in, struct http_request *r);
void socket_request(struct ingress *in, struct http_request *r);
/* Ends those whose key is not good any more, or did not come in time. */
void socket_check(struct ingress *in);
void socket_release(struct ingress *in);

/* services.c: /package.Service/Method, for gRPC-web */
size_t services_headers(struct ingress *in, struct http_request *r);
void services_request(struct ingress *in, struct http_request *r);

/* ops.c: /health, /ready, /metrics and the front page */
void ops_request(struct ingress *in, struct http_request *r);

#endif
