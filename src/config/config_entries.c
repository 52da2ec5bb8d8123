/*
 * The caches, webhooks and keys of a configuration.
 */
#include <stdlib.h>

#include "broker/broker.h"
#include "config/config_list.h"
#include "config/config_schema.h"
#include "config/config_url.h"

#define DAY_MS 86400000.0
#define TIB    1099511627776.0

static const struct field cache_fields[] = {
    {"name", FIELD_STRING, offsetof(struct config_cache, name), 1, 0, true},
    {.name = "durability", .type = FIELD_OTHER},
    {.name = "retention", .type = FIELD_OTHER},
};

#define CACHE(member) offsetof(struct config_cache, member)
static const struct field retention_fields[] = {
    {"age", FIELD_DURATION, CACHE(retention_age_ms), 0, 3650 * DAY_MS, false},
    {"items", FIELD_COUNT, CACHE(retention_items), 0, 1e12, false},
    {"bytes", FIELD_SIZE, CACHE(retention_bytes), 0, 64 * TIB, false},
};

static const struct word durabilities[] = {{"disk", true}, {"memory", false}};

#define WEBHOOK(member) offsetof(struct config_webhook, member)
static const struct field webhook_fields[] = {
    {"cache", FIELD_STRING, WEBHOOK(cache), 1, 0, true},
    {"name", FIELD_STRING, WEBHOOK(name), 1, 0, true},
    {"topic", FIELD_STRING, WEBHOOK(topic), 1, 0, true},
    {"url", FIELD_STRING, WEBHOOK(url), 1, 0, true},
    {"secret", FIELD_STRING, WEBHOOK(secret), CONFIG_SECRET_MIN, 0, true},
    {"concurrency", FIELD_UNSIGNED, WEBHOOK(policy.concurrency), 1, 1000, false},
    {"rate", FIELD_NUMBER, WEBHOOK(policy.rate), 0, 1e9, false},
    {"disable_after", FIELD_DURATION, WEBHOOK(policy.disable_after_ms), 1000, 365 * DAY_MS, false},
    {.name = "order", .type = FIELD_OTHER},
    {.name = "delivery", .type = FIELD_OTHER},
    {.name = "retry", .type = FIELD_OTHER},
};

#define RETRY(member) offsetof(struct webhook_policy, member)
static const struct field retry_fields[] = {
    {"first", FIELD_DURATION, RETRY(retry.first_ms), 1, DAY_MS, false},
    {"factor", FIELD_NUMBER, RETRY(retry.factor), 1, 100, false},
    {"max", FIELD_DURATION, RETRY(retry.max_ms), 1, 30 * DAY_MS, false},
    {"give_up", FIELD_DURATION, RETRY(give_up_ms), 0, 365 * DAY_MS, false},
};

static const struct word orders[] = {{"none", false}, {"topic", true}};
static const struct word deliveries[] = {{"at_least_once", false}, {"once", true}};

#define KEY(member) offsetof(struct config_key, member)
static const struct field key_fields[] = {
    {"id", FIELD_STRING, KEY(id), 1, 0, true},
    {"key", FIELD_STRING, KEY(key), CONFIG_SECRET_MIN, 0, true},
    {.name = "role", .type = FIELD_OTHER},
    {"cache", FIELD_STRING, KEY(cache), 1, 0, false},
    {"topic", FIELD_STRING, KEY(topic), 1, 0, false},
    {"topic_prefix", FIELD_STRING, KEY(topic_prefix), 1, 0, false},
};

static const struct word roles[] = {{"publishsubscribe", ROLE_PUBLISH_SUBSCRIBE},
                                    {"publishonly", ROLE_PUBLISH},
                                    {"subscribeonly", ROLE_SUBSCRIBE},
                                    {"admin", ROLE_ADMIN}};

static void check_name(const struct table *t, const char *field, const char *name) {
    const char *defect = name != NULL ? broker_name_defect(name, strlen(name)) : NULL;
    if (defect != NULL)
        field_problem(t, field, "%s", defect);
}

/* True when both are there and the same. */
static bool equal(const char *a, const char *b) {
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* ---- caches ---- */

static bool has_cache(const struct config *c, const char *name) {
    for (size_t i = 0; i < c->cache_count; i++) {
        if (strcmp(c->caches[i].name, name) == 0)
            return true;
    }
    return false;
}

static void check_cache(const struct table *t, const struct config *c, const char *name) {
    if (name != NULL && !has_cache(c, name))
        field_problem(t, "cache", "is not among caches");
}

static void read_retention(const struct table *t, struct config_cache *cache) {
    lua_State *L = t->config->lua;
    if (!field_push_table(t, "retention", "a table { age = \"7d\", items = ..., bytes = ... }"))
        return;
    struct table inner = {.config = t->config, .index = lua_gettop(L), .path = "retention"};
    fields_read(&inner, retention_fields, COUNT_OF(retention_fields), cache);
    lua_pop(L, 1);
}

static void add_cache(const struct table *item, void *context) {
    struct config *c = context;
    struct config_cache cache;
    config_cache_init(&cache);
    const char *field = NULL;
    if (lua_type(item->config->lua, item->index) == LUA_TSTRING) {
        const char *name = list_item_string(item);
        cache.name = name != NULL ? xstrdup(name) : NULL;
    } else if (list_item_is_table(item, "a cache's name, or { name = ... }")) {
        field = "name";
        fields_read(item, cache_fields, COUNT_OF(cache_fields), &cache);
        cache.durable = field_read_word(item, "durability", durabilities, COUNT_OF(durabilities),
                                        false, cache.durable) != 0;
        read_retention(item, &cache);
    }
    if (cache.name == NULL)
        return;
    const char *defect = broker_name_defect(cache.name, strlen(cache.name));
    if (defect != NULL || has_cache(c, cache.name)) {
        field_problem(item, field, "%s", defect != NULL ? defect : "is there twice");
        free(cache.name);
        return;
    }
    c->caches = xrealloc(c->caches, (c->cache_count + 1) * sizeof cache);
    c->caches[c->cache_count++] = cache;
}

void config_read_caches(const struct table *globals, struct config *c) {
    list_read(globals, "caches", "a list of names, { \"chat\", ... }", add_cache, c);
}

/* ---- webhooks ---- */

static void read_policy(const struct table *t, struct webhook_policy *p) {
    lua_State *L = t->config->lua;
    p->ordered = field_read_word(t, "order", orders, COUNT_OF(orders), false, p->ordered) != 0;
    p->once = field_read_word(t, "delivery", deliveries, COUNT_OF(deliveries), false, p->once) != 0;
    if (!field_push_table(t, "retry", "a table { first = \"1s\", factor = 2, max = \"1h\" }"))
        return;
    struct table inner = {.config = t->config, .index = lua_gettop(L), .path = "retry"};
    fields_read(&inner, retry_fields, COUNT_OF(retry_fields), p);
    lua_pop(L, 1);
}

static void add_webhook(const struct table *item, void *context) {
    struct config *c = context;
    if (!list_item_is_table(item, "a table { cache =, name =, topic =, url =, secret = }"))
        return;
    struct config_webhook w = {0};
    webhook_policy_init(&w.policy);
    fields_read(item, webhook_fields, COUNT_OF(webhook_fields), &w);
    read_policy(item, &w.policy);
    check_cache(item, c, w.cache);
    check_name(item, "topic", w.topic);
    check_name(item, "name", w.name);
    if (w.url != NULL && !config_webhook_url_is_valid(w.url))
        field_problem(item, "url",
                      "must be a whole http:// or https:// URL, or \"/hooks/NAME\" for a "
                      "hook of this gateway");
    for (size_t i = 0; i < c->webhook_count; i++) {
        if (equal(c->webhooks[i].cache, w.cache) && equal(c->webhooks[i].name, w.name)) {
            field_problem(item, "name", "is there twice in this cache: see webhooks[%zu]", i + 1);
            break;
        }
    }
    c->webhooks = xrealloc(c->webhooks, (c->webhook_count + 1) * sizeof w);
    c->webhooks[c->webhook_count++] = w;
}

void config_read_webhooks(const struct table *globals, struct config *c) {
    list_read(globals, "webhooks", "a list of tables, { {...}, ... }", add_webhook, c);
}

/* ---- keys ---- */

/* A key comes in a header, which cannot carry everything; a line's end is a common leftover. */
static bool fits_header(const char *key) {
    for (; *key != '\0'; key++) {
        if ((unsigned char)*key <= ' ' || *key == 0x7f)
            return false;
    }
    return true;
}

static void add_key(const struct table *item, void *context) {
    struct config *c = context;
    if (!list_item_is_table(item, "a table { id =, key =, role = }"))
        return;
    struct config_key k = {0};
    fields_read(item, key_fields, COUNT_OF(key_fields), &k);
    k.role = (enum role)field_read_word(item, "role", roles, COUNT_OF(roles), true, 0);
    check_cache(item, c, k.cache);
    check_name(item, "topic", k.topic);
    check_name(item, "topic_prefix", k.topic_prefix);
    check_name(item, "id", k.id);
    if (k.topic != NULL && k.topic_prefix != NULL)
        field_problem(item, "topic_prefix", "contradicts topic; remove one of them");
    if (k.role == ROLE_ADMIN && (k.cache != NULL || k.topic != NULL || k.topic_prefix != NULL))
        field_problem(item, "role", "\"admin\" is for everything; remove cache and topic");
    if (k.key != NULL && !fits_header(k.key))
        field_problem(item, "key", "has a space or control character, which no header can carry");
    for (size_t i = 0; i < c->key_count; i++) {
        if (equal(c->keys[i].id, k.id))
            field_problem(item, "id", "is there twice: see keys[%zu]", i + 1);
        if (equal(c->keys[i].key, k.key))
            field_problem(item, "key", "is the same as that of keys[%zu]", i + 1);
    }
    c->keys = xrealloc(c->keys, (c->key_count + 1) * sizeof k);
    c->keys[c->key_count++] = k;
}

void config_read_keys(const struct table *globals, struct config *c) {
    list_read(globals, "keys", "a list of tables, { {...}, ... }", add_key, c);
}

/* ---- origins ---- */

static void add_origin(const struct table *item, void *context) {
    struct config *c = context;
    const char *origin = list_item_string(item);
    if (origin == NULL)
        return;
    const char *host = strstr(origin, "://");
    if (strcmp(origin, "*") != 0 &&
        (!config_url_is_valid(origin) || host == NULL || strpbrk(host + 3, "/?#") != NULL)) {
        field_problem(item, NULL, "must be \"*\" or an origin such as \"https://app.example.com\"");
        return;
    }
    c->origins = xrealloc(c->origins, (c->origin_count + 1) * sizeof(char *));
    c->origins[c->origin_count++] = xstrdup(origin);
}

void config_read_origins(const struct table *globals, struct config *c) {
    list_read(globals, "origins", "a list of origins, { \"https://app.example.com\", ... }",
              add_origin, c);
}

/* ---- networks ---- */

static void add_network(const struct table *item, void *context) {
    struct config *c = context;
    struct guard_network network;
    const char *text = list_item_string(item);
    const char *defect = text != NULL ? guard_parse(text, &network) : NULL;
    if (defect != NULL)
        field_problem(item, NULL, "%s", defect);
    if (text == NULL || defect != NULL)
        return;
    c->webhook_networks = xrealloc(c->webhook_networks,
                                   (c->webhook_network_count + 1) * sizeof(struct guard_network));
    c->webhook_networks[c->webhook_network_count++] = network;
}

void config_read_networks(const struct table *globals, struct config *c) {
    list_read(globals, "webhook_networks", "a list of networks, { \"10.1.0.0/16\", ... }",
              add_network, c);
}
