#include "store/item_table.h"

#define NUMBER_BITS 40
#define REAP_ROWS   1000

static int64_t row_id(int64_t topic, uint64_t number) {
    return topic << NUMBER_BITS | (int64_t)(number & ITEM_NUMBER_MAX);
}

/* `before` may be beyond the last number. */
static int64_t end_id(int64_t topic, uint64_t before) {
    return before > ITEM_NUMBER_MAX ? row_id(topic + 1, 0) : row_id(topic, before);
}

bool item_table_put_topic(struct database *db, const struct topic_row *t, struct error *e) {
    /* With every commit: REPLACE would write the index as well. */
    return database_run(db, e,
                        "INSERT INTO topics (id, cache, name, page, first, next, bytes) "
                        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
                        "page = excluded.page, first = excluded.first, next = excluded.next, "
                        "bytes = excluded.bytes",
                        "issiiii", t->id, t->cache, t->name, (int64_t)t->page, (int64_t)t->first,
                        (int64_t)t->next, t->bytes);
}

struct topic_reader {
    void (*each)(void *context, const struct topic_row *t);
    void *context;
};

static bool read_topic(sqlite3_stmt *row, void *context) {
    const struct topic_reader *reader = context;
    const struct topic_row t = {
        .id = sqlite3_column_int64(row, 0),
        .cache = row_text(row, 1),
        .name = row_text(row, 2),
        .page = (uint64_t)sqlite3_column_int64(row, 3),
        .first = (uint64_t)sqlite3_column_int64(row, 4),
        .next = (uint64_t)sqlite3_column_int64(row, 5),
        .bytes = sqlite3_column_int64(row, 6),
    };
    reader->each(reader->context, &t);
    return true;
}

bool item_table_each_topic(struct database *db,
                           void (*each)(void *context, const struct topic_row *t), void *context,
                           struct error *e) {
    struct topic_reader reader = {each, context};
    return database_query(db, e, read_topic, &reader,
                          "SELECT id, cache, name, page, first, next, bytes FROM topics "
                          "WHERE cache IS NOT NULL",
                          "");
}

bool item_table_last_topic(struct database *db, int64_t *id, struct error *e) {
    *id = 0;
    return database_number(db, e, id, "SELECT max(id) FROM topics", "");
}

bool item_table_add(struct database *db, int64_t topic, const struct item_row *row,
                    struct error *e) {
    return database_run(db, e, "INSERT INTO items VALUES (?, ?, ?, ?, ?)", "iiisb",
                        row_id(topic, row->number), (int64_t)row->kind, row->timestamp_ms,
                        row->publisher_id, row->value, row->length);
}

struct item_reader {
    bool (*each)(void *context, const struct item_row *row);
    void *context;
    bool sizes;
};

static bool read_item(sqlite3_stmt *row, void *context) {
    const struct item_reader *reader = context;
    const struct item_row item = {
        .number = (uint64_t)sqlite3_column_int64(row, 0) & ITEM_NUMBER_MAX,
        .kind = sqlite3_column_int(row, 1),
        .timestamp_ms = sqlite3_column_int64(row, 2),
        .publisher_id = row_text(row, 3),
        .value = reader->sizes ? NULL : sqlite3_column_blob(row, 4),
        .length = reader->sizes ? (size_t)sqlite3_column_int64(row, 4)
                                : (size_t)sqlite3_column_bytes(row, 4),
    };
    return reader->each(reader->context, &item);
}

bool item_table_read(struct database *db, int64_t topic, uint64_t from, uint64_t before,
                     bool (*each)(void *context, const struct item_row *row), void *context,
                     struct error *e) {
    struct item_reader reader = {each, context, false};
    return database_query(db, e, read_item, &reader,
                          "SELECT id, kind, timestamp, publisher, value FROM items "
                          "WHERE id >= ? AND id < ? ORDER BY id",
                          "ii", row_id(topic, from), end_id(topic, before));
}

bool item_table_sizes(struct database *db, int64_t topic, uint64_t from, uint64_t before,
                      bool (*each)(void *context, const struct item_row *row), void *context,
                      struct error *e) {
    struct item_reader reader = {each, context, true};
    return database_query(db, e, read_item, &reader,
                          "SELECT id, kind, timestamp, '', length(value) FROM items "
                          "WHERE id >= ? AND id < ? ORDER BY id",
                          "ii", row_id(topic, from), end_id(topic, before));
}

bool item_table_drop(struct database *db, int64_t topic, uint64_t from, uint64_t before,
                     struct error *e) {
    return database_run(db, e, "DELETE FROM items WHERE id >= ? AND id < ?", "ii",
                        row_id(topic, from), end_id(topic, before));
}

bool item_table_reap(struct database *db, bool *more, struct error *e) {
    int64_t topic = 0;
    if (!database_number(db, e, &topic, "SELECT id FROM topics WHERE cache IS NULL LIMIT 1", ""))
        return false;
    if (topic == 0)
        return true;
    *more = true;
    if (!database_run(db, e,
                      "DELETE FROM items WHERE id IN (SELECT id FROM items WHERE id >= ? AND id < "
                      "? LIMIT ?)",
                      "iii", row_id(topic, 0), row_id(topic + 1, 0), (int64_t)REAP_ROWS))
        return false;
    return database_changes(db) > 0 ||
           database_run(db, e, "DELETE FROM topics WHERE id = ?", "i", topic);
}
