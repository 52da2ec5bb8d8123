#include "config/config_box.h"

#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>
#include <lualib.h>

#include "config/config_lines.h"

#define MAX_STEPS    (500.0 * 1000 * 1000) /* of one call */
#define MAX_REPEATS  (16 * 1000 * 1000)
#define MAX_PROBLEMS 100 /* reported while the file runs: it may loop */

/* Stands for what is not there; no value that is meant has it. */
static const char unset[] = "\x01(unset)\x02";

/* Key of the registry, by address: the table of what was assigned. */
static const char assigned_key;

static const struct luaL_Reg libraries[] = {
    {LUA_GNAME, luaopen_base},
    {LUA_STRLIBNAME, luaopen_string},
    {LUA_TABLIBNAME, luaopen_table},
    {LUA_MATHLIBNAME, luaopen_math},
};
static const char *const allowed[] = {"assert", "error", "ipairs", "math",     "pairs",   "select",
                                      "string", "table", "type",   "tonumber", "tostring"};

static int env(lua_State *L);
static int string_find(lua_State *L);
static int string_pattern(lua_State *L);
static int string_rep(lua_State *L);
static int table_move(lua_State *L);

/* Put before a library's function, which is its upvalue. */
static const struct {
    const char *library, *name;
    lua_CFunction function;
} bounded[] = {
    {LUA_STRLIBNAME, "find", string_find},      {LUA_STRLIBNAME, "match", string_pattern},
    {LUA_STRLIBNAME, "gmatch", string_pattern}, {LUA_STRLIBNAME, "gsub", string_pattern},
    {LUA_STRLIBNAME, "rep", string_rep},        {LUA_TABLIBNAME, "move", table_move},
};

/* ---- bounded functions ---- */

static int call_bounded(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* Raises an error when searching could take more than MAX_STEPS. A pattern backtracks at most as
 * often as the subject is long, for each repetition in it. */
static void check_search(lua_State *L, bool plain) {
    size_t subject, length;
    luaL_checklstring(L, 1, &subject);
    const char *pattern = luaL_checklstring(L, 2, &length);
    double repeated = (double)subject + 1, steps = repeated;
    for (size_t i = 0; i < length && !plain && steps <= MAX_STEPS; i++) {
        if (strchr("*+-?", pattern[i]) != NULL || (i > 0 && memcmp(pattern + i - 1, "%b", 2) == 0))
            steps *= repeated;
    }
    if (steps > MAX_STEPS || repeated * (double)length > MAX_STEPS)
        luaL_error(L, "this could search too long in a string of that length");
}

static int string_pattern(lua_State *L) {
    check_search(L, false);
    return call_bounded(L);
}

static int string_find(lua_State *L) {
    check_search(L, lua_toboolean(L, 4));
    return call_bounded(L);
}

static int string_rep(lua_State *L) {
    luaL_argcheck(L, luaL_checkinteger(L, 2) <= MAX_REPEATS, 2, "too many repetitions");
    return call_bounded(L);
}

static int table_move(lua_State *L) {
    lua_Integer from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3);
    luaL_argcheck(L, (double)to - (double)from <= MAX_REPEATS, 3, "too many elements to move");
    return call_bounded(L);
}

/* ---- what is not there ---- */

bool config_box_is_unset(lua_State *L, int index) {
    size_t length;
    if (lua_type(L, index) != LUA_TSTRING)
        return false;
    const char *text = lua_tolstring(L, index, &length);
    return memmem(text, length, unset, sizeof unset - 1) != NULL;
}

static int caller_line(lua_State *L) {
    lua_Debug ar;
    return lua_getstack(L, 1, &ar) && lua_getinfo(L, "l", &ar) ? ar.currentline : 0;
}

/* Reports it and lets the file go on, so that all that is not there is found at once. */
static int push_unset(lua_State *L, const char *message) {
    struct config_lua *c = config_lua_of(L);
    if (c->problems >= MAX_PROBLEMS)
        return luaL_error(L, "there are too many mistakes to go on");
    config_lua_problem_at(c, caller_line(L), "", message);
    lua_pushlstring(L, unset, sizeof unset - 1);
    return 1;
}

/* env(NAME [, default]) */
static int env(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    const char *fallback = luaL_optstring(L, 2, NULL);
    if (config_box_is_unset(L, 1)) {
        lua_settop(L, 1);
        return 1;
    }
    const char *value = getenv(name);
    if (value == NULL && fallback == NULL) {
        char message[256];
        snprintf(message, sizeof message,
                 "the environment variable %.100s is not set; env(NAME, \"...\") gives a default",
                 name);
        return push_unset(L, message);
    }
    if (value != NULL)
        lua_pushstring(L, value);
    else
        lua_settop(L, 2);
    return 1;
}

/* Reading a global that nobody has set. The name is not told: it may be a secret that lacks its
 * quotes. */
static int on_undefined(lua_State *L) {
    return push_unset(L, "a name is used here that is not defined; text must be in quotes");
}

/* NAME = value */
static int on_global(lua_State *L) {
    struct config_lines *lines = &config_lua_of(L)->lines;
    int line = caller_line(L);
    lua_settop(L, 3);
    config_box_push_assigned(L);
    config_lines_assign(lines, L, 4, 2, line);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_rawset(L, 4);
    lua_settop(L, 3);
    if (lua_istable(L, 3))
        config_lines_finish(lines, L);
    return 0;
}

/* ---- setting up ---- */

/* Leaves the allowed globals of the fresh state in the table that is pushed. */
static void push_allowed(lua_State *L) {
    for (size_t i = 0; i < COUNT_OF(libraries); i++) {
        luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
        lua_pop(L, 1);
    }
    lua_getglobal(L, LUA_STRLIBNAME);
    lua_pushnil(L);
    lua_setfield(L, -2, "dump");
    lua_pop(L, 1);
    for (size_t i = 0; i < COUNT_OF(bounded); i++) {
        lua_getglobal(L, bounded[i].library);
        lua_getfield(L, -1, bounded[i].name);
        lua_pushcclosure(L, bounded[i].function, 1);
        lua_setfield(L, -2, bounded[i].name);
        lua_pop(L, 1);
    }
    lua_newtable(L);
    for (size_t i = 0; i < COUNT_OF(allowed); i++) {
        lua_getglobal(L, allowed[i]);
        lua_setfield(L, -2, allowed[i]);
    }
    lua_pushcfunction(L, env);
    lua_setfield(L, -2, "env");
}

/* Gives the table at `table` the one on the top, which is popped, as its fallback for reading. */
static void set_index(lua_State *L, int table) {
    lua_newtable(L);
    lua_insert(L, -2);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, table);
}

/* The globals stay empty: reading finds what was assigned, then what is allowed, and writing passes
 * through on_global. */
int config_box_open(lua_State *L) {
    config_lines_open(L);
    lua_settop(L, 0);
    lua_newtable(L); /* 1: the globals */
    lua_newtable(L); /* 2: what was assigned */
    push_allowed(L); /* 3 */
    lua_pushcfunction(L, on_undefined);
    set_index(L, 3);
    set_index(L, 2);
    lua_pushvalue(L, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &assigned_key);
    set_index(L, 1);
    lua_getmetatable(L, 1);
    lua_pushcfunction(L, on_global);
    lua_setfield(L, -2, "__newindex");
    lua_pop(L, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    return 0;
}

void config_box_push_assigned(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &assigned_key);
}
