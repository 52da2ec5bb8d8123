/*
 * publish(topic, msg [, {cache = ...}]): notes a message to be published when the handler returns.
 */
#include <stdlib.h>

#include "base/utf8.h"
#include "script/script_internal.h"

void lua_publish_clear(struct script *s) {
    for (size_t i = 0; i < s->publish_count; i++) {
        free((char *)(uintptr_t)s->publishes[i].cache);
        free((char *)(uintptr_t)s->publishes[i].topic);
        item_unref(s->publishes[i].item);
    }
    s->publish_count = 0;
}

/* The cache to publish to; may raise. */
static const char *option_cache(lua_State *L, const struct script *s) {
    if (lua_isnoneornil(L, 3))
        return s->cache;
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, 3) != 0) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING || strcmp(lua_tostring(L, -1), "cache") != 0)
            luaL_error(L, "publish: unknown option '%s' (known: cache)",
                       luaL_tolstring(L, -1, NULL));
    }
    if (lua_getfield(L, 3, "cache") == LUA_TNIL)
        return s->cache;
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "publish: the option 'cache' is a string, got %s", luaL_typename(L, -1));
    size_t length;
    const char *cache = lua_tolstring(L, -1, &length);
    const char *defect = broker_name_defect(cache, length);
    if (defect != NULL)
        luaL_error(L, "publish: the cache name %s", defect);
    return cache;
}

static int publish(lua_State *L) {
    struct script *s = script_of(L);
    size_t topic_length, length;
    const char *topic = luaL_checklstring(L, 1, &topic_length);
    const char *defect = broker_name_defect(topic, topic_length);
    if (defect != NULL)
        return luaL_error(L, "publish: the topic name %s", defect);
    if (lua_istable(L, 2)) {
        lua_json_encode(L, 2);
        lua_replace(L, 2);
    } else if (lua_type(L, 2) != LUA_TSTRING) {
        return luaL_argerror(
            L, 2, lua_pushfstring(L, "string or table expected, got %s", luaL_typename(L, 2)));
    }
    const char *message = lua_tolstring(L, 2, &length);
    const char *cache = option_cache(L, s);
    if (!s->in_event)
        return luaL_error(L, "publish: only on_event may publish, not the loading of the script");
    if (length > s->limits.message_bytes)
        return luaL_error(L, "publish: the message has %I bytes, limits.message is %I",
                          (lua_Integer)length, (lua_Integer)s->limits.message_bytes);
    if (s->publish_count >= s->limits.publishes)
        return luaL_error(L, "publish: more than limits.script_publishes = %d calls in one event",
                          (int)s->limits.publishes);
    /* Nothing raises from here on. */
    if (s->publish_count == s->publish_room) {
        s->publish_room = s->publish_room == 0 ? 4 : s->publish_room * 2;
        s->publishes = xrealloc(s->publishes, s->publish_room * sizeof *s->publishes);
    }
    enum item_kind kind = utf8_valid(message, length) ? ITEM_TEXT : ITEM_BINARY;
    s->publishes[s->publish_count++] = (struct publish){
        .cache = xstrdup(cache),
        .topic = xstrdup(topic),
        .item = item_new(kind, message, length, s->publisher_id,
                         s->request != NULL ? s->request->id : ""),
    };
    return 0;
}

void lua_publish_register(lua_State *L) {
    lua_register(L, "publish", publish);
}
