/*
 * log.debug/info/warn/error(...): a line in the gateway's log, with the script's file:line, the
 * bundle and the request's id. `print` is log.info.
 */
#include "script/script_internal.h"

#define MESSAGE_BYTES 4096
#define LINE_COST                                                                                  \
    1000 /* instructions that a line counts for, so that a loop cannot flood the log */

static int write_log(lua_State *L, enum log_level level) {
    if (!log_enabled(level))
        return 0;
    const struct script *s = script_of(L);
    int count = lua_gettop(L);
    luaL_Buffer text;
    luaL_checkstack(L, count + 8, "too many arguments");
    luaL_buffinit(L, &text);
    for (int i = 1; i <= count; i++) {
        if (i > 1)
            luaL_addchar(&text, '\t');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&text);
    }
    luaL_pushresult(&text);
    size_t length;
    const char *message = lua_tolstring(L, -1, &length);
    luaL_where(L, 1);
    const char *where = lua_tostring(L, -1);
    size_t where_length = strlen(where);
    while (where_length > 0 && (where[where_length - 1] == ' ' || where[where_length - 1] == ':'))
        where_length--;
    sandbox_spend(L, LINE_COST);
    LOG_AT(level, "script",
           LOG_MEM("text", message, length < MESSAGE_BYTES ? length : MESSAGE_BYTES),
           LOG_STR("bundle", s->bundle->name), LOG_MEM("at", where, where_length),
           LOG_STR("request", s->request != NULL ? s->request->id : "-"));
    return 0;
}

static int log_lua_debug(lua_State *L) {
    return write_log(L, LOG_DEBUG);
}

static int log_lua_info(lua_State *L) {
    return write_log(L, LOG_INFO);
}

static int log_lua_warn(lua_State *L) {
    return write_log(L, LOG_WARN);
}

static int log_lua_error(lua_State *L) {
    return write_log(L, LOG_ERROR);
}

static const luaL_Reg functions[] = {
    {"debug", log_lua_debug}, {"info", log_lua_info}, {"warn", log_lua_warn},
    {"error", log_lua_error}, {NULL, NULL},
};

int lua_log_open(lua_State *L) {
    luaL_newlib(L, functions);
    lua_getfield(L, -1, "info");
    lua_setglobal(L, "print");
    return 1;
}
