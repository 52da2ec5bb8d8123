#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "broker/topic.h"

#define NAME_BYTES 255

struct cache {
    UT_hash_handle hh;
    char *name;
    struct cache_settings settings;
    bool closed; /* about to be deleted */
    struct topic *topics;
};

struct broker {
    struct broker_limits limits;
    struct store *store;       /* NULL: all is in memory */
    struct durables *durables; /* NULL then, too */
    pthread_rwlock_t lock;     /* guards the table of caches and each cache's table of topics */
    struct cache *caches;
    uint64_t page_floor; /* guarded by the lock: no new topic's page is below */
    _Atomic uint64_t published;
    _Atomic uint64_t subscribers;
    _Atomic uint64_t topics;
    _Atomic uint64_t discontinuities;
};

struct broker *broker_new(const struct broker_limits *limits, uint64_t page_floor,
                          struct store *store) {
    struct broker *b = xcalloc(1, sizeof *b);
    b->limits = *limits;
    b->page_floor = page_floor;
    pthread_rwlock_init(&b->lock, NULL);
    b->store = store;
    if (store != NULL)
        b->durables = durables_new(b, store);
    return b;
}

/* Takes it and its topics out of the tables; nobody finds them any more. */
static void drop_cache(struct broker *b, struct cache *cache) {
    struct topic *topic, *next;
    HASH_ITER(hh, cache->topics, topic, next) {
        HASH_DEL(cache->topics, topic);
        atomic_fetch_sub_explicit(&b->topics, 1, memory_order_relaxed);
        topic_delete(topic);
        topic_unref(topic);
    }
    HASH_DEL(b->caches, cache);
    free(cache->name);
    free(cache);
}

void broker_free(struct broker *b) {
    if (b == NULL)
        return;
    struct cache *cache, *next;
    HASH_ITER(hh, b->caches, cache, next)
    drop_cache(b, cache);
    durables_free(b->durables);
    pthread_rwlock_destroy(&b->lock);
    free(b);
}

const char *broker_name_defect(const char *name, size_t length) {
    if (length == 0)
        return "is empty";
    if (length > NAME_BYTES)
        return "is longer than 255 bytes";
    if (!utf8_valid(name, length))
        return "is not UTF-8";
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return "has a control character";
    }
    return NULL;
}

static struct cache *find_cache(struct broker *b, const char *name) {
    struct cache *cache = NULL;
    HASH_FIND_STR(b->caches, name, cache);
    return cache;
}

struct store *broker_store(const struct broker *b) {
    return b->store;
}

bool broker_create_cache(struct broker *b, const char *name, const struct cache_settings *settings,
                         struct error *e) {
    const char *defect = broker_name_defect(name, strlen(name));
    if (defect != NULL)
        return error_set(e, ERROR_INVALID, "the cache name %s", defect);
    pthread_rwlock_wrlock(&b->lock);
    bool fresh = find_cache(b, name) == NULL;
    if (fresh) {
        struct cache *cache = xcalloc(1, sizeof *cache);
        cache->name = xstrdup(name);
        cache->settings = *settings;
        cache->settings.durable = settings->durable && b->durables != NULL;
        HASH_ADD_KEYPTR(hh, b->caches, cache->name, strlen(cache->name), cache);
    }
    pthread_rwlock_unlock(&b->lock);
    return fresh || error_set(e, ERROR_EXISTS, "there is a cache of that name already");
}

static uint64_t now_s(void) {
    return (uint64_t)(clock_wall_ms() / 1000);
}

static bool no_cache(const char *name, struct error *e) {
    return error_set(e, ERROR_NOT_FOUND, "there is no cache \"%s\"", name);
}

bool broker_delete_cache(struct broker *b, const char *name, struct error *e) {
    pthread_rwlock_wrlock(&b->lock);
    struct cache *cache = find_cache(b, name);
    bool found = cache != NULL;
    if (found) {
        drop_cache(b, cache);
        /* Topics of the same names get larger pages, even within this second. */
        uint64_t now = now_s();
        b->page_floor = (now > b->page_floor ? now : b->page_floor) + 1;
    }
    pthread_rwlock_unlock(&b->lock);
    return found || no_cache(name, e);
}

static void flush_topic(struct broker *b, struct topic *t) {
    topic_flush(t);
    if (t->durable != NULL)
        durable_announce(b->durables, t);
}

bool broker_close_cache(struct broker *b, const char *name, bool closed, struct error *e) {
    pthread_rwlock_wrlock(&b->lock);
    struct cache *cache = find_cache(b, name);
    if (cache != NULL)
        cache->closed = closed;
    for (struct topic *t = cache != NULL ? cache->topics : NULL; t != NULL; t = t->hh.next) {
        pthread_mutex_lock(&t->lock);
        t->closed = closed;
        pthread_mutex_unlock(&t->lock);
        if (!closed && t->durable != NULL)
            durable_announce(b->durables, t); /* its row was not written meanwhile */
    }
    pthread_rwlock_unlock(&b->lock);
    return cache != NULL || no_cache(name, e);
}

bool broker_flush_cache(struct broker *b, const char *name, struct error *e) {
    pthread_rwlock_rdlock(&b->lock);
    struct cache *cache = find_cache(b, name);
    for (struct topic *t = cache != NULL ? cache->topics : NULL; t != NULL; t = t->hh.next)
        flush_topic(b, t);
    pthread_rwlock_unlock(&b->lock);
    return cache != NULL || no_cache(name, e);
}

bool broker_has_cache(struct broker *b, const char *name) {
    pthread_rwlock_rdlock(&b->lock);
    bool has = find_cache(b, name) != NULL;
    pthread_rwlock_unlock(&b->lock);
    return has;
}

void broker_each_cache(struct broker *b,
                       void (*each)(void *context, const char *name, bool durable, unsigned topics),
                       void *context) {
    pthread_rwlock_rdlock(&b->lock);
    for (struct cache *cache = b->caches; cache != NULL; cache = cache->hh.next)
        each(context, cache->name, cache->settings.durable, HASH_COUNT(cache->topics));
    pthread_rwlock_unlock(&b->lock);
}

uint64_t broker_page_floor(struct broker *b) {
    pthread_rwlock_rdlock(&b->lock);
    uint64_t floor = b->page_floor;
    pthread_rwlock_unlock(&b->lock);
    return floor;
}

/* Makes the topic; the lock is held for writing. */
static struct topic *make_topic(struct broker *b, const char *cache_name, const char *name,
                                size_t length, struct error *e) {
    struct cache *cache = find_cache(b, cache_name);
    if (cache == NULL || cache->closed) {
        no_cache(cache_name, e);
        return NULL;
    }
    struct topic *topic = NULL;
    HASH_FIND(hh, cache->topics, name, length, topic);
    if (topic != NULL)
        return topic_ref(topic);
    if (HASH_COUNT(cache->topics) >= b->limits.topics) {
        error_set(e, ERROR_LIMIT, "the cache has as many topics as it may have (%u)",
                  b->limits.topics);
        return NULL;
    }
    uint64_t now = now_s();
    topic = topic_new(name, length, now > b->page_floor ? now : b->page_floor);
    if (cache->settings.durable &&
        !durable_init(b->durables, topic, cache_name, &cache->settings.retention, e)) {
        topic_unref(topic);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, cache->topics, topic->name, length, topic);
    atomic_fetch_add_explicit(&b->topics, 1, memory_order_relaxed);
    return topic_ref(topic);
}

struct topic *broker_open_topic(struct broker *b, const char *cache_name, const char *name,
                                struct error *e) {
    size_t length = strlen(name);
    struct topic *topic = NULL;
    pthread_rwlock_rdlock(&b->lock);
    struct cache *cache = find_cache(b, cache_name);
    if (cache != NULL)
        HASH_FIND(hh, cache->topics, name, length, topic);
    if (topic != NULL)
        topic_ref(topic);
    pthread_rwlock_unlock(&b->lock);
    if (topic != NULL)
        return topic;
    const char *defect = broker_name_defect(name, length);
    if (defect != NULL) {
        error_set(e, ERROR_INVALID, "the topic name %s", defect);
        return NULL;
    }
    pthread_rwlock_wrlock(&b->lock);
    topic = make_topic(b, cache_name, name, length, e);
    pthread_rwlock_unlock(&b->lock);
    return topic;
}

/* ---- the durable topics' ---- */

struct topic *broker_adopt(struct broker *b, const char *cache_name, const char *name,
                           uint64_t page, struct retention *retention) {
    struct cache *cache = find_cache(b, cache_name);
    if (cache == NULL || !cache->settings.durable)
        return NULL;
    struct topic *topic = topic_new(name, strlen(name), page);
    *retention = cache->settings.retention;
    HASH_ADD_KEYPTR(hh, cache->topics, topic->name, strlen(topic->name), topic);
    atomic_fetch_add_explicit(&b->topics, 1, memory_order_relaxed);
    return topic;
}

bool broker_restore(struct broker *b, struct error *e) {
    return b->durables == NULL || durables_restore(b->durables, e);
}

void broker_each_durable(struct broker *b, bool (*each)(void *context, struct topic *t),
                         void *context) {
    bool more = true;
    pthread_rwlock_rdlock(&b->lock);
    for (struct cache *cache = b->caches; more && cache != NULL; cache = cache->hh.next) {
        if (!cache->settings.durable)
            continue;
        for (struct topic *t = cache->topics; more && t != NULL; t = t->hh.next)
            more = each(context, t);
    }
    pthread_rwlock_unlock(&b->lock);
}

/* ---- publishing ---- */

struct entry {
    struct topic *topic;
    struct item *item;
};

struct publication {
    struct change change;
    struct broker *broker;
    size_t count;
    struct entry entries[];
};

/* Of a durable topic: whether it takes another item. */
static bool check_topic(const struct broker *b, struct topic *t, struct error *e) {
    pthread_mutex_lock(&t->lock);
    bool closed = t->closed || t->deleted;
    uint64_t next = t->next, held = topic_held(t);
    pthread_mutex_unlock(&t->lock);
    if (closed)
        return error_set(e, ERROR_NOT_FOUND, "the cache is being deleted");
    return held == UINT64_MAX || next < held || next - held < b->limits.backlog ||
           error_set(e, ERROR_LIMIT,
                     "a webhook of the topic has %llu items still to deliver "
                     "(limits.webhook_backlog)",
                     (unsigned long long)(next - held));
}

/* change.apply: of the items of durable topics. */
static bool write_items(struct change *c, struct database *db, struct error *e) {
    struct publication *p = (struct publication *)c;
    for (size_t i = 0; i < p->count; i++) {
        struct entry *entry = &p->entries[i];
        if (entry->topic->durable != NULL &&
            !durable_write(p->broker->durables, entry->topic, entry->item, db, e))
            return false;
    }
    return true;
}

static void show_items(struct change *c) {
    struct publication *p = (struct publication *)c;
    const struct broker_limits *limits = &p->broker->limits;
    for (size_t i = 0; i < p->count; i++)
        topic_append(p->entries[i].topic, p->entries[i].item, limits->retained_items,
                     limits->retained_bytes);
    atomic_fetch_add_explicit(&p->broker->published, p->count, memory_order_relaxed);
}

static void free_publication(struct change *c) {
    struct publication *p = (struct publication *)c;
    for (size_t i = 0; i < p->count; i++) {
        topic_unref(p->entries[i].topic);
        item_unref(p->entries[i].item);
    }
    free(p);
}

bool broker_add(struct broker *b, const struct publish *list, size_t count, struct transaction *t,
                struct error *e) {
    struct publication *p = xcalloc(1, sizeof *p + count * sizeof(struct entry));
    size_t bytes = sizeof *p;
    bool good = true, durable = false;
    p->broker = b;
    for (size_t i = 0; i < count && good; i++) {
        if (list[i].item->length > b->limits.message_bytes) {
            good = error_set(e, ERROR_TOO_LARGE, "the message has %zu bytes, %zu are allowed",
                             list[i].item->length, b->limits.message_bytes);
            break;
        }
        struct topic *topic = broker_open_topic(b, list[i].cache, list[i].topic, e);
        good = topic != NULL;
        if (!good)
            break;
        p->entries[p->count++] = (struct entry){topic, item_ref(list[i].item)};
        bytes += item_cost(list[i].item) + sizeof(struct entry);
        if (topic->durable != NULL) {
            durable = true;
            good = check_topic(b, topic, e);
        }
    }
    if (!good) {
        free_publication(&p->change);
        return false;
    }
    p->change = (struct change){
        .apply = durable ? write_items : NULL,
        .committed = show_items,
        .destroy = free_publication,
    };
    transaction_add(t, &p->change, bytes);
    return true;
}

bool broker_publish(struct mailbox *m, const struct publish *list, size_t count,
                    transaction_done *done, void *context, struct error *e) {
    struct transaction *t = transaction_new(done, context);
    if (broker_add(mailbox_broker(m), list, count, t, e))
        return mailbox_submit(m, t, e);
    transaction_free(t);
    return false;
}

bool broker_count_subscriber(struct broker *b, struct error *e) {
    uint64_t before = atomic_fetch_add_explicit(&b->subscribers, 1, memory_order_relaxed);
    if (before < b->limits.subscribers)
        return true;
    broker_uncount_subscriber(b);
    return error_set(e, ERROR_SUBSCRIBERS, "as many subscribers as allowed are connected (%u)",
                     b->limits.subscribers);
}

void broker_uncount_subscriber(struct broker *b) {
    atomic_fetch_sub_explicit(&b->subscribers, 1, memory_order_relaxed);
}

bool broker_topic_position(struct broker *b, const char *cache, const char *topic,
                           struct resume *position, struct error *e) {
    struct topic *t = broker_open_topic(b, cache, topic, e);
    if (t == NULL)
        return false;
    pthread_mutex_lock(&t->lock);
    *position = (struct resume){.page = t->page, .number = t->next};
    pthread_mutex_unlock(&t->lock);
    topic_unref(t);
    return true;
}

void broker_count_discontinuity(struct broker *b) {
    atomic_fetch_add_explicit(&b->discontinuities, 1, memory_order_relaxed);
}

void broker_get_stats(struct broker *b, struct broker_stats *stats) {
    stats->published = atomic_load_explicit(&b->published, memory_order_relaxed);
    stats->subscribers = atomic_load_explicit(&b->subscribers, memory_order_relaxed);
    stats->topics = atomic_load_explicit(&b->topics, memory_order_relaxed);
    stats->discontinuities = atomic_load_explicit(&b->discontinuities, memory_order_relaxed);
}
