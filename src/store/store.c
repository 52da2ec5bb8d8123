#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "store/deadletter_table.h"
#include "store/outbox_table.h"
#include "store/schema.h"

/* How long a start waits for the check of a database that was not closed; it goes on beside. */
#define CHECK_WAIT_MS 300

static const struct store_limits default_limits = {
    .queue_bytes = 64 * 1024 * 1024,
    .deadletters = 100000,
    .deadletter_age_ms = 30 * 86400000LL,
};
/* Pages that are given back to the file system at once. */
#define VACUUM_PAGES 64

struct store {
    struct journal_client client; /* first: what the journal hands back is this */
    struct store_limits limits;
    char *path;
    int lock_fd; /* -1: not held */
    pthread_mutex_t lock;
    struct database *db; /* for reading, and for writing until the journal does; under the lock */
    struct journal *journal; /* NULL: not exclusive */
    bool started;
    int64_t data_version;
    pthread_t check;
    bool checking;
    _Atomic bool checked, sound, damaged, closing;
    struct error damage; /* set before `damaged` */
};

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

static struct database *open_writer(const struct store *s, struct error *e) {
    mode_t before = umask(077); /* it holds secrets */
    struct database *db = database_open(s->path, DATABASE_WRITE, e);
    if (db != NULL && !schema_prepare(db, e)) {
        database_close(db);
        db = NULL;
    }
    umask(before);
    return db;
}

struct database *store_open_reader(const struct store *s, struct error *e) {
    struct database *db = database_open(s->path, DATABASE_READ, e);
    if (db != NULL && schema_check(db, e))
        return db;
    database_close(db);
    return NULL;
}

/* ---- the check after an unclean stop ---- */

static bool read_verdict(sqlite3_stmt *row, void *context) {
    /* Lines under a heading: "*** in database main ***". */
    const char *text = row_text(row, 0), *line = strchr(text, '\n');
    buffer_add_string(context, strncmp(text, "***", 3) == 0 && line != NULL ? line + 1 : text);
    return false;
}

static int may_go_on(void *context) {
    return atomic_load(&((struct store *)context)->closing);
}

static void *run_check(void *context) {
    struct store *s = context;
    struct buffer verdict = {0};
    struct error e;
    struct database *db = store_open_reader(s, &e);
    if (db != NULL) {
        sqlite3_progress_handler(database_handle(db), 10000, may_go_on, s);
        if (!database_query(db, &e, read_verdict, &verdict, "PRAGMA quick_check(1)", ""))
            buffer_add_string(&verdict, e.message);
    }
    bool sound = db != NULL && strcmp(buffer_string(&verdict), "ok") == 0;
    atomic_store(&s->sound, sound);
    if (!sound && db != NULL && !atomic_load(&s->closing)) {
        error_set(&s->damage, ERROR_STORAGE,
                  "%s is damaged (%s): stop the gateway and put a backup in its place", s->path,
                  buffer_string(&verdict));
        atomic_store(&s->damaged, true);
        log_error("the database is damaged", LOG_STR("error", s->damage.message));
        journal_refuse(s->journal, &s->damage);
    }
    database_close(db);
    buffer_free(&verdict);
    atomic_store(&s->checked, true);
    return NULL;
}

static void start_check(struct store *s) {
    log_info("the gateway was not stopped cleanly: checking its database");
    if (pthread_create(&s->check, NULL, run_check, s) != 0)
        return;
    s->checking = true;
    for (int waited = 0; waited < CHECK_WAIT_MS && !atomic_load(&s->checked); waited++)
        usleep(1000);
}

bool store_is_damaged(struct store *s, struct error *why) {
    bool damaged = atomic_load(&s->damaged);
    if (damaged && why != NULL)
        *why = s->damage;
    return damaged;
}

/* Notes that it is in use; whether it was closed the last time, `*clean`. */
static bool mark_open(struct store *s, bool *clean, struct error *e) {
    int64_t mark = 1;
    if (!database_number(s->db, e, &mark, "SELECT value FROM meta WHERE name = 'clean'", "") ||
        !database_run(s->db, e, "INSERT OR REPLACE INTO meta VALUES ('clean', 0)", ""))
        return false;
    *clean = mark != 0;
    return true;
}

/* journal_client.tidy */
static bool tidy(struct journal_client *c, struct database *db, bool *more, struct error *e) {
    const struct store_limits *limits = &((const struct store *)c)->limits;
    int64_t pages = 0;
    if (!deadletter_table_tidy(db, (int64_t)limits->deadletters,
                               clock_wall_ms() - limits->deadletter_age_ms, e) ||
        !database_number(db, e, &pages, "PRAGMA freelist_count", ""))
        return false;
    if (pages < 4 * VACUUM_PAGES) /* some are kept for what comes next */
        return true;
    *more = true;
    return database_script(db, e, "PRAGMA incremental_vacuum(64)");
}

struct store *store_open(const char *dir, bool exclusive, struct error *e) {
    struct store *s = xcalloc(1, sizeof *s);
    bool clean = true;
    s->limits = default_limits;
    s->lock_fd = -1;
    s->path = xasprintf("%s/hookmoon.db", dir);
    pthread_mutex_init(&s->lock, NULL);
    if (make_directory(dir, e) && (!exclusive || take_lock(s, dir, e)) &&
        (s->db = open_writer(s, e)) != NULL && (!exclusive || mark_open(s, &clean, e))) {
        store_changed(s);
        if (exclusive) {
            struct database *writer = open_writer(s, e);
            if (writer != NULL)
                s->journal = journal_new(writer, s->limits.queue_bytes);
            s->client.tidy = tidy;
            if (s->journal != NULL)
                journal_add_client(s->journal, &s->client);
        }
        if (!clean && s->journal != NULL)
            start_check(s);
        if (!exclusive || s->journal != NULL)
            return s;
    }
    store_close(s);
    return NULL;
}

void store_set_limits(struct store *s, const struct store_limits *limits) {
    s->limits = *limits;
    journal_set_queue(s->journal, limits->queue_bytes);
}

struct journal *store_journal(struct store *s) {
    return s->journal;
}

bool store_start(struct store *s, struct error *e) {
    s->started = journal_start(s->journal, e);
    return s->started;
}

void store_close(struct store *s) {
    if (s == NULL)
        return;
    atomic_store(&s->closing, true);
    if (s->checking)
        pthread_join(s->check, NULL);
    /* A check that found damage, or did not come to its end, is made again. */
    bool clean = s->journal != NULL && (!s->checking || atomic_load(&s->sound));
    journal_free(s->journal);
    if (clean)
        database_run(s->db, NULL, "INSERT OR REPLACE INTO meta VALUES ('clean', 1)", "");
    database_close(s->db);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    pthread_mutex_destroy(&s->lock);
    free(s->path);
    free(s);
}

bool store_changed(struct store *s) {
    int64_t version = s->data_version;
    pthread_mutex_lock(&s->lock);
    database_number(s->db, NULL, &version, "PRAGMA data_version", "");
    bool changed = version != s->data_version;
    s->data_version = version;
    pthread_mutex_unlock(&s->lock);
    return changed;
}

/* ---- writing ---- */

typedef bool write_function(struct database *db, const void *what, struct error *e);

struct write {
    struct change change;
    write_function *run;
    const void *what;
};

static bool apply_write(struct change *c, struct database *db, struct error *e) {
    const struct write *w = (const struct write *)c;
    return w->run(db, w->what, e);
}

static void free_write(struct change *c) {
    free(c);
}

/* In a transaction of its own, on the journal's thread once that runs. */
static bool write_now(struct store *s, write_function *run, const void *what, struct error *e) {
    if (s->started) {
        struct write *w = xcalloc(1, sizeof *w);
        w->change = (struct change){.apply = apply_write, .destroy = free_write};
        w->run = run;
        w->what = what;
        struct transaction *t = transaction_new(NULL, NULL);
        transaction_add(t, &w->change, sizeof *w);
        return journal_submit_and_wait(s->journal, t, e);
    }
    pthread_mutex_lock(&s->lock);
    bool good = database_run(s->db, e, "BEGIN IMMEDIATE", "");
    if (good) {
        good = run(s->db, what, e) && database_run(s->db, e, "COMMIT", "");
        if (!good)
            database_run(s->db, NULL, "ROLLBACK", "");
    }
    pthread_mutex_unlock(&s->lock);
    return good;
}

static bool read_all(struct store *s, struct error *e, each_row *each, void *context,
                     const char *sql) {
    pthread_mutex_lock(&s->lock);
    bool good = database_query(s->db, e, each, context, sql, "");
    pthread_mutex_unlock(&s->lock);
    return good;
}

bool store_count_deadletters(struct store *s, int64_t *count, struct error *e) {
    pthread_mutex_lock(&s->lock);
    bool good = deadletter_table_count(s->db, count, e);
    pthread_mutex_unlock(&s->lock);
    return good;
}

/* ---- meta ---- */

static bool put_page(struct database *db, const void *what, struct error *e) {
    return database_run(db, e, "INSERT OR REPLACE INTO meta VALUES ('page', ?)", "i",
                        *(const int64_t *)what);
}

bool store_next_page(struct store *s, uint64_t now_s, uint64_t *page, struct error *e) {
    int64_t last = 0, next;
    pthread_mutex_lock(&s->lock);
    bool good = database_number(s->db, e, &last, "SELECT value FROM meta WHERE name = 'page'", "");
    pthread_mutex_unlock(&s->lock);
    next = ((uint64_t)last > now_s ? last : (int64_t)now_s) + 1;
    *page = (uint64_t)next;
    return good && write_now(s, put_page, &next, e);
}

static bool put_seed(struct database *db, const void *what, struct error *e) {
    return database_run(db, e, "INSERT OR IGNORE INTO meta VALUES ('seed', ?)", "b", what,
                        (size_t)16);
}

static bool read_seed(sqlite3_stmt *row, void *context) {
    if (sqlite3_column_bytes(row, 0) == 16)
        memcpy(context, sqlite3_column_blob(row, 0), 16);
    return false;
}

bool store_seed(struct store *s, unsigned char seed[16], struct error *e) {
    if (RAND_bytes(seed, 16) != 1)
        return error_set(e, ERROR_INTERNAL, "no random numbers are to be had");
    return write_now(s, put_seed, seed, e) &&
           read_all(s, e, read_seed, seed, "SELECT value FROM meta WHERE name = 'seed'");
}

/* ---- caches ---- */

struct cache_row {
    const char *name;
    bool durable;
};

static bool add_cache(struct database *db, const void *what, struct error *e) {
    const struct cache_row *row = what;
    return database_run(db, e, "INSERT OR IGNORE INTO caches VALUES (?, ?)", "ss", row->name,
                        row->durable ? "disk" : "memory");
}

bool store_add_cache(struct store *s, const char *name, bool durable, struct error *e) {
    return write_now(s, add_cache, &(struct cache_row){name, durable}, e);
}

static bool delete_cache(struct database *db, const void *what, struct error *e) {
    const char *name = what;
    return database_run(db, e, "DELETE FROM webhooks WHERE cache = ?", "s", name) &&
           database_run(db, e,
                        "DELETE FROM retries WHERE outbox IN (SELECT id FROM outbox WHERE cache = "
                        "?)",
                        "s", name) &&
           database_run(db, e, "DELETE FROM outbox WHERE cache = ?", "s", name) &&
           database_run(db, e, "UPDATE topics SET cache = NULL WHERE cache = ?", "s", name) &&
           database_run(db, e, "DELETE FROM caches WHERE name = ?", "s", name);
}

bool store_delete_cache(struct store *s, const char *name, struct error *e) {
    return write_now(s, delete_cache, name, e);
}

struct cache_reader {
    void (*each)(void *context, const char *name, bool durable);
    void *context;
};

static bool read_cache(sqlite3_stmt *row, void *context) {
    const struct cache_reader *reader = context;
    reader->each(reader->context, row_text(row, 0), strcmp(row_text(row, 1), "memory") != 0);
    return true;
}

bool store_each_cache(struct store *s, void (*each)(void *context, const char *name, bool durable),
                      void *context, struct error *e) {
    struct cache_reader reader = {each, context};
    return read_all(s, e, read_cache, &reader, "SELECT name, durability FROM caches ORDER BY name");
}

/* ---- webhooks ---- */

static bool begin_webhook(struct database *db, const void *what, struct error *e) {
    const struct webhook_record *w = what;
    return outbox_table_begin(db, w->cache, w->name, w->topic, w->page, w->number, e);
}

bool store_begin_webhook(struct store *s, const struct webhook_record *w, struct error *e) {
    return write_now(s, begin_webhook, w, e);
}

static bool put_webhook(struct database *db, const void *what, struct error *e) {
    const struct webhook_record *w = what;
    return begin_webhook(db, w, e) &&
           database_run(db, e, "INSERT OR REPLACE INTO webhooks VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                        "ssssssis", w->cache, w->name, w->topic, w->url, w->secret,
                        w->previous_secret, w->previous_until_ms,
                        w->options != NULL ? w->options : "");
}

bool store_put_webhook(struct store *s, const struct webhook_record *w, struct error *e) {
    return write_now(s, put_webhook, w, e);
}

static bool delete_webhook(struct database *db, const void *what, struct error *e) {
    const struct webhook_record *w = what;
    return database_run(db, e,
                        "DELETE FROM retries WHERE outbox IN (SELECT id FROM outbox WHERE cache = "
                        "? AND webhook = ?)",
                        "ss", w->cache, w->name) &&
           database_run(db, e, "DELETE FROM outbox WHERE cache = ? AND webhook = ?", "ss", w->cache,
                        w->name) &&
           database_run(db, e, "DELETE FROM webhooks WHERE cache = ? AND name = ?", "ss", w->cache,
                        w->name);
}

bool store_delete_webhook(struct store *s, const char *cache, const char *name, struct error *e) {
    return write_now(s, delete_webhook, &(struct webhook_record){.cache = cache, .name = name}, e);
}

struct webhook_reader {
    void (*each)(void *context, const struct webhook_record *w);
    void *context;
};

static bool read_webhook(sqlite3_stmt *row, void *context) {
    const struct webhook_reader *reader = context;
    const struct webhook_record w = {
        .cache = row_text(row, 0),
        .name = row_text(row, 1),
        .topic = row_text(row, 2),
        .url = row_text(row, 3),
        .secret = row_text(row, 4),
        .previous_secret = row_text_or_null(row, 5),
        .previous_until_ms = sqlite3_column_int64(row, 6),
        .options = row_text(row, 7),
    };
    reader->each(reader->context, &w);
    return true;
}

bool store_each_webhook(struct store *s,
                        void (*each)(void *context, const struct webhook_record *w), void *context,
                        struct error *e) {
    struct webhook_reader reader = {each, context};
    return read_all(s, e, read_webhook, &reader,
                    "SELECT cache, name, topic, url, secret, previous_secret, previous_until, "
                    "options FROM webhooks ORDER BY cache, name");
}

/* ---- keys ---- */

static bool add_key(struct database *db, const void *what, struct error *e) {
    const struct key_record *k = what;
    return database_run(db, e, "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?)", "ssssii", k->serial,
                        k->id, k->description, k->rights, k->created_s, k->expires_s);
}

bool store_add_key(struct store *s, const struct key_record *k, struct error *e) {
    return write_now(s, add_key, k, e);
}

struct key_list {
    struct key_record *list;
    size_t count;
};

static bool read_key(sqlite3_stmt *row, void *context) {
    struct key_list *keys = context;
    keys->list = xrealloc(keys->list, (keys->count + 1) * sizeof *keys->list);
    keys->list[keys->count++] = (struct key_record){
        .serial = xstrdup(row_text(row, 0)),
        .id = xstrdup(row_text(row, 1)),
        .description = xstrdup(row_text(row, 2)),
        .rights = xstrdup(row_text(row, 3)),
        .created_s = sqlite3_column_int64(row, 4),
        .expires_s = sqlite3_column_int64(row, 5),
    };
    return true;
}

bool store_list_keys(struct store *s, struct key_record **list, size_t *count, struct error *e) {
    struct key_list keys = {0};
    bool good = read_all(s, e, read_key, &keys,
                         "SELECT serial, id, description, rights, created, expires FROM keys "
                         "ORDER BY created, serial");
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
    bool good = database_number(s->db, e, &expires, "SELECT expires FROM keys WHERE serial = ?",
                                "s", serial);
    pthread_mutex_unlock(&s->lock);
    *found = expires >= 0;
    *expires_s = expires;
    return good;
}

static bool revoke_key(struct database *db, const void *what, struct error *e) {
    const struct key_record *k = what;
    /* What has expired needs no mention any more. */
    return database_run(db, e, "DELETE FROM revoked WHERE expires != 0 AND expires < ?", "i",
                        clock_wall_ms() / 1000 - 60) &&
           database_run(db, e, "INSERT OR REPLACE INTO revoked VALUES (?, ?)", "si", k->serial,
                        k->expires_s) &&
           database_run(db, e, "DELETE FROM keys WHERE serial = ?", "s", k->serial);
}

bool store_revoke(struct store *s, const char *serial, int64_t expires_s, struct error *e) {
    struct key_record k = {.serial = (char *)(uintptr_t)serial, .expires_s = expires_s};
    return write_now(s, revoke_key, &k, e);
}

struct revoked_reader {
    void (*each)(void *context, const char *serial, int64_t expires_s);
    void *context;
};

static bool read_revoked(sqlite3_stmt *row, void *context) {
    const struct revoked_reader *reader = context;
    reader->each(reader->context, row_text(row, 0), sqlite3_column_int64(row, 1));
    return true;
}

bool store_each_revoked(struct store *s,
                        void (*each)(void *context, const char *serial, int64_t expires_s),
                        void *context, struct error *e) {
    struct revoked_reader reader = {each, context};
    return read_all(s, e, read_revoked, &reader, "SELECT serial, expires FROM revoked");
}
