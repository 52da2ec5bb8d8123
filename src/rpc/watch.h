/*
 * watch: the subscriptions of one worker's gRPC clients: heartbeats, resume, endings. Internal to
 * rpc/.
 */
#ifndef HOOKMOON_RPC_WATCH_H
#define HOOKMOON_RPC_WATCH_H

#include <uv.h>

#include "base/base.h"
#include "broker/broker.h"
#include "rpc/grpc_frame.h"

struct call;
struct rpc;
struct watch;
struct heal_list;

struct watches {
    struct rpc *rpc;
    struct watch *list;
    uv_timer_t timer;
    unsigned slot; /* of the heartbeats that are due next */
    struct grpc_frame *heartbeat;
    struct metric *open;
    /* Subscribers of a topic mostly take the same batches, so the last one's frame is kept. */
    struct item *batch_first;
    size_t batch_count;
    struct grpc_frame *batch;
};

void watches_init(struct watches *w, struct rpc *r);
/* Before the loop's end; every call must be freed. */
void watches_close(struct watches *w);
/* Ends them all, see rpc_release. */
void watches_release(struct watches *w);

/*
 * Subscribes and starts the stream: headers at once, a heartbeat, then what is to be replayed.
 *
 * Momento's Node SDK cuts each of its subscriptions five seconds after it was made and makes it
 * again; when it had received nothing before the cut, it does not say where to go on. So a
 * connection remembers for a while where such subscriptions began (c->cancelled), and one that is
 * made again starts there.
 */
bool watch_open(struct call *c, const char *cache, const char *topic, struct resume resume,
                struct error *e);
void watch_close(struct watch *w, bool cancelled);
/* The next frame, with a reference; NULL: there is nothing now. */
struct grpc_frame *watch_next(struct watch *w);

void heal_list_free(struct heal_list *h);

#endif
