/*
 * POST /package.Service/Method: gRPC-web.
 */
#include "ingress/cors.h"
#include "ingress/ingress_internal.h"

/* What Momento's web SDK sends, and what its next version may. */
static const char allowed_headers[] =
    "authorization, content-type, accept, agent, cache, grpc-timeout, read-concern, "
    "runtime-version, x-grpc-web, x-user-agent";

size_t services_headers(struct ingress *in, struct http_request *r) {
    const struct config *c = in->shared->config;
    if (strcmp(http_request_method(r), "OPTIONS") == 0) {
        cors_preflight(c, r, "POST, OPTIONS", allowed_headers);
        return 0;
    }
    if (cors_refused(c, r))
        return 0;
    cors_headers(c, r);
    return rpc_web_headers(in->rpc, r);
}

void services_request(struct ingress *in, struct http_request *r) {
    rpc_web_request(in->rpc, r);
}
