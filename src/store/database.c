#include "store/database.h"

#include <stdlib.h>

#include <uthash.h>

#define BUSY_MS 5000

struct statement {
    UT_hash_handle hh;
    const char *sql; /* the literal: its address is the key */
    sqlite3_stmt *prepared;
};

struct database {
    sqlite3 *handle;
    char *path;
    struct statement *statements;
};

static const char *advice(int result) {
    switch (result) {
    case SQLITE_FULL:
        return " (make room there; publishing goes on by itself then)";
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return " (check who may write the file and its folder)";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return " (the file is damaged: stop the gateway and put a backup in its place)";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return " (another program holds the file)";
    default:
        return "";
    }
}

bool database_error(const struct database *db, struct error *e) {
    int extended = sqlite3_extended_errcode(db->handle);
    int result = extended & 0xff;
    if (result == SQLITE_IOERR)
        return error_set(e, ERROR_STORAGE, "%s: %s (%d, system error %d)", db->path,
                         sqlite3_errmsg(db->handle), extended, sqlite3_system_errno(db->handle));
    return error_set(e, ERROR_STORAGE, "%s: %s%s", db->path, sqlite3_errmsg(db->handle),
                     advice(result));
}

bool database_is_broken(const struct database *db) {
    int result = sqlite3_errcode(db->handle) & 0xff;
    return result == SQLITE_IOERR || result == SQLITE_CORRUPT || result == SQLITE_NOTADB ||
           result == SQLITE_READONLY || result == SQLITE_CANTOPEN;
}

struct database *database_open(const char *path, enum database_mode mode, struct error *e) {
    struct database *db = xcalloc(1, sizeof *db);
    int flags =
        mode == DATABASE_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
    db->path = xstrdup(path);
    if (sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        database_error(db, e);
        database_close(db);
        return NULL;
    }
    sqlite3_busy_timeout(db->handle, BUSY_MS);
    return db;
}

void database_close(struct database *db) {
    if (db == NULL)
        return;
    struct statement *s, *next;
    HASH_ITER(hh, db->statements, s, next) {
        HASH_DEL(db->statements, s);
        sqlite3_finalize(s->prepared);
        free(s);
    }
    sqlite3_close(db->handle);
    free(db->path);
    free(db);
}

const char *database_path(const struct database *db) {
    return db->path;
}

sqlite3 *database_handle(struct database *db) {
    return db->handle;
}

/* ---- statements ---- */

static sqlite3_stmt *prepare(struct database *db, const char *sql) {
    struct statement *s;
    HASH_FIND_PTR(db->statements, &sql, s);
    if (s != NULL)
        return s->prepared;
    sqlite3_stmt *prepared = NULL;
    if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &prepared, NULL) !=
        SQLITE_OK)
        return NULL;
    s = xcalloc(1, sizeof *s);
    s->sql = sql;
    s->prepared = prepared;
    HASH_ADD_PTR(db->statements, sql, s);
    return prepared;
}

size_t database_values(struct value values[VALUES_MAX], const char *format, va_list args) {
    size_t count = 0;
    for (; format[count] != '\0' && count < VALUES_MAX; count++) {
        struct value *v = &values[count];
        *v = (struct value){.type = format[count]};
        if (v->type == 'i') {
            v->number = va_arg(args, int64_t);
            continue;
        }
        v->bytes = va_arg(args, const void *);
        if (v->type == 'b')
            v->length = va_arg(args, size_t);
        else
            v->length = v->bytes != NULL ? strlen(v->bytes) : 0;
    }
    return count;
}

static int bind_value(sqlite3_stmt *statement, int at, const struct value *v) {
    if (v->type == 'i')
        return sqlite3_bind_int64(statement, at, v->number);
    if (v->bytes == NULL)
        return sqlite3_bind_null(statement, at);
    if (v->type == 's')
        return sqlite3_bind_text64(statement, at, v->bytes, v->length, SQLITE_STATIC, SQLITE_UTF8);
    return sqlite3_bind_blob64(statement, at, v->bytes, v->length, SQLITE_STATIC);
}

static sqlite3_stmt *bind_values(struct database *db, struct error *e, const char *sql,
                                 const struct value *values, size_t count) {
    sqlite3_stmt *statement = prepare(db, sql);
    int result = statement != NULL ? SQLITE_OK : SQLITE_ERROR;
    for (size_t i = 0; result == SQLITE_OK && i < count; i++)
        result = bind_value(statement, (int)i + 1, &values[i]);
    if (result == SQLITE_OK)
        return statement;
    database_error(db, e);
    return NULL;
}

static sqlite3_stmt *bind(struct database *db, struct error *e, const char *sql, const char *format,
                          va_list args) {
    struct value values[VALUES_MAX];
    return bind_values(db, e, sql, values, database_values(values, format, args));
}

/* Lets go of the row it stands at and of what was bound. */
static void done_with(sqlite3_stmt *statement) {
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

static bool step_once(struct database *db, struct error *e, sqlite3_stmt *statement) {
    if (statement == NULL)
        return false;
    bool good = sqlite3_step(statement) == SQLITE_DONE || database_error(db, e);
    done_with(statement);
    return good;
}

bool database_run_values(struct database *db, struct error *e, const char *sql,
                         const struct value *values, size_t count) {
    return step_once(db, e, bind_values(db, e, sql, values, count));
}

bool database_run(struct database *db, struct error *e, const char *sql, const char *format, ...) {
    va_list args;
    va_start(args, format);
    sqlite3_stmt *statement = bind(db, e, sql, format, args);
    va_end(args);
    return step_once(db, e, statement);
}

int64_t database_inserted(const struct database *db) {
    return sqlite3_last_insert_rowid(db->handle);
}

int64_t database_changes(const struct database *db) {
    return sqlite3_changes64(db->handle);
}

static bool step_rows(struct database *db, struct error *e, sqlite3_stmt *statement, each_row *each,
                      void *context) {
    int result;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        if (!each(statement, context)) {
            result = SQLITE_DONE;
            break;
        }
    }
    bool good = result == SQLITE_DONE || database_error(db, e);
    done_with(statement);
    return good;
}

bool database_query(struct database *db, struct error *e, each_row *each, void *context,
                    const char *sql, const char *format, ...) {
    va_list args;
    va_start(args, format);
    sqlite3_stmt *statement = bind(db, e, sql, format, args);
    va_end(args);
    return statement != NULL && step_rows(db, e, statement, each, context);
}

static bool read_number(sqlite3_stmt *row, void *context) {
    if (sqlite3_column_type(row, 0) != SQLITE_NULL)
        *(int64_t *)context = sqlite3_column_int64(row, 0);
    return false;
}

bool database_number(struct database *db, struct error *e, int64_t *number, const char *sql,
                     const char *format, ...) {
    va_list args;
    va_start(args, format);
    sqlite3_stmt *statement = bind(db, e, sql, format, args);
    va_end(args);
    return statement != NULL && step_rows(db, e, statement, read_number, number);
}

bool database_script(struct database *db, struct error *e, const char *sql) {
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK || database_error(db, e);
}

const char *row_text(sqlite3_stmt *row, int column) {
    const char *text = row_text_or_null(row, column);
    return text != NULL ? text : "";
}

const char *row_text_or_null(sqlite3_stmt *row, int column) {
    return (const char *)sqlite3_column_text(row, column);
}
