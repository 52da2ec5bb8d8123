/* The file of an older version, of a newer one, and one that is no database. */
#include "fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "store/store.h"

/* As version 0.2 of the program made it. */
static const char version_1[] =
    "PRAGMA journal_mode = WAL;"
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE caches (name TEXT PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE webhooks ("
    "  cache TEXT, name TEXT, topic TEXT NOT NULL, url TEXT NOT NULL, secret TEXT NOT NULL,"
    "  previous_secret TEXT, previous_until INTEGER, PRIMARY KEY (cache, name)) WITHOUT ROWID;"
    "CREATE TABLE keys ("
    "  serial TEXT PRIMARY KEY, id TEXT NOT NULL, description TEXT NOT NULL,"
    "  rights TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE revoked (serial TEXT PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID;"
    "PRAGMA user_version = 1;"
    "INSERT INTO meta VALUES ('page', 1700000000);"
    "INSERT INTO caches VALUES ('made');"
    "INSERT INTO webhooks VALUES ('made', 'out', 't', 'http://127.0.0.1:1/', 'a-secret', 'old', 7);"
    "INSERT INTO keys VALUES ('ab12', 'k', 'mine', 'admin', 1, 0);"
    "INSERT INTO revoked VALUES ('cd34', 9999999999);";

static void make_file(const struct place *p, const char *sql) {
    struct error e;
    struct database *db = database_open(p->file, DATABASE_WRITE, &e);
    assert_non_null(db);
    if (!database_script(db, &e, sql))
        fail_msg("%s", e.message);
    database_close(db);
}

static void see_cache(void *context, const char *name, bool durable) {
    unsigned *seen = context;
    assert_string_equal(name, "made");
    assert_true(durable);
    ++*seen;
}

static void see_webhook(void *context, const struct webhook_record *w) {
    unsigned *seen = context;
    assert_string_equal(w->cache, "made");
    assert_string_equal(w->url, "http://127.0.0.1:1/");
    assert_string_equal(w->secret, "a-secret");
    assert_string_equal(w->previous_secret, "old");
    assert_int_equal(w->previous_until_ms, 7);
    assert_string_equal(w->options, "");
    ++*seen;
}

static void see_revoked(void *context, const char *serial, int64_t expires_s) {
    unsigned *seen = context;
    assert_string_equal(serial, "cd34");
    assert_true(expires_s == 9999999999);
    ++*seen;
}

static void test_version_1_becomes_the_newest(void **state) {
    const struct place *p = *state;
    struct error e;
    struct key_record *keys;
    size_t count;
    unsigned caches = 0, webhooks = 0, revoked = 0;
    uint64_t page;
    make_file(p, version_1);
    struct store *s = store_open(p->folder, true, &e);
    if (s == NULL)
        fail_msg("%s", e.message);
    assert_true(store_each_cache(s, see_cache, &caches, &e));
    assert_true(store_each_webhook(s, see_webhook, &webhooks, &e));
    assert_true(store_each_revoked(s, see_revoked, &revoked, &e));
    assert_int_equal(caches, 1);
    assert_int_equal(webhooks, 1);
    assert_int_equal(revoked, 1);
    assert_true(store_list_keys(s, &keys, &count, &e));
    assert_int_equal(count, 1);
    assert_string_equal(keys[0].serial, "ab12");
    key_list_free(keys, count);
    /* Pages go on above those of the older program. */
    assert_true(store_next_page(s, 1600000000, &page, &e));
    assert_true(page > 1700000000);
    store_close(s);
    struct database *db = open_prepared(p);
    assert_int_equal(number_of(db, "PRAGMA user_version"), 2);
    assert_int_equal(number_of(db, "PRAGMA auto_vacuum"), 2);
    assert_int_equal(number_of(db, "SELECT count(*) FROM items"), 0);
    database_close(db);
}

static void test_a_new_file_has_the_same_tables_as_a_migrated_one(void **state) {
    static const char tables[] = "SELECT sum(length(sql)) FROM sqlite_master";
    const struct place *p = *state;
    struct place old = *p;
    snprintf(old.file, sizeof old.file, "%s/old.db", p->folder);
    make_file(&old, version_1);
    struct database *migrated = open_prepared(&old), *fresh = open_prepared(p);
    assert_int_equal(number_of(fresh, "SELECT count(*) FROM sqlite_master"),
                     number_of(migrated, "SELECT count(*) FROM sqlite_master"));
    assert_true(number_of(fresh, tables) > 0);
    database_close(migrated);
    database_close(fresh);
}

static void test_it_is_set_up_for_safety(void **state) {
    const struct place *p = *state;
    struct stat info;
    struct error e;
    struct store *s = store_open(p->folder, true, &e);
    assert_non_null(s);
    store_close(s);
    struct database *db = open_prepared(p);
    assert_int_equal(number_of(db, "PRAGMA synchronous"), 2); /* FULL */
    assert_int_equal(number_of(db, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    assert_int_equal(number_of(db, "PRAGMA trusted_schema"), 0);
    assert_int_equal(stat(p->file, &info), 0);
    assert_int_equal(info.st_mode & 077, 0); /* it holds secrets */
    database_close(db);
}

static void test_a_newer_version_is_refused(void **state) {
    const struct place *p = *state;
    struct error e;
    make_file(
        p, "PRAGMA user_version = 99; CREATE TABLE precious (a); INSERT INTO precious VALUES (1)");
    assert_null(store_open(p->folder, true, &e));
    assert_int_equal(e.code, ERROR_STORAGE);
    assert_non_null(strstr(e.message, "was written by a newer hookmoon (version 99"));
    assert_non_null(strstr(e.message, p->file));
    /* It was left as it is. */
    struct database *db = database_open(p->file, DATABASE_READ, &e);
    assert_non_null(db);
    assert_false(schema_check(db, &e));
    assert_int_equal(number_of(db, "SELECT count(*) FROM precious"), 1);
    assert_int_equal(number_of(db, "SELECT count(*) FROM sqlite_master"), 1);
    database_close(db);
}

static void test_what_is_no_database_is_refused(void **state) {
    const struct place *p = *state;
    struct error e;
    FILE *f = fopen(p->file, "w");
    for (int i = 0; i < 1000; i++)
        fputs("this is not a database\n", f);
    fclose(f);
    assert_null(store_open(p->folder, true, &e));
    assert_int_equal(e.code, ERROR_STORAGE);
    assert_non_null(strstr(e.message, p->file));
    assert_non_null(strstr(e.message, "not a database"));
}

/* ---- the directory ---- */

static void test_one_gateway_at_a_time(void **state) {
    const struct place *p = *state;
    struct error e;
    struct store *s = store_open(p->folder, true, &e);
    assert_non_null(s);
    assert_null(store_open(p->folder, true, &e));
    assert_int_equal(e.code, ERROR_UNAVAILABLE);
    assert_non_null(strstr(e.message, p->folder));
    /* The commands work beside it. */
    struct store *beside = store_open(p->folder, false, &e);
    assert_non_null(beside);
    assert_false(store_changed(beside));
    assert_true(store_add_cache(s, "c", true, &e));
    assert_true(store_changed(beside));
    store_close(beside);
    store_close(s);
    s = store_open(p->folder, true, &e);
    assert_non_null(s);
    store_close(s);
}

static void test_pages_only_grow(void **state) {
    const struct place *p = *state;
    struct error e;
    uint64_t page, last = 0;
    for (int i = 0; i < 3; i++) {
        struct store *s = store_open(p->folder, true, &e);
        assert_true(store_next_page(s, 1800000000u - 1000u * (unsigned)i, &page, &e));
        assert_true(page > last); /* also when the clock is set back */
        last = page;
        store_close(s);
    }
}

static void test_the_seed_stays(void **state) {
    const struct place *p = *state;
    struct error e;
    unsigned char first[16], second[16], none[16] = {0};
    struct store *s = store_open(p->folder, true, &e);
    assert_true(store_seed(s, first, &e));
    store_close(s);
    s = store_open(p->folder, true, &e);
    assert_true(store_seed(s, second, &e));
    store_close(s);
    assert_memory_equal(first, second, 16);
    assert_memory_not_equal(first, none, 16);
}

/* The process that uses the directory ends without a word; then bytes of the file change. */
static void test_damage_is_found_after_an_unclean_stop(void **state) {
    const struct place *p = *state;
    struct error e, why;
    struct store *s = store_open(p->folder, true, &e);
    assert_non_null(s);
    for (int name = 'a'; name <= 'z'; name++) {
        char *long_name = xasprintf("%0200d%c", 0, name);
        assert_true(store_add_cache(s, long_name, true, &e));
        free(long_name);
    }
    store_close(s);
    struct database *db = open_prepared(p);
    assert_true(database_script(db, &e, "UPDATE meta SET value = 0 WHERE name = 'clean'"));
    int64_t page = number_of(db, "SELECT rootpage FROM sqlite_master WHERE name = 'caches'");
    int64_t size = number_of(db, "PRAGMA page_size");
    database_close(db);
    int fd = open(p->file, O_RDWR);
    unsigned char garbage[64];
    memset(garbage, 0xee, sizeof garbage);
    assert_int_equal(pwrite(fd, garbage, sizeof garbage, (page - 1) * size + 8), sizeof garbage);
    close(fd);
    s = store_open(p->folder, true, &e);
    assert_non_null(s);
    bool found = false;
    for (int i = 0; i < 5000 && !found; i++) {
        found = store_is_damaged(s, &why);
        usleep(1000);
    }
    assert_true(found);
    assert_non_null(strstr(why.message, "is damaged"));
    /* What a damaged file takes may be lost: it takes nothing. */
    assert_true(store_start(s, &e));
    assert_false(store_add_cache(s, "late", true, &e));
    assert_string_equal(e.message, why.message);
    assert_true(journal_is_failing(store_journal(s), NULL));
    store_close(s);
    /* And is looked for again: it was not mended. */
    s = store_open(p->folder, true, &e);
    assert_non_null(s);
    for (found = false; !found; usleep(1000))
        found = store_is_damaged(s, NULL);
    store_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        with_place(test_version_1_becomes_the_newest),
        with_place(test_a_new_file_has_the_same_tables_as_a_migrated_one),
        with_place(test_it_is_set_up_for_safety),
        with_place(test_a_newer_version_is_refused),
        with_place(test_what_is_no_database_is_refused),
        with_place(test_one_gateway_at_a_time),
        with_place(test_pages_only_grow),
        with_place(test_the_seed_stays),
        with_place(test_damage_is_found_after_an_unclean_stop),
    };
    log_setup(LOG_OFF, LOG_AUTO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
