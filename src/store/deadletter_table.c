#include "store/deadletter_table.h"

void deadletter_table_put(struct transaction *t, const struct deadletter *d) {
    transaction_run(
        t, NULL,
        "INSERT INTO deadletters (kind, created, updated, attempts, error, traceback, hook, "
        "version, fingerprint, request, cache, topic, number, page, webhook, url, item_kind, "
        "timestamp, publisher, event) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
        "?, ?, ?) ON CONFLICT (hook, fingerprint) WHERE fingerprint IS NOT NULL DO UPDATE SET "
        "updated = excluded.updated, attempts = attempts + excluded.attempts, error = "
        "excluded.error, traceback = excluded.traceback, version = excluded.version",
        "siiissssbsssiissiisb", d->kind, d->created_ms, d->updated_ms, (int64_t)d->attempts,
        d->error, d->traceback, d->hook, d->version, d->fingerprint, (size_t)16, d->request,
        d->cache, d->topic, (int64_t)d->number, (int64_t)d->page, d->webhook, d->url,
        (int64_t)d->item_kind, d->timestamp_ms, d->publisher_id, d->event, d->length);
}

void deadletter_table_drop(struct transaction *t, int64_t id) {
    transaction_run(t, NULL, "DELETE FROM deadletters WHERE id = ?", "i", id);
}

void deadletter_table_resolve(struct transaction *t, const char *hook, const void *fingerprint) {
    transaction_run(t, NULL, "DELETE FROM deadletters WHERE hook = ? AND fingerprint = ?", "sb",
                    hook, fingerprint, (size_t)16);
}

/* ---- reading ---- */

#define COLUMNS                                                                                    \
    "id, kind, created, updated, attempts, error, hook, version, cache, topic, number, page, "     \
    "webhook, url, item_kind, timestamp, publisher"

struct deadletter_reader {
    void (*each)(void *context, const struct deadletter *d);
    void *context;
    bool whole;
};

static bool read_row(sqlite3_stmt *row, void *context) {
    const struct deadletter_reader *reader = context;
    struct deadletter d = {
        .id = sqlite3_column_int64(row, 0),
        .kind = row_text(row, 1),
        .created_ms = sqlite3_column_int64(row, 2),
        .updated_ms = sqlite3_column_int64(row, 3),
        .attempts = (unsigned)sqlite3_column_int(row, 4),
        .error = row_text(row, 5),
        .hook = row_text_or_null(row, 6),
        .version = row_text_or_null(row, 7),
        .cache = row_text_or_null(row, 8),
        .topic = row_text_or_null(row, 9),
        .number = (uint64_t)sqlite3_column_int64(row, 10),
        .page = (uint64_t)sqlite3_column_int64(row, 11),
        .webhook = row_text_or_null(row, 12),
        .url = row_text_or_null(row, 13),
        .item_kind = sqlite3_column_int(row, 14),
        .timestamp_ms = sqlite3_column_int64(row, 15),
        .publisher_id = row_text(row, 16),
    };
    if (reader->whole) {
        d.traceback = row_text(row, 17);
        d.request = row_text_or_null(row, 18);
        d.fingerprint = sqlite3_column_bytes(row, 19) == 16 ? sqlite3_column_blob(row, 19) : NULL;
        d.event = sqlite3_column_blob(row, 20);
        d.length = (size_t)sqlite3_column_bytes(row, 20);
    }
    reader->each(reader->context, &d);
    return true;
}

bool deadletter_table_list(struct database *db, const struct deadletter_filter *f,
                           void (*each)(void *context, const struct deadletter *d), void *context,
                           struct error *e) {
    struct deadletter_reader reader = {each, context, false};
    return database_query(
        db, e, read_row, &reader,
        "SELECT " COLUMNS " FROM deadletters WHERE id > ?1 AND (?2 IS NULL OR kind = ?2) AND "
        "(?3 IS NULL OR hook = ?3) AND (?4 IS NULL OR cache = ?4) AND (?5 IS NULL OR webhook = ?5) "
        "ORDER BY id LIMIT ?6",
        "issssi", f->after, f->kind, f->hook, f->cache, f->webhook, f->limit);
}

bool deadletter_table_get(struct database *db, int64_t id,
                          void (*each)(void *context, const struct deadletter *d), void *context,
                          struct error *e) {
    struct deadletter_reader reader = {each, context, true};
    return database_query(db, e, read_row, &reader,
                          "SELECT " COLUMNS ", traceback, request, fingerprint, event "
                          "FROM deadletters WHERE id = ?",
                          "i", id);
}

bool deadletter_table_count(struct database *db, int64_t *count, struct error *e) {
    *count = 0;
    return database_number(db, e, count, "SELECT count(*) FROM deadletters", "");
}

struct event_reader {
    void (*each)(void *context, const void *fingerprint);
    void *context;
};

static bool read_event(sqlite3_stmt *row, void *context) {
    const struct event_reader *reader = context;
    if (sqlite3_column_bytes(row, 0) == 16)
        reader->each(reader->context, sqlite3_column_blob(row, 0));
    return true;
}

bool deadletter_table_each_event(struct database *db, int64_t limit,
                                 void (*each)(void *context, const void *fingerprint),
                                 void *context, struct error *e) {
    struct event_reader reader = {each, context};
    return database_query(db, e, read_event, &reader,
                          "SELECT fingerprint FROM deadletters WHERE fingerprint IS NOT NULL "
                          "ORDER BY id DESC LIMIT ?",
                          "i", limit);
}

bool deadletter_table_tidy(struct database *db, int64_t most, int64_t before_ms, struct error *e) {
    int64_t floor = 0;
    return database_number(db, e, &floor,
                           "SELECT id FROM deadletters ORDER BY id DESC LIMIT 1 OFFSET ?", "i",
                           most) &&
           database_run(db, e,
                        "DELETE FROM deadletters WHERE id IN (SELECT id FROM (SELECT id, updated "
                        "FROM deadletters ORDER BY id LIMIT 100) WHERE id <= ? OR updated < ?)",
                        "ii", floor, before_ms);
}
