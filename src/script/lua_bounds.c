/*
 * Library functions that loop in C, where the count hook does not look: each with a bound on how
 * often. (A pattern that backtracks has none yet; see docs/lua-api.md.)
 */
#include "script/script_internal.h"

#define MAX_STEPS 10000000

static int call_original(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* string.rep("", n) takes no memory, which bounds all others. */
static int string_rep(lua_State *L) {
    size_t length, separator = 0;
    luaL_checklstring(L, 1, &length);
    luaL_optlstring(L, 3, "", &separator);
    if (length == 0 && separator == 0) {
        luaL_checkinteger(L, 2);
        lua_pushliteral(L, "");
        return 1;
    }
    return call_original(L);
}

static int table_move(lua_State *L) {
    lua_Integer from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3);
    luaL_argcheck(L, (lua_Number)to - (lua_Number)from < MAX_STEPS, 3, "too many elements to move");
    return call_original(L);
}

/* table.insert and table.remove: a __len may say anything. */
static int table_shift(lua_State *L) {
    luaL_argcheck(L, !lua_istable(L, 1) || luaL_len(L, 1) < MAX_STEPS, 1, "the table is too long");
    return call_original(L);
}

static const struct {
    const char *library, *name;
    lua_CFunction bounded;
} functions[] = {
    {LUA_STRLIBNAME, "rep", string_rep},
    {LUA_TABLIBNAME, "move", table_move},
    {LUA_TABLIBNAME, "insert", table_shift},
    {LUA_TABLIBNAME, "remove", table_shift},
};

void lua_bounds_register(lua_State *L) {
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        lua_getglobal(L, functions[i].library);
        sandbox_wrap(L, functions[i].name, functions[i].bounded);
        lua_pop(L, 1);
    }
}
