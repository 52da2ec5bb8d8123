#include "broker/item.h"

#include <stdlib.h>

struct item *item_new(enum item_kind kind, const void *value, size_t length,
                      const char *publisher_id, const char *request_id) {
    size_t publisher_size = strlen(publisher_id) + 1;
    size_t request_size = strlen(request_id) + 1;
    struct item *i = xmalloc(sizeof *i + length + 1 + publisher_size + request_size);
    char *at = i->storage;
    i->value = at;
    if (length > 0)
        memcpy(at, value, length);
    at[length] = '\0';
    at += length + 1;
    i->publisher_id = memcpy(at, publisher_id, publisher_size);
    i->request_id = memcpy(at + publisher_size, request_id, request_size);
    atomic_init(&i->references, 1);
    i->kind = kind;
    i->length = length;
    i->page = 0;
    i->number = 0;
    i->timestamp_ms = 0;
    return i;
}

struct item *item_ref(struct item *i) {
    atomic_fetch_add_explicit(&i->references, 1, memory_order_relaxed);
    return i;
}

void item_unref(struct item *i) {
    if (i != NULL && atomic_fetch_sub_explicit(&i->references, 1, memory_order_acq_rel) == 1)
        free(i);
}

size_t item_cost(const struct item *i) {
    return sizeof *i + i->length + 1;
}
