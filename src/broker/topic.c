#include "broker/topic.h"

#include <stdlib.h>

#include <utlist.h>

struct topic *topic_new(const char *name, size_t length, uint64_t page) {
    struct topic *t = xcalloc(1, sizeof *t);
    atomic_init(&t->references, 1);
    t->name = xstrndup(name, length);
    t->page = page;
    t->oldest = t->next = t->first = 1;
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

struct topic *topic_ref(struct topic *t) {
    atomic_fetch_add_explicit(&t->references, 1, memory_order_relaxed);
    return t;
}

void topic_unref(struct topic *t) {
    if (atomic_fetch_sub_explicit(&t->references, 1, memory_order_acq_rel) != 1)
        return;
    for (uint64_t number = t->oldest; number < t->next; number++)
        item_unref(topic_item(t, number));
    pthread_mutex_destroy(&t->lock);
    durable_free(t->durable);
    free(t->ring);
    free(t->name);
    free(t);
}

static void drop_oldest(struct topic *t) {
    struct item *item = topic_item(t, t->oldest++);
    t->bytes -= item_cost(item);
    item_unref(item);
}

static void grow_ring(struct topic *t) {
    size_t capacity = t->capacity == 0 ? 8 : t->capacity * 2;
    struct item **ring = xcalloc(capacity, sizeof(struct item *));
    for (uint64_t number = t->oldest; number < t->next; number++)
        ring[number & (capacity - 1)] = topic_item(t, number);
    free(t->ring);
    t->ring = ring;
    t->capacity = capacity;
}

/* The topic's lock is held. */
static void tell_ports(struct topic *t) {
    for (struct port *p = t->ports; p != NULL; p = p->next_of_topic)
        port_mark_ready(p);
}

void topic_delete(struct topic *t) {
    pthread_mutex_lock(&t->lock);
    t->deleted = true;
    tell_ports(t);
    pthread_mutex_unlock(&t->lock);
}

void topic_flush(struct topic *t) {
    pthread_mutex_lock(&t->lock);
    while (t->oldest < t->next)
        drop_oldest(t);
    t->first = t->next;
    pthread_mutex_unlock(&t->lock);
}

void topic_append(struct topic *t, struct item *item, unsigned max_items, size_t max_bytes) {
    pthread_mutex_lock(&t->lock);
    if (t->deleted) { /* this very moment: as if it had been published just before */
        pthread_mutex_unlock(&t->lock);
        return;
    }
    item_ref(item);
    /* The newest item is always retained, whatever its size. */
    while (t->next - t->oldest >= max_items ||
           (t->next > t->oldest && t->bytes + item_cost(item) > max_bytes))
        drop_oldest(t);
    if (t->next - t->oldest == t->capacity)
        grow_ring(t);
    if (t->durable == NULL) {
        item->page = t->page;
        item->number = t->next;
        item->timestamp_ms = clock_wall_ms();
    }
    t->next++;
    t->ring[item->number & (t->capacity - 1)] = item;
    t->bytes += item_cost(item);
    tell_ports(t);
    pthread_mutex_unlock(&t->lock);
}

uint64_t topic_held(const struct topic *t) {
    const struct hold *h;
    uint64_t least = UINT64_MAX;
    DL_FOREACH(t->holds, h) {
        least = h->number < least ? h->number : least;
    }
    return least;
}
