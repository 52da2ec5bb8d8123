/* A data directory of a test's own, which goes with it. */
#ifndef HOOKMOON_TESTS_UNIT_STORE_FIXTURE_H
#define HOOKMOON_TESTS_UNIT_STORE_FIXTURE_H

#include "../test.h"

#include <dirent.h>
#include <unistd.h>

#include "store/schema.h"

struct place {
    char folder[64];
    char file[80]; /* the database's path in it */
};

static inline int make_place(void **state) {
    struct place *p = xcalloc(1, sizeof *p);
    snprintf(p->folder, sizeof p->folder, "/tmp/hookmoon-store-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->file, sizeof p->file, "%s/hookmoon.db", p->folder);
    *state = p;
    return 0;
}

static inline int remove_place(void **state) {
    struct place *p = *state;
    DIR *folder = opendir(p->folder);
    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    rmdir(p->folder);
    free(p);
    return 0;
}

/* A database with this program's tables. */
static inline struct database *open_prepared(const struct place *p) {
    struct error e;
    struct database *db = database_open(p->file, DATABASE_WRITE, &e);
    assert_non_null(db);
    if (!schema_prepare(db, &e))
        fail_msg("%s", e.message);
    return db;
}

static inline int64_t number_of(struct database *db, const char *sql) {
    int64_t number = -1;
    struct error e;
    if (!database_number(db, &e, &number, sql, ""))
        fail_msg("%s: %s", sql, e.message);
    return number;
}

#define with_place(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

#endif
