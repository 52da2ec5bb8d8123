#include "ingress/cors.h"

#include "ingress/reply.h"

/* True for HOST[:PORT] with a HOST that only this machine answers to. */
static bool is_loopback_host(const char *host) {
    static const char *const names[] = {"localhost", "[::1]"};
    size_t numeric = strspn(host, "0123456789.");
    if (strncmp(host, "127.", 4) == 0 && (host[numeric] == '\0' || host[numeric] == ':'))
        return true;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        size_t length = strlen(names[i]);
        if (strncasecmp(host, names[i], length) == 0 &&
            (host[length] == '\0' || host[length] == ':'))
            return true;
    }
    return false;
}

static bool is_loopback(const char *origin) {
    const char *host = strstr(origin, "://");
    return host != NULL && is_loopback_host(host + 3);
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

static bool is_public_host(const struct config *c, const char *host) {
    const char *own = c->public_url != NULL ? strstr(c->public_url, "://") + 3 : NULL;
    return own != NULL && strlen(host) == strcspn(own, "/") &&
           strncasecmp(own, host, strlen(host)) == 0;
}

bool cors_host_refused(const struct config *c, struct http_request *r) {
    const char *host = http_request_header(r, "Host");
    if (!c->open || c->allow_open_public || host == NULL || is_loopback_host(host) ||
        is_public_host(c, host))
        return false;
    reply_refuse(r, 403, "permission_denied",
                 "while no key is asked for, this gateway answers to localhost alone, not to "
                 "%.200s; see `public_url` and `keys` in the configuration",
                 host);
    return true;
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
