/*
 * request: the HTTP request that brought the event, read-only; its fields are made when read.
 */
#include <ctype.h>

#include "script/script_internal.h"

static const char pairs_type[] = "hookmoon.request.pairs";
static const char cache_key; /* its address is the key of the fields made so far */

typedef void push_field(lua_State *L, const struct script_request *r);

static void push_id(lua_State *L, const struct script_request *r) {
    lua_pushstring(L, r->id);
}

static void push_method(lua_State *L, const struct script_request *r) {
    lua_pushstring(L, r->method);
}

static void push_path(lua_State *L, const struct script_request *r) {
    lua_pushstring(L, r->path);
}

static void push_hook(lua_State *L, const struct script_request *r) {
    lua_pushstring(L, r->hook);
}

static void push_body(lua_State *L, const struct script_request *r) {
    lua_pushlstring(L, r->body, r->body_length);
}

/* Collects into C memory first: the source's iteration must not be left by a Lua error. */
struct pairs {
    struct buffer text; /* name, NUL, value, NUL, ... */
    bool lower;
};

static void collect(void *context, const char *name, const char *value) {
    struct pairs *p = context;
    char *to = buffer_reserve(&p->text, strlen(name) + 1);
    for (; *name != '\0'; name++)
        *to++ = p->lower ? (char)tolower((unsigned char)*name) : *name;
    *to++ = '\0';
    p->text.length = (size_t)(to - p->text.data);
    buffer_add(&p->text, value, strlen(value) + 1);
}

static int pairs_gc(lua_State *L) {
    struct pairs *p = lua_touserdata(L, 1);
    buffer_free(&p->text);
    return 0;
}

/* The table of all pairs; several values of one name are joined as HTTP does. */
static void push_pairs(lua_State *L,
                       void (*each)(const void *, void (*)(void *, const char *, const char *),
                                    void *),
                       const void *source, bool lower) {
    lua_newtable(L);
    if (each == NULL)
        return;
    struct pairs *p = lua_newuserdatauv(L, sizeof *p, 0);
    *p = (struct pairs){.lower = lower};
    luaL_setmetatable(L, pairs_type);
    each(source, collect, p);
    const char *at = p->text.data, *end = at + p->text.length;
    while (at < end) {
        const char *name = at, *value = name + strlen(name) + 1;
        at = value + strlen(value) + 1;
        if (lua_getfield(L, -2, name) == LUA_TSTRING)
            lua_pushfstring(L, "%s, %s", lua_tostring(L, -1), value);
        else
            lua_pushstring(L, value);
        lua_setfield(L, -4, name);
        lua_pop(L, 1);
    }
    buffer_free(&p->text);
    lua_pop(L, 1);
}

static void push_headers(lua_State *L, const struct script_request *r) {
    push_pairs(L, r->each_header, r->source, true);
}

static void push_query(lua_State *L, const struct script_request *r) {
    push_pairs(L, r->each_argument, r->source, false);
}

static const struct {
    const char *name;
    push_field *push;
} fields[] = {
    {"id", push_id},     {"method", push_method},   {"path", push_path},   {"hook", push_hook},
    {"body", push_body}, {"headers", push_headers}, {"query", push_query},
};

/* request[name] */
static int request_index(lua_State *L) {
    struct script *s = script_of(L);
    if (s->request == NULL || lua_type(L, 2) != LUA_TSTRING)
        return 0;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &cache_key) == LUA_TNIL) {
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &cache_key);
        s->request_cached = true;
    }
    int cache = lua_gettop(L);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, cache) != LUA_TNIL)
        return 1;
    const char *name = lua_tostring(L, 2);
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (strcmp(fields[i].name, name) != 0)
            continue;
        lua_pushvalue(L, 2);
        fields[i].push(L, s->request);
        lua_pushvalue(L, -1);
        lua_insert(L, -3);
        lua_rawset(L, cache);
        return 1;
    }
    return 0;
}

static int request_newindex(lua_State *L) {
    return luaL_error(L, "request is read-only");
}

static int next_field(lua_State *L) {
    lua_settop(L, 2);
    if (lua_next(L, 1) != 0)
        return 2;
    lua_pushnil(L);
    return 1;
}

/* pairs(request): over a plain copy. */
static int request_pairs(lua_State *L) {
    lua_pushcfunction(L, next_field);
    lua_newtable(L);
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        lua_getfield(L, 1, fields[i].name);
        lua_setfield(L, -2, fields[i].name);
    }
    lua_pushnil(L);
    return 3;
}

static const luaL_Reg metamethods[] = {
    {"__index", request_index},
    {"__newindex", request_newindex},
    {"__pairs", request_pairs},
    {NULL, NULL},
};

void lua_request_register(lua_State *L) {
    luaL_newmetatable(L, pairs_type);
    lua_pushcfunction(L, pairs_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_newlib(L, metamethods);
    lua_pushliteral(L, "request");
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_setglobal(L, "request");
}

void lua_request_reset(lua_State *L) {
    struct script *s = script_of(L);
    if (!s->request_cached)
        return;
    s->request_cached = false;
    lua_pushnil(L); /* clearing a key allocates nothing */
    lua_rawsetp(L, LUA_REGISTRYINDEX, &cache_key);
}
