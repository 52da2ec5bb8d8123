#include "rpc/rpc.h"

#include <stdlib.h>

#include <openssl/rand.h>

#include "rpc/rpc_internal.h"

static struct metric *counter(struct rpc *r, const struct method *m, enum rpc_status status) {
    struct metric **count = &r->counts[method_index(m) * RPC_STATUS_COUNT + status];
    if (*count == NULL) {
        struct buffer labels = {0};
        metrics_label(&labels, "method", m->name);
        metrics_label(&labels, "status", rpc_status_word(status));
        *count = metrics_counter(r->shared->metrics, "hookmoon_grpc_calls_total",
                                 "Calls over gRPC and gRPC-web that ended, by method and status.",
                                 labels.data);
        buffer_free(&labels);
    }
    return *count;
}

struct rpc *rpc_new(struct ingress_shared *shared, uv_loop_t *loop, struct mailbox *mailbox) {
    struct rpc *r = xcalloc(1, sizeof *r);
    r->shared = shared;
    r->loop = loop;
    r->mailbox = mailbox;
    RAND_bytes((unsigned char *)&r->id_prefix, sizeof r->id_prefix);
    r->empty = grpc_frame_new(NULL, 0);
    r->counts = xcalloc((size_t)METHODS_MAX * RPC_STATUS_COUNT, sizeof(struct metric *));
    for (size_t i = 0; pubsub_methods[i].path != NULL; i++)
        counter(r, &pubsub_methods[i], RPC_OK); /* there from the start, for dashboards */
    watches_init(&r->watches, r);
    return r;
}

void rpc_free(struct rpc *r) {
    if (r == NULL)
        return;
    grpc_frame_unref(r->empty);
    free(r->counts);
    watches_close(&r->watches); /* frees `r` when its timer is closed */
}

unsigned rpc_web_waiting(const struct rpc *r) {
    return r->web_waiting;
}

void rpc_release(struct rpc *r) {
    watches_release(&r->watches);
}

void rpc_count(struct rpc *r, const struct method *m, enum rpc_status status) {
    metric_add(counter(r, m, status), 1);
}
