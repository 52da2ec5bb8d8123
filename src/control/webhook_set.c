#include "control/webhook_set.h"

#include <pthread.h>
#include <stdlib.h>

#include <openssl/crypto.h>
#include <uthash.h>

struct report {
    UT_hash_handle hh;
    uint64_t id;
    bool enable; /* was asked for */
    struct webhook_status status;
};

struct webhook_set {
    pthread_mutex_t lock;        /* guards all that follows but the version */
    struct webhook_entry **list; /* sorted by cache and name */
    size_t count;
    struct report *reports; /* by the webhook's id */
    uint64_t next_id;
    _Atomic uint64_t version;
    void (*changed)(void *);
    void *context;
};

static void clear_secret(char *secret) {
    if (secret != NULL)
        OPENSSL_cleanse(secret, strlen(secret));
    free(secret);
}

struct webhook_entry *webhook_entry_new(const char *cache, const char *name, const char *topic,
                                        const char *url, const char *secret) {
    struct webhook_entry *w = xcalloc(1, sizeof *w);
    atomic_init(&w->references, 1);
    w->cache = xstrdup(cache);
    w->name = xstrdup(name);
    w->topic = xstrdup(topic);
    w->url = xstrdup(url);
    w->secret = xstrdup(secret);
    webhook_policy_init(&w->policy);
    return w;
}

struct webhook_entry *webhook_entry_ref(struct webhook_entry *w) {
    atomic_fetch_add_explicit(&w->references, 1, memory_order_relaxed);
    return w;
}

void webhook_entry_unref(struct webhook_entry *w) {
    if (w == NULL || atomic_fetch_sub_explicit(&w->references, 1, memory_order_acq_rel) != 1)
        return;
    free(w->cache);
    free(w->name);
    free(w->topic);
    free(w->url);
    free(w->own_hook);
    clear_secret(w->secret);
    clear_secret(w->previous_secret);
    free(w);
}

struct webhook_set *webhook_set_new(void) {
    struct webhook_set *s = xcalloc(1, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void webhook_set_free(struct webhook_set *s) {
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->count; i++)
        webhook_entry_unref(s->list[i]);
    free(s->list);
    struct report *r, *next;
    HASH_ITER(hh, s->reports, r, next) {
        HASH_DEL(s->reports, r);
        free(r);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void webhook_set_listen(struct webhook_set *s, void (*changed)(void *), void *context) {
    s->changed = changed;
    s->context = context;
}

uint64_t webhook_set_version(const struct webhook_set *s) {
    return atomic_load_explicit(&s->version, memory_order_acquire);
}

/* Of the first entry that is not before cache/name; the lock is held. */
static size_t place_of(const struct webhook_set *s, const char *cache, const char *name,
                       bool *found) {
    size_t at = 0;
    *found = false;
    for (; at < s->count; at++) {
        int order = strcmp(s->list[at]->cache, cache);
        order = order != 0 ? order : strcmp(s->list[at]->name, name);
        if (order >= 0) {
            *found = order == 0;
            break;
        }
    }
    return at;
}

/* Ends a change: the lock is held and let go of. */
static void publish_change(struct webhook_set *s) {
    atomic_fetch_add_explicit(&s->version, 1, memory_order_release);
    pthread_mutex_unlock(&s->lock);
    if (s->changed != NULL)
        s->changed(s->context);
}

void webhook_set_put(struct webhook_set *s, struct webhook_entry *w) {
    bool found;
    pthread_mutex_lock(&s->lock);
    size_t at = place_of(s, w->cache, w->name, &found);
    if (found) {
        struct webhook_entry *old = s->list[at];
        w->id = old->id;
        w->delivery = strcmp(old->topic, w->topic) == 0 ? old->delivery : ++s->next_id;
        if (w->delivery == old->delivery)
            w->start = old->start;
        webhook_entry_unref(old);
    } else {
        w->id = ++s->next_id;
        w->delivery = ++s->next_id;
        s->list = xrealloc(s->list, (s->count + 1) * sizeof(struct webhook_entry *));
        memmove(s->list + at + 1, s->list + at, (s->count - at) * sizeof(struct webhook_entry *));
        s->count++;
    }
    s->list[at] = w;
    publish_change(s);
}

/* The lock is held. */
static struct report *report_of(struct webhook_set *s, uint64_t id) {
    struct report *r = NULL;
    HASH_FIND(hh, s->reports, &id, sizeof id, r);
    if (r == NULL) {
        r = xcalloc(1, sizeof *r);
        r->id = id;
        HASH_ADD(hh, s->reports, id, sizeof r->id, r);
    }
    return r;
}

void webhook_set_report(struct webhook_set *s, uint64_t id, const struct webhook_status *status) {
    pthread_mutex_lock(&s->lock);
    report_of(s, id)->status = *status;
    pthread_mutex_unlock(&s->lock);
}

void webhook_set_status(struct webhook_set *s, uint64_t id, struct webhook_status *status) {
    pthread_mutex_lock(&s->lock);
    *status = report_of(s, id)->status;
    pthread_mutex_unlock(&s->lock);
}

void webhook_set_enable(struct webhook_set *s, uint64_t id) {
    pthread_mutex_lock(&s->lock);
    report_of(s, id)->enable = true;
    publish_change(s);
}

bool webhook_set_take_enable(struct webhook_set *s, uint64_t id) {
    pthread_mutex_lock(&s->lock);
    struct report *r = report_of(s, id);
    bool enable = r->enable;
    r->enable = false;
    pthread_mutex_unlock(&s->lock);
    return enable;
}

/* The lock is held. */
static void take_out(struct webhook_set *s, size_t at) {
    struct report *r = report_of(s, s->list[at]->id);
    HASH_DEL(s->reports, r);
    free(r);
    webhook_entry_unref(s->list[at]);
    s->count--;
    memmove(s->list + at, s->list + at + 1, (s->count - at) * sizeof(struct webhook_entry *));
}

bool webhook_set_remove(struct webhook_set *s, const char *cache, const char *name) {
    bool found;
    pthread_mutex_lock(&s->lock);
    size_t at = place_of(s, cache, name, &found);
    if (!found) {
        pthread_mutex_unlock(&s->lock);
        return false;
    }
    take_out(s, at);
    publish_change(s);
    return true;
}

void webhook_set_remove_cache(struct webhook_set *s, const char *cache) {
    pthread_mutex_lock(&s->lock);
    for (size_t at = s->count; at-- > 0;) {
        if (strcmp(s->list[at]->cache, cache) == 0)
            take_out(s, at);
    }
    publish_change(s);
}

struct webhook_entry *webhook_set_find(struct webhook_set *s, const char *cache, const char *name) {
    bool found;
    pthread_mutex_lock(&s->lock);
    size_t at = place_of(s, cache, name, &found);
    struct webhook_entry *w = found ? webhook_entry_ref(s->list[at]) : NULL;
    pthread_mutex_unlock(&s->lock);
    return w;
}

size_t webhook_set_list(struct webhook_set *s, const char *cache, struct webhook_entry ***list,
                        uint64_t *version) {
    size_t count = 0;
    pthread_mutex_lock(&s->lock);
    *list = xcalloc(s->count + 1, sizeof(struct webhook_entry *));
    for (size_t i = 0; i < s->count; i++) {
        if (cache == NULL || strcmp(s->list[i]->cache, cache) == 0)
            (*list)[count++] = webhook_entry_ref(s->list[i]);
    }
    if (version != NULL)
        *version = webhook_set_version(s);
    pthread_mutex_unlock(&s->lock);
    return count;
}

void webhook_list_free(struct webhook_entry **list, size_t count) {
    for (size_t i = 0; i < count; i++)
        webhook_entry_unref(list[i]);
    free(list);
}
