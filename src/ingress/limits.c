#include "ingress/limits.h"

struct broker_limits limits_for_broker(const struct config *c) {
    return (struct broker_limits){
        .topics = c->limits.topics,
        .subscribers = c->limits.subscribers,
        .retained_items = c->limits.retained_items,
        .retained_bytes = c->limits.retained_bytes,
        .message_bytes = c->limits.message_bytes,
        .backlog = c->limits.webhook_backlog,
    };
}

struct store_limits limits_for_store(const struct config *c) {
    return (struct store_limits){
        .queue_bytes = c->limits.write_queue_bytes,
        .deadletters = c->limits.deadletters,
        .deadletter_age_ms = c->limits.deadletter_age_ms,
    };
}

struct http_limits limits_for_http(const struct config *c) {
    return (struct http_limits){
        .header_bytes = c->limits.header_bytes,
        .connections = c->limits.connections,
        .request_timeout_ms = c->limits.request_timeout_ms,
        .idle_timeout_ms = c->limits.idle_timeout_ms,
    };
}

struct h2_limits limits_for_h2(const struct config *c) {
    /* HTTP/2 counts 32 bytes more for each header. */
    return (struct h2_limits){
        .header_bytes = 2 * c->limits.header_bytes,
        .streams = c->limits.streams,
        .request_timeout_ms = c->limits.request_timeout_ms,
        .idle_timeout_ms = c->limits.idle_timeout_ms,
    };
}

struct script_limits limits_for_script(const struct config *c) {
    return (struct script_limits){
        .memory_bytes = c->limits.script_memory_bytes,
        .instructions = c->limits.script_instructions,
        .deadline_ms = c->limits.script_deadline_ms,
        .publishes = c->limits.script_publishes,
        .json_depth = c->limits.json_depth,
        .message_bytes = c->limits.message_bytes,
        .library = c->library,
    };
}
