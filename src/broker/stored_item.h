/*
 * stored_item: an item as a row of the store, and back.
 */
#ifndef HOOKMOON_BROKER_STORED_ITEM_H
#define HOOKMOON_BROKER_STORED_ITEM_H

#include "broker/item.h"
#include "store/item_table.h"

/* Borrows from the item. */
struct item_row item_to_row(const struct item *item);
/* A copy with one reference. */
struct item *item_from_row(const struct item_row *row, uint64_t page);

#endif
