#include "config/config_field.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_LISTED 512

struct unit {
    const char *word;
    uint64_t factor;
};

static const struct unit durations[] = {
    {"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
static const struct unit sizes[] = {
    {"", 1},         {"b", 1},         {"k", 1 << 10}, {"kb", 1 << 10}, {"m", 1 << 20},
    {"mb", 1 << 20}, {"g", 1 << 30}, {"gb", 1 << 30}};

static bool parse_unit(const char *text, const struct unit *units, size_t count, uint64_t *value) {
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || errno != 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(end, units[i].word) == 0) {
            *value = number * units[i].factor;
            return number <= INT64_MAX / units[i].factor;
        }
    }
    return false;
}

bool config_parse_duration(const char *text, int64_t *ms) {
    uint64_t value;
    if (!parse_unit(text, durations, COUNT_OF(durations), &value))
        return false;
    *ms = (int64_t)value;
    return true;
}

bool config_parse_size(const char *text, size_t *bytes) {
    uint64_t value;
    if (!parse_unit(text, sizes, COUNT_OF(sizes), &value))
        return false;
    *bytes = (size_t)value;
    return true;
}

static char *full_name(const struct table *t, const char *name) {
    if (name == NULL)
        return xstrdup(t->path);
    return t->path[0] != '\0' ? xasprintf("%s.%s", t->path, name) : xstrdup(name);
}

/* `key` is a place on the stack, 0: the table as a whole. */
static void problem(const struct table *t, int key, const char *name, const char *message) {
    char *field = full_name(t, name);
    int table = t->index;
    if (key == 0 && t->parent != 0) {
        table = t->parent;
        key = t->parent_key;
    }
    config_lua_problem(t->config, table, key, field, "%s", message);
    free(field);
}

void field_problem(const struct table *t, const char *name, const char *format, ...) {
    lua_State *L = t->config->lua;
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    int key = 0;
    if (name != NULL) {
        /* A field that is not there is missed where the table is. */
        lua_pushstring(L, name);
        lua_pushvalue(L, -1);
        key = lua_rawget(L, t->index) != LUA_TNIL ? lua_gettop(L) - 1 : 0;
    }
    problem(t, key, name, message);
    if (name != NULL)
        lua_pop(L, 2);
}

bool field_push_table(const struct table *t, const char *name, const char *what) {
    lua_State *L = t->config->lua;
    lua_pushstring(L, name);
    int type = lua_rawget(L, t->index);
    if (type == LUA_TTABLE)
        return true;
    if (type != LUA_TNIL)
        field_problem(t, name, "is a %s; expected is %s", lua_typename(L, type), what);
    lua_pop(L, 1);
    return false;
}

/* ---- unknown names ---- */

/* Levenshtein's distance of two short words. */
static size_t distance(const char *a, const char *b) {
    size_t row[64], length = strlen(b);
    if (length >= COUNT_OF(row))
        return SIZE_MAX;
    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[length];
}

static const char *similar(const char *name, const struct field *fields, size_t count) {
    const char *best = NULL;
    size_t least = 3;
    for (size_t i = 0; i < count; i++) {
        size_t d = distance(name, fields[i].name);
        if (d < least) {
            least = d;
            best = fields[i].name;
        }
    }
    return best;
}

static void report_unknown(const struct table *t, const struct field *fields, size_t count) {
    lua_State *L = t->config->lua;
    int key = lua_gettop(L);
    char message[MAX_LISTED];
    if (lua_type(L, key) != LUA_TSTRING) {
        snprintf(message, sizeof message, "has a %s among its fields, which have names",
                 lua_typename(L, lua_type(L, key)));
        problem(t, key, NULL, message);
        return;
    }
    const char *name = lua_tostring(L, key);
    const char *guess = similar(name, fields, count);
    if (guess != NULL) {
        snprintf(message, sizeof message, "is not known; did you mean \"%s\"?", guess);
    } else {
        size_t at = (size_t)snprintf(message, sizeof message, "is not known; known are");
        for (size_t i = 0; i < count && at < sizeof message; i++)
            at += (size_t)snprintf(message + at, sizeof message - at, "%s %s", i > 0 ? "," : "",
                                   fields[i].name);
    }
    problem(t, key, name, message);
}

/* ---- values ---- */

static bool in_range(const struct table *t, const struct field *f, double value) {
    if (value >= f->min && value <= f->max)
        return true;
    field_problem(t, f->name, "must be from %.0f to %.0f%s", f->min, f->max,
                  f->type == FIELD_SIZE       ? " bytes"
                  : f->type == FIELD_DURATION ? " ms"
                                              : "");
    return false;
}

/* A number, or a string with a unit. */
static bool read_quantity(const struct table *t, const struct field *f, uint64_t *value) {
    lua_State *L = t->config->lua;
    bool good = false;
    if (lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 0) {
        *value = (uint64_t)lua_tointeger(L, -1);
        good = true;
    } else if (lua_type(L, -1) == LUA_TSTRING) {
        good = f->type == FIELD_SIZE
                   ? parse_unit(lua_tostring(L, -1), sizes, COUNT_OF(sizes), value)
                   : parse_unit(lua_tostring(L, -1), durations, COUNT_OF(durations), value);
    }
    if (!good)
        field_problem(t, f->name,
                      f->type == FIELD_SIZE
                          ? "must be a size such as \"64k\" or \"16m\", or a number of bytes"
                          : "must be a duration such as \"250ms\", \"10s\" or \"2m\", or a number "
                            "of milliseconds");
    return good && in_range(t, f, (double)*value);
}

static void read_string(const struct table *t, const struct field *f, char **to) {
    lua_State *L = t->config->lua;
    size_t length;
    if (lua_type(L, -1) != LUA_TSTRING) {
        field_problem(t, f->name, "must be a string, not a %s", lua_typename(L, lua_type(L, -1)));
        return;
    }
    const char *text = lua_tolstring(L, -1, &length);
    if (strlen(text) != length)
        field_problem(t, f->name, "has a NUL character");
    else if (length < f->min)
        field_problem(t, f->name, length == 0 ? "is empty" : "is too short: %.0f characters or more",
                      f->min);
    else {
        free(*to);
        *to = xstrdup(text);
    }
}

static void read_number(const struct table *t, const struct field *f, void *to) {
    lua_State *L = t->config->lua;
    bool whole = f->type != FIELD_NUMBER;
    if (lua_type(L, -1) != LUA_TNUMBER || (whole && !lua_isinteger(L, -1))) {
        field_problem(t, f->name, "must be a %snumber", whole ? "whole " : "");
        return;
    }
    if (!in_range(t, f, lua_tonumber(L, -1)))
        return;
    if (f->type == FIELD_NUMBER)
        *(double *)to = lua_tonumber(L, -1);
    else if (f->type == FIELD_COUNT)
        *(uint64_t *)to = (uint64_t)lua_tointeger(L, -1);
    else
        *(unsigned *)to = (unsigned)lua_tointeger(L, -1);
}

/* The value is on the top of the stack. */
static void read_field(const struct table *t, const struct field *f, void *to) {
    lua_State *L = t->config->lua;
    uint64_t quantity;
    switch (f->type) {
    case FIELD_STRING: read_string(t, f, to); break;
    case FIELD_BOOLEAN:
        if (lua_isboolean(L, -1))
            *(bool *)to = lua_toboolean(L, -1);
        else
            field_problem(t, f->name, "must be true or false");
        break;
    case FIELD_UNSIGNED:
    case FIELD_COUNT:
    case FIELD_NUMBER: read_number(t, f, to); break;
    case FIELD_SIZE:
        if (read_quantity(t, f, &quantity))
            *(size_t *)to = (size_t)quantity;
        break;
    case FIELD_DURATION:
        if (read_quantity(t, f, &quantity))
            *(int64_t *)to = (int64_t)quantity;
        break;
    case FIELD_OTHER: break;
    }
}

void fields_read(const struct table *t, const struct field *fields, size_t count, void *target) {
    lua_State *L = t->config->lua;
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(L, fields[i].name);
        if (lua_rawget(L, t->index) != LUA_TNIL)
            read_field(t, &fields[i], (char *)target + fields[i].offset);
        else if (fields[i].required)
            field_problem(t, fields[i].name, "is missing");
        lua_pop(L, 1);
    }
    lua_pushnil(L);
    while (lua_next(L, t->index) != 0) {
        lua_pop(L, 1);
        bool known = false;
        for (size_t i = 0; i < count && lua_type(L, -1) == LUA_TSTRING; i++)
            known = known || strcmp(lua_tostring(L, -1), fields[i].name) == 0;
        if (!known)
            report_unknown(t, fields, count);
    }
}
