/*
 * item_table: the items of durable topics and where their topics stand.
 *
 * Each call works on the connection it is given, within the caller's transaction.
 */
#ifndef HOOKMOON_STORE_ITEM_TABLE_H
#define HOOKMOON_STORE_ITEM_TABLE_H

#include "store/database.h"

/* Numbers go up to here, and as many topics can ever be made: together they are a row's id. */
#define ITEM_NUMBER_MAX ((uint64_t)0xffffffffff)
#define TOPIC_ID_MAX    ((int64_t)0x7fffff)

struct topic_row {
    int64_t id;
    const char *cache, *name;
    uint64_t page;
    uint64_t first; /* the oldest number that subscribers are given */
    uint64_t next;
    int64_t bytes; /* of all values that are stored */
};

struct item_row {
    uint64_t number;
    int kind;
    int64_t timestamp_ms;
    const char *publisher_id;
    const void *value;
    size_t length;
};

bool item_table_put_topic(struct database *db, const struct topic_row *t, struct error *e);
bool item_table_each_topic(struct database *db,
                           void (*each)(void *context, const struct topic_row *t), void *context,
                           struct error *e);
bool item_table_last_topic(struct database *db, int64_t *id, struct error *e);

bool item_table_add(struct database *db, int64_t topic, const struct item_row *row,
                    struct error *e);
/* From `from` up to, not including, `before`, until `each` returns false. */
bool item_table_read(struct database *db, int64_t topic, uint64_t from, uint64_t before,
                     bool (*each)(void *context, const struct item_row *row), void *context,
                     struct error *e);
/* The same without the values: `row->value` is NULL, the length is right. */
bool item_table_sizes(struct database *db, int64_t topic, uint64_t from, uint64_t before,
                      bool (*each)(void *context, const struct item_row *row), void *context,
                      struct error *e);
bool item_table_drop(struct database *db, int64_t topic, uint64_t from, uint64_t before,
                     struct error *e);
/* Drops a bit of what deleted caches left behind; sets `*more` when there may be more. */
bool item_table_reap(struct database *db, bool *more, struct error *e);

#endif
