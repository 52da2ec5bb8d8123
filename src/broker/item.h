/*
 * item: one message of a topic. Immutable once published and shared by reference between threads.
 */
#ifndef HOOKMOON_BROKER_ITEM_H
#define HOOKMOON_BROKER_ITEM_H

#include <stdatomic.h>

#include "base/base.h"

enum item_kind { ITEM_TEXT, ITEM_BINARY };

struct item {
    _Atomic unsigned references;
    enum item_kind kind;
    uint64_t page;
    uint64_t number;
    int64_t timestamp_ms; /* wall clock of the publish */
    size_t length;
    const char *value;        /* `length` bytes, then a NUL */
    const char *publisher_id; /* "" when the publisher has none */
    const char *request_id;   /* of the request that published it, for the log; "" when none */
    char storage[];
};

/* A new item with one reference, not yet numbered. Copies everything. */
struct item *item_new(enum item_kind kind, const void *value, size_t length,
                      const char *publisher_id, const char *request_id);
struct item *item_ref(struct item *i);
void item_unref(struct item *i);
/* What it costs to retain it, in bytes. */
size_t item_cost(const struct item *i);

#endif
