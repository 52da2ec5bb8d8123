#include "config/config.h"

#include <stdlib.h>

void config_init(struct config *c) {
    *c = (struct config){
        .listen = xstrdup("127.0.0.1:8080"),
        .scripts = xstrdup("scripts"),
        .data = xstrdup("data"),
        .log_level = LOG_INFO,
        .log_format = LOG_AUTO,
        .limits =
            {
                .body_bytes = 64 * 1024,
                .message_bytes = 1024 * 1024,
                .header_bytes = 4 * 1024,
                .connections = 10000,
                .subscribers = 10000,
                .topics = 100000,
                .retained_items = 1024,
                .retained_bytes = 16 * 1024 * 1024,
                .request_timeout_ms = 10000,
                .idle_timeout_ms = 60000,
                .heartbeat_ms = 15000,
                .stop_grace_ms = 10000,
                .json_depth = 64,
                .script_memory_bytes = 32 * 1024 * 1024,
                .script_instructions = 50 * 1000 * 1000,
                .script_deadline_ms = 1000,
                .script_publishes = 1000,
                .webhook_queue = 10000,
                .webhook_concurrency = 16,
                .webhook_timeout_ms = 5000,
            },
    };
}

void config_free(struct config *c) {
    free(c->file);
    free(c->listen);
    free(c->scripts);
    free(c->data);
    for (size_t i = 0; i < c->cache_count; i++)
        free(c->caches[i].name);
    free(c->caches);
    for (size_t i = 0; i < c->webhook_count; i++) {
        struct config_webhook *w = &c->webhooks[i];
        free(w->cache);
        free(w->name);
        free(w->topic);
        free(w->url);
        free(w->secret);
    }
    free(c->webhooks);
    for (size_t i = 0; i < c->hook_count; i++) {
        struct config_hook *h = &c->hooks[i];
        free(h->name);
        for (size_t j = 0; j < h->secret_count; j++)
            free(h->secrets[j]);
        free(h->secrets);
    }
    free(c->hooks);
    for (size_t i = 0; i < c->key_count; i++) {
        struct config_key *k = &c->keys[i];
        free(k->id);
        free(k->key);
        free(k->cache);
        free(k->topic);
    }
    free(c->keys);
    *c = (struct config){0};
}

const struct config_hook *config_find_hook(const struct config *c, const char *name) {
    for (size_t i = 0; i < c->hook_count; i++) {
        if (strcmp(c->hooks[i].name, name) == 0)
            return &c->hooks[i];
    }
    return NULL;
}
