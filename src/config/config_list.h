/*
 * config_list: fields that are lists. Main thread.
 */
#ifndef HOOKMOON_CONFIG_CONFIG_LIST_H
#define HOOKMOON_CONFIG_CONFIG_LIST_H

#include "config/config_field.h"

typedef void list_item(const struct table *item, void *context);

/*
 * Calls `each` for the items of the table's field `name`, whose paths are "NAME[1]", "NAME[2]",
 * ...; an item may be no table. What is no list, with `what` it should be, or no item is reported.
 * Returns how many items there are; -1 when there is no such field.
 */
lua_Integer list_read(const struct table *t, const char *name, const char *what, list_item *each,
                      void *context);
/* Reports, and returns false, when the item is no table, with `what` it should be. */
bool list_item_is_table(const struct table *item, const char *what);
/* The item as a C string; NULL, reported, when it is none. Valid while the item is. */
const char *list_item_string(const struct table *item);

#endif
