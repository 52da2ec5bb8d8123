#include "broker/topic.h"

#include <stdlib.h>

struct topic *topic_new(const char *name, size_t length) {
    struct topic *t = xcalloc(1, sizeof *t);
    t->name = xstrndup(name, length);
    t->page = (uint64_t)(clock_wall_ms() / 1000);
    t->oldest = t->next = 1;
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

void topic_free(struct topic *t) {
    for (uint64_t number = t->oldest; number < t->next; number++)
        item_unref(topic_item(t, number));
    pthread_mutex_destroy(&t->lock);
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

void topic_append(struct topic *t, struct item *item, unsigned max_items, size_t max_bytes) {
    item_ref(item);
    pthread_mutex_lock(&t->lock);
    /* The newest item is always retained, whatever its size. */
    while (t->next - t->oldest >= max_items ||
           (t->next > t->oldest && t->bytes + item_cost(item) > max_bytes))
        drop_oldest(t);
    if (t->next - t->oldest == t->capacity)
        grow_ring(t);
    item->page = t->page;
    item->number = t->next++;
    item->timestamp_ms = clock_wall_ms();
    t->ring[item->number & (t->capacity - 1)] = item;
    t->bytes += item_cost(item);
    for (struct port *p = t->ports; p != NULL; p = p->next_of_topic)
        port_mark_ready(p);
    pthread_mutex_unlock(&t->lock);
}
