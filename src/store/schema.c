#include "store/schema.h"

#include <stdlib.h>

static const char first[] =
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE caches (name TEXT PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE webhooks ("
    "  cache TEXT, name TEXT, topic TEXT NOT NULL, url TEXT NOT NULL, secret TEXT NOT NULL,"
    "  previous_secret TEXT, previous_until INTEGER, PRIMARY KEY (cache, name)) WITHOUT ROWID;"
    "CREATE TABLE keys ("
    "  serial TEXT PRIMARY KEY, id TEXT NOT NULL, description TEXT NOT NULL,"
    "  rights TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE revoked ("
    "  serial TEXT PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID;";

/*
 * items: id is topic << 40 | number, so that a topic's items lie side by side, appending goes to
 * the end of that stretch, and large values need no index of their own.
 * topics: cache is NULL once the cache was deleted; its items then go bit by bit.
 * seen: the fingerprints of accepted events, many to a row: one row a commit.
 */
static const char second[] =
    "ALTER TABLE caches ADD COLUMN durability TEXT NOT NULL DEFAULT 'disk';"
    "ALTER TABLE webhooks ADD COLUMN options TEXT NOT NULL DEFAULT '';"
    "CREATE TABLE topics ("
    "  id INTEGER PRIMARY KEY, cache TEXT, name TEXT NOT NULL, page INTEGER NOT NULL,"
    "  first INTEGER NOT NULL, next INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    "  UNIQUE (cache, name));"
    "CREATE TABLE items ("
    "  id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, timestamp INTEGER NOT NULL,"
    "  publisher TEXT NOT NULL, value BLOB NOT NULL);"
    "CREATE TABLE outbox ("
    "  id INTEGER PRIMARY KEY, cache TEXT NOT NULL, webhook TEXT NOT NULL, topic TEXT NOT NULL,"
    "  page INTEGER NOT NULL, number INTEGER NOT NULL, until INTEGER NOT NULL,"
    "  failing_since INTEGER NOT NULL, disabled INTEGER NOT NULL,"
    "  UNIQUE (cache, webhook, topic));"
    "CREATE TABLE retries ("
    "  id INTEGER PRIMARY KEY, outbox INTEGER NOT NULL, page INTEGER NOT NULL,"
    "  number INTEGER NOT NULL, attempts INTEGER NOT NULL, since INTEGER NOT NULL,"
    "  due INTEGER NOT NULL, error TEXT NOT NULL, kind INTEGER NOT NULL,"
    "  timestamp INTEGER NOT NULL, publisher TEXT NOT NULL, value BLOB NOT NULL,"
    "  UNIQUE (outbox, page, number));"
    "CREATE INDEX retries_due ON retries (outbox, due);"
    "CREATE TABLE inbox ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT, hook TEXT NOT NULL, received INTEGER NOT NULL,"
    "  attempts INTEGER NOT NULL, due INTEGER NOT NULL, fingerprint BLOB NOT NULL,"
    "  request TEXT NOT NULL, event BLOB NOT NULL);"
    "CREATE INDEX inbox_due ON inbox (due);"
    "CREATE TABLE seen (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, fingerprints BLOB NOT NULL);"
    "CREATE TABLE deadletters ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, created INTEGER NOT NULL,"
    "  updated INTEGER NOT NULL, attempts INTEGER NOT NULL, error TEXT NOT NULL,"
    "  traceback TEXT NOT NULL, hook TEXT, version TEXT, fingerprint BLOB, request TEXT,"
    "  cache TEXT, topic TEXT, number INTEGER, page INTEGER, webhook TEXT, url TEXT,"
    "  item_kind INTEGER, timestamp INTEGER, publisher TEXT, event BLOB NOT NULL);"
    "CREATE UNIQUE INDEX deadletters_event ON deadletters (hook, fingerprint)"
    "  WHERE fingerprint IS NOT NULL;";

static const char *const steps[] = {first, second};
#define VERSION ((int64_t)COUNT_OF(steps))

static bool read_version(struct database *db, int64_t *version, struct error *e) {
    *version = 0;
    if (!database_number(db, e, version, "PRAGMA user_version", ""))
        return false;
    return *version <= VERSION || error_set(e, ERROR_STORAGE,
                                            "%s was written by a newer hookmoon (version %d of its "
                                            "tables, this one knows %d)",
                                            database_path(db), (int)*version, (int)VERSION);
}

static bool migrate(struct database *db, int64_t from, struct error *e) {
    char *sql = xasprintf("BEGIN IMMEDIATE; %s PRAGMA user_version = %d; COMMIT", steps[from],
                          (int)from + 1);
    bool good = database_script(db, e, sql);
    if (!good)
        database_script(db, NULL, "ROLLBACK");
    free(sql);
    return good;
}

/* So that what retention drops is given back to the file system, bit by bit. */
static bool set_vacuum(struct database *db, struct error *e) {
    int64_t mode = 0;
    if (!database_number(db, e, &mode, "PRAGMA auto_vacuum", ""))
        return false;
    return mode == 2 || database_script(db, e, "PRAGMA auto_vacuum = INCREMENTAL; VACUUM");
}

bool schema_prepare(struct database *db, struct error *e) {
    int64_t version;
    if (!database_script(db, e,
                         "PRAGMA trusted_schema = OFF; PRAGMA synchronous = FULL;"
                         "PRAGMA cache_size = -16000; PRAGMA temp_store = MEMORY") ||
        !read_version(db, &version, e))
        return false;
    if (version < VERSION && !set_vacuum(db, e))
        return false;
    if (!database_script(db, e, "PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = 67108864"))
        return false;
    for (; version < VERSION; version++) {
        if (!migrate(db, version, e))
            return false;
    }
    return true;
}

bool schema_check(struct database *db, struct error *e) {
    int64_t version;
    return database_script(db, e, "PRAGMA trusted_schema = OFF; PRAGMA cache_size = -4000") &&
           read_version(db, &version, e);
}
