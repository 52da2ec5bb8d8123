#include "script/script.h"

#include <stdlib.h>

#include "script/script_internal.h"

static const char on_event_key; /* its address is the handler's key in the registry */

static void set_limit_error(const struct script *s, struct error *e) {
    error_set(e, ERROR_INTERNAL, "%s: %s", s->bundle->main, sandbox_limit_message(s));
}

static void set_error(const struct script *s, struct error *e) {
    const char *message = lua_tostring(s->lua, -1);
    if (s->exceeded == LIMIT_MEMORY || message == NULL)
        set_limit_error(s, e);
    else
        error_set(e, ERROR_INTERNAL, "%s", message);
}

static void close_state(struct script *s) {
    if (s->lua != NULL)
        lua_close(s->lua);
    s->lua = NULL;
}

/* lua_CFunction: runs the main chunk and keeps its on_event. Raises what goes wrong. */
static int load_main(lua_State *L) {
    const struct bundle *b = script_of(L)->bundle;
    const char *name = lua_pushfstring(L, "@%s", b->main);
    if (lua_load_text(L, b->source, b->source_length, name) != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 0);
    lua_pushglobaltable(L);
    lua_pushliteral(L, "on_event");
    if (lua_rawget(L, -2) != LUA_TFUNCTION) /* raw: _G may have a metatable by now */
        return luaL_error(L, "%s: defines no function on_event(event)", b->main);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &on_event_key);
    return 0;
}

static bool open_state(struct script *s, struct error *e) {
    s->lua = sandbox_new(s);
    if (s->lua == NULL)
        return error_set(e, ERROR_INTERNAL,
                         "%s: limits.script_memory (%zu bytes) is too small to start a script",
                         s->bundle->main, s->limits.memory_bytes);
    sandbox_begin(s);
    lua_pushcfunction(s->lua, load_main);
    bool good = sandbox_call(s, 0, 0) == LUA_OK;
    if (!good)
        set_error(s, e);
    else if (s->exceeded != LIMIT_NONE) /* and the script swallowed it */
        set_limit_error(s, e);
    else
        return true;
    close_state(s);
    return false;
}

struct script *script_new(const struct bundle *bundle, const struct script_limits *limits,
                          struct error *e) {
    struct script *s = xcalloc(1, sizeof *s);
    s->bundle = bundle;
    s->limits = *limits;
    if (bundle->memory_bytes > 0)
        s->limits.memory_bytes = bundle->memory_bytes;
    if (bundle->instructions > 0)
        s->limits.instructions = bundle->instructions;
    if (bundle->deadline_ms > 0)
        s->limits.deadline_ms = bundle->deadline_ms;
    s->cache = s->publisher_id = "";
    if (!open_state(s, e)) {
        script_free(s);
        return NULL;
    }
    return s;
}

void script_free(struct script *s) {
    if (s == NULL)
        return;
    close_state(s);
    lua_publish_clear(s);
    lua_json_clear(s);
    buffer_free(&s->json_text);
    free(s->publishes);
    buffer_free(&s->traceback);
    free(s);
}

static void set_string(lua_State *L, const char *name, const char *value) {
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, int64_t value) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

static void push_fields(lua_State *L, const struct event *event) {
    lua_createtable(L, 0, 7);
    set_string(L, "cache", event->cache);
    set_string(L, "topic", event->topic);
    set_integer(L, "event_timestamp", event->event_timestamp);
    set_integer(L, "publish_timestamp", event->publish_timestamp);
    set_integer(L, "topic_sequence_number", event->sequence_number);
    set_string(L, "token_id", event->token_id);
    set_string(L, "text", event->text);
}

/* lua_CFunction: on_event(event), with the event as a light userdata. Raises what the script does.
 */
static int call_handler(lua_State *L) {
    const struct event *event = lua_touserdata(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &on_event_key);
    if (event->json != NULL)
        lua_json_push(L, event->json);
    else
        push_fields(L, event);
    lua_call(L, 1, 0);
    return 0;
}

bool script_run(struct script *s, const struct event *event, const struct script_request *request,
                struct script_outcome *outcome, struct error *e) {
    lua_publish_clear(s);
    *outcome = (struct script_outcome){0};
    if (s->lua == NULL && !open_state(s, e))
        return false;
    s->in_event = true;
    s->cache = event->cache;
    s->publisher_id = event->token_id;
    s->request = request;
    sandbox_begin(s);
    lua_pushcfunction(s->lua, call_handler);
    lua_pushlightuserdata(s->lua, (void *)(uintptr_t)event);
    bool good = sandbox_call(s, 1, 0) == LUA_OK;
    uint64_t ended_ns = clock_mono_ns();
    outcome->duration_ns = ended_ns - s->started_ns;
    if (s->exceeded == LIMIT_NONE && ended_ns > s->deadline_ns) /* in a C function at its end */
        s->exceeded = LIMIT_DEADLINE;
    if (!good)
        set_error(s, e);
    else if (s->exceeded != LIMIT_NONE) /* that one, or the script swallowed it */
        set_limit_error(s, e);
    lua_settop(s->lua, 0);
    lua_request_reset(s->lua);
    lua_json_clear(s);
    s->request = NULL;
    s->in_event = false;
    s->cache = s->publisher_id = "";
    if (!good || s->exceeded != LIMIT_NONE) {
        lua_publish_clear(s);
        if (s->exceeded != LIMIT_NONE)
            close_state(s);
        return false;
    }
    outcome->publishes = s->publishes;
    outcome->publish_count = s->publish_count;
    return true;
}

const char *script_traceback(const struct script *s) {
    return buffer_string(&s->traceback);
}

size_t script_memory(const struct script *s) {
    return s->memory;
}
