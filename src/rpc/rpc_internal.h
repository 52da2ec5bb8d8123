/*
 * rpc_internal: one worker's services. Internal to rpc/.
 */
#ifndef HOOKMOON_RPC_RPC_INTERNAL_H
#define HOOKMOON_RPC_RPC_INTERNAL_H

#include "rpc/call.h"
#include "rpc/watch.h"

struct rpc {
    struct ingress_shared *shared;
    uv_loop_t *loop;
    struct mailbox *mailbox;
    uint64_t id_prefix; /* request ids: random prefix and a counter */
    uint64_t id_next;
    struct grpc_frame *empty; /* an empty message; most answers are that */
    struct watches watches;
    unsigned web_waiting;
    struct metric **counts; /* by method and status, made when there is something to count */
};

/* Counts a call that ended. */
void rpc_count(struct rpc *r, const struct method *m, enum rpc_status status);

#endif
