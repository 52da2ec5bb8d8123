/*
 * /health, /ready and /metrics.
 */
#include "ingress/ingress_internal.h"
#include "ingress/reply.h"

static void metrics_request(struct ingress *in, struct http_request *r) {
    struct buffer text = {0};
    metrics_render(in->shared->metrics, &text);
    http_request_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", text.data, text.length);
    buffer_free(&text);
}

void ops_request(struct ingress *in, struct http_request *r) {
    const char *path = http_request_path(r);
    if (strcmp(path, "/metrics") == 0)
        metrics_request(in, r);
    else if (strcmp(path, "/health") == 0)
        reply_json(r, 200, "{\"status\":\"ok\"}\n");
    else if (ingress_phase(in) == PHASE_RUNNING)
        reply_json(r, 200, "{\"status\":\"ready\"}\n");
    else
        reply_refuse(r, 503, "unavailable", "the gateway is stopping");
}
