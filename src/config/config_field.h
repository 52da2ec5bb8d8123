/*
 * config_field: typed fields of a configuration's tables, described by static tables. Main thread.
 */
#ifndef HOOKMOON_CONFIG_CONFIG_FIELD_H
#define HOOKMOON_CONFIG_CONFIG_FIELD_H

#include "config/config_lua.h"
#include "config/config_quantity.h"

enum field_type {
    FIELD_STRING,   /* char *, copied */
    FIELD_BOOLEAN,  /* bool */
    FIELD_UNSIGNED, /* unsigned */
    FIELD_COUNT,    /* uint64_t */
    FIELD_NUMBER,   /* double */
    FIELD_SIZE,     /* size_t: "64k", or bytes */
    FIELD_DURATION, /* int64_t: "10s", or milliseconds */
    FIELD_OTHER,    /* known, and read by whoever asked */
};

struct field {
    const char *name;
    enum field_type type;
    size_t offset; /* where it goes in the target */
    double min, max;
    bool required;
};

/* A table that is being read: its place on the stack and its name in messages. */
struct table {
    struct config_lua *config;
    int index;
    const char *path; /* "" for the globals, "limits", "webhooks[2]" */
    int parent;       /* where it is written, when it is no table: 0, or ... */
    int parent_key;   /* ... the stack places of the table and key that hold it */
};

/* Reads all fields into `target`; what is unknown, missing or wrong is reported. */
void fields_read(const struct table *t, const struct field *fields, size_t count, void *target);
/* Reads one field; neither its `required` nor other fields are looked at. */
void field_read(const struct table *t, const struct field *f, void *target);
/* Reports a mistake of the table's field `name`, or of the whole table when it is NULL. */
void field_problem(const struct table *t, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Pushes the table that is the field `name`; false and nothing pushed when there is none (which is
 * fine) or it is no table (reported, with `what` it should be). */
bool field_push_table(const struct table *t, const char *name, const char *what);

/* A field that is one of some words. */
struct word {
    const char *word;
    int value;
};

/* The value of the word that the field `name` is; `fallback` when there is none or it is reported.
 */
int field_read_word(const struct table *t, const char *name, const struct word *words, size_t count,
                    bool required, int fallback);

/* PATH.NAME, or PATH["NAME"] when NAME is no identifier. The caller frees. */
char *field_full_name(const char *path, const char *name);

#endif
