/*
 * require: the bundle's own modules, those of lua-lib, and the built-in ones. Nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "script/script_file.h"
#include "script/script_internal.h"

int luaopen_cjson(lua_State *L);

#define CJSON_DEPTH 1000 /* lua-cjson recurses on the C stack */

static const char source_type[] = "hookmoon.require.source";
static const char loaded_key; /* its address is the key of the loaded modules' table */

/* "a.b" -> "a/b.lua"; false when the name has anything that a path must not have. */
static bool module_path(const char *name, struct buffer *path) {
    if (name[0] == '\0')
        return false;
    bool start = true;
    for (const char *at = name; *at != '\0'; at++) {
        bool letter = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                      (*at >= '0' && *at <= '9') || *at == '_' || *at == '-';
        if (!letter && (*at != '.' || start || at[1] == '\0'))
            return false;
        start = *at == '.';
        buffer_add_char(path, *at == '.' ? '/' : *at);
    }
    buffer_add_string(path, ".lua");
    return true;
}

/* A userdata that owns C memory while Lua may raise. */
struct source {
    struct buffer path, text;
};

static int source_gc(lua_State *L) {
    struct source *source = lua_touserdata(L, 1);
    buffer_free(&source->path);
    buffer_free(&source->text);
    return 0;
}

static struct source *push_source(lua_State *L) {
    struct source *source = lua_newuserdatauv(L, sizeof *source, 0);
    *source = (struct source){0};
    luaL_setmetatable(L, source_type);
    return source;
}

/* Pushes the module's chunk and returns true when `folder` has it; raises when it is broken. */
static bool load_from(lua_State *L, const char *folder, const char *name) {
    if (folder == NULL)
        return false;
    struct source *source = push_source(L);
    struct error e;
    module_path(name, &source->path);
    int found = script_file_read(folder, source->path.data, &source->text, &e);
    if (found == 0) {
        lua_pop(L, 1);
        return false;
    }
    if (found < 0)
        luaL_error(L, "module '%s': %s", name, e.message);
    lua_pushfstring(L, "@%s/%s", folder, source->path.data);
    int status =
        lua_load_text(L, buffer_string(&source->text), source->text.length, lua_tostring(L, -1));
    buffer_free(&source->path);
    buffer_free(&source->text);
    if (status != LUA_OK)
        lua_error(L);
    lua_replace(L, -3);
    lua_pop(L, 1);
    return true;
}

static int require(lua_State *L) {
    const struct script *s = script_of(L);
    size_t length;
    const char *name = luaL_checklstring(L, 1, &length);
    luaL_argcheck(L, strlen(name) == length, 1, "the module's name has a NUL in it");
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &loaded_key);
    if (lua_getfield(L, 2, name) != LUA_TNIL) {
        if (lua_touserdata(L, -1) == &loaded_key)
            return luaL_error(
                L, "module '%s' requires itself, directly or through others, or failed before",
                name);
        return 1;
    }
    struct source *check = push_source(L);
    if (!module_path(name, &check->path))
        return luaL_error(L, "module name '%s' is not made of letters, digits, '_', '-' and '.'",
                          name);
    buffer_free(&check->path);
    if (!load_from(L, s->bundle->folder, name) && !load_from(L, s->limits.library, name))
        return luaL_error(L, "module '%s' not found: neither built in nor in %s%s%s", name,
                          s->bundle->folder != NULL ? s->bundle->folder : "",
                          s->bundle->folder != NULL ? " or " : "",
                          s->limits.library != NULL ? s->limits.library : "a library");
    lua_pushlightuserdata(L, (void *)(uintptr_t)&loaded_key); /* being loaded */
    lua_setfield(L, 2, name);
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, 2, name);
    return 1;
}

/* ---- lua-cjson ---- */

/* cjson.encode knows no bound but depth, and a small table that refers to itself over many ways, or
 * whose only item is at [1e9], makes a text without end: measured first. */
static int cjson_encode(lua_State *L) {
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    lua_json_bound(L, 1);
    return lua_bounds_call_original(L);
}

static int cjson_decode(lua_State *L) {
    size_t length;
    luaL_checklstring(L, 1, &length);
    lua_json_bound(L, 1);
    lua_settop(L, 1);
    sandbox_spend(L, length / 8);
    return lua_bounds_call_original(L);
}

/* cjson.encode_max_depth, cjson.decode_max_depth */
static int cjson_max_depth(lua_State *L) {
    luaL_argcheck(L, luaL_optinteger(L, 1, 1) <= CJSON_DEPTH, 1, "the depth is 1000 at most");
    return lua_bounds_call_original(L);
}

static const luaL_Reg cjson_guards[] = {
    {"encode", cjson_encode},
    {"decode", cjson_decode},
    {"encode_max_depth", cjson_max_depth},
    {"decode_max_depth", cjson_max_depth},
};

static void push_cjson(lua_State *L) {
    lua_pushcfunction(L, luaopen_cjson);
    lua_call(L, 0, 1);
    for (size_t i = 0; i < COUNT_OF(cjson_guards); i++) {
        lua_getfield(L, -1, cjson_guards[i].name);
        lua_pushcclosure(L, cjson_guards[i].func, 1);
        lua_setfield(L, -2, cjson_guards[i].name);
    }
    lua_pushnil(L); /* would make instances that are not bounded */
    lua_setfield(L, -2, "new");
}

void lua_require_register(lua_State *L) {
    luaL_newmetatable(L, source_type);
    lua_pushcfunction(L, source_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_newtable(L);
    lua_getglobal(L, "json");
    lua_setfield(L, -2, "json");
    lua_getglobal(L, "log");
    lua_setfield(L, -2, "log");
    push_cjson(L);
    lua_setfield(L, -2, "cjson");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &loaded_key);
    lua_register(L, "require", require);
}

int lua_load_text(lua_State *L, const char *text, size_t length, const char *name) {
    if (length > 0 && text[0] == LUA_SIGNATURE[0]) {
        lua_pushfstring(L, "%s: this is compiled Lua; only source text is loaded", name + 1);
        return LUA_ERRSYNTAX;
    }
    return luaL_loadbufferx(L, text, length, name, "t");
}
