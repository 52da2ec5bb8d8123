#include "config/config.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/config_url.h"

/* lua-lib comes with the program: beside it, or above it when it was not installed. */
static char *find_library(void) {
    static const char *const places[] = {"lua-lib", "../share/hookmoon/lua-lib", "../../lua-lib"};
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program);
    while (length > 0 && program[length - 1] != '/')
        length--;
    for (size_t i = 0; length > 0 && i < COUNT_OF(places); i++) {
        char *path = xasprintf("%.*s%s", (int)length, program, places[i]);
        if (access(path, F_OK) == 0)
            return path;
        free(path);
    }
    return xstrdup("lua-lib");
}

void config_init(struct config *c) {
    *c = (struct config){
        .listen = xstrdup("127.0.0.1:8080"),
        .scripts = xstrdup("scripts"),
        .library = find_library(),
        .data = xstrdup("data"),
        .log_level = LOG_INFO,
        .log_format = LOG_AUTO,
        .limits =
            {
                .body_bytes = 64 * 1024,
                .message_bytes = 10486000, /* what Momento's SDKs can carry */
                .header_bytes = 4 * 1024,
                .connections = 10000,
                .subscribers = 10000,
                .topics = 100000,
                .retained_items = 1024,
                .retained_bytes = 16 * 1024 * 1024,
                .request_timeout_ms = 10000,
                .idle_timeout_ms = 60000,
                .heartbeat_ms = 15000,
                .grpc_heartbeat_ms = 1000,
                .streams = 20000,
                .stop_grace_ms = 10000,
                .json_depth = 64,
                .script_memory_bytes = 32 * 1024 * 1024,
                .script_instructions = 50 * 1000 * 1000,
                .script_deadline_ms = 1000,
                .script_publishes = 1000,
                .replay_events = 4 * 1000 * 1000,
                .webhook_queue = 10000,
                .inbox = 100000,
                .webhook_backlog = 1000000,
                .webhook_concurrency = 16,
                .webhook_retries = 10000,
                .webhook_timeout_ms = 5000,
                .webhooks = 5,
                .write_queue_bytes = 64 * 1024 * 1024,
                .deadletters = 100000,
                .deadletter_age_ms = 30LL * 86400000,
                .rotation_grace_ms = 300000,
            },
    };
}

void config_free(struct config *c) {
    free(c->file);
    free(c->listen);
    free(c->public_url);
    for (size_t i = 0; i < c->origin_count; i++)
        free(c->origins[i]);
    free(c->origins);
    free(c->scripts);
    free(c->library);
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
        free(w->own_hook);
        free(w->secret);
    }
    free(c->webhooks);
    free(c->webhook_networks);
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
        free(k->topic_prefix);
    }
    free(c->keys);
    *c = (struct config){0};
}

void config_cache_init(struct config_cache *c) {
    *c = (struct config_cache){
        .durable = true,
        .retention_age_ms = 7 * 86400000LL,
        .retention_items = 1000000,
        .retention_bytes = (size_t)1 << 30,
    };
}

void config_hook_init(struct config_hook *h) {
    *h = (struct config_hook){.max_age_ms = 60000, .max_future_ms = 60000, .retries = 5};
}

void config_complete_webhooks(struct config *c, const char *base) {
    for (size_t i = 0; i < c->webhook_count; i++) {
        struct config_webhook *w = &c->webhooks[i];
        char *url = config_url_complete(w->url, base);
        free(w->url);
        w->url = url;
        free(w->own_hook);
        w->own_hook = config_url_own_hook(url, base, c->public_url);
    }
}

const struct config_hook *config_find_hook(const struct config *c, const char *name) {
    for (size_t i = 0; i < c->hook_count; i++) {
        if (strcmp(c->hooks[i].name, name) == 0)
            return &c->hooks[i];
    }
    return NULL;
}
