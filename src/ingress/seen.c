#include "ingress/seen.h"

#include <stdlib.h>

#define TIDY_ROWS 2000

struct seen {
    struct journal_client client; /* first: what the journal hands back is this */
    struct store *store;
    int64_t window_ms;
    struct buffer gathered; /* of this commit; the writer's thread */
};

static bool flush(struct journal_client *c, struct database *db, struct error *e) {
    struct seen *s = (struct seen *)c;
    return s->gathered.length == 0 ||
           database_run(db, e, "INSERT INTO seen (time, fingerprints) VALUES (?, ?)", "ib",
                        clock_wall_ms(), s->gathered.data, s->gathered.length);
}

static void settled(struct journal_client *c, bool committed) {
    (void)committed;
    buffer_clear(&((struct seen *)c)->gathered);
}

static bool tidy(struct journal_client *c, struct database *db, bool *more, struct error *e) {
    const struct seen *s = (const struct seen *)c;
    if (!database_run(db, e,
                      "DELETE FROM seen WHERE id IN (SELECT id FROM (SELECT id, time FROM seen "
                      "ORDER BY id LIMIT ?) WHERE time < ?)",
                      "ii", (int64_t)TIDY_ROWS, clock_wall_ms() - s->window_ms))
        return false;
    *more = *more || database_changes(db) == TIDY_ROWS;
    return true;
}

struct seen *seen_new(struct store *store, int64_t window_ms) {
    struct seen *s = xcalloc(1, sizeof *s);
    s->client = (struct journal_client){.flush = flush, .settled = settled, .tidy = tidy};
    s->store = store;
    s->window_ms = window_ms;
    journal_add_client(store_journal(store), &s->client);
    return s;
}

void seen_free(struct seen *s) {
    if (s == NULL)
        return;
    buffer_free(&s->gathered);
    free(s);
}

static bool restore_row(sqlite3_stmt *row, void *context) {
    const char *bytes = sqlite3_column_blob(row, 0);
    size_t length = (size_t)sqlite3_column_bytes(row, 0);
    struct fingerprint f;
    uint64_t now = clock_mono_ns();
    for (size_t at = 0; at + sizeof f <= length; at += sizeof f) {
        memcpy(&f, bytes + at, sizeof f);
        replay_restore(context, f, now);
    }
    return true;
}

bool seen_restore(struct seen *s, struct replay *replay, struct error *e) {
    struct database *db = store_open_reader(s->store, e);
    bool good = db != NULL && database_query(db, e, restore_row, replay,
                                             "SELECT fingerprints FROM seen WHERE time >= ?", "i",
                                             clock_wall_ms() - s->window_ms);
    database_close(db);
    return good;
}

struct mark {
    struct change change;
    struct seen *seen;
    struct fingerprint fingerprint;
};

static bool apply(struct change *c, struct database *db, struct error *e) {
    const struct mark *m = (const struct mark *)c;
    (void)db, (void)e;
    buffer_add(&m->seen->gathered, &m->fingerprint, sizeof m->fingerprint);
    return true;
}

static void destroy(struct change *c) {
    free(c);
}

void seen_add(struct seen *s, struct transaction *t, struct fingerprint f) {
    struct mark *m = xcalloc(1, sizeof *m);
    m->change = (struct change){.apply = apply, .destroy = destroy};
    m->seen = s;
    m->fingerprint = f;
    transaction_add(t, &m->change, sizeof *m);
}

void seen_add_lazily(struct seen *s, struct fingerprint f) {
    struct transaction *t = transaction_new(NULL, NULL);
    seen_add(s, t, f);
    journal_submit_lazily(store_journal(s->store), t, NULL);
}
