/*
 * grpc_frame: length-prefixed messages as gRPC sends them, ready to be copied into an answer.
 *
 * A frame holds one message or several. It is immutable and counted, so that the subscribers of a
 * topic share one. One thread.
 */
#ifndef HOOKMOON_RPC_GRPC_FRAME_H
#define HOOKMOON_RPC_GRPC_FRAME_H

#include "base/base.h"
#include "broker/broker.h"

struct grpc_frame {
    unsigned references;
    size_t length;
    uint8_t bytes[];
};

struct grpc_frame *grpc_frame_ref(struct grpc_frame *f);
void grpc_frame_unref(struct grpc_frame *f);

/* One message of `length` bytes: the five bytes of prefix and the message. */
struct grpc_frame *grpc_frame_new(const void *message, size_t length);
/* SubscriptionItem { heartbeat {} } */
struct grpc_frame *grpc_frame_heartbeat(void);
/* SubscriptionItem { discontinuity } */
struct grpc_frame *grpc_frame_gap(const struct discontinuity *d);
/* A SubscriptionItem for each. */
struct grpc_frame *grpc_frame_items(struct item *const *items, size_t count);

#define GRPC_PREFIX_BYTES 5

/*
 * Takes the message out of a request's body, which holds one: NULL and `e` when it does not
 * (ERROR_UNIMPLEMENTED: it is compressed; ERROR_INVALID).
 */
const uint8_t *grpc_frame_open(const void *body, size_t body_length, size_t *length,
                               struct error *e);

#endif
