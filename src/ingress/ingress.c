/*
 * The table of routes, and the life of a worker's ingress.
 */
#include "ingress/ingress.h"

#include <stdlib.h>

#include "ingress/cors.h"
#include "ingress/frame.h"
#include "ingress/ingress_internal.h"
#include "ingress/reply.h"
#include "net/websocket.h"

#define CHECK_MS 1000

struct route {
    const char *path; /* one that ends in '/' stands for all that begin so */
    const char *methods;
    /* Returns the largest body; NULL: there is none. */
    size_t (*headers)(struct ingress *in, struct http_request *r);
    void (*request)(struct ingress *in, struct http_request *r);
};

static const struct route routes[] = {
    {"/hooks/", "POST", hook_headers, hook_request},
    {"/topics/", "GET, POST, OPTIONS", topics_headers, topics_request},
    {"/socket", "GET", socket_headers, socket_request},
    {"/admin/", "GET, POST, PUT, DELETE", admin_headers, admin_request},
    {"/health", "GET, HEAD", NULL, ops_request},
    {"/ready", "GET, HEAD", NULL, ops_request},
    {"/metrics", "GET, HEAD", NULL, ops_request},
};

/* Those that no prefix tells: the services' methods. */
static const struct route services = {"", "POST, OPTIONS", services_headers, services_request};

static const struct route *find_route(const char *path) {
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        size_t length = strlen(routes[i].path);
        bool whole = routes[i].path[length - 1] != '/';
        if (strncmp(path, routes[i].path, length) == 0 && (!whole || path[length] == '\0'))
            return &routes[i];
    }
    return rpc_web_is(path) ? &services : NULL;
}

/* True when `method` is one of the comma-separated words. */
static bool has_method(const char *methods, const char *method) {
    size_t length = strlen(method);
    for (const char *at = methods; at != NULL; at = strchr(at, ',')) {
        at += strspn(at, ", ");
        if (strncmp(at, method, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

static size_t on_headers(struct http_request *r, void *context) {
    struct ingress *in = context;
    const struct route *route = find_route(http_request_path(r));
    if (route == NULL) {
        reply_refuse(
            r, 404, "not_found",
            "there is nothing here; see /hooks/{bundle}, /topics/{cache}/{topic}, /socket, "
            "/admin/openapi.json, /health, /ready, /metrics");
        return 0;
    }
    if (!has_method(route->methods, http_request_method(r))) {
        http_request_set_header(r, "Allow", route->methods);
        reply_refuse(r, 405, "method_not_allowed", "the method must be %s", route->methods);
        return 0;
    }
    if (cors_host_refused(in->shared->config, r))
        return 0;
    return route->headers != NULL ? route->headers(in, r) : 0;
}

static void on_request(struct http_request *r, void *context) {
    find_route(http_request_path(r))->request(context, r);
}

struct http_handler ingress_handler(struct ingress *in) {
    return (struct http_handler){on_headers, on_request, in};
}

static void on_heartbeat(uv_timer_t *timer) {
    struct ingress *in = timer->data;
    subscribe_heartbeat(in);
    frame_cache_clear(in->frames); /* nothing large is kept for topics that fell silent */
}

static void on_check(uv_timer_t *timer) {
    struct ingress *in = timer->data;
    subscribe_check(in);
    socket_check(in);
    mailbox_retry(in->mailbox);
}

static void register_metrics(struct ingress *in) {
    static const char publishes[] = "hookmoon_publishes_total",
                      publishes_help[] = "Publishes over the topics API, by outcome.",
                      subscribers[] = "hookmoon_http_subscribers",
                      subscribers_help[] = "Subscribers over HTTP that are connected.";
    struct metrics *m = in->shared->metrics;
    in->publish_ok = metrics_counter(m, publishes, publishes_help, "outcome=\"ok\"");
    in->publish_refused = metrics_counter(m, publishes, publishes_help, "outcome=\"refused\"");
    in->long_polls = metrics_gauge(m, subscribers, subscribers_help, "kind=\"long_poll\"");
    in->streams = metrics_gauge(m, subscribers, subscribers_help, "kind=\"stream\"");
    in->socket_feeds = metrics_gauge(m, subscribers, subscribers_help, "kind=\"socket\"");
}

struct ingress *ingress_new(struct ingress_shared *shared, uv_loop_t *loop, struct mailbox *mailbox,
                            unsigned index, struct error *e) {
    struct ingress *in = xcalloc(1, sizeof *in);
    in->shared = shared;
    in->loop = loop;
    in->mailbox = mailbox;
    in->index = index;
    in->hooks = hook_table_new(in, e);
    if (in->hooks == NULL) {
        free(in);
        return NULL;
    }
    in->frames = frame_cache_new();
    register_metrics(in);
    uint64_t every = (uint64_t)shared->config->limits.heartbeat_ms;
    uv_timer_init(loop, &in->heartbeat);
    in->heartbeat.data = in;
    uv_timer_start(&in->heartbeat, on_heartbeat, every, every);
    uv_timer_init(loop, &in->check);
    in->check.data = in;
    uv_timer_start(&in->check, on_check, CHECK_MS, CHECK_MS);
    inbox_start(in);
    in->websockets = socket_server_new(in);
    in->rpc = rpc_new(shared, loop, mailbox);
    return in;
}

struct h2_handler ingress_h2_handler(struct ingress *in) {
    return rpc_h2_handler(in->rpc);
}

unsigned ingress_waiting(const struct ingress *in) {
    return in->waiter_count + websocket_server_count(in->websockets) + rpc_web_waiting(in->rpc);
}

void ingress_release(struct ingress *in) {
    subscribe_release(in);
    socket_release(in);
    rpc_release(in->rpc);
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void ingress_free(struct ingress *in) {
    if (in == NULL)
        return;
    hook_table_free(in->hooks);
    frame_cache_free(in->frames);
    buffer_free(&in->answer);
    websocket_server_free(in->websockets);
    rpc_free(in->rpc);
    uv_close((uv_handle_t *)&in->inbox, NULL);
    uv_close((uv_handle_t *)&in->check, NULL);
    uv_close((uv_handle_t *)&in->heartbeat, on_closed); /* closed last, as they close in order */
}
