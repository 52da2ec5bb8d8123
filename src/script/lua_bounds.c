/*
 * Functions of Lua's own libraries, made again with a bound: they loop in C, where the count hook
 * does not look, or would let a script run code where it cannot be stopped. Their work is counted
 * as instructions. Most are made whole, not wrapped, so that their errors name the script's line;
 * the wrapped ones check their arguments first. (A single pattern that backtracks has no bound yet;
 * see docs/lua-api.md.)
 */
#include "script/script_internal.h"

#define MAX_ITEMS 10000000

int lua_bounds_call_original(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* How many items the positions `first` to `last` are. */
static uint64_t range(lua_Integer first, lua_Integer last) {
    uint64_t size = (uint64_t)last - (uint64_t)first;
    return first > last ? 0 : size == UINT64_MAX ? size : size + 1;
}

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
    sandbox_spend(L, (uint64_t)count * one / 16);
    return 1;
}

/* string.find, string.match: one call cannot be interrupted, but the next does not begin. */
static int string_pattern(lua_State *L) {
    size_t length;
    luaL_checklstring(L, 1, &length);
    luaL_checkstring(L, 2);
    int results = lua_bounds_call_original(L);
    sandbox_spend(L, length / 16);
    return results;
}

static int string_gsub(lua_State *L) {
    int type = lua_type(L, 3);
    luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
    luaL_argexpected(L,
                     type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TTABLE ||
                         type == LUA_TFUNCTION,
                     3, "string/function/table");
    return string_pattern(L);
}

static int next_match(lua_State *L) {
    int results = lua_bounds_call_original(L);
    sandbox_spend(L, 1);
    return results;
}

static int string_gmatch(lua_State *L) {
    luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
    lua_bounds_call_original(L);
    lua_pushcclosure(L, next_match, 1);
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
        sandbox_spend(L, range(at, end - 1));
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
    sandbox_spend(L, range(at, size - 1));
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
    sandbox_spend(L, range(first, last));
    bool overlaps = to == 1 && at > first && at <= last;
    for (lua_Integer i = 0; i < (lua_Integer)count; i++) {
        lua_Integer step = overlaps ? (lua_Integer)count - 1 - i : i;
        lua_geti(L, 1, first + step);
        lua_seti(L, to, at + step);
    }
    lua_pushvalue(L, to);
    return 1;
}

/* table.sort(t [, before]) */
static int table_sort(lua_State *L) {
    lua_Integer size = length_of(L);
    uint64_t work = (uint64_t)size;
    if (!lua_isnoneornil(L, 2))
        luaL_checktype(L, 2, LUA_TFUNCTION);
    for (lua_Integer left = size; left > 1; left /= 2)
        work += (uint64_t)size;
    sandbox_spend(L, work);
    return lua_bounds_call_original(L);
}

/* table.concat(t [, separator [, first [, last]]]) */
static int table_concat(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_optstring(L, 2, "");
    lua_settop(L, 4);
    lua_Integer first = luaL_optinteger(L, 3, 1);
    lua_Integer last = lua_isnil(L, 4) ? luaL_len(L, 1) : luaL_checkinteger(L, 4);
    sandbox_spend(L, range(first, last));
    lua_pushinteger(L, last); /* so that it is not asked of `__len` again */
    lua_replace(L, 4);
    return lua_bounds_call_original(L);
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
    return lua_bounds_call_original(L);
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

/* coroutine.create(f): each coroutine counts for itself and may end before its count is looked at,
 * so the whole first interval is paid for here. */
static int coroutine_create(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    sandbox_spend(L, SANDBOX_INTERVAL);
    return lua_bounds_call_original(L);
}

/* The error of a wrapped coroutine becomes the caller's. */
static int raise_of(lua_State *L, lua_State *coroutine, int status) {
    struct script *s = script_of(L);
    if (status == LUA_ERRMEM && s->exceeded == LIMIT_NONE)
        s->exceeded = LIMIT_MEMORY;
    /* One that a limit ended has its hook disabled: `__close` in it could not be stopped. */
    sandbox_spend(L, 0);
    if (lua_status(coroutine) > LUA_YIELD)
        lua_resetthread(coroutine);
    lua_xmove(coroutine, L, 1);
    if (lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int resume_wrapped(lua_State *L) {
    lua_State *coroutine = lua_tothread(L, lua_upvalueindex(1));
    int arguments = lua_gettop(L), results;
    if (!lua_checkstack(coroutine, arguments))
        return luaL_error(L, "too many arguments to resume");
    lua_xmove(L, coroutine, arguments);
    int status = lua_resume(coroutine, L, arguments, &results);
    if (status > LUA_YIELD)
        return raise_of(L, coroutine, status);
    if (!lua_checkstack(L, results + 1)) {
        lua_pop(coroutine, results);
        return luaL_error(L, "too many results to resume");
    }
    lua_xmove(coroutine, L, results);
    return results;
}

/* coroutine.wrap(f): Lua's own closes a coroutine that failed, even one that a limit ended. */
static int coroutine_wrap(lua_State *L) {
    coroutine_create(L);
    lua_pushcclosure(L, resume_wrapped, 1);
    return 1;
}

/* coroutine.close(co): runs its `__close`; not when a limit may have ended it. */
static int coroutine_close(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTHREAD);
    sandbox_spend(L, 0);
    return lua_bounds_call_original(L);
}

static const struct {
    const char *library, *name;
    const char *original; /* of the same library, the function's upvalue */
    lua_CFunction function;
} functions[] = {
    {LUA_STRLIBNAME, "rep", "rep", string_rep},
    {LUA_STRLIBNAME, "find", "find", string_pattern},
    {LUA_STRLIBNAME, "match", "match", string_pattern},
    {LUA_STRLIBNAME, "gsub", "gsub", string_gsub},
    {LUA_STRLIBNAME, "gmatch", "gmatch", string_gmatch},
    {LUA_TABLIBNAME, "insert", "insert", table_insert},
    {LUA_TABLIBNAME, "remove", "remove", table_remove},
    {LUA_TABLIBNAME, "move", "move", table_move},
    {LUA_TABLIBNAME, "sort", "sort", table_sort},
    {LUA_TABLIBNAME, "concat", "concat", table_concat},
    {LUA_GNAME, "setmetatable", "setmetatable", set_metatable},
    {LUA_GNAME, "xpcall", "xpcall", guarded_xpcall},
    {LUA_COLIBNAME, "wrap", "create", coroutine_wrap}, /* before `create` is replaced */
    {LUA_COLIBNAME, "create", "create", coroutine_create},
    {LUA_COLIBNAME, "close", "close", coroutine_close},
};

void lua_bounds_register(lua_State *L) {
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        lua_getglobal(L, functions[i].library);
        lua_getfield(L, -1, functions[i].original);
        lua_pushcclosure(L, functions[i].function, 1);
        lua_setfield(L, -2, functions[i].name);
        lua_pop(L, 1);
    }
}
