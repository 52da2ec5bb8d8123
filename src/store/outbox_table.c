#include "store/outbox_table.h"

bool outbox_table_begin(struct database *db, const char *cache, const char *webhook,
                        const char *topic, uint64_t page, uint64_t number, struct error *e) {
    return database_run(db, e,
                        "INSERT OR IGNORE INTO outbox (cache, webhook, topic, page, number, until, "
                        "failing_since, disabled) VALUES (?, ?, ?, ?, ?, 0, 0, 0)",
                        "sssii", cache, webhook, topic, (int64_t)page, (int64_t)number) &&
           database_run(db, e,
                        "UPDATE outbox SET until = 0 WHERE cache = ? AND webhook = ? AND topic = ? "
                        "AND until <> 0",
                        "sss", cache, webhook, topic) &&
           database_run(db, e,
                        "UPDATE outbox SET until = coalesce((SELECT next FROM topics WHERE "
                        "topics.cache = outbox.cache AND topics.name = outbox.topic), 0) "
                        "WHERE cache = ? AND webhook = ? AND topic <> ? AND until = 0",
                        "sss", cache, webhook, topic);
}

void outbox_table_save(struct transaction *t, const struct outbox_row *row) {
    transaction_run(t, NULL,
                    "UPDATE outbox SET page = ?, number = ?, until = ?, failing_since = ?, "
                    "disabled = ? WHERE id = ?",
                    "iiiiii", (int64_t)row->page, (int64_t)row->number, (int64_t)row->until,
                    row->failing_since_ms, (int64_t)row->disabled, row->id);
}

void outbox_table_end(struct transaction *t, int64_t id) {
    transaction_run(t, NULL, "DELETE FROM retries WHERE outbox = ?", "i", id);
    transaction_run(t, NULL, "DELETE FROM outbox WHERE id = ?", "i", id);
}

void outbox_table_put_retry(struct transaction *t, int64_t outbox, const struct retry_row *row) {
    const struct item_row *i = &row->item;
    /* Only while its webhook is there: it may have been deleted a moment ago. */
    transaction_run(t, NULL,
                    "INSERT OR REPLACE INTO retries (outbox, page, number, attempts, since, due, "
                    "error, kind, timestamp, publisher, value) SELECT id, ?, ?, ?, ?, ?, ?, ?, ?, "
                    "?, ? FROM outbox WHERE id = ?",
                    "iiiiisiisbi", (int64_t)row->page, (int64_t)i->number, (int64_t)row->attempts,
                    row->since_ms, row->due_ms, row->error, (int64_t)i->kind, i->timestamp_ms,
                    i->publisher_id, i->value, i->length, outbox);
}

void outbox_table_drop_retry(struct transaction *t, int64_t outbox, uint64_t page,
                             uint64_t number) {
    transaction_run(t, NULL, "DELETE FROM retries WHERE outbox = ? AND page = ? AND number = ?",
                    "iii", outbox, (int64_t)page, (int64_t)number);
}

bool outbox_table_revive(struct transaction *t, struct database *db, const char *cache,
                         const char *webhook, const char *topic, const struct retry_row *row,
                         struct error *e) {
    int64_t id = 0;
    if (!database_number(db, e, &id,
                         "SELECT id FROM outbox WHERE cache = ? AND webhook = ? AND topic = ?",
                         "sss", cache, webhook, topic))
        return false;
    if (id == 0)
        return error_set(e, ERROR_PRECONDITION,
                         "the webhook that was to deliver it is not there any more");
    outbox_table_put_retry(t, id, row);
    return true;
}

/* ---- reading ---- */

struct outbox_reader {
    void (*each)(void *context, const struct outbox_row *row);
    void *context;
};

static bool read_row(sqlite3_stmt *row, void *context) {
    const struct outbox_reader *reader = context;
    const struct outbox_row r = {
        .id = sqlite3_column_int64(row, 0),
        .topic = row_text(row, 1),
        .page = (uint64_t)sqlite3_column_int64(row, 2),
        .number = (uint64_t)sqlite3_column_int64(row, 3),
        .until = (uint64_t)sqlite3_column_int64(row, 4),
        .failing_since_ms = sqlite3_column_int64(row, 5),
        .disabled = sqlite3_column_int(row, 6) != 0,
    };
    reader->each(reader->context, &r);
    return true;
}

bool outbox_table_each(struct database *db, const char *cache, const char *webhook,
                       void (*each)(void *context, const struct outbox_row *row), void *context,
                       struct error *e) {
    struct outbox_reader reader = {each, context};
    return database_query(db, e, read_row, &reader,
                          "SELECT id, topic, page, number, until, failing_since, disabled FROM "
                          "outbox WHERE cache = ? AND webhook = ? ORDER BY id",
                          "ss", cache, webhook);
}

bool outbox_table_count(struct database *db, int64_t outbox, int64_t *count, struct error *e) {
    *count = 0;
    return database_number(db, e, count, "SELECT count(*) FROM retries WHERE outbox = ?", "i",
                           outbox);
}

struct retry_reader {
    bool (*each)(void *context, const struct retry_row *row);
    void *context;
};

static bool read_retry(sqlite3_stmt *row, void *context) {
    const struct retry_reader *reader = context;
    const struct retry_row r = {
        .page = (uint64_t)sqlite3_column_int64(row, 0),
        .attempts = (unsigned)sqlite3_column_int(row, 2),
        .since_ms = sqlite3_column_int64(row, 3),
        .due_ms = sqlite3_column_int64(row, 4),
        .error = row_text(row, 5),
        .item =
            {
                .number = (uint64_t)sqlite3_column_int64(row, 1),
                .kind = sqlite3_column_int(row, 6),
                .timestamp_ms = sqlite3_column_int64(row, 7),
                .publisher_id = row_text(row, 8),
                .value = sqlite3_column_blob(row, 9),
                .length = (size_t)sqlite3_column_bytes(row, 9),
            },
    };
    return reader->each(reader->context, &r);
}

bool outbox_table_each_retry(struct database *db, int64_t outbox,
                             bool (*each)(void *context, const struct retry_row *row),
                             void *context, struct error *e) {
    struct retry_reader reader = {each, context};
    return database_query(db, e, read_retry, &reader,
                          "SELECT page, number, attempts, since, due, error, kind, timestamp, "
                          "publisher, value FROM retries WHERE outbox = ? ORDER BY due, number",
                          "i", outbox);
}

struct number_reader {
    bool (*each)(void *context, uint64_t number);
    void *context;
};

static bool read_number(sqlite3_stmt *row, void *context) {
    const struct number_reader *reader = context;
    return reader->each(reader->context, (uint64_t)sqlite3_column_int64(row, 0));
}

bool outbox_table_numbers(struct database *db, int64_t outbox, uint64_t page, uint64_t number,
                          bool (*each)(void *context, uint64_t number), void *context,
                          struct error *e) {
    struct number_reader reader = {each, context};
    return database_query(db, e, read_number, &reader,
                          "SELECT number FROM retries WHERE outbox = ? AND page = ? AND number >= "
                          "? ORDER BY number",
                          "iii", outbox, (int64_t)page, (int64_t)number);
}
