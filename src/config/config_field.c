#include "config/config_field.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>

#include "config/config_box.h"

#include "base/similar.h"

#define LISTED_BYTES 512

static bool is_identifier(const char *name) {
    if (isdigit((unsigned char)name[0]))
        return false;
    for (const char *c = name; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && *c != '_')
            return false;
    }
    return name[0] != '\0';
}

char *field_full_name(const char *path, const char *name) {
    if (!is_identifier(name) || strlen(name) > 64)
        return xasprintf("%s[\"%.64s\"]", path, name);
    return path[0] != '\0' ? xasprintf("%s.%s", path, name) : xstrdup(name);
}

/* `key` is a place on the stack, 0: the table as a whole. */
static void problem(const struct table *t, int key, const char *name, const char *message) {
    char *field = name != NULL ? field_full_name(t->path, name) : xstrdup(t->path);
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
    if (type != LUA_TNIL && !config_box_is_unset(L, -1))
        field_problem(t, name, "must be %s, not a %s", what, lua_typename(L, type));
    lua_pop(L, 1);
    return false;
}

/* ---- unknown names ---- */

/* Two mistakes at most, and one in a short word. */
static const char *similar(const char *name, const struct field *fields, size_t count) {
    const char *best = NULL;
    size_t bound = strlen(name) > 4 ? 3 : 2;
    for (size_t i = 0; i < count; i++) {
        size_t mistakes = similar_distance(name, fields[i].name);
        if (mistakes < bound) {
            bound = mistakes;
            best = fields[i].name;
        }
    }
    return best;
}

static void report_unknown(const struct table *t, const struct field *fields, size_t count) {
    lua_State *L = t->config->lua;
    int key = lua_gettop(L);
    char message[LISTED_BYTES];
    if (config_box_is_unset(L, key))
        return;
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
    char min[CONFIG_QUANTITY_SIZE], max[CONFIG_QUANTITY_SIZE];
    if (value >= f->min && value <= f->max)
        return true;
    if (f->type == FIELD_SIZE) {
        config_format_size(min, (size_t)f->min);
        config_format_size(max, (size_t)f->max);
        field_problem(t, f->name, "must be from \"%s\" to \"%s\"; a plain number means bytes", min,
                      max);
    } else if (f->type == FIELD_DURATION) {
        config_format_duration(min, (int64_t)f->min);
        config_format_duration(max, (int64_t)f->max);
        field_problem(t, f->name,
                      "must be from \"%s\" to \"%s\"; a plain number means milliseconds", min, max);
    } else {
        field_problem(t, f->name, "must be from %.15g to %.15g", f->min, f->max);
    }
    return false;
}

/* The text on the top of the stack, or NULL when it is none or has a NUL, which C would not see. */
static const char *text_of(lua_State *L) {
    size_t length;
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
    return text != NULL && strlen(text) == length ? text : NULL;
}

static void read_size(const struct table *t, const struct field *f, size_t *to) {
    lua_State *L = t->config->lua;
    size_t bytes = 0;
    const char *text = text_of(L);
    bool whole = lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 0;
    if (whole)
        bytes = (size_t)lua_tointeger(L, -1);
    if (!whole && (text == NULL || !config_parse_size(text, &bytes)))
        field_problem(t, f->name,
                      "must be a size such as \"64k\" or \"16m\"; a plain number means "
                      "bytes");
    else if (in_range(t, f, (double)bytes))
        *to = bytes;
}

static void read_duration(const struct table *t, const struct field *f, int64_t *to) {
    lua_State *L = t->config->lua;
    int64_t ms = 0;
    const char *text = text_of(L);
    bool whole = lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 0;
    if (whole)
        ms = lua_tointeger(L, -1);
    if (!whole && (text == NULL || !config_parse_duration(text, &ms)))
        field_problem(t, f->name,
                      "must be a duration such as \"250ms\", \"10s\" or \"2m\"; a plain "
                      "number means milliseconds");
    else if (in_range(t, f, (double)ms))
        *to = ms;
}

static void read_string(const struct table *t, const struct field *f, char **to) {
    lua_State *L = t->config->lua;
    const char *text = text_of(L);
    if (text == NULL && lua_type(L, -1) == LUA_TSTRING)
        field_problem(t, f->name, "has a NUL character");
    else if (text == NULL)
        field_problem(t, f->name, "must be a string, not a %s", luaL_typename(L, -1));
    else if (text[0] == '\0' && f->min > 0)
        field_problem(t, f->name, "is empty");
    else if (strlen(text) < f->min)
        field_problem(t, f->name, "is too short: %.0f characters or more are asked for", f->min);
    else {
        free(*to);
        *to = xstrdup(text);
    }
}

int field_read_word(const struct table *t, const char *name, const struct word *words, size_t count,
                    bool required, int fallback) {
    lua_State *L = t->config->lua;
    struct buffer list = {0};
    lua_pushstring(L, name);
    int type = lua_rawget(L, t->index), value = fallback;
    bool found = (type == LUA_TNIL && !required) || config_box_is_unset(L, -1);
    const char *text = text_of(L);
    for (size_t i = 0; i < count; i++) {
        if (text != NULL && strcmp(text, words[i].word) == 0) {
            value = words[i].value;
            found = true;
        }
        buffer_add_format(&list, "%s\"%s\"",
                          i == 0          ? ""
                          : i + 1 < count ? ", "
                                          : " or ",
                          words[i].word);
    }
    lua_pop(L, 1);
    if (!found)
        field_problem(t, name, "%smust be %s", type == LUA_TNIL ? "is missing: " : "", list.data);
    buffer_free(&list);
    return value;
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
static void read_value(const struct table *t, const struct field *f, void *to) {
    lua_State *L = t->config->lua;
    switch (f->type) {
    case FIELD_STRING:
        read_string(t, f, to);
        break;
    case FIELD_BOOLEAN:
        if (lua_isboolean(L, -1))
            *(bool *)to = lua_toboolean(L, -1);
        else
            field_problem(t, f->name, "must be true or false, without quotes");
        break;
    case FIELD_UNSIGNED:
    case FIELD_COUNT:
    case FIELD_NUMBER:
        read_number(t, f, to);
        break;
    case FIELD_SIZE:
        read_size(t, f, to);
        break;
    case FIELD_DURATION:
        read_duration(t, f, to);
        break;
    case FIELD_OTHER:
        break;
    }
}

void field_read(const struct table *t, const struct field *f, void *target) {
    lua_State *L = t->config->lua;
    lua_pushstring(L, f->name);
    if (lua_rawget(L, t->index) != LUA_TNIL && !config_box_is_unset(L, -1))
        read_value(t, f, (char *)target + f->offset);
    lua_pop(L, 1);
}

void fields_read(const struct table *t, const struct field *fields, size_t count, void *target) {
    lua_State *L = t->config->lua;
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(L, fields[i].name);
        bool missing = lua_rawget(L, t->index) == LUA_TNIL;
        lua_pop(L, 1);
        if (!missing)
            field_read(t, &fields[i], target);
        else if (fields[i].required)
            field_problem(t, fields[i].name, "is missing");
    }
    lua_pushnil(L);
    while (lua_next(L, t->index) != 0) {
        lua_pop(L, 1);
        bool known = false;
        const char *name = text_of(L);
        for (size_t i = 0; i < count && name != NULL; i++)
            known = known || strcmp(name, fields[i].name) == 0;
        if (!known)
            report_unknown(t, fields, count);
    }
}
