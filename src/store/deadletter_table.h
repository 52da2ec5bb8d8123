/*
 * deadletter_table: what was given up: events whose script failed, deliveries that nobody took.
 *
 * What changes it is added to a transaction; what reads works on the connection it is given.
 */
#ifndef HOOKMOON_STORE_DEADLETTER_TABLE_H
#define HOOKMOON_STORE_DEADLETTER_TABLE_H

#include "store/journal.h"

#define DEADLETTER_SCRIPT   "script"
#define DEADLETTER_DELIVERY "delivery"

/* Strings may be NULL where they do not apply. */
struct deadletter {
    int64_t id;
    const char *kind;
    int64_t created_ms, updated_ms;
    unsigned attempts;
    const char *error, *traceback;
    /* Of a script's: */
    const char *hook, *version;
    const void *fingerprint; /* 16 bytes: another failure of the same event updates this one */
    const char *request;     /* JSON, see ingress/envelope.h */
    /* Of both, a script's as the event says: */
    const char *cache, *topic;
    uint64_t number;
    /* Of a delivery: */
    uint64_t page;
    const char *webhook, *url;
    int item_kind;
    int64_t timestamp_ms;
    const char *publisher_id;
    /* The event's body, or the item's value: */
    const char *event;
    size_t length;
};

void deadletter_table_put(struct transaction *t, const struct deadletter *d);
void deadletter_table_drop(struct transaction *t, int64_t id);
/* The event succeeded after all. */
void deadletter_table_resolve(struct transaction *t, const char *hook, const void *fingerprint);

struct deadletter_filter {
    const char *kind, *hook, *cache, *webhook; /* NULL: any */
    int64_t after;                             /* ids above this one */
    int64_t limit;
};
/* In the order of their ids, without event and traceback. */
bool deadletter_table_list(struct database *db, const struct deadletter_filter *f,
                           void (*each)(void *context, const struct deadletter *d), void *context,
                           struct error *e);
/* Calls `each` once, or not when there is none of that id. */
bool deadletter_table_get(struct database *db, int64_t id,
                          void (*each)(void *context, const struct deadletter *d), void *context,
                          struct error *e);
bool deadletter_table_count(struct database *db, int64_t *count, struct error *e);
/* The fingerprints of events, the newest `limit`. */
bool deadletter_table_each_event(struct database *db, int64_t limit,
                                 void (*each)(void *context, const void *fingerprint),
                                 void *context, struct error *e);
/* Drops a bit of those beyond the newest `most`, and of those older than `before_ms`. */
bool deadletter_table_tidy(struct database *db, int64_t most, int64_t before_ms, struct error *e);

#endif
