#include "script/bundle_manifest.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/config_field.h"
#include "script/script_file.h"

#define MAX_DEPTH 32

struct manifest {
    char *name;
    char *version;
    char *description;
};

struct manifest_limits {
    size_t memory_bytes;
    uint64_t instructions;
    int64_t deadline_ms;
};

static const struct field fields[] = {
    {"name", FIELD_STRING, offsetof(struct manifest, name), 1, 0, false},
    {"version", FIELD_STRING, offsetof(struct manifest, version), 0, 0, false},
    {"description", FIELD_STRING, offsetof(struct manifest, description), 0, 0, false},
    {.name = "hooks", .type = FIELD_OTHER},
    {.name = "config", .type = FIELD_OTHER},
    {.name = "limits", .type = FIELD_OTHER},
};

#define LIMIT(member) offsetof(struct manifest_limits, member)
static const struct field limit_fields[] = {
    {"memory", FIELD_SIZE, LIMIT(memory_bytes), 256 << 10, 1e12, false},
    {"instructions", FIELD_COUNT, LIMIT(instructions), 1000, 1e15, false},
    {"deadline", FIELD_DURATION, LIMIT(deadline_ms), 1, 86400000, false},
};

/* ---- config: Lua values to JSON ---- */

static json_t *to_json(const struct table *t, int index, int depth);

static json_t *table_to_json(const struct table *t, int index, int depth) {
    lua_State *L = t->config->lua;
    lua_Integer size = (lua_Integer)lua_rawlen(L, index);
    json_t *json = size > 0 ? json_array() : json_object();
    for (lua_Integer i = 1; i <= size; i++) {
        lua_rawgeti(L, index, i);
        json_array_append_new(json, to_json(t, lua_gettop(L), depth + 1));
        lua_pop(L, 1);
    }
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        int key = lua_gettop(L) - 1;
        if (lua_type(L, key) == LUA_TSTRING && size == 0) {
            if (json_object_set_new(json, lua_tostring(L, key), to_json(t, key + 1, depth + 1)) !=
                0)
                config_lua_problem(t->config, index, key, "config", "a name is not UTF-8");
        } else if (!lua_isinteger(L, key) || lua_tointeger(L, key) < 1 ||
                   lua_tointeger(L, key) > size) {
            config_lua_problem(t->config, index, key, "config",
                               "a table must be a list or have named fields, not both");
        }
        lua_settop(L, key);
    }
    return json;
}

static json_t *to_json(const struct table *t, int index, int depth) {
    lua_State *L = t->config->lua;
    size_t length;
    const char *text;
    json_t *json = NULL;
    if (depth > MAX_DEPTH || !lua_checkstack(L, 8)) {
        config_lua_problem(t->config, 0, 0, "config", "is nested deeper than %d", MAX_DEPTH);
        return json_null();
    }
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        return json_boolean(lua_toboolean(L, index));
    case LUA_TNUMBER:
        json = lua_isinteger(L, index) ? json_integer(lua_tointeger(L, index))
                                       : json_real(lua_tonumber(L, index));
        break;
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &length);
        json = json_stringn(text, length);
        break;
    case LUA_TTABLE:
        json = table_to_json(t, index, depth);
        break;
    default:
        break;
    }
    if (json != NULL)
        return json;
    config_lua_problem(t->config, 0, 0, "config",
                       "has a value that is no table, UTF-8 string, finite number or boolean");
    return json_null();
}

/* ---- the manifest ---- */

static void read_config(const struct table *t, struct bundle *b) {
    lua_State *L = t->config->lua;
    if (!field_push_table(t, "config", "a table"))
        return;
    json_decref(b->config);
    b->config = to_json(t, lua_gettop(L), 0);
    lua_pop(L, 1);
}

static void read_hooks(const struct table *t, struct bundle *b) {
    lua_State *L = t->config->lua;
    if (!field_push_table(t, "hooks", "a list of names"))
        return;
    lua_Integer count = (lua_Integer)lua_rawlen(L, -1), fields_count = 0;
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        lua_pop(L, 1);
        fields_count++;
    }
    if (fields_count != count)
        field_problem(t, "hooks", "is a list of names, without holes or named fields");
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
        if (!bundle_name_valid(name, strlen(name))) {
            field_problem(t, "hooks", "is a list of names of letters, digits, '_' and '-'");
        } else if (bundle_has_hook(b, name)) {
            field_problem(t, "hooks", "has \"%s\" twice", name);
        } else {
            b->hooks = xrealloc(b->hooks, (b->hook_count + 1) * sizeof(char *));
            b->hooks[b->hook_count++] = xstrdup(name);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void read_limits(const struct table *t, struct bundle *b) {
    lua_State *L = t->config->lua;
    if (!field_push_table(t, "limits", "a table { memory =, instructions =, deadline = }"))
        return;
    struct table limits_table = {.config = t->config, .index = lua_gettop(L), .path = "limits"};
    struct manifest_limits limits = {0};
    fields_read(&limits_table, limit_fields, COUNT_OF(limit_fields), &limits);
    b->memory_bytes = limits.memory_bytes;
    b->instructions = limits.instructions;
    b->deadline_ms = limits.deadline_ms;
    lua_pop(L, 1);
}

static void read_manifest(struct config_lua *c, struct bundle *b) {
    struct table globals = {.config = c, .index = 1, .path = ""};
    struct manifest m = {0};
    fields_read(&globals, fields, COUNT_OF(fields), &m);
    if (m.name != NULL && strcmp(m.name, b->name) != 0)
        field_problem(&globals, "name", "is \"%s\", but the folder is \"%s\"", m.name, b->name);
    if (m.version != NULL) {
        free(b->version);
        b->version = m.version;
    }
    free(m.name);
    free(m.description);
    read_hooks(&globals, b);
    read_config(&globals, b);
    read_limits(&globals, b);
}

/* Keeps the first problem. */
static void on_problem(void *context, const char *where, const char *field, const char *message) {
    struct error *e = context;
    if (e->code == ERROR_NONE)
        error_set(e, ERROR_INVALID, "%s: %s%s%s", where, field, field[0] != '\0' ? " " : "",
                  message);
}

bool bundle_manifest_read(struct bundle *b, struct error *e) {
    struct buffer text = {0};
    struct error first = {0};
    int found = script_file_read(b->folder, "bundle.lua", &text, e);
    bool good = found >= 0;
    if (found > 0) {
        struct config_lua c;
        char *name = xasprintf("%s/bundle.lua", b->folder);
        if (config_lua_run(&c, name, buffer_string(&text), text.length, on_problem, &first))
            read_manifest(&c, b);
        good = c.problems == 0;
        if (!good && c.problems > 1)
            error_set(e, first.code, "%s (and %u more)", first.message, c.problems - 1);
        else if (!good)
            *e = first;
        config_lua_free(&c);
        free(name);
    }
    buffer_free(&text);
    return good;
}
