#include "store/inbox_table.h"

/* Nothing waits so long: the clock was set back. */
#define FAR_MS 600000

void inbox_table_add(struct transaction *t, int64_t *id, const struct inbox_row *row) {
    transaction_run(t, id,
                    "INSERT INTO inbox (hook, received, attempts, due, fingerprint, request, "
                    "event) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    "siiibsb", row->hook, row->received_ms, (int64_t)row->attempts, row->due_ms,
                    row->fingerprint, (size_t)16, row->request, row->event, row->length);
}

void inbox_table_retry(struct transaction *t, int64_t id, unsigned attempts, int64_t due_ms) {
    transaction_run(t, NULL, "UPDATE inbox SET attempts = ?, due = ? WHERE id = ?", "iii",
                    (int64_t)attempts, due_ms, id);
}

void inbox_table_remove(struct transaction *t, int64_t id) {
    transaction_run(t, NULL, "DELETE FROM inbox WHERE id = ?", "i", id);
}

void inbox_table_release(struct transaction *t) {
    transaction_run(t, NULL, "UPDATE inbox SET due = 0 WHERE attempts = 0", "");
}

bool inbox_table_count(struct database *db, int64_t *count, struct error *e) {
    *count = 0;
    return database_number(db, e, count, "SELECT count(*) FROM inbox", "");
}

struct inbox_reader {
    bool (*each)(void *context, const struct inbox_row *row);
    void *context;
};

static bool read_row(sqlite3_stmt *row, void *context) {
    const struct inbox_reader *reader = context;
    const struct inbox_row r = {
        .id = sqlite3_column_int64(row, 0),
        .hook = row_text(row, 1),
        .received_ms = sqlite3_column_int64(row, 2),
        .attempts = (unsigned)sqlite3_column_int(row, 3),
        .due_ms = sqlite3_column_int64(row, 4),
        .fingerprint = sqlite3_column_blob(row, 5),
        .request = row_text(row, 6),
        .event = sqlite3_column_blob(row, 7),
        .length = (size_t)sqlite3_column_bytes(row, 7),
    };
    return reader->each(reader->context, &r);
}

bool inbox_table_due(struct database *db, int64_t now_ms, unsigned worker, unsigned workers,
                     bool (*each)(void *context, const struct inbox_row *row), void *context,
                     struct error *e) {
    struct inbox_reader reader = {each, context};
    return database_query(db, e, read_row, &reader,
                          "SELECT id, hook, received, attempts, due, fingerprint, request, event "
                          "FROM inbox WHERE (due <= ? OR due > ?) AND id % ? = ? ORDER BY due, id "
                          "LIMIT 256",
                          "iiii", now_ms, now_ms + FAR_MS, (int64_t)workers, (int64_t)worker);
}
