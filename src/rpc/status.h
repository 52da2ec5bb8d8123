/*
 * status: how a call ends, as gRPC says it. Any thread.
 */
#ifndef HOOKMOON_RPC_STATUS_H
#define HOOKMOON_RPC_STATUS_H

#include "base/base.h"

enum rpc_status {
    RPC_OK = 0,
    RPC_CANCELLED = 1,
    RPC_INVALID_ARGUMENT = 3,
    RPC_DEADLINE_EXCEEDED = 4,
    RPC_NOT_FOUND = 5,
    RPC_ALREADY_EXISTS = 6,
    RPC_PERMISSION_DENIED = 7,
    RPC_RESOURCE_EXHAUSTED = 8,
    RPC_FAILED_PRECONDITION = 9,
    RPC_UNIMPLEMENTED = 12,
    RPC_INTERNAL = 13,
    RPC_UNAVAILABLE = 14,
    RPC_UNAUTHENTICATED = 16,
};
#define RPC_STATUS_COUNT 17

/* "OK", "NOT_FOUND", ... */
const char *rpc_status_word(enum rpc_status status);
enum rpc_status rpc_status_of(const struct error *e);
/* What Momento's SDKs know a limit by (the trailer `err`); NULL: nothing is to be said. */
const char *rpc_status_detail(const struct error *e);

/* Percent-encodes '%' and what is not printable ASCII, and no more: clients show the rest as it is.
 */
void rpc_status_encode(struct buffer *b, const char *message);

/* grpc-timeout: up to eight digits and one of H M S m u n; in milliseconds, rounded up; -1 when it
 * is something else. */
int64_t rpc_parse_timeout(const char *text);

#endif
