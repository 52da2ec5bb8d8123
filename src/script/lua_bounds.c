/*
 * Functions of Lua's own libraries, made again with a bound: they loop in C, where the count hook
 * does not look, or would let a script run code where it cannot be stopped. They are made whole,
 * not wrapped, so that their errors name the script's line. (A pattern that backtracks has no bound
 * yet; see docs/lua-api.md.)
 */
#include "script/script_internal.h"

#define MAX_ITEMS 10000000

/* string.rep(s, n [, separator]) */
static int string_rep(lua_State *L) {
    size_t length, separator_length;
    const char *text = luaL_checklstring(L, 1, &length);
    lua_Integer count = luaL_checkinteger(L, 2);
    const char *separator = luaL_optlstring(L, 3, "", &separator_length);
    size_t one = length + separator_length;
    if (count <= 0 || one == 0) {
        lua_pushliteral(L, ""); /* however often: nothing takes no memory, but it takes time */
        return 1;
    }
    if ((lua_Number)count * (lua_Number)one > (lua_Number)script_of(L)->limits.memory_bytes)
        return luaL_error(L, "resulting string too large (limits.script_memory)");
    luaL_Buffer buffer;
    char *to = luaL_buffinitsize(L, &buffer, (size_t)count * one - separator_length);
    for (lua_Integer i = 1; i <= count; i++) {
        memcpy(to, text, length);
        to += length;
        if (i < count) {
            memcpy(to, separator, separator_length);
            to += separator_length;
        }
    }
    luaL_pushresultsize(&buffer, (size_t)count * one - separator_length);
    return 1;
}

/* A table's length; a __len may say anything. */
static lua_Integer length_of(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer length = luaL_len(L, 1);
    luaL_argcheck(L, length <= MAX_ITEMS, 1, "the table is too long");
    return length;
}

/* table.insert(t, [position,] value) */
static int table_insert(lua_State *L) {
    lua_Integer end = length_of(L) + 1, at = end;
    if (lua_gettop(L) != 2 && lua_gettop(L) != 3)
        return luaL_error(L, "wrong number of arguments to 'insert'");
    if (lua_gettop(L) == 3) {
        at = luaL_checkinteger(L, 2);
        luaL_argcheck(L, at >= 1 && at <= end, 2, "position out of bounds");
        for (lua_Integer i = end; i > at; i--) {
            lua_geti(L, 1, i - 1);
            lua_seti(L, 1, i);
        }
    }
    lua_seti(L, 1, at);
    return 0;
}

/* table.remove(t [, position]) */
static int table_remove(lua_State *L) {
    lua_Integer size = length_of(L), at = luaL_optinteger(L, 2, size);
    if (lua_gettop(L) > 1)
        luaL_argcheck(L, (at >= 1 && at <= size + 1) || (size == 0 && at == 0), 2,
                      "position out of bounds");
    lua_geti(L, 1, at);
    for (; at < size; at++) {
        lua_geti(L, 1, at + 1);
        lua_seti(L, 1, at);
    }
    lua_pushnil(L);
    lua_seti(L, 1, at);
    return 1;
}

/* table.move(from, first, last, at [, to]) */
static int table_move(lua_State *L) {
    lua_Integer first = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3),
                at = luaL_checkinteger(L, 4);
    int to = lua_isnoneornil(L, 5) ? 1 : 5;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, to, LUA_TTABLE);
    lua_Number count = (lua_Number)last - (lua_Number)first + 1;
    luaL_argcheck(L, count <= MAX_ITEMS, 3, "too many elements to move");
    luaL_argcheck(L, at <= LUA_MAXINTEGER - MAX_ITEMS && first <= LUA_MAXINTEGER - MAX_ITEMS, 4,
                  "destination wrap around");
    bool overlaps = to == 1 && at > first && at <= last;
    for (lua_Integer i = 0; i < (lua_Integer)count; i++) {
        lua_Integer step = overlaps ? (lua_Integer)count - 1 - i : i;
        lua_geti(L, 1, first + step);
        lua_seti(L, to, at + step);
    }
    lua_pushvalue(L, to);
    return 1;
}

/* setmetatable(t, mt): no finalisers, which Lua runs without the count hook: one that loops could
 * not be stopped. */
static int set_metatable(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    lua_settop(L, 2);
    if (lua_istable(L, 2)) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "setmetatable: __gc is not available here (use __close)");
        lua_pop(L, 1);
    }
    lua_setmetatable(L, 1);
    return 1;
}

/* Stands before the handler of an xpcall. The error of a limit is raised by the count hook, and Lua
 * calls handlers inside of it, where no hook runs: one that loops could not be stopped. */
static int guarded_handler(lua_State *L) {
    if (script_of(L)->exceeded != LIMIT_NONE)
        return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int after_xpcall(lua_State *L, int status, lua_KContext context) {
    (void)status, (void)context;
    return lua_gettop(L);
}

/* xpcall(f, handler, ...); its upvalue is the original, which never raises an error itself. */
static int guarded_xpcall(lua_State *L) {
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, guarded_handler, 1);
    lua_replace(L, 2);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, after_xpcall);
    return lua_gettop(L);
}

static const struct {
    const char *library, *name;
    lua_CFunction function;
} functions[] = {
    {LUA_STRLIBNAME, "rep", string_rep},        {LUA_TABLIBNAME, "insert", table_insert},
    {LUA_TABLIBNAME, "remove", table_remove},   {LUA_TABLIBNAME, "move", table_move},
    {LUA_GNAME, "setmetatable", set_metatable}, {LUA_GNAME, "xpcall", guarded_xpcall},
};

void lua_bounds_register(lua_State *L) {
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        lua_getglobal(L, functions[i].library);
        lua_getfield(L, -1, functions[i].name);
        lua_pushcclosure(L, functions[i].function, 1); /* its upvalue is the original */
        lua_setfield(L, -2, functions[i].name);
        lua_pop(L, 1);
    }
}
