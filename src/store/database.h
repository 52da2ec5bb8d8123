/*
 * database: one connection to the SQLite file, with the statements it has prepared.
 *
 * One thread at a time. Errors are ERROR_STORAGE with SQLite's reason, the path and what to do.
 */
#ifndef HOOKMOON_STORE_DATABASE_H
#define HOOKMOON_STORE_DATABASE_H

#include <stdarg.h>

#include <sqlite3.h>

#include "base/base.h"

struct database;

enum database_mode {
    DATABASE_WRITE, /* made when it is missing */
    DATABASE_READ,
};

struct database *database_open(const char *path, enum database_mode mode, struct error *e);
void database_close(struct database *db);
const char *database_path(const struct database *db);
sqlite3 *database_handle(struct database *db);
/* Fills `e` with what SQLite last said; always false. */
bool database_error(const struct database *db, struct error *e);
/* True when the last error was of the file itself, so that only opening it anew may help. */
bool database_is_broken(const struct database *db);

/* A parameter of a statement. */
struct value {
    char type;         /* 's' a string, 'b' bytes, 'i' a number */
    const void *bytes; /* NULL: SQL's NULL */
    size_t length;
    int64_t number;
};
#define VALUES_MAX 24

/*
 * Runs one statement. `sql` is a literal (its address is the key under which the prepared statement
 * is kept); `format` tells the parameters: 's' a string (may be NULL), 'i' an int64_t, 'b' bytes:
 * const void * (NULL: SQL's NULL) and size_t. They are borrowed for the call.
 */
bool database_run(struct database *db, struct error *e, const char *sql, const char *format, ...);
bool database_run_values(struct database *db, struct error *e, const char *sql,
                         const struct value *values, size_t count);
/* Reads the parameters that `format` tells of; returns how many. */
size_t database_values(struct value values[VALUES_MAX], const char *format, va_list args);
/* The row that the last database_run inserted. */
int64_t database_inserted(const struct database *db);
/* How many rows the last database_run touched. */
int64_t database_changes(const struct database *db);

/* Calls `each` for every row, until it returns false; the row is valid for that call. */
typedef bool each_row(sqlite3_stmt *row, void *context);
bool database_query(struct database *db, struct error *e, each_row *each, void *context,
                    const char *sql, const char *format, ...);
/* The first column of the first row as a number; `*number` stays when there is no row. */
bool database_number(struct database *db, struct error *e, int64_t *number, const char *sql,
                     const char *format, ...);
/* Several statements without parameters. */
bool database_script(struct database *db, struct error *e, const char *sql);

/* Columns: "" for NULL; and one that may be NULL. */
const char *row_text(sqlite3_stmt *row, int column);
const char *row_text_or_null(sqlite3_stmt *row, int column);

#endif
