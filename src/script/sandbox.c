/*
 * The box a bundle runs in: capped memory, counted instructions, a wall deadline, and only what the
 * allow-lists below name.
 */
#include <stdlib.h>

#include "script/script_internal.h"

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

/* Counts `work` instructions more; false when a limit is exceeded, now or before. */
static bool within_limits(struct script *s, uint64_t work) {
    if (s->exceeded != LIMIT_NONE)
        return false;
    if (work > s->limits.instructions - s->instructions)
        s->exceeded = LIMIT_INSTRUCTIONS;
    else if (clock_mono_ns() > s->deadline_ns)
        s->exceeded = LIMIT_DEADLINE;
    else
        s->instructions += work;
    return s->exceeded == LIMIT_NONE;
}

/* Raises with the place where the function at `level` stands. */
static void raise_limit(lua_State *L, int level) {
    luaL_where(L, level);
    lua_pushstring(L, sandbox_limit_message(script_of(L)));
    lua_concat(L, 2);
    lua_error(L);
}

static void on_count(lua_State *L, lua_Debug *where) {
    (void)where;
    if (within_limits(script_of(L), SANDBOX_INTERVAL))
        return;
    /* A pcall in the script may swallow the error: raise again at the very next instruction. */
    lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
    raise_limit(L, 0);
}

void sandbox_spend(lua_State *L, uint64_t work) {
    if (!within_limits(script_of(L), work))
        raise_limit(L, 1);
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
    lua_json_push(L, script_of(L)->bundle->config);
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
    lua_sethook(s->lua, on_count, LUA_MASKCOUNT, SANDBOX_INTERVAL);
}

/* Does "file:line:" stand in it? */
static bool has_place(const char *message) {
    for (const char *at = strchr(message, ':'); at != NULL; at = strchr(at + 1, ':')) {
        size_t digits = strspn(at + 1, "0123456789");
        if (digits > 0 && at[1 + digits] == ':')
            return true;
    }
    return false;
}

/* The message with the place where the innermost Lua function stands: those of tables, of
 * error(text, 0) and of C functions called by C functions come without. */
static const char *with_place(lua_State *L, const char *message) {
    lua_Debug at;
    if (has_place(message))
        return message;
    for (int level = 1; lua_getstack(L, level, &at); level++) {
        lua_getinfo(L, "Sl", &at);
        if (at.currentline > 0)
            return lua_pushfstring(L, "%s:%d: %s", at.short_src, at.currentline, message);
    }
    return message;
}

static int on_error(lua_State *L) {
    const char *message = lua_tostring(L, 1);
    if (message == NULL) {
        if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING)
            message = lua_tostring(L, -1);
        else
            message = lua_pushfstring(L, "(the error is a %s, not a string)", luaL_typename(L, 1));
    }
    message = with_place(L, message);
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
