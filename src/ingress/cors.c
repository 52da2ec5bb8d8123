#include "ingress/cors.h"

#include "ingress/reply.h"

/* True for http(s)://HOST[:PORT] with a HOST that only this machine answers to. */
static bool is_loopback(const char *origin) {
    static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]"};
    const char *host = strstr(origin, "://");
    if (host == NULL)
        return false;
    host += 3;
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        size_t length = strlen(hosts[i]);
        if (strncasecmp(host, hosts[i], length) == 0 &&
            (host[length] == '\0' || host[length] == ':'))
            return true;
    }
    return false;
}

static bool allows_all(const struct config *c) {
    for (size_t i = 0; i < c->origin_count; i++) {
        if (strcmp(c->origins[i], "*") == 0)
            return true;
    }
    return c->origin_count == 0 && !c->open;
}

bool cors_allows(const struct config *c, const char *origin) {
    if (allows_all(c))
        return true;
    for (size_t i = 0; i < c->origin_count; i++) {
        if (strcasecmp(c->origins[i], origin) == 0)
            return true;
    }
    return c->origin_count == 0 && is_loopback(origin);
}

void cors_headers(const struct config *c, struct http_request *r) {
    const char *origin = http_request_header(r, "Origin");
    if (allows_all(c)) {
        http_request_set_header(r, "Access-Control-Allow-Origin", "*");
    } else if (origin != NULL && cors_allows(c, origin)) {
        http_request_set_header(r, "Access-Control-Allow-Origin", origin);
        http_request_set_header(r, "Vary", "Origin");
    } else {
        return;
    }
    http_request_set_header(r, "Access-Control-Expose-Headers",
                            "grpc-status, grpc-message, err, X-Request-Id, Retry-After");
}

void cors_preflight(const struct config *c, struct http_request *r, const char *methods,
                    const char *headers) {
    const char *origin = http_request_header(r, "Origin");
    cors_headers(c, r);
    if (origin != NULL && cors_allows(c, origin)) {
        http_request_set_header(r, "Access-Control-Allow-Methods", methods);
        http_request_set_header(r, "Access-Control-Allow-Headers", headers);
        http_request_set_header(r, "Access-Control-Max-Age", "86400");
    }
    http_request_reply(r, 204, NULL, NULL, 0);
}

bool cors_refused(const struct config *c, struct http_request *r) {
    const char *origin = http_request_header(r, "Origin");
    if (origin == NULL || cors_allows(c, origin))
        return false;
    reply_refuse(r, 403, "permission_denied",
                 "pages of %.200s may not use this gateway; see `origins` in the configuration",
                 origin);
    return true;
}
