#include "config/config_list.h"

#include <stdlib.h>

#include <lauxlib.h>

#include "config/config_box.h"

/* Reports what is no item: a list has nothing but 1, 2, 3, ..., `count`. */
static void check_keys(const struct table *list, lua_Integer count) {
    lua_State *L = list->config->lua;
    lua_pushnil(L);
    while (lua_next(L, list->index) != 0) {
        lua_pop(L, 1);
        /* The key is not told: who mistakes the list for a table may have put a secret there. */
        if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1 || lua_tointeger(L, -1) > count)
            config_lua_problem(
                list->config, list->index, lua_gettop(L), list->path,
                "has a field with a name or behind a gap; it is a list { ..., ... }");
    }
}

static lua_Integer read_items(const struct table *list, list_item *each, void *context) {
    lua_State *L = list->config->lua;
    lua_Integer count = 0;
    for (;;) {
        lua_pushinteger(L, count + 1);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, list->index) == LUA_TNIL)
            break;
        count++;
        char *path = xasprintf("%s[%lld]", list->path, (long long)count);
        struct table item = {.config = list->config,
                             .index = lua_gettop(L),
                             .path = path,
                             .parent = list->index,
                             .parent_key = lua_gettop(L) - 1};
        if (!config_box_is_unset(L, -1))
            each(&item, context);
        free(path);
        lua_settop(L, list->index);
    }
    lua_settop(L, list->index);
    return count;
}

lua_Integer list_read(const struct table *t, const char *name, const char *what, list_item *each,
                      void *context) {
    if (!field_push_table(t, name, what))
        return -1;
    char *path = field_full_name(t->path, name);
    struct table list = {.config = t->config, .index = lua_gettop(t->config->lua), .path = path};
    lua_Integer count = read_items(&list, each, context);
    check_keys(&list, count);
    free(path);
    lua_pop(t->config->lua, 1);
    return count;
}

bool list_item_is_table(const struct table *item, const char *what) {
    lua_State *L = item->config->lua;
    if (lua_istable(L, item->index))
        return true;
    field_problem(item, NULL, "must be %s, not a %s", what, luaL_typename(L, item->index));
    return false;
}

const char *list_item_string(const struct table *item) {
    lua_State *L = item->config->lua;
    if (lua_type(L, item->index) != LUA_TSTRING) {
        field_problem(item, NULL, "must be a string, not a %s", luaL_typename(L, item->index));
        return NULL;
    }
    size_t length;
    const char *text = lua_tolstring(L, item->index, &length);
    if (strlen(text) == length)
        return text;
    field_problem(item, NULL, "has a NUL character");
    return NULL;
}
