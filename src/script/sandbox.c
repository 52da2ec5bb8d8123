/*
 * The box a bundle runs in: capped memory, counted instructions, a wall deadline, and only what the
 * allow-lists below name.
 */
#include <stdlib.h>

#include "script/script_internal.h"

#define HOOK_INTERVAL 1000 /* instructions between two looks at the limits */

/* All that a script gets of Lua's own libraries; what is not named here does not exist. */
static const char *const allowed_globals[] = {
    "_G",           "_VERSION", "assert",   "error",  "getmetatable", "ipairs",    "next",
    "pairs",        "pcall",    "rawequal", "rawget", "rawlen",       "rawset",    "select",
    "setmetatable", "tonumber", "tostring", "type",   "xpcall",       "coroutine", "math",
    "os",           "string",   "table",    "utf8",
};
static const char *const allowed_of_os[] = {"clock", "date", "time"};

static const struct luaL_Reg libraries[] = {
    {LUA_GNAME, luaopen_base},       {LUA_COLIBNAME, luaopen_coroutine},
    {LUA_MATHLIBNAME, luaopen_math}, {LUA_STRLIBNAME, luaopen_string},
    {LUA_TABLIBNAME, luaopen_table}, {LUA_UTF8LIBNAME, luaopen_utf8},
    {LUA_OSLIBNAME, luaopen_os},
};

static void *allocate(void *context, void *block, size_t old_size, size_t new_size) {
    struct script *s = context;
    size_t held = block != NULL ? old_size : 0; /* for a new block old_size is a type */
    if (new_size == 0) {
        free(block);
        s->memory -= held;
        return NULL;
    }
    if (new_size > held && s->memory - held + new_size > s->limits.memory_bytes)
        return NULL;
    void *moved = realloc(block, new_size);
    if (moved != NULL)
        s->memory += new_size - held;
    return moved;
}

const char *sandbox_limit_message(const struct script *s) {
    switch (s->exceeded) {
    case LIMIT_INSTRUCTIONS:
        return "instruction limit exceeded (limits.script_instructions)";
    case LIMIT_DEADLINE:
        return "time limit exceeded (limits.script_deadline)";
    case LIMIT_MEMORY:
        return "memory limit exceeded (limits.script_memory)";
    case LIMIT_NONE:
        break;
    }
    return "";
}

static void on_count(lua_State *L, lua_Debug *where) {
    (void)where;
    struct script *s = script_of(L);
    if (s->exceeded == LIMIT_NONE) {
        s->instructions += HOOK_INTERVAL;
        if (s->instructions > s->limits.instructions)
            s->exceeded = LIMIT_INSTRUCTIONS;
        else if (clock_mono_ns() > s->deadline_ns)
            s->exceeded = LIMIT_DEADLINE;
        else
            return;
    }
    /* A pcall in the script may swallow the error: raise again at the very next instruction. */
    lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
    luaL_error(L, "%s", sandbox_limit_message(s));
}

static bool is_listed(const char *name, const char *const *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i], name) == 0)
            return true;
    }
    return false;
}

/* Leaves only what is listed in the table on the top. */
static void keep_only(lua_State *L, const char *const *list, size_t count) {
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        lua_pop(L, 1);
        if (!is_listed(lua_tostring(L, -1), list, count)) {
            lua_pushvalue(L, -1);
            lua_pushnil(L);
            lua_rawset(L, -4); /* clearing a field during a traversal is allowed */
        }
    }
}

static void restrict_libraries(lua_State *L) {
    lua_getglobal(L, "os");
    keep_only(L, allowed_of_os, COUNT_OF(allowed_of_os));
    lua_pop(L, 1);
    lua_pushglobaltable(L);
    keep_only(L, allowed_globals, COUNT_OF(allowed_globals));
    lua_getfield(L, -1, "string");
    lua_pushnil(L);
    lua_setfield(L, -2, "dump"); /* bytecode */
    lua_pop(L, 2);
    lua_pushliteral(L, ""); /* the metatable of all strings of this state: not to be changed */
    lua_getmetatable(L, -1);
    lua_pushliteral(L, "string");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
}

static int open_all(lua_State *L) {
    for (size_t i = 0; i < COUNT_OF(libraries); i++) {
        luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
        lua_pop(L, 1);
    }
    restrict_libraries(L);
    lua_bounds_register(L);
    lua_json_open(L);
    lua_setglobal(L, "json");
    lua_log_open(L);
    lua_setglobal(L, "log");
    lua_publish_register(L);
    lua_request_register(L);
    lua_require_register(L);
    lua_json_push(L, script_of(L)->bundle->config, 0);
    lua_setglobal(L, "config");
    return 0;
}

static int on_panic(lua_State *L) {
    log_error("Lua raised an error outside a protected call: this is a bug in hookmoon",
              LOG_STR("error", lua_tostring(L, -1)));
    return 0; /* Lua aborts */
}

lua_State *sandbox_new(struct script *s) {
    lua_State *L = lua_newstate(allocate, s);
    if (L == NULL)
        return NULL;
    lua_atpanic(L, on_panic);
    *(struct script **)lua_getextraspace(L) = s;
    lua_pushcfunction(L, open_all);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
        lua_close(L);
        return NULL;
    }
    return L;
}

void sandbox_begin(struct script *s) {
    s->instructions = 0;
    s->exceeded = LIMIT_NONE;
    s->started_ns = clock_mono_ns();
    s->deadline_ns = s->started_ns + (uint64_t)s->limits.deadline_ms * 1000000u;
    buffer_clear(&s->traceback);
    /* Coroutines take the hook over from the thread that makes them. */
    lua_sethook(s->lua, on_count, LUA_MASKCOUNT, HOOK_INTERVAL);
}

static int on_error(lua_State *L) {
    const char *message = lua_tostring(L, 1);
    if (message == NULL) {
        if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING)
            message = lua_tostring(L, -1);
        else
            message = lua_pushfstring(L, "(the error is a %s, not a string)", luaL_typename(L, 1));
    }
    luaL_traceback(L, L, message, 1);
    lua_pushstring(L, message);
    lua_insert(L, -2);
    /* Under a sticky limit there is no second chance to keep the traceback: take it now. */
    struct script *s = script_of(L);
    buffer_clear(&s->traceback);
    buffer_add_string(&s->traceback, lua_tostring(L, -1));
    lua_pop(L, 1);
    return 1;
}

int sandbox_call(struct script *s, int arguments, int results) {
    lua_State *L = s->lua;
    int at = lua_gettop(L) - arguments;
    lua_pushcfunction(L, on_error);
    lua_insert(L, at);
    int status = lua_pcall(L, arguments, results, at);
    lua_remove(L, at);
    if (status == LUA_ERRMEM && s->exceeded == LIMIT_NONE)
        s->exceeded = LIMIT_MEMORY;
    return status;
}
