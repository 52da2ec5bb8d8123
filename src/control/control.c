#include "control/control.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/rand.h>

#include "config/config_url.h"

#define SECRET_BYTES     32
#define URL_BYTES        4096
#define WEBHOOK_NAME_MAX 128

struct control {
    struct control_options options;
    pthread_mutex_t lock; /* one change at a time: the store's and the memory's order agree */
};

/* ---- starting ---- */

/* From where it delivers is kept at once: a crash must not move it. */
static bool begin(struct control *c, const struct webhook_entry *w, struct webhook_record record,
                  struct error *e) {
    record.page = w->start.page;
    record.number = w->start.number;
    return w->policy.once || store_begin_webhook(c->options.store, &record, e);
}

static const struct config_cache *configured_cache(const struct control *c, const char *name) {
    const struct config *config = c->options.config;
    for (size_t i = 0; i < config->cache_count; i++) {
        if (strcmp(config->caches[i].name, name) == 0)
            return &config->caches[i];
    }
    return NULL;
}

static bool set_start(struct control *c, struct webhook_entry *w, struct error *e) {
    return broker_topic_position(c->options.broker, w->cache, w->topic, &w->start, e);
}

static struct cache_settings settings_of(bool durable, const struct config_cache *own) {
    return (struct cache_settings){
        .durable = durable,
        .retention = {own->retention_age_ms, own->retention_items, (int64_t)own->retention_bytes},
    };
}

/* Of a cache that is made while the gateway runs. */
static struct cache_settings default_settings(bool durable) {
    struct config_cache defaults;
    config_cache_init(&defaults);
    return settings_of(durable, &defaults);
}

static bool add_configured_caches(struct control *c, struct error *e) {
    const struct config *config = c->options.config;
    for (size_t i = 0; i < config->cache_count; i++) {
        const struct config_cache *own = &config->caches[i];
        struct cache_settings settings = settings_of(own->durable, own);
        if (!broker_create_cache(c->options.broker, own->name, &settings, e))
            return false;
    }
    return true;
}

static bool add_configured_webhooks(struct control *c, struct error *e) {
    const struct config *config = c->options.config;
    for (size_t i = 0; i < config->webhook_count; i++) {
        const struct config_webhook *own = &config->webhooks[i];
        struct webhook_entry *w =
            webhook_entry_new(own->cache, own->name, own->topic, own->url, own->secret);
        w->own_hook = own->own_hook != NULL ? xstrdup(own->own_hook) : NULL;
        w->configured = true;
        w->policy = own->policy;
        const struct webhook_record record = {
            .cache = w->cache, .name = w->name, .topic = w->topic};
        if (!set_start(c, w, e) || !begin(c, w, record, e)) {
            webhook_entry_unref(w);
            return false;
        }
        webhook_set_put(c->options.webhooks, w);
    }
    return true;
}

/* What the file names as well is the file's. */
static void restore_cache(void *context, const char *name, bool durable) {
    struct control *c = context;
    struct cache_settings settings = default_settings(durable);
    broker_create_cache(c->options.broker, name, &settings, NULL);
}

static void restore_webhook(void *context, const struct webhook_record *record) {
    struct control *c = context;
    struct error e;
    struct webhook_entry *there =
        webhook_set_find(c->options.webhooks, record->cache, record->name);
    webhook_entry_unref(there);
    if (there != NULL) /* configured: only those are there yet */
        return;
    char *url = config_url_complete(record->url, c->options.url);
    struct webhook_entry *w =
        webhook_entry_new(record->cache, record->name, record->topic, url, record->secret);
    w->own_hook = config_url_own_hook(url, c->options.url, c->options.config->public_url);
    free(url);
    if (record->previous_secret != NULL && record->previous_until_ms > clock_wall_ms()) {
        w->previous_secret = xstrdup(record->previous_secret);
        w->previous_until_ms = record->previous_until_ms;
    }
    json_t *options = json_loads(record->options, 0, NULL);
    webhook_policy_from_json(&w->policy, options, NULL);
    json_decref(options);
    if (set_start(c, w, &e)) {
        webhook_set_put(c->options.webhooks, w);
        return;
    }
    log_error("a stored webhook cannot be used", LOG_STR("cache", record->cache),
              LOG_STR("webhook", record->name), LOG_STR("error", e.message));
    webhook_entry_unref(w);
}

static void restore_revoked(void *context, const char *hex, int64_t expires_s) {
    struct control *c = context;
    unsigned char serial[IDENTITY_SERIAL_BYTES];
    if (keys_parse_serial(hex, serial))
        access_revoke(c->options.access, serial, expires_s);
}

struct control *control_new(const struct control_options *o, struct error *e) {
    struct control *c = xcalloc(1, sizeof *c);
    c->options = *o;
    pthread_mutex_init(&c->lock, NULL);
    if (add_configured_caches(c, e) && store_each_cache(o->store, restore_cache, c, e) &&
        broker_restore(o->broker, e) && add_configured_webhooks(c, e) &&
        store_each_webhook(o->store, restore_webhook, c, e) &&
        store_each_revoked(o->store, restore_revoked, c, e))
        return c;
    control_free(c);
    return NULL;
}

void control_free(struct control *c) {
    if (c == NULL)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void control_refresh(struct control *c) {
    struct error e;
    if (!store_changed(c->options.store))
        return;
    if (!store_each_revoked(c->options.store, restore_revoked, c, &e))
        log_error("cannot read which keys were revoked", LOG_STR("error", e.message));
}

/* ---- caches ---- */

bool control_create_cache(struct control *c, const char *name, bool durable, struct error *e) {
    const char *defect = broker_name_defect(name, strlen(name));
    if (defect != NULL)
        return error_set(e, ERROR_INVALID, "the cache name %s", defect);
    struct cache_settings settings = default_settings(durable);
    pthread_mutex_lock(&c->lock);
    bool good;
    if (broker_has_cache(c->options.broker, name))
        good = error_set(e, ERROR_EXISTS, "there is a cache of that name already");
    else
        good = store_add_cache(c->options.store, name, durable, e) &&
               broker_create_cache(c->options.broker, name, &settings, e);
    pthread_mutex_unlock(&c->lock);
    if (good)
        log_info("cache created", LOG_STR("cache", name));
    return good;
}

static bool no_cache(const char *name, struct error *e) {
    return error_set(e, ERROR_NOT_FOUND, "there is no cache \"%s\"", name);
}

/* When nothing is written to it any more. */
static bool delete_closed(struct control *c, const char *name, uint64_t page, struct error *e) {
    if (!store_next_page(c->options.store, page, &page, e) ||
        !store_delete_cache(c->options.store, name, e)) {
        broker_close_cache(c->options.broker, name, false, NULL);
        return false;
    }
    webhook_set_remove_cache(c->options.webhooks, name);
    return broker_delete_cache(c->options.broker, name, e);
}

bool control_delete_cache(struct control *c, const char *name, struct error *e) {
    pthread_mutex_lock(&c->lock);
    bool good = true;
    uint64_t now = (uint64_t)(clock_wall_ms() / 1000), page = broker_page_floor(c->options.broker);
    if (!broker_has_cache(c->options.broker, name))
        good = no_cache(name, e);
    else if (configured_cache(c, name) != NULL)
        good = error_set(e, ERROR_PRECONDITION,
                         "the configuration file names this cache: remove it there");
    else
        good = broker_close_cache(c->options.broker, name, true, e) &&
               delete_closed(c, name, page > now ? page : now, e);
    pthread_mutex_unlock(&c->lock);
    if (good)
        log_info("cache deleted", LOG_STR("cache", name));
    return good;
}

bool control_flush_cache(struct control *c, const char *name, struct error *e) {
    return broker_flush_cache(c->options.broker, name, e);
}

struct cache_list {
    const struct control *control;
    struct cache_info *list;
    size_t count;
};

static void add_cache(void *context, const char *name, bool durable, unsigned topics) {
    struct cache_list *caches = context;
    caches->list = xrealloc(caches->list, (caches->count + 1) * sizeof *caches->list);
    caches->list[caches->count++] =
        (struct cache_info){.name = xstrdup(name), .durable = durable, .topics = topics};
}

static int compare_caches(const void *a, const void *b) {
    return strcmp(((const struct cache_info *)a)->name, ((const struct cache_info *)b)->name);
}

size_t control_list_caches(struct control *c, struct cache_info **list) {
    struct cache_list caches = {.control = c};
    broker_each_cache(c->options.broker, add_cache, &caches);
    if (caches.count > 0)
        qsort(caches.list, caches.count, sizeof *caches.list, compare_caches);
    for (size_t i = 0; i < caches.count; i++)
        caches.list[i].configured = configured_cache(c, caches.list[i].name) != NULL;
    *list = caches.list;
    return caches.count;
}

void cache_list_free(struct cache_info *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(list[i].name);
    free(list);
}

/* ---- webhooks ---- */

/* 256 random bits in hexadecimal. */
static char *make_secret(struct error *e) {
    unsigned char bytes[SECRET_BYTES];
    if (RAND_bytes(bytes, sizeof bytes) != 1) {
        error_set(e, ERROR_INTERNAL, "no random numbers are to be had");
        return NULL;
    }
    char *hex = xcalloc(1, 2 * sizeof bytes + 1);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    return hex;
}

static size_t count_webhooks(struct control *c, const char *cache) {
    struct webhook_entry **list;
    size_t count = webhook_set_list(c->options.webhooks, cache, &list, NULL);
    webhook_list_free(list, count);
    return count;
}

static bool check_put(struct control *c, const char *cache, const char *name, const char *topic,
                      const char *url, struct error *e) {
    const char *defect = broker_name_defect(name, strlen(name));
    if (defect == NULL && strlen(name) > WEBHOOK_NAME_MAX)
        defect = "is longer than 128 bytes";
    if (defect != NULL)
        return error_set(e, ERROR_INVALID, "the webhook name %s", defect);
    defect = broker_name_defect(topic, strlen(topic));
    if (defect != NULL)
        return error_set(e, ERROR_INVALID, "the topic name %s", defect);
    if (strlen(url) > URL_BYTES || !config_webhook_url_is_valid(url))
        return error_set(e, ERROR_INVALID,
                         "the destination must be a whole http:// or https:// URL, or "
                         "\"/hooks/NAME\" for a hook of this gateway");
    return broker_has_cache(c->options.broker, cache) || no_cache(cache, e);
}

static bool save(struct control *c, const struct webhook_entry *w, const char *url,
                 struct error *e) {
    json_t *policy = webhook_policy_to_json(&w->policy);
    char *options = json_dumps(policy, JSON_COMPACT);
    json_decref(policy);
    struct webhook_record record = {
        .page = w->start.page,
        .number = w->start.number,
        .options = options,
        .cache = w->cache,
        .name = w->name,
        .topic = w->topic,
        .url = url,
        .secret = w->secret,
        .previous_secret = w->previous_secret,
        .previous_until_ms = w->previous_until_ms,
    };
    bool good = store_put_webhook(c->options.store, &record, e);
    free(options);
    return good;
}

static bool may_change(const struct webhook_entry *w, struct error *e) {
    return !w->configured ||
           error_set(e, ERROR_PRECONDITION,
                     "the configuration file names this webhook: change it there");
}

/* The entry that takes the place of `old` (NULL: there is none). */
static struct webhook_entry *make_entry(struct control *c, const struct webhook_entry *old,
                                        const char *cache, const char *name, const char *topic,
                                        const char *url, struct error *e) {
    char *secret = old != NULL ? xstrdup(old->secret) : make_secret(e);
    if (secret == NULL)
        return NULL;
    char *whole = config_url_complete(url, c->options.url);
    struct webhook_entry *w = webhook_entry_new(cache, name, topic, whole, secret);
    w->own_hook = config_url_own_hook(whole, c->options.url, c->options.config->public_url);
    if (old != NULL && old->previous_secret != NULL) {
        w->previous_secret = xstrdup(old->previous_secret);
        w->previous_until_ms = old->previous_until_ms;
    }
    free(whole);
    free(secret);
    return w;
}

struct webhook_entry *control_put_webhook(struct control *c, const char *cache, const char *name,
                                          const char *topic, const char *url,
                                          const struct webhook_policy *policy, struct error *e) {
    unsigned most = c->options.config->limits.webhooks;
    struct webhook_entry *w = NULL;
    pthread_mutex_lock(&c->lock);
    struct webhook_entry *old = webhook_set_find(c->options.webhooks, cache, name);
    if (!check_put(c, cache, name, topic, url, e) || (old != NULL && !may_change(old, e)))
        goto done;
    if (old == NULL && count_webhooks(c, cache) >= most) {
        error_set(e, ERROR_LIMIT, "the cache has as many webhooks as it may have (%u)", most);
        goto done;
    }
    w = make_entry(c, old, cache, name, topic, url, e);
    if (w != NULL && policy != NULL)
        w->policy = *policy;
    else if (w != NULL && old != NULL)
        w->policy = old->policy;
    /* As it was given: a path alone stays right when the gateway's address changes. */
    if (w != NULL && (!set_start(c, w, e) || !save(c, w, url, e))) {
        webhook_entry_unref(w);
        w = NULL;
    }
    if (w != NULL)
        webhook_set_put(c->options.webhooks, webhook_entry_ref(w));
done:
    webhook_entry_unref(old);
    pthread_mutex_unlock(&c->lock);
    if (w != NULL)
        log_info("webhook put", LOG_STR("cache", cache), LOG_STR("webhook", name));
    return w;
}

struct webhook_entry *control_get_webhook(struct control *c, const char *cache, const char *name,
                                          struct error *e) {
    struct webhook_entry *w = webhook_set_find(c->options.webhooks, cache, name);
    if (w == NULL && !broker_has_cache(c->options.broker, cache))
        no_cache(cache, e);
    else if (w == NULL)
        error_set(e, ERROR_NOT_FOUND, "the cache has no webhook of that name");
    return w;
}

bool control_delete_webhook(struct control *c, const char *cache, const char *name,
                            struct error *e) {
    pthread_mutex_lock(&c->lock);
    struct webhook_entry *w = control_get_webhook(c, cache, name, e);
    bool good = w != NULL && may_change(w, e) &&
                store_delete_webhook(c->options.store, cache, name, e) &&
                webhook_set_remove(c->options.webhooks, cache, name);
    webhook_entry_unref(w);
    pthread_mutex_unlock(&c->lock);
    if (good)
        log_info("webhook deleted", LOG_STR("cache", cache), LOG_STR("webhook", name));
    return good;
}

bool control_enable_webhook(struct control *c, const char *cache, const char *name,
                            struct error *e) {
    struct webhook_entry *w = control_get_webhook(c, cache, name, e);
    if (w == NULL)
        return false;
    webhook_set_enable(c->options.webhooks, w->id);
    webhook_entry_unref(w);
    log_info("webhook enabled", LOG_STR("cache", cache), LOG_STR("webhook", name));
    return true;
}

void control_webhook_status(struct control *c, const struct webhook_entry *w,
                            struct webhook_status *status) {
    webhook_set_status(c->options.webhooks, w->id, status);
}

struct webhook_entry *control_rotate_webhook(struct control *c, const char *cache, const char *name,
                                             struct error *e) {
    struct webhook_entry *w = NULL;
    char *secret = NULL;
    pthread_mutex_lock(&c->lock);
    struct webhook_entry *old = control_get_webhook(c, cache, name, e);
    if (old == NULL || !may_change(old, e) || (secret = make_secret(e)) == NULL)
        goto done;
    w = webhook_entry_new(cache, name, old->topic, old->url, secret);
    w->own_hook = old->own_hook != NULL ? xstrdup(old->own_hook) : NULL;
    w->policy = old->policy;
    w->start = old->start;
    w->previous_secret = xstrdup(old->secret);
    w->previous_until_ms = clock_wall_ms() + c->options.config->limits.rotation_grace_ms;
    /* A destination that is this gateway is kept as a path. */
    char *path = w->own_hook != NULL ? xasprintf("/hooks/%s", w->own_hook) : xstrdup(w->url);
    if (!save(c, w, path, e)) {
        webhook_entry_unref(w);
        w = NULL;
    } else {
        webhook_set_put(c->options.webhooks, webhook_entry_ref(w));
    }
    free(path);
done:
    free(secret);
    webhook_entry_unref(old);
    pthread_mutex_unlock(&c->lock);
    if (w != NULL)
        log_info("webhook secret rotated", LOG_STR("cache", cache), LOG_STR("webhook", name));
    return w;
}

bool control_list_webhooks(struct control *c, const char *cache, struct webhook_entry ***list,
                           size_t *count, struct error *e) {
    if (!broker_has_cache(c->options.broker, cache))
        return no_cache(cache, e);
    *count = webhook_set_list(c->options.webhooks, cache, list, NULL);
    return true;
}

/* ---- keys ---- */

bool control_make_key(struct control *c, const struct key_request *request,
                      struct key_result *result, struct error *e) {
    if (!keys_make(c->options.token_key, c->options.store, request, result, e))
        return false;
    if (!request->disposable)
        log_info("key made", LOG_STR("id", request->id), LOG_STR("serial", result->serial));
    return true;
}

bool control_refresh_key(struct control *c, const char *token, const char *refresh_token,
                         struct key_result *result, struct error *e) {
    struct identity *old = access_identify(c->options.access, token, e);
    if (old == NULL)
        return false;
    bool good = keys_refresh(c->options.token_key, c->options.store, old, refresh_token, result, e);
    identity_unref(old);
    return good;
}

bool control_revoke_key(struct control *c, const char *serial_or_token, struct error *e) {
    unsigned char serial[IDENTITY_SERIAL_BYTES];
    int64_t expires_s;
    if (!keys_revoke(c->options.token_key, c->options.store, serial_or_token, serial, &expires_s,
                     e))
        return false;
    access_revoke(c->options.access, serial, expires_s);
    log_info("key revoked");
    return true;
}

bool control_list_keys(struct control *c, struct key_record **list, size_t *count,
                       struct error *e) {
    return store_list_keys(c->options.store, list, count, e);
}
