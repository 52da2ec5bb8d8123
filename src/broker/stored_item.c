#include "broker/stored_item.h"

struct item_row item_to_row(const struct item *item) {
    return (struct item_row){
        .number = item->number,
        .kind = item->kind,
        .timestamp_ms = item->timestamp_ms,
        .publisher_id = item->publisher_id,
        .value = item->value,
        .length = item->length,
    };
}

struct item *item_from_row(const struct item_row *row, uint64_t page) {
    struct item *item = item_new(row->kind == ITEM_TEXT ? ITEM_TEXT : ITEM_BINARY, row->value,
                                 row->length, row->publisher_id, "");
    item->page = page;
    item->number = row->number;
    item->timestamp_ms = row->timestamp_ms;
    return item;
}
