#include "config/config_schema.h"
#include "config/config_url.h"

#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>

#define DAY_MS 86400000.0
#define GIB    1073741824.0

#define GLOBAL(member) offsetof(struct config, member)
static const struct field global_fields[] = {
    {"listen", FIELD_STRING, GLOBAL(listen), 1, 0, false},
    {"public_url", FIELD_STRING, GLOBAL(public_url), 1, 0, false},
    {"scripts", FIELD_STRING, GLOBAL(scripts), 1, 0, false},
    {"library", FIELD_STRING, GLOBAL(library), 1, 0, false},
    {"data", FIELD_STRING, GLOBAL(data), 1, 0, false},
    {"workers", FIELD_UNSIGNED, GLOBAL(workers), 1, 256, false},
    {"open", FIELD_BOOLEAN, GLOBAL(open), 0, 0, false},
    {"allow_open_public", FIELD_BOOLEAN, GLOBAL(allow_open_public), 0, 0, false},
    {"replay_newest", FIELD_BOOLEAN, GLOBAL(replay_newest), 0, 0, false},
    {.name = "log", .type = FIELD_OTHER},
    {.name = "caches", .type = FIELD_OTHER},
    {.name = "webhooks", .type = FIELD_OTHER},
    {.name = "hooks", .type = FIELD_OTHER},
    {.name = "keys", .type = FIELD_OTHER},
    {.name = "limits", .type = FIELD_OTHER},
    {.name = "origins", .type = FIELD_OTHER},
    {.name = "webhook_networks", .type = FIELD_OTHER},
};

#define LIMIT(member) offsetof(struct config_limits, member)
static const struct field limit_fields[] = {
    {"body", FIELD_SIZE, LIMIT(body_bytes), 1, GIB, false},
    {"message", FIELD_SIZE, LIMIT(message_bytes), 1, GIB, false},
    {"header", FIELD_SIZE, LIMIT(header_bytes), 1024, 1 << 20, false},
    {"connections", FIELD_UNSIGNED, LIMIT(connections), 1, 1e6, false},
    {"subscribers", FIELD_UNSIGNED, LIMIT(subscribers), 1, 1e7, false},
    {"topics", FIELD_UNSIGNED, LIMIT(topics), 1, 1e8, false},
    {"retained_items", FIELD_UNSIGNED, LIMIT(retained_items), 1, 1e7, false},
    {"retained", FIELD_SIZE, LIMIT(retained_bytes), 1024, 64 * GIB, false},
    {"request_timeout", FIELD_DURATION, LIMIT(request_timeout_ms), 1, DAY_MS, false},
    {"idle_timeout", FIELD_DURATION, LIMIT(idle_timeout_ms), 1000, DAY_MS, false},
    {"heartbeat", FIELD_DURATION, LIMIT(heartbeat_ms), 10, DAY_MS, false},
    {"grpc_heartbeat", FIELD_DURATION, LIMIT(grpc_heartbeat_ms), 10, DAY_MS, false},
    {"streams", FIELD_UNSIGNED, LIMIT(streams), 1, 1e6, false},
    {"stop_grace", FIELD_DURATION, LIMIT(stop_grace_ms), 0, DAY_MS, false},
    {"json_depth", FIELD_UNSIGNED, LIMIT(json_depth), 1, 1000, false},
    {"script_memory", FIELD_SIZE, LIMIT(script_memory_bytes), 256 << 10, 64 * GIB, false},
    {"script_instructions", FIELD_COUNT, LIMIT(script_instructions), 1000, 1e15, false},
    {"script_deadline", FIELD_DURATION, LIMIT(script_deadline_ms), 1, DAY_MS, false},
    {"script_publishes", FIELD_UNSIGNED, LIMIT(script_publishes), 0, 1e6, false},
    {"replay_events", FIELD_SIZE, LIMIT(replay_events), 1, 1e9, false},
    {"inbox", FIELD_COUNT, LIMIT(inbox), 1, 1e9, false},
    {"webhook_backlog", FIELD_UNSIGNED, LIMIT(webhook_backlog), 1, 4e9, false},
    {"webhook_queue", FIELD_UNSIGNED, LIMIT(webhook_queue), 1, 1e7, false},
    {"webhook_concurrency", FIELD_UNSIGNED, LIMIT(webhook_concurrency), 1, 1000, false},
    {"webhook_retries", FIELD_UNSIGNED, LIMIT(webhook_retries), 1, 1e7, false},
    {"webhook_timeout", FIELD_DURATION, LIMIT(webhook_timeout_ms), 1, DAY_MS, false},
    {"webhooks", FIELD_UNSIGNED, LIMIT(webhooks), 0, 1e6, false},
    {"write_queue", FIELD_SIZE, LIMIT(write_queue_bytes), 1 << 20, 64 * GIB, false},
    {"deadletters", FIELD_COUNT, LIMIT(deadletters), 1, 1e9, false},
    {"deadletter_age", FIELD_DURATION, LIMIT(deadletter_age_ms), 1000, 3650 * DAY_MS, false},
    {"rotation_grace", FIELD_DURATION, LIMIT(rotation_grace_ms), 0, 30 * DAY_MS, false},
};

static const struct word levels[] = {{"debug", LOG_DEBUG},
                                     {"info", LOG_INFO},
                                     {"warn", LOG_WARN},
                                     {"error", LOG_ERROR},
                                     {"off", LOG_OFF}};
static const struct word formats[] = {{"auto", LOG_AUTO}, {"human", LOG_HUMAN}, {"json", LOG_JSON}};
static const struct field log_fields[] = {{.name = "level", .type = FIELD_OTHER},
                                          {.name = "format", .type = FIELD_OTHER}};

static void read_log(const struct table *globals, struct config *c) {
    lua_State *L = globals->config->lua;
    if (!field_push_table(globals, "log", "a table { level = \"info\", format = \"auto\" }"))
        return;
    struct table t = {.config = globals->config, .index = lua_gettop(L), .path = "log"};
    fields_read(&t, log_fields, COUNT_OF(log_fields), c);
    c->log_level = (enum log_level)field_read_word(&t, "level", levels, COUNT_OF(levels), false,
                                                   (int)c->log_level);
    c->log_format = (enum log_format)field_read_word(&t, "format", formats, COUNT_OF(formats),
                                                     false, (int)c->log_format);
    lua_pop(L, 1);
}

static void read_limits(const struct table *globals, struct config *c) {
    lua_State *L = globals->config->lua;
    if (!field_push_table(globals, "limits", "a table { body = \"64k\", ... }"))
        return;
    struct table t = {.config = globals->config, .index = lua_gettop(L), .path = "limits"};
    fields_read(&t, limit_fields, COUNT_OF(limit_fields), &c->limits);
    lua_pop(L, 1);
}

static bool host_is_valid(const char *host, size_t length) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";
    char literal[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (length == 0 || host[0] != '[')
        return strspn(host, letters) >= length;
    if (length < 4 || host[length - 1] != ']' || length - 2 >= sizeof literal)
        return false;
    snprintf(literal, sizeof literal, "%.*s", (int)(length - 2), host + 1);
    return inet_pton(AF_INET6, literal, &address) == 1;
}

static bool listen_is_valid(const char *address) {
    const char *colon = strrchr(address, ':');
    if (colon == NULL || !host_is_valid(address, (size_t)(colon - address)))
        return false;
    size_t digits = strspn(colon + 1, "0123456789");
    return digits > 0 && digits <= 5 && colon[1 + digits] == '\0' &&
           strtoul(colon + 1, NULL, 10) <= 65535;
}

void config_schema_read(const struct table *globals, struct config *c) {
    fields_read(globals, global_fields, COUNT_OF(global_fields), c);
    if (!listen_is_valid(c->listen))
        field_problem(
            globals, "listen",
            "must be HOST:PORT, such as \"127.0.0.1:8080\" or \"[::1]:8080\", with a port "
            "from 0 (any free one) to 65535");
    read_log(globals, c);
    read_limits(globals, c);
    config_read_caches(globals, c);
    config_read_webhooks(globals, c);
    config_read_keys(globals, c);
    config_read_hooks(globals, c);
    config_read_origins(globals, c);
    config_read_networks(globals, c);
    if (c->public_url != NULL && !config_url_is_valid(c->public_url))
        field_problem(globals, "public_url", "must be a whole http:// or https:// URL");
    if (c->open && c->key_count > 0)
        field_problem(globals, "open",
                      "contradicts keys: with open = true no key is asked for; remove one of them");
}
