/*
 * broker: caches, topics, numbered items, subscribers. Knows no transport.
 *
 * A topic is made on first use within an existing cache. It numbers its items from 1 and keeps the
 * newest in a bounded ring. A subscription is a cursor into that ring: publishing never waits for a
 * subscriber, and one that falls behind the ring is told of the gap by a discontinuity.
 *
 * The topics of a durable cache have their items on the disk as well: an item is committed before
 * anyone sees it and before its publish is acknowledged, page and numbers go on after a restart,
 * and a subscription that is behind the ring reads from the disk, as far back as the cache's
 * retention goes.
 *
 * Threads: publishing and everything on `struct broker` may be called from any thread. A `struct
 * mailbox` belongs to one thread (a worker's loop); its subscriptions are opened, read and closed
 * on that thread alone. Locks: the broker's guards the tables of caches and topics, a topic's
 * guards its ring and its list of ports. on_ready runs under neither.
 */
#ifndef HOOKMOON_BROKER_BROKER_H
#define HOOKMOON_BROKER_BROKER_H

#include "base/base.h"
#include "broker/item.h"
#include "store/store.h"

struct broker;
struct mailbox;
struct subscription;

struct broker_limits {
    unsigned topics;         /* per cache */
    unsigned subscribers;    /* all together */
    unsigned retained_items; /* per topic */
    size_t retained_bytes;   /* per topic */
    size_t message_bytes;    /* per item */
    uint64_t backlog;        /* items that a webhook may be behind before publishing is refused */
};

/* A topic's page is the second it was made in, but at least `page_floor`. `store` is not started
 * yet; without one (NULL) every cache is in memory. */
struct broker *broker_new(const struct broker_limits *limits, uint64_t page_floor,
                          struct store *store);
/* Every mailbox must be freed, and the store closed, before. */
void broker_free(struct broker *b);
/* It rises so that a topic that is made anew has a larger page than it ever had. */
uint64_t broker_page_floor(struct broker *b);

/* What a durable cache keeps of each topic; 0: no bound. */
struct retention {
    int64_t age_ms;
    uint64_t items;
    int64_t bytes;
};

struct cache_settings {
    bool durable;
    struct retention retention;
};

/* ERROR_INVALID (name), ERROR_EXISTS. */
bool broker_create_cache(struct broker *b, const char *name, const struct cache_settings *settings,
                         struct error *e);
/* Makes the durable caches' topics as the store has them; once, before others use the broker. */
bool broker_restore(struct broker *b, struct error *e);
/* Refuses new publishes to it until it is deleted or opened again. ERROR_NOT_FOUND. */
bool broker_close_cache(struct broker *b, const char *name, bool closed, struct error *e);
/* Its topics go with it; their subscriptions end. ERROR_NOT_FOUND. */
bool broker_delete_cache(struct broker *b, const char *name, struct error *e);
/* Drops what its topics retain. Numbers go on, subscribers stay. ERROR_NOT_FOUND. */
bool broker_flush_cache(struct broker *b, const char *name, struct error *e);
bool broker_has_cache(struct broker *b, const char *name);
/* Calls `each` for every cache, in no order, under the broker's lock: call nothing of it there. */
void broker_each_cache(struct broker *b,
                       void (*each)(void *context, const char *name, bool durable, unsigned topics),
                       void *context);
/* NULL when `name` may name a cache or topic (1..255 bytes of UTF-8 without control characters),
 * else what is wrong with it. */
const char *broker_name_defect(const char *name, size_t length);

/* Where to start. number 0: only what is published from now on. */
struct resume {
    uint64_t page;   /* 0: unknown */
    uint64_t number; /* the next one expected */
};

/* Where the topic (made, if need be) stands: its page and the number to be published next. */
bool broker_topic_position(struct broker *b, const char *cache, const char *topic,
                           struct resume *position, struct error *e);
bool mailbox_topic_position(struct mailbox *m, const char *cache, const char *topic,
                            struct resume *position, struct error *e);

/* One message to publish; the strings are borrowed for the call. */
struct publish {
    const char *cache;
    const char *topic;
    struct item *item; /* the broker takes its own reference and numbers it */
};

/*
 * Adds the publishing of all of them, in order, to a transaction: when that is committed, they are
 * numbered and visible. Every check that can be made before is made here. ERROR_NOT_FOUND (cache),
 * ERROR_INVALID (name), ERROR_TOO_LARGE, ERROR_LIMIT (topics, backlog); nothing is added then.
 */
bool broker_add(struct broker *b, const struct publish *list, size_t count, struct transaction *t,
                struct error *e);
/* Submits a transaction; `done` comes by mailbox_dispatch, or within the call when there is nothing
 * to write. False (ERROR_STORAGE): too much waits; `done` is not called. Owner thread. */
bool mailbox_submit(struct mailbox *m, struct transaction *t, struct error *e);
/* broker_add and mailbox_submit in one. False: refused, and `done` is not called. */
bool broker_publish(struct mailbox *m, const struct publish *list, size_t count,
                    transaction_done *done, void *context, struct error *e);

/*
 * `wake` is called from a publishing thread when a mailbox that was empty has something in it; it
 * must only make the owner call mailbox_dispatch soon (uv_async_send): a lock is held.
 */
struct mailbox *mailbox_new(struct broker *b, void (*wake)(void *), void *context);
/* Its subscriptions must be closed, and its transactions done, before. */
void mailbox_free(struct mailbox *m);
/* Calls `on_ready` of each subscription whose topic has news, and `done` of each transaction that
 * ended. Owner thread. */
void mailbox_dispatch(struct mailbox *m);
/* Sends on its way what was submitted: at the end of each turn of the owner's loop. */
void mailbox_flush(struct mailbox *m);
/* How many transactions are under way. Owner thread. */
size_t mailbox_pending(const struct mailbox *m);
/* Tells again the subscriptions that could not be read from the disk. Each second; owner thread. */
void mailbox_retry(struct mailbox *m);
/* The thread's own connection for reading; NULL: it does not open, or there is no store. */
struct database *mailbox_reader(struct mailbox *m, struct error *e);

/*
 * Subscribes from `resume` on. `on_ready(context)` is called on the mailbox's thread when there may
 * be something to read; read with subscription_read until it returns 0, and once right after
 * opening, for what was retained. ERROR_NOT_FOUND (cache), ERROR_INVALID (name), ERROR_LIMIT
 * (topics), ERROR_SUBSCRIBERS.
 */
struct subscription *subscription_open(struct mailbox *m, const char *cache, const char *topic,
                                       struct resume resume, void (*on_ready)(void *),
                                       void *context, struct error *e);
void subscription_close(struct subscription *s);
/* Items of a durable topic from `number` on are kept on the disk for this subscription, whatever
 * the retention, and it may read them; a later call with a larger number lets go of what is before.
 * UINT64_MAX: of all. Publishing to the topic is refused when it has limits.backlog such items. */
void subscription_hold(struct subscription *s, uint64_t number);
bool subscription_is_durable(const struct subscription *s);
/* True when its cache was deleted: there is nothing more to read; close it. */
bool subscription_ended(const struct subscription *s);

struct discontinuity {
    uint64_t last_number; /* the last one known to the subscriber, 0: unknown */
    uint64_t new_number;  /* the number of the item that follows */
    uint64_t new_page;
};

/* Where it stands: the topic's page and the number to be read next. */
struct resume subscription_position(const struct subscription *s);
/* The number to be published next. */
uint64_t subscription_tip(const struct subscription *s);

/*
 * Takes up to `room` items from the cursor on, fewer when they are large; the caller unrefs each.
 * When the subscriber missed something, `*gap` is set to true and `*d` filled: it comes before the
 * items. Returns their number.
 */
size_t subscription_read(struct subscription *s, struct item **items, size_t room, bool *gap,
                         struct discontinuity *d);

/* Figures for the metrics. */
struct broker_stats {
    uint64_t published;
    uint64_t subscribers;
    uint64_t topics;
    uint64_t discontinuities;
};
void broker_get_stats(struct broker *b, struct broker_stats *stats);

#endif
