/*
 * /health, /ready and /metrics.
 */
#include <stdio.h>

#include "ingress/ingress_internal.h"
#include "ingress/reply.h"
#include "store/store.h"

static void metrics_request(struct ingress *in, struct http_request *r) {
    struct buffer text = {0};
    metrics_render(in->shared->metrics, &text);
    http_request_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", text.data, text.length);
    buffer_free(&text);
}

/* A disk that takes no writes does not make it unready: memory caches and what is to be read are
 * served, and another gateway could not help. It is told; the reason is in the log, as anybody may
 * ask here. */
static void ready_request(const struct ingress *in, struct http_request *r) {
    struct store *store = in->shared->store;
    const char *storage = store_is_damaged(store, NULL)                    ? "damaged"
                          : journal_is_failing(store_journal(store), NULL) ? "failing"
                                                                           : "ok";
    char text[64];
    snprintf(text, sizeof text, "{\"status\":\"ready\",\"storage\":\"%s\"}\n", storage);
    reply_json(r, 200, text);
}

void ops_request(struct ingress *in, struct http_request *r) {
    const char *path = http_request_path(r);
    if (strcmp(path, "/metrics") == 0)
        metrics_request(in, r);
    else if (strcmp(path, "/health") == 0)
        reply_json(r, 200, "{\"status\":\"ok\"}\n");
    else if (ingress_phase(in) == PHASE_RUNNING)
        ready_request(in, r);
    else
        reply_refuse(r, 503, "unavailable", "the gateway is stopping");
}
