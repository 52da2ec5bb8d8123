#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#define BUSY_MS 5000

/* Version 1 of the schema; a later version adds to it under another user_version. */
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS caches (name TEXT PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS webhooks ("
    "  cache TEXT, name TEXT, topic TEXT NOT NULL, url TEXT NOT NULL, secret TEXT NOT NULL,"
    "  previous_secret TEXT, previous_until INTEGER, PRIMARY KEY (cache, name)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS keys ("
    "  serial TEXT PRIMARY KEY, id TEXT NOT NULL, description TEXT NOT NULL,"
    "  rights TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS revoked ("
    "  serial TEXT PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID;"
    "PRAGMA user_version = 1;";

struct store {
    sqlite3 *db;
    char *path;
    int lock_fd; /* -1: not held */
    pthread_mutex_t lock;
    int64_t data_version;
};

static bool fail(const struct store *s, struct error *e) {
    return error_set(e, ERROR_UNAVAILABLE, "%s: %s", s->path, sqlite3_errmsg(s->db));
}

/* ---- statements ---- */

/* Prepares `sql` and binds `format`: 's' a string (may be NULL), 'i' an int64_t. */
static sqlite3_stmt *prepare(struct store *s, struct error *e, const char *sql, const char *format,
                             va_list args) {
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(s->db, sql, -1, &statement, NULL);
    for (int i = 0; result == SQLITE_OK && format[i] != '\0'; i++)
        result = format[i] == 's' ? sqlite3_bind_text(statement, i + 1, va_arg(args, const char *),
                                                      -1, SQLITE_STATIC)
                                  : sqlite3_bind_int64(statement, i + 1, va_arg(args, int64_t));
    if (result == SQLITE_OK)
        return statement;
    fail(s, e);
    sqlite3_finalize(statement);
    return NULL;
}

/* Runs one that returns nothing; `*changes` (may be NULL) is how many rows it touched. */
static bool run(struct store *s, struct error *e, int *changes, const char *sql, const char *format,
                ...) {
    va_list args;
    va_start(args, format);
    sqlite3_stmt *statement = prepare(s, e, sql, format, args);
    va_end(args);
    if (statement == NULL)
        return false;
    bool good = sqlite3_step(statement) == SQLITE_DONE || fail(s, e);
    if (good && changes != NULL)
        *changes = sqlite3_changes(s->db);
    sqlite3_finalize(statement);
    return good;
}

typedef void each_row(sqlite3_stmt *row, void *context);

static bool query(struct store *s, struct error *e, each_row *each, void *context, const char *sql,
                  const char *format, ...) {
    va_list args;
    va_start(args, format);
    sqlite3_stmt *statement = prepare(s, e, sql, format, args);
    va_end(args);
    if (statement == NULL)
        return false;
    int result;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW)
        each(statement, context);
    bool good = result == SQLITE_DONE || fail(s, e);
    sqlite3_finalize(statement);
    return good;
}

static const char *text(sqlite3_stmt *row, int column) {
    return (const char *)sqlite3_column_text(row, column);
}

static void read_number(sqlite3_stmt *row, void *context) {
    *(int64_t *)context = sqlite3_column_int64(row, 0);
}

/* ---- opening ---- */

static bool make_directory(const char *dir, struct error *e) {
    if (mkdir(dir, 0700) == 0 || errno == EEXIST)
        return true;
    return error_set(e, ERROR_UNAVAILABLE, "cannot make the data directory %s: %s", dir,
                     strerror(errno));
}

static bool take_lock(struct store *s, const char *dir, struct error *e) {
    char *path = xasprintf("%s/lock", dir);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool good = true;
    if (s->lock_fd < 0)
        good = error_set(e, ERROR_UNAVAILABLE, "cannot open %s: %s", path, strerror(errno));
    else if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
        good = error_set(e, ERROR_UNAVAILABLE,
                         "the data directory %s is in use by another gateway; give this one "
                         "another with --data",
                         dir);
    free(path);
    return good;
}

static bool open_database(struct store *s, struct error *e) {
    static const char settings[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                                   "PRAGMA trusted_schema = OFF;";
    mode_t before = umask(077); /* it holds secrets */
    int result = sqlite3_open_v2(
        s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (result == SQLITE_OK) {
        sqlite3_busy_timeout(s->db, BUSY_MS);
        result = sqlite3_exec(s->db, settings, NULL, NULL, NULL);
    }
    int64_t version = 0;
    bool good = (result == SQLITE_OK || fail(s, e)) &&
                query(s, e, read_number, &version, "PRAGMA user_version", "");
    if (good && version > 1)
        good = error_set(e, ERROR_UNAVAILABLE, "%s was written by a newer hookmoon", s->path);
    if (good && version == 0)
        good = sqlite3_exec(s->db, schema, NULL, NULL, NULL) == SQLITE_OK || fail(s, e);
    umask(before);
    return good;
}

struct store *store_open(const char *dir, bool exclusive, struct error *e) {
    struct store *s = xcalloc(1, sizeof *s);
    s->lock_fd = -1;
    s->path = xasprintf("%s/hookmoon.db", dir);
    pthread_mutex_init(&s->lock, NULL);
    if (make_directory(dir, e) && (!exclusive || take_lock(s, dir, e)) && open_database(s, e)) {
        store_changed(s);
        return s;
    }
    store_close(s);
    return NULL;
}

void store_close(struct store *s) {
    if (s == NULL)
        return;
    sqlite3_close(s->db);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    pthread_mutex_destroy(&s->lock);
    free(s->path);
    free(s);
}

bool store_changed(struct store *s) {
    int64_t version = s->data_version;
    pthread_mutex_lock(&s->lock);
    query(s, NULL, read_number, &version, "PRAGMA data_version", "");
    bool changed = version != s->data_version;
    s->data_version = version;
    pthread_mutex_unlock(&s->lock);
    return changed;
}

bool store_next_page(struct store *s, uint64_t now_s, uint64_t *page, struct error *e) {
    int64_t last = 0;
    pthread_mutex_lock(&s->lock);
    bool good = query(s, e, read_number, &last, "SELECT value FROM meta WHERE name = 'page'", "");
    *page = ((uint64_t)last > now_s ? (uint64_t)last : now_s) + 1;
    good = good &&
           run(s, e, NULL, "INSERT OR REPLACE INTO meta VALUES ('page', ?)", "i", (int64_t)*page);
    pthread_mutex_unlock(&s->lock);
    return good;
}

/* ---- caches ---- */

bool store_add_cache(struct store *s, const char *name, struct error *e) {
    pthread_mutex_lock(&s->lock);
    bool good = run(s, e, NULL, "INSERT OR IGNORE INTO caches VALUES (?)", "s", name);
    pthread_mutex_unlock(&s->lock);
    return good;
}

bool store_delete_cache(struct store *s, const char *name, struct error *e) {
    pthread_mutex_lock(&s->lock);
    bool good = run(s, e, NULL, "BEGIN IMMEDIATE", "") &&
                run(s, e, NULL, "DELETE FROM webhooks WHERE cache = ?", "s", name) &&
                run(s, e, NULL, "DELETE FROM caches WHERE name = ?", "s", name) &&
                run(s, e, NULL, "COMMIT", "");
    if (!good && !sqlite3_get_autocommit(s->db))
        run(s, NULL, NULL, "ROLLBACK", "");
    pthread_mutex_unlock(&s->lock);
    return good;
}

struct cache_reader {
    void (*each)(void *context, const char *name);
    void *context;
};

static void read_cache(sqlite3_stmt *row, void *context) {
    const struct cache_reader *reader = context;
    reader->each(reader->context, text(row, 0));
}

bool store_each_cache(struct store *s, void (*each)(void *context, const char *name), void *context,
                      struct error *e) {
    struct cache_reader reader = {each, context};
    pthread_mutex_lock(&s->lock);
    bool good = query(s, e, read_cache, &reader, "SELECT name FROM caches ORDER BY name", "");
    pthread_mutex_unlock(&s->lock);
    return good;
}

/* ---- webhooks ---- */

bool store_put_webhook(struct store *s, const struct webhook_record *w, struct error *e) {
    pthread_mutex_lock(&s->lock);
    bool good = run(s, e, NULL, "INSERT OR REPLACE INTO webhooks VALUES (?, ?, ?, ?, ?, ?, ?)",
                    "ssssssi", w->cache, w->name, w->topic, w->url, w->secret, w->previous_secret,
                    w->previous_until_ms);
    pthread_mutex_unlock(&s->lock);
    return good;
}

bool store_delete_webhook(struct store *s, const char *cache, const char *name, struct error *e) {
    pthread_mutex_lock(&s->lock);
    bool good =
        run(s, e, NULL, "DELETE FROM webhooks WHERE cache = ? AND name = ?", "ss", cache, name);
    pthread_mutex_unlock(&s->lock);
    return good;
}

struct webhook_reader {
    void (*each)(void *context, const struct webhook_record *w);
    void *context;
};

static void read_webhook(sqlite3_stmt *row, void *context) {
    const struct webhook_reader *reader = context;
    const struct webhook_record w = {
        .cache = text(row, 0),
        .name = text(row, 1),
        .topic = text(row, 2),
        .url = text(row, 3),
        .secret = text(row, 4),
        .previous_secret = text(row, 5),
        .previous_until_ms = sqlite3_column_int64(row, 6),
    };
    reader->each(reader->context, &w);
}

bool store_each_webhook(struct store *s,
                        void (*each)(void *context, const struct webhook_record *w), void *context,
                        struct error *e) {
    struct webhook_reader reader = {each, context};
    pthread_mutex_lock(&s->lock);
    bool good = query(s, e, read_webhook, &reader,
                      "SELECT cache, name, topic, url, secret, previous_secret, previous_until "
                      "FROM webhooks ORDER BY cache, name",
                      "");
    pthread_mutex_unlock(&s->lock);
    return good;
}

/* ---- keys ---- */

bool store_add_key(struct store *s, const struct key_record *k, struct error *e) {
    pthread_mutex_lock(&s->lock);
    bool good = run(s, e, NULL, "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?)", "ssssii", k->serial,
                    k->id, k->description, k->rights, k->created_s, k->expires_s);
    pthread_mutex_unlock(&s->lock);
    return good;
}

struct key_list {
    struct key_record *list;
    size_t count;
};

static void read_key(sqlite3_stmt *row, void *context) {
    struct key_list *keys = context;
    keys->list = xrealloc(keys->list, (keys->count + 1) * sizeof *keys->list);
    keys->list[keys->count++] = (struct key_record){
        .serial = xstrdup(text(row, 0)),
        .id = xstrdup(text(row, 1)),
        .description = xstrdup(text(row, 2)),
        .rights = xstrdup(text(row, 3)),
        .created_s = sqlite3_column_int64(row, 4),
        .expires_s = sqlite3_column_int64(row, 5),
    };
}

bool store_list_keys(struct store *s, struct key_record **list, size_t *count, struct error *e) {
    struct key_list keys = {0};
    pthread_mutex_lock(&s->lock);
    bool good = query(s, e, read_key, &keys,
                      "SELECT serial, id, description, rights, created, expires FROM keys "
                      "ORDER BY created, serial",
                      "");
    pthread_mutex_unlock(&s->lock);
    *list = keys.list;
    *count = keys.count;
    return good;
}

void key_list_free(struct key_record *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        free(list[i].serial);
        free(list[i].id);
        free(list[i].description);
        free(list[i].rights);
    }
    free(list);
}

bool store_find_key(struct store *s, const char *serial, bool *found, int64_t *expires_s,
                    struct error *e) {
    int64_t expires = -1;
    pthread_mutex_lock(&s->lock);
    bool good = query(s, e, read_number, &expires, "SELECT expires FROM keys WHERE serial = ?", "s",
                      serial);
    pthread_mutex_unlock(&s->lock);
    *found = expires >= 0;
    *expires_s = expires;
    return good;
}

bool store_revoke(struct store *s, const char *serial, int64_t expires_s, struct error *e) {
    pthread_mutex_lock(&s->lock);
    /* What has expired needs no mention any more. */
    bool good =
        run(s, e, NULL, "DELETE FROM revoked WHERE expires != 0 AND expires < ?", "i",
            clock_wall_ms() / 1000 - 60) &&
        run(s, e, NULL, "INSERT OR REPLACE INTO revoked VALUES (?, ?)", "si", serial, expires_s) &&
        run(s, e, NULL, "DELETE FROM keys WHERE serial = ?", "s", serial);
    pthread_mutex_unlock(&s->lock);
    return good;
}

struct revoked_reader {
    void (*each)(void *context, const char *serial, int64_t expires_s);
    void *context;
};

static void read_revoked(sqlite3_stmt *row, void *context) {
    const struct revoked_reader *reader = context;
    reader->each(reader->context, text(row, 0), sqlite3_column_int64(row, 1));
}

bool store_each_revoked(struct store *s,
                        void (*each)(void *context, const char *serial, int64_t expires_s),
                        void *context, struct error *e) {
    struct revoked_reader reader = {each, context};
    pthread_mutex_lock(&s->lock);
    bool good = query(s, e, read_revoked, &reader, "SELECT serial, expires FROM revoked", "");
    pthread_mutex_unlock(&s->lock);
    return good;
}
