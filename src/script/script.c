#include "script/script.h"

#include <stdlib.h>

#include "script/script_internal.h"

static void set_error(struct script *s, struct error *e) {
    const char *message = lua_tostring(s->lua, -1);
    if (s->exceeded == LIMIT_MEMORY || message == NULL)
        error_set(e, ERROR_INTERNAL, "%s: %s", s->bundle->main, sandbox_limit_message(s));
    else
        error_set(e, ERROR_INTERNAL, "%s", message);
}

static void close_state(struct script *s) {
    if (s->lua != NULL) {
        /* Finalisers run now, under what is left of the limits: they are the script's code too. */
        lua_close(s->lua);
    }
    s->lua = NULL;
}

static bool open_state(struct script *s, struct error *e) {
    s->lua = sandbox_new(s);
    if (s->lua == NULL)
        return error_set(e, ERROR_INTERNAL,
                         "%s: limits.script_memory (%zu bytes) is too small to start a script",
                         s->bundle->main, s->limits.memory_bytes);
    sandbox_begin(s);
    char *name = xasprintf("@%s", s->bundle->main);
    int status = lua_load_text(s->lua, s->bundle->source, s->bundle->source_length, name);
    free(name);
    if (status == LUA_OK)
        status = sandbox_call(s, 0, 0);
    if (status != LUA_OK) {
        set_error(s, e);
    } else {
        lua_getglobal(s->lua, "on_event");
        if (lua_isfunction(s->lua, -1)) {
            lua_setfield(s->lua, LUA_REGISTRYINDEX, "on_event");
            lua_publish_clear(s); /* what the main chunk published at load time is not an event's */
            return true;
        }
        error_set(e, ERROR_INTERNAL, "%s: defines no function on_event(event)", s->bundle->main);
    }
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
    free(s->publishes);
    buffer_free(&s->traceback);
    free(s);
}

/* lua_CFunction: on_event(event), with the event as a light userdata. Raises what the script does.
 */
static int call_handler(lua_State *L) {
    const json_t *event = lua_touserdata(L, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, "on_event");
    lua_json_push(L, event, 0);
    lua_call(L, 1, 0);
    return 0;
}

bool script_run(struct script *s, json_t *event, const char *cache, const char *publisher_id,
                const struct script_request *request, struct script_outcome *outcome,
                struct error *e) {
    lua_publish_clear(s);
    *outcome = (struct script_outcome){0};
    if (s->lua == NULL && !open_state(s, e))
        return false;
    s->in_event = true;
    s->cache = cache;
    s->publisher_id = publisher_id;
    s->request = request;
    sandbox_begin(s);
    lua_pushcfunction(s->lua, call_handler);
    lua_pushlightuserdata(s->lua, event);
    bool good = sandbox_call(s, 1, 0) == LUA_OK;
    outcome->duration_ns = clock_mono_ns() - s->started_ns;
    if (!good)
        set_error(s, e);
    else if (s->exceeded != LIMIT_NONE) /* and the script swallowed it */
        error_set(e, ERROR_INTERNAL, "%s: %s", s->bundle->main, sandbox_limit_message(s));
    lua_settop(s->lua, 0);
    lua_request_reset(s->lua);
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
