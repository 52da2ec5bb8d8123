#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "broker/topic.h"

#define NAME_BYTES 255

struct cache {
    UT_hash_handle hh;
    char *name;
    struct topic *topics;
};

struct broker {
    struct broker_limits limits;
    pthread_rwlock_t lock; /* guards the table of caches and each cache's table of topics */
    struct cache *caches;
    uint64_t page_floor; /* guarded by the lock: no new topic's page is below */
    _Atomic uint64_t published;
    _Atomic uint64_t subscribers;
    _Atomic uint64_t topics;
    _Atomic uint64_t discontinuities;
};

struct broker *broker_new(const struct broker_limits *limits, uint64_t page_floor) {
    struct broker *b = xcalloc(1, sizeof *b);
    b->limits = *limits;
    b->page_floor = page_floor;
    pthread_rwlock_init(&b->lock, NULL);
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

bool broker_create_cache(struct broker *b, const char *name, struct error *e) {
    const char *defect = broker_name_defect(name, strlen(name));
    if (defect != NULL)
        return error_set(e, ERROR_INVALID, "the cache name %s", defect);
    pthread_rwlock_wrlock(&b->lock);
    bool fresh = find_cache(b, name) == NULL;
    if (fresh) {
        struct cache *cache = xcalloc(1, sizeof *cache);
        cache->name = xstrdup(name);
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

bool broker_flush_cache(struct broker *b, const char *name, struct error *e) {
    pthread_rwlock_rdlock(&b->lock);
    struct cache *cache = find_cache(b, name);
    for (struct topic *t = cache != NULL ? cache->topics : NULL; t != NULL; t = t->hh.next)
        topic_flush(t);
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
                       void (*each)(void *context, const char *name, unsigned topics),
                       void *context) {
    pthread_rwlock_rdlock(&b->lock);
    for (struct cache *cache = b->caches; cache != NULL; cache = cache->hh.next)
        each(context, cache->name, HASH_COUNT(cache->topics));
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
    if (cache == NULL) {
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

bool broker_publish(struct broker *b, const struct publish *list, size_t count, struct error *e) {
    struct topic *few[8] = {0};
    struct topic **topics = count <= COUNT_OF(few) ? few : xcalloc(count, sizeof(struct topic *));
    bool good = true;
    for (size_t i = 0; i < count && good; i++) {
        if (list[i].item->length > b->limits.message_bytes)
            good = error_set(e, ERROR_TOO_LARGE, "the message has %zu bytes, %zu are allowed",
                             list[i].item->length, b->limits.message_bytes);
        else
            good = (topics[i] = broker_open_topic(b, list[i].cache, list[i].topic, e)) != NULL;
    }
    for (size_t i = 0; i < count && good; i++)
        topic_append(topics[i], list[i].item, b->limits.retained_items, b->limits.retained_bytes);
    if (good)
        atomic_fetch_add_explicit(&b->published, count, memory_order_relaxed);
    for (size_t i = 0; i < count && topics[i] != NULL; i++)
        topic_unref(topics[i]);
    if (topics != few)
        free(topics);
    return good;
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
