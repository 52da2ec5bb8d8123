/*
 * topic: the ring of one topic and the ports through which mailboxes hear of it. Internal to
 * broker/.
 */
#ifndef HOOKMOON_BROKER_TOPIC_H
#define HOOKMOON_BROKER_TOPIC_H

#include <pthread.h>
#include <stdatomic.h>

#include <uthash.h>

#include "broker/broker.h"

/* One mailbox's interest in one topic: holds that mailbox's subscriptions to it. */
struct port {
    struct topic *topic;
    struct mailbox *mailbox;
    struct port *next_of_topic;               /* guarded by topic->lock */
    struct port *ready_next, *ready_previous; /* guarded by mailbox->lock */
    bool ready;                               /* guarded by mailbox->lock */
    struct subscription *subscriptions;       /* owner thread, like all below */
    struct subscription *visiting;            /* the next to be told, while telling */
    bool dispatching;
};

struct topic {
    UT_hash_handle hh;           /* in its cache's table, guarded by the broker's lock */
    _Atomic unsigned references; /* the table's, each port's, and of whoever publishes */
    char *name;
    uint64_t page;
    pthread_mutex_t lock; /* guards all that follows */
    bool deleted;         /* with its cache; nothing is appended any more */
    struct port *ports;
    struct item **ring; /* the item `number` is at ring[number & (capacity - 1)] */
    size_t capacity;    /* a power of two, 0 before the first item */
    uint64_t oldest;    /* the number of the oldest retained item; == next when none is */
    uint64_t next;      /* the number of the next item to be published */
    size_t bytes;       /* cost of the retained items */
};

/* With one reference. */
struct topic *topic_new(const char *name, size_t length, uint64_t page);
struct topic *topic_ref(struct topic *t);
void topic_unref(struct topic *t);
/* Its subscribers are told that it ended. */
void topic_delete(struct topic *t);
/* Lets go of what is retained; numbers go on. */
void topic_flush(struct topic *t);

/* Numbers and appends; wakes every port. Takes its own reference to `item`. */
void topic_append(struct topic *t, struct item *item, unsigned max_items, size_t max_bytes);

/* topic->lock must be held. */
static inline struct item *topic_item(const struct topic *t, uint64_t number) {
    return t->ring[number & (t->capacity - 1)];
}

/* Puts a port into its mailbox's ready list and wakes the owner when it was empty. Any thread. */
void port_mark_ready(struct port *p);

/* broker.c, for mailbox.c: finds or makes, with a reference; the checks of subscription_open. */
struct topic *broker_open_topic(struct broker *b, const char *cache_name, const char *name,
                                struct error *e);
bool broker_count_subscriber(struct broker *b, struct error *e);
void broker_uncount_subscriber(struct broker *b);
void broker_count_discontinuity(struct broker *b);

#endif
