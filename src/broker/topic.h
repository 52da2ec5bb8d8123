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

/* A subscription for which items are kept; guarded by topic->lock. */
struct hold {
    struct hold *next, *prev;
    uint64_t number;
};

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
    struct durable *durable; /* NULL: in memory only */
    pthread_mutex_t lock;    /* guards all that follows */
    bool deleted;            /* with its cache; nothing is appended any more */
    bool closed;             /* the cache is about to be deleted */
    uint64_t first;          /* of a durable topic: the oldest number that subscribers are given */
    struct hold *holds;
    struct port *ports;
    struct item **ring; /* the item `number` is at ring[number & (capacity - 1)] */
    size_t capacity;    /* a power of two, 0 before the first item */
    uint64_t oldest;    /* the number of the oldest retained item; == next when none is */
    uint64_t next;      /* the number of the next item to be published */
    size_t bytes;       /* cost of the retained items */
};

/*
 * What a durable topic has more. Of the thread that writes, but for what never changes.
 */
struct durable {
    int64_t id; /* never changes, like these: */
    char *cache;
    struct retention retention;
    bool touched; /* its row is to be written with this commit */
    struct topic *next_touched;
    uint64_t written;    /* the number of the next item to be written */
    int64_t bytes;       /* of all values that are stored, this commit's included */
    int64_t bytes_saved; /* and without it */
    uint64_t reaped;     /* no item before this number is stored any more */
    int64_t oldest_ms;   /* of the item `first`; 0: not known */
};

/* With one reference. */
struct topic *topic_new(const char *name, size_t length, uint64_t page);
struct topic *topic_ref(struct topic *t);
void topic_unref(struct topic *t);
/* Its subscribers are told that it ended. */
void topic_delete(struct topic *t);
/* Lets go of what is retained; numbers go on. */
void topic_flush(struct topic *t);

/* Numbers, unless it is durable and was numbered when it was written, and appends; wakes every
 * port. Takes its own reference to `item`. */
void topic_append(struct topic *t, struct item *item, unsigned max_items, size_t max_bytes);

/* topic->lock must be held. */
static inline struct item *topic_item(const struct topic *t, uint64_t number) {
    return t->ring[number & (t->capacity - 1)];
}

/* Puts a port into its mailbox's ready list and wakes the owner when it was empty. Any thread. */
void port_mark_ready(struct port *p);

/* The smallest number that is held, UINT64_MAX: none. topic->lock must be held. */
uint64_t topic_held(const struct topic *t);

/* durable.c: the side of the disk. */
struct durables;
struct durables *durables_new(struct broker *b, struct store *store);
void durables_free(struct durables *d);
/* Gives a new topic its place on the disk. ERROR_LIMIT. */
bool durable_init(struct durables *d, struct topic *t, const char *cache,
                  const struct retention *retention, struct error *e);
void durable_free(struct durable *own);
/* Has the topic's row written with the next commit, which need not come soon. */
void durable_announce(struct durables *d, struct topic *t);
/* In a transaction, on the thread that writes: numbers the item and writes it. */
bool durable_write(struct durables *d, struct topic *t, struct item *item, struct database *db,
                   struct error *e);
/* Restores the topics of one cache's name, by broker_adopt. */
bool durables_restore(struct durables *d, struct error *e);
/* Reads items of [from, before) into `items`; false: the disk failed. */
bool durable_read(struct database *db, const struct topic *t, uint64_t from, uint64_t before,
                  struct item **items, size_t room, size_t max_bytes, size_t *count,
                  struct error *e);

/* broker.c, for durable.c: makes a stored topic; NULL: its cache is not there or not durable. */
struct topic *broker_adopt(struct broker *b, const char *cache, const char *name, uint64_t page,
                           struct retention *retention);
/* Calls `each` for every durable topic under the broker's lock, until it returns false. */
void broker_each_durable(struct broker *b, bool (*each)(void *context, struct topic *t),
                         void *context);
struct store *broker_store(const struct broker *b);

/* broker.c, for mailbox.c: finds or makes, with a reference; the checks of subscription_open. */
struct topic *broker_open_topic(struct broker *b, const char *cache_name, const char *name,
                                struct error *e);
struct broker *mailbox_broker(const struct mailbox *m);
bool broker_count_subscriber(struct broker *b, struct error *e);
void broker_uncount_subscriber(struct broker *b);
void broker_count_discontinuity(struct broker *b);

#endif
