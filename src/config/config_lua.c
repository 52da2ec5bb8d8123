#include "config/config_lua.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>
#include <lualib.h>

#define MEMORY_BYTES     (32u * 1024 * 1024)
#define INSTRUCTIONS     (50u * 1000 * 1000)
#define HOOK_INTERVAL    1000
#define MAX_TRACKED      (2u * 1000 * 1000)
#define MAX_DEPTH        16

/* Keys of the registry, by address: the globals; and {table -> {key -> line}}, where the key
 * `lines_key` itself (as light userdata) stands for the table's own line. */
static const char globals_key, lines_key;

static const char *const allowed[] = {"assert", "error",    "ipairs",   "math", "pairs",
                                      "select", "string",   "table",    "tonumber",
                                      "tostring", "type"};

static struct config_lua *config_of(lua_State *L) {
    return *(struct config_lua **)lua_getextraspace(L);
}

static void *allocate(void *context, void *block, size_t old_size, size_t new_size) {
    struct config_lua *c = context;
    size_t held = block != NULL ? old_size : 0;
    if (!c->evaluated && new_size > held && c->memory - held + new_size > MEMORY_BYTES)
        return NULL;
    c->memory = c->memory - held + new_size;
    if (new_size == 0) {
        free(block);
        return NULL;
    }
    return realloc(block, new_size);
}

/* ---- lines ---- */

/* Pushes {key -> line} of the table at `table`; makes it, with the line where it was first seen. */
static void push_lines(lua_State *L, int table, int line) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &lines_key);
    lua_pushvalue(L, table);
    if (lua_rawget(L, -2) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushinteger(L, line);
        lua_rawsetp(L, -2, &lines_key);
        lua_pushvalue(L, table);
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
    }
    lua_remove(L, -2);
}

/* Notes `line` for every field of the table at the top that is new since the last look. */
static void track_table(lua_State *L, int line, int depth) {
    struct config_lua *c = config_of(L);
    if (depth > MAX_DEPTH || c->tracked > MAX_TRACKED || !lua_checkstack(L, 12))
        return;
    int table = lua_gettop(L);
    push_lines(L, table, line);
    int lines = table + 1;
    lua_pushnil(L);
    while (lua_next(L, table) != 0) {
        c->tracked++;
        lua_pushvalue(L, -2);
        if (lua_rawget(L, lines) == LUA_TNIL) {
            lua_pushvalue(L, -3);
            lua_pushinteger(L, line);
            lua_rawset(L, lines);
        }
        lua_pop(L, 1);
        if (lua_istable(L, -1))
            track_table(L, line, depth + 1);
        lua_pop(L, 1);
    }
    lua_settop(L, table);
}

/*
 * A new line begins: what has appeared in the function's tables since the last one was written
 * there. Tables under construction are among its temporaries.
 */
static void track(lua_State *L, lua_Debug *ar) {
    struct config_lua *c = config_of(L);
    int top = lua_gettop(L);
    for (int i = 1; c->tracked <= MAX_TRACKED && lua_checkstack(L, 4); i++) {
        if (lua_getlocal(L, ar, i) == NULL)
            break;
        if (lua_istable(L, -1))
            track_table(L, c->line, 0);
        lua_settop(L, top);
    }
    c->line = ar->currentline;
}

static void on_hook(lua_State *L, lua_Debug *ar) {
    struct config_lua *c = config_of(L);
    if (ar->event == LUA_HOOKLINE) {
        track(L, ar);
        return;
    }
    c->instructions += HOOK_INTERVAL;
    if (c->instructions > INSTRUCTIONS)
        luaL_error(L, "this runs too long for a configuration (an endless loop?)");
}

/* NAME = value */
static int on_global(lua_State *L) {
    struct config_lua *c = config_of(L);
    lua_Debug ar;
    int line = c->line;
    if (lua_getstack(L, 1, &ar) && lua_getinfo(L, "l", &ar))
        line = ar.currentline;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &globals_key);
    push_lines(L, 4, line);
    lua_pushvalue(L, 2);
    lua_pushinteger(L, line);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_rawset(L, 4);
    if (lua_istable(L, 3)) {
        lua_settop(L, 3);
        track_table(L, line, 0);
    }
    return 0;
}

/* The line of a field, or the nearest that is known. */
static int line_of(lua_State *L, int table, int key) {
    int line = 0, top = lua_gettop(L);
    if (table == 0)
        return 0;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &lines_key);
    lua_pushvalue(L, table);
    if (lua_rawget(L, -2) == LUA_TTABLE) {
        lua_rawgetp(L, -1, &lines_key);
        line = (int)lua_tointeger(L, -1);
        lua_pop(L, 1);
        if (key != 0) {
            lua_pushvalue(L, key);
            if (lua_rawget(L, -2) == LUA_TNUMBER)
                line = (int)lua_tointeger(L, -1);
            lua_pop(L, 1);
            /* An item of a list that is a table: where that begins. Items are stored late. */
            lua_pushvalue(L, key);
            if (lua_isinteger(L, -1) && lua_rawget(L, table) == LUA_TTABLE) {
                lua_rawgetp(L, LUA_REGISTRYINDEX, &lines_key);
                lua_pushvalue(L, -2);
                if (lua_rawget(L, -2) == LUA_TTABLE) {
                    lua_rawgetp(L, -1, &lines_key);
                    line = (int)lua_tointeger(L, -1);
                }
            }
        }
    }
    lua_settop(L, top);
    return line;
}

void config_lua_problem(struct config_lua *c, int table, int key, const char *field,
                        const char *format, ...) {
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    int line = c->lua != NULL ? line_of(c->lua, table, key) : 0;
    char *where = line > 0 ? xasprintf("%s:%d", c->name, line) : xstrdup(c->name);
    c->problems++;
    c->report(c->context, where, field, message);
    free(where);
}

/* ---- evaluation ---- */

/* env(NAME [, default]) */
static int env(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    const char *value = getenv(name);
    if (value == NULL && lua_isnoneornil(L, 2))
        return luaL_error(L, "the environment variable %s is not set", name);
    lua_pushstring(L, value != NULL ? value : luaL_checkstring(L, 2));
    return 1;
}

/* lua_CFunction: makes the globals that the file sees: reading finds what was assigned and what is
 * allowed, writing passes through on_global. */
static int prepare(lua_State *L) {
    luaL_requiref(L, LUA_GNAME, luaopen_base, 1);
    luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 1);
    luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 1);
    luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 1);
    lua_pushnil(L);
    lua_setfield(L, 2, "dump");
    lua_settop(L, 0);
    lua_newtable(L); /* 1: the globals, always empty */
    lua_newtable(L); /* 2: their metatable */
    lua_newtable(L); /* 3: what was assigned */
    lua_newtable(L); /* 4: what is allowed */
    for (size_t i = 0; i < COUNT_OF(allowed); i++) {
        lua_getglobal(L, allowed[i]);
        lua_setfield(L, 4, allowed[i]);
    }
    lua_pushcfunction(L, env);
    lua_setfield(L, 4, "env");
    lua_newtable(L);
    lua_insert(L, 4);
    lua_setfield(L, 4, "__index");
    lua_setmetatable(L, 3);
    lua_pushvalue(L, 3);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &globals_key);
    lua_setfield(L, 2, "__index");
    lua_pushcfunction(L, on_global);
    lua_setfield(L, 2, "__newindex");
    lua_pushliteral(L, "configuration");
    lua_setfield(L, 2, "__metatable");
    lua_setmetatable(L, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &lines_key);
    return 0;
}

/* Splits "FILE:LINE: message" as Lua writes it. */
static void report_lua_error(struct config_lua *c, const char *message) {
    size_t length = strlen(c->name);
    if (message != NULL && strncmp(message, c->name, length) == 0 && message[length] == ':') {
        const char *after = message + length + 1;
        size_t digits = strspn(after, "0123456789");
        if (digits > 0 && after[digits] == ':') {
            char *where = xstrndup(message, length + 1 + digits);
            after += digits + 1;
            c->problems++;
            c->report(c->context, where, "", after + strspn(after, " "));
            free(where);
            return;
        }
    }
    config_lua_problem(c, 0, 0, "", "%s", message != NULL ? message : "unknown error");
}

/* lua_CFunction: everything that may raise. */
static int evaluate(lua_State *L) {
    struct config_lua *c = config_of(L);
    lua_sethook(L, on_hook, LUA_MASKCOUNT | LUA_MASKLINE, HOOK_INTERVAL);
    lua_call(L, 0, 0);
    lua_sethook(L, NULL, 0, 0);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &globals_key);
    lua_pushnil(L);
    lua_setmetatable(L, -2);
    track_table(L, c->line, 0);
    return 1;
}

bool config_lua_run(struct config_lua *c, const char *name, const char *text, size_t length,
                    config_report *report, void *context) {
    *c = (struct config_lua){.name = name, .report = report, .context = context};
    lua_State *L = c->lua = lua_newstate(allocate, c);
    if (L == NULL) {
        config_lua_problem(c, 0, 0, "", "out of memory");
        return false;
    }
    *(struct config_lua **)lua_getextraspace(L) = c;
    if (length > 0 && text[0] == LUA_SIGNATURE[0]) {
        config_lua_problem(c, 0, 0, "", "this is compiled Lua; only source text is read");
        return false;
    }
    lua_pushcfunction(L, prepare);
    char *chunk = xasprintf("@%s", name);
    bool good = lua_pcall(L, 0, 0, 0) == LUA_OK;
    if (good) {
        lua_pushcfunction(L, evaluate);
        good = luaL_loadbufferx(L, text, length, chunk, "t") == LUA_OK &&
               lua_pcall(L, 1, 1, 0) == LUA_OK;
    }
    free(chunk);
    if (!good) {
        report_lua_error(c, lua_tostring(L, -1));
        return false;
    }
    lua_replace(L, 1);
    lua_settop(L, 1);
    c->evaluated = true;
    return true;
}

void config_lua_free(struct config_lua *c) {
    if (c->lua != NULL)
        lua_close(c->lua);
    c->lua = NULL;
}
